//! Channels: under which name somebody publishes, what is published there, and who follows it.

use domain::{AssetId, AssetState, ChannelId, Timestamp, UserId};
use serde_json::json;

use crate::assets::{AssetRow, PAGE_ASSETS_MAX};
use crate::audit::Note;
use crate::catalog::{Number, Tx};
use crate::engine::{args, count, parsed};
use crate::grants::ANYBODY;
use crate::{Asset, Catalog, CatalogError, Meant, Part, Side, sql};

/// Most channels on a page.
pub const PAGE_CHANNELS_MAX: u32 = 100;
/// Most channels of one owner.
pub const CHANNELS_OF_OWNER_MAX: u64 = 100;
/// Most channels that an account subscribes to.
pub const SUBSCRIPTIONS_MAX: u64 = 2000;

/// Under which name somebody publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// Its short name, which no other channel has; it never changes.
    pub handle: String,
    /// What it is called.
    pub name: String,
    /// What it is about; perhaps nothing is said.
    pub description: String,
    /// The principal it belongs to.
    pub owner: Option<String>,
    /// How many subscribed to it.
    pub subscribers: u64,
    /// Rises with every change.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Catalog {
    /// Makes a channel under a handle as [`domain::collection::handle`] gives it, in the name of its owner.
    ///
    /// # Errors
    /// [`CatalogError::HandleTaken`], [`CatalogError::TooManyChannels`].
    pub async fn create_channel(
        &self,
        (id, handle): (ChannelId, &str),
        (name, description): (&str, &str),
        owner: Option<&str>,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of(owner.unwrap_or(ANYBODY), "channel.created", id, json!({})), now).await?;
        tx.hold_owner(owner).await?;
        if let Some(owner) = owner {
            let others = tx.number(sql::channels::COUNT_OF_OWNER, args![owner]).await?;
            if count("number", others)? >= CHANNELS_OF_OWNER_MAX {
                return Err(CatalogError::TooManyChannels);
            }
        }
        let args = args![id, handle, name, description, owner.map(str::to_owned), now];
        if tx.execute(sql::channels::INSERT, args).await? != 1 {
            return Err(CatalogError::HandleTaken);
        }
        tx.commit().await
    }

    /// The channel with this id.
    pub async fn channel(&self, id: ChannelId) -> Result<Option<Channel>, CatalogError> {
        let row: Option<ChannelRow> = self.row(sql::channels::BY_ID, args![id]).await?;
        row.map(Channel::try_from).transpose()
    }

    /// The channel with this handle.
    pub async fn channel_by_handle(&self, handle: &str) -> Result<Option<Channel>, CatalogError> {
        let row: Option<ChannelRow> = self.row(sql::channels::BY_HANDLE, args![handle]).await?;
        row.map(Channel::try_from).transpose()
    }

    /// At most `limit` (and [`PAGE_CHANNELS_MAX`] + 1) channels on one side of another, the newest first.
    pub async fn channels(&self, side: Option<Side<ChannelId>>, limit: u32) -> Result<Vec<Channel>, CatalogError> {
        let (place, way) = Side::or_first(side, ChannelId::from_u128(u128::MAX));
        let args = args![place, limit.min(PAGE_CHANNELS_MAX + 1)];
        let rows: Vec<ChannelRow> = self.page(way, [sql::channels::PAGE, sql::channels::PAGE_BEFORE], args).await?;
        rows.into_iter().map(Channel::try_from).collect()
    }

    /// Changes what a channel is called and about, if it is still at `version`.
    ///
    /// # Errors
    /// [`CatalogError::Changed`], [`CatalogError::NoChannel`].
    pub async fn change_channel(
        &self,
        id: ChannelId,
        version: u64,
        (name, description): (&str, &str),
        now: Timestamp,
    ) -> Result<Channel, CatalogError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, id, version, now).await?;
        tx.execute(sql::channels::SET, args![id, name, description]).await?;
        let row: Option<ChannelRow> = tx.row(sql::channels::BY_ID, args![id]).await?;
        let channel = Channel::try_from(row.ok_or(CatalogError::NoChannel(id))?)?;
        tx.commit().await?;
        Ok(channel)
    }

    /// Deletes a channel as `actor` wants it, if it is still at `version` where one is named; what is published there is published nowhere
    /// any more. False if there is none.
    ///
    /// # Errors
    /// [`CatalogError::Changed`]; [`CatalogError::NoChannel`] where a version is named.
    pub async fn delete_channel(
        &self,
        id: ChannelId,
        version: Option<u64>,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of(actor, "channel.deleted", id, json!({})), now).await?;
        if let Some(version) = version {
            lock(&mut tx, id, version, now).await?;
        }
        if tx.execute(sql::channels::DELETE, args![id]).await? != 1 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Publishes an asset in a channel and in no other, or with `None` in none, as `actor` wants it.
    ///
    /// # Errors
    /// [`CatalogError::NoAsset`] if it does not exist or is deleted, [`CatalogError::NoChannel`],
    /// [`CatalogError::PlaceChanged`].
    pub async fn set_channel(
        &self,
        asset: impl Into<Meant<AssetId>>,
        channel: Option<ChannelId>,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let Meant { id: asset, expected } = asset.into();
        let mut tx = self.begin().await?;
        let data = json!({ "channel": channel.map(|channel| channel.to_string()) });
        tx.audit(Note::of(actor, "asset.channel_set", asset, data.clone()), now).await?;
        let row = tx.lock_asset(asset, now).await?;
        if row.state()? == AssetState::Deleted {
            return Err(CatalogError::NoAsset(asset));
        }
        row.check(Part::Place, expected)?;
        if let Some(channel) = channel
            && tx.row::<ChannelRow>(sql::channels::BY_ID, args![channel]).await?.is_none()
        {
            return Err(CatalogError::NoChannel(channel));
        }
        let channel = channel.map(|channel| channel.to_string());
        tx.execute(sql::channels::SET_CHANNEL, args![asset, channel]).await?;
        tx.event(now, "asset.updated", asset, data);
        tx.commit().await
    }

    /// At most `limit` (and [`PAGE_ASSETS_MAX`] + 1) assets of a channel on one side of another, the newest
    /// first.
    pub async fn assets_of_channel(
        &self,
        channel: ChannelId,
        side: Option<Side<AssetId>>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Asset>, CatalogError> {
        let (place, way) = Side::or_first(side, AssetId::from_u128(u128::MAX));
        let args = args![channel, place, limit.min(PAGE_ASSETS_MAX + 1), now];
        let rows: Vec<AssetRow> = self.page(way, [sql::channels::ASSETS, sql::channels::ASSETS_BEFORE], args).await?;
        rows.into_iter().map(Asset::try_from).collect()
    }

    /// Has an account follow a channel; nothing changes if it does.
    ///
    /// # Errors
    /// [`CatalogError::NoChannel`], [`CatalogError::TooManySubscriptions`].
    pub async fn subscribe(&self, user: UserId, channel: ChannelId, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.hold_account(user).await?;
        if tx.row::<ChannelRow>(sql::channels::BY_ID, args![channel]).await?.is_none() {
            return Err(CatalogError::NoChannel(channel));
        }
        let others = tx.number(sql::channels::COUNT_SUBSCRIPTIONS, args![user]).await?;
        if count("number", others)? >= SUBSCRIPTIONS_MAX {
            return Err(CatalogError::TooManySubscriptions);
        }
        tx.execute(sql::channels::SUBSCRIBE, args![user, channel, now]).await?;
        tx.commit().await
    }

    /// Has an account follow a channel no longer; false if it did not.
    pub async fn unsubscribe(&self, user: UserId, channel: ChannelId) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let ended = tx.execute(sql::channels::UNSUBSCRIBE, args![user, channel]).await?;
        tx.commit().await?;
        Ok(ended == 1)
    }

    /// Like [`channels`](Self::channels), but only those that an account follows.
    pub async fn subscriptions(
        &self,
        user: UserId,
        side: Option<Side<ChannelId>>,
        limit: u32,
    ) -> Result<Vec<Channel>, CatalogError> {
        let (place, way) = Side::or_first(side, ChannelId::from_u128(u128::MAX));
        let args = args![user, place, limit.min(PAGE_CHANNELS_MAX + 1)];
        let statements = [sql::channels::SUBSCRIBED, sql::channels::SUBSCRIBED_BEFORE];
        let rows: Vec<ChannelRow> = self.page(way, statements, args).await?;
        rows.into_iter().map(Channel::try_from).collect()
    }

    /// Like [`assets_of_channel`](Self::assets_of_channel), of all channels that an account follows.
    pub async fn subscribed_assets(
        &self,
        user: UserId,
        side: Option<Side<AssetId>>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Asset>, CatalogError> {
        let (place, way) = Side::or_first(side, AssetId::from_u128(u128::MAX));
        let args = args![user, place, limit.min(PAGE_ASSETS_MAX + 1), now];
        let statements = [sql::channels::SUBSCRIBED_ASSETS, sql::channels::SUBSCRIBED_ASSETS_BEFORE];
        let rows: Vec<AssetRow> = self.page(way, statements, args).await?;
        rows.into_iter().map(Asset::try_from).collect()
    }
}

