//! Resumable uploads, and how many of their bytes are durable.

use std::collections::{BTreeMap, BTreeSet};

use domain::document;
use domain::{AssetEvent, AssetId, AssetState, ByteSize, Failure, JobId, SourceVersion, Timestamp, UploadId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::engine::{self, args, column, corrupt, count, count32, json, parsed};
use crate::{Catalog, CatalogError, ReprocessJobs, Target, ahead, assets, documents, sql, versions};

/// What an upload is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UploadKind {
    /// One file: it becomes the source of an asset.
    Whole,
    /// A part of a file: it has no asset until a final upload takes it.
    Partial,
    /// The concatenation of parts: it becomes the source of an asset, and takes no bytes itself.
    Final,
}

impl UploadKind {
    /// The name used in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Partial => "partial",
            Self::Final => "final",
        }
    }
}

/// What the creating request asked for; it never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UploadTerms {
    /// `Upload-Concat`, verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concat: Option<String>,
    /// The parts of a final upload, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<UploadId>,
    /// Digests the whole must have: algorithm, base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<String, String>,
    /// Algorithms in which the client wants to be told the digest of the whole, the dearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wanted_digests: Vec<String>,
    /// Media type of the whole, as the client declared it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The capability it was created under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Most octets that capability allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// Longest source that capability allows, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s_max: Option<u32>,
    /// Media types that capability allows; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// The address it is imported from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether it was created in the protocol of the IETF draft: a question that names no protocol is in that one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_draft: bool,
}

/// An upload to be created, with the asset it will become.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Its id.
    pub id: UploadId,
    /// What it is for.
    pub kind: UploadKind,
    /// The asset it creates; `None` exactly for a part.
    pub target: Option<Target>,
    /// Announced length; `None` if it is announced later.
    pub length: Option<u64>,
    /// The protocol's metadata header, verbatim.
    pub metadata: String,
    /// Name of the file, if given.
    pub file_name: Option<String>,
    /// What the creating request asked for.
    pub terms: UploadTerms,
    /// The principal it belongs to; `None` where nobody is asked for a name.
    pub owner: Option<String>,
    /// When it is given up unless more bytes come; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// How many documents its asset may have, if it brings one.
    pub documents_max: u32,
    /// If it brings another source of an asset, that is not shown before somebody has looked at it.
    pub needs_review: bool,
    /// Of two creations with the same key only the first happens: see [`Catalog::upload_by_repeat_key`].
    pub repeat_key: Option<String>,
    /// The present.
    pub now: Timestamp,
}

impl NewUpload {
    /// An upload of one file, without an owner, that never expires.
    pub fn whole(id: UploadId, target: Target, length: Option<u64>, now: Timestamp) -> Self {
        Self {
            id,
            kind: UploadKind::Whole,
            target: Some(target),
            length,
            metadata: String::new(),
            file_name: None,
            terms: UploadTerms::default(),
            owner: None,
            expires_at: None,
            documents_max: document::COUNT_MAX,
            needs_review: false,
            repeat_key: None,
            now,
        }
    }
}

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UploadState {
    /// It takes bytes.
    Open,
    /// All bytes are durable; unless it is a part, the asset is received.
    Complete,
    /// Given up; its bytes may be discarded.
    Terminated,
    /// Given up because nothing came for too long; its bytes may be discarded.
    Expired,
    /// Its bytes are not wanted: [`Upload::failure`] says why. They may be discarded.
    Refused,
}

impl UploadState {
    const ALL: [Self; 5] = [Self::Open, Self::Complete, Self::Terminated, Self::Expired, Self::Refused];

    /// The name used in the database and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Terminated => "terminated",
            Self::Expired => "expired",
            Self::Refused => "refused",
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
    /// What it is for.
    pub kind: UploadKind,
    /// The asset it creates; `None` exactly for a part.
    pub target: Option<Target>,
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
    /// What the creating request asked for.
    pub terms: UploadTerms,
    /// The principal it belongs to.
    pub owner: Option<String>,
    /// When it is given up unless more bytes come.
    pub expires_at: Option<Timestamp>,
    /// Why its bytes are not wanted.
    pub failure: Option<Failure>,
    /// All its bytes are durable, also the last one, which is not counted before the upload is complete: nothing
    /// more need come from the client. Where no length is announced, the offset is the length then.
    pub is_full: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its offset or state last changed.
    pub updated_at: Timestamp,
}

