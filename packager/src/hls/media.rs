//! Media playlists: the segments of one rendition, or its I-frames.

use domain::presentation::{KeyframeRange, SegmentEntry, VideoRendition};
use domain::{MediaTime, Presentation, RenditionId, TARGET_DURATION_S, Timescale};

use super::keys::Keys;
use super::{Container, Playlist, View, markers};

const MICROSECONDS: u128 = 1_000_000;

/// Durations with decimals are of version 3, `EXT-X-MAP` is of 5 in I-frame playlists and of 6 elsewhere (RFC 8216 §7).
const VERSION_TEXT: u32 = 3;
const VERSION_IFRAMES: u32 = 5;
const VERSION_MAP: u32 = 6;

/// Renders the media playlist of one rendition; `None` if there is no such rendition.
///
/// It names `init.mp4` and `{index}.m4s` beside itself, for subtitles `{index}.vtt` and no
/// initialization segment. `EXTINF` has six decimals, rounded so that the sums of durations, not
/// each alone, are exact: errors do not add up. `EXT-X-TARGETDURATION` is the same for all
/// renditions of picture and sound. A clip, in which a rendition that ended before it has no playlist, has the same
/// segments under the same names; as transport streams they are `{index}.ts` and `{index}-ts.vtt`, and what does not go
/// into one has no playlist. Encrypted segments lie in a folder beside the clear ones, under the same names. Markers are
/// date ranges beside the segments of picture and sound; where there are any, all playlists have dates.
pub fn media(presentation: &Presentation, rendition: &RenditionId, view: View) -> Option<String> {
    let video = presentation.video.iter().find(|one| one.id == *rendition);
    let audio = presentation.audio.iter().find(|one| one.id == *rendition);
    let subtitles = presentation.subtitles.iter().find(|one| one.id == *rendition);
    let is_ts = view.container == Container::Ts;
    let codecs = video.map(|one| &one.codecs).or(audio.map(|one| &one.codecs));
    if is_ts && codecs.is_some_and(|codecs| !crate::ts::is_possible(codecs)) {
        return None;
    }
    // Texts stay clear.
    let lock = view.lock.filter(|_| codecs.is_some());
    if let (Some(lock), Some(codecs)) = (lock, codecs)
        && !lock.is_possible(codecs)
    {
        return None;
    }
    let (map, coded) = if is_ts { (None, ".ts") } else { (Some("init.mp4"), ".m4s") };
    let text = if is_ts { "-ts.vtt" } else { ".vtt" };
    let video = video.map(|one| (one.segments.as_slice(), one.timescale, map, coded));
    let audio = audio.map(|one| (one.segments.as_slice(), one.timescale, map, coded));
    let subtitles = subtitles.map(|one| (one.segments.as_slice(), one.timescale, None, text));
    let (segments, timescale, map, ending) = video.or(audio).or(subtitles)?;
    let cells = view.cells(presentation);
    let range = cells.as_ref().map_or(0..segments.len(), |cells| cells.range(segments, timescale));
    if range.is_empty() && !segments.is_empty() {
        return None;
    }

    let mut out = Playlist::new(if map.is_some() { VERSION_MAP } else { VERSION_TEXT });
    opening(&mut out, presentation, segments, timescale);
    out.line("#EXT-X-INDEPENDENT-SEGMENTS");
    if let Some(cells) = &cells {
        out.line(cells.start_line());
    }
    let mut keys = Keys::new(lock, presentation, rendition, map);
    let mut clock = Clock::new(timescale);
    let begins: Vec<u64> = begins(segments).collect();
    markers::clock(&mut out, presentation, instant(begins.get(range.start), timescale));
    if codecs.is_some() {
        let span = cells.map_or((MediaTime::zero(), presentation.duration), |cells| cells.span());
        markers::ranges(&mut out, presentation, span);
    }
    for (index, (segment, begins)) in segments.iter().zip(begins).enumerate().take(range.end).skip(range.start) {
        let (folder, _) = keys.turn(&mut out, begins, timescale);
        out.line(clock.extinf(segment.ticks));
        out.line(format!("{folder}{index}{ending}"));
    }
    out.line("#EXT-X-ENDLIST");
    Some(out.0)
}

