//! Media playlists: the segments of one rendition, or its I-frames.

use domain::presentation::{KeyframeRange, SegmentEntry, VideoRendition};
use domain::{Presentation, RenditionId, TARGET_DURATION_S, Timescale};

use super::Playlist;

const MICROSECONDS: u128 = 1_000_000;

/// Renders the media playlist of one rendition; `None` if there is no such rendition.
///
/// It names `init.mp4` and `{index}.m4s` beside itself, for subtitles `{index}.vtt` and no
/// initialization segment. `EXTINF` has six decimals, rounded so that the sums of durations, not
/// each alone, are exact: errors do not add up. `EXT-X-TARGETDURATION` is the same for all
/// renditions unless a segment is longer.
pub fn media(presentation: &Presentation, rendition: &RenditionId) -> Option<String> {
    let video = presentation.video.iter().find(|one| one.id == *rendition);
    let audio = presentation.audio.iter().find(|one| one.id == *rendition);
    let subtitles = presentation.subtitles.iter().find(|one| one.id == *rendition);
    let video = video.map(|one| (one.segments.as_slice(), one.timescale, Some("init.mp4"), "m4s"));
    let audio = audio.map(|one| (one.segments.as_slice(), one.timescale, Some("init.mp4"), "m4s"));
    let subtitles = subtitles.map(|one| (one.segments.as_slice(), one.timescale, None, "vtt"));
    let (segments, timescale, map, extension) = video.or(audio).or(subtitles)?;

    let mut out = opening(segments, timescale);
    out.line("#EXT-X-INDEPENDENT-SEGMENTS");
    if let Some(map) = map {
        out.line(format!("#EXT-X-MAP:URI=\"{map}\""));
    }
    let mut clock = Clock::new(timescale);
    for (index, segment) in segments.iter().enumerate() {
        out.line(clock.extinf(segment.ticks));
        out.line(format!("{index}.{extension}"));
    }
    out.line("#EXT-X-ENDLIST");
    Some(out.0)
}

/// Renders the I-frame playlist of one video rendition, a byte range per GOP.
///
/// `None` if there is no such video rendition or one of its segments is not measured yet.
pub fn iframes(presentation: &Presentation, rendition: &RenditionId) -> Option<String> {
    let video = presentation.video.iter().find(|one| one.id == *rendition)?;
    let keyframes = keyframes(video)?;
    let mut out = opening(&video.segments, video.timescale);
    out.line("#EXT-X-I-FRAMES-ONLY");
    out.line("#EXT-X-MAP:URI=\"init.mp4\"");
    let mut clock = Clock::new(video.timescale);
    for (index, range) in keyframes {
        out.line(clock.extinf(range.ticks));
        out.line(format!("#EXT-X-BYTERANGE:{}@{}", range.length, range.offset));
        out.line(format!("{index}.m4s"));
    }
    out.line("#EXT-X-ENDLIST");
    Some(out.0)
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

fn opening(segments: &[SegmentEntry], timescale: Timescale) -> Playlist {
    let second = u64::from(timescale.per_second());
    let longest = segments.iter().map(|segment| segment.ticks).max().unwrap_or(0);
    // RFC 8216 §4.3.3.1: rounded to the nearest integer; no duration may exceed it then.
    let target = (longest.saturating_add(second / 2) / second).max(u64::from(TARGET_DURATION_S));
    let mut out = Playlist::new();
    out.line(format!("#EXT-X-TARGETDURATION:{target}"));
    out.line("#EXT-X-MEDIA-SEQUENCE:0");
    out.line("#EXT-X-PLAYLIST-TYPE:VOD");
    out
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
