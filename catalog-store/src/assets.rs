//! One row per asset, from the creation of its upload to its deletion.

use domain::markers::Marker;
use domain::probe::Chapter;
use domain::{
    About, Access, AssetEvent, AssetId, AssetKind, AssetState, Availability, ByteSize, ChannelId, Failure, Generation,
    JobId, JobSpec, Language, PictureId, PlaybackId, PosterChoice, Probe, SourceId, SourceVersion, Stage, Timestamp,
};
use serde_json::json;

use crate::audit::Note;
use crate::catalog::Tx;
use crate::engine::{args, column, corrupt, count, count32, document, json as text, parsed};
use crate::search::index::{self, Described};
use crate::{Catalog, CatalogError, sql};

/// Most assets that one page of [`Catalog::assets`] holds.
pub const PAGE_ASSETS_MAX: u32 = 100;

/// An asset as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its id.
    pub id: AssetId,
    /// The name under which it is served.
    pub playback: PlaybackId,
    /// Where it stands.
    pub state: AssetState,
    /// The file name the uploader gave.
    pub file_name: Option<String>,
    /// Title shown to people: the container's, as long as nobody set another.
    pub title: Option<String>,
    /// Length of the source, as soon as it is complete.
    pub size: Option<ByteSize>,
    /// What is known of the source.
    pub probe: Option<Probe>,
    /// The output that is being made, or that is in force.
    pub generation: Option<Generation>,
    /// The output that is being made to take the place of the one in force.
    pub next_generation: Option<Generation>,
    /// The highest number that was given to one.
    pub generation_taken: Generation,
    /// Which of its sources is in force.
    pub source_version: SourceVersion,
    /// The highest number that was given to one.
    pub source_version_taken: SourceVersion,
    /// Rises when an earlier one is gone back to, and when the database is put back from a copy.
    pub turn: u32,
    /// Why the last output that was to take its place was given up, unless another one was begun since.
    pub reprocess_failure: Option<Failure>,
    /// Why it failed; `Some` exactly in the state `failed`.
    pub failure: Option<Failure>,
    /// A presentation is published: players may start.
    pub is_playable: bool,
    /// The chapters that somebody set, on the timeline of the output; `None` while the file's own are shown.
    pub chapters: Option<Vec<Chapter>>,
    /// The markers that somebody set, on the timeline of the output.
    pub markers: Vec<Marker>,
    /// What somebody chose as its poster; `None` while nobody did.
    pub poster: Option<PosterChoice>,
    /// What people say about it.
    pub about: About,
    /// Rises with every change of that.
    pub about_version: u64,
    /// What it consists of, once that is known.
    pub kind: Option<AssetKind>,
    /// The principal it belongs to; `None` if it came where nobody was asked for a name.
    pub owner: Option<String>,
    /// The picture of the account it belongs to.
    pub owner_avatar: Option<PictureId>,
    /// The channel in which it is published.
    pub channel: Option<ChannelId>,
    /// How far it is on its way to those who may see it.
    pub stage: Stage,
    /// What was said about that last.
    pub stage_note: Option<String>,
    /// Who may play it, as somebody said who may; `None` while nobody did.
    pub access: Option<Access>,
    /// Since when it lies in the bin.
    pub binned_at: Option<Timestamp>,
    /// Until when it can be taken out again.
    pub bin_until: Option<Timestamp>,
    /// From when on those who may not change it see and play it.
    pub publish_at: Option<Timestamp>,
    /// Until when.
    pub expire_at: Option<Timestamp>,
    /// Rises with every change of the row.
    pub version: u64,
    /// When its upload was created.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

impl Asset {
    /// The source in force.
    pub fn source(&self) -> SourceId {
        SourceId { asset: self.id, version: self.source_version }
    }

    /// What its pointer is to say of who may play it, and when, where it says `now`.
    pub fn access_after(&self, now: Option<&Access>) -> Access {
        let now = now.cloned().unwrap_or_default();
        Access { availability: self.availability(), ..now.following(self.access.as_ref()) }
    }

    /// When it may be played, as its pointer says it.
    pub fn availability(&self) -> Availability {
        // Whole seconds: it begins no earlier and ends no later than is said.
        let ceil = |at: Timestamp| at.unix_ms().saturating_add(999).div_euclid(1000);
        Availability {
            is_withheld: self.binned_at.is_some() || !self.stage.is_played(),
            from_s: self.publish_at.map(ceil),
            until_s: self.expire_at.map(|at| at.unix_ms().div_euclid(1000)),
        }
    }
}

/// An asset whose source is complete from the start.
#[derive(Clone, Debug)]
pub struct NewAsset {
    /// Its id.
    pub asset: AssetId,
    /// The name under which it will be served.
    pub playback: PlaybackId,
    /// Name of the file.
    pub file_name: Option<String>,
    /// Length of the source.
    pub size: ByteSize,
    /// Id of the probe job.
    pub job: JobId,
    /// The present.
    pub now: Timestamp,
}

