//! Documents of assets: brought by uploads, named, put in order, taken back.
//!
//! ```text
//! begin --> uploading --> ready --> removing --> gone
//!               |           ^ sha256 and type are known before
//!               +--> failed, or gone if its uploader gave it up
//! ```
//!
//! What players get of them stands in the pointer of their asset: a change is recorded in one transaction with the job
//! that writes it (docs/adr/0044).

use domain::document::{Listed, State};
use domain::{AssetId, AssetState, ByteSize, DocumentId, Failure, JobId, Timestamp, UploadId, UserId};
use serde_json::json;

use crate::assets::AssetRow;
use crate::catalog::{Number, Text, Tx};
use crate::engine::{args, column, corrupt, count, document, json as text, parsed};
use crate::texts::{lock_living, wish};
use crate::{Catalog, CatalogError, LeasedJob, sql};

/// A document of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// The asset.
    pub asset: AssetId,
    /// What brings it.
    pub upload: UploadId,
    /// What people call it.
    pub name: String,
    /// What is said of it.
    pub description: String,
    /// Where it stands.
    pub state: State,
    /// Octets of it that are recorded.
    pub offset: u64,
    /// What it is, once all of it is there.
    pub media_type: Option<String>,
    /// Its SHA-256, once all of it is there.
    pub sha256: Option<String>,
    /// Its length, once it is complete.
    pub size: Option<ByteSize>,
    /// Why nothing came of it.
    pub failure: Option<Failure>,
    /// Rises with every change of its name, description and place.
    pub version: u64,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What people say of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentText {
    /// What they call it.
    pub name: String,
    /// What they say of it.
    pub description: String,
    /// Where it stands among the others, from 0; behind the last means at the end, `None` leaves it where it is.
    pub position: Option<u64>,
}

impl Catalog {
    /// The documents of an asset in their order, without those that are taken back.
    pub async fn documents(&self, asset: AssetId) -> Result<Vec<Document>, CatalogError> {
        let rows: Vec<DocumentRow> = self.rows(sql::documents::OF_ASSET, args![asset]).await?;
        rows.into_iter().map(Document::try_from).collect()
    }

    /// One document; `None` if there is none or it is taken back.
    pub async fn document(&self, asset: AssetId, id: DocumentId) -> Result<Option<Document>, CatalogError> {
        let row: Option<DocumentRow> = self.row(sql::documents::BY_ID, args![asset, id]).await?;
        row.map(Document::try_from).transpose()
    }

    /// What the pointer of an asset tells of its documents: those that are there, in order.
    pub async fn listed_documents(&self, asset: AssetId) -> Result<Vec<Listed>, CatalogError> {
        Ok(self.documents(asset).await?.into_iter().filter_map(Document::listed).collect())
    }

    /// Documents of an asset that are taken back, whose objects may still be there.
    pub async fn removed_documents(&self, asset: AssetId) -> Result<Vec<DocumentId>, CatalogError> {
        let rows: Vec<Text> = self.rows(sql::documents::REMOVED, args![asset]).await?;
        rows.into_iter().map(|row| parsed("documents.id", &row.text)).collect()
    }

    /// Documents of all assets of somebody, the newest first; at most `limit`.
    pub async fn documents_of(&self, owner: UserId, limit: u32) -> Result<Vec<Document>, CatalogError> {
        let rows: Vec<DocumentRow> = self.rows(sql::documents::OF_OWNER, args![owner, limit]).await?;
        rows.into_iter().map(Document::try_from).collect()
    }

    /// Notes what an upload brings, of which all octets are there: to be done before it is finished.
    pub async fn describe_document(
        &self,
        upload: UploadId,
        (media_type, sha256): (&str, &str),
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.execute(sql::documents::DESCRIBE, args![upload, media_type, sha256]).await?;
        tx.commit().await
    }

