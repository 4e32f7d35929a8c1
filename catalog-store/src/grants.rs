//! Upload capabilities: who holds the secret may upload, within bounds, a number of times.

use domain::{AssetId, ByteSize, KeyId, Timestamp};
use serde_json::json as object;
use sha2::{Digest, Sha256};

use crate::audit::Note;
use crate::engine::{args, column, count, count32, document, json, parsed};
use crate::{Catalog, CatalogError, Side, sql};

/// What every secret begins with.
pub const SECRET_PREFIX: &str = "grt_";

/// Who did it where nobody is asked for a name.
pub const ANYBODY: &str = "anybody";

/// The id under which the capability of a secret is stored: the first half of its hash.
pub fn id_of(secret: &str) -> String {
    let hash = Sha256::digest(secret.as_bytes());
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A capability to upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Made from the hash of its secret.
    pub id: String,
    /// The principal who gave it, to whom its uploads belong.
    pub owner: Option<String>,
    /// The API key that it was made with, and holds no longer than.
    pub key: Option<KeyId>,
    /// Largest upload, in octets.
    pub bytes_max: Option<u64>,
    /// Longest source, in seconds.
    pub duration_s_max: Option<u32>,
    /// Media types, such as `video/mp4` or `audio/*`; empty for all.
    pub types: Vec<String>,
    /// The origin that a browser must come from.
    pub origin: Option<String>,
    /// Uploads that may still be created.
    pub uses_left: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// It was taken back.
    pub is_revoked: bool,
    /// When it was given.
    pub created_at: Timestamp,
    /// The asset of which it brings another source; `None` for new assets.
    pub asset: Option<AssetId>,
    /// It brings a document of that asset instead.
    pub is_document: bool,
}

impl Grant {
    /// What it is good for: `open` creates uploads, with one that is `used` those go on that there are, and one that is
    /// `expired` or `revoked` is good for nothing.
    pub fn state_at(&self, now: Timestamp) -> &'static str {
        match self {
            grant if grant.is_revoked => "revoked",
            grant if grant.expires_at <= now => "expired",
            grant if grant.uses_left == 0 => "used",
            _ => "open",
        }
    }
}

/// Most capabilities on a page.
pub const PAGE_GRANTS_MAX: u32 = 100;

/// Parts under a capability that are not paid for by a use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpaidParts {
    /// How many.
    pub count: u64,
    /// What they announced, or hold where that is unknown.
    pub bytes: ByteSize,
    /// Uses that are spent already, on uploads that some of these parts still grow for.
    pub waiting: u64,
}

impl Catalog {
    /// Records a capability, and in the audit log who gave it.
    ///
    /// # Errors
    /// [`CatalogError::Statement`] if its id exists, [`CatalogError::AccountGone`].
    pub async fn create_grant(&self, grant: &Grant) -> Result<(), CatalogError> {
        let bytes_max = grant.bytes_max.map(column).transpose()?;
        let types = json("upload_grants.types", &grant.types)?;
        let (id, owner, origin) = (grant.id.clone(), grant.owner.clone(), grant.origin.clone());
        let duration_s_max = grant.duration_s_max.map(i64::from);
        let (expires_at, created_at) = (grant.expires_at, grant.created_at);
        let asset = grant.asset.map(|asset| asset.to_string());
        let args = args![
            id,
            owner,
            bytes_max,
            duration_s_max,
            types,
            origin,
            grant.uses_left,
            expires_at,
            created_at,
            asset,
            grant.is_document,
            grant.key.map(|key| key.to_string())
        ];
        let mut tx = self.begin().await?;
        let data = object!({ "asset": grant.asset, "is_document": grant.is_document, "key": grant.key });
        let actor = grant.owner.as_deref().unwrap_or(ANYBODY);
        tx.audit(Note { actor, action: "upload_grant.created", subject: Some(grant.id.clone()), data }, created_at)
            .await?;
        tx.hold_owner(grant.owner.as_deref()).await?;
        tx.execute(sql::grants::INSERT, args).await?;
        tx.commit().await
    }

