//! From a probe to everything that is going to be made of it: a pure function.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::complexity::Cost;
use crate::ladder::{self, Rung};
use crate::loudness::Hundredths;
use crate::per_title::Looks;
use crate::probe::{AudioTrack, SubtitleTrack, TEXT_CHARS_MAX, VideoTrack};
use crate::recipe::ExtraCodec;
use crate::{
    AAC_FRAME_SAMPLES, Bitrate, Cadence, Codec, Failure, FailureCode, FrameRate, Language, MediaTime, Probe, Recipe,
    RenditionId, Resolution, Span, Timescale, passthrough,
};

/// What a server accepts; beyond it a source is refused with [`FailureCode::LimitExceeded`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest source.
    pub duration_s_max: u32,
    /// Most pixels of any picture track; [`PIXELS_MAX`] unless a server is set up otherwise.
    pub pixels_max: u64,
    /// Most audio tracks that become renditions; further ones are left out.
    pub audio_tracks_max: usize,
    /// Most subtitle tracks that become renditions; further ones are left out.
    pub subtitle_tracks_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { duration_s_max: 12 * 3600, pixels_max: PIXELS_MAX, audio_tracks_max: 16, subtitle_tracks_max: 32 }
    }
}

/// Most pixels of a picture unless a server is set up otherwise: 8192 by 4352, the largest picture of
/// any level of H.264 (ITU-T H.264 table A-1).
pub const PIXELS_MAX: u64 = 8192 * 4352;

/// Refuses a coded picture of more than `pixels_max`.
///
/// # Errors
/// [`FailureCode::LimitExceeded`] with a sentence for the uploader.
pub fn check_pixels(coded: Resolution, pixels_max: u64) -> Result<(), Failure> {
    if coded.pixels() <= pixels_max {
        return Ok(());
    }
    let sentence =
        format!("the picture of {coded} has more than the {pixels_max} pixels allowed here: export it smaller");
    Err(Failure::new(FailureCode::LimitExceeded, sentence))
}

/// Segments in every chunk but the first, which holds the three short ones.
const SEGMENTS_PER_CHUNK: u32 = 10;

/// Segments in the first chunk.
const SEGMENTS_IN_FIRST_CHUNK: u32 = 3;

/// Segments in every part of an audio rendition: about five minutes of sound.
const SEGMENTS_PER_AUDIO_PART: u32 = 50;

/// Channels of a surround rendition: 5.1, left, right, centre, low frequencies and two behind.
pub const SURROUND_CHANNELS: u16 = 6;

/// Channels of the sources that surround renditions are made of: 5.1 to 7.1. What has fewer is not
/// surround sound, and more are no loudspeakers but a sound field.
const SURROUND_SOURCES: RangeInclusive<u16> = 6..=8;

/// Everything that is made of one source under one recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The encoder settings.
    pub recipe: Recipe,
    /// The source's instant that becomes zero in the output.
    pub origin: MediaTime,
    /// Time from the origin to the end of the last track.
    pub duration: MediaTime,
    /// Where segments begin.
    pub cadence: Cadence,
    /// The picture; `None` for audio-only sources.
    pub video: Option<VideoPlan>,
    /// The sound, one entry per rendition; the default one first, all stereo ones before the others.
    pub audio: Vec<AudioPlan>,
    /// The text subtitles that become WebVTT, one entry per rendition.
    pub subtitles: Vec<SubtitlePlan>,
}

/// What is made of the video track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoPlan {
    /// Index of the stream in the source.
    pub stream_index: u32,
    /// Output frames, all of equal length.
    pub frame_count: u64,
    /// The renditions, smallest first.
    pub rungs: Vec<Rung>,
    /// RFC 6381 codec string of the largest rendition where it is the source's own pictures, not
    /// encoded again; else `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<String>,
    /// What a few GOPs cost at each rung, also at those that were left out for it, or what is known of the
    /// largest; empty where the ladder follows from the size of the picture alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<Cost>,
    /// How the rungs looked at the rate factors that were tried; empty where all have the recipe's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<Looks>,
    /// The same sizes in other codecs, one ladder for each, smallest first; made after everything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<Vec<Rung>>,
}