/// Renders the I-frame playlist of one video rendition, a byte range per GOP.
///
/// Ranges of what is encrypted could not be decrypted alone: there each I-frame is a file, `{index}-{number}.m4s` with
/// its number in the segment.
///
/// `None` if there is no such video rendition, one of its segments is not measured yet, or it ended before the clip.
pub fn iframes(presentation: &Presentation, rendition: &RenditionId, view: View) -> Option<String> {
    let video = presentation.video.iter().find(|one| one.id == *rendition)?;
    if view.lock.is_some_and(|lock| !lock.is_possible(&video.codecs)) {
        return None;
    }
    let mut keyframes = keyframes(video)?;
    let mut out = Playlist::new(VERSION_IFRAMES);
    opening(&mut out, presentation, &video.segments, video.timescale);
    out.line("#EXT-X-I-FRAMES-ONLY");
    if let Some(cells) = view.cells(presentation) {
        let range = cells.range(&video.segments, video.timescale);
        keyframes.retain(|(index, _)| range.contains(index));
        if keyframes.is_empty() {
            return None;
        }
        out.line(cells.start_line());
    }
    let mut keys = Keys::new(view.lock, presentation, rendition, Some("init.mp4"));
    let mut clock = Clock::new(video.timescale);
    let begins: Vec<u64> = begins(&video.segments).collect();
    let first = keyframes.first().and_then(|(index, _)| begins.get(*index));
    markers::clock(&mut out, presentation, instant(first, video.timescale));
    let mut before = None;
    for (index, range) in keyframes {
        let number = before.filter(|(segment, _)| *segment == index).map_or(0, |(_, number)| number + 1);
        before = Some((index, number));
        let (folder, is_locked) = keys.turn(&mut out, begins.get(index).copied().unwrap_or(0), video.timescale);
        out.line(clock.extinf(range.ticks));
        if is_locked {
            out.line(format!("{folder}{index}-{number}.m4s"));
        } else {
            out.line(format!("#EXT-X-BYTERANGE:{}@{}", range.length, range.offset));
            out.line(format!("{index}.m4s"));
        }
    }
    out.line("#EXT-X-ENDLIST");
    Some(out.0)
}

/// So many ticks as a time; zero for none.
fn instant(ticks: Option<&u64>, timescale: Timescale) -> MediaTime {
    MediaTime::new(ticks.and_then(|ticks| i64::try_from(*ticks).ok()).unwrap_or(0), timescale)
}

/// When each of these begins, on their timescale.
fn begins(segments: &[SegmentEntry]) -> impl Iterator<Item = u64> {
    segments.iter().scan(0u64, |sum, segment| {
        let begins = *sum;
        *sum = sum.saturating_add(segment.ticks);
        Some(begins)
    })
}

/// All I-frames with the index of their segment; `None` unless every segment is measured.
pub(super) fn keyframes(video: &VideoRendition) -> Option<Vec<(usize, KeyframeRange)>> {
    let mut found = Vec::new();
    for (index, segment) in video.segments.iter().enumerate() {
        if segment.keyframes.is_empty() {
            return None;
        }
        found.extend(segment.keyframes.iter().map(|range| (index, *range)));
    }
    (!found.is_empty()).then_some(found)
}

/// The target duration of a presentation, in seconds: one for all its pictures and sound.
///
/// Cells of sound end on a frame of their own and may be a frame longer than those of the picture.
pub fn target_duration_s(presentation: &Presentation) -> u32 {
    let video = presentation.video.iter().map(|one| rounded_s(&one.segments, one.timescale));
    let audio = presentation.audio.iter().map(|one| rounded_s(&one.segments, one.timescale));
    video.chain(audio).max().unwrap_or(0).max(TARGET_DURATION_S)
}

/// The longest segment, rounded to the nearest second: no duration may exceed it then (RFC 8216 §4.3.3.1).
fn rounded_s(segments: &[SegmentEntry], timescale: Timescale) -> u32 {
    let second = u64::from(timescale.per_second());
    let longest = segments.iter().map(|segment| segment.ticks).max().unwrap_or(0);
    u32::try_from(longest.saturating_add(second / 2) / second).unwrap_or(u32::MAX)
}

fn opening(out: &mut Playlist, presentation: &Presentation, segments: &[SegmentEntry], timescale: Timescale) {
    let target = target_duration_s(presentation).max(rounded_s(segments, timescale));
    out.line(format!("#EXT-X-TARGETDURATION:{target}"));
    out.line("#EXT-X-MEDIA-SEQUENCE:0");
    out.line("#EXT-X-PLAYLIST-TYPE:VOD");
}

/// Prints durations whose sum is right.
struct Clock {
    ticks: u128,
    micros: u128,
    timescale: u128,
}

impl Clock {
    fn new(timescale: Timescale) -> Self {
        Self { ticks: 0, micros: 0, timescale: timescale.per_second().into() }
    }

    fn extinf(&mut self, ticks: u64) -> String {
        self.ticks += u128::from(ticks);
        let end = (self.ticks * MICROSECONDS * 2 + self.timescale) / (2 * self.timescale);
        let micros = end - self.micros;
        self.micros = end;
        format!("#EXTINF:{}.{:06},", micros / MICROSECONDS, micros % MICROSECONDS)
    }
}
