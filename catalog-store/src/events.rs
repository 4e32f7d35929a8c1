//! Everything that changed, numbered from 1 without gaps but for one at each restore ([`crate::renumber`]), in the order
//! in which it became visible.

use domain::authority::Standing;
use domain::{AssetId, Timestamp, UserId};

use crate::catalog::{MaybeNumber, Number};
use crate::engine::{args, column, count, document, parsed};
use crate::{Catalog, CatalogError, sql};

/// Most events that one call returns.
pub const EVENTS_MAX: u32 = 1000;

/// Whom a topic is for, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody who sees the asset.
    Viewers,
    /// Those who may change the asset, and moderators: it tells of work on it that is not there yet, or of what is said
    /// about it among them.
    Editors,
    /// The one person whom the event names.
    One,
}

impl Audience {
    /// Whom a topic is for. One that nobody knows is for those who may change the asset.
    pub fn of(topic: &str) -> Self {
        TOPICS.iter().find(|(name, _)| *name == topic).map_or(Self::Editors, |(_, audience)| *audience)
    }

    /// Whether somebody who stands like this to the asset is told, unless it is for one person.
    pub fn has(self, standing: Standing) -> bool {
        match self {
            Self::Viewers => standing >= Standing::Viewer,
            Self::Editors => standing >= Standing::Editor,
            Self::One => false,
        }
    }
}

/// What happens, by its topic, and whom it is for. Those of an asset begin with `asset.`, most often with its new state
/// behind it; `account.security` has the `action` of the audit log.
pub const TOPICS: [(&str, Audience); 39] = [
    ("account.security", Audience::One),
    ("asset.access_changed", Audience::Viewers),
    ("asset.binned", Audience::Editors),
    ("asset.deleted", Audience::Viewers),
    ("asset.document.added", Audience::Viewers),
    ("asset.document.changed", Audience::Viewers),
    ("asset.document.ended", Audience::Editors),
    ("asset.document.failed", Audience::Editors),
    ("asset.document.removed", Audience::Viewers),
    ("asset.document.uploading", Audience::Editors),
    ("asset.expired", Audience::Viewers),
    ("asset.failed", Audience::Viewers),
    ("asset.opened", Audience::Viewers),
    ("asset.playable", Audience::Viewers),
    ("asset.probed", Audience::Viewers),
    ("asset.processing", Audience::Viewers),
    ("asset.progress", Audience::Viewers),
    ("asset.published", Audience::Viewers),
    ("asset.purged", Audience::Editors),
    ("asset.ready", Audience::Viewers),
    ("asset.received", Audience::Viewers),
    ("asset.reprocess_failed", Audience::Editors),
    ("asset.reprocessed", Audience::Viewers),
    ("asset.reprocessing", Audience::Editors),
    ("asset.restored", Audience::Editors),
    ("asset.retired", Audience::Editors),
    ("asset.scheduled", Audience::Editors),
    ("asset.shared", Audience::One),
    ("asset.stage_changed", Audience::Editors),
    ("asset.updated", Audience::Viewers),
    ("asset.uploading", Audience::Viewers),
    ("asset.version.ended", Audience::Editors),
    ("asset.version.failed", Audience::Editors),
    ("asset.version.processing", Audience::Editors),
    ("asset.version.published", Audience::Viewers),
    ("asset.version.restored", Audience::Viewers),
    ("asset.version.uploading", Audience::Editors),
    ("webhook.disabled", Audience::One),
    ("webhook.failed", Audience::One),
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
    /// For whom alone it is; `None` for all whom its topic is for ([`Audience`]).
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

    /// Whether there is an event with this number.
    pub async fn has_event(&self, seq: u64) -> Result<bool, CatalogError> {
        Ok(self.row::<Number>(sql::events::HAS, args![column(seq)?]).await?.is_some())
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
