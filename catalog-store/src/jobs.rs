//! The durable queue: who may work on what, until when.
//!
//! A claim hands out a lease and a fence, a number that rises with every claim of the job. All later
//! calls carry the fence and change the row only while it is the job's latest and the job still runs,
//! so a worker that lost its lease can do no harm, however late it wakes up.

use std::time::Duration;

use domain::job::PRIORITY_STEP;
use domain::{AssetId, Failure, FailureCode, Generation, JobId, JobLane, JobSpec, JobState, Timestamp};

use crate::catalog::{MaybeNumber, Tx};
use crate::engine::{args, corrupt, count, count32, document, json, parsed};
use crate::{Catalog, CatalogError, sql};

mod listing;

pub use listing::{Job, JobFailure, JobFilter, PAGE_JOBS_MAX};

/// How many times in a row a worker may vanish with a job that makes no progress, before the job is
/// given up as the likely reason. Sources are decoded in children, so it seldom is: a machine that
/// is switched off again and again must not cost an asset.
pub const CRASHES_MAX: u32 = 30;

/// Poisoned jobs that one claim gives up before it returns empty-handed.
const POISON_PER_CLAIM_MAX: usize = 16;

/// When the last part of an output is due though nothing woke it.
const LAST_PART_PATIENCE: Duration = Duration::from_hours(24);

/// What a worker asks for.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Name of the worker, for people and for [`Catalog::expire_leases`].
    pub worker: &'a str,
    /// The lane that is free.
    pub lane: JobLane,
    /// How long the lease lasts without a heartbeat.
    pub lease: Duration,
    /// The present.
    pub now: Timestamp,
}

/// The right to run a job, for a limited time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedJob {
    /// The job.
    pub id: JobId,
    /// Its asset.
    pub asset: AssetId,
    /// What to do.
    pub spec: JobSpec,
    /// Which attempt this is, from 1; a release does not count.
    pub attempt: u32,
    /// How often it was settled by [`Catalog::retry`]: unlike `attempt`, a worker that was killed does not count.
    pub failures: u32,
    /// Proves the lease; rises with every claim.
    pub fence: i64,
    /// Since when it may run: for a demand, when it was last asked for.
    pub due: Timestamp,
    /// It was claimed before its source was complete: see [`Catalog::claim_ahead`].
    pub is_ahead: bool,
}

/// A job that may be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextJob {
    /// The job.
    pub id: JobId,
    /// Its asset.
    pub asset: AssetId,
    /// What it does.
    pub spec: JobSpec,
}

/// How many jobs of one kind are in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCount {
    /// Name of the kind, as [`domain::JobKind::as_str`] gives it.
    pub kind: String,
    /// The state.
    pub state: JobState,
    /// How many.
    pub count: u64,
}

