//! The sources that an asset has had, one after the other, under one playback id.
//!
//! ```text
//! begin --> uploading --> processing --> ready (in force) --> ready (kept) --> removing --> gone
//!               |              |              ^                   |
//!               |              +--> failed    +----- restore -----+
//!               +--> failed, or gone if it was given up
//! ```
//!
//! A new source is made into an output beside the one in force and takes its place in one step, as another output of
//! the same source does ([`crate::reprocess`], docs/adr/0042). What it replaces is kept, with its output, so that going back is a
//! matter of one row. Rows are there once an asset has had two sources.

use domain::presentation::RETAINED_MAX;
use domain::{
    AssetEvent, AssetId, AssetKind, AssetState, ByteSize, DocumentId, Failure, FailureCode, Generation, JobId, JobSpec,
    PlaybackId, Probe, SourceId, SourceVersion, Timestamp, UploadId,
};
use serde_json::json;

use crate::assets::{AssetRow, sound};
use crate::audit::Note;
use crate::catalog::{Number, Text, Tx};
use crate::engine::{args, column, corrupt, count, count32, document, json as text, parsed};
use crate::search::index::{self, Described};
use crate::{Catalog, CatalogError, LeasedJob, ReprocessJobs, UploadTerms, reprocess, sql};

/// Most sources of one asset that can be kept at a time.
pub const VERSIONS_KEPT_MAX: u32 = 4;
/// Why an asset waits for a review, as it is told.
const NEW_UNSEEN: &str = "A new version came, which nobody has looked at yet.";
/// The same of one that was gone back to.
const EARLIER_UNSEEN: &str = "An earlier version was gone back to, which nobody has looked at yet.";
// Players of all of them are served, as long as the pointer has room for them.
const _: () = assert!(VERSIONS_KEPT_MAX as usize <= RETAINED_MAX);

/// What an upload will become: an asset, another source of one, or a document of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub asset: AssetId,
    /// The name under which it will be served.
    pub playback: PlaybackId,
    /// Which of its sources; in a new upload, anything but the first means the next one, whose number will be at least
    /// this.
    pub version: SourceVersion,
    /// The document that it becomes, which is no source.
    pub document: Option<DocumentId>,
}

impl Target {
    /// A new asset.
    pub fn new(asset: AssetId, playback: PlaybackId) -> Self {
        Self { asset, playback, version: SourceVersion::FIRST, document: None }
    }

    /// Another source of an asset, with the next number.
    pub fn next_version(asset: AssetId, playback: PlaybackId) -> Self {
        Self::version_from(SourceId { asset, version: SourceVersion::SECOND }, playback)
    }

    /// The same with the next number that is not below this one: a database that was put back from a copy may have
    /// forgotten numbers under which something is stored.
    pub fn version_from(least: SourceId, playback: PlaybackId) -> Self {
        Self { asset: least.asset, playback, version: least.version, document: None }
    }

    /// A document of an asset.
    pub fn document(asset: AssetId, playback: PlaybackId, document: DocumentId) -> Self {
        Self { asset, playback, version: SourceVersion::NONE, document: Some(document) }
    }

    /// The source that comes of it, unless it is a document.
    pub fn source(self) -> SourceId {
        SourceId { asset: self.asset, version: self.version }
    }

    /// It is another source of an asset that is there.
    pub fn is_version(self) -> bool {
        self.document.is_none() && self.version != SourceVersion::FIRST
    }
}

/// Where a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionState {
    /// Octets of it are missing.
    Uploading,
    /// Its output is being made.
    Processing,
    /// It is in force, or can be gone back to.
    Ready,
    /// Nothing came of it.
    Failed,
    /// It is kept no longer.
    Removing,
}

impl VersionState {
    const ALL: [Self; 5] = [Self::Uploading, Self::Processing, Self::Ready, Self::Failed, Self::Removing];

    /// The name used in the database and in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Removing => "removing",
        }
    }
}

