//! What caches in front have to know, told in events.

use domain::{AssetId, Timestamp};
use serde_json::json;

use crate::engine::args;
use crate::settle::generation_of;
use crate::{Catalog, CatalogError, LeasedJob, sql};

impl Catalog {
    /// Tells that the pointer of the job's asset names a complete document since now: caches may keep another one.
    ///
    /// The job is not over before this is told, so a process that is killed between the two tells it when the job runs
    /// again.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job has none.
    pub async fn tell_published(&self, job: &LeasedJob, revision: u32, now: Timestamp) -> Result<(), CatalogError> {
        let generation = generation_of(job)?;
        let mut tx = self.begin().await?;
        tx.lock_asset(job.asset, now).await?;
        tx.fenced(job, sql::jobs::PROGRESS, args![job.id, job.fence, now]).await?;
        tx.event(now, "asset.published", job.asset, json!({ "generation": generation, "revision": revision }));
        tx.commit().await
    }

    /// Tells that others may play an asset than before, or are about to.
    ///
    /// # Errors
    /// [`CatalogError::NoAsset`].
    pub async fn tell_access_changed(&self, asset: AssetId, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.lock_asset(asset, now).await?;
        tx.event(now, "asset.access_changed", asset, json!({}));
        tx.commit().await
    }
}
