//! What a description of a source may say at all.
//!
//! Descriptions come from the engine, which reads hostile files and may be taken over by one: whatever
//! is stored, shown or computed with is checked here first.

use super::{
    Aac, AudioTrack, Avc, CHANNELS_MAX, CHAPTERS_MAX, Chapter, Extent, JUMPS_MAX, Jump, Probe, SAMPLE_RATES,
    SECONDS_MAX, SIDE_MAX, SubtitleTrack, TEXT_CHARS_MAX, TRACKS_MAX, VideoTrack, is_sane_aspect,
};
use crate::container::Container;
use crate::{Language, MediaTime};

/// Longest of libav's names: of codecs, pixel formats, colours.
const NAME_BYTES_MAX: usize = 40;

/// Luminance of the brightest pixel that PQ can state, in cd/m² (SMPTE ST 2084).
pub const NITS_MAX: u32 = 10_000;

/// Why a description is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeFault {
    /// There is more of something than can be dealt with.
    #[error("the file has {found} {what}, more than the {max} allowed here")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many there may be.
        max: u64,
    },
    /// A number lies outside of its range.
    #[error("the file states an impossible {what}")]
    Impossible {
        /// Which one.
        what: &'static str,
    },
    /// A text is too long, or holds what could do harm where it is shown.
    #[error("the file has an unusable {what}")]
    Text {
        /// Which one.
        what: &'static str,
    },
}

/// Longest SPS or PPS.
const PARAMETER_SET_BYTES_MAX: usize = 1024;

type Checked = Result<(), ProbeFault>;

impl Probe {
    /// Checks that everything is of sane size and form, so that it can be stored, shown and planned from.
    ///
    /// # Errors
    /// The first [`ProbeFault`].
    pub fn check(&self) -> Checked {
        if !Container::ALL.iter().any(|container| container.as_str() == self.container) {
            return Err(ProbeFault::Text { what: "container" });
        }
        at_most("tracks", self.video.len() + self.audio.len() + self.subtitles.len(), TRACKS_MAX)?;
        at_most("chapters", self.chapters.len(), CHAPTERS_MAX)?;
        text("title", self.title.as_deref())?;
        text("libraries", Some(self.libraries.as_str()).filter(|libraries| !libraries.is_empty()))?;
        self.video.iter().chain(&self.cover).try_for_each(video)?;
        self.audio.iter().try_for_each(audio)?;
        self.subtitles.iter().try_for_each(subtitle)?;
        self.chapters.iter().try_for_each(chapter)?;
        self.check_order()
    }

    /// No stream twice, and chapters in order.
    fn check_order(&self) -> Checked {
        let video = self.video.iter().chain(&self.cover).map(|track| track.stream_index);
        let audio = self.audio.iter().map(|track| track.stream_index);
        let subtitles = self.subtitles.iter().map(|track| track.stream_index);
        let mut indices: Vec<u32> = video.chain(audio).chain(subtitles).collect();
        indices.sort_unstable();
        possible("stream number", indices.is_sorted_by(|a, b| a < b))?;
        possible("order of chapters", self.chapters.is_sorted_by_key(|chapter| chapter.start))
    }
}

fn at_most(what: &'static str, found: usize, max: usize) -> Checked {
    let count = |count| u64::try_from(count).unwrap_or(u64::MAX);
    if found <= max { Ok(()) } else { Err(ProbeFault::TooMany { what, found: count(found), max: count(max) }) }
}

fn possible(what: &'static str, is_possible: bool) -> Checked {
    if is_possible { Ok(()) } else { Err(ProbeFault::Impossible { what }) }
}

/// Text for people: short, without control characters, and not empty where it is there.
fn text(what: &'static str, text: Option<&str>) -> Checked {
    let is_plain =
        |text: &str| !text.is_empty() && text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control);
    if text.is_none_or(is_plain) { Ok(()) } else { Err(ProbeFault::Text { what }) }
}

/// One of libav's own words.
fn name(what: &'static str, name: &str) -> Checked {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let is_name = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_letter);
    if is_name { Ok(()) } else { Err(ProbeFault::Text { what }) }
}

fn language(language: Option<&Language>) -> Checked {
    let is_known = language.is_none_or(|language| Language::from_code(language.tag()).as_ref() == Some(language));
    if is_known { Ok(()) } else { Err(ProbeFault::Text { what: "language" }) }
}