/// One of the sources that an asset has had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Which one.
    pub version: SourceVersion,
    /// What brought it, if it was uploaded.
    pub upload: Option<UploadId>,
    /// Name of the file.
    pub file_name: Option<String>,
    /// Whose upload it was.
    pub owner: Option<String>,
    /// Where it stands.
    pub state: VersionState,
    /// Octets of it that are recorded.
    pub offset: u64,
    /// Its length, once it is complete.
    pub size: Option<ByteSize>,
    /// How long it plays, once it was in force.
    pub duration_ms: Option<u64>,
    /// Its latest output.
    pub generation: Option<Generation>,
    /// Why nothing came of it.
    pub failure: Option<Failure>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it came into force last.
    pub shown_at: Option<Timestamp>,
    /// Nobody has looked at it who has to.
    pub needs_review: bool,
}

impl Catalog {
    /// The sources of an asset that are known, the latest first; none if it has had only one.
    pub async fn versions(&self, asset: AssetId) -> Result<Vec<Version>, CatalogError> {
        let rows: Vec<VersionRow> = self.rows(sql::versions::OF_ASSET, args![asset]).await?;
        rows.into_iter().map(Version::try_from).collect()
    }

    /// What an output of an asset is made of, also one that is not planned yet; the source in force for none.
    pub async fn source_of(&self, asset: AssetId, generation: Option<Generation>) -> Result<SourceId, CatalogError> {
        let generation = generation.unwrap_or(Generation(0));
        let found: Option<Number> = self.row(sql::versions::SOURCE_OF, args![asset, generation]).await?;
        let number = found.ok_or(CatalogError::NoAsset(asset))?.number;
        Ok(SourceId { asset, version: SourceVersion(count32("assets.source_version", number)?) })
    }

    /// The terms of the upload that brought a source; `None` if it was not uploaded.
    pub async fn terms_of_source(&self, source: SourceId) -> Result<Option<UploadTerms>, CatalogError> {
        let row: Option<Text> = self.row(sql::versions::TERMS, args![source.asset, source.version]).await?;
        row.map(|row| document("uploads.terms", &row.text)).transpose()
    }

    /// A source that is kept no longer, or came to nothing, and goes with this output.
    pub async fn source_to_remove(
        &self,
        asset: AssetId,
        generation: Generation,
    ) -> Result<Option<SourceId>, CatalogError> {
        let row: Option<VersionRow> = self.row(sql::versions::OF_GENERATION, args![asset, generation]).await?;
        let version = row.map(Version::try_from).transpose()?;
        Ok(version.map(|version| SourceId { asset, version: version.version }))
    }