/// Holds the row of a channel that is at `version` until commit.
async fn lock(tx: &mut Tx, id: ChannelId, version: u64, now: Timestamp) -> Result<(), CatalogError> {
    let locked: Option<Number> = tx.row(sql::channels::LOCK, args![id, now]).await?;
    let before = count("channels.version", locked.ok_or(CatalogError::NoChannel(id))?.number - 1)?;
    if before == version { Ok(()) } else { Err(CatalogError::Changed { version: before }) }
}

/// `channels` as stored.
#[derive(sqlx::FromRow)]
struct ChannelRow {
    id: String,
    handle: String,
    name: String,
    description: String,
    owner: Option<String>,
    version: i64,
    created_at: i64,
    updated_at: i64,
    subscribers: i64,
}

impl TryFrom<ChannelRow> for Channel {
    type Error = CatalogError;

    fn try_from(row: ChannelRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: parsed("channels.id", &row.id)?,
            version: count("channels.version", row.version)?,
            subscribers: count("channels.subscribers", row.subscribers)?,
            created_at: Timestamp::from_unix_ms(row.created_at),
            updated_at: Timestamp::from_unix_ms(row.updated_at),
            handle: row.handle,
            name: row.name,
            description: row.description,
            owner: row.owner,
        })
    }
}
