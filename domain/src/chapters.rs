//! Chapters as they are shown: those that somebody set, else the source's own.

use crate::probe::Chapter;
use crate::{MediaTime, Probe, Timescale};

/// Most chapters that are shown; further ones are left out.
pub const COUNT_MAX: usize = 2000;

/// The chapters of an asset: `set` on the output's timeline if somebody set them, else the source's.
///
/// The result is in milliseconds from zero, within the duration, in order, not overlapping, and each
/// has a title.
pub fn shown(set: Option<&[Chapter]>, probe: &Probe, origin: MediaTime, duration: MediaTime) -> Vec<Chapter> {
    match set {
        Some(chapters) => on_timeline(chapters, MediaTime::zero(), duration),
        None => on_timeline(&probe.chapters, origin, duration),
    }
}

/// `chapters` relative to `origin`.
fn on_timeline(chapters: &[Chapter], origin: MediaTime, duration: MediaTime) -> Vec<Chapter> {
    let end_ms = duration.as_ms();
    let on_timeline = |time: MediaTime| time.minus(origin).map_or(0, MediaTime::as_ms).clamp(0, end_ms.max(0));
    let mut spans: Vec<(i64, i64, &str)> = chapters
        .iter()
        .map(|chapter| (on_timeline(chapter.start), on_timeline(chapter.end), chapter.title.trim()))
        .filter(|(start, ..)| *start < end_ms)
        .collect();
    spans.sort_by_key(|(start, ..)| *start);
    // Of chapters that begin together, the last one in the list is meant.
    spans.reverse();
    spans.dedup_by_key(|(start, ..)| *start);
    spans.reverse();
    spans.truncate(COUNT_MAX);
    let starts: Vec<i64> = spans.iter().skip(1).map(|(start, ..)| *start).collect();
    let chapter = |(at, (start, end, title)): (usize, (i64, i64, &str))| {
        let next = starts.get(at).copied().unwrap_or(end_ms);
        // Some muxers write no end, or one before the start: the chapter then lasts until the next.
        let end = if end > start { end.min(next) } else { next };
        let title = if title.is_empty() { format!("Chapter {}", at + 1) } else { title.to_owned() };
        let ms = |ticks| MediaTime::new(ticks, Timescale::MILLISECONDS);
        Chapter { start: ms(start), end: ms(end), title }
    };
    spans.into_iter().enumerate().map(chapter).collect()
}

#[cfg(test)]
mod tests {
    use crate::ByteSize;

    use super::*;

    fn ms(ticks: i64) -> MediaTime {
        MediaTime::new(ticks, Timescale::MILLISECONDS)
    }

    fn check(chapters: &[(i64, i64, &str)], expected: &[(i64, i64, &str)]) {
        let chapter =
            |&(start, end, title): &(i64, i64, &str)| Chapter { start: ms(start), end: ms(end), title: title.into() };
        let probe = Probe {
            container: "matroska".into(),
            size: ByteSize(1),
            video: vec![],
            audio: vec![],
            subtitles: vec![],
            chapters: chapters.iter().map(chapter).collect(),
            title: None,
            libraries: String::new(),
            cover: None,
        };
        assert_eq!(shown(None, &probe, ms(1000), ms(10_000)), expected.iter().map(chapter).collect::<Vec<_>>());
    }

    #[test]
    fn chapters_are_moved_to_the_origin_and_clamped() {
        check(&[(0, 5000, "One"), (5000, 99_000, " Two ")], &[(0, 4000, "One"), (4000, 10_000, "Two")]);
        check(&[(11_000, 12_000, "after the end")], &[]);
    }

    #[test]
    fn chapters_without_end_or_title_get_one() {
        check(&[(1000, 1000, ""), (4000, 0, "")], &[(0, 3000, "Chapter 1"), (3000, 10_000, "Chapter 2")]);
    }

    #[test]
    fn chapters_are_sorted_and_do_not_overlap() {
        check(&[(6000, 9000, "b"), (1000, 11_000, "whole"), (1000, 8000, "a")], &[(0, 5000, "a"), (5000, 8000, "b")]);
    }

    #[test]
    fn chapters_that_somebody_set_replace_those_of_the_source() {
        let chapter = |start, end, title: &str| Chapter { start: ms(start), end: ms(end), title: title.into() };
        let probe = Probe {
            container: "matroska".into(),
            size: ByteSize(1),
            video: vec![],
            audio: vec![],
            subtitles: vec![],
            chapters: vec![chapter(1000, 9000, "the file's")],
            title: None,
            libraries: String::new(),
            cover: None,
        };
        let set = [chapter(5000, 0, "Two"), chapter(0, 0, "One"), chapter(10_000, 0, "after the end")];
        let expected = [chapter(0, 5000, "One"), chapter(5000, 10_000, "Two")];
        assert_eq!(shown(Some(&set), &probe, ms(1000), ms(10_000)), expected);
        assert_eq!(shown(Some(&[]), &probe, ms(1000), ms(10_000)), []);
    }
}
