//! Videos as they stand in the export of an account: all that was said of them, and the words of their subtitle files.

use std::collections::BTreeMap;

use catalog_store::erasure::BELONGINGS_MAX;
use catalog_store::{Asset, Text};
use domain::about::{Credit, Date};
use domain::text::State as Standing;
use domain::{AssetId, AssetKind, AssetState, ByteSize, ChannelId, Language, PlaybackId, Stage, TextId, Timestamp};
use serde::Serialize;

use crate::State;
use crate::cues::{self, CueView};
use crate::markers::{self, MarkerView};
use crate::poster;
use crate::problem::Problem;
use crate::view::{ChapterSource, ChapterView, chapters};

/// Videos whose subtitle files are looked up at once.
const LOOKED_UP: usize = 100;
/// Octets of subtitle files after which none is read any more.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// A video of an export.
#[derive(Serialize)]
pub(crate) struct ExportedAsset {
    id: AssetId,
    playback_id: PlaybackId,
    state: AssetState,
    kind: Option<AssetKind>,
    title: Option<String>,
    file_name: Option<String>,
    size_bytes: Option<u64>,
    created_at: String,
    updated_at: String,
    description: Option<String>,
    tags: Vec<String>,
    genres: Vec<String>,
    languages: Vec<Language>,
    released_on: Option<Date>,
    external_ids: BTreeMap<String, String>,
    people: Vec<Credit>,
    chapters: Vec<ChapterView>,
    chapters_source: ChapterSource,
    markers: Vec<MarkerView>,
    subtitles: Vec<ExportedText>,
    channel: Option<ChannelId>,
    stage: Stage,
    stage_note: Option<String>,
    publish_at: Option<String>,
    expire_at: Option<String>,
    binned_at: Option<String>,
    bin_until: Option<String>,
    /// Null if it was never said.
    access: Option<ExportedAccess>,
    poster: ExportedPoster,
}

/// A subtitle file that was added.
#[derive(Serialize)]
struct ExportedText {
    id: TextId,
    language: Option<Language>,
    name: Option<String>,
    is_forced: bool,
    is_default: bool,
    is_hearing_impaired: bool,
    state: Standing,
    created_at: String,
    /// Null where there is no more room for them, or where the file is lost.
    cues: Option<Vec<CueView>>,
}

/// Who may play it, without what opens it.
#[derive(Serialize)]
struct ExportedAccess {
    policy: &'static str,
    pages: Vec<String>,
}

/// What was chosen as its poster.
#[derive(Serialize)]
struct ExportedPoster {
    source: &'static str,
    time_s: Option<f64>,
}

/// What is left of the bounds of one export.
struct Room {
    files: u32,
    octets: usize,
    is_over: bool,
}

/// These videos, and whether that is all of them: at most [`BELONGINGS_MAX`] subtitle files, of which about
/// [`TEXT_BYTES_MAX`] octets are read.
pub(crate) async fn exported(state: &State, assets: Vec<Asset>) -> Result<(Vec<ExportedAsset>, bool), Problem> {
    let mut room = Room { files: BELONGINGS_MAX, octets: TEXT_BYTES_MAX, is_over: false };
    let mut views = Vec::with_capacity(assets.len());
    for some in assets.chunks(LOOKED_UP) {
        let ids: Vec<AssetId> = some.iter().map(|asset| asset.id).collect();
        let mut texts = state.catalog.texts_of(&ids).await?;
        for asset in some {
            let texts = texts.remove(&asset.id).unwrap_or_default();
            views.push(ExportedAsset::new(asset.clone(), room.subtitles(state, texts).await?));
        }
    }
    Ok((views, !room.is_over))
}

impl Room {
    async fn subtitles(&mut self, state: &State, texts: Vec<Text>) -> Result<Vec<ExportedText>, Problem> {
        let mut views = Vec::new();
        for text in texts.into_iter().filter(|text| !text.is_removed) {
            if self.files == 0 {
                self.is_over = true;
                break;
            }
            self.files -= 1;
            let cues = self.cues(state, &text).await?;
            views.push(ExportedText::new(text, cues));
        }
        Ok(views)
    }

    async fn cues(&mut self, state: &State, text: &Text) -> Result<Option<Vec<CueView>>, Problem> {
        if self.octets == 0 {
            self.is_over = true;
            return Ok(None);
        }
        let Some((cues, octets)) = cues::words(state, text).await? else { return Ok(None) };
        self.octets = self.octets.saturating_sub(octets);
        Ok(Some(cues))
    }
}

impl ExportedAsset {
    fn new(asset: Asset, subtitles: Vec<ExportedText>) -> Self {
        let (source, time_s) = poster::chosen(&asset);
        Self {
            id: asset.id,
            playback_id: asset.playback,
            state: asset.state,
            kind: asset.kind,
            size_bytes: asset.size.map(|ByteSize(bytes)| bytes),
            created_at: asset.created_at.rfc3339(),
            updated_at: asset.updated_at.rfc3339(),
            chapters: chapters(&asset),
            chapters_source: ChapterSource::of(&asset),
            markers: markers::of(&asset),
            subtitles,
            channel: asset.channel,
            stage: asset.stage,
            publish_at: asset.publish_at.map(Timestamp::rfc3339),
            expire_at: asset.expire_at.map(Timestamp::rfc3339),
            binned_at: asset.binned_at.map(Timestamp::rfc3339),
            bin_until: asset.bin_until.map(Timestamp::rfc3339),
            poster: ExportedPoster { source, time_s },
            access: asset
                .access
                .map(|access| ExportedAccess { policy: access.admission.as_str(), pages: access.pages }),
            title: asset.title,
            file_name: asset.file_name,
            stage_note: asset.stage_note,
            description: asset.about.description,
            tags: asset.about.tags,
            genres: asset.about.genres,
            languages: asset.about.languages,
            released_on: asset.about.released_on,
            external_ids: asset.about.external_ids,
            people: asset.about.people,
        }
    }
}

impl ExportedText {
    fn new(text: Text, cues: Option<Vec<CueView>>) -> Self {
        Self {
            id: text.id,
            language: text.language,
            name: text.name,
            is_forced: text.is_forced,
            is_default: text.is_default,
            is_hearing_impaired: text.is_sdh,
            state: text.state,
            created_at: text.created_at.rfc3339(),
            cues,
        }
    }
}
