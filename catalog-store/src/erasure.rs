//! What is kept of a person: all of it to hand over, and what becomes of it when they go.
//!
//! The audit log holds ids of accounts and nothing personal, so it stays as it is sealed: what an id stood for is gone.

use domain::authority::Standing;
use domain::{AssetId, SessionId, Timestamp, UserId};

use crate::assets::AssetRow;
use crate::audit::{AuditEntry, AuditRow, Note};
use crate::catalog::{Text, Tx};
use crate::engine::{args, corrupt, parsed};
use crate::grants::GrantRow;
use crate::{Asset, Catalog, CatalogError, Document, Grant, sql};

/// Rows of one kind that are handed over at once.
pub const BELONGINGS_MAX: u32 = 10_000;

/// What is kept of a person besides the account itself.
#[derive(Clone, Debug, Default)]
pub struct Belongings {
    /// Their videos, newest first.
    pub assets: Vec<Asset>,
    /// What they uploaded, newest first.
    pub uploads: Vec<UploadNote>,
    /// Upload links that they made, newest first.
    pub grants: Vec<Grant>,
    /// Documents of their videos, newest first.
    pub documents: Vec<Document>,
    /// Where they were logged in, newest first.
    pub sessions: Vec<SessionNote>,
    /// What is shared with them, and by them.
    pub shares: Vec<ShareNote>,
    /// Their collections, newest first.
    pub collections: Vec<Kept>,
    /// Their channels, newest first.
    pub channels: Vec<Kept>,
    /// Channels they follow.
    pub subscriptions: Vec<Kept>,
    /// Collections of others that are shared with them.
    pub shared_collections: Vec<Kept>,
    /// What was done by them and about them, the latest first.
    pub audit: Vec<AuditEntry>,
}

impl Belongings {
    /// True if there may be more of some kind.
    pub fn is_cut(&self) -> bool {
        let most = usize::try_from(BELONGINGS_MAX).unwrap_or(usize::MAX);
        let kept = [&self.collections, &self.channels, &self.subscriptions, &self.shared_collections];
        let lengths =
            [self.assets.len(), self.uploads.len(), self.documents.len(), self.sessions.len(), self.grants.len()];
        lengths
            .into_iter()
            .chain([self.shares.len(), self.audit.len()])
            .chain(kept.map(Vec::len))
            .any(|count| count >= most)
    }
}

/// A collection or a channel.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// The kind of a collection, the handle of a channel, the standing of a share.
    pub kind: String,
    /// Its title or name.
    pub name: String,
    /// What is said of it; empty for what belongs to somebody else.
    pub description: String,
    /// When it was made, or since when it is followed or shared.
    pub created_at: Timestamp,
}

/// An upload of somebody's.
#[derive(Clone, Debug)]
pub struct UploadNote {
    /// Its video, if it has one.
    pub asset: Option<AssetId>,
    /// `whole`, `partial` or `final`.
    pub kind: String,
    /// How far it is.
    pub state: String,
    /// Octets that came.
    pub offset_bytes: i64,
    /// Octets in all, if that is known.
    pub length_bytes: Option<i64>,
    /// Name of the file.
    pub file_name: Option<String>,
    /// When it was begun.
    pub created_at: Timestamp,
}

/// A session of somebody's, also one that is over.
#[derive(Clone, Debug)]
pub struct SessionNote {
    /// Its id.
    pub id: SessionId,
    /// What the client called itself.
    pub client: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last in use, to a few minutes.
    pub seen_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was ended.
    pub ended_at: Option<Timestamp>,
}

/// That a video is shared.
#[derive(Clone, Debug)]
pub struct ShareNote {
    /// The video.
    pub asset: AssetId,
    /// With whom.
    pub user: UserId,
    /// For what.
    pub standing: Standing,
    /// Since when.
    pub created_at: Timestamp,
}

/// What becomes of the videos, collections and channels of somebody who goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legacy {
    /// An administrator has them.
    Inherited,
    /// Videos were deleted before; collections and channels go too.
    Deleted,
}

