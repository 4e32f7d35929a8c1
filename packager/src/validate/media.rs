//! Rules of the playlists that list segments.

use std::ops::Range;

use super::key::{self, Key, Method};
use super::reader::{Attributes, Line, LineKind, Lines, millionths};
use super::{Kind, Report, rules};

/// Tags that stand in no multivariant playlist.
pub(super) const TAGS: &[&str] = &[
    "EXTINF",
    "EXT-X-TARGETDURATION",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-ENDLIST",
    "EXT-X-BYTERANGE",
    "EXT-X-PLAYLIST-TYPE",
];

const SECOND: u64 = 1_000_000;

/// Longest segment that is believed: more than a week. Bounds the sums of durations.
const DURATION_MAX: u64 = 1_000_000 * SECOND;

/// Longest usual target duration, in seconds.
const TARGET_USUAL_S: u64 = 6;

/// A list of segments. Durations are in millionths of a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// The segments, in order.
    pub segments: Vec<Segment>,
    /// Initialization segments, in order.
    pub maps: Vec<Map>,
    pub(super) target_s: u64,
    pub(super) is_iframes: bool,
    /// That of the first segment.
    sequence: u64,
    pub(super) place: String,
    line: usize,
}

/// An initialization segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Where it is.
    pub uri: String,
    /// Which octets of that; `None` for all.
    pub range: Option<Range<u64>>,
    /// How it is encrypted; `None` if it is not.
    pub key: Option<Key>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it is.
    pub uri: String,
    /// Which octets of that; `None` for all.
    pub range: Option<Range<u64>>,
    /// Which initialization segment it needs.
    pub map: Option<usize>,
    /// How it is encrypted; `None` if it is not.
    pub key: Option<Key>,
    /// Its place among all segments since the beginning of the stream, which is its vector unless that is stated.
    pub sequence: u64,
    pub(super) duration: u64,
    pub(super) is_discontinuous: bool,
    pub(super) line: usize,
}

impl Media {
    /// Length of the whole, in millionths of a second.
    pub(super) fn duration(&self) -> u64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    pub(super) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.place)
    }

    /// Checks what depends on what the playlist is.
    pub(super) fn check_kind(&self, kind: Kind, report: &mut Report) {
        if self.is_iframes != (kind == Kind::Iframes) {
            let what = if self.is_iframes { "it has I-frames only" } else { "EXT-X-I-FRAMES-ONLY is missing" };
            report.add(&rules::IFRAMES_ONLY, self.place.clone(), what);
        }
        if self.target_s > TARGET_USUAL_S && matches!(kind, Kind::Variant | Kind::Audio) {
            let what = format!("the target duration is {} s", self.target_s);
            report.add(&rules::TARGET_SIX, self.at(self.line), what);
        }
    }
}

/// What applies to the segments that follow.
#[derive(Default)]
struct State {
    duration: Option<u64>,
    range: Option<(u64, Option<u64>)>,
    is_discontinuous: bool,
    key: Option<Key>,
    /// No key was named since the last segment.
    is_key_new: bool,
    map: Option<usize>,
}

pub(super) fn read(lines: &Lines<'_>, report: &mut Report) -> Media {
    let mut media =
        Media { place: lines.place.to_owned(), is_iframes: lines.has("EXT-X-I-FRAMES-ONLY"), ..Media::default() };
    let target = lines.once("EXT-X-TARGETDURATION", report);
    media.line = target.map_or(1, |(number, _)| number);
    match target.and_then(|(_, value)| value.parse::<u64>().ok()).filter(|seconds| *seconds > 0) {
        Some(seconds) => media.target_s = seconds,
        None => {
            report.add(&rules::TARGET_DURATION, media.place.clone(), "EXT-X-TARGETDURATION is missing or no number")
        }
    }
    let sequence = lines.tags("EXT-X-MEDIA-SEQUENCE").next().and_then(|(_, value)| value.parse().ok());
    media.sequence = sequence.unwrap_or(0);
    let mut state = State { is_key_new: true, ..State::default() };
    for line in &lines.lines {
        tag_or_uri(&mut media, &mut state, lines, *line, report);
    }
    if media.segments.is_empty() {
        report.add(&rules::EMPTY, media.place.clone(), "there is no segment");
    }
    check_header(lines, &media, report);
    check_version(lines, &media, report);
    media
}