impl VideoPlan {
    /// The rendition that shows the source's own pictures.
    pub fn copied_rung(&self) -> Option<&Rung> {
        self.rungs.last().filter(|_| self.copied.is_some())
    }

    /// The ladder in this codec; empty if the plan has none.
    pub fn ladder(&self, codec: Codec) -> &[Rung] {
        let has = |rungs: &&[Rung]| rungs.first().is_some_and(|rung| rung.codec == codec);
        self.ladders().find(has).unwrap_or_default()
    }

    /// All ladders, H.264 first.
    pub fn ladders(&self) -> impl Iterator<Item = &[Rung]> {
        std::iter::once(self.rungs.as_slice()).chain(self.extra.iter().map(Vec::as_slice))
    }

    /// The rung of this name in any codec.
    pub fn rung(&self, id: &RenditionId) -> Option<&Rung> {
        self.ladders().flatten().find(|rung| rung.id == *id)
    }

    /// How many renditions are encoded in H.264: all, or all but the largest.
    pub fn encoded_count(&self) -> usize {
        self.rungs.len().saturating_sub(usize::from(self.copied.is_some()))
    }
}

/// What the quality that players begin with should cost (HLS authoring 1.32).
pub const FIRST_VARIANT_BITRATE: Bitrate = Bitrate(2_000_000);

impl VideoPlan {
    /// Index of the rung that players begin with: the one whose cap is nearest to [`FIRST_VARIANT_BITRATE`].
    pub fn first_rung(&self) -> Option<usize> {
        let distance = |rung: &Rung| rung.bitrate_max.0.abs_diff(FIRST_VARIANT_BITRATE.0);
        (0..self.rungs.len()).min_by_key(|at| distance(&self.rungs[*at]))
    }
}

/// What is made of one audio track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioPlan {
    /// The rendition's name.
    pub id: RenditionId,
    /// Index of the stream in the source.
    pub stream_index: u32,
    /// AAC frames of 1024 samples at the rendition's sample rate, from the origin to the track's end.
    pub frame_count: u64,
    /// Channels of the output: 2, or [`SURROUND_CHANNELS`]; what is taken over may have one.
    pub channels: u16,
    /// Language, if known.
    pub language: Option<Language>,
    /// What a menu shows; unique among the renditions of as many channels, and the same for all of one track.
    pub name: String,
    /// Where the frames of the source are, if they are played as they are, not encoded again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<CopiedSound>,
    /// Decibels by which the sound is made louder, so that it comes to the recipe's loudness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain_db: Option<Hundredths>,
}

impl AudioPlan {
    /// Samples from zero to the first AAC frame: less than a frame, and none where the sound is encoded.
    pub fn offset(&self) -> u32 {
        self.copied.as_ref().map_or(0, |copied| copied.offset)
    }
}

/// What is known of a rendition that plays the source's own frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedSound {
    /// Samples per second of the source, and so of the rendition.
    pub sample_rate: u32,
    /// Samples from zero to the first frame, less than a frame lasts.
    pub offset: u32,
    /// Highest bit rate.
    pub bitrate_max: Bitrate,
}

/// What is made of one subtitle track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtitlePlan {
    /// The rendition's name.
    pub id: RenditionId,
    /// Index of the stream in the source.
    pub stream_index: u32,
    /// Language, if known.
    pub language: Option<Language>,
    /// What a menu shows; unique among the subtitle renditions.
    pub name: String,
    /// Only shown for foreign speech.
    pub is_forced: bool,
    /// Made for the deaf and hard of hearing.
    #[serde(default)]
    pub is_sdh: bool,
}

/// A unit of work: a run of consecutive segments, all video renditions at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Number of the chunk, from 0.
    pub index: u32,
    /// Its first segment.
    pub first_segment: u32,
    /// How many segments.
    pub segment_count: u32,
}