impl Catalog {
    /// What is kept of a person besides the account, its keys, webhooks and notifications: at most [`BELONGINGS_MAX`]
    /// of each kind.
    pub async fn belongings_of(&self, user: UserId) -> Result<Belongings, CatalogError> {
        let most = BELONGINGS_MAX;
        let assets: Vec<AssetRow> =
            self.rows(sql::erasure::ASSETS_OF, args![user, AssetId::from_u128(u128::MAX), most]).await?;
        let uploads: Vec<UploadRow> = self.rows(sql::erasure::UPLOADS_OF, args![user, most]).await?;
        let (last, end) = (Timestamp::from_unix_ms(i64::MAX), "");
        let grants: Vec<GrantRow> = self.rows(sql::grants::PAGE_OF_OWNER, args![last, end, most, user]).await?;
        let sessions: Vec<SessionRow> = self.rows(sql::erasure::SESSIONS_OF, args![user, most]).await?;
        let mut shares: Vec<ShareRow> = self.rows(sql::erasure::SHARED_WITH, args![user, most]).await?;
        shares.extend(self.rows::<ShareRow>(sql::erasure::SHARED_BY, args![user, most]).await?);
        let kept = async |statement| -> Result<Vec<Kept>, CatalogError> {
            let rows: Vec<KeptRow> = self.rows(statement, args![user, most]).await?;
            Ok(rows.into_iter().map(Kept::from).collect())
        };
        let audit: Vec<AuditRow> = self.rows(sql::erasure::AUDIT_OF, args![user, most]).await?;
        Ok(Belongings {
            assets: assets.into_iter().map(Asset::try_from).collect::<Result<_, _>>()?,
            uploads: uploads.into_iter().map(UploadNote::try_from).collect::<Result<_, _>>()?,
            grants: grants.into_iter().map(Grant::try_from).collect::<Result<_, _>>()?,
            documents: self.documents_of(user, most).await?,
            sessions: sessions.into_iter().map(SessionNote::try_from).collect::<Result<_, _>>()?,
            shares: shares.into_iter().map(ShareNote::try_from).collect::<Result<_, _>>()?,
            collections: kept(sql::erasure::COLLECTIONS_OF).await?,
            channels: kept(sql::erasure::CHANNELS_OF).await?,
            subscriptions: kept(sql::erasure::SUBSCRIPTIONS_OF).await?,
            shared_collections: kept(sql::erasure::COLLECTIONS_SHARED_WITH).await?,
            audit: audit.into_iter().map(AuditEntry::try_from).collect::<Result<_, _>>()?,
        })
    }

    /// Videos of a person, newest first, before `after`; at most `limit`.
    pub async fn assets_of(
        &self,
        user: UserId,
        after: Option<AssetId>,
        limit: u32,
    ) -> Result<Vec<Asset>, CatalogError> {
        let after = after.unwrap_or(AssetId::from_u128(u128::MAX));
        let rows: Vec<AssetRow> = self.rows(sql::erasure::ASSETS_OF, args![user, after, limit]).await?;
        rows.into_iter().map(Asset::try_from).collect()
    }

    /// Whether a person can be erased: somebody else has to be able to decide about accounts.
    ///
    /// # Errors
    /// [`CatalogError::LastAdmin`] if nobody could.
    pub async fn check_erasable(&self, id: UserId) -> Result<(), CatalogError> {
        let heir: Option<Text> = self.row(sql::erasure::HEIR, args![id]).await?;
        heir.map(|_| ()).ok_or(CatalogError::LastAdmin)
    }

    /// Erases a person: what is personal in the account is gone, and so are sessions, keys, shares, webhooks,
    /// notifications, and what was kept of requests. What is inherited goes to the administrator who has been one for
    /// longest, who is returned if there were any videos.
    ///
    /// # Errors
    /// [`CatalogError::NoUser`] if there is none, [`CatalogError::LastAdmin`] if nobody could decide about accounts
    /// any more, [`CatalogError::VideosLeft`] if there are videos that should have been deleted: an upload may begin
    /// at any time before this.
    pub async fn erase_user(&self, id: UserId, legacy: Legacy, now: Timestamp) -> Result<Option<UserId>, CatalogError> {
        let mut tx = self.begin().await?;
        let actor = id.to_string();
        tx.audit(Note::of_user(&actor, "user.erased", id), now).await?;
        tx.lock_user(id, None, now).await?;
        let heir: Option<Text> = tx.row(sql::erasure::HEIR, args![id]).await?;
        let heir: UserId = parsed("users.id", &heir.ok_or(CatalogError::LastAdmin)?.text)?;
        if legacy == Legacy::Deleted {
            let last = AssetId::from_u128(u128::MAX);
            let left: Option<AssetRow> = tx.row(sql::erasure::ASSETS_OF, args![id, last, 1_u32]).await?;
            if left.is_some() {
                return Err(CatalogError::VideosLeft(id));
            }
            tx.execute(sql::erasure::DELETE_COLLECTIONS, args![id]).await?;
            tx.execute(sql::erasure::DELETE_CHANNELS, args![id]).await?;
        }
        let moved = tx.execute(sql::erasure::TRANSFER_ASSETS, args![id, heir, now]).await?;
        tx.execute(sql::erasure::TRANSFER_UPLOADS, args![id, heir]).await?;
        tx.execute(sql::erasure::TRANSFER_COLLECTIONS, args![id, heir, now]).await?;
        tx.execute(sql::erasure::TRANSFER_CHANNELS, args![id, heir, now]).await?;
        tx.execute(sql::erasure::BLANK_UPLOADS, args![id, now]).await?;
        tx.erase(id, now).await?;
        tx.keep_an_admin().await?;
        tx.commit().await?;
        Ok((moved > 0).then_some(heir))
    }
}

