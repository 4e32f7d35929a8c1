//! One lane: claims a job, runs it under its lease, records how it ended, and begins again.

mod growing;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use catalog_store::{CatalogError, Claim, LeasedJob};
use domain::cost::Budget;
use domain::{Failure, FailureCode, JobKind, JobLane, LeftOut};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::room::{Room, Rooms};
use super::{Parts, WorkerConfig, lease, room};
use crate::error::JobError;
use crate::metrics::Outcome;
use crate::retry::{self, Case, Verdict};
use crate::steps::{Settlement, Step, edition, purge, retire};

/// Shortest pause of an idle lane, however often it is woken.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// Longest time that encoding goes on once the worker stops.
const ENCODING_GRACE_MAX: Duration = Duration::from_millis(1500);

/// What a job is to work on.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// It is all there.
    Complete,
    /// Its upload still runs.
    Growing,
}

/// One lane of a worker.
pub(super) struct Lane {
    config: Arc<WorkerConfig>,
    parts: Parts,
    rooms: Rooms,
    kind: JobLane,
    number: usize,
}

/// What a lane does next.
enum Next {
    /// This job, in the room that was taken for it.
    Job(Box<LeasedJob>, Option<Room>),
    /// The most urgent job needs more of the machine than is free: nothing before it.
    Full,
    /// There is nothing to do.
    Nothing,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} lane {}", self.kind.as_str(), self.number)
    }
}

impl Lane {
    pub(super) fn new(config: Arc<WorkerConfig>, parts: Parts, rooms: Rooms, kind: JobLane, number: usize) -> Self {
        Self { config, parts, rooms, kind, number }
    }

