//! Subtitle files that are added to assets, chapters and markers that are set: what is wished, and what became of it.
//!
//! A wish is recorded in one transaction with the job that fulfils it. As long as nothing is published of
//! the asset there is no such job: whoever publishes it first reads the wishes.

use std::collections::HashMap;

use domain::markers::Marker;
use domain::presentation::SubtitleRendition;
use domain::probe::Chapter;
use domain::text::{COUNT_MAX, Report, State};
use domain::{
    AssetId, AssetState, Generation, JobId, JobSpec, Language, PosterChoice, RenditionId, SourceVersion, TextId,
    Timestamp,
};
use serde_json::json;

use crate::assets::AssetRow;
use crate::catalog::{Number, Text as Named, Tx};
use crate::engine::{Arg, args, column, corrupt, count, count32, document, json as text, parsed};
use crate::search::index;
use crate::{Catalog, CatalogError, Cue, LeasedJob, Meant, Part, sql};

/// A subtitle file of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its id.
    pub id: TextId,
    /// The asset.
    pub asset: AssetId,
    /// Its language, if stated.
    pub language: Option<Language>,
    /// What a menu shows, if stated.
    pub name: Option<String>,
    /// The label of its character set, if stated.
    pub charset: Option<String>,
    /// Only shown for foreign speech.
    pub is_forced: bool,
    /// Shown unless the viewer chooses otherwise.
    pub is_default: bool,
    /// For the deaf and hard of hearing.
    pub is_sdh: bool,
    /// The track of a source that it is shown instead of.
    pub replaces: Option<Replaced>,
    /// Rises with every change of what is said of it.
    pub version: u64,
    /// Taken back: it is to disappear, with its objects.
    pub is_removed: bool,
    /// Where it stands.
    pub state: State,
    /// What was found in it, once it was read.
    pub report: Option<Report>,
    /// For which generation it was read last.
    pub read_for: Option<Generation>,
    /// What was last made of it, and for which generation.
    pub cut: Option<(Generation, SubtitleRendition)>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// A subtitle file whose object is stored.
#[derive(Clone, Debug)]
pub struct NewText {
    /// Its id.
    pub id: TextId,
    /// The asset.
    pub asset: AssetId,
    /// Its language, if stated.
    pub language: Option<Language>,
    /// What a menu shows, if stated.
    pub name: Option<String>,
    /// The label of its character set, if stated.
    pub charset: Option<String>,
    /// Only shown for foreign speech.
    pub is_forced: bool,
    /// Shown unless the viewer chooses otherwise.
    pub is_default: bool,
    /// For the deaf and hard of hearing.
    pub is_sdh: bool,
    /// The track of a source that it is shown instead of.
    pub replaces: Option<Replaced>,
}

/// A subtitle track of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Which source: tracks of another one are others.
    pub version: SourceVersion,
    /// What is made of the track.
    pub rendition: RenditionId,
}

/// What is said of a subtitle file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFlags {
    /// Its language, if stated.
    pub language: Option<Language>,
    /// What a menu shows, if stated.
    pub name: Option<String>,
    /// Only shown for foreign speech.
    pub is_forced: bool,
    /// Shown unless the viewer chooses otherwise.
    pub is_default: bool,
    /// For the deaf and hard of hearing.
    pub is_sdh: bool,
}

impl Catalog {
    /// Adds a subtitle file to an asset; `job` will publish it, if anything is published of the asset yet.
    ///
    /// # Errors
    /// [`CatalogError::NoAsset`] if it does not exist or is deleted, [`CatalogError::AssetFailed`],
    /// [`CatalogError::TooManyTexts`].
    pub async fn add_text(&self, new: &NewText, job: JobId, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let asset = lock_living(&mut tx, new.asset, now).await?;
        let count: Option<Number> = tx.row(sql::texts::COUNT_OF_ASSET, args![new.asset]).await?;
        if count.is_some_and(|count| usize::try_from(count.number).is_ok_and(|count| count >= COUNT_MAX)) {
            return Err(CatalogError::TooManyTexts(new.asset));
        }
        insert(&mut tx, new, now).await?;
        wish(&mut tx, &asset, new.asset, job, now).await?;
        tx.commit().await
    }