impl Catalog {
    /// Records an asset whose source is already stored, and enqueues its probe.
    ///
    /// # Errors
    /// [`CatalogError::Statement`] if the id or playback id exists.
    pub async fn create_received_asset(&self, new: &NewAsset) -> Result<(), CatalogError> {
        let NewAsset { asset, now, .. } = *new;
        let mut tx = self.begin().await?;
        insert(&mut tx, (asset, new.playback), new.file_name.clone(), None, now).await?;
        receive(&mut tx, (asset, AssetState::Uploading), new.size, new.job, now).await?;
        tx.commit().await
    }

    /// The asset with this id, in whatever state; `None` if there never was one or it is forgotten.
    pub async fn asset(&self, id: AssetId) -> Result<Option<Asset>, CatalogError> {
        let row: Option<AssetRow> = self.row(sql::assets::BY_ID, args![id]).await?;
        row.map(Asset::try_from).transpose()
    }

    /// The asset that is served under this name, in whatever state.
    pub async fn asset_by_playback(&self, playback: PlaybackId) -> Result<Option<Asset>, CatalogError> {
        let row: Option<AssetRow> = self.row(sql::assets::BY_PLAYBACK, args![playback]).await?;
        row.map(Asset::try_from).transpose()
    }

    /// At most `limit` (and [`PAGE_ASSETS_MAX`] + 1) assets older than `after`, newest first, without deleted ones.
    pub async fn assets(&self, after: Option<AssetId>, limit: u32) -> Result<Vec<Asset>, CatalogError> {
        // No id is larger than the one of all ones, which is never minted.
        let after = after.unwrap_or(AssetId::from_u128(u128::MAX));
        let rows: Vec<AssetRow> = self.rows(sql::assets::PAGE, args![after, limit.min(PAGE_ASSETS_MAX + 1)]).await?;
        rows.into_iter().map(Asset::try_from).collect()
    }

    /// Deletes an asset in any state, as the server does by itself: its upload ends, its jobs are cancelled, and `job`
    /// will remove its objects.
    ///
    /// False if there is no such asset or it was deleted before; then nothing changes.
    pub async fn delete_asset(&self, id: AssetId, job: JobId, now: Timestamp) -> Result<bool, CatalogError> {
        self.delete_asset_at((id, None), "system", job, now).await
    }