impl Upload {
    /// Its length, once nothing more need come from the client; `None` while bytes are missing, or while nobody can
    /// tell whether they are. What a final upload needs comes from its parts.
    pub fn full_length(&self) -> Option<u64> {
        let is_all_counted = self.kind != UploadKind::Final && self.length == Some(self.offset);
        (self.is_full || is_all_counted).then(|| self.length.unwrap_or(self.offset))
    }
}

/// That the first `offset` bytes of an upload are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The upload.
    pub id: UploadId,
    /// Durable bytes.
    pub offset: u64,
    /// When it is given up unless more bytes come; `None` leaves that as it is.
    pub expires_at: Option<Timestamp>,
    /// The last byte is durable too, although it is not counted: see [`Upload::is_full`].
    pub is_full: bool,
}

/// How an open upload ends without its last byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The client gave it up: the asset is deleted.
    Terminated,
    /// Nothing came for too long: the asset is deleted.
    Expired,
    /// Its bytes are not wanted: the asset fails for this reason.
    Refused(Failure),
}

impl Catalog {
    /// Creates an upload and, unless it is a part or brings another source or a document, its asset in the state
    /// `uploading`. The parts of a final upload are taken by it: see [`Catalog::usage_of`].
    ///
    /// # Errors
    /// [`CatalogError::Statement`] if one of the ids exists, [`CatalogError::GrantSpent`] if it is created under a
    /// capability that cannot be used (again). Parts leave the number of its uses alone. Another source of an asset
    /// fails with [`CatalogError::NoAsset`], [`CatalogError::NotReady`], [`CatalogError::VersionUnderWay`] or
    /// [`CatalogError::TooManyVersions`], a document with [`CatalogError::NoAsset`], [`CatalogError::AssetFailed`] or
    /// [`CatalogError::TooManyDocuments`]. [`CatalogError::AccountGone`] if it would be that of a deleted account.
    pub async fn create_upload(&self, new: &NewUpload) -> Result<(), CatalogError> {
        let length = new.length.map(column).transpose()?;
        let mut tx = self.begin().await?;
        tx.hold_owner(new.owner.as_deref()).await?;
        if let (Some(grant), Some(_)) = (&new.terms.grant, new.target) {
            let uses = tx.execute(sql::grants::USE, args![grant.as_str(), new.now]).await?;
            if uses != 1 {
                return Err(CatalogError::GrantSpent(grant.clone()));
            }
        }
        let mut version = SourceVersion::FIRST;
        if let Some(Target { asset, playback, document, .. }) = new.target {
            if let Some(document) = document {
                version = SourceVersion::NONE;
                let name = new.file_name.as_deref().unwrap_or(document::NAMELESS);
                documents::begin(&mut tx, asset, (document, new.id, name), new.documents_max, new.now).await?;
            } else if let Some(target) = new.target.filter(|target| target.is_version()) {
                let brought = (new.id, new.needs_review);
                version = versions::begin(&mut tx, target.source(), brought, new.now).await?;
            } else {
                assets::insert(&mut tx, (asset, playback), new.file_name.clone(), new.owner.clone(), new.now).await?;
            }
        }
        let asset = new.target.map(|target| target.asset.to_string());
        let terms = self.sealed_terms(&new.id.to_string(), &new.terms)?;
        let expires_at = new.expires_at.map(Timestamp::unix_ms);
        let (metadata, file_name, owner) = (new.metadata.clone(), new.file_name.clone(), new.owner.clone());
        let (kind, key) = (new.kind.as_str(), new.repeat_key.clone());
        let grant = new.terms.grant.clone();
        let document = new.target.and_then(|target| target.document).map(|document| document.to_string());
        let args = args![
            new.id, kind, asset, length, metadata, file_name, terms, owner, expires_at, new.now, key, grant, version,
            document
        ];
        tx.execute(sql::uploads::INSERT, args).await?;
        for part in in_order(&new.terms.parts) {
            tx.execute(sql::uploads::TAKE_PART, args![part, new.id]).await?;
        }
        tx.commit().await
    }

    /// The upload with this id, in whatever state.
    pub async fn upload(&self, id: UploadId) -> Result<Option<Upload>, CatalogError> {
        let row: Option<UploadRow> = self.row(sql::uploads::BY_ID, args![id]).await?;
        row.map(|row| self.opened_upload(row)).transpose()
    }