    /// The capability with this id, in whatever state.
    pub async fn grant(&self, id: &str) -> Result<Option<Grant>, CatalogError> {
        let row: Option<GrantRow> = self.row(sql::grants::BY_ID, args![id]).await?;
        row.map(Grant::try_from).transpose()
    }

    /// At most `limit` (and [`PAGE_GRANTS_MAX`] + 1) capabilities that `owner` gave, or anybody if that is `None`, in
    /// whatever state: the newest first, those on one side of the one that was given then and has this id.
    pub async fn grants_of(
        &self,
        owner: Option<&str>,
        side: Option<Side<(Timestamp, String)>>,
        limit: u32,
    ) -> Result<Vec<Grant>, CatalogError> {
        use sql::grants as by;
        let ((at, id), way) = Side::or_first(side, (Timestamp::from_unix_ms(i64::MAX), String::new()));
        let mut args = args![at, id, limit.min(PAGE_GRANTS_MAX + 1)];
        let statements = match owner {
            Some(owner) => {
                args.push(owner.into());
                [by::PAGE_OF_OWNER, by::PAGE_OF_OWNER_BEFORE]
            }
            None => [by::PAGE, by::PAGE_BEFORE],
        };
        let rows: Vec<GrantRow> = self.page(way, statements, args).await?;
        rows.into_iter().map(Grant::try_from).collect()
    }

    /// The live parts under a capability that came before the use that pays for them.
    pub async fn unpaid_parts(&self, grant: &str) -> Result<UnpaidParts, CatalogError> {
        let parts: Option<PartsRow> = self.row(sql::grants::PARTS, args![grant]).await?;
        let (parts_count, bytes) = parts.map_or((0, 0), |row| (row.count, row.bytes));
        Ok(UnpaidParts {
            count: count("uploads.count", parts_count)?,
            bytes: ByteSize(count("uploads.bytes", bytes)?),
            waiting: self.number(sql::grants::WAITING, args![grant]).await?,
        })
    }

    /// Takes a capability back in the name of `actor`, or of [`ANYBODY`]; false if there is none or that was done
    /// before.
    pub async fn revoke_grant(&self, id: &str, actor: Option<&str>, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let actor = actor.unwrap_or(ANYBODY);
        let note = Note { actor, action: "upload_grant.revoked", subject: Some(id.to_owned()), data: object!({}) };
        tx.audit(note, now).await?;
        if tx.execute(sql::grants::REVOKE, args![id, now]).await? != 1 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Forgets capabilities that ended before `oldest`; how many there were.
    pub async fn prune_grants(&self, oldest: Timestamp) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let gone = tx.execute(sql::grants::PRUNE, args![oldest]).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

#[derive(sqlx::FromRow)]
struct PartsRow {
    count: i64,
    bytes: i64,
}

/// `upload_grants` as stored.
#[derive(sqlx::FromRow)]
pub(crate) struct GrantRow {
    id: String,
    owner: Option<String>,
    bytes_max: Option<i64>,
    duration_s_max: Option<i64>,
    types: String,
    origin: Option<String>,
    uses_left: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
    created_at: i64,
    asset_id: Option<String>,
    is_document: i64,
    key_id: Option<String>,
}

impl TryFrom<GrantRow> for Grant {
    type Error = CatalogError;

    fn try_from(row: GrantRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            owner: row.owner,
            key: row.key_id.map(|id| parsed("upload_grants.key_id", &id)).transpose()?,
            bytes_max: row.bytes_max.map(|bytes| count("upload_grants.bytes_max", bytes)).transpose()?,
            duration_s_max: row.duration_s_max.map(|s| count32("upload_grants.duration_s_max", s)).transpose()?,
            types: document("upload_grants.types", &row.types)?,
            origin: row.origin,
            uses_left: count32("upload_grants.uses_left", row.uses_left)?,
            expires_at: Timestamp::from_unix_ms(row.expires_at),
            is_revoked: row.revoked_at.is_some(),
            created_at: Timestamp::from_unix_ms(row.created_at),
            asset: row.asset_id.map(|id| parsed("upload_grants.asset_id", &id)).transpose()?,
            is_document: row.is_document != 0,
        })
    }
}
