//! Work on a source of which only a part is there: planned, held until its octets are recorded, and taken back
//! when the upload comes to nothing.
//!
//! ```text
//! begin_ahead -> [ahead] -> settle_ahead: generation, jobs that wait for octets -> claim_ahead, hold, ...
//!                                                                                       |
//! upload complete -> [probe] -+- the plan holds -> settle_adopted: the jobs are work like any other
//!                             +- it does not   -> settle_probe: another generation, this one is removed
//! upload given up -> give_up: the jobs end, a job removes what they made
//! ```
//!
//! Such jobs are in lanes of their own. Nothing of them decides about an asset: one that fails waits for the
//! whole source and fails then, if it must.

use std::time::Duration;

use domain::job::PRIORITY_STEP;
use domain::{AssetEvent, AssetId, AssetState, Generation, JobId, JobLane, JobSpec, Plan, Probe, Timestamp, UploadId};
use serde_json::json;

use crate::assets::AssetRow;
use crate::catalog::{Number, Tx};
use crate::engine::{Arg, args, column, json as text};
use crate::jobs::{CRASHES_MAX, LeaseRow, NextRow};
use crate::settle::{done, generation_of, is_part};
use crate::{Catalog, CatalogError, Claim, Closing, LeasedJob, NextJob, assets, generations, sql};

/// Unfinished uploads that are worked on at the same time: what it costs may come to nothing.
pub const AHEAD_UPLOADS_MAX: u64 = 8;

/// An upload of which nothing came for this long does not keep others from being worked on: for it nothing is done.
const STILL: Duration = Duration::from_secs(600);

/// How far work on an unfinished upload steps back behind other such work: it keeps the order among itself.
const AHEAD_STEP: i32 = 1000;

/// Ids of the jobs that working ahead may need.
#[derive(Clone, Copy, Debug)]
pub struct AheadJobs {
    /// The one that plans.
    pub plan: JobId,
    /// The one that removes what was made, should it come to nothing.
    pub remove: JobId,
}

/// A job of an output that is planned ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AheadJob {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub spec: JobSpec,
    /// How many octets of the upload it needs; `None` for the whole source.
    pub needs_bytes: Option<u64>,
}

