//! What of a presentation a playlist shows, and in which container: all of it, or a clip of whole segments.

use std::ops::Range;

use domain::presentation::{AudioRendition, SegmentEntry, SubtitleRendition, VideoRendition};
use domain::probe::Chapter;
use domain::{Bitrate, MediaTime, Presentation, Timescale};

use super::attribute::List;
use crate::encryption::Lock;
use crate::rates;

const MS_PER_S: u64 = 1000;

/// Latest instant a clip may name, in milliseconds: a thousand hours.
const MS_MAX: u64 = 1000 * 3600 * MS_PER_S;

/// What of a presentation a playlist shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// A part of it; `None` for all.
    pub clip: Option<Clip>,
    /// What segments are packed in.
    pub container: Container,
    /// How it is encrypted; `None` if it is not. Not part of the query: whoever asks has no choice.
    pub lock: Option<Lock>,
    /// Players are told by `steering.json` which host to take it from. Not part of the query either.
    pub is_steered: bool,
}

/// What segments are packed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Container {
    /// As they are stored.
    #[default]
    Cmaf,
    /// MPEG-2 transport streams, for players that know nothing else; see [`crate::ts`].
    Ts,
}

/// A part of a presentation, in milliseconds from its beginning.
///
/// Playlists are trimmed to the whole segments that hold it, on the same boundaries for all renditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clip {
    start_ms: u64,
    end_ms: Option<u64>,
}

/// Why there is no such clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClipError {
    /// Neither seconds nor hours, minutes and seconds.
    #[error("a clip begins and ends at seconds, such as 90.5, or at hh:mm:ss")]
    Time,
    /// It would last no time.
    #[error("a clip ends after it begins")]
    Empty,
    /// The video is over when it begins.
    #[error("the clip begins after the end of the video")]
    Outside,
}

impl Clip {
    /// Reads the values of `start` and `end` as they stand in a query; `None` if neither is given.
    ///
    /// # Errors
    /// If one is no time, or the clip does not end after it begins.
    pub fn parse(start: Option<&str>, end: Option<&str>) -> Result<Option<Self>, ClipError> {
        if start.is_none() && end.is_none() {
            return Ok(None);
        }
        let start_ms = start.map_or(Ok(0), |text| time_ms(text).ok_or(ClipError::Time))?;
        let end_ms = end.map(|text| time_ms(text).ok_or(ClipError::Time)).transpose()?;
        if end_ms.is_some_and(|end| end <= start_ms) {
            return Err(ClipError::Empty);
        }
        Ok(Some(Self { start_ms, end_ms }))
    }

    /// Fails unless something of `presentation` is in it.
    ///
    /// # Errors
    /// [`ClipError::Outside`] if it begins at the end or later.
    pub fn check(self, presentation: &Presentation) -> Result<(), ClipError> {
        if instant(self.start_ms) < presentation.duration { Ok(()) } else { Err(ClipError::Outside) }
    }

    /// The clip as parameters of a query, in one form.
    fn query(self) -> String {
        let seconds = |ms: u64| {
            let text = format!("{}.{:03}", ms / MS_PER_S, ms % MS_PER_S);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let end = self.end_ms.map(|end| format!("&end={}", seconds(end))).unwrap_or_default();
        format!("start={}{end}", seconds(self.start_ms))
    }
}

/// `90`, `90.5`, `1:30` or `0:01:30.5`, in milliseconds; further decimals are cut.
fn time_ms(text: &str) -> Option<u64> {
    let is_digits = |part: &str| !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| is_digits(part).then(|| part.parse::<u64>().ok())?;
    let (whole, decimals) = text.split_once('.').map_or((text, "0"), |(whole, decimals)| (whole, decimals));
    let millis = is_digits(decimals).then(|| format!("{decimals:0<3}"))?;
    let fields: Vec<u64> = whole.split(':').map(number).collect::<Option<_>>()?;
    let seconds = match *fields.as_slice() {
        [seconds] => seconds,
        [minutes, seconds] if seconds < 60 => minutes * 60 + seconds,
        [hours, minutes, seconds] if minutes < 60 && seconds < 60 => hours * 3600 + minutes * 60 + seconds,
        _ => return None,
    };
    let ms = seconds * MS_PER_S + number(millis.get(..3)?)?;
    (ms <= MS_MAX).then_some(ms)
}

fn instant(ms: u64) -> MediaTime {
    MediaTime::new(i64::try_from(ms).unwrap_or(i64::MAX), Timescale::MILLISECONDS)
}

impl View {
    /// The query that child playlists are asked for with, with its question mark; empty if none is needed.
    pub(super) fn query(&self) -> String {
        let container = (self.container == Container::Ts).then(|| "container=ts".to_owned());
        let parts: Vec<String> = container.into_iter().chain(self.clip.map(Clip::query)).collect();
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
    }