/// A unit of work: a run of consecutive segments of one audio rendition.
///
/// Its segments depend on the source, the recipe and the part alone, not on which of them are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioPart {
    /// Number of the part, from 0.
    pub index: u32,
    /// Its first segment.
    pub first_segment: u32,
    /// How many segments.
    pub segment_count: u32,
}

impl AudioPart {
    /// True if the segment of this number belongs to the part.
    pub fn holds(self, segment: u32) -> bool {
        segment.checked_sub(self.first_segment).is_some_and(|at| at < self.segment_count)
    }
}

impl Plan {
    /// Plans the output of a source.
    ///
    /// # Errors
    /// A [`Failure`] for the uploader if there is nothing to play or a limit is exceeded.
    pub fn new(probe: &Probe, recipe: &Recipe, limits: &Limits) -> Result<Self, Failure> {
        if !probe.has_media() {
            return Err(Failure::new(
                FailureCode::NoMedia,
                "the file holds neither a picture nor sound that can be played",
            ));
        }
        let (origin, duration) = (probe.origin(), probe.duration());
        if duration.as_ms() > i64::from(limits.duration_s_max) * 1000 {
            let max = MediaTime::new(i64::from(limits.duration_s_max) * 1000, Timescale::MILLISECONDS);
            return Err(Failure::new(
                FailureCode::LimitExceeded,
                format!("the file plays for {}, more than the {} allowed here", crate::hms(duration), crate::hms(max)),
            ));
        }
        probe.video.iter().try_for_each(|track| check_pixels(track.coded, limits.pixels_max))?;
        let main = probe.main_video();
        let as_it_is = main.filter(|_| recipe.passthrough).and_then(|track| passthrough::plan(track, origin).ok());
        let begins = as_it_is.as_ref().map_or(origin, |plan| plan.origin);
        let duration = begins.minus(origin).and_then(|cut| duration.minus(cut)).unwrap_or(duration);
        let origin = begins;
        let (cadence, video) = match (main, as_it_is) {
            (Some(track), Some(plan)) => copied(track, plan),
            (Some(track), None) => encoded(track, origin),
            (None, _) => (Cadence::for_audio(), None),
        };
        let libraries = probe.libraries.chars().take(TEXT_CHARS_MAX).collect();
        let mut plan = Self {
            recipe: Recipe { libraries, ..recipe.clone() },
            origin,
            duration,
            cadence,
            video,
            audio: audio(probe, origin, recipe, limits),
            subtitles: subtitles(probe, limits),
        };
        if plan.video.is_none() && plan.audio.is_empty() {
            return Err(Failure::new(FailureCode::NoMedia, "every track of the file is empty"));
        }
        plan.add_extra_ladders();
        Ok(plan)
    }

    /// Plans the sizes of the ladder in the recipe's other codecs.
    pub(crate) fn add_extra_ladders(&mut self) {
        let Some(video) = &mut self.video else { return };
        // A source that is copied has a rate of its own, not a cap; another codec is capped as usual.
        let usual = ladder::caps(&video.rungs, self.cadence.frame_rate);
        let in_codec = |extra: &ExtraCodec| usual.iter().filter_map(|rung| rung.in_codec(extra.codec)).collect();
        let ladders = self.recipe.extra_codecs.iter().map(in_codec);
        video.extra = ladders.filter(|rungs: &Vec<Rung>| !rungs.is_empty()).collect();
    }

    /// The grid cells of the video renditions; empty without video.
    pub fn video_spans(&self) -> Vec<Span> {
        self.video.as_ref().map_or_else(Vec::new, |video| self.cadence.video_spans(video.frame_count))
    }

    /// The grid cells of an audio rendition, in AAC frames.
    pub fn audio_spans(&self, audio: &AudioPlan) -> Vec<Span> {
        self.cadence.audio_spans_from(audio.offset(), self.audio_timescale(audio), audio.frame_count)
    }

