//! Series, seasons and playlists: what assets are put together in, in order, and who sees it.

use domain::authority::Standing;
use domain::collection::{Kind, Visibility};
use domain::{AssetId, AssetState, CollectionId, ItemId, Timestamp, UserId};
use serde_json::json;

use crate::assets::AssetRow;
use crate::audit::Note;
use crate::catalog::{Number, Tx};
use crate::engine::{args, column, corrupt, count, parsed};
use crate::shares::{MaybeText, SHARES_MAX, Share, ShareRow, read};
use crate::{Catalog, CatalogError, Expected, Meant, Side, sql};

/// Most collections and items on a page.
pub const PAGE_COLLECTIONS_MAX: u32 = 100;
/// Most items of a collection.
pub const ITEMS_MAX: u64 = 5000;

/// What assets are put together in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its id.
    pub id: CollectionId,
    /// What it is; it never changes.
    pub kind: Kind,
    /// What it is called.
    pub title: String,
    /// What it is about; perhaps nothing is said.
    pub description: String,
    /// Who sees it beside those whom it is shared with.
    pub visibility: Visibility,
    /// The principal it belongs to.
    pub owner: Option<String>,
    /// Rises with every change of it or of what is in it.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What can be changed of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionText {
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// Who sees it.
    pub visibility: Visibility,
}

/// What is in a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// An asset.
    Asset(AssetId),
    /// A season of a series.
    Season(CollectionId),
}

/// Something in a collection, at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// By which it is moved and taken out.
    pub id: ItemId,
    /// What it is.
    pub member: Member,
    /// Where it stands: from 0, and rising.
    pub position: u64,
}

impl Catalog {
    /// Makes a collection.
    pub async fn create_collection(
        &self,
        (id, kind): (CollectionId, Kind),
        text: &CollectionText,
        owner: Option<&str>,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let (title, description) = (text.title.as_str(), text.description.as_str());
        let owner = owner.map(str::to_owned);
        tx.hold_owner(owner.as_deref()).await?;
        let args = args![id, kind.as_str(), title, description, text.visibility.as_str(), owner, now];
        tx.execute(sql::collections::INSERT, args).await?;
        tx.commit().await
    }

    /// The collection with this id.
    pub async fn collection(&self, id: CollectionId) -> Result<Option<Collection>, CatalogError> {
        let row: Option<CollectionRow> = self.row(sql::collections::BY_ID, args![id]).await?;
        row.map(Collection::try_from).transpose()
    }

    /// At most `limit` (and [`PAGE_COLLECTIONS_MAX`] + 1) collections on one side of another, the newest first, of a
    /// kind and an owner if these are given; of those that the name `seen_by` sees, if one is given.
    pub async fn collections(
        &self,
        (kind, owner): (Option<Kind>, Option<&str>),
        seen_by: Option<&str>,
        side: Option<Side<CollectionId>>,
        limit: u32,
    ) -> Result<Vec<Collection>, CatalogError> {
        let (place, way) = Side::or_first(side, CollectionId::from_u128(u128::MAX));
        let (kind, owner) = (kind.map(|kind| kind.as_str().to_owned()), owner.map(str::to_owned));
        let args = args![seen_by.map(str::to_owned), place, kind, owner, limit.min(PAGE_COLLECTIONS_MAX + 1)];
        let statements = [sql::collections::PAGE, sql::collections::PAGE_BEFORE];
        let rows: Vec<CollectionRow> = self.page(way, statements, args).await?;
        rows.into_iter().map(Collection::try_from).collect()
    }

    /// How the principal of this name stands to a collection.
    pub async fn standing_to_collection(&self, id: CollectionId, name: &str) -> Result<Standing, CatalogError> {
        let row: Option<MaybeText> = self.row(sql::collections::STANDING, args![id, name]).await?;
        row.and_then(|row| row.text).map_or(Ok(Standing::Stranger), |standing| read(&standing))
    }