fn tag_or_uri(media: &mut Media, state: &mut State, lines: &Lines<'_>, line: Line<'_>, report: &mut Report) {
    let place = lines.at(line.number);
    match line.kind {
        LineKind::Tag { name: "EXTINF", value } => {
            let duration =
                value.split(',').next().and_then(millionths).filter(|duration| (1..=DURATION_MAX).contains(duration));
            if duration.is_none() || !value.contains(',') {
                report.add(&rules::EXTINF, place, format!("EXTINF:{value} is no duration with a comma behind it"));
            }
            state.duration = Some(duration.unwrap_or(0));
        }
        LineKind::Tag { name: "EXT-X-BYTERANGE", value } => match byte_range(value) {
            Some(range) => state.range = Some(range),
            None => report.add(&rules::BYTERANGE, place, format!("{value} is no byte range")),
        },
        LineKind::Tag { name: "EXT-X-DISCONTINUITY", .. } => state.is_discontinuous = true,
        LineKind::Tag { name: "EXT-X-MAP", value } => {
            let list = Attributes::read(place.clone(), value, report);
            let Some(uri) = list.quoted("URI", report) else {
                report.add(&rules::MAP, place, "EXT-X-MAP has no URI");
                return;
            };
            if state.key.as_ref().is_some_and(|key| key.method == Method::Aes128 && key.vector.is_none()) {
                report.add(&rules::KEY, place, "the key of the initialization segment has no IV");
            }
            let range = list.quoted("BYTERANGE", report).and_then(byte_range);
            let range = range.and_then(|(length, offset)| Some(offset?..offset?.checked_add(length)?));
            state.map = Some(media.maps.len());
            media.maps.push(Map { uri: uri.to_owned(), range, key: state.key.clone() });
        }
        LineKind::Tag { name: "EXT-X-KEY", value } => {
            let list = Attributes::read(place.clone(), value, report);
            // Other formats name the same key again, for other players.
            match key::read(&place, &list, report) {
                Some(key) if state.is_key_new || !key.is_other_format() => {
                    (state.key, state.is_key_new) = (Some(key), false);
                }
                Some(_) => {}
                None => state.key = None,
            }
        }
        LineKind::Tag { .. } => {}
        LineKind::Uri(uri) => segment(media, std::mem::take(state), state, uri, line.number, report),
    }
}

/// Adds a segment; `next` becomes what applies to the one behind it.
fn segment(media: &mut Media, state: State, next: &mut State, uri: &str, line: usize, report: &mut Report) {
    let place = media.at(line);
    if state.duration.is_none() {
        report.add(&rules::EXTINF, place.clone(), "no EXTINF precedes the segment");
    }
    let duration = state.duration.unwrap_or(0);
    if media.target_s > 0 && (duration + SECOND / 2) / SECOND > media.target_s {
        let what =
            format!("{}.{:06} s exceed the target of {} s", duration / SECOND, duration % SECOND, media.target_s);
        report.add(&rules::TARGET_DURATION, place.clone(), what);
    }
    let before = media.segments.last().filter(|before| before.uri == uri).and_then(|before| before.range.clone());
    let range = match state.range {
        Some((length, Some(offset))) => offset.checked_add(length).map(|end| offset..end),
        Some((length, None)) => {
            if before.is_none() {
                report.add(
                    &rules::BYTERANGE,
                    place,
                    "the range has no offset, and no range of the same file precedes it",
                );
            }
            before.and_then(|before| before.end.checked_add(length).map(|end| before.end..end))
        }
        None => None,
    };
    let State { is_discontinuous, key, map, .. } = state;
    let sequence = media.sequence.saturating_add(media.segments.len() as u64);
    let uri = uri.to_owned();
    media.segments.push(Segment { uri, range, map, key: key.clone(), sequence, duration, is_discontinuous, line });
    *next = State { key, map, is_key_new: true, ..State::default() };
}

