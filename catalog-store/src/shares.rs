//! With whom assets are shared, and what somebody sees by that or because it is theirs.

use domain::authority::Standing;
use domain::{AssetId, Timestamp, UserId};
use serde_json::json;

use crate::accounts::UserState;
use crate::assets::AssetRow;
use crate::audit::Note;
use crate::catalog::{Number, Tx};
use crate::engine::{args, column, corrupt, json as text, parsed};
use crate::events::{EVENTS_MAX, EventRow};
use crate::{Audience, Catalog, CatalogError, Event, Expected, Meant, TOPICS, sql};

/// Accounts that one asset is shared with.
pub const SHARES_MAX: u64 = 100;

/// That an asset is shared with somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// With whom.
    pub user: UserId,
    /// For what.
    pub standing: Standing,
    /// Since when.
    pub created_at: Timestamp,
}

impl Catalog {
    /// How the principal of this name stands to an asset; a stranger to one that is not there.
    pub async fn standing(&self, asset: AssetId, name: &str, now: Timestamp) -> Result<Standing, CatalogError> {
        let row: Option<MaybeText> = self.row(sql::shares::STANDING, args![asset, name, now]).await?;
        match row.and_then(|row| row.text) {
            Some(standing) => read(&standing),
            None => Ok(Standing::Stranger),
        }
    }

    /// Shares an asset with an account, or changes for what.
    ///
    /// # Errors
    /// [`CatalogError::TooManyShares`], [`CatalogError::NoUser`], [`CatalogError::NoAsset`];
    /// [`CatalogError::Exists`] if it is shared with them and was not to be.
    pub async fn share_asset(
        &self,
        asset: impl Into<Meant<AssetId>>,
        (user, standing): (UserId, Standing),
        actor: &str,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let Meant { id: asset, expected } = asset.into();
        let mut tx = self.begin().await?;
        let data = json!({ "asset": asset.to_string(), "standing": standing });
        tx.audit(Note { data, ..Note::of_user(actor, "asset.shared", user) }, now).await?;
        if !tx.is_account(user).await? {
            return Err(CatalogError::NoUser(user));
        }
        let others: Option<Number> = tx.row(sql::shares::COUNT, args![asset]).await?;
        if others.is_some_and(|row| u64::try_from(row.number).unwrap_or(0) >= SHARES_MAX) {
            return Err(CatalogError::TooManyShares(asset));
        }
        if tx.row::<AssetRow>(sql::assets::BY_ID, args![asset]).await?.is_none() {
            return Err(CatalogError::NoAsset(asset));
        }
        let is_new = expected == Expected::Nothing;
        let put = if is_new { sql::shares::PUT_NEW } else { sql::shares::PUT };
        if tx.execute(put, args![asset, user, standing.as_str(), now]).await? == 0 {
            if is_new {
                return Err(CatalogError::Exists { version: None });
            }
            // It is shared so already: nobody need hear of it once more.
            return Ok(());
        }
        tx.event_for(Some(user), now, "asset.shared", Some(asset), json!({ "standing": standing }));
        tx.commit().await
    }

    /// Shares an asset with an account no longer; false if it was not.
    pub async fn unshare_asset(
        &self,
        asset: AssetId,
        user: UserId,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let data = json!({ "asset": asset.to_string() });
        tx.audit(Note { data, ..Note::of_user(actor, "asset.unshared", user) }, now).await?;
        if tx.execute(sql::shares::REMOVE, args![asset, user]).await? != 1 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// With whom an asset is shared.
    pub async fn shares_of(&self, asset: AssetId) -> Result<Vec<Share>, CatalogError> {
        let rows: Vec<ShareRow> = self.rows(sql::shares::OF_ASSET, args![asset]).await?;
        rows.into_iter().map(Share::try_from).collect()
    }

    /// Like [`events_after`](Self::events_after), but only those of assets that the principal of this name sees, and of
    /// these only what is for them ([`Audience`]).
    pub async fn events_seen_by(
        &self,
        name: &str,
        seq: u64,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Event>, CatalogError> {
        let viewers = TOPICS.iter().filter(|(_, audience)| *audience == Audience::Viewers).map(|(topic, _)| *topic);
        let viewers = text("events.topic", &viewers.collect::<Vec<_>>())?;
        let args = args![column(seq)?, name, limit.min(EVENTS_MAX), now, viewers];
        let rows: Vec<EventRow> = self.rows(sql::shares::SEEN_EVENTS, args).await?;
        rows.into_iter().map(Event::try_from).collect()
    }
}

impl Tx {
    /// Whether there is such an account; it is held as by [`Self::hold_user`].
    pub(crate) async fn is_account(&mut self, user: UserId) -> Result<bool, CatalogError> {
        Ok(self.hold_user(user).await?.is_some_and(|user| user.state != UserState::Deleted))
    }
}

pub(crate) fn read(standing: &str) -> Result<Standing, CatalogError> {
    Standing::shared(standing).ok_or_else(|| corrupt("asset_shares.standing", standing))
}

#[derive(sqlx::FromRow)]
pub(crate) struct MaybeText {
    pub(crate) text: Option<String>,
}

/// `asset_shares` as stored.
#[derive(sqlx::FromRow)]
pub(crate) struct ShareRow {
    user_id: String,
    standing: String,
    created_at: i64,
}

impl TryFrom<ShareRow> for Share {
    type Error = CatalogError;

    fn try_from(row: ShareRow) -> Result<Self, CatalogError> {
        Ok(Self {
            user: parsed("asset_shares.user_id", &row.user_id)?,
            standing: read(&row.standing)?,
            created_at: Timestamp::from_unix_ms(row.created_at),
        })
    }
}
