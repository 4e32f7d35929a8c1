//! Everything that changed, numbered from 1 without gaps but for one at each restore ([`crate::renumber`]), in the order
//! in which it became visible.

use domain::{AssetId, Timestamp, UserId};

use crate::catalog::MaybeNumber;
use crate::engine::{args, column, count, document, parsed};
use crate::{Catalog, CatalogError, sql};

/// Most events that one call returns.
pub const EVENTS_MAX: u32 = 1000;

/// What happens, by its topic. Those of an asset begin with `asset.`, most often with its new state behind it; what is
/// told to one person alone is `asset.shared`, `account.security` with the `action` of the audit log, `webhook.disabled`
/// and `webhook.failed`.
pub const TOPICS: [&str; 39] = [
    "account.security",
    "asset.access_changed",
    "asset.binned",
    "asset.deleted",
    "asset.document.added",
    "asset.document.changed",
    "asset.document.ended",
    "asset.document.failed",
    "asset.document.removed",
    "asset.document.uploading",
    "asset.expired",
    "asset.failed",
    "asset.opened",
    "asset.playable",
    "asset.probed",
    "asset.processing",
    "asset.progress",
    "asset.published",
    "asset.purged",
    "asset.ready",
    "asset.received",
    "asset.reprocess_failed",
    "asset.reprocessed",
    "asset.reprocessing",
    "asset.restored",
    "asset.retired",
    "asset.scheduled",
    "asset.shared",
    "asset.stage_changed",
    "asset.updated",
    "asset.uploading",
    "asset.version.ended",
    "asset.version.failed",
    "asset.version.processing",
    "asset.version.published",
    "asset.version.restored",
    "asset.version.uploading",
    "webhook.disabled",
    "webhook.failed",
];

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened: one of [`TOPICS`].
    pub topic: String,
    /// To which asset.
    pub asset: Option<AssetId>,
    /// For whom alone it is; `None` for everybody who sees the asset.
    pub user: Option<UserId>,
    /// The details, a JSON object.
    pub data: serde_json::Value,
}

impl Catalog {
    /// At most `limit` (and [`EVENTS_MAX`]) events after number `seq`, in order.
    pub async fn events_after(&self, seq: u64, limit: u32) -> Result<Vec<Event>, CatalogError> {
        let args = args![column(seq)?, limit.min(EVENTS_MAX)];
        let rows: Vec<EventRow> = self.rows(sql::events::AFTER, args).await?;
        rows.into_iter().map(Event::try_from).collect()
    }

    /// Like [`events_after`](Self::events_after), but only those of one asset.
    pub async fn events_of(&self, asset: AssetId, seq: u64, limit: u32) -> Result<Vec<Event>, CatalogError> {
        let args = args![asset, column(seq)?, limit.min(EVENTS_MAX)];
        let rows: Vec<EventRow> = self.rows(sql::events::AFTER_OF_ASSET, args).await?;
        rows.into_iter().map(Event::try_from).collect()
    }

    /// Number of the latest event; 0 before the first.
    pub async fn last_event(&self) -> Result<u64, CatalogError> {
        self.number(sql::events::LAST_SEQ, args![]).await
    }

    /// Number of the oldest event that is kept; `None` if none is.
    pub async fn first_event(&self) -> Result<Option<u64>, CatalogError> {
        let row: Option<MaybeNumber> = self.row(sql::events::FIRST_SEQ, args![]).await?;
        row.and_then(|row| row.number).map(|seq| count("events.seq", seq)).transpose()
    }

    /// Removes events that happened before `before`; how many there were.
    pub async fn prune_events(&self, before: Timestamp) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let pruned = tx.execute(sql::events::PRUNE, args![before]).await?;
        tx.commit().await?;
        Ok(pruned)
    }
}

/// `events` as stored.
#[derive(sqlx::FromRow)]
pub(crate) struct EventRow {
    seq: i64,
    at: i64,
    topic: String,
    asset_id: Option<String>,
    user_id: Option<String>,
    data: String,
}

impl TryFrom<EventRow> for Event {
    type Error = CatalogError;

    fn try_from(row: EventRow) -> Result<Self, CatalogError> {
        Ok(Self {
            seq: count("events.seq", row.seq)?,
            at: Timestamp::from_unix_ms(row.at),
            topic: row.topic,
            asset: row.asset_id.map(|id| parsed("events.asset_id", &id)).transpose()?,
            user: row.user_id.map(|id| parsed("events.user_id", &id)).transpose()?,
            data: document("events.data", &row.data)?,
        })
    }
}