    /// Ticks per second of an audio rendition: its sample rate.
    pub fn audio_timescale(&self, audio: &AudioPlan) -> Timescale {
        let rate = audio.copied.as_ref().map_or(self.recipe.audio_sample_rate, |copied| copied.sample_rate);
        Timescale::new(rate).unwrap_or(Timescale::MILLISECONDS)
    }

    /// The bit rate that an audio rendition declares before it is measured.
    pub fn audio_bitrate(&self, audio: &AudioPlan) -> Bitrate {
        let encoded = || self.recipe.audio_bitrate_of(audio.channels);
        audio.copied.as_ref().map_or_else(encoded, |copied| copied.bitrate_max)
    }

    /// The units of video work: the three short segments first, then ten segments each; empty without video.
    pub fn chunks(&self) -> Vec<Chunk> {
        let segments = u32::try_from(self.video_spans().len()).unwrap_or(u32::MAX);
        let mut chunks = Vec::new();
        let mut first_segment = 0;
        while first_segment < segments {
            let wanted = if first_segment == 0 { SEGMENTS_IN_FIRST_CHUNK } else { SEGMENTS_PER_CHUNK };
            let segment_count = wanted.min(segments - first_segment);
            let index = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
            chunks.push(Chunk { index, first_segment, segment_count });
            first_segment += segment_count;
        }
        chunks
    }

    /// The units of audio work of a rendition: fifty segments each; segment `k` belongs to part `k / 50`.
    pub fn audio_parts(&self, audio: &AudioPlan) -> Vec<AudioPart> {
        let segments = u32::try_from(self.audio_spans(audio).len()).unwrap_or(u32::MAX);
        let part = |index: u32| {
            let first_segment = index * SEGMENTS_PER_AUDIO_PART;
            AudioPart { index, first_segment, segment_count: SEGMENTS_PER_AUDIO_PART.min(segments - first_segment) }
        };
        (0..segments.div_ceil(SEGMENTS_PER_AUDIO_PART)).map(part).collect()
    }

    /// The audio rendition of this name.
    pub fn audio_rendition(&self, id: &RenditionId) -> Option<&AudioPlan> {
        self.audio.iter().find(|audio| audio.id == *id)
    }
}

/// The source's own pictures, and smaller ones beside them.
fn copied(track: &VideoTrack, plan: passthrough::Passthrough) -> (Cadence, Option<VideoPlan>) {
    let passthrough::Passthrough { cadence, frame_count, rungs, codecs, .. } = plan;
    (
        cadence,
        Some(VideoPlan {
            stream_index: track.stream_index,
            frame_count,
            rungs,
            copied: Some(codecs),
            costs: vec![],
            looks: vec![],
            extra: vec![],
        }),
    )
}

/// Every picture made anew, at an even rate.
fn encoded(track: &VideoTrack, origin: MediaTime) -> (Cadence, Option<VideoPlan>) {
    let rate = ladder::output_rate(track.picture_rate());
    let video = track.extent.end.minus(origin).map(|end| VideoPlan {
        stream_index: track.stream_index,
        frame_count: frames_until(end, rate).max(1),
        rungs: ladder::rungs(track.display(), rate),
        copied: None,
        costs: vec![],
        looks: vec![],
        extra: vec![],
    });
    (Cadence::for_video(rate), video)
}

/// Whole frames that begin before `end`, when `end` itself is only known to half a frame.
pub(crate) fn frames_until(end: MediaTime, rate: FrameRate) -> u64 {
    end.rescale_round(rate.timescale()).map_or(0, |time| {
        let ticks = u64::try_from(time.ticks).unwrap_or(0);
        let frame = u64::from(rate.frame_ticks());
        (ticks + frame / 2) / frame
    })
}