    /// Runs one job after the other until a token is cancelled.
    pub(super) async fn run(&self, soft: &CancellationToken, hard: &CancellationToken) {
        let mut commits = self.parts.catalog.changed();
        while !soft.is_cancelled() && !hard.is_cancelled() {
            // Before the look at the queue, so that what is enqueued after it wakes us.
            commits.mark_unchanged();
            let mut freed = pin!(self.rooms.freed());
            freed.as_mut().enable();
            let pause = match self.next().await {
                Ok(Next::Job(job, _room)) => {
                    self.attend(&job, soft, hard).await;
                    continue;
                }
                Ok(Next::Full) => {
                    // Commits are no news here: only room is.
                    tokio::select! {
                        () = soft.cancelled() => {}
                        () = hard.cancelled() => {}
                        () = freed => {}
                        () = sleep(self.config.poll) => {}
                    }
                    continue;
                }
                Ok(Next::Nothing) => self.until_due().await,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot claim a job");
                    self.config.poll
                }
            };
            sleep(PAUSE_MIN).await;
            // Nothing is lost with a branch that loses: the next round looks at the queue itself.
            tokio::select! {
                () = soft.cancelled() => {}
                () = hard.cancelled() => {}
                _ = commits.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// What to do next: something for an upload that is not complete only if there is nothing else.
    async fn next(&self) -> Result<Next, CatalogError> {
        match self.next_of(Source::Complete).await? {
            Next::Nothing if self.config.ahead.is_some() && self.kind != JobLane::Urgent => {
                match self.next_of(Source::Growing).await? {
                    // Room may be given to something else before.
                    Next::Full => Ok(Next::Nothing),
                    next => Ok(next),
                }
            }
            next => Ok(next),
        }
    }

    /// The next job on such a source. A heavy job is looked at before it is claimed, so that one for which there is
    /// no room here stays free for other machines, and for what becomes more urgent meanwhile.
    async fn next_of(&self, source: Source) -> Result<Next, CatalogError> {
        if self.kind != JobLane::Heavy || self.config.budget == Budget::UNBOUNDED {
            return Ok(self.claim(source).await?.map_or(Next::Nothing, |job| Next::Job(Box::new(job), None)));
        }
        let now = self.parts.clock.now();
        let seen = match source {
            Source::Complete => self.parts.catalog.next_job(self.kind, now).await?,
            Source::Growing => self.parts.catalog.next_ahead(self.kind, now).await?,
        };
        let Some(seen) = seen else { return Ok(Next::Nothing) };
        let cost = room::cost_of(&self.parts, seen.asset, &seen.spec).await?;
        let Some(room) = self.rooms.take(cost) else { return Ok(Next::Full) };
        let Some(job) = self.claim(source).await? else { return Ok(Next::Nothing) };
        if job.id == seen.id {
            return Ok(Next::Job(Box::new(job), Some(room)));
        }
        // Somebody was faster, or something more urgent came.
        let cost = room::cost_of(&self.parts, job.asset, &job.spec).await?;
        if cost == room.cost() {
            return Ok(Next::Job(Box::new(job), Some(room)));
        }
        drop(room);
        match self.rooms.take(cost) {
            Some(room) => Ok(Next::Job(Box::new(job), Some(room))),
            None => match self.parts.catalog.release(&job, self.parts.clock.now()).await {
                Ok(()) | Err(CatalogError::LostLease { .. }) => Ok(Next::Full),
                Err(error) => Err(error),
            },
        }
    }

    /// The most urgent job that is due. Idle lanes only read: claiming takes the write lock.
    async fn claim(&self, source: Source) -> Result<Option<LeasedJob>, CatalogError> {
        let (catalog, now) = (&self.parts.catalog, self.parts.clock.now());
        let claim = Claim { worker: &self.config.name, lane: self.kind, lease: self.config.lease, now };
        match source {
            Source::Complete if catalog.next_due(self.kind).await?.is_some_and(|due| due <= now) => {
                catalog.claim(&claim).await
            }
            Source::Growing if catalog.next_ahead(self.kind, now).await?.is_some() => catalog.claim_ahead(&claim).await,
            Source::Complete | Source::Growing => Ok(None),
        }
    }

    /// How long to wait for the next job that is known, or for one that another process enqueues.
    async fn until_due(&self) -> Duration {
        let due = self.parts.catalog.next_due(self.kind).await.ok().flatten();
        let wait = due.map_or(self.config.poll, |due| due.since(self.parts.clock.now()));
        wait.clamp(PAUSE_MIN, self.config.poll.max(PAUSE_MIN))
    }

    /// Runs one job, with everything that is told of it.
    async fn attend(&self, job: &LeasedJob, soft: &CancellationToken, hard: &CancellationToken) {
        let kind = job.spec.kind();
        let span = tracing::info_span!(
            "job",
            job.id = %job.id,
            job.kind = kind.as_str(),
            asset.id = %job.asset,
            generation = job.spec.generation().map(|generation| generation.0),
        );
        let run = async {
            tracing::info!(attempt = job.attempt, "job started");
            let (started, _running) = (Instant::now(), self.parts.metrics.running());
            let outcome = self.outcome(job, soft, hard).await;
            let took = started.elapsed();
            self.parts.metrics.job_ended(kind, outcome, took);
            let elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(outcome = outcome.as_str(), elapsed_ms, "job ended");
        };
        run.instrument(span).await;
    }

    async fn outcome(&self, job: &LeasedJob, soft: &CancellationToken, hard: &CancellationToken) -> Outcome {
        let step = Step { parts: &self.parts, config: &self.config, job };
        let grace_over = async {
            soft.cancelled().await;
            sleep(self.grace()).await;
        };
        // The branches that lose are dropped: the engine of the work dies, its uncommitted segment with it.
        let worked = tokio::select! {
            biased;
            () = hard.cancelled() => return Outcome::Lost,
            worked = step.run() => worked,
            () = lease::kept_until_lost(&self.parts, &self.config, job) => Err(JobError::LostLease),
            () = grace_over => return self.release(job).await,
            () = self.outranked(job) => return self.release(job).await,
        };
        let settled = match worked {
            // The work is done, so nothing is left that a heartbeat would protect but one transaction.
            Ok(settlement) => step.settle(&settlement).await,
            Err(error) => Err(error),
        };
        match settled {
            Ok(()) => Outcome::Done,
            Err(error) => self.failed(&step, error, soft.is_cancelled()).await,
        }
    }

    /// How long a job may go on once the worker stops: encoding is given up soon, since what is committed is kept.
    fn grace(&self) -> Duration {
        match self.kind {
            JobLane::Urgent => self.config.grace,
            JobLane::Light | JobLane::Heavy => self.config.grace.min(ENCODING_GRACE_MAX),
        }
    }

    async fn release(&self, job: &LeasedJob) -> Outcome {
        match self.parts.catalog.release(job, self.parts.clock.now()).await {
            Ok(()) => Outcome::Released,
            Err(CatalogError::LostLease { .. }) => self.lost(job).await,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot release the job; its lease runs out");
                Outcome::Lost
            }
        }
    }

    /// The job is somebody else's, or its asset was deleted while it ran.
    async fn lost(&self, job: &LeasedJob) -> Outcome {
        let (parts, generation) = (&self.parts, job.spec.generation());
        let swept = match purge::sweep_if_deleted(parts, job.asset).await {
            Ok(()) => retire::sweep_if_retired(parts, job.asset, generation).await,
            failed => failed,
        };
        if let Err(error) = swept {
            tracing::warn!(error = &error as &dyn std::error::Error, "objects that nobody needs may be left");
        }
        Outcome::Lost
    }

    /// Records an error as what it means for the job.
    async fn failed(&self, step: &Step<'_>, error: JobError, is_stopping: bool) -> Outcome {
        let (job, clock) = (step.job, &self.parts.clock);
        // Where the plan cannot be read, that is what counts: what is optional must not fail the asset.
        let known = async { Ok::<_, JobError>((step.is_optional().await?, step.is_copy().await?)) };
        let (error, is_optional, is_copy) = match known.await {
            Ok((is_optional, is_copy)) => (error, is_optional, is_copy),
            Err(unknown) => (unknown, false, false),
        };
        let case = Case {
            kind: job.spec.kind(),
            is_optional,
            is_copy,
            failures: job.failures,
            outages: job.attempt.saturating_sub(1).saturating_sub(job.failures),
            outages_max: self.config.outages_max,
        };
        let verdict = retry::verdict(&error, case, clock.entropy()[0]);
        // Ctrl-C in a terminal reaches the engines as well: that they died then is no fault of the source.
        if is_stopping && !matches!(error, JobError::Refused(_)) && verdict != Verdict::Forget {
            return self.release(job).await;
        }
        let cause = explained(&error);
        if job.is_ahead && growing::is_held(&error, &verdict) {
            return self.hold(job, &error, &cause).await;
        }
        let (recorded, outcome) = match verdict {
            Verdict::Forget => {
                tracing::info!(error = cause.as_str(), "job dropped");
                return self.lost(job).await;
            }
            Verdict::Postpone(after) => {
                let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(error = cause.as_str(), after_ms, "job waits until the machine is well again");
                let now = clock.now();
                let postponed = self.parts.catalog.postpone(job, &cause, now.plus(after), now).await;
                (postponed.map_err(JobError::from), Outcome::Postponed)
            }
            Verdict::Retry(after) => {
                let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                let failures = job.failures.saturating_add(1);
                tracing::warn!(error = cause.as_str(), failures, after_ms, "job will be tried again");
                let now = clock.now();
                let retried = self.parts.catalog.retry(job, &cause, now.plus(after), now).await;
                (retried.map_err(JobError::from), Outcome::Retried)
            }
            // The batch job of the same segment decides what becomes of the asset.
            Verdict::GoWithout(_) | Verdict::Fail(_) if job.spec.kind() == JobKind::Demand => {
                tracing::warn!(error = cause.as_str(), "demand given up");
                (step.settle(&Settlement::Demand).await, Outcome::WentWithout)
            }
            Verdict::Replan => {
                tracing::warn!(error = cause.as_str(), "source cannot be taken as it is: it is encoded");
                match self.replan(step).await {
                    Err(JobError::Refused(failure)) => (self.fail(job, &failure).await, Outcome::Failed),
                    // It cannot even be described once more: what is optional is left out.
                    Err(again) if again.is_decoding() && is_optional => {
                        let missing = LeftOut::of(&job.spec, again.failure(job.spec.kind()));
                        (step.settle(&Settlement::Without(missing)).await, Outcome::WentWithout)
                    }
                    Err(again) if again.is_decoding() => {
                        (self.fail(job, &again.failure(job.spec.kind())).await, Outcome::Failed)
                    }
                    replanned => (replanned, Outcome::Replanned),
                }
            }
            Verdict::GoWithout(failure) => {
                tracing::warn!(error = cause.as_str(), "part left out: the asset plays without it");
                let missing = Settlement::Without(LeftOut::of(&job.spec, failure));
                (step.settle(&missing).await, Outcome::WentWithout)
            }
            Verdict::Fail(failure) => {
                tracing::warn!(error = cause.as_str(), code = ?failure.code, "job given up");
                (self.fail(job, &failure).await, Outcome::Failed)
            }
        };
        if let Err(JobError::LostLease | JobError::Gone) = recorded {
            return self.lost(job).await;
        }
        if let Err(error) = recorded {
            // The lease runs out, and whoever claims the job then comes to the same verdict.
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot record how the job ended");
            return Outcome::Lost;
        }
        outcome
    }

    async fn replan(&self, step: &Step<'_>) -> Result<(), JobError> {
        step.settle(&step.replan().await?).await
    }

    async fn fail(&self, job: &LeasedJob, failure: &Failure) -> Result<(), JobError> {
        // First what players see: a crash in between leaves a job that fails again.
        self.withdraw(job).await?;
        self.parts.catalog.fail(job, failure, self.parts.clock.now()).await?;
        // A job that ran beside this one may have shown the plan once more before it was cancelled.
        self.withdraw(job).await?;
        if failure.code == FailureCode::Internal && !job.spec.kind().is_removal() {
            tracing::error!(message = failure.message, "a job failed by no fault of the source");
        }
        Ok(())
    }

    /// Takes the plan back that the failed job worked on, if the asset fails with it.
    async fn withdraw(&self, job: &LeasedJob) -> Result<(), JobError> {
        let asset = self.parts.catalog.asset(job.asset).await?;
        match (job.spec.generation(), asset) {
            (Some(generation), Some(asset)) if job.spec.kind().decides_asset() => {
                edition::withdraw(&self.parts.store, asset.playback, generation).await
            }
            _ => Ok(()),
        }
    }
}

/// An error with its causes, for people.
fn explained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