    /// Changes a collection as `actor` wants it, if it is still at `version`.
    ///
    /// # Errors
    /// [`CatalogError::Changed`], [`CatalogError::NoCollection`].
    pub async fn change_collection(
        &self,
        id: CollectionId,
        version: u64,
        text: &CollectionText,
        actor: &str,
        now: Timestamp,
    ) -> Result<Collection, CatalogError> {
        let mut tx = self.begin().await?;
        // Looked at without holding it, since the log comes first; what is changed is held to the same version.
        let row: Option<CollectionRow> = tx.row(sql::collections::BY_ID, args![id]).await?;
        let before = Collection::try_from(row.ok_or(CatalogError::NoCollection(id))?)?;
        if before.version != version {
            return Err(CatalogError::Changed { version: before.version });
        }
        if before.visibility != text.visibility {
            let data = json!({ "visibility": text.visibility });
            tx.audit(Note::of(actor, "collection.visibility_set", id, data), now).await?;
        }
        let collection = tx.lock_collection(id, Some(version), now).await?;
        let (title, description) = (text.title.as_str(), text.description.as_str());
        tx.execute(sql::collections::SET, args![id, title, description, text.visibility.as_str()]).await?;
        tx.commit().await?;
        let CollectionText { title, description, visibility } = text.clone();
        Ok(Collection { title, description, visibility, ..collection })
    }

