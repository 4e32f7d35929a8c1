//! How an asset looks in JSON.

use std::collections::BTreeMap;

use catalog_store::progress::seconds_left;
use catalog_store::{Asset, Output, RenditionKind, RenditionProgress, Text};
use domain::about::{Credit, Date};
use domain::loudness::Hundredths;
use domain::presentation::SubtitleRendition;
use domain::probe::Chapter;
use domain::{
    AssetId, AssetKind, AssetState, ByteSize, ChannelId, Failure, Generation, Language, LeftOut, MediaTime, PlaybackId,
    Probe, RenditionId, SourceVersion, Stage, Timestamp, pace,
};
use serde::Serialize;

use crate::avatars;

mod subtitles;

pub(crate) use subtitles::{SubtitleView, replacing, subtitles};

/// An asset, as the API shows it. Fields are only ever added.
#[derive(Serialize)]
pub(crate) struct AssetView {
    id: AssetId,
    state: AssetState,
    file_name: Option<String>,
    title: Option<String>,
    description: Option<String>,
    tags: Vec<String>,
    genres: Vec<String>,
    languages: Vec<Language>,
    released_on: Option<Date>,
    external_ids: BTreeMap<String, String>,
    people: Vec<Credit>,
    kind: Option<AssetKind>,
    /// In which everybody with an account sees it.
    channel: Option<ChannelId>,
    /// How far it is on its way to those who may see it, and what was said about that last.
    stage: Stage,
    stage_note: Option<String>,
    /// Since when it lies in the bin, and until when it can be taken out again.
    binned_at: Option<String>,
    bin_until: Option<String>,
    /// From when and until when those who may not change it see and play it.
    publish_at: Option<String>,
    expire_at: Option<String>,
    /// The account it belongs to, or the name behind a token; null if it is nobody's.
    owner: Option<String>,
    /// Where the picture of that account is.
    owner_avatar: Option<String>,
    created_at: String,
    updated_at: String,
    size_bytes: Option<u64>,
    /// For people: octets in K, M, G or T.
    size: Option<String>,
    duration_seconds: Option<f64>,
    /// For people: `HH:MM:SS`.
    duration: Option<String>,
    container: Option<String>,
    video: Option<VideoView>,
    audio: Vec<AudioView>,
    audio_languages: Vec<Language>,
    subtitle_languages: Vec<Language>,
    has_subtitles: bool,
    subtitles: Vec<SubtitleView>,
    chapters: Vec<ChapterView>,
    chapters_source: ChapterSource,
    playback: Option<PlaybackView>,
    renditions: Vec<RenditionView>,
    /// Committed segments over planned ones, 0 to 1; 1 exactly when the asset is ready.
    progress: f64,
    /// Until every segment is there; null while it is not known.
    seconds_left: Option<u64>,
    /// What of the source could not be made, and why; empty if nothing is missing.
    left_out: Vec<LeftOut>,
    failure: Option<Failure>,
    /// Which of its sources is in force.
    version: SourceVersion,
    /// The output in force, or being made for the first time.
    generation: Option<Generation>,
    /// The output that is being made to take its place.
    reprocessing: Option<ReprocessingView>,
    /// Why the last such output was given up.
    reprocess_failure: Option<Failure>,
}

/// How far the output is that will take the place of the one in force.
#[derive(Serialize)]
struct ReprocessingView {
    generation: Generation,
    renditions: Vec<RenditionView>,
    progress: f64,
    seconds_left: Option<u64>,
}

/// The picture that is shown.
#[derive(Serialize)]
struct VideoView {
    codec: String,
    /// Pixels as seen: after sample aspect and rotation.
    width: u32,
    height: u32,
    frame_rate: f64,
    is_variable_rate: bool,
    is_interlaced: bool,
    is_hdr: bool,
}

/// A sound track.
#[derive(Serialize)]
struct AudioView {
    codec: String,
    channels: u16,
    sample_rate: u32,
    language: Option<Language>,
    title: Option<String>,
    /// Null until it is measured.
    loudness: Option<LoudnessView>,
}

/// How loud a sound track is (EBU R128).
#[derive(Serialize)]
struct LoudnessView {
    /// Null for silence.
    integrated_lufs: Option<Hundredths>,
    range_lu: Hundredths,
    /// Null for silence.
    true_peak_dbtp: Option<Hundredths>,
}

/// Where chapters come from.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChapterSource {
    /// The file.
    File,
    /// Somebody set them.
    Added,
}

impl ChapterSource {
    pub(crate) fn of(asset: &Asset) -> Self {
        if asset.chapters.is_some() { Self::Added } else { Self::File }
    }
}

/// A chapter, on the timeline of the output.
#[derive(Serialize)]
pub(crate) struct ChapterView {
    start_seconds: f64,
    end_seconds: f64,
    title: String,
}

