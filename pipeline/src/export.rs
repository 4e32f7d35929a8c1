//! Writes a published asset as a static HLS folder that any web server can serve.

mod folder;

use std::io;
use std::path::{Path, PathBuf};

use catalog_store::{Catalog, CatalogError};
use domain::loudness::Loudness;
use domain::presentation::{Images, Pointer};
use domain::{AssetId, Presentation, RenditionId};
use media_store::{Key, MediaStore, StoreError, layout};
use packager::hls::View;
use packager::{dash, hls, storyboard, webvtt};
use serde::Serialize;

use folder::Folder;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The multivariant playlist at the folder's top.
    pub master: PathBuf,
    /// Files in the folder.
    pub file_count: usize,
    /// Octets of all files.
    pub bytes: u64,
}

/// Why a folder could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// There is no such asset.
    #[error("no asset {0}")]
    NoAsset(AssetId),
    /// The asset has no verified presentation.
    #[error("{0} is not ready")]
    NotReady(AssetId),
    /// An object that the presentation names is missing.
    #[error("{key} is missing")]
    Missing {
        /// The object.
        key: String,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The catalogue failed.
    #[error("cannot read the catalogue")]
    Catalog(#[from] CatalogError),
    /// The object store failed.
    #[error("cannot read the storage")]
    Store(#[from] StoreError),
    /// A stored document cannot be read.
    #[error("unreadable document")]
    Document(#[from] serde_json::Error),
}

/// What people want to know of the source, beside the playlists.
#[derive(Serialize)]
struct Metadata<'a> {
    title: Option<&'a str>,
    size: String,
    duration: String,
    duration_seconds: f64,
    audio_languages: Vec<&'a str>,
    subtitle_languages: Vec<&'a str>,
    has_subtitles: bool,
    images: Option<Pictures<'a>>,
    loudness: &'a [Loudness],
    probe: &'a domain::Probe,
}

/// The pictures, as paths in the folder.
#[derive(Serialize)]
struct Pictures<'a> {
    poster: String,
    thumbnails: Vec<String>,
    preview: Option<String>,
    storyboard: Option<&'static str>,
    blurhash: Option<&'a str>,
    thumbhash: Option<&'a str>,
}

impl<'a> From<&'a Images> for Pictures<'a> {
    fn from(images: &'a Images) -> Self {
        let path = |file: &String| format!("images/{file}");
        Self {
            poster: path(&images.poster),
            thumbnails: images.thumbnails.iter().map(|thumbnail| path(&thumbnail.file)).collect(),
            preview: images.preview.as_ref().map(path),
            storyboard: images.storyboard.as_ref().map(|_| "storyboard.json"),
            blurhash: images.blurhash.as_deref(),
            thumbhash: images.thumbhash.as_deref(),
        }
    }
}

/// Writes the ready `asset` to `dir`: `master.m3u8` at the top, a folder per rendition, `images/`,
/// chapters, storyboard and `metadata.json`.
///
/// Segments are hard links where storage and folder allow it. Files that are there already are kept if
/// they are the same, so a repeated export writes little. The multivariant playlist is written last, and
/// all is durable when this returns.
///
/// # Errors
/// [`ExportError::NotReady`] unless the asset's verified presentation is the current one.
pub async fn to_folder(
    catalog: &Catalog,
    store: &MediaStore,
    asset: AssetId,
    dir: &Path,
) -> Result<Exported, ExportError> {
    let found = catalog.asset(asset).await?.ok_or(ExportError::NoAsset(asset))?;
    let presentation = published(store, found.playback).await?.ok_or(ExportError::NotReady(asset))?;
    let mut folder = Folder::open(dir.to_owned()).await?;
    renditions(&presentation, store, &mut folder).await?;
    for (path, text) in documents(&presentation) {
        folder.write(&path, text.into()).await?;
    }
    if let Some(probe) = &found.probe {
        let loudness = catalog.loudness(asset, presentation.generation).await?.unwrap_or_default();
        folder.write("metadata.json", metadata(&presentation, probe, &loudness)?.into()).await?;
    }
    // What the multivariant playlist names is durable before it is there to name it.
    folder.sync().await?;
    folder.write("master.m3u8", hls::multivariant(&presentation, "", View::default()).into()).await?;
    folder.sync().await?;
    Ok(Exported { master: dir.join("master.m3u8"), file_count: folder.file_count(), bytes: folder.bytes() })
}