    /// Deletes a collection as `actor` wants it, if it is still at `version` where one is named, but not what is in it; false if there is
    /// none.
    ///
    /// # Errors
    /// [`CatalogError::Changed`]; [`CatalogError::NoCollection`] where a version is named.
    pub async fn delete_collection(
        &self,
        id: CollectionId,
        version: Option<u64>,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of(actor, "collection.deleted", id, json!({})), now).await?;
        if version.is_some() {
            tx.lock_collection(id, version, now).await?;
        }
        if tx.execute(sql::collections::DELETE, args![id]).await? != 1 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// At most `limit` (and [`PAGE_COLLECTIONS_MAX`] + 1) items on one side of a place, which is an item and the
    /// position at which it stood; of what the name `seen_by` sees, if one is given. The place goes with its item while
    /// that is in the collection.
    pub async fn items_of(
        &self,
        id: CollectionId,
        seen_by: Option<&str>,
        side: Option<Side<(u64, ItemId)>>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Item>, CatalogError> {
        let place = |(position, item): (u64, ItemId)| Ok::<_, CatalogError>((column(position)?, item.to_string()));
        let ((position, item), way) =
            Side::or_first(side.map(|side| side.read(place)).transpose()?, (0, String::new()));
        let limit = limit.min(PAGE_COLLECTIONS_MAX + 1);
        let args = args![seen_by.map(str::to_owned), id, position, item, limit, now];
        let rows: Vec<ItemRow> =
            self.page(way, [sql::collections::ITEMS, sql::collections::ITEMS_BEFORE], args).await?;
        rows.into_iter().map(Item::try_from).collect()
    }

    /// Puts something into a collection at a position, or at its end; what stands there and behind it moves on.
    ///
    /// # Errors
    /// [`CatalogError::NoCollection`], [`CatalogError::NoAsset`]; [`CatalogError::Unfit`] if a collection of this kind
    /// does not take it; [`CatalogError::AlreadyIn`]; [`CatalogError::TooManyItems`].
    pub async fn put_item(
        &self,
        collection: CollectionId,
        (item, member): (ItemId, Member),
        position: Option<u64>,
        now: Timestamp,
    ) -> Result<Item, CatalogError> {
        let mut tx = self.begin().await?;
        let kind = tx.lock_collection(collection, None, now).await?.kind;
        let (mut asset, mut season): (Option<String>, Option<String>) = (None, None);
        match member {
            Member::Asset(id) => {
                let row: Option<AssetRow> = tx.row(sql::assets::BY_ID, args![id]).await?;
                let row = row.ok_or(CatalogError::NoAsset(id))?;
                if row.state()? == AssetState::Deleted {
                    return Err(CatalogError::NoAsset(id));
                }
                asset = Some(id.to_string());
            }
            Member::Season(id) => {
                let row: Option<CollectionRow> = tx.row(sql::collections::BY_ID, args![id]).await?;
                let row = Collection::try_from(row.ok_or(CatalogError::NoCollection(id))?)?;
                if (kind, row.kind) != (Kind::Series, Kind::Season) {
                    return Err(CatalogError::Unfit { kind });
                }
                season = Some(id.to_string());
            }
        }
        let others = tx.number(sql::collections::COUNT_ITEMS, args![collection]).await?;
        if count("number", others)? >= ITEMS_MAX {
            return Err(CatalogError::TooManyItems(collection));
        }
        let place = tx.place_in(collection, position).await?;
        tx.execute(sql::collections::SHIFT_UP, args![collection, place]).await?;
        let args = args![item, collection, asset, season, place];
        if tx.execute(sql::collections::INSERT_ITEM, args).await? != 1 {
            return Err(CatalogError::AlreadyIn(collection));
        }
        tx.commit().await?;
        Ok(Item { id: item, member, position: count("collection_items.position", place)? })
    }

    /// Moves an item to another position: the item, and the version of the collection by then; `None` if there is none.
    ///
    /// # Errors
    /// [`CatalogError::NoCollection`]; [`CatalogError::Changed`] if the collection is not at the version that is
    /// expected.
    pub async fn move_item(
        &self,
        collection: impl Into<Meant<CollectionId>>,
        item: ItemId,
        position: u64,
        now: Timestamp,
    ) -> Result<Option<(Item, u64)>, CatalogError> {
        let Meant { id: collection, expected } = collection.into();
        let mut tx = self.begin().await?;
        let at = if let Expected::Version(version) = expected { Some(version) } else { None };
        let version = tx.lock_collection(collection, at, now).await?.version;
        let row: Option<ItemRow> = tx.row(sql::collections::ITEM, args![collection, item]).await?;
        let Some(row) = row else { return Ok(None) };
        tx.execute(sql::collections::DELETE_ITEM, args![collection, item]).await?;
        tx.execute(sql::collections::SHIFT_DOWN, args![collection, row.position]).await?;
        let place = tx.place_in(collection, Some(position)).await?;
        tx.execute(sql::collections::SHIFT_UP, args![collection, place]).await?;
        let args = args![item, collection, row.asset_id.clone(), row.season_id.clone(), place];
        tx.execute(sql::collections::INSERT_ITEM, args).await?;
        tx.commit().await?;
        Ok(Some((Item::try_from(ItemRow { position: place, ..row })?, version)))
    }

    /// Takes an item out; false if there is none.
    ///
    /// # Errors
    /// [`CatalogError::NoCollection`].
    pub async fn remove_item(
        &self,
        collection: CollectionId,
        item: ItemId,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        tx.lock_collection(collection, None, now).await?;
        let row: Option<ItemRow> = tx.row(sql::collections::ITEM, args![collection, item]).await?;
        let Some(row) = row else { return Ok(false) };
        tx.execute(sql::collections::DELETE_ITEM, args![collection, item]).await?;
        tx.execute(sql::collections::SHIFT_DOWN, args![collection, row.position]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Shares a collection with an account as `actor` wants it, or changes for what.
    ///
    /// # Errors
    /// [`CatalogError::NoCollection`], [`CatalogError::NoUser`], [`CatalogError::TooManyCollectionShares`];
    /// [`CatalogError::Exists`] if it is shared with them and was not to be.
    pub async fn share_collection(
        &self,
        collection: impl Into<Meant<CollectionId>>,
        (user, standing): (UserId, Standing),
        actor: &str,
        now: Timestamp,
    ) -> Result<Share, CatalogError> {
        let Meant { id: collection, expected } = collection.into();
        let mut tx = self.begin().await?;
        let data = json!({ "collection": collection.to_string(), "standing": standing });
        tx.audit(Note::of(actor, "collection.shared", user, data), now).await?;
        if !tx.is_account(user).await? {
            return Err(CatalogError::NoUser(user));
        }
        tx.lock_collection(collection, None, now).await?;
        let others = tx.number(sql::collections::COUNT_SHARES, args![collection]).await?;
        if count("number", others)? >= SHARES_MAX {
            return Err(CatalogError::TooManyCollectionShares(collection));
        }
        let is_new = expected == Expected::Nothing;
        let put = if is_new { sql::collections::PUT_NEW_SHARE } else { sql::collections::PUT_SHARE };
        if tx.execute(put, args![collection, user, standing.as_str(), now]).await? == 0 && is_new {
            return Err(CatalogError::Exists { version: None });
        }
        tx.commit().await?;
        Ok(Share { user, standing, created_at: now })
    }

    /// Shares a collection with an account no longer, as `actor` wants it; false if it was not.
    pub async fn unshare_collection(
        &self,
        collection: CollectionId,
        user: UserId,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let data = json!({ "collection": collection.to_string() });
        tx.audit(Note::of(actor, "collection.unshared", user, data), now).await?;
        if tx.execute(sql::collections::REMOVE_SHARE, args![collection, user]).await? != 1 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// With whom a collection is shared.
    pub async fn shares_of_collection(&self, collection: CollectionId) -> Result<Vec<Share>, CatalogError> {
        let rows: Vec<ShareRow> = self.rows(sql::collections::SHARES, args![collection]).await?;
        rows.into_iter().map(Share::try_from).collect()
    }
}

impl Tx {
    /// Holds the collection's row until commit; with a version, only if it is still at that.
    async fn lock_collection(
        &mut self,
        id: CollectionId,
        version: Option<u64>,
        now: Timestamp,
    ) -> Result<Collection, CatalogError> {
        let row: Option<CollectionRow> = self.row(sql::collections::LOCK, args![id, now]).await?;
        let collection = Collection::try_from(row.ok_or(CatalogError::NoCollection(id))?)?;
        let before = collection.version - 1;
        match version {
            Some(version) if version != before => Err(CatalogError::Changed { version: before }),
            _ => Ok(collection),
        }
    }

    /// The position that is meant: within what is there, or behind it.
    async fn place_in(&mut self, collection: CollectionId, position: Option<u64>) -> Result<i64, CatalogError> {
        let end = self.number(sql::collections::LAST_POSITION, args![collection]).await? + 1;
        Ok(position.and_then(|position| i64::try_from(position).ok()).map_or(end, |position| position.min(end)))
    }

    /// The one number of a statement that always returns one.
    pub(crate) async fn number(&mut self, sql: sql::Sql, args: Vec<crate::engine::Arg>) -> Result<i64, CatalogError> {
        Ok(self.row::<Number>(sql, args).await?.map_or(0, |row| row.number))
    }
}

/// `collections` as stored.
#[derive(sqlx::FromRow)]
struct CollectionRow {
    id: String,
    kind: String,
    title: String,
    description: String,
    visibility: String,
    owner: Option<String>,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<CollectionRow> for Collection {
    type Error = CatalogError;

    fn try_from(row: CollectionRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: parsed("collections.id", &row.id)?,
            kind: Kind::from_name(&row.kind).ok_or_else(|| corrupt("collections.kind", &row.kind))?,
            visibility: Visibility::from_name(&row.visibility)
                .ok_or_else(|| corrupt("collections.visibility", &row.visibility))?,
            version: count("collections.version", row.version)?,
            created_at: Timestamp::from_unix_ms(row.created_at),
            updated_at: Timestamp::from_unix_ms(row.updated_at),
            title: row.title,
            description: row.description,
            owner: row.owner,
        })
    }
}

/// `collection_items` as stored.
#[derive(sqlx::FromRow)]
struct ItemRow {
    id: String,
    asset_id: Option<String>,
    season_id: Option<String>,
    position: i64,
}

impl TryFrom<ItemRow> for Item {
    type Error = CatalogError;

    fn try_from(row: ItemRow) -> Result<Self, CatalogError> {
        let member = match (row.asset_id, row.season_id) {
            (Some(asset), None) => Member::Asset(parsed("collection_items.asset_id", &asset)?),
            (None, Some(season)) => Member::Season(parsed("collection_items.season_id", &season)?),
            _ => return Err(corrupt("collection_items.asset_id", &row.id)),
        };
        let id = parsed("collection_items.id", &row.id)?;
        Ok(Self { id, member, position: count("collection_items.position", row.position)? })
    }
}
