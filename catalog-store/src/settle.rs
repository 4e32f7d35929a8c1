//! How jobs end: each in one transaction with everything that follows from it.
//!
//! Every call is fenced: if the lease is lost it returns [`CatalogError::LostLease`] and changes nothing.

use domain::{AssetEvent, AssetState, Failure, Generation, JobId, JobKind, JobSpec, LeftOut, Plan, Probe, Timestamp};
use serde_json::json;

use crate::catalog::{Number, Text, Tx};
use crate::engine::{args, document, json as text};
use crate::{Catalog, CatalogError, LeasedJob, ahead, assets, generations, progress, reprocess, sql, texts};

/// Why jobs of a generation that turned out to be impossible ended.
const PLANNED_ANEW: &str = "cancelled: planned anew";

impl Catalog {
    /// Settles a probe: the asset is probed and processing, `generation` planned, and `jobs` will make it.
    ///
    /// If the asset is already past that (an earlier run settled), only the job is settled.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::Illegal`] if the asset has no source yet.
    pub async fn settle_probe(
        &self,
        job: &LeasedJob,
        probe: &Probe,
        generation: Generation,
        plan: &Plan,
        jobs: &[(JobId, JobSpec)],
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(job.asset, now).await?;
        let state = row.state()?;
        done(&mut tx, job, now).await?;
        if !matches!(state, AssetState::Processing | AssetState::Ready) {
            let asset = job.asset;
            ahead::drop_plan(&mut tx, &row, (asset, generation), now).await?;
            assets::describe(&mut tx, &row, asset, (probe, generation)).await?;
            let probed = tx.apply((asset, state), AssetEvent::ProbeSucceeded, json!({}), now).await?;
            let parts = jobs.iter().filter(|(_, spec)| is_part(spec.kind())).count();
            generations::insert(&mut tx, (asset, generation), plan, None, parts, now).await?;
            for (id, spec) in jobs {
                tx.enqueue(*id, asset, spec, now).await?;
            }
            let data = json!({ "generation": generation });
            tx.apply((asset, probed), AssetEvent::PlanPublished, data, now).await?;
        }
        tx.commit().await
    }

    /// Settles a job that showed its generation to be impossible: `generation` takes its place, and `jobs`
    /// will make it. What is left of the old one is cancelled, and `retire` will remove it.
    ///
    /// If the asset is past that already (an earlier run settled), only the job is settled.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job makes no part of one.
    pub async fn settle_replanned(
        &self,
        job: &LeasedJob,
        generation: Generation,
        plan: &Plan,
        jobs: &[(JobId, JobSpec)],
        retire: JobId,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let (asset, old) = (job.asset, generation_of(job)?);
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(asset, now).await?;
        let (state, current) = (row.state()?, row.generation()?);
        done(&mut tx, job, now).await?;
        if row.is_next(old)? {
            // Nobody has seen the old one: what is in force is played.
            let probe: Option<Text> = tx.row(sql::generations::PROBE, args![asset, old]).await?;
            let probe = probe.ok_or(CatalogError::NoGeneration(job.id))?;
            let probe: Probe = document("generations.probe", &probe.text)?;
            tx.execute(sql::jobs::CANCEL_OF_GENERATION, args![asset, old, PLANNED_ANEW, now]).await?;
            let spare = row.spare_job()?.unwrap_or(retire);
            tx.execute(sql::assets::SET_NEXT, args![asset, generation, retire]).await?;
            tx.enqueue(spare, asset, &JobSpec::Retire { generation: old }, now).await?;
            reprocess::insert_next(&mut tx, (asset, generation), plan, &probe, jobs, now).await?;
        } else if state == AssetState::Processing && current == Some(old) {
            tx.execute(sql::jobs::CANCEL_WORK_ON_ASSET, args![asset, PLANNED_ANEW, now]).await?;
            tx.execute(sql::assets::SET_GENERATION, args![asset, generation]).await?;
            tx.execute(sql::generations::SET_REPLACED, args![asset, old, now]).await?;
            tx.enqueue(retire, asset, &JobSpec::Retire { generation: old }, now).await?;
            let parts = jobs.iter().filter(|(_, spec)| is_part(spec.kind())).count();
            generations::insert(&mut tx, (asset, generation), plan, None, parts, now).await?;
            for (id, spec) in jobs {
                tx.enqueue(*id, asset, spec, now).await?;
            }
            tx.event(now, "asset.updated", asset, json!({ "generation": generation }));
        }
        tx.commit().await
    }