    /// Puts an earlier source that is kept in force again as `actor` wants it, by the output that it had; `publish` will
    /// show it.
    ///
    /// Another output of the source that is left, if one is being made, is given up. What nobody has looked at who has to
    /// waits for that, unless whoever goes back `may_review`.
    ///
    /// # Errors
    /// [`CatalogError::NoAsset`], [`CatalogError::NotReady`]; [`CatalogError::NoVersion`] if it is not kept;
    /// [`CatalogError::VersionInForce`] if it is in force.
    pub async fn restore_version(
        &self,
        asset: AssetId,
        (version, may_review): (SourceVersion, bool),
        actor: &str,
        publish: JobId,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of(actor, "asset.version_restored", asset, json!({ "version": version })), now).await?;
        let row = lock_ready(&mut tx, asset, now).await?;
        let left = row.source_version()?;
        let found: Option<VersionRow> = tx.row(sql::versions::BY_NUMBER, args![asset, version]).await?;
        let found = found.map(Version::try_from).transpose()?.filter(|found| found.state == VersionState::Ready);
        let (Some(found), Some(old)) = (found, row.generation()?) else {
            return Err(CatalogError::NoVersion { asset, version });
        };
        let Some(generation) = found.generation else { return Err(CatalogError::NoVersion { asset, version }) };
        if version == left {
            return Err(CatalogError::VersionInForce { asset, version });
        }
        if let Some(next) = row.next_generation()?
            && row.next_source_version()? == left
        {
            let failure = Failure::new(FailureCode::Internal, "an earlier version of the asset was gone back to");
            reprocess::abandon(&mut tx, &row, (asset, next), &failure, now).await?;
        }
        let reason = "cancelled: an earlier version was gone back to";
        tx.execute(sql::jobs::CANCEL_OF_GENERATION, args![asset, old, reason, now]).await?;
        tx.execute(sql::versions::KEEP_PROBE, args![asset, old]).await?;
        tx.execute(sql::generations::SET_REPLACED, args![asset, old, now]).await?;
        tx.execute(sql::versions::UNREPLACED, args![asset, generation]).await?;
        tx.execute(sql::versions::TURN, args![asset, generation]).await?;
        show(&mut tx, &row, (asset, version, generation), found.size, now).await?;
        if found.needs_review && !may_review {
            have_reviewed(&mut tx, &row, (asset, EARLIER_UNSEEN), now).await?;
        }
        tx.enqueue(publish, asset, &JobSpec::Texts { generation }, now).await?;
        let data = json!({ "version": version, "replaced": left, "generation": generation });
        tx.event(now, "asset.version.restored", asset, data);
        tx.commit().await
    }

    /// Has the sources of one asset removed that are more than `keep`, those first that are out of force for longest;
    /// what was done. Call it again until nothing is left to do.
    pub async fn remove_surplus_versions(
        &self,
        keep: u32,
        mut mint: impl FnMut() -> JobId,
        now: Timestamp,
    ) -> Result<u64, CatalogError> {
        let found: Option<Text> = self.row(sql::versions::SURPLUS, args![keep.max(1), 1u32]).await?;
        let Some(found) = found else { return Ok(0) };
        let asset: AssetId = parsed("asset_versions.asset_id", &found.text)?;
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(asset, now).await?;
        let in_force = row.source_version()?;
        let rows: Vec<VersionRow> = tx.rows(sql::versions::OF_ASSET, args![asset]).await?;
        let mut kept: Vec<Version> = rows.into_iter().map(Version::try_from).collect::<Result<_, _>>()?;
        kept.retain(|version| version.state == VersionState::Ready && version.version != in_force);
        kept.sort_by_key(|version| std::cmp::Reverse((version.shown_at, version.version)));
        let others = usize::try_from(keep.max(1) - 1).unwrap_or(usize::MAX);
        let mut removed = 0;
        for version in kept.into_iter().skip(others) {
            tx.execute(sql::versions::REMOVING, args![asset, version.version]).await?;
            if let Some(generation) = version.generation {
                tx.enqueue(mint(), asset, &JobSpec::Retire { generation }, now).await?;
            }
            removed += 1;
        }
        tx.commit().await?;
        Ok(removed)
    }
}

/// Begins another source of a ready asset, which `upload` will bring and which perhaps has to be looked at; its number,
/// which is not below `least`.
pub(crate) async fn begin(
    tx: &mut Tx,
    SourceId { asset, version: least }: SourceId,
    (upload, needs_review): (UploadId, bool),
    now: Timestamp,
) -> Result<SourceVersion, CatalogError> {
    let row = lock_ready(tx, asset, now).await?;
    let open: Option<Number> = tx.row(sql::versions::UNDER_WAY, args![asset]).await?;
    if open.is_some_and(|open| open.number > 0) {
        return Err(CatalogError::VersionUnderWay(asset));
    }
    let duration = row.probe()?.as_ref().map(duration_ms);
    tx.execute(sql::versions::INSERT_FIRST, args![asset, duration]).await?;
    tx.execute(sql::versions::FORGET_FAILED, args![asset]).await?;
    let number: Option<Number> = tx.row(sql::versions::TAKE, args![asset, least]).await?;
    let number = number.ok_or(CatalogError::NoAsset(asset))?.number;
    let version = SourceVersion(count32("assets.source_version_taken", number)?);
    if version > SourceVersion::MAX {
        return Err(CatalogError::TooManyVersions(asset));
    }
    tx.execute(sql::versions::INSERT, args![asset, version, upload, now, needs_review]).await?;
    tx.event(now, "asset.version.uploading", asset, json!({ "version": version, "upload": upload }));
    Ok(version)
}

/// The octets of another source of a locked asset are complete: its output will be made beside the one in force.
///
/// Another output of the source in force, if one is being made, is given up: this one is wanted more.
pub(crate) async fn receive(
    tx: &mut Tx,
    row: &AssetRow,
    source: SourceId,
    size: ByteSize,
    jobs: ReprocessJobs,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let SourceId { asset, version } = source;
    if let Some(next) = row.next_generation()? {
        let failure = Failure::new(FailureCode::Internal, "another version of the asset was uploaded meanwhile");
        reprocess::abandon(tx, row, (asset, next), &failure, now).await?;
    }
    let next = row.generation_free()?;
    tx.execute(sql::assets::SET_NEXT, args![asset, next, jobs.retire]).await?;
    tx.execute(sql::versions::SET_NEXT, args![asset, version]).await?;
    tx.execute(sql::versions::RECEIVED, args![asset, version, column(size.0)?]).await?;
    tx.enqueue(jobs.plan, asset, &JobSpec::Reprocess { generation: next }, now).await?;
    tx.event(now, "asset.version.processing", asset, json!({ "version": version, "generation": next }));
    Ok(())
}