    /// The same as `actor` wants it, if what is said about it is still at `about_version` where one is named.
    ///
    /// # Errors
    /// [`CatalogError::Changed`].
    pub async fn delete_asset_at(
        &self,
        (id, about_version): (AssetId, Option<u64>),
        actor: &str,
        job: JobId,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of(actor, "asset.deleted", id, json!({})), now).await?;
        let row = match tx.lock_asset(id, now).await {
            Ok(row) => row,
            Err(CatalogError::NoAsset(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let state = row.state()?;
        if state == AssetState::Deleted {
            return Ok(false);
        }
        row.check_about(about_version)?;
        tx.apply((id, state), AssetEvent::Deleted, json!({}), now).await?;
        index::forget(&mut tx, id).await?;
        tx.execute(sql::collections::DELETE_ASSET, args![id]).await?;
        let nowhere: Option<String> = None;
        tx.execute(sql::channels::SET_CHANNEL, args![id, nowhere]).await?;
        tx.execute(sql::assets::SET_PLAYABLE, args![id, false]).await?;
        tx.execute(sql::uploads::TERMINATE_OF_ASSET, args![id, now]).await?;
        tx.execute(sql::jobs::CANCEL_OF_ASSET, args![id, "cancelled: the asset was deleted", now]).await?;
        tx.enqueue(job, id, &JobSpec::Purge, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Removes the row of a deleted asset and all that refers to it; false if there is none that is deleted.
    pub async fn forget_asset(&self, id: AssetId, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        match tx.lock_asset(id, now).await {
            Ok(row) if row.state()? == AssetState::Deleted => {}
            Ok(_) | Err(CatalogError::NoAsset(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
        index::forget(&mut tx, id).await?;
        tx.execute(sql::assets::DELETE, args![id]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Notes that a presentation of the asset is published; false if it is deleted or that was known.
    ///
    /// # Errors
    /// [`CatalogError::NoAsset`] if there is no such asset.
    pub async fn mark_playable(&self, id: AssetId, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let row = tx.lock_asset(id, now).await?;
        let state = row.state()?;
        if row.is_playable != 0 || state == AssetState::Deleted {
            return Ok(false);
        }
        tx.execute(sql::assets::SET_PLAYABLE, args![id, true]).await?;
        tx.event(now, "asset.playable", id, json!({ "state": state }));
        tx.commit().await?;
        Ok(true)
    }
}

/// Inserts an asset in the state `uploading`.
pub(crate) async fn insert(
    tx: &mut Tx,
    (asset, playback): (AssetId, PlaybackId),
    file_name: Option<String>,
    owner: Option<String>,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let state = AssetState::Uploading;
    let no_size: Option<i64> = None;
    let args = args![asset, playback, state.as_str(), file_name.clone(), no_size, now, owner];
    tx.execute(sql::assets::INSERT, args).await?;
    let about = About::default();
    let described = Described { id: asset, title: None, file_name: file_name.as_deref(), about: &about, sound: vec![] };
    index::describe(tx, &described, None).await?;
    tx.event(now, "asset.uploading", asset, json!({ "state": state, "file_name": file_name }));
    Ok(())
}

/// Records what is known of the source of a locked asset, and what is shown and found of it from then on.
pub(crate) async fn describe(
    tx: &mut Tx,
    row: &AssetRow,
    asset: AssetId,
    (probe, generation): (&Probe, Generation),
) -> Result<(), CatalogError> {
    let about = row.about()?;
    // What somebody said already is not the file's to change.
    let title = about.title.clone().or_else(|| probe.title.clone());
    let kind = AssetKind::of(probe).as_str();
    let (document, size) = (text("assets.probe", probe)?, column(probe.size.0)?);
    tx.execute(sql::assets::SET_PROBED, args![asset, document, title.clone(), generation, size, kind]).await?;
    let (title, file_name, sound) = (title.as_deref(), row.file_name.as_deref(), sound(probe));
    index::describe(tx, &Described { id: asset, title, file_name, about: &about, sound }, None).await
}

/// The source of a locked asset is complete: the asset is received and its probe enqueued.
pub(crate) async fn receive(
    tx: &mut Tx,
    (asset, from): (AssetId, AssetState),
    size: ByteSize,
    job: JobId,
    now: Timestamp,
) -> Result<(), CatalogError> {
    tx.apply((asset, from), AssetEvent::SourceCompleted, json!({ "size_bytes": size }), now).await?;
    tx.execute(sql::assets::SET_SIZE, args![asset, column(size.0)?]).await?;
    tx.enqueue(job, asset, &JobSpec::Probe, now).await
}

/// `assets` as stored.
#[derive(Clone, sqlx::FromRow)]
pub(crate) struct AssetRow {
    pub(crate) id: String,
    playback_id: String,
    state: String,
    pub(crate) file_name: Option<String>,
    pub(crate) title: Option<String>,
    size_bytes: Option<i64>,
    probe: Option<String>,
    pub(crate) generation: Option<i64>,
    failure: Option<String>,
    is_playable: i64,
    chapters: Option<String>,
    markers: Option<String>,
    next_generation: Option<i64>,
    generation_taken: i64,
    source_version: i64,
    next_source_version: Option<i64>,
    source_version_taken: i64,
    turn: i64,
    reprocess_failure: Option<String>,
    spare_job: Option<String>,
    owner: Option<String>,
    about: String,
    pub(crate) about_version: i64,
    kind: Option<String>,
    channel_id: Option<String>,
    pub(crate) stage: String,
    stage_note: Option<String>,
    poster: Option<String>,
    access: Option<String>,
    pub(crate) binned_at: Option<i64>,
    bin_until: Option<i64>,
    publish_at: Option<i64>,
    expire_at: Option<i64>,
    version: i64,
    created_at: i64,
    updated_at: i64,
    owner_avatar: Option<String>,
}

impl AssetRow {
    pub(crate) fn state(&self) -> Result<AssetState, CatalogError> {
        AssetState::from_name(&self.state).ok_or_else(|| corrupt("assets.state", &self.state))
    }

    pub(crate) fn stage(&self) -> Result<Stage, CatalogError> {
        Stage::from_name(&self.stage).ok_or_else(|| corrupt("assets.stage", &self.stage))
    }

    /// Refuses it if what is said about it is not at the version that is named.
    pub(crate) fn check_about(&self, version: Option<u64>) -> Result<(), CatalogError> {
        let present = count("assets.about_version", self.about_version)?;
        match version {
            Some(version) if version != present => Err(CatalogError::Changed { version: present }),
            _ => Ok(()),
        }
    }

    pub(crate) fn about(&self) -> Result<About, CatalogError> {
        document("assets.about", &self.about)
    }

    pub(crate) fn probe(&self) -> Result<Option<Probe>, CatalogError> {
        self.probe.as_deref().map(|probe| document("assets.probe", probe)).transpose()
    }

    /// The languages of its sound, as far as they are known.
    pub(crate) fn sound(&self) -> Result<Vec<Language>, CatalogError> {
        Ok(self.probe()?.map(|probe| sound(&probe)).unwrap_or_default())
    }

    pub(crate) fn generation(&self) -> Result<Option<Generation>, CatalogError> {
        self.generation.map(|number| count32("assets.generation", number).map(Generation)).transpose()
    }

    pub(crate) fn next_generation(&self) -> Result<Option<Generation>, CatalogError> {
        self.next_generation.map(|number| count32("assets.next_generation", number).map(Generation)).transpose()
    }

    /// The highest number that was handed out.
    pub(crate) fn generation_taken(&self) -> Result<Generation, CatalogError> {
        count32("assets.generation_taken", self.generation_taken).map(Generation)
    }

    /// The next one that was not.
    pub(crate) fn generation_free(&self) -> Result<Generation, CatalogError> {
        let last = self.generation_taken()?.max(self.generation()?.unwrap_or(Generation(0)));
        Ok(Generation(last.0.saturating_add(1)))
    }

    /// The source in force.
    pub(crate) fn source_version(&self) -> Result<SourceVersion, CatalogError> {
        count32("assets.source_version", self.source_version).map(SourceVersion)
    }

    /// What the next output is made of.
    pub(crate) fn next_source_version(&self) -> Result<SourceVersion, CatalogError> {
        let number = self.next_source_version.unwrap_or(self.source_version);
        count32("assets.next_source_version", number).map(SourceVersion)
    }

    /// What somebody chose as the poster.
    pub(crate) fn poster(&self) -> Result<Option<PosterChoice>, CatalogError> {
        self.poster.as_deref().map(|choice| document("assets.poster", choice)).transpose()
    }

    /// Who may play it, as it was said last.
    pub(crate) fn access(&self) -> Result<Option<Access>, CatalogError> {
        self.access.as_deref().map(|access| document("assets.access", access)).transpose()
    }

    /// The job that will remove whichever of two outputs is not in force in the end.
    pub(crate) fn spare_job(&self) -> Result<Option<JobId>, CatalogError> {
        self.spare_job.as_deref().map(|id| parsed("assets.spare_job", id)).transpose()
    }
}

/// The languages of the sound of a source.
pub(crate) fn sound(probe: &Probe) -> Vec<Language> {
    probe.audio.iter().filter_map(|track| track.language.clone()).collect()
}

impl TryFrom<AssetRow> for Asset {
    type Error = CatalogError;

    fn try_from(row: AssetRow) -> Result<Self, CatalogError> {
        let (state, probe, about, poster) = (row.state()?, row.probe()?, row.about()?, row.poster()?);
        let access = row.access()?;
        let (generation, next_generation) = (row.generation()?, row.next_generation()?);
        let (generation_taken, source_version) = (row.generation_taken()?, row.source_version()?);
        let stage = row.stage()?;
        Ok(Self {
            id: parsed("assets.id", &row.id)?,
            playback: parsed("assets.playback_id", &row.playback_id)?,
            state,
            size: row.size_bytes.map(|size| count("assets.size_bytes", size).map(ByteSize)).transpose()?,
            generation,
            next_generation,
            generation_taken,
            source_version,
            source_version_taken: SourceVersion(count32("assets.source_version_taken", row.source_version_taken)?),
            turn: count32("assets.turn", row.turn)?,
            reprocess_failure: row
                .reprocess_failure
                .map(|failure| document("assets.reprocess_failure", &failure))
                .transpose()?,
            probe,
            about,
            about_version: count("assets.about_version", row.about_version)?,
            kind: row
                .kind
                .map(|kind| AssetKind::from_name(&kind).ok_or_else(|| corrupt("assets.kind", &kind)))
                .transpose()?,
            failure: row.failure.map(|failure| document("assets.failure", &failure)).transpose()?,
            is_playable: row.is_playable != 0,
            chapters: row.chapters.map(|chapters| document("assets.chapters", &chapters)).transpose()?,
            markers: row.markers.map(|markers| document("assets.markers", &markers)).transpose()?.unwrap_or_default(),
            owner_avatar: row.owner_avatar.map(|picture| parsed("users.avatar", &picture)).transpose()?,
            channel: row.channel_id.map(|id| parsed("assets.channel_id", &id)).transpose()?,
            stage,
            stage_note: row.stage_note,
            poster,
            access,
            binned_at: row.binned_at.map(Timestamp::from_unix_ms),
            bin_until: row.bin_until.map(Timestamp::from_unix_ms),
            publish_at: row.publish_at.map(Timestamp::from_unix_ms),
            expire_at: row.expire_at.map(Timestamp::from_unix_ms),
            version: count("assets.version", row.version)?,
            created_at: Timestamp::from_unix_ms(row.created_at),
            updated_at: Timestamp::from_unix_ms(row.updated_at),
            file_name: row.file_name,
            title: row.title,
            owner: row.owner,
        })
    }
}
