//! How far the caches in front were told of what changed.
//!
//! The events are the list of what has to be told, and each target has its own place in it: what was told is behind
//! that place, and moves it only once the target has taken it. So a process that is killed in between tells it again,
//! and a target that is away holds up no other.

use std::time::Duration;

use domain::{AssetId, Timestamp};
use serde_json::json;

use crate::engine::{args, column, count, count32};
use crate::settle::generation_of;
use crate::{Catalog, CatalogError, LeasedJob, sql};

/// A cache in front, or an API that purges one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeTarget {
    /// Its name.
    pub name: String,
    /// The last event that it was told of, or that is nothing to it.
    pub seq: u64,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Since when they fail.
    pub failing_since: Option<Timestamp>,
    /// What the last one met.
    pub error: Option<String>,
    /// When the next attempt is due.
    pub retry_at: Timestamp,
    /// How many times it was given up to tell it of something.
    pub given_up: u64,
}

/// The right to tell a target of changes, for a limited time. One process has it.
#[derive(Clone, Copy, Debug)]
pub struct PurgeHold<'a> {
    /// The target.
    pub target: &'a str,
    /// The process.
    pub holder: &'a str,
}

impl Catalog {
    /// Takes or keeps the right to tell a target for `lease`, and says where it stands; `None` while somebody else has
    /// the right. A target that is new is told of what comes from here on.
    pub async fn hold_purge_target(
        &self,
        hold: PurgeHold<'_>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<PurgeTarget>, CatalogError> {
        let PurgeHold { target, holder } = hold;
        let mut tx = self.begin().await?;
        tx.execute(sql::purges::ADD, args![target]).await?;
        let row: Option<TargetRow> = tx.row(sql::purges::HOLD, args![target, holder, now.plus(lease), now]).await?;
        tx.commit().await?;
        row.map(PurgeTarget::try_from).transpose()
    }

    /// Gives the right back, so that another process need not wait for it.
    pub async fn release_purge_target(&self, hold: PurgeHold<'_>) -> Result<(), CatalogError> {
        self.note_of_target(sql::purges::RELEASE, args![hold.target, hold.holder]).await.map(|_| ())
    }

    /// Records that a target was told of all events up to `seq`; false if another process has the right by now.
    pub async fn note_told(&self, hold: PurgeHold<'_>, seq: u64) -> Result<bool, CatalogError> {
        self.note_of_target(sql::purges::TOLD, args![hold.target, hold.holder, column(seq)?]).await
    }

    /// Records an attempt that failed, and when to try again; false if another process has the right by now.
    pub async fn note_untold(
        &self,
        hold: PurgeHold<'_>,
        error: &str,
        retry_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        self.note_of_target(sql::purges::FAILED, args![hold.target, hold.holder, error, retry_at, now]).await
    }

    /// Gives it up to tell a target of the events up to `seq`; false if another process has the right by now.
    pub async fn give_up_telling(&self, hold: PurgeHold<'_>, seq: u64) -> Result<bool, CatalogError> {
        self.note_of_target(sql::purges::GIVEN_UP, args![hold.target, hold.holder, column(seq)?]).await
    }

    async fn note_of_target(&self, sql: sql::Sql, args: Vec<crate::engine::Arg>) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let touched = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(touched == 1)
    }

    /// All targets that were ever told of something, by name.
    pub async fn purge_targets(&self) -> Result<Vec<PurgeTarget>, CatalogError> {
        let rows: Vec<TargetRow> = self.rows(sql::purges::EVERY, args![]).await?;
        rows.into_iter().map(PurgeTarget::try_from).collect()
    }

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

/// `purge_targets` as stored.
#[derive(sqlx::FromRow)]
struct TargetRow {
    name: String,
    seq: i64,
    failures: i64,
    failing_since: Option<i64>,
    error: Option<String>,
    retry_at: i64,
    given_up: i64,
}

impl TryFrom<TargetRow> for PurgeTarget {
    type Error = CatalogError;

    fn try_from(row: TargetRow) -> Result<Self, CatalogError> {
        Ok(Self {
            seq: count("purge_targets.seq", row.seq)?,
            failures: count32("purge_targets.failures", row.failures)?,
            failing_since: row.failing_since.map(Timestamp::from_unix_ms),
            error: row.error,
            retry_at: Timestamp::from_unix_ms(row.retry_at),
            given_up: count("purge_targets.given_up", row.given_up)?,
            name: row.name,
        })
    }
}