/// Nothing comes of another source of a locked asset, since its upload ended: it is told why, or forgotten if its
/// uploader gave it up.
pub(crate) async fn end(
    tx: &mut Tx,
    source: SourceId,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let SourceId { asset, version } = source;
    let Some(failure) = failure else {
        tx.execute(sql::versions::DELETE, args![asset, version]).await?;
        tx.event(now, "asset.version.ended", asset, json!({ "version": version }));
        return Ok(());
    };
    fail(tx, source, None, failure, now).await
}

/// The output of another source of a locked asset is given up, and that source with it.
pub(crate) async fn fail(
    tx: &mut Tx,
    source: SourceId,
    generation: Option<Generation>,
    failure: &Failure,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let SourceId { asset, version } = source;
    let generation = generation.map(|generation| i64::from(generation.0));
    let why = text("asset_versions.failure", failure)?;
    tx.execute(sql::versions::FAILED, args![asset, version, generation, why]).await?;
    tx.event(now, "asset.version.failed", asset, json!({ "version": version, "failure": failure }));
    Ok(())
}

/// Puts the output of another source of a locked asset in the place of the one in force, which is kept.
pub(crate) async fn take_over(
    tx: &mut Tx,
    row: &AssetRow,
    (source, generation): (SourceId, Generation),
    now: Timestamp,
) -> Result<(), CatalogError> {
    let SourceId { asset, version } = source;
    let state = row.state()?.after(AssetEvent::Replaced)?;
    if let Some(old) = row.generation()? {
        tx.execute(sql::versions::KEEP_PROBE, args![asset, old]).await?;
        let reason = "cancelled: another version took its place";
        tx.execute(sql::jobs::CANCEL_OF_GENERATION, args![asset, old, reason, now]).await?;
        tx.execute(sql::generations::SET_REPLACED, args![asset, old, now]).await?;
    }
    tx.execute(sql::assets::REPLACE, args![asset, generation]).await?;
    let found: Option<VersionRow> = tx.row(sql::versions::BY_NUMBER, args![asset, version]).await?;
    let found = found.map(Version::try_from).transpose()?;
    let size = found.as_ref().and_then(|found| found.size);
    show(tx, row, (asset, version, generation), size, now).await?;
    if found.is_some_and(|found| found.needs_review) {
        have_reviewed(tx, row, (asset, NEW_UNSEEN), now).await?;
    }
    // Reads what is said in it, so that it is found.
    if let Some(job) = row.spare_job()? {
        tx.enqueue(job, asset, &JobSpec::Texts { generation }, now).await?;
    }
    let data = json!({ "state": state, "version": version, "generation": generation,
        "replaced": row.source_version()? });
    tx.event(now, "asset.version.published", asset, data);
    Ok(())
}

/// Has a locked asset wait for a review, if it may be shown, since another source of it is in force.
async fn have_reviewed(
    tx: &mut Tx,
    row: &AssetRow,
    (asset, note): (AssetId, &str),
    now: Timestamp,
) -> Result<(), CatalogError> {
    let from = row.stage()?;
    let to = from.with_unseen_file();
    if to == from {
        return Ok(());
    }
    tx.execute(sql::assets::SET_STAGE, args![asset, to.as_str(), note]).await?;
    tx.event(now, "asset.stage_changed", asset, json!({ "from": from, "to": to, "note": note }));
    if from.is_played() {
        tx.event(now, "asset.access_changed", asset, json!({}));
    }
    Ok(())
}