impl Catalog {
    /// Leases the most urgent job that is due, or that was abandoned; `None` if there is nothing to do.
    ///
    /// A job that lost its worker more than [`CRASHES_MAX`] times in a row is not handed out: it fails, and its
    /// asset with it if it [decides](domain::JobKind::decides_asset) about it.
    pub async fn claim(&self, claim: &Claim<'_>) -> Result<Option<LeasedJob>, CatalogError> {
        let step_ms = i64::try_from(PRIORITY_STEP.as_millis()).unwrap_or(i64::MAX);
        for _ in 0..POISON_PER_CLAIM_MAX {
            let mut tx = self.begin().await?;
            let args = args![claim.worker, claim.now.plus(claim.lease), claim.now, claim.lane.as_str(), step_ms];
            let Some(row) = tx.row::<LeaseRow>(sql::jobs::CLAIM, args).await? else { return Ok(None) };
            tx.commit().await?;
            let is_poison = row.crashes > i64::from(CRASHES_MAX);
            let job = LeasedJob::try_from(row)?;
            if !is_poison {
                return Ok(Some(job));
            }
            tracing::error!(job.id = %job.id, job.kind = job.spec.kind().as_str(), asset.id = %job.asset,
                "job given up: its workers vanish");
            let message = "processing this file stopped the server repeatedly, so it was given up";
            match self.fail(&job, &Failure::new(FailureCode::EngineCrashed, message), claim.now).await {
                Ok(()) | Err(CatalogError::LostLease { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The job that a claim would hand out now, unless somebody is faster; nothing is claimed.
    pub async fn next_job(&self, lane: JobLane, now: Timestamp) -> Result<Option<NextJob>, CatalogError> {
        let step_ms = i64::try_from(PRIORITY_STEP.as_millis()).unwrap_or(i64::MAX);
        let row: Option<NextRow> = self.row(sql::jobs::NEXT, args![lane.as_str(), now, step_ms]).await?;
        row.map(NextJob::try_from).transpose()
    }

    /// Prolongs a lease; false if it is lost: stop working on the job.
    pub async fn heartbeat(&self, job: &LeasedJob, lease: Duration, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let args = args![job.id, job.fence, now.plus(lease), now];
        match tx.fenced(job, sql::jobs::HEARTBEAT, args).await {
            Ok(()) => tx.commit().await.map(|()| true),
            Err(CatalogError::LostLease { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives a job back unfinished, as at shutdown: it is due at once, and the attempt does not count.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`].
    pub async fn release(&self, job: &LeasedJob, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.fenced(job, sql::jobs::RELEASE, args![job.id, job.fence, now]).await?;
        tx.commit().await
    }

    /// Ends all leases of the worker of this name, whose process is known to have ended; how many there were.
    ///
    /// Call it at the start of a process whose worker names nobody else uses, so that nothing waits for
    /// leases to run out. It counts as a crash of each job.
    pub async fn expire_leases(&self, worker: &str, now: Timestamp) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let expired = tx.execute(sql::jobs::EXPIRE_OF_WORKER, args![worker, now]).await?;
        tx.commit().await?;
        Ok(expired)
    }

    /// When the next job of a lane can be claimed: at once if that lies in the past; `None` if none waits or runs.
    pub async fn next_due(&self, lane: JobLane) -> Result<Option<Timestamp>, CatalogError> {
        let row: Option<MaybeNumber> = self.row(sql::jobs::NEXT_DUE, args![lane.as_str()]).await?;
        Ok(row.and_then(|row| row.number).map(Timestamp::from_unix_ms))
    }

    /// How many jobs there are, by kind and state.
    pub async fn job_counts(&self) -> Result<Vec<JobCount>, CatalogError> {
        let rows: Vec<CountRow> = self.rows(sql::jobs::COUNTS, args![]).await?;
        let count = |row: CountRow| {
            Ok(JobCount { state: state(&row.state)?, count: count("jobs.count", row.number)?, kind: row.kind })
        };
        rows.into_iter().map(count).collect()
    }

    /// How many jobs of all assets are queued or running.
    pub async fn unfinished_job_count(&self) -> Result<u64, CatalogError> {
        self.number(sql::jobs::UNFINISHED, args![]).await
    }

    /// How many jobs of one asset are queued or running.
    pub async fn unfinished_job_count_of(&self, asset: AssetId) -> Result<u64, CatalogError> {
        self.number(sql::jobs::UNFINISHED_OF_ASSET, args![asset]).await
    }
}

impl Tx {
    /// Adds a job that is due at once.
    pub(crate) async fn enqueue(
        &mut self,
        id: JobId,
        asset: AssetId,
        spec: &JobSpec,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.enqueue_with(id, asset, spec, spec.priority(), now).await
    }

    /// Adds a job of a priority of its own.
    pub(crate) async fn enqueue_with(
        &mut self,
        id: JobId,
        asset: AssetId,
        spec: &JobSpec,
        priority: i32,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let kind = spec.kind();
        let text = json("jobs.spec", spec)?;
        let generation = spec.generation().map(|generation| i64::from(generation.0));
        let args = args![id, asset, kind.as_str(), text, kind.lane().as_str(), priority, now, generation];
        self.tell_of_work();
        self.execute(sql::jobs::INSERT, args).await?;
        if let JobSpec::Images { generation, is_last: true } = spec {
            self.let_images_wait(asset, *generation, now).await?;
        }
        Ok(())
    }

    /// Has the pictures that are taken last wait until they are the only part that is missing.
    pub(crate) async fn let_images_wait(
        &mut self,
        asset: AssetId,
        generation: Generation,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.set_images_due(asset, generation, now.plus(LAST_PART_PATIENCE)).await.map(|_| ())
    }

    /// Has the pictures that are taken last be taken now.
    pub(crate) async fn wake_images(
        &mut self,
        asset: AssetId,
        generation: Generation,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        if self.set_images_due(asset, generation, now).await? > 0 {
            self.tell_of_work();
        }
        Ok(())
    }

    async fn set_images_due(
        &mut self,
        asset: AssetId,
        generation: Generation,
        due: Timestamp,
    ) -> Result<u64, CatalogError> {
        let spec = json("jobs.spec", &JobSpec::Images { generation, is_last: true })?;
        self.execute(sql::jobs::HASTEN, args![asset, spec, due]).await
    }
}

fn state(name: &str) -> Result<JobState, CatalogError> {
    let states = [JobState::Queued, JobState::Running, JobState::Done, JobState::Failed];
    states.into_iter().find(|state| state.as_str() == name).ok_or_else(|| corrupt("jobs.state", name))
}

#[derive(sqlx::FromRow)]
pub(crate) struct NextRow {
    id: String,
    asset_id: String,
    spec: String,
}

impl TryFrom<NextRow> for NextJob {
    type Error = CatalogError;

    fn try_from(row: NextRow) -> Result<Self, CatalogError> {
        let (id, asset) = (parsed("jobs.id", &row.id)?, parsed("jobs.asset_id", &row.asset_id)?);
        Ok(Self { id, asset, spec: document("jobs.spec", &row.spec)? })
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct LeaseRow {
    id: String,
    asset_id: String,
    spec: String,
    attempts: i64,
    pub(crate) crashes: i64,
    failures: i64,
    fence: i64,
    run_at: i64,
    needs_bytes: Option<i64>,
}

impl TryFrom<LeaseRow> for LeasedJob {
    type Error = CatalogError;

    fn try_from(row: LeaseRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: parsed("jobs.id", &row.id)?,
            asset: parsed("jobs.asset_id", &row.asset_id)?,
            spec: document("jobs.spec", &row.spec)?,
            attempt: count32("jobs.attempts", row.attempts)?,
            failures: count32("jobs.failures", row.failures)?,
            fence: row.fence,
            due: Timestamp::from_unix_ms(row.run_at),
            is_ahead: row.needs_bytes.is_some(),
        })
    }
}

#[derive(sqlx::FromRow)]
struct CountRow {
    kind: String,
    state: String,
    number: i64,
}