impl Catalog {
    /// Has an unfinished upload planned once `needs_bytes` of it are recorded; false, and nothing happens, if that
    /// was done before, the upload is not open, or as many others are worked on as may be.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn begin_ahead(
        &self,
        upload: UploadId,
        needs_bytes: u64,
        jobs: AheadJobs,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let Some(target) = self.upload(upload).await?.and_then(|upload| upload.target) else { return Ok(false) };
        let asset = target.asset;
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(asset, now).await?;
        let still_ms = i64::try_from(STILL.as_millis()).unwrap_or(i64::MAX);
        let moved_since = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(still_ms));
        let number = |row: Option<Number>| row.map_or(0, |row| row.number);
        let known: Option<Number> = tx.row(sql::jobs::PLANNED_AHEAD, args![asset]).await?;
        let others: Option<Number> = tx.row(sql::jobs::COUNT_AHEAD, args![moved_since]).await?;
        let is_full = number(others) >= column(AHEAD_UPLOADS_MAX)?;
        if row.state()? != AssetState::Uploading || number(known) > 0 || is_full {
            return Ok(false);
        }
        tx.execute(sql::assets::SET_SPARE, args![asset, jobs.remove]).await?;
        let spec = JobSpec::Ahead { generation: row.generation_free()? };
        let job = AheadJob { id: jobs.plan, spec, needs_bytes: Some(needs_bytes) };
        tx.hold_ahead(asset, &job, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Settles the planning of an unfinished upload: `jobs` will make the generation, each when its octets are there.
    /// With `None` the source has to be complete before anything can be said.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`], also when the upload is not open any more.
    pub async fn settle_ahead(
        &self,
        job: &LeasedJob,
        planned: Option<(&Probe, &Plan)>,
        jobs: &[AheadJob],
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let (asset, generation) = (job.asset, generation_of(job)?);
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(asset, now).await?;
        done(&mut tx, job, now).await?;
        if let Some((probe, plan)) = planned.filter(|_| row.generation.is_none()) {
            if row.state()? != AssetState::Uploading {
                return Err(CatalogError::LostLease { job: job.id });
            }
            // One more than there are: the last one is closed when the plan is known to hold.
            let parts = jobs.iter().filter(|job| is_part(job.spec.kind())).count() + 1;
            generations::insert(&mut tx, (asset, generation), plan, Some(probe), parts, now).await?;
            tx.execute(sql::assets::SET_GENERATION, args![asset, generation]).await?;
            for job in jobs {
                tx.hold_ahead(asset, job, now).await?;
            }
            tx.event(now, "asset.updated", asset, json!({ "generation": generation }));
        }
        tx.commit().await
    }

    /// Settles a probe that found what was planned ahead to hold: the asset is probed and processing, and what is
    /// left of the work is work like any other. `more` is what can only be done from now on.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the plan is not there any more.
    pub async fn settle_adopted(
        &self,
        job: &LeasedJob,
        probe: &Probe,
        generation: Generation,
        more: &[(JobId, JobSpec)],
        publish_job: JobId,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let asset = job.asset;
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(asset, now).await?;
        let state = row.state()?;
        done(&mut tx, job, now).await?;
        if !matches!(state, AssetState::Processing | AssetState::Ready) {
            let open: Option<Number> = tx.row(sql::generations::CLOSE_JOB, args![asset, generation]).await?;
            let open = open.ok_or(CatalogError::NoGeneration(job.id))?.number;
            let no_job: Option<String> = None;
            tx.execute(sql::assets::SET_SPARE, args![asset, no_job]).await?;
            assets::describe(&mut tx, &row, asset, (probe, generation)).await?;
            let probed = tx.apply((asset, state), AssetEvent::ProbeSucceeded, json!({}), now).await?;
            tx.execute(sql::jobs::JOIN_ALL, args![asset, generation, i64::from(AHEAD_STEP), now]).await?;
            tx.tell_of_work();
            if open > 1 {
                tx.let_images_wait(asset, generation, now).await?;
            }
            for (id, spec) in more {
                tx.enqueue(*id, asset, spec, now).await?;
            }
            if open == 0 {
                tx.enqueue(publish_job, asset, &JobSpec::Publish { generation }, now).await?;
            }
            let data = json!({ "generation": generation });
            tx.apply((asset, probed), AssetEvent::PlanPublished, data, now).await?;
        }
        tx.commit().await
    }

    /// Leases the most urgent job of an unfinished upload of which enough is recorded; `None` if there is none.
    ///
    /// Only for workers that can read unfinished uploads. A job whose workers vanish again and again waits for the
    /// whole source.
    pub async fn claim_ahead(&self, claim: &Claim<'_>) -> Result<Option<LeasedJob>, CatalogError> {
        let mut tx = self.begin().await?;
        let mut args = permitted(claim.lane, claim.now);
        args.extend(args![claim.worker, claim.now.plus(claim.lease)]);
        let Some(row) = tx.row::<LeaseRow>(sql::jobs::CLAIM_AHEAD, args).await? else { return Ok(None) };
        let is_poison = row.crashes > i64::from(CRASHES_MAX);
        let job = LeasedJob::try_from(row)?;
        tx.commit().await?;
        if is_poison {
            self.hold(&job, "its workers vanish", u64::MAX, claim.now).await?;
            return Ok(None);
        }
        Ok(Some(job))
    }

    /// The job that [`claim_ahead`](Self::claim_ahead) would hand out now, unless somebody is faster.
    pub async fn next_ahead(&self, lane: JobLane, now: Timestamp) -> Result<Option<NextJob>, CatalogError> {
        let row: Option<NextRow> = self.row(sql::jobs::NEXT_AHEAD, permitted(lane, now)).await?;
        row.map(NextJob::try_from).transpose()
    }

    /// Has a job wait until `needs_bytes` of its upload are recorded, or for the end of that; `error` says why. If the
    /// source is complete by now, it just runs again.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`].
    pub async fn hold(
        &self,
        job: &LeasedJob,
        error: &str,
        needs_bytes: u64,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let needs_bytes = i64::try_from(needs_bytes).unwrap_or(i64::MAX);
        tx.fenced(job, sql::jobs::HOLD, args![job.id, job.fence, error, needs_bytes, now]).await?;
        tx.commit().await
    }
}