/// Has a locked asset tell of the source that is in force from now on.
async fn show(
    tx: &mut Tx,
    row: &AssetRow,
    (asset, version, generation): (AssetId, SourceVersion, Generation),
    size: Option<ByteSize>,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let probe: Option<Text> = tx.row(sql::generations::PROBE, args![asset, generation]).await?;
    let probe: Option<Probe> = match probe {
        Some(probe) => Some(document("generations.probe", &probe.text)?),
        None => row.probe()?,
    };
    let named: Option<VersionRow> = tx.row(sql::versions::BY_NUMBER, args![asset, version]).await?;
    let file_name = named.and_then(|named| named.file_name).or_else(|| row.file_name.clone());
    let about = row.about()?;
    let title = about.title.clone().or_else(|| probe.as_ref().and_then(|probe| probe.title.clone()));
    let kind = probe.as_ref().map(|probe| AssetKind::of(probe).as_str().to_owned());
    let duration = probe.as_ref().map(duration_ms);
    let size = size.map(|size| column(size.0)).transpose()?;
    let found = probe.as_ref().map(|probe| text("assets.probe", probe)).transpose()?;
    let args = args![asset, version, size, file_name.clone(), title.clone(), kind, found];
    tx.execute(sql::versions::TAKE_PLACE, args).await?;
    tx.execute(sql::versions::SHOWN, args![asset, version, generation, duration, now]).await?;
    let sound = probe.as_ref().map(sound).unwrap_or_default();
    let (title, file_name) = (title.as_deref(), file_name.as_deref());
    index::describe(tx, &Described { id: asset, title, file_name, about: &about, sound }, None).await?;
    index::drop_own_transcripts(tx, asset).await
}

/// Forgets the source that went with an output, and what brought it; one that came to nothing is still told of.
pub(crate) async fn forget(tx: &mut Tx, job: &LeasedJob, generation: Generation) -> Result<(), CatalogError> {
    let row: Option<VersionRow> = tx.row(sql::versions::OF_GENERATION, args![job.asset, generation]).await?;
    let Some(row) = row else { return Ok(()) };
    let version = row.source_version;
    tx.execute(sql::versions::DELETE_REMOVED, args![job.asset, version]).await?;
    tx.execute(sql::versions::DELETE_UPLOAD, args![job.asset, version]).await?;
    Ok(())
}

async fn lock_ready(tx: &mut Tx, asset: AssetId, now: Timestamp) -> Result<AssetRow, CatalogError> {
    let row = tx.lock_asset(asset, now).await?;
    match row.state()? {
        AssetState::Ready => Ok(row),
        AssetState::Deleted => Err(CatalogError::NoAsset(asset)),
        state => Err(CatalogError::NotReady { asset, state }),
    }
}

fn duration_ms(probe: &Probe) -> i64 {
    probe.duration().as_ms()
}

/// `asset_versions` as stored, with what is known of the upload.
#[derive(sqlx::FromRow)]
struct VersionRow {
    source_version: i64,
    upload_id: Option<String>,
    file_name: Option<String>,
    owner: Option<String>,
    offset_bytes: Option<i64>,
    state: String,
    size_bytes: Option<i64>,
    duration_ms: Option<i64>,
    generation: Option<i64>,
    failure: Option<String>,
    created_at: i64,
    shown_at: Option<i64>,
    needs_review: i64,
}

impl TryFrom<VersionRow> for Version {
    type Error = CatalogError;

    fn try_from(row: VersionRow) -> Result<Self, CatalogError> {
        let state = VersionState::ALL.into_iter().find(|state| state.as_str() == row.state);
        Ok(Self {
            version: SourceVersion(count32("asset_versions.source_version", row.source_version)?),
            upload: row.upload_id.map(|id| parsed("asset_versions.upload_id", &id)).transpose()?,
            file_name: row.file_name,
            owner: row.owner,
            state: state.ok_or_else(|| corrupt("asset_versions.state", &row.state))?,
            offset: count("uploads.offset_bytes", row.offset_bytes.unwrap_or(0))?,
            size: row.size_bytes.map(|size| count("asset_versions.size_bytes", size).map(ByteSize)).transpose()?,
            duration_ms: row.duration_ms.map(|ms| count("asset_versions.duration_ms", ms)).transpose()?,
            generation: row
                .generation
                .map(|number| count32("asset_versions.generation", number).map(Generation))
                .transpose()?,
            failure: row.failure.map(|failure| document("asset_versions.failure", &failure)).transpose()?,
            created_at: Timestamp::from_unix_ms(row.created_at),
            shown_at: row.shown_at.map(Timestamp::from_unix_ms),
            needs_review: row.needs_review != 0,
        })
    }
}
