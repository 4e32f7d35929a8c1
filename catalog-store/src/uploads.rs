//! Resumable uploads, and how many of their bytes are durable.

use domain::{AssetEvent, AssetId, AssetState, ByteSize, JobId, PlaybackId, Timestamp, UploadId};
use serde_json::json;

use crate::engine::{args, column, corrupt, count, parsed};
use crate::{Catalog, CatalogError, assets, sql};

/// An upload to be created, with the asset it will become.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Its id.
    pub id: UploadId,
    /// The asset it creates.
    pub asset: AssetId,
    /// The name under which the asset will be served.
    pub playback: PlaybackId,
    /// Announced length; `None` if it is announced later.
    pub length: Option<u64>,
    /// The protocol's metadata header, verbatim.
    pub metadata: String,
    /// Name of the file, if given.
    pub file_name: Option<String>,
    /// The present.
    pub now: Timestamp,
}

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UploadState {
    /// It takes bytes.
    Open,
    /// All bytes are durable, the asset is received.
    Complete,
    /// Given up; its bytes may be discarded.
    Terminated,
}

impl UploadState {
    /// The name used in the database and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Terminated => "terminated",
        }
    }
}

impl std::fmt::Display for UploadState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An upload as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// The asset it creates.
    pub asset: AssetId,
    /// The name under which the asset will be served.
    pub playback: PlaybackId,
    /// Where it stands.
    pub state: UploadState,
    /// Announced length; `None` if it is announced later.
    pub length: Option<u64>,
    /// Bytes that are durable and may be acknowledged.
    pub offset: u64,
    /// The protocol's metadata header, verbatim.
    pub metadata: String,
    /// Name of the file, if given.
    pub file_name: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its offset or state last changed.
    pub updated_at: Timestamp,
}

impl Catalog {
    /// Creates an upload and its asset, in the state `uploading`.
    ///
    /// # Errors
    /// [`CatalogError::Statement`] if one of the ids exists.
    pub async fn create_upload(&self, new: &NewUpload) -> Result<(), CatalogError> {
        let length = new.length.map(column).transpose()?;
        let mut tx = self.begin().await?;
        assets::insert(&mut tx, new.asset, new.playback, new.file_name.clone(), new.now).await?;
        let args = args![new.id, new.asset, length, new.metadata.clone(), new.file_name.clone(), new.now];
        tx.execute(sql::uploads::INSERT, args).await?;
        tx.commit().await
    }

    /// The upload with this id, in whatever state.
    pub async fn upload(&self, id: UploadId) -> Result<Option<Upload>, CatalogError> {
        let row: Option<UploadRow> = self.row(sql::uploads::BY_ID, args![id]).await?;
        row.map(Upload::try_from).transpose()
    }

    /// All uploads that still take bytes, oldest first.
    pub async fn open_uploads(&self) -> Result<Vec<Upload>, CatalogError> {
        let rows: Vec<UploadRow> = self.rows(sql::uploads::OPEN, args![]).await?;
        rows.into_iter().map(Upload::try_from).collect()
    }

    /// Records that the first `offset` bytes are durable. Call it after the sync, before the acknowledgement.
    ///
    /// # Errors
    /// [`CatalogError::Offset`] if the recorded offset is larger or the length is exceeded,
    /// [`CatalogError::UploadClosed`] and [`CatalogError::NoUpload`] if it takes no bytes.
    pub async fn advance_upload(&self, id: UploadId, offset: u64, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        if tx.execute(sql::uploads::ADVANCE, args![id, column(offset)?, now]).await? == 1 {
            return tx.commit().await;
        }
        let upload = self.upload_in(&mut tx, id).await?;
        Err(refusal(&upload, offset))
    }

    /// Completes an upload of `size` bytes: in one transaction the asset is received and `job` will probe it.
    ///
    /// Does nothing if that happened before.
    ///
    /// # Errors
    /// [`CatalogError::UploadClosed`] if it was terminated, [`CatalogError::Offset`] if `size` is not the announced
    /// length, [`CatalogError::NoUpload`] if there is none.
    pub async fn finish_upload(&self, id: UploadId, size: u64, job: JobId, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let asset = self.upload_in(&mut tx, id).await?.asset;
        let state = tx.lock_asset(asset, now).await?.state()?;
        if tx.execute(sql::uploads::COMPLETE, args![id, column(size)?, now]).await? != 1 {
            let upload = self.upload_in(&mut tx, id).await?;
            return if upload.state == UploadState::Complete { Ok(()) } else { Err(refusal(&upload, size)) };
        }
        assets::receive(&mut tx, (asset, state), ByteSize(size), job, now).await?;
        tx.commit().await
    }

    /// Gives an upload up and deletes its asset; false if it was not open any more.
    ///
    /// The asset of a complete upload stays.
    ///
    /// # Errors
    /// [`CatalogError::NoUpload`] if there is none.
    pub async fn terminate_upload(&self, id: UploadId, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let asset = self.upload_in(&mut tx, id).await?.asset;
        let state = tx.lock_asset(asset, now).await?.state()?;
        if tx.execute(sql::uploads::TERMINATE, args![id, now]).await? != 1 {
            return Ok(false);
        }
        if state != AssetState::Deleted {
            tx.apply((asset, state), AssetEvent::Deleted, json!({}), now).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn upload_in(&self, tx: &mut crate::catalog::Tx, id: UploadId) -> Result<Upload, CatalogError> {
        let row: Option<UploadRow> = tx.row(sql::uploads::BY_ID, args![id]).await?;
        row.ok_or(CatalogError::NoUpload(id))?.try_into()
    }
}

fn refusal(upload: &Upload, wanted: u64) -> CatalogError {
    match upload.state {
        UploadState::Open => CatalogError::Offset { upload: upload.id, current: upload.offset, wanted },
        state => CatalogError::UploadClosed { upload: upload.id, state },
    }
}

/// `uploads` as stored, joined with the playback id.
#[derive(sqlx::FromRow)]
struct UploadRow {
    id: String,
    asset_id: String,
    playback_id: String,
    state: String,
    length_bytes: Option<i64>,
    offset_bytes: i64,
    metadata: String,
    file_name: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<UploadRow> for Upload {
    type Error = CatalogError;

    fn try_from(row: UploadRow) -> Result<Self, CatalogError> {
        let states = [UploadState::Open, UploadState::Complete, UploadState::Terminated];
        let state = states.into_iter().find(|state| state.as_str() == row.state);
        Ok(Self {
            id: parsed("uploads.id", &row.id)?,
            asset: parsed("uploads.asset_id", &row.asset_id)?,
            playback: parsed("assets.playback_id", &row.playback_id)?,
            state: state.ok_or_else(|| corrupt("uploads.state", &row.state))?,
            length: row.length_bytes.map(|length| count("uploads.length_bytes", length)).transpose()?,
            offset: count("uploads.offset_bytes", row.offset_bytes)?,
            metadata: row.metadata,
            file_name: row.file_name,
            created_at: Timestamp::from_unix_ms(row.created_at),
            updated_at: Timestamp::from_unix_ms(row.updated_at),
        })
    }
}