    /// Changes what is said of a document that is at `version`, and where it stands; `job` will show it. `None` if
    /// there is none.
    ///
    /// # Errors
    /// [`CatalogError::Changed`] if it is at another version, [`CatalogError::NoAsset`] if the asset does not exist or
    /// is deleted, [`CatalogError::AssetFailed`].
    pub async fn change_document(
        &self,
        (asset, id): (AssetId, DocumentId),
        version: u64,
        said: &DocumentText,
        job: JobId,
        now: Timestamp,
    ) -> Result<Option<Document>, CatalogError> {
        let mut tx = self.begin().await?;
        let row = lock_living(&mut tx, asset, now).await?;
        let found: Option<DocumentRow> = tx.row(sql::documents::BY_ID, args![asset, id]).await?;
        let Some(found) = found.map(Document::try_from).transpose()? else { return Ok(None) };
        if found.version != version {
            return Err(CatalogError::Changed { version: found.version });
        }
        let args = args![asset, id, column(version)?, said.name.clone(), said.description.clone(), now];
        tx.execute(sql::documents::CHANGE, args).await?;
        if let Some(position) = said.position {
            put_in_order(&mut tx, (asset, id), position).await?;
        }
        tx.event(now, "asset.document.changed", asset, json!({ "document": id, "name": said.name }));
        if found.state == State::Ready {
            wish(&mut tx, &row, asset, job, now).await?;
        }
        let changed: Option<DocumentRow> = tx.row(sql::documents::BY_ID, args![asset, id]).await?;
        tx.commit().await?;
        changed.map(Document::try_from).transpose()
    }