    /// Settles a job that made a part of a generation; the last part enqueues `publish_job`.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job makes no part of one.
    pub async fn settle_part(&self, job: &LeasedJob, publish_job: JobId, now: Timestamp) -> Result<(), CatalogError> {
        self.close_part(job, None, publish_job, now).await
    }

    /// Settles a job that could not make its part, and records what the generation lacks from now on.
    ///
    /// # Errors
    /// As [`settle_part`](Self::settle_part).
    pub async fn settle_without(
        &self,
        job: &LeasedJob,
        missing: &LeftOut,
        publish_job: JobId,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.close_part(job, Some(missing), publish_job, now).await
    }

    async fn close_part(
        &self,
        job: &LeasedJob,
        missing: Option<&LeftOut>,
        publish_job: JobId,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let generation = generation_of(job)?;
        let mut tx = self.begin().await?;
        // Whoever deletes the asset or fails a sibling must see the job that is enqueued here.
        tx.lock_asset(job.asset, now).await?;
        let open: Option<Number> = tx.row(sql::generations::CLOSE_JOB, args![job.asset, generation]).await?;
        done(&mut tx, job, now).await?;
        let open = open.ok_or(CatalogError::NoGeneration(job.id))?.number;
        if let Some(missing) = missing {
            generations::leave_out(&mut tx, (job.asset, generation), missing).await?;
            tx.event(now, "asset.updated", job.asset, json!({ "generation": generation }));
        }
        if open == 1 {
            tx.wake_images(job.asset, generation, now).await?;
        }
        if open == 0 {
            tx.enqueue(publish_job, job.asset, &JobSpec::Publish { generation }, now).await?;
        }
        progress::push(&mut tx, (job.asset, generation), now).await?;
        tx.commit().await
    }

    /// Settles a demand: what was waited for is committed, or nobody waits any more.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`].
    pub async fn settle_demand(&self, job: &LeasedJob, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        done(&mut tx, job, now).await?;
        tx.commit().await
    }

    /// Settles the verification and publication of a generation: the asset is ready.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::Illegal`] unless the asset is processing or ready.
    pub async fn settle_publish(&self, job: &LeasedJob, now: Timestamp) -> Result<(), CatalogError> {
        let generation = generation_of(job)?;
        let mut tx = self.begin().await?;
        let state = tx.lock_asset(job.asset, now).await?.state()?;
        done(&mut tx, job, now).await?;
        if state != AssetState::Ready {
            tx.execute(sql::assets::SET_PLAYABLE, args![job.asset, true]).await?;
            let data = json!({ "generation": generation });
            tx.apply((job.asset, state), AssetEvent::Published, data, now).await?;
        }
        tx.commit().await
    }

    /// Settles the publication of what was added to an asset.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`].
    pub async fn settle_texts(&self, job: &LeasedJob, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        done(&mut tx, job, now).await?;
        tx.commit().await
    }