/// `length[@offset]`.
fn byte_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (length, offset) = text.split_once('@').map_or((text, None), |(length, offset)| (length, Some(offset)));
    let offset = offset.map(|offset| offset.parse().ok());
    let length = length.parse().ok().filter(|length| *length > 0)?;
    match offset {
        Some(None) => None,
        offset => Some((length, offset.flatten())),
    }
}

fn check_header(lines: &Lines<'_>, media: &Media, report: &mut Report) {
    if lines.once("EXT-X-ENDLIST", report).is_none() {
        report.add(&rules::ENDLIST, media.place.clone(), "EXT-X-ENDLIST is missing");
    }
    match lines.once("EXT-X-PLAYLIST-TYPE", report) {
        Some((_, "VOD")) => {}
        Some((number, other)) => report.add(&rules::PLAYLIST_TYPE, lines.at(number), format!("the type is {other}")),
        None => report.add(&rules::PLAYLIST_TYPE, media.place.clone(), "EXT-X-PLAYLIST-TYPE is missing"),
    }
    if let Some((number, value)) = lines.once("EXT-X-MEDIA-SEQUENCE", report)
        && value.parse::<u64>().is_err()
    {
        report.add(&rules::ONCE, lines.at(number), "EXT-X-MEDIA-SEQUENCE is no number");
    }
    let is_fragmented = |uri: &str| {
        let path = uri.split(['?', '#']).next().unwrap_or_default();
        [".m4s", ".mp4", ".m4a", ".m4v", ".cmfv", ".cmfa"].iter().any(|ending| path.ends_with(ending))
    };
    if let Some(bare) = media.segments.iter().find(|one| one.map.is_none() && is_fragmented(&one.uri)) {
        report.add(&rules::MAP, media.at(bare.line), "no EXT-X-MAP precedes the segment");
    }
    if let Some((number, value)) = lines.once("EXT-X-START", report) {
        let list = Attributes::read(lines.at(number), value, report);
        let text = list.plain("TIME-OFFSET", report).unwrap_or_default();
        let offset = millionths(text.trim_start_matches('-'));
        if offset.is_none_or(|offset| offset > media.duration()) {
            report.add(&rules::START, lines.at(number), format!("TIME-OFFSET={text} is not within the playlist"));
        }
    }
    for (number, value) in lines.tags("EXT-X-DATERANGE") {
        let list = Attributes::read(lines.at(number), value, report);
        if !list.has("ID") || !list.has("START-DATE") || !lines.has("EXT-X-PROGRAM-DATE-TIME") {
            report.add(&rules::DATERANGE, lines.at(number), "ID, START-DATE or EXT-X-PROGRAM-DATE-TIME is missing");
        }
    }
}

/// RFC 8216 §7 and §8 of its second edition.
fn check_version(lines: &Lines<'_>, media: &Media, report: &mut Report) {
    let has_decimals = lines.tags("EXTINF").any(|(_, value)| value.split(',').next().is_some_and(|s| s.contains('.')));
    let has_queries = lines.tags("EXT-X-DEFINE").any(|(_, value)| value.starts_with("QUERYPARAM"));
    let needs = [
        (11, "EXT-X-DEFINE:QUERYPARAM", has_queries),
        (8, "EXT-X-DEFINE", lines.has("EXT-X-DEFINE")),
        (6, "EXT-X-MAP outside I-frame playlists", lines.has("EXT-X-MAP") && !media.is_iframes),
        (5, "EXT-X-MAP", lines.has("EXT-X-MAP")),
        (5, "KEYFORMAT in EXT-X-KEY", lines.tags("EXT-X-KEY").any(|(_, value)| value.contains("KEYFORMAT"))),
        (4, "EXT-X-BYTERANGE", lines.has("EXT-X-BYTERANGE")),
        (4, "EXT-X-I-FRAMES-ONLY", media.is_iframes),
        (3, "durations with decimals", has_decimals),
        (2, "IV in EXT-X-KEY", lines.tags("EXT-X-KEY").any(|(_, value)| value.contains("IV="))),
    ];
    let (needed, reason, _) = needs.into_iter().find(|(.., is_used)| *is_used).unwrap_or((1, "", true));
    lines.check_version(needed, reason, report);
}