impl Tx {
    /// Adds a job that waits for octets of an upload.
    async fn hold_ahead(&mut self, asset: AssetId, job: &AheadJob, now: Timestamp) -> Result<(), CatalogError> {
        let spec = &job.spec;
        let kind = spec.kind();
        let generation = spec.generation().map(|generation| i64::from(generation.0));
        // An open upload never counts its last octet, so none reaches this.
        let needs = job.needs_bytes.map_or(i64::MAX, |needs| i64::try_from(needs).unwrap_or(i64::MAX));
        let (text, lane) = (text("jobs.spec", spec)?, waiting(kind.lane()));
        let priority = spec.priority() - AHEAD_STEP;
        let args = args![job.id, asset, kind.as_str(), text, lane, priority, now, generation, needs];
        self.execute(sql::jobs::INSERT_AHEAD, args).await.map(|_| ())
    }
}

/// Ends the work on an upload that came to nothing, and has removed what it made; its asset is locked.
pub(crate) async fn give_up(
    tx: &mut Tx,
    row: &AssetRow,
    asset: AssetId,
    closing: &Closing,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let Some(remove) = row.spare_job()? else { return Ok(()) };
    tx.execute(sql::jobs::CANCEL_OF_ASSET, args![asset, "cancelled: the upload was given up", now]).await?;
    tx.execute(sql::assets::NO_GENERATION, args![asset]).await?;
    let removal = match closing {
        // Where nothing was planned yet, there is nothing to remove.
        Closing::Refused(_) => {
            JobSpec::Retire { generation: row.generation()?.map_or_else(|| row.generation_free(), Ok)? }
        }
        Closing::Terminated | Closing::Expired => JobSpec::Purge,
    };
    tx.enqueue(remove, asset, &removal, now).await
}

/// Another generation takes the place of the one that was planned ahead, which did not hold; the asset is locked.
pub(crate) async fn drop_plan(
    tx: &mut Tx,
    row: &AssetRow,
    (asset, generation): (AssetId, Generation),
    now: Timestamp,
) -> Result<(), CatalogError> {
    let planned = row.generation()?.filter(|planned| *planned != generation);
    let Some((planned, remove)) = planned.zip(row.spare_job()?) else { return Ok(()) };
    let reason = "cancelled: the complete source is planned anew";
    tx.execute(sql::jobs::CANCEL_OF_GENERATION, args![asset, planned, reason, now]).await?;
    tx.execute(sql::assets::NO_GENERATION, args![asset]).await?;
    tx.enqueue(remove, asset, &JobSpec::Retire { generation: planned }, now).await
}

/// The lane in which jobs of `lane` wait for their octets.
fn waiting(lane: JobLane) -> &'static str {
    match lane {
        JobLane::Heavy => "ahead_heavy",
        JobLane::Urgent | JobLane::Light => "ahead_light",
    }
}

/// The arguments of the statements that look for a permitted job.
fn permitted(lane: JobLane, now: Timestamp) -> Vec<Arg> {
    args![waiting(lane), now, i64::try_from(PRIORITY_STEP.as_millis()).unwrap_or(i64::MAX)]
}