    /// The same in the container in which segments are stored.
    pub(super) fn stored(self) -> Self {
        Self { container: Container::Cmaf, ..self }
    }

    /// The segments of a clip; `None` when all are shown.
    pub(crate) fn cells(&self, presentation: &Presentation) -> Option<Cells> {
        self.clip.map(|clip| Cells::of(clip, presentation))
    }

    /// The chapters that are shown, on the timeline of what is shown.
    pub fn chapters(&self, presentation: &Presentation) -> Vec<Chapter> {
        match self.cells(presentation) {
            Some(cells) => cells.chapters(&presentation.chapters),
            None => presentation.chapters.clone(),
        }
    }
}

/// The segments that hold a clip.
pub(crate) struct Cells {
    first: usize,
    /// Behind the last one; `usize::MAX` if the last of the whole is in.
    end: usize,
    /// Where the first begins, and the last ends.
    begins: MediaTime,
    ends: MediaTime,
    /// From the begin of the first segment to the begin of the clip.
    offset_ms: u64,
}

impl Cells {
    fn of(clip: Clip, presentation: &Presentation) -> Self {
        let video = presentation.video.iter().map(|one| (one.segments.as_slice(), one.timescale));
        let audio = presentation.audio.iter().map(|one| (one.segments.as_slice(), one.timescale));
        let all: Vec<(&[SegmentEntry], Timescale)> = video.chain(audio).collect();
        // What goes on after the others have ended decides; where a short rest was joined, one segment is missing.
        let longest = all.iter().map(|(segments, _)| segments.len()).max().unwrap_or(0);
        let lasts =
            |(segments, _): &(&[SegmentEntry], Timescale)| !segments.is_empty() && segments.len() + 1 >= longest;
        let (segments, timescale) = all.into_iter().find(lasts).unwrap_or((&[], Timescale::MILLISECONDS));
        let (start, stop) = (instant(clip.start_ms), clip.end_ms.map(instant));
        let time = |ticks: u64| MediaTime::new(i64::try_from(ticks).unwrap_or(i64::MAX), timescale);
        let mut cells = Self { first: 0, end: usize::MAX, begins: time(0), ends: presentation.duration, offset_ms: 0 };
        let mut ticks = 0u64;
        for (at, segment) in segments.iter().enumerate() {
            if time(ticks) <= start {
                (cells.first, cells.begins) = (at, time(ticks));
            }
            if at > cells.first && stop.is_some_and(|stop| time(ticks) >= stop) {
                (cells.end, cells.ends) = (at, time(ticks));
                break;
            }
            ticks = ticks.saturating_add(segment.ticks);
        }
        let begins_ms = u64::try_from(cells.begins.as_ms()).unwrap_or(0);
        cells.offset_ms = clip.start_ms.saturating_sub(begins_ms);
        cells
    }

    /// Which segments of a rendition these are; none of one that has ended before.
    pub(crate) fn range(&self, segments: &[SegmentEntry], timescale: Timescale) -> Range<usize> {
        let count = segments.len();
        if self.first < count {
            return self.first..self.end.clamp(self.first + 1, count);
        }
        // A short rest was joined to the last segment, or there is nothing left.
        let ticks = segments.iter().fold(0u64, |sum, segment| sum.saturating_add(segment.ticks));
        let ends = MediaTime::new(i64::try_from(ticks).unwrap_or(i64::MAX), timescale);
        if ends > self.begins { count.saturating_sub(1)..count } else { count..count }
    }

    /// From where to where they last.
    pub(crate) fn span(&self) -> (MediaTime, MediaTime) {
        (self.begins, self.ends)
    }

    /// Where players begin (RFC 8216 §4.3.5.2).
    pub(super) fn start_line(&self) -> String {
        let offset = format!("{}.{:03}", self.offset_ms / MS_PER_S, self.offset_ms % MS_PER_S);
        List::of("EXT-X-START").plain("TIME-OFFSET", offset).plain("PRECISE", "YES").finish()
    }