/// Where a player finds it.
#[derive(Serialize)]
struct PlaybackView {
    playback_id: PlaybackId,
    hls: String,
    watch: String,
    poster: Option<String>,
    /// An animated picture of a few moments.
    preview: Option<String>,
    /// What is shown while the poster loads.
    blurhash: Option<String>,
    thumbhash: Option<String>,
    storyboard: Option<String>,
    storyboard_json: Option<String>,
    chapters: Option<String>,
}

/// How far a rendition is.
#[derive(Serialize)]
struct RenditionView {
    id: RenditionId,
    kind: &'static str,
    segments_done: u32,
    segments_total: u32,
    /// By how long it plays, 0 to 1.
    share: f64,
    /// Null while it is not known; 0 exactly when every segment is there.
    seconds_left: Option<u64>,
}

impl AssetView {
    pub(crate) fn new(asset: Asset, output: &Output, next: Option<&Output>, texts: &[Text], now: Timestamp) -> Self {
        let probe = asset.probe.as_ref();
        let duration = probe.map(Probe::duration);
        let languages = |languages: Vec<Option<&Language>>| unique(languages.into_iter().flatten());
        let subtitles = subtitles(&asset, output, texts);
        let (chapters, chapters_source) = (chapters(&asset), ChapterSource::of(&asset));
        let added = texts.iter().filter_map(|text| text.cut.as_ref().map(|(_, rendition)| rendition));
        Self {
            owner_avatar: owner_avatar(&asset),
            id: asset.id,
            state: asset.state,
            created_at: asset.created_at.rfc3339(),
            updated_at: asset.updated_at.rfc3339(),
            size_bytes: asset.size.map(|ByteSize(bytes)| bytes),
            size: asset.size.map(|size| size.to_string()),
            duration_seconds: duration.map(seconds),
            duration: duration.map(domain::hms),
            container: probe.map(|probe| probe.container.clone()),
            video: probe.and_then(video),
            audio: probe.map_or_else(Vec::new, |probe| audio(probe, output)),
            audio_languages: probe.map_or_else(Vec::new, |probe| {
                languages(probe.audio.iter().map(|track| track.language.as_ref()).collect())
            }),
            subtitle_languages: languages(
                subtitles.iter().filter(|one| one.is_convertible()).map(SubtitleView::language).collect(),
            ),
            has_subtitles: subtitles.iter().any(SubtitleView::is_convertible),
            subtitles,
            playback: playback(&asset, output, !chapters.is_empty()),
            chapters,
            chapters_source,
            progress: if asset.state == AssetState::Ready { 1.0 } else { progress(output) },
            seconds_left: seconds_left(&output.renditions, now).filter(|_| !asset.state.is_final()),
            renditions: output
                .renditions
                .iter()
                .map(|rendition| RenditionView::new(rendition, now))
                .chain(added.map(RenditionView::from))
                .collect(),
            left_out: output.left_out.clone(),
            file_name: asset.file_name,
            title: asset.title,
            kind: asset.kind,
            stage: asset.stage,
            stage_note: asset.stage_note,
            binned_at: asset.binned_at.map(Timestamp::rfc3339),
            bin_until: asset.bin_until.map(Timestamp::rfc3339),
            publish_at: asset.publish_at.map(Timestamp::rfc3339),
            expire_at: asset.expire_at.map(Timestamp::rfc3339),
            channel: asset.channel,
            description: asset.about.description,
            tags: asset.about.tags,
            genres: asset.about.genres,
            languages: asset.about.languages,
            released_on: asset.about.released_on,
            external_ids: asset.about.external_ids,
            people: asset.about.people,
            owner: asset.owner,
            failure: asset.failure,
            version: asset.source_version,
            generation: asset.generation,
            reprocessing: asset.next_generation.map(|generation| reprocessing(generation, next, now)),
            reprocess_failure: asset.reprocess_failure,
        }
    }
}

impl RenditionView {
    fn new(progress: &RenditionProgress, now: Timestamp) -> Self {
        Self {
            share: thousandths(progress.share()),
            seconds_left: progress.left(now).map(pace::seconds),
            id: progress.id.clone(),
            kind: progress.kind.as_str(),
            segments_done: progress.done,
            segments_total: progress.total,
        }
    }
}

impl From<&SubtitleRendition> for RenditionView {
    fn from(rendition: &SubtitleRendition) -> Self {
        let segments = u32::try_from(rendition.segments.len()).unwrap_or(u32::MAX);
        Self {
            id: rendition.id.clone(),
            kind: RenditionKind::Subtitles.as_str(),
            segments_done: segments,
            segments_total: segments,
            share: 1.0,
            seconds_left: Some(0),
        }
    }
}