    /// The upload that was created with this key, in whatever state.
    pub async fn upload_by_repeat_key(&self, key: &str) -> Result<Option<Upload>, CatalogError> {
        let row: Option<UploadRow> = self.row(sql::uploads::BY_REPEAT_KEY, args![key]).await?;
        row.map(|row| self.opened_upload(row)).transpose()
    }

    /// The upload that an asset still waits for; `None` once that is over.
    pub async fn open_upload_of(&self, asset: AssetId) -> Result<Option<Upload>, CatalogError> {
        let row: Option<UploadRow> = self.row(sql::uploads::OPEN_OF_ASSET, args![asset]).await?;
        row.map(|row| self.opened_upload(row)).transpose()
    }

    /// All uploads that still take bytes, oldest first.
    pub async fn open_uploads(&self) -> Result<Vec<Upload>, CatalogError> {
        let rows: Vec<UploadRow> = self.rows(sql::uploads::OPEN, args![]).await?;
        rows.into_iter().map(|row| self.opened_upload(row)).collect()
    }

    /// Records how many bytes of several uploads are durable, in one transaction; what became of each, in order.
    ///
    /// Call it after the sync, before the acknowledgement. A refused one changes nothing and disturbs no other:
    /// [`CatalogError::Offset`] if the recorded offset is larger or the length is exceeded,
    /// [`CatalogError::UploadClosed`] and [`CatalogError::NoUpload`] if it takes no bytes.
    ///
    /// # Errors
    /// When the transaction as a whole fails; then nothing is recorded.
    pub async fn advance_uploads(
        &self,
        advances: &[Advance],
        now: Timestamp,
    ) -> Result<Vec<Result<(), CatalogError>>, CatalogError> {
        let mut tx = self.begin().await?;
        let mut outcomes = Vec::with_capacity(advances.len());
        // In one order everywhere, so that no two transactions wait for each other in a circle.
        let mut order: Vec<usize> = (0..advances.len()).collect();
        order.sort_by_key(|at| advances[*at].id);
        for at in order {
            let Advance { id, offset, expires_at, is_full } = advances[at];
            let outcome = match column(offset) {
                Ok(column) => {
                    let args = args![id, column, now, expires_at.map(Timestamp::unix_ms), is_full];
                    match tx.execute(sql::uploads::ADVANCE, args).await? {
                        1 => Ok(()),
                        _ => Err(self.refusal_in(&mut tx, id, offset).await?),
                    }
                }
                Err(error) => Err(error),
            };
            outcomes.push((at, outcome));
        }
        tx.commit().await?;
        outcomes.sort_by_key(|(at, _)| *at);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Announces the length of an upload that had none.
    ///
    /// A length that is reached already is not announced but recorded by [`Catalog::finish_upload`]: whoever finds the
    /// offset equal to the length takes the upload for complete.
    ///
    /// # Errors
    /// [`CatalogError::Offset`] if another length is announced or as many bytes are there,
    /// [`CatalogError::UploadClosed`] and [`CatalogError::NoUpload`] if it takes no bytes.
    pub async fn set_upload_length(&self, id: UploadId, length: u64, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        if tx.execute(sql::uploads::SET_LENGTH, args![id, column(length)?, now]).await? == 1 {
            return tx.commit().await;
        }
        Err(self.refusal_in(&mut tx, id, length).await?)
    }

    /// Completes an upload of `size` bytes: in one transaction the asset is received and `job` will probe it.
    ///
    /// Does nothing if that happened before. A part is complete and nothing else. Another source of an asset that plays
    /// is not probed but planned beside it, by `job`; `spare` will remove whichever output is not in force in the end.
    /// A document has to be described by then ([`Catalog::describe_document`]), and `job` will show it.
    ///
    /// # Errors
    /// [`CatalogError::UploadClosed`] if it was terminated, [`CatalogError::Offset`] if `size` is not the announced
    /// length, [`CatalogError::NoUpload`] if there is none.
    pub async fn finish_upload(
        &self,
        id: UploadId,
        size: u64,
        (job, spare): (JobId, JobId),
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let locked = match self.upload_in(&mut tx, id).await?.target {
            Some(target) => Some((target, tx.lock_asset(target.asset, now).await?)),
            None => None,
        };
        if tx.execute(sql::uploads::COMPLETE, args![id, column(size)?, now]).await? != 1 {
            let upload = self.upload_in(&mut tx, id).await?;
            return if upload.state == UploadState::Complete { Ok(()) } else { Err(refusal(&upload, size)) };
        }
        match locked {
            Some((Target { asset, document: Some(document), .. }, row)) => {
                documents::receive(&mut tx, &row, (asset, document), ByteSize(size), job, now).await?;
            }
            Some((target, row)) if target.is_version() => {
                let jobs = ReprocessJobs { plan: job, retire: spare };
                versions::receive(&mut tx, &row, target.source(), ByteSize(size), jobs, now).await?;
            }
            Some((target, row)) => {
                tx.execute(sql::jobs::END_PLANNING_AHEAD, args![target.asset, now]).await?;
                assets::receive(&mut tx, (target.asset, row.state()?), ByteSize(size), job, now).await?;
            }
            None => {}
        }
        tx.commit().await
    }

    /// Gives an upload up, and with it its asset; false if it was not open any more. Of another source of an asset, or a
    /// document, only that is given up.
    ///
    /// The asset of a complete upload stays. A part may be given up after it is complete; the final uploads that waited
    /// for it are refused with it: see [`Catalog::close_upload_with_finals`].
    ///
    /// # Errors
    /// [`CatalogError::NoUpload`] if there is none.
    pub async fn close_upload(&self, id: UploadId, closing: &Closing, now: Timestamp) -> Result<bool, CatalogError> {
        Ok(self.close_upload_with_finals(id, closing, now).await?.is_some())
    }

    /// Open uploads, and complete parts, whose time is up; at most `limit` of each, the oldest first.
    pub async fn uploads_due_to_expire(&self, now: Timestamp, limit: u32) -> Result<Vec<Upload>, CatalogError> {
        let mut rows: Vec<UploadRow> = self.rows(sql::uploads::DUE_TO_EXPIRE, args![now, limit]).await?;
        rows.extend(self.rows::<UploadRow>(sql::uploads::PARTS_DUE, args![now, limit]).await?);
        rows.into_iter().map(|row| self.opened_upload(row)).collect()
    }

    /// Forgets parts that ended before `oldest`; how many there were.
    pub async fn prune_parts(&self, oldest: Timestamp) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let count = tx.execute(sql::uploads::PRUNE_PARTS, args![oldest]).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// Bytes that open uploads announced and have not sent yet.
    pub async fn reserved_bytes(&self) -> Result<u64, CatalogError> {
        self.number(sql::uploads::RESERVED, args![]).await
    }

    /// Open uploads of one owner, and the bytes of all that is theirs: announced or stored.
    ///
    /// The bytes of parts count as those of the final upload that took them last, once its length is known; as their
    /// own again when that is given up.
    pub async fn usage_of(&self, owner: &str) -> Result<(u64, ByteSize), CatalogError> {
        let open = self.number(sql::uploads::COUNT_OF_OWNER, args![owner]).await?;
        let bytes = self.number(sql::uploads::BYTES_OF_OWNER, args![owner]).await?;
        Ok((open, ByteSize(bytes)))
    }

    /// How much of the bytes in [`Catalog::usage_of`] these uploads are.
    pub async fn bytes_of(&self, uploads: &[UploadId]) -> Result<ByteSize, CatalogError> {
        let mut sum = 0u64;
        for upload in in_order(uploads) {
            sum = sum.saturating_add(self.number(sql::uploads::BYTES_OF_ONE, args![upload]).await?);
        }
        Ok(ByteSize(sum))
    }

    async fn refusal_in(
        &self,
        tx: &mut crate::catalog::Tx,
        id: UploadId,
        wanted: u64,
    ) -> Result<CatalogError, CatalogError> {
        match self.upload_in(tx, id).await {
            Ok(upload) => Ok(refusal(&upload, wanted)),
            Err(error @ CatalogError::NoUpload(_)) => Ok(error),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn opened_upload(&self, row: UploadRow) -> Result<Upload, CatalogError> {
        let mut upload = Upload::try_from(row)?;
        upload.terms.url = upload.terms.url.take().map(|url| self.opened_address(&upload.id.to_string(), url));
        Ok(upload)
    }

    pub(crate) async fn upload_in(&self, tx: &mut crate::catalog::Tx, id: UploadId) -> Result<Upload, CatalogError> {
        let row: Option<UploadRow> = tx.row(sql::uploads::BY_ID, args![id]).await?;
        row.ok_or(CatalogError::NoUpload(id))?.try_into()
    }
}

/// Gives an upload up in a transaction; false if it was not open any more.
pub(crate) async fn close_in(
    tx: &mut crate::catalog::Tx,
    upload: &Upload,
    closing: &Closing,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let (state, failure, event) = match closing {
        Closing::Terminated => (UploadState::Terminated, None, AssetEvent::Deleted),
        Closing::Expired => (UploadState::Expired, None, AssetEvent::Deleted),
        Closing::Refused(failure) => (UploadState::Refused, Some(failure), AssetEvent::Failed),
    };
    let (id, told) = (upload.id, failure.map(|failure| json("uploads.failure", failure)).transpose()?);
    let Some(target) = upload.target else {
        let changed = match told {
            None => tx.execute(sql::uploads::CLOSE_PART, args![id, state.as_str(), now]).await?,
            told => tx.execute(sql::uploads::CLOSE, args![id, state.as_str(), told, now]).await?,
        };
        return Ok(changed == 1);
    };
    let asset = target.asset;
    let row = tx.lock_asset(asset, now).await?;
    let from = row.state()?;
    if tx.execute(sql::uploads::CLOSE, args![id, state.as_str(), told, now]).await? != 1 {
        return Ok(false);
    }
    if let Some(document) = target.document {
        documents::end(tx, (asset, document), failure, now).await?;
    } else if from != AssetState::Deleted && target.is_version() {
        versions::end(tx, target.source(), failure, now).await?;
    } else if from != AssetState::Deleted {
        if let Some(failure) = failure {
            let told = json("assets.failure", failure)?;
            tx.execute(sql::assets::SET_FAILURE, args![asset, told]).await?;
            tx.apply((asset, from), event, json!({ "failure": failure }), now).await?;
        } else {
            tx.apply((asset, from), event, json!({}), now).await?;
        }
        ahead::give_up(tx, &row, asset, closing, now).await?;
    }
    Ok(true)
}

/// Each once, and in one order everywhere, so that no two transactions wait for each other in a circle.
pub(crate) fn in_order(uploads: &[UploadId]) -> BTreeSet<UploadId> {
    uploads.iter().copied().collect()
}

fn refusal(upload: &Upload, wanted: u64) -> CatalogError {
    match upload.state {
        UploadState::Open => CatalogError::Offset { upload: upload.id, current: upload.offset, wanted },
        state => CatalogError::UploadClosed { upload: upload.id, state },
    }
}

/// `uploads` as stored, joined with the playback id.
#[derive(sqlx::FromRow)]
pub(crate) struct UploadRow {
    id: String,
    kind: String,
    asset_id: Option<String>,
    playback_id: Option<String>,
    state: String,
    length_bytes: Option<i64>,
    offset_bytes: i64,
    metadata: String,
    file_name: Option<String>,
    terms: String,
    owner: Option<String>,
    expires_at: Option<i64>,
    failure: Option<String>,
    is_full: i64,
    source_version: i64,
    document_id: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<UploadRow> for Upload {
    type Error = CatalogError;

    fn try_from(row: UploadRow) -> Result<Self, CatalogError> {
        let kinds = [UploadKind::Whole, UploadKind::Partial, UploadKind::Final];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == row.kind);
        let state = UploadState::ALL.into_iter().find(|state| state.as_str() == row.state);
        let target = match (&row.asset_id, &row.playback_id) {
            (Some(asset), Some(playback)) => Some(Target {
                asset: parsed("uploads.asset_id", asset)?,
                playback: parsed("assets.playback_id", playback)?,
                version: SourceVersion(count32("uploads.source_version", row.source_version)?),
                document: row.document_id.as_deref().map(|id| parsed("uploads.document_id", id)).transpose()?,
            }),
            _ => None,
        };
        Ok(Self {
            id: parsed("uploads.id", &row.id)?,
            kind: kind.ok_or_else(|| corrupt("uploads.kind", &row.kind))?,
            target,
            state: state.ok_or_else(|| corrupt("uploads.state", &row.state))?,
            length: row.length_bytes.map(|length| count("uploads.length_bytes", length)).transpose()?,
            offset: count("uploads.offset_bytes", row.offset_bytes)?,
            metadata: row.metadata,
            file_name: row.file_name,
            terms: engine::document("uploads.terms", &row.terms)?,
            owner: row.owner,
            expires_at: row.expires_at.map(Timestamp::from_unix_ms),
            failure: row.failure.map(|failure| engine::document("uploads.failure", &failure)).transpose()?,
            is_full: row.is_full != 0,
            created_at: Timestamp::from_unix_ms(row.created_at),
            updated_at: Timestamp::from_unix_ms(row.updated_at),
        })
    }
}
