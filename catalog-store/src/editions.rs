//! Which document of a generation is in force, and how several writers agree on the next one.
//!
//! A writer reads what is in force, then what is wished, builds the next document from both, takes a number
//! that nobody else has, stores the document under it, and puts it in force only if nothing of what it read
//! has changed. So no two documents share a name, and none brings back what another one replaced.

use domain::{AssetState, Generation, Timestamp};
use serde_json::json;

use crate::catalog::Number;
use crate::engine::{args, column, count, count32};
use crate::settle::generation_of;
use crate::{Catalog, CatalogError, LeasedJob, reprocess, sql};

/// What is published of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edition {
    /// The revision in force; 0 for the plan.
    pub revision: u32,
    /// It is the verified whole.
    pub is_complete: bool,
    /// How many times anybody wished for something, such as a text, to be published of the asset.
    pub wishes: u64,
}

impl Catalog {
    /// What is in force of a generation; `None` if it is not planned.
    pub async fn edition(
        &self,
        asset: domain::AssetId,
        generation: Generation,
    ) -> Result<Option<Edition>, CatalogError> {
        let row: Option<EditionRow> = self.row(sql::generations::EDITION, args![asset, generation]).await?;
        row.map(Edition::try_from).transpose()
    }

    /// A number for the next document of the job's generation, higher than all that were handed out.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job has none.
    pub async fn take_revision(&self, job: &LeasedJob, now: Timestamp) -> Result<u32, CatalogError> {
        let generation = generation_of(job)?;
        let mut tx = self.begin().await?;
        let taken: Option<Number> = tx.row(sql::generations::TAKE_REVISION, args![job.asset, generation]).await?;
        let taken = taken.ok_or(CatalogError::NoGeneration(job.id))?.number;
        tx.fenced(job, sql::jobs::PROGRESS, args![job.id, job.fence, now]).await?;
        tx.commit().await?;
        count32("generations.revision_taken", taken)
    }

    /// Puts the revision in force that was built from `before`; false if that is out of date, and nothing changes.
    ///
    /// The first complete document of an output that was made beside the one in force puts it in its place.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoAsset`] if the asset has failed or is deleted, or the
    /// output is neither in force nor to be.
    pub async fn put_in_force(
        &self,
        job: &LeasedJob,
        before: Edition,
        (revision, is_complete): (u32, bool),
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let (asset, generation) = (job.asset, generation_of(job)?);
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(asset, now).await?;
        let is_next = row.is_next(generation)?;
        let is_over = matches!(row.state()?, AssetState::Failed | AssetState::Deleted);
        if is_over || !(is_next || row.generation()? == Some(generation)) {
            return Err(CatalogError::NoAsset(asset));
        }
        let args = args![asset, generation, before.revision, revision, is_complete, column(before.wishes)?];
        let is_latest = tx.execute(sql::generations::PUT_IN_FORCE, args).await? == 1;
        tx.fenced(job, sql::jobs::PROGRESS, args![job.id, job.fence, now]).await?;
        if is_latest {
            if is_next && is_complete {
                reprocess::take_over(&mut tx, &row, (asset, generation), now).await?;
            }
            tx.event(now, "asset.updated", asset, json!({ "generation": generation, "revision": revision }));
            tx.commit().await?;
        }
        Ok(is_latest)
    }
}

#[derive(sqlx::FromRow)]
struct EditionRow {
    revision: i64,
    is_complete: i64,
    wishes: i64,
}

impl TryFrom<EditionRow> for Edition {
    type Error = CatalogError;

    fn try_from(row: EditionRow) -> Result<Self, CatalogError> {
        Ok(Self {
            revision: count32("generations.revision", row.revision)?,
            is_complete: row.is_complete != 0,
            wishes: count("assets.wishes", row.wishes)?,
        })
    }
}
