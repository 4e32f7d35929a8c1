//! The worker: lanes that claim jobs, keep their leases alive, and record how they end.

mod lane;
mod lease;
mod room;

use std::sync::Arc;
use std::time::Duration;

use catalog_store::{Catalog, LeasedJob};
use domain::cost::{Budget, Cores};
use domain::plan::Limits;
use domain::{Clock, JobLane, Recipe};
use media_store::{MediaStore, Staging};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transcoder::Engine;

use crate::Metrics;
use crate::steps::Step;
use lane::Lane;
use room::Rooms;

/// What a worker works with. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    /// Where jobs come from and rows go to.
    pub catalog: Catalog,
    /// Where sources come from and objects go to.
    pub store: MediaStore,
    /// What decodes and encodes.
    pub engine: Engine,
    /// Wall time, and the randomness of ids and pauses.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("store", &self.store).field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// How a worker works on uploads that are not complete yet.
#[derive(Clone, Debug)]
pub struct Ahead {
    /// Where they are staged.
    pub staging: Staging,
    /// How much of each is encoded before it is complete, in seconds of media.
    pub seconds_max: u64,
}

/// How a worker works.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Its name, unique among all worker processes of the catalogue.
    pub name: String,
    /// Jobs at the same time, in the lane for what somebody waits for.
    pub urgent_lanes: usize,
    /// Jobs at the same time that keep a processor busy at most.
    pub light_lanes: usize,
    /// Jobs that keep several processors busy, at the same time at most: fewer if the budget has no room for them.
    pub heavy_lanes: usize,
    /// What the heavy jobs may take of the machine together. One that needs more than all of it runs alone.
    pub budget: Budget,
    /// Viewers may watch while it works: what they wait for goes first, at some cost to everything else.
    pub has_viewers: bool,
    /// How long a job stays ours without a heartbeat; a third of it passes between two heartbeats.
    pub lease: Duration,
    /// Longest pause between two looks at the queue; commits of this process wake it earlier.
    pub poll: Duration,
    /// How long running jobs may go on after a soft shutdown before they are given back.
    pub grace: Duration,
    /// How long an output that was replaced is kept for players which began with it.
    pub retire_after: Duration,
    /// Runs that a job may lose to a store, a database or a disk that is away, before its asset fails.
    /// `None` waits as long as it takes: right for a server, not for somebody at a terminal.
    pub outages_max: Option<u32>,
    /// Encode uploads before they are complete, when there is nothing else to do; `None` leaves them alone.
    pub ahead: Option<Ahead>,
    /// What new generations are made with.
    pub recipe: Recipe,
    /// Which sources are accepted.
    pub limits: Limits,
}

impl Default for WorkerConfig {
    /// One heavy, two light and two urgent lanes, no bound of memory, leases of 30 s, a look at the queue every 2 s, 10 s of grace;
    /// outages are waited out.
    fn default() -> Self {
        Self {
            name: "worker".into(),
            urgent_lanes: 2,
            light_lanes: 2,
            heavy_lanes: 1,
            budget: Budget::UNBOUNDED,
            has_viewers: true,
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(2),
            grace: Duration::from_secs(10),
            retire_after: Duration::from_secs(24 * 3600),
            outages_max: None,
            ahead: None,
            recipe: Recipe::default(),
            limits: Limits::default(),
        }
    }
}

impl WorkerConfig {
    /// Jobs of this lane at the same time.
    fn lanes(&self, lane: JobLane) -> usize {
        match lane {
            JobLane::Urgent => self.urgent_lanes,
            JobLane::Light => self.light_lanes,
            JobLane::Heavy => self.heavy_lanes,
        }
    }
}

/// Runs jobs until it is told to stop.
#[derive(Clone, Debug)]
pub struct Worker {
    config: Arc<WorkerConfig>,
    parts: Parts,
}

impl Worker {
    /// A worker that has not started yet.
    pub fn new(config: WorkerConfig, parts: Parts) -> Self {
        Self { config: Arc::new(config), parts }
    }

    /// The same worker, which fails an asset once one of its jobs has lost this many runs to the machine.
    #[must_use]
    pub fn with_outages_max(self, outages_max: u32) -> Self {
        let config = WorkerConfig { outages_max: Some(outages_max), ..(*self.config).clone() };
        Self { config: Arc::new(config), ..self }
    }

    /// What it works with.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Does the work of a leased job and settles it; errors are returned, not recorded. For tests.
    ///
    /// # Errors
    /// Whatever kept the job from its end.
    #[doc(hidden)]
    pub async fn perform(&self, job: &LeasedJob) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let step = Step { parts: &self.parts, config: &self.config, job };
        let settlement = step.run().await?;
        Ok(step.settle(&settlement).await?)
    }

    /// Does the work of a leased job but does not settle it, as if it were killed right before. For tests.
    ///
    /// # Errors
    /// Whatever kept the job from its end.
    #[doc(hidden)]
    pub async fn rehearse(&self, job: &LeasedJob) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let step = Step { parts: &self.parts, config: &self.config, job };
        Ok(step.run().await.map(drop)?)
    }

    /// Claims and runs jobs until one of the tokens is cancelled; then returns once nothing runs.
    ///
    /// `soft` stops the claiming; running jobs go on for the configured grace and are then given back.
    /// `hard` drops running jobs at once: their engines die, their leases run out. Dropping the
    /// future does the same. Either way a later run goes on after the last committed segment.
    pub async fn run(&self, soft: CancellationToken, hard: CancellationToken) {
        let mut lanes = JoinSet::new();
        let spawn = |lanes: &mut JoinSet<Lane>, lane: Lane| {
            let (soft, hard) = (soft.clone(), hard.clone());
            lanes.spawn(async move {
                lane.run(&soft, &hard).await;
                lane
            });
        };
        let rooms = Rooms::new(self.config.budget);
        for kind in JobLane::ALL {
            for number in 0..self.config.lanes(kind) {
                spawn(&mut lanes, Lane::new(self.config.clone(), self.parts.clone(), rooms.clone(), kind, number));
            }
        }
        tracing::info!(
            worker = self.config.name,
            urgent_lanes = self.config.urgent_lanes,
            light_lanes = self.config.light_lanes,
            heavy_lanes = self.config.heavy_lanes,
            memory_bytes = self.config.budget.memory.0,
            cores = self.config.budget.cores.0 / Cores::ONE.0,
            "worker started"
        );
        // A lane ends when a token is cancelled, or by a panic in a job, whose lease then runs out.
        while let Some(ended) = lanes.join_next().await {
            match ended {
                Ok(lane) => tracing::debug!(?lane, "lane ended"),
                Err(error) => tracing::error!(%error, "lane panicked"),
            }
        }
        tracing::info!(worker = self.config.name, "worker stopped");
    }
}
