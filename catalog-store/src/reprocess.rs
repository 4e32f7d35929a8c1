//! Another output of an asset that plays: made beside the one in force, and put in its place in one step.
//!
//! ```text
//! in force 1, next -   --reprocess-->  in force 1, next 2  --put_in_force-->  in force 2, next -   (1 retires)
//!                                           |
//!                                           +---- fail ---->  in force 1, next -, failure         (2 retires)
//! ```
//!
//! The asset is ready all the time. Which of the two retires shows at the end; the job that removes it has its
//! id from the beginning, since whoever gives a job up has none at hand.

use domain::job::BACKGROUND_STEP;
use domain::presentation::{RETAINED_MAX, Retained};
use domain::{AssetEvent, AssetId, AssetState, Failure, Generation, JobId, JobSpec, Plan, Probe, SourceId, Timestamp};
use serde_json::json;

use crate::assets::AssetRow;
use crate::catalog::{Number, Tx};
use crate::engine::{args, count32, json as text};
use crate::settle::{done, generation_of, is_part};
use crate::{Catalog, CatalogError, LeasedJob, generations, sql, versions};

/// What a wish for another output led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reprocess {
    /// This output will be made.
    Begun(Generation),
    /// This one is being made already, and nothing else happens.
    UnderWay(Generation),
}

/// Ids of the jobs that another output may need.
#[derive(Clone, Copy, Debug)]
pub struct ReprocessJobs {
    /// The one that plans it.
    pub plan: JobId,
    /// The one that removes whichever output is not in force in the end.
    pub retire: JobId,
}

/// How an output of an asset stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The output.
    pub generation: Generation,
    /// The revision of its presentation that was in force last.
    pub revision: u32,
    /// It is, or was, the verified whole.
    pub is_complete: bool,
    /// When another output took its place; `None` if none did.
    pub replaced_at: Option<Timestamp>,
}

impl Catalog {
    /// Has a ready asset made anew, to replace what is in force once it is complete and verified.
    ///
    /// With `only`, nothing is done unless that is the output in force: so a call may be repeated when its answer
    /// was lost. While another output is being made, nothing more is begun.
    ///
    /// # Errors
    /// [`CatalogError::NoAsset`] if it does not exist or is deleted, [`CatalogError::NotReady`],
    /// [`CatalogError::Replaced`], [`CatalogError::TooManyGenerations`].
    pub async fn reprocess(
        &self,
        asset: AssetId,
        only: Option<Generation>,
        jobs: ReprocessJobs,
        now: Timestamp,
    ) -> Result<Reprocess, CatalogError> {
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(asset, now).await?;
        match row.state()? {
            AssetState::Ready => {}
            AssetState::Deleted => return Err(CatalogError::NoAsset(asset)),
            state => return Err(CatalogError::NotReady { asset, state }),
        }
        let in_force = row.generation()?;
        if only.is_some_and(|only| in_force != Some(only)) {
            return Err(CatalogError::Replaced { asset, in_force });
        }
        if let Some(next) = row.next_generation()? {
            return Ok(Reprocess::UnderWay(next));
        }
        let kept: Vec<StandingRow> = tx.rows(sql::generations::OF_ASSET, args![asset]).await?;
        if kept.len() > RETAINED_MAX {
            return Err(CatalogError::TooManyGenerations(asset));
        }
        let next = row.generation_free()?;
        tx.execute(sql::assets::SET_NEXT, args![asset, next, jobs.retire]).await?;
        tx.enqueue(jobs.plan, asset, &JobSpec::Reprocess { generation: next }, now).await?;
        tx.event(now, "asset.reprocessing", asset, json!({ "state": AssetState::Ready, "generation": next }));
        tx.commit().await?;
        Ok(Reprocess::Begun(next))
    }

    /// Settles the planning of another output: `jobs` will make it, behind the work on assets that do not play yet.
    ///
    /// If it is not wanted any more, only the job is settled.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job has none.
    pub async fn settle_reprocess(
        &self,
        job: &LeasedJob,
        probe: &Probe,
        plan: &Plan,
        jobs: &[(JobId, JobSpec)],
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let (asset, generation) = (job.asset, generation_of(job)?);
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(asset, now).await?;
        done(&mut tx, job, now).await?;
        if row.is_next(generation)? {
            insert_next(&mut tx, (asset, generation), plan, probe, jobs, now).await?;
        }
        tx.commit().await
    }

    /// All outputs of an asset that the catalogue knows, oldest first.
    pub async fn generations(&self, asset: AssetId) -> Result<Vec<Standing>, CatalogError> {
        let rows: Vec<StandingRow> = self.rows(sql::generations::OF_ASSET, args![asset]).await?;
        rows.into_iter().map(Standing::try_from).collect()
    }

    /// The outputs that are kept for players which began with them, the latest first.
    pub async fn retained(&self, asset: AssetId) -> Result<Vec<Retained>, CatalogError> {
        let kept = self.generations(asset).await?.into_iter().rev();
        let kept = kept.filter(|one| one.is_complete && one.replaced_at.is_some()).take(RETAINED_MAX);
        Ok(kept.map(|one| Retained { generation: one.generation, revision: one.revision }).collect())
    }