    /// The presentation with these segments alone, and the bit rates of these where they are measured.
    pub(super) fn trim(&self, whole: &Presentation) -> Presentation {
        let part = |segments: &[SegmentEntry], timescale| segments[self.range(segments, timescale)].to_vec();
        let target_s = super::target_duration_s(whole);
        let rates = |segments: &[SegmentEntry], timescale, peak: Bitrate, mean: Bitrate| {
            let measured = rates::of(segments, timescale, target_s);
            measured.map_or((peak, mean), |measured| (measured.peak, measured.average))
        };
        let video = |one: &VideoRendition| {
            let segments = part(&one.segments, one.timescale);
            let (peak_bitrate, average_bitrate) =
                rates(&segments, one.timescale, one.peak_bitrate, one.average_bitrate);
            let (id, codecs) = (one.id.clone(), one.codecs.clone());
            VideoRendition { id, codecs, peak_bitrate, average_bitrate, segments, ..*one }
        };
        let audio = |one: &AudioRendition| {
            let segments = part(&one.segments, one.timescale);
            let (peak_bitrate, average_bitrate) =
                rates(&segments, one.timescale, one.peak_bitrate, one.average_bitrate);
            let (id, codecs) = (one.id.clone(), one.codecs.clone());
            let (language, name) = (one.language.clone(), one.name.clone());
            AudioRendition { id, language, name, codecs, peak_bitrate, average_bitrate, segments, ..*one }
        };
        let subtitles = |one: &SubtitleRendition| SubtitleRendition {
            id: one.id.clone(),
            language: one.language.clone(),
            name: one.name.clone(),
            segments: part(&one.segments, one.timescale),
            ..*one
        };
        Presentation {
            title: whole.title.clone(),
            cadence: whole.cadence.clone(),
            first: whole.first.clone(),
            video: whole.video.iter().map(video).collect(),
            audio: whole.audio.iter().map(audio).collect(),
            subtitles: whole.subtitles.iter().map(subtitles).collect(),
            chapters: self.chapters(&whole.chapters),
            // They stand in the playlists of renditions alone.
            markers: Vec::new(),
            // Sheets of tiles have a rhythm of their own, which a clip does not meet.
            images: None,
            files: Vec::new(),
            ..*whole
        }
    }

    /// Chapters of which something is shown, counted from the first segment.
    fn chapters(&self, chapters: &[Chapter]) -> Vec<Chapter> {
        let base = self.begins.as_ms();
        let at = |time: MediaTime| MediaTime::new(time.as_ms() - base, Timescale::MILLISECONDS);
        let shown = chapters.iter().filter(|one| one.end > self.begins && one.start < self.ends);
        let moved = shown.map(|one| Chapter {
            start: at(one.start.max(self.begins)),
            end: at(one.end.min(self.ends)),
            title: one.title.clone(),
        });
        moved.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(start: Option<&str>, end: Option<&str>) -> Result<Option<String>, ClipError> {
        Clip::parse(start, end).map(|clip| clip.map(Clip::query))
    }

    #[test]
    fn times_are_seconds_or_hours_minutes_and_seconds() {
        for (text, ms) in [
            ("0", 0),
            ("90", 90_000),
            ("90.5", 90_500),
            ("1.23456", 1234),
            ("1:30", 90_000),
            ("100:00", 6_000_000),
            ("01:00:02.05", 3_602_050),
        ] {
            assert_eq!(time_ms(text), Some(ms), "{text}");
        }
        for text in [
            "",
            ".",
            ".5",
            "1.",
            "-1",
            "+1",
            "1e3",
            "1:60",
            "1:60:00",
            "1:2:3:4",
            "::",
            "1 ",
            "٣",
            "9999999999",
            "4000000",
        ] {
            assert_eq!(time_ms(text), None, "{text}");
        }
    }

    #[test]
    fn a_clip_has_one_form() {
        assert_eq!(query(None, None), Ok(None));
        assert_eq!(query(Some("00:01:30.500"), Some("2:00")), Ok(Some("start=90.5&end=120".into())));
        assert_eq!(query(None, Some("10")), Ok(Some("start=0&end=10".into())));
        assert_eq!(query(Some("5.250"), None), Ok(Some("start=5.25".into())));
        assert_eq!(query(Some("x"), None), Err(ClipError::Time));
        assert_eq!(query(Some("5"), Some("5")), Err(ClipError::Empty));
        assert_eq!(query(Some("5"), Some("4")), Err(ClipError::Empty));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_printed_so_that_it_reads_back(ms in 0..MS_MAX, text in "\\PC{0,20}") {
            let _ = time_ms(&text);
            let clip = Clip { start_ms: ms, end_ms: None };
            let printed = clip.query();
            prop_assert_eq!(time_ms(printed.strip_prefix("start=").expect("a start")), Some(ms));
        }
    }
}