/// Where the picture of whoever an asset belongs to is.
pub(crate) fn owner_avatar(asset: &Asset) -> Option<String> {
    let owner = asset.owner.as_deref()?.parse().ok()?;
    asset.owner_avatar.map(|picture| avatars::address(owner, picture))
}

/// Seconds with three decimals: enough for people, and stable text.
pub(crate) fn seconds(time: MediaTime) -> f64 {
    thousandths(time.as_secs_f64())
}

fn thousandths(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Each language once, in the order of the tracks.
fn unique<'a>(languages: impl Iterator<Item = &'a Language>) -> Vec<Language> {
    let mut seen: Vec<Language> = Vec::new();
    for language in languages {
        if !seen.contains(language) {
            seen.push(language.clone());
        }
    }
    seen
}

fn video(probe: &Probe) -> Option<VideoView> {
    let track = probe.main_video()?;
    let display = track.display();
    Some(VideoView {
        codec: track.codec.clone(),
        width: display.width,
        height: display.height,
        frame_rate: thousandths(track.measured_rate.as_f64()),
        is_variable_rate: track.is_variable_rate,
        is_interlaced: track.is_interlaced(),
        is_hdr: track.color.is_hdr(),
    })
}

fn audio(probe: &Probe, output: &Output) -> Vec<AudioView> {
    let loudness = |track: &domain::probe::AudioTrack| {
        let measured = output.loudness.iter().find(|loudness| loudness.stream_index == track.stream_index);
        measured.map(|measured| LoudnessView {
            integrated_lufs: measured.integrated_lufs,
            range_lu: measured.range_lu,
            true_peak_dbtp: measured.true_peak_dbtp,
        })
    };
    let view = |track: &domain::probe::AudioTrack| AudioView {
        codec: track.codec.clone(),
        channels: track.channels,
        sample_rate: track.sample_rate,
        language: track.language.clone(),
        title: track.title.clone(),
        loudness: loudness(track),
    };
    probe.audio.iter().map(view).collect()
}

/// The chapters as players get them; those that were set for a file of which nothing is known yet as they were set.
pub(crate) fn chapters(asset: &Asset) -> Vec<ChapterView> {
    let view = |chapter: Chapter| ChapterView {
        start_seconds: seconds(chapter.start),
        end_seconds: seconds(chapter.end),
        title: chapter.title,
    };
    let shown = match &asset.probe {
        Some(probe) => domain::chapters::shown(asset.chapters.as_deref(), probe, probe.origin(), probe.duration()),
        None => asset.chapters.clone().unwrap_or_default(),
    };
    shown.into_iter().map(view).collect()
}

fn playback(asset: &Asset, output: &Output, has_chapters: bool) -> Option<PlaybackView> {
    let generation = asset.generation.filter(|_| asset.is_playable)?;
    let id = asset.playback;
    let images = output.images.as_ref();
    let picture = |file: &String| format!("/v/{id}/g{generation}/images/{file}");
    // The storyboard's index is rendered from the final presentation, so it waits for that.
    let storyboard = images.and_then(|images| images.storyboard.as_ref()).filter(|_| asset.state == AssetState::Ready);
    Some(PlaybackView {
        playback_id: id,
        hls: format!("/v/{id}/master.m3u8"),
        watch: format!("/watch/{id}"),
        poster: images.map(|images| picture(&images.poster)),
        preview: images.and_then(|images| images.preview.as_ref()).map(picture),
        blurhash: images.and_then(|images| images.blurhash.clone()),
        thumbhash: images.and_then(|images| images.thumbhash.clone()),
        storyboard: storyboard.map(|_| format!("/v/{id}/storyboard.vtt")),
        storyboard_json: storyboard.map(|_| format!("/v/{id}/storyboard.json")),
        chapters: has_chapters.then(|| format!("/v/{id}/chapters.vtt")),
    })
}

fn reprocessing(generation: Generation, output: Option<&Output>, now: Timestamp) -> ReprocessingView {
    let renditions = output.map_or(&[][..], |output| &output.renditions);
    ReprocessingView {
        generation,
        renditions: renditions.iter().map(|rendition| RenditionView::new(rendition, now)).collect(),
        seconds_left: seconds_left(renditions, now),
        progress: output.map_or(0.0, progress),
    }
}

fn progress(output: &Output) -> f64 {
    // Subtitles are all or nothing and would make the figure run backwards when they appear.
    let counted = output.renditions.iter().filter(|rendition| rendition.kind != RenditionKind::Subtitles);
    let (done, total) = counted.fold((0u32, 0u32), |(done, total), rendition| {
        (done.saturating_add(rendition.done), total.saturating_add(rendition.total))
    });
    if total == 0 { 0.0 } else { (thousandths(f64::from(done) / f64::from(total))).min(0.999) }
}