fn audio(probe: &Probe, origin: MediaTime, recipe: &Recipe, limits: &Limits) -> Vec<AudioPlan> {
    let Some(scale) = Timescale::new(recipe.audio_sample_rate) else { return Vec::new() };
    // The default track leads; the order of the others stays the file's.
    let mut tracks: Vec<&AudioTrack> = probe.audio.iter().take(limits.audio_tracks_max).collect();
    tracks.sort_by_key(|track| !track.is_default);
    let mut names = Names::default();
    let (mut stereo, mut surround) = (Vec::new(), Vec::new());
    for (at, track) in tracks.into_iter().enumerate() {
        let samples =
            track.extent.end.minus(origin).and_then(|end| end.rescale_round(scale)).map_or(0, |time| time.ticks);
        let frame_count = u64::try_from(samples).unwrap_or(0).div_ceil(u64::from(AAC_FRAME_SAMPLES));
        let base = name_of("audio", at, track.language.as_ref());
        let Ok(id) = RenditionId::new(base.clone()) else { continue };
        if frame_count == 0 {
            continue;
        }
        let name = names.unique(track.title.as_deref(), track.language.as_ref(), "Audio");
        let language = track.language.clone();
        let stream_index = track.stream_index;
        let plan =
            AudioPlan { id, stream_index, frame_count, channels: 2, language, name, copied: None, gain_db: None };
        let is_as_loud = recipe.loudness_target_lufs.is_none();
        let as_it_is = Some(track).filter(|_| recipe.audio_passthrough && is_as_loud);
        let as_it_is = as_it_is.and_then(|track| passthrough::plan_sound(track, origin, recipe).ok());
        let taken_over = |plan: AudioPlan| match &as_it_is {
            Some(sound) if (sound.channels > 2) == (plan.channels > 2) => AudioPlan {
                frame_count: sound.frame_count,
                channels: sound.channels,
                copied: Some(sound.copied.clone()),
                ..plan
            },
            _ => plan,
        };
        if let Some(id) = RenditionId::new(format!("{base}-surround")).ok().filter(|_| has_surround(track)) {
            surround.push(taken_over(AudioPlan { id, channels: SURROUND_CHANNELS, ..plan.clone() }));
        }
        stereo.push(taken_over(plan));
    }
    stereo.append(&mut surround);
    stereo
}

fn has_surround(track: &AudioTrack) -> bool {
    SURROUND_SOURCES.contains(&track.channels)
}

fn subtitles(probe: &Probe, limits: &Limits) -> Vec<SubtitlePlan> {
    let mut names = Names::default();
    let texts = probe.subtitles.iter().filter(|track| track.is_text).take(limits.subtitle_tracks_max);
    let plan = |(at, track): (usize, &SubtitleTrack)| {
        Some(SubtitlePlan {
            id: RenditionId::new(name_of("subtitles", at, track.language.as_ref())).ok()?,
            stream_index: track.stream_index,
            language: track.language.clone(),
            name: names.unique(track.title.as_deref(), track.language.as_ref(), "Subtitles"),
            is_forced: track.is_forced,
            is_sdh: track.is_sdh,
        })
    };
    texts.enumerate().filter_map(plan).collect()
}

fn name_of(kind: &str, at: usize, language: Option<&Language>) -> String {
    language.map_or_else(|| format!("{kind}-{at}"), |language| format!("{kind}-{at}-{language}"))
}

/// Menu names already given away; RFC 8216 §4.3.4.1.1 wants each to be unique in its group.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn unique(&mut self, title: Option<&str>, language: Option<&Language>, fallback: &str) -> String {
        let title = title.map(str::trim).filter(|title| !title.is_empty());
        let base = title.or(language.map(Language::name)).unwrap_or(fallback).to_owned();
        let numbered = |at: usize| if at == 1 { base.clone() } else { format!("{base} {at}") };
        // One of n + 1 names is free when n are taken.
        let free = (1..=self.0.len() + 1).map(numbered).find(|name| !self.0.contains(name)).unwrap_or(base.clone());
        self.0.push(free.clone());
        free
    }
}

#[cfg(test)]
mod tests;