    /// Settles the removal of a deleted asset's objects: only the row with its id remains.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`].
    pub async fn settle_purge(&self, job: &LeasedJob, now: Timestamp) -> Result<(), CatalogError> {
        let asset = job.asset;
        let mut tx = self.begin().await?;
        tx.lock_asset(asset, now).await?;
        tx.execute(sql::assets::BLANK, args![asset]).await?;
        tx.execute(sql::generations::DELETE_OF_ASSET, args![asset]).await?;
        tx.execute(sql::texts::DELETE_OF_ASSET, args![asset]).await?;
        tx.execute(sql::versions::DELETE_OF_ASSET, args![asset]).await?;
        tx.execute(sql::documents::DELETE_OF_ASSET, args![asset]).await?;
        tx.execute(sql::shares::REMOVE_OF_ASSET, args![asset]).await?;
        done(&mut tx, job, now).await?;
        tx.execute(sql::jobs::DELETE_SETTLED_OF_ASSET, args![asset]).await?;
        tx.execute(sql::imports::DELETE_OF_ASSET, args![asset]).await?;
        tx.execute(sql::uploads::BLANK_OF_ASSET, args![asset]).await?;
        tx.execute(sql::uploads::DELETE_OF_ASSET, args![asset]).await?;
        tx.execute(sql::events::UNNAME_OF_ASSET, args![asset]).await?;
        tx.event(now, "asset.purged", asset, json!({ "state": AssetState::Deleted }));
        tx.commit().await
    }

    /// Puts a job back in the queue, to be tried again at `at`; `error` says why, for people.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`].
    pub async fn retry(&self, job: &LeasedJob, error: &str, at: Timestamp, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.fenced(job, sql::jobs::RETRY, args![job.id, job.fence, error, at, now]).await?;
        tx.commit().await
    }

    /// Puts a job back in the queue as [`retry`](Self::retry) does, without counting a failure: the machine
    /// was at fault, not the work.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`].
    pub async fn postpone(
        &self,
        job: &LeasedJob,
        error: &str,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.fenced(job, sql::jobs::POSTPONE, args![job.id, job.fence, error, at, now]).await?;
        tx.commit().await
    }

    /// Gives a job up: its asset fails for this reason, and the asset's other jobs are cancelled.
    ///
    /// An asset that is ready or deleted stays so; then only the job fails, and with it the output that was to take
    /// the place of the one in force, if it worked on that. So does a job that does not decide about its asset:
    /// what it was to read is unusable then.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`].
    pub async fn fail(&self, job: &LeasedJob, failure: &Failure, now: Timestamp) -> Result<(), CatalogError> {
        let asset = job.asset;
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(asset, now).await?;
        let state = row.state()?;
        // As it is written in documents, without the quotes of one.
        let code = text("jobs.failure_code", &failure.code)?;
        let args = args![job.id, job.fence, failure.message.clone(), code.trim_matches('"'), now];
        tx.fenced(job, sql::jobs::FAILED, args).await?;
        let kind = job.spec.kind();
        if kind == JobKind::Texts {
            texts::give_up(&mut tx, asset, &failure.message, now).await?;
        } else if let Some(generation) = job.spec.generation().filter(|_| kind.decides_asset())
            && row.is_next(generation)?
        {
            reprocess::abandon(&mut tx, &row, (asset, generation), failure, now).await?;
        } else if kind.decides_asset() && state.after(AssetEvent::Failed).is_ok() {
            tx.apply((asset, state), AssetEvent::Failed, json!({ "failure": failure }), now).await?;
            tx.execute(sql::assets::SET_FAILURE, args![asset, text("assets.failure", failure)?]).await?;
            tx.execute(sql::jobs::CANCEL_WORK_ON_ASSET, args![asset, "cancelled: the asset failed", now]).await?;
        }
        tx.commit().await
    }
}

/// The generation a leased job works on.
pub(crate) fn generation_of(job: &LeasedJob) -> Result<Generation, CatalogError> {
    job.spec.generation().ok_or(CatalogError::NoGeneration(job.id))
}

/// True for the kinds whose completion a generation waits for before it can be published.
pub(crate) fn is_part(kind: JobKind) -> bool {
    matches!(
        kind,
        JobKind::Chunk
            | JobKind::Extra
            | JobKind::Copy
            | JobKind::Audio
            | JobKind::Subtitles
            | JobKind::Images
            | JobKind::Loudness
    )
}

pub(crate) async fn done(tx: &mut Tx, job: &LeasedJob, now: Timestamp) -> Result<(), CatalogError> {
    tx.fenced(job, sql::jobs::DONE, args![job.id, job.fence, now]).await
}