async fn published(store: &MediaStore, playback: domain::PlaybackId) -> Result<Option<Presentation>, ExportError> {
    let Some(pointer) = store.pointer(playback).await? else { return Ok(None) };
    let pointer: Pointer = serde_json::from_slice(&pointer)?;
    if !pointer.is_complete() {
        return Ok(None);
    }
    let key = layout::presentation(pointer.asset, pointer.generation, pointer.revision);
    let body = store.get(&key).await?.ok_or_else(|| ExportError::Missing { key: key.to_string() })?;
    Ok(Some(serde_json::from_slice(&body)?))
}

/// Segments and their playlists.
async fn renditions(presentation: &Presentation, store: &MediaStore, folder: &mut Folder) -> Result<(), ExportError> {
    let (asset, generation) = (presentation.asset, presentation.generation);
    let video = presentation.video.iter().map(|rendition| (&rendition.id, rendition.segments.len()));
    let audio = presentation.audio.iter().map(|rendition| (&rendition.id, rendition.segments.len()));
    for (id, count) in video.chain(audio) {
        folder.object(store, &layout::init(asset, generation, id), &format!("{id}/init.mp4")).await?;
        for index in (0u32..).take(count) {
            folder.object(store, &layout::segment(asset, generation, id, index), &format!("{id}/{index}.m4s")).await?;
        }
        playlists(presentation, id, folder).await?;
    }
    for rendition in &presentation.subtitles {
        let id = &rendition.id;
        for index in (0u32..).take(rendition.segments.len()) {
            folder.object(store, &layout::subtitle(asset, generation, id, index), &format!("{id}/{index}.vtt")).await?;
        }
        playlists(presentation, id, folder).await?;
    }
    for file in presentation.images.iter().flat_map(Images::files) {
        let key: Key = layout::image(asset, generation, file)
            .map_err(|error| ExportError::Missing { key: format!("{file}: {error}") })?;
        folder.object(store, &key, &format!("images/{file}")).await?;
    }
    Ok(())
}

async fn playlists(presentation: &Presentation, id: &RenditionId, folder: &mut Folder) -> Result<(), ExportError> {
    if let Some(text) = hls::media(presentation, id, View::default()) {
        folder.write(&format!("{id}/playlist.m3u8"), text.into()).await?;
    }
    if let Some(text) = hls::iframes(presentation, id, View::default()) {
        folder.write(&format!("{id}/iframes.m3u8"), text.into()).await?;
    }
    Ok(())
}

/// What stands beside the multivariant playlist.
fn documents(presentation: &Presentation) -> Vec<(String, String)> {
    let mut documents = vec![("manifest.mpd".into(), dash::manifest(presentation, "", View::default()))];
    if !presentation.chapters.is_empty() {
        documents.push(("chapters.json".into(), packager::chapters::apple_json(&presentation.chapters)));
        documents.push(("chapters.vtt".into(), webvtt::chapters(&presentation.chapters)));
    }
    if let Some(tiles) = presentation.images.as_ref().and_then(|images| images.storyboard.as_ref()) {
        documents.extend(hls::images(presentation).map(|text| ("images/playlist.m3u8".into(), text)));
        documents.push(("storyboard.vtt".into(), storyboard::vtt(tiles, "")));
        documents.push(("storyboard.json".into(), storyboard::json(tiles, presentation.duration, "")));
    }
    documents
}

fn metadata(presentation: &Presentation, probe: &domain::Probe, loudness: &[Loudness]) -> Result<String, ExportError> {
    let mut audio_languages: Vec<&str> =
        probe.audio.iter().filter_map(|track| track.language.as_ref()).map(domain::Language::tag).collect();
    // Not those of the probe: pictures are no subtitles here, and others may have been added.
    let mut subtitle_languages: Vec<&str> =
        presentation.subtitles.iter().filter_map(|track| track.language.as_ref()).map(domain::Language::tag).collect();
    // Each language once, in the order of the tracks.
    for languages in [&mut audio_languages, &mut subtitle_languages] {
        let mut seen = std::collections::HashSet::new();
        languages.retain(|language| seen.insert(*language));
    }
    let metadata = Metadata {
        title: presentation.title.as_deref(),
        size: probe.size.to_string(),
        duration: domain::hms(presentation.duration),
        duration_seconds: presentation.duration.as_secs_f64(),
        audio_languages,
        subtitle_languages,
        has_subtitles: !presentation.subtitles.is_empty(),
        images: presentation.images.as_ref().map(Pictures::from),
        loudness,
        probe,
    };
    Ok(serde_json::to_string_pretty(&metadata)?)
}