impl Tx {
    /// Removes all that is personal of a locked account.
    pub(crate) async fn erase(&mut self, id: UserId, now: Timestamp) -> Result<(), CatalogError> {
        self.release_avatar(id, now).await?;
        self.execute(sql::accounts::BLANK, args![id]).await?;
        self.drop_user_terms(id).await?;
        self.execute(sql::erasure::DELETE_SESSIONS, args![id]).await?;
        self.execute(sql::erasure::DELETE_KEYS, args![id]).await?;
        self.execute(sql::credentials::TICKETS_DROP_ALL, args![id]).await?;
        self.execute(sql::second_factor::CODES_DROP, args![id]).await?;
        self.execute(sql::identities::DELETE_OF_USER, args![id]).await?;
        self.execute(sql::shares::REMOVE_OF_USER, args![id]).await?;
        self.execute(sql::collections::REMOVE_SHARES_OF_USER, args![id]).await?;
        self.execute(sql::channels::UNSUBSCRIBE_USER, args![id]).await?;
        self.execute(sql::webhooks::DELETE_OF_OWNER, args![id]).await?;
        self.execute(sql::idempotency::DELETE_OF_PRINCIPAL, args![id]).await?;
        self.execute(sql::notifications::DELETE_OF_USER, args![id]).await?;
        self.execute(sql::notifications::PREFERENCES_DROP, args![id]).await?;
        self.execute(sql::notifications::DIGEST_DROP, args![id]).await?;
        self.execute(sql::erasure::REVOKE_GRANTS, args![id, now]).await?;
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
struct KeptRow {
    id: String,
    kind: String,
    name: String,
    description: String,
    created_at: i64,
}

impl From<KeptRow> for Kept {
    fn from(row: KeptRow) -> Self {
        let KeptRow { id, kind, name, description, created_at } = row;
        Self { id, kind, name, description, created_at: Timestamp::from_unix_ms(created_at) }
    }
}

#[derive(sqlx::FromRow)]
struct UploadRow {
    asset_id: Option<String>,
    kind: String,
    state: String,
    length_bytes: Option<i64>,
    offset_bytes: i64,
    file_name: Option<String>,
    created_at: i64,
}

impl TryFrom<UploadRow> for UploadNote {
    type Error = CatalogError;

    fn try_from(row: UploadRow) -> Result<Self, CatalogError> {
        Ok(Self {
            asset: row.asset_id.map(|id| parsed("uploads.asset_id", &id)).transpose()?,
            kind: row.kind,
            state: row.state,
            offset_bytes: row.offset_bytes,
            length_bytes: row.length_bytes,
            file_name: row.file_name,
            created_at: Timestamp::from_unix_ms(row.created_at),
        })
    }
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    id: String,
    client: String,
    created_at: i64,
    seen_at: i64,
    expires_at: i64,
    ended_at: Option<i64>,
}

impl TryFrom<SessionRow> for SessionNote {
    type Error = CatalogError;

    fn try_from(row: SessionRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: parsed("sessions.id", &row.id)?,
            client: row.client,
            created_at: Timestamp::from_unix_ms(row.created_at),
            seen_at: Timestamp::from_unix_ms(row.seen_at),
            expires_at: Timestamp::from_unix_ms(row.expires_at),
            ended_at: row.ended_at.map(Timestamp::from_unix_ms),
        })
    }
}

#[derive(sqlx::FromRow)]
struct ShareRow {
    asset_id: String,
    user_id: String,
    standing: String,
    created_at: i64,
}

impl TryFrom<ShareRow> for ShareNote {
    type Error = CatalogError;

    fn try_from(row: ShareRow) -> Result<Self, CatalogError> {
        let standing = Standing::shared(&row.standing);
        Ok(Self {
            asset: parsed("asset_shares.asset_id", &row.asset_id)?,
            user: parsed("asset_shares.user_id", &row.user_id)?,
            standing: standing.ok_or_else(|| corrupt("asset_shares.standing", &row.standing))?,
            created_at: Timestamp::from_unix_ms(row.created_at),
        })
    }
}