    /// Adds a subtitle file in the place of another one, `edited`, which is taken back, or else of the track that it
    /// says that it replaces; `job` will publish it. False, and nothing happens, if that is not there any more, or is
    /// replaced by now.
    ///
    /// # Errors
    /// As [`Catalog::add_text`].
    pub async fn replace_text(
        &self,
        new: &NewText,
        edited: Option<TextId>,
        job: JobId,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let asset = lock_living(&mut tx, new.asset, now).await?;
        let count: Option<Number> = tx.row(sql::texts::COUNT_OF_ASSET, args![new.asset]).await?;
        // Those that are taken back count until their objects are gone, which takes a moment.
        let most = if edited.is_some() { 2 * COUNT_MAX } else { COUNT_MAX };
        if count.is_some_and(|count| usize::try_from(count.number).is_ok_and(|count| count >= most)) {
            return Err(CatalogError::TooManyTexts(new.asset));
        }
        if let Some(edited) = edited {
            if tx.execute(sql::texts::REMOVE, args![new.asset, edited]).await? == 0 {
                return Ok(false);
            }
            index::drop_transcript(&mut tx, new.asset, &edited.to_string()).await?;
        } else if let Some(track) = &new.replaces {
            let args = args![new.asset, &track.rendition, track.version];
            if tx.row::<Named>(sql::texts::REPLACING, args).await?.is_some() {
                return Ok(false);
            }
            index::drop_transcript(&mut tx, new.asset, track.rendition.as_str()).await?;
        }
        insert(&mut tx, new, now).await?;
        wish(&mut tx, &asset, new.asset, job, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Changes what is said of a subtitle file that is at `version`; `job` will show it. What was made of it stays, so
    /// the character set is fixed that it was read in. `None` if there is none.
    ///
    /// # Errors
    /// [`CatalogError::Changed`] if it is at another version; [`CatalogError::NoAsset`], [`CatalogError::AssetFailed`].
    pub async fn change_text(
        &self,
        (asset, id): (AssetId, TextId),
        version: u64,
        said: &TextFlags,
        job: JobId,
        now: Timestamp,
    ) -> Result<Option<Text>, CatalogError> {
        let mut tx = self.begin().await?;
        let row = lock_living(&mut tx, asset, now).await?;
        let found: Option<TextRow> = tx.row(sql::texts::BY_ID, args![asset, id]).await?;
        let Some(found) = found.map(Text::try_from).transpose()? else { return Ok(None) };
        if found.version != version {
            return Err(CatalogError::Changed { version: found.version });
        }
        let charset = found.charset.or_else(|| found.report.and_then(|report| report.charset));
        let language = tag(said.language.as_ref());
        let version = column(version)?;
        let (is_forced, is_default, is_sdh) = (said.is_forced, said.is_default, said.is_sdh);
        let args = args![asset, id, version, language, said.name.clone(), charset, is_forced, is_default, is_sdh];
        tx.execute(sql::texts::CHANGE, args).await?;
        if found.language != said.language {
            // It is read again under its new language.
            index::drop_transcript(&mut tx, asset, &id.to_string()).await?;
        }
        wish(&mut tx, &row, asset, job, now).await?;
        let changed: Option<TextRow> = tx.row(sql::texts::BY_ID, args![asset, id]).await?;
        tx.commit().await?;
        changed.map(Text::try_from).transpose()
    }

    /// Takes a subtitle file back, if it is still at `version` where one is named; `job` will publish the asset without
    /// it. False if there is none.
    ///
    /// # Errors
    /// [`CatalogError::Changed`], [`CatalogError::NoAsset`] if the asset does not exist or is deleted,
    /// [`CatalogError::AssetFailed`].
    pub async fn remove_text(
        &self,
        (asset, id): (AssetId, TextId),
        version: Option<u64>,
        job: JobId,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let row = lock_living(&mut tx, asset, now).await?;
        if let Some(version) = version {
            let found: Option<TextRow> = tx.row(sql::texts::BY_ID, args![asset, id]).await?;
            let Some(found) = found.map(Text::try_from).transpose()? else { return Ok(false) };
            if found.version != version {
                return Err(CatalogError::Changed { version: found.version });
            }
        }
        if tx.execute(sql::texts::REMOVE, args![asset, id]).await? == 0 {
            return Ok(false);
        }
        index::drop_transcript(&mut tx, asset, &id.to_string()).await?;
        wish(&mut tx, &row, asset, job, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Sets the chapters of an asset, on the timeline of its output; `None` goes back to the file's own.
    ///
    /// # Errors
    /// [`CatalogError::NoAsset`] if it does not exist or is deleted, [`CatalogError::AssetFailed`];
    /// [`CatalogError::Changed`] or [`CatalogError::Exists`] if something else is there than is expected.
    pub async fn set_chapters(
        &self,
        asset: impl Into<Meant<AssetId>>,
        chapters: Option<&[Chapter]>,
        job: JobId,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let Meant { id: asset, expected } = asset.into();
        let mut tx = self.begin().await?;
        let row = lock_living(&mut tx, asset, now).await?;
        row.check(Part::Chapters, expected)?;
        let chapters = chapters.map(|chapters| text("assets.chapters", &chapters)).transpose()?;
        tx.execute(sql::assets::SET_CHAPTERS, args![asset, chapters]).await?;
        wish(&mut tx, &row, asset, job, now).await?;
        tx.commit().await
    }

    /// Sets the markers of an asset, on the timeline of its output, in place of those that it had.
    ///
    /// # Errors
    /// As [`Catalog::set_chapters`].
    pub async fn set_markers(
        &self,
        asset: impl Into<Meant<AssetId>>,
        markers: &[Marker],
        job: JobId,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let Meant { id: asset, expected } = asset.into();
        let mut tx = self.begin().await?;
        let row = lock_living(&mut tx, asset, now).await?;
        row.check(Part::Markers, expected)?;
        let markers = (!markers.is_empty()).then(|| text("assets.markers", &markers)).transpose()?;
        tx.execute(sql::assets::SET_MARKERS, args![asset, markers]).await?;
        wish(&mut tx, &row, asset, job, now).await?;
        tx.commit().await
    }

    /// Has another picture be the poster of an asset; false if a younger choice is in force.
    ///
    /// # Errors
    /// As [`Catalog::set_chapters`].
    pub async fn set_poster(
        &self,
        asset: impl Into<Meant<AssetId>>,
        choice: PosterChoice,
        job: JobId,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let Meant { id: asset, expected } = asset.into();
        let mut tx = self.begin().await?;
        let row = lock_living(&mut tx, asset, now).await?;
        row.check(Part::Poster, expected)?;
        if row.poster()?.is_some_and(|before| before.id() >= choice.id()) {
            // Of this one nothing may be left in the store.
            return Ok(false);
        }
        tx.execute(sql::assets::SET_POSTER, args![asset, text("assets.poster", &choice)?]).await?;
        wish(&mut tx, &row, asset, job, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// All subtitle files of an asset in the order in which they were added, those that are taken back included.
    pub async fn texts(&self, asset: AssetId) -> Result<Vec<Text>, CatalogError> {
        let rows: Vec<TextRow> = self.rows(sql::texts::OF_ASSET, args![asset]).await?;
        rows.into_iter().map(Text::try_from).collect()
    }

    /// The same of several assets at once.
    pub async fn texts_of(&self, assets: &[AssetId]) -> Result<HashMap<AssetId, Vec<Text>>, CatalogError> {
        let ids: Vec<String> = assets.iter().map(ToString::to_string).collect();
        let rows: Vec<TextRow> = self.rows(sql::texts::OF_ASSETS, args![text("texts.asset_id", &ids)?]).await?;
        let mut texts: HashMap<AssetId, Vec<Text>> = HashMap::new();
        for row in rows {
            let text = Text::try_from(row)?;
            texts.entry(text.asset).or_default().push(text);
        }
        Ok(texts)
    }

    /// One subtitle file; `None` if there is none or it is taken back.
    pub async fn text(&self, asset: AssetId, id: TextId) -> Result<Option<Text>, CatalogError> {
        let row: Option<TextRow> = self.row(sql::texts::BY_ID, args![asset, id]).await?;
        row.map(Text::try_from).transpose()
    }

    /// Records what became of a text: its report, and the rendition that the job's generation has of it.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job has none.
    pub async fn put_text(
        &self,
        job: &LeasedJob,
        id: TextId,
        report: &Report,
        rendition: Option<&SubtitleRendition>,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let generation = crate::settle::generation_of(job)?;
        let state = if rendition.is_some() { State::Ready } else { State::Unusable };
        let report = text("texts.report", report)?;
        let rendition = rendition.map(|rendition| text("texts.rendition", rendition)).transpose()?;
        let mut tx = self.begin().await?;
        tx.lock_asset(job.asset, now).await?;
        let args = args![job.asset, id, state.as_str(), report, generation, rendition];
        tx.execute(sql::texts::SET_RESULT, args).await?;
        tx.fenced(job, sql::jobs::PROGRESS, args![job.id, job.fence, now]).await?;
        tx.event(now, "asset.updated", job.asset, json!({ "generation": generation }));
        tx.commit().await
    }

    /// Records what is said in the job's asset by one source, so that it is found: the id of a text, or the name of a
    /// rendition of the file's own subtitles.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`].
    pub async fn put_transcript(
        &self,
        job: &LeasedJob,
        source: (&str, Option<&Language>),
        cues: &[Cue],
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.lock_asset(job.asset, now).await?;
        index::put_transcript(&mut tx, job.asset, source, cues).await?;
        tx.fenced(job, sql::jobs::PROGRESS, args![job.id, job.fence, now]).await?;
        tx.commit().await
    }

    /// Forgets a text that was taken back and whose objects are gone.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`].
    pub async fn forget_text(&self, job: &LeasedJob, id: TextId, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.execute(sql::texts::FORGET_REMOVED, args![job.asset, id]).await?;
        tx.fenced(job, sql::jobs::PROGRESS, args![job.id, job.fence, now]).await?;
        tx.commit().await
    }
}

/// Marks the texts that a job was to read as unusable, since it was given up for this reason.
pub(crate) async fn give_up(tx: &mut Tx, asset: AssetId, reason: &str, now: Timestamp) -> Result<(), CatalogError> {
    let report = Report { reason: Some(reason.to_owned()), ..Report::default() };
    if tx.execute(sql::texts::GIVE_UP, args![asset, text("texts.report", &report)?]).await? > 0 {
        tx.event(now, "asset.updated", asset, json!({}));
    }
    Ok(())
}

/// Holds the row of an asset that can still change.
pub(crate) async fn lock_living(tx: &mut Tx, asset: AssetId, now: Timestamp) -> Result<AssetRow, CatalogError> {
    let row = tx.lock_asset(asset, now).await?;
    match row.state()? {
        AssetState::Deleted => Err(CatalogError::NoAsset(asset)),
        AssetState::Failed => Err(CatalogError::AssetFailed(asset)),
        _ => Ok(row),
    }
}

/// Tells that the asset changed, and sees to it that it is published anew if it is published at all.
pub(crate) async fn wish(
    tx: &mut Tx,
    row: &AssetRow,
    asset: AssetId,
    job: JobId,
    now: Timestamp,
) -> Result<(), CatalogError> {
    tx.execute(sql::assets::COUNT_WISH, args![asset]).await?;
    tx.event(now, "asset.updated", asset, json!({}));
    // What is planned while the upload runs is not published: that happens once the source is there.
    if matches!(row.state()?, AssetState::Uploading | AssetState::Received) {
        return Ok(());
    }
    let Some(generation) = row.generation()? else { return Ok(()) };
    let spec = JobSpec::Texts { generation };
    // A job that waits will read this wish too. Touching it keeps it from being claimed before the commit.
    let args = args![asset, text("jobs.spec", &spec)?, now];
    if tx.execute(sql::jobs::HASTEN, args).await? > 0 {
        tx.tell_of_work();
        return Ok(());
    }
    tx.enqueue(job, asset, &spec, now).await
}

async fn insert(tx: &mut Tx, new: &NewText, now: Timestamp) -> Result<(), CatalogError> {
    let args = args![
        new.id,
        new.asset,
        tag(new.language.as_ref()),
        new.name.clone(),
        new.charset.clone(),
        new.is_forced,
        new.is_default,
        now,
        new.is_sdh,
        new.replaces.as_ref().map(|track| track.rendition.as_str().to_owned()),
        new.replaces.as_ref().map(|track| i64::from(track.version.0))
    ];
    tx.execute(sql::texts::INSERT, args).await.map(drop)
}

fn tag(language: Option<&Language>) -> Arg {
    Arg::from(language.map(|language| language.tag().to_owned()))
}

/// `texts` as stored.
#[derive(sqlx::FromRow)]
struct TextRow {
    id: String,
    asset_id: String,
    language: Option<String>,
    name: Option<String>,
    charset: Option<String>,
    is_forced: i64,
    is_default: i64,
    is_sdh: i64,
    is_removed: i64,
    state: String,
    report: Option<String>,
    generation: Option<i64>,
    rendition: Option<String>,
    replaces: Option<String>,
    replaces_version: Option<i64>,
    version: i64,
    created_at: i64,
}

impl TryFrom<TextRow> for Text {
    type Error = CatalogError;

    fn try_from(row: TextRow) -> Result<Self, CatalogError> {
        let generation =
            row.generation.map(|number| count32("texts.generation", number).map(Generation)).transpose()?;
        let track = row.replaces.as_deref().map(|name| parsed("texts.replaces", name)).transpose()?;
        let source = row.replaces_version.map(|number| count32("texts.replaces_version", number)).transpose()?;
        let replaces = track.zip(source.map(SourceVersion));
        let rendition = row.rendition.map(|rendition| document("texts.rendition", &rendition)).transpose()?;
        Ok(Self {
            id: parsed("texts.id", &row.id)?,
            asset: parsed("texts.asset_id", &row.asset_id)?,
            language: row.language.as_deref().and_then(Language::from_tag),
            name: row.name,
            charset: row.charset,
            is_forced: row.is_forced != 0,
            is_default: row.is_default != 0,
            is_sdh: row.is_sdh != 0,
            replaces: replaces.map(|(rendition, version)| Replaced { version, rendition }),
            version: count("texts.version", row.version)?,
            is_removed: row.is_removed != 0,
            state: State::from_name(&row.state).ok_or_else(|| corrupt("texts.state", &row.state))?,
            report: row.report.map(|report| document("texts.report", &report)).transpose()?,
            read_for: generation,
            cut: generation.zip(rendition),
            created_at: Timestamp::from_unix_ms(row.created_at),
        })
    }
}
