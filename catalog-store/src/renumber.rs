//! Numbers that were never used before: for a database that was put back from a copy.
//!
//! A copy does not know which numbers were given after it was made, but the storage may, and caches in front do for a
//! year: under addresses that never change their content. So all counters of which a number is in an address, in the
//! name of an object or with somebody else go on from the time of the restore, counted in seconds, which no run before
//! it can have reached (docs/adr/0049).

use domain::{AssetId, AssetState, JobId, JobSpec, Timestamp};
use serde_json::json;

use crate::assets::AssetRow;
use crate::catalog::Tx;
use crate::engine::{args, json as text, parsed};
use crate::{Catalog, CatalogError, sql};

/// The time from which seconds are counted: 2026-01-01T00:00:00Z. So they fit beside counters of 32 bits until 2162.
const EPOCH_MS: i64 = 1_767_225_600_000;
/// The highest number that is begun with; there is room behind it for as many as are ever taken.
const FIRST_MAX: i64 = 4_000_000_000;
/// Assets that are read at a time.
const PAGE_ASSETS: u32 = 500;
/// Why the work on an output ended that was not in force yet.
const RENUMBERED: &str = "cancelled: the database was put back from a copy";

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renumbered {
    /// Assets that are published anew from what the catalogue says.
    pub published: u64,
    /// Outputs that were being made beside one in force, and are begun anew under another number.
    pub begun: u64,
}

impl Catalog {
    /// Has generations, revisions, turns of pointers and events go on with numbers that were never used, and everything
    /// that plays be published anew, as the catalogue says it is. All of it or nothing.
    ///
    /// To be called once whenever the database was put back from a copy, before anybody works with it. At any other
    /// time it only causes work.
    ///
    /// # Errors
    /// [`CatalogError::Clock`] if the present is so early that the numbers would not be new.
    pub async fn renumber(&self, mut mint: impl FnMut() -> JobId, now: Timestamp) -> Result<Renumbered, CatalogError> {
        let first = now.unix_ms().saturating_sub(EPOCH_MS) / 1000;
        if first <= 0 {
            return Err(CatalogError::Clock(now));
        }
        let first = first.min(FIRST_MAX);
        let mut tx = self.begin().await?;
        tx.execute(sql::assets::RENUMBER, args![first]).await?;
        tx.execute(sql::generations::RENUMBER, args![first]).await?;
        tx.execute(sql::events::RENUMBER, args![first]).await?;
        let (mut done, mut after) = (Renumbered::default(), String::new());
        loop {
            // Ends because every page begins behind the one before it.
            let page: Vec<AssetRow> = tx.rows(sql::assets::EVERY, args![after.clone(), PAGE_ASSETS]).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            for row in page {
                let asset = parsed("assets.id", &row.id)?;
                if row.state()? == AssetState::Uploading && row.generation.is_none() {
                    // What would be planned ahead would have a number of before; it is planned when all of it is there.
                    tx.execute(sql::jobs::CANCEL_WORK_ON_ASSET, args![asset, RENUMBERED, now]).await?;
                }
                done.begun += u64::from(begin_anew(&mut tx, &row, asset, &mut mint, now).await?);
                done.published += u64::from(publish(&mut tx, &row, asset, mint(), now).await?);
            }
        }
        tx.commit().await?;
        Ok(done)
    }
}

/// Has an output that is being made beside the one in force made under another number: under this one, another may have
/// been published.
async fn begin_anew(
    tx: &mut Tx,
    row: &AssetRow,
    asset: AssetId,
    mint: &mut impl FnMut() -> JobId,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let Some(old) = row.next_generation()? else { return Ok(false) };
    let next = row.generation_free()?;
    tx.execute(sql::jobs::CANCEL_OF_GENERATION, args![asset, old, RENUMBERED, now]).await?;
    let retire = row.spare_job()?.unwrap_or_else(&mut *mint);
    tx.enqueue(retire, asset, &JobSpec::Retire { generation: old }, now).await?;
    tx.execute(sql::assets::SET_NEXT, args![asset, next, mint()]).await?;
    tx.enqueue(mint(), asset, &JobSpec::Reprocess { generation: next }, now).await?;
    tx.event(now, "asset.reprocessing", asset, json!({ "state": row.state()?, "generation": next }));
    Ok(true)
}

/// Has what is in force published again; false if nothing is.
async fn publish(
    tx: &mut Tx,
    row: &AssetRow,
    asset: AssetId,
    job: JobId,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let is_shown = matches!(row.state()?, AssetState::Probed | AssetState::Processing | AssetState::Ready);
    let Some(generation) = row.generation()?.filter(|_| is_shown) else { return Ok(false) };
    let spec = JobSpec::Texts { generation };
    // One that waits does the same.
    if tx.execute(sql::jobs::HASTEN, args![asset, text("jobs.spec", &spec)?, now]).await? == 0 {
        tx.enqueue(job, asset, &spec, now).await?;
    }
    Ok(true)
}