    /// Forgets the output that the job removes, with its ledger: to be called before its objects go. False, and
    /// nothing happens, if that output is in force, being made, or that of a version which is kept.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job has none.
    pub async fn drop_generation(&self, job: &LeasedJob, now: Timestamp) -> Result<bool, CatalogError> {
        let (asset, generation) = (job.asset, generation_of(job)?);
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(asset, now).await?;
        tx.fenced(job, sql::jobs::PROGRESS, args![job.id, job.fence, now]).await?;
        let kept: Option<Number> = tx.row(sql::generations::IS_KEPT, args![asset, generation]).await?;
        let is_kept = kept.is_some_and(|kept| kept.number > 0);
        if is_kept || row.generation()? == Some(generation) || row.next_generation()? == Some(generation) {
            tx.cancel().await?;
            return Ok(false);
        }
        tx.execute(sql::generations::DELETE, args![asset, generation]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Settles the removal of an output whose objects are gone.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job has none.
    pub async fn settle_retired(&self, job: &LeasedJob, now: Timestamp) -> Result<(), CatalogError> {
        let generation = generation_of(job)?;
        let mut tx = self.begin().await?;
        done(&mut tx, job, now).await?;
        versions::forget(&mut tx, job, generation).await?;
        tx.event(now, "asset.retired", job.asset, json!({ "generation": generation }));
        tx.commit().await
    }
}

impl AssetRow {
    /// True if this output is being made to take the place of the one in force.
    pub(crate) fn is_next(&self, generation: Generation) -> Result<bool, CatalogError> {
        Ok(self.state()? == AssetState::Ready && self.next_generation()? == Some(generation))
    }
}

/// Inserts an output that is made while another one is played, and the jobs that make it.
pub(crate) async fn insert_next(
    tx: &mut Tx,
    (asset, generation): (AssetId, Generation),
    plan: &Plan,
    probe: &Probe,
    jobs: &[(JobId, JobSpec)],
    now: Timestamp,
) -> Result<(), CatalogError> {
    let parts = jobs.iter().filter(|(_, spec)| is_part(spec.kind())).count();
    generations::insert(tx, (asset, generation), plan, Some(probe), parts, now).await?;
    for (id, spec) in jobs {
        tx.enqueue_with(*id, asset, spec, spec.priority() - BACKGROUND_STEP, now).await?;
    }
    tx.event(now, "asset.updated", asset, json!({ "next_generation": generation }));
    Ok(())
}

/// Puts the output that was made beside the one in force in its place. What was to be published of the old one is
/// in the new one's document, which was built from all wishes.
pub(crate) async fn take_over(
    tx: &mut Tx,
    row: &AssetRow,
    (asset, generation): (AssetId, Generation),
    now: Timestamp,
) -> Result<(), CatalogError> {
    let (version, in_force) = (row.next_source_version()?, row.source_version()?);
    if version != in_force {
        return versions::take_over(tx, row, (SourceId { asset, version }, generation), now).await;
    }
    let state = row.state()?.after(AssetEvent::Replaced)?;
    let old = row.generation()?;
    tx.execute(sql::assets::REPLACE, args![asset, generation]).await?;
    let no_duration: Option<i64> = None;
    tx.execute(sql::versions::SHOWN, args![asset, version, generation, no_duration, now]).await?;
    if let Some(old) = old {
        let reason = "cancelled: another output took its place";
        tx.execute(sql::jobs::CANCEL_OF_GENERATION, args![asset, old, reason, now]).await?;
        tx.execute(sql::generations::SET_REPLACED, args![asset, old, now]).await?;
        retire(tx, row, (asset, old), now).await?;
    }
    tx.event(now, "asset.reprocessed", asset, json!({ "state": state, "generation": generation, "replaced": old }));
    Ok(())
}

/// Gives the output up that was to take the place of the one in force, which stays.
pub(crate) async fn abandon(
    tx: &mut Tx,
    row: &AssetRow,
    (asset, generation): (AssetId, Generation),
    failure: &Failure,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let (version, in_force) = (row.next_source_version()?, row.source_version()?);
    let is_version = version != in_force;
    let told = if is_version { None } else { Some(text("assets.reprocess_failure", failure)?) };
    tx.execute(sql::assets::ABANDON_NEXT, args![asset, told]).await?;
    let reason = "cancelled: the new output failed";
    tx.execute(sql::jobs::CANCEL_OF_GENERATION, args![asset, generation, reason, now]).await?;
    retire(tx, row, (asset, generation), now).await?;
    if is_version {
        return versions::fail(tx, SourceId { asset, version }, Some(generation), failure, now).await;
    }
    let data = json!({ "state": AssetState::Ready, "generation": generation, "failure": failure });
    tx.event(now, "asset.reprocess_failed", asset, data);
    Ok(())
}

/// Has one of two outputs removed by the job whose id was kept for that.
async fn retire(
    tx: &mut Tx,
    row: &AssetRow,
    (asset, generation): (AssetId, Generation),
    now: Timestamp,
) -> Result<(), CatalogError> {
    let Some(job) = row.spare_job()? else { return Ok(()) };
    tx.enqueue(job, asset, &JobSpec::Retire { generation }, now).await
}

#[derive(sqlx::FromRow)]
struct StandingRow {
    generation: i64,
    revision: i64,
    is_complete: i64,
    replaced_at: Option<i64>,
}

impl TryFrom<StandingRow> for Standing {
    type Error = CatalogError;

    fn try_from(row: StandingRow) -> Result<Self, CatalogError> {
        Ok(Self {
            generation: Generation(count32("generations.generation", row.generation)?),
            revision: count32("generations.revision", row.revision)?,
            is_complete: row.is_complete != 0,
            replaced_at: row.replaced_at.map(Timestamp::from_unix_ms),
        })
    }
}