    /// Takes a document back, if it is still at `version` where one is named, and gives up what brings it; `job` will
    /// show the asset without it and remove its object. False if there is none.
    ///
    /// # Errors
    /// [`CatalogError::Changed`], [`CatalogError::NoAsset`] if the asset does not exist or is deleted,
    /// [`CatalogError::AssetFailed`].
    pub async fn remove_document(
        &self,
        (asset, id): (AssetId, DocumentId),
        version: Option<u64>,
        job: JobId,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let row = lock_living(&mut tx, asset, now).await?;
        if let Some(version) = version {
            let found: Option<DocumentRow> = tx.row(sql::documents::BY_ID, args![asset, id]).await?;
            let Some(found) = found.map(Document::try_from).transpose()? else { return Ok(false) };
            if found.version != version {
                return Err(CatalogError::Changed { version: found.version });
            }
        }
        if tx.execute(sql::documents::REMOVE, args![asset, id, now]).await? == 0 {
            return Ok(false);
        }
        tx.execute(sql::documents::TERMINATE_UPLOAD, args![id, now]).await?;
        tx.execute(sql::documents::DELETE_UPLOAD, args![id]).await?;
        tx.event(now, "asset.document.removed", asset, json!({ "document": id }));
        wish(&mut tx, &row, asset, job, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Forgets a document that was taken back and whose object is gone.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`].
    pub async fn forget_document(&self, job: &LeasedJob, id: DocumentId, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.execute(sql::documents::FORGET_REMOVED, args![job.asset, id]).await?;
        tx.fenced(job, sql::jobs::PROGRESS, args![job.id, job.fence, now]).await?;
        tx.commit().await
    }
}

impl Document {
    /// As the pointer of its asset tells of it; `None` unless it is there.
    fn listed(self) -> Option<Listed> {
        let Self { id, name, description, state, media_type, sha256, size, .. } = self;
        let (media_type, sha256, size_bytes) = (media_type?, sha256?, size?);
        (state == State::Ready).then_some(Listed { id, name, description, media_type, size_bytes, sha256 })
    }
}

/// Begins a document of an asset, which `upload` will bring.
pub(crate) async fn begin(
    tx: &mut Tx,
    asset: AssetId,
    (id, upload, name): (DocumentId, UploadId, &str),
    count_max: u32,
    now: Timestamp,
) -> Result<(), CatalogError> {
    lock_living(tx, asset, now).await?;
    tx.execute(sql::documents::FORGET_FAILED, args![asset]).await?;
    let known: Option<Number> = tx.row(sql::documents::COUNT_OF_ASSET, args![asset]).await?;
    if known.is_some_and(|known| known.number >= i64::from(count_max)) {
        return Err(CatalogError::TooManyDocuments { asset, count_max });
    }
    tx.execute(sql::documents::INSERT, args![id, asset, upload, name, now]).await?;
    tx.event(now, "asset.document.uploading", asset, json!({ "document": id, "upload": upload, "name": name }));
    Ok(())
}

/// The octets of a document of a locked asset are complete and described: it can be had.
pub(crate) async fn receive(
    tx: &mut Tx,
    row: &AssetRow,
    (asset, id): (AssetId, DocumentId),
    size: ByteSize,
    job: JobId,
    now: Timestamp,
) -> Result<(), CatalogError> {
    if tx.execute(sql::documents::RECEIVED, args![asset, id, column(size.0)?, now]).await? != 1 {
        return Err(corrupt("documents.sha256", format!("nobody looked at {id}")));
    }
    let found: Option<DocumentRow> = tx.row(sql::documents::BY_ID, args![asset, id]).await?;
    let found = found.map(Document::try_from).transpose()?;
    let (name, media_type) = found.map(|found| (found.name, found.media_type)).unzip();
    let data = json!({ "document": id, "name": name, "media_type": media_type.flatten(), "size_bytes": size });
    tx.event(now, "asset.document.added", asset, data);
    if row.state()? != AssetState::Failed {
        wish(tx, row, asset, job, now).await?;
    }
    Ok(())
}

/// Nothing comes of a document of a locked asset, since its upload ended: it is told why, or forgotten if its uploader
/// gave it up.
pub(crate) async fn end(
    tx: &mut Tx,
    (asset, id): (AssetId, DocumentId),
    failure: Option<&Failure>,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let Some(failure) = failure else {
        tx.execute(sql::documents::DELETE, args![asset, id]).await?;
        tx.event(now, "asset.document.ended", asset, json!({ "document": id }));
        return Ok(());
    };
    tx.execute(sql::documents::FAILED, args![asset, id, text("documents.failure", failure)?, now]).await?;
    tx.event(now, "asset.document.failed", asset, json!({ "document": id, "failure": failure }));
    Ok(())
}

/// Numbers the documents of a locked asset anew, with this one at `position`.
async fn put_in_order(tx: &mut Tx, (asset, id): (AssetId, DocumentId), position: u64) -> Result<(), CatalogError> {
    let rows: Vec<DocumentRow> = tx.rows(sql::documents::OF_ASSET, args![asset]).await?;
    let mut order: Vec<(DocumentId, i64)> = Vec::with_capacity(rows.len());
    for row in rows {
        order.push((parsed("documents.id", &row.id)?, row.position));
    }
    let Some(from) = order.iter().position(|(one, _)| *one == id) else { return Ok(()) };
    let moved = order.remove(from);
    order.insert(usize::try_from(position).unwrap_or(usize::MAX).min(order.len()), moved);
    for ((one, now), wanted) in order.into_iter().zip(1i64..) {
        if now != wanted {
            tx.execute(sql::documents::PLACE, args![asset, one, wanted]).await?;
        }
    }
    Ok(())
}

/// `documents` as stored, with what is known of the upload.
#[derive(sqlx::FromRow)]
struct DocumentRow {
    id: String,
    asset_id: String,
    upload_id: String,
    position: i64,
    name: String,
    description: String,
    state: String,
    media_type: Option<String>,
    sha256: Option<String>,
    size_bytes: Option<i64>,
    failure: Option<String>,
    version: i64,
    created_at: i64,
    updated_at: i64,
    offset_bytes: Option<i64>,
}

impl TryFrom<DocumentRow> for Document {
    type Error = CatalogError;

    fn try_from(row: DocumentRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: parsed("documents.id", &row.id)?,
            asset: parsed("documents.asset_id", &row.asset_id)?,
            upload: parsed("documents.upload_id", &row.upload_id)?,
            name: row.name,
            description: row.description,
            state: State::from_name(&row.state).ok_or_else(|| corrupt("documents.state", &row.state))?,
            offset: count("uploads.offset_bytes", row.offset_bytes.unwrap_or(0))?,
            media_type: row.media_type,
            sha256: row.sha256,
            size: row.size_bytes.map(|size| count("documents.size_bytes", size).map(ByteSize)).transpose()?,
            failure: row.failure.map(|failure| document("documents.failure", &failure)).transpose()?,
            version: count("documents.version", row.version)?,
            created_at: Timestamp::from_unix_ms(row.created_at),
            updated_at: Timestamp::from_unix_ms(row.updated_at),
        })
    }
}