fn stream(index: u32) -> Checked {
    possible("stream number", usize::try_from(index).is_ok_and(|index| index < TRACKS_MAX))
}

fn time(what: &'static str, time: MediaTime) -> Checked {
    possible(what, (time.ticks / i64::from(time.scale.per_second())).unsigned_abs() <= SECONDS_MAX)
}

fn extent(extent: Extent) -> Checked {
    time("start of a track", extent.start)?;
    time("end of a track", extent.end)?;
    possible("length of a track", extent.start <= extent.end)
}

fn parameters(avc: &Avc, frame_count: u64) -> Checked {
    let is_short = |set: &[u8]| (4..=PARAMETER_SET_BYTES_MAX).contains(&set.len());
    possible("parameter sets", is_short(&avc.sps) && is_short(&avc.pps))?;
    let frames: u64 = avc.gops.iter().map(|gop| u64::from(*gop)).sum();
    possible("GOPs", frames == frame_count && !avc.gops.contains(&0))?;
    time("distance of frames from their places", avc.stray)
}

/// Longest AudioSpecificConfig that is taken over.
const AUDIO_CONFIG_BYTES_MAX: usize = 64;

fn frames(aac: &Aac, extent: Extent) -> Checked {
    possible("configuration of the sound", (2..=AUDIO_CONFIG_BYTES_MAX).contains(&aac.config.len()))?;
    time("start of the sound", aac.start)?;
    time("distance of frames from their places", aac.stray)?;
    let seconds = u64::try_from(extent.duration().as_ms() / 1000).unwrap_or(0).saturating_add(2);
    let frames_max = seconds.saturating_mul(u64::from(*SAMPLE_RATES.end()) / u64::from(crate::AAC_FRAME_SAMPLES));
    possible("number of frames", (1..=frames_max).contains(&aac.frame_count))
}

fn jumps(jumps: &[Jump]) -> Checked {
    at_most("jumps of the clock", jumps.len(), JUMPS_MAX)?;
    jumps.iter().try_for_each(|jump| time("jump of the clock", jump.shift))
}

fn video(track: &VideoTrack) -> Checked {
    stream(track.stream_index)?;
    name("codec", &track.codec)?;
    name("pixel format", &track.pixel_format)?;
    let color = &track.color;
    for stated in [&color.primaries, &color.transfer, &color.matrix, &color.range].into_iter().flatten() {
        name("colour", stated)?;
    }
    possible("luminance", color.peak_nits.is_none_or(|nits| (1..=NITS_MAX).contains(&nits)))?;
    let sides = [track.coded.width, track.coded.height];
    possible("size of the picture", sides.iter().all(|side| (1..=SIDE_MAX).contains(side)))?;
    possible("shape of pixels", is_sane_aspect(track.sample_aspect))?;
    extent(track.extent)?;
    let frames_max = track.extent.frames_max();
    if track.frame_count > frames_max {
        return Err(ProbeFault::TooMany { what: "pictures for its length", found: track.frame_count, max: frames_max });
    }
    jumps(&track.jumps)?;
    track.last_decodable.map_or(Ok(()), |last| time("last picture", last))?;
    track.avc.as_ref().map_or(Ok(()), |avc| parameters(avc, track.frame_count))?;
    language(track.language.as_ref())
}

fn audio(track: &AudioTrack) -> Checked {
    stream(track.stream_index)?;
    name("codec", &track.codec)?;
    possible("sample rate", SAMPLE_RATES.contains(&track.sample_rate))?;
    possible("number of channels", (1..=CHANNELS_MAX).contains(&u32::from(track.channels)))?;
    extent(track.extent)?;
    jumps(&track.jumps)?;
    track.aac.as_ref().map_or(Ok(()), |aac| frames(aac, track.extent))?;
    text("title of a track", track.title.as_deref())?;
    language(track.language.as_ref())
}

fn subtitle(track: &SubtitleTrack) -> Checked {
    stream(track.stream_index)?;
    name("codec", &track.codec)?;
    text("title of a track", track.title.as_deref())?;
    language(track.language.as_ref())
}

fn chapter(chapter: &Chapter) -> Checked {
    time("chapter", chapter.start)?;
    time("chapter", chapter.end)?;
    possible("length of a chapter", chapter.start <= chapter.end)?;
    text("title of a chapter", Some(chapter.title.as_str()).filter(|title| !title.is_empty()))
}

#[cfg(test)]
mod tests;
