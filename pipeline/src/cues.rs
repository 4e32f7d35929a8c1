//! Subtitles as they are shown: decoded cues made clean, and cut into segments. Pure.

use catalog_store::Cue;
use domain::{Cadence, MediaTime, Timescale};
use packager::webvtt;

/// Most cues of one track; a film has about 1500.
const CUES_MAX: usize = 50_000;

/// Most octets of text in one track.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// Cues of one track of a source in order, as [`shown`].
pub(crate) fn clean(cues: Vec<transcoder::Cue>, duration: MediaTime) -> Vec<webvtt::Cue> {
    let cue = |cue: transcoder::Cue| webvtt::Cue {
        start: cue.start,
        end: cue.end,
        text: webvtt::from_ass(&cue.ass),
        settings: String::new(),
    };
    shown(cues.into_iter().map(cue).collect(), duration)
}

/// Cues in order: inside the presentation, visible, with text, and not endlessly many.
pub(crate) fn shown(cues: Vec<webvtt::Cue>, duration: MediaTime) -> Vec<webvtt::Cue> {
    let end_ms = duration.as_ms().max(0);
    let ms = |ticks| MediaTime::new(ticks, Timescale::MILLISECONDS);
    let shown = |cue: webvtt::Cue| {
        let (start, end) = (cue.start.as_ms().clamp(0, end_ms), cue.end.as_ms().clamp(0, end_ms));
        (start < end && !cue.text.trim().is_empty()).then_some((start, end, cue.text, cue.settings))
    };
    let mut shown: Vec<(i64, i64, String, String)> = cues.into_iter().filter_map(shown).collect();
    shown.sort();
    shown.dedup();
    let mut bytes = 0usize;
    shown.retain(|(_, _, text, _)| {
        bytes = bytes.saturating_add(text.len());
        bytes <= TEXT_BYTES_MAX
    });
    shown.truncate(CUES_MAX);
    let cue = |(start, end, text, settings)| webvtt::Cue { start: ms(start), end: ms(end), text, settings };
    shown.into_iter().map(cue).collect()
}

/// The words of cues without markup, each line once where lines follow each other.
pub(crate) fn spoken(cues: &[webvtt::Cue]) -> Vec<Cue> {
    let spoken = |cue: &webvtt::Cue| {
        let text = webvtt::plain(&cue.text);
        (!text.is_empty()).then(|| Cue { start_ms: cue.start.as_ms(), end_ms: cue.end.as_ms(), text })
    };
    let mut spoken: Vec<Cue> = cues.iter().filter_map(spoken).collect();
    // Captions that were made for television say a line anew as it moves up.
    spoken.dedup_by(|next, cue| next.text == cue.text);
    spoken
}

/// One WebVTT segment and how long it lasts, in milliseconds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) ticks: u64,
    pub(crate) body: String,
}

/// The whole duration in segments of the cadence, those without a cue included.
pub(crate) fn segments(cues: &[webvtt::Cue], cadence: &Cadence, duration: MediaTime) -> Vec<Segment> {
    let end_ms = duration.as_ms().max(1);
    let mut boundaries =
        cadence.boundaries().skip(1).map(|frame| cadence.frame_rate.instant(frame).as_ms().min(end_ms));
    let ms = |ticks| MediaTime::new(ticks, Timescale::MILLISECONDS);
    let mut segments = Vec::new();
    let mut earliest = 0;
    let mut from = 0;
    // Boundaries rise for ever, so this ends.
    while from < end_ms {
        let to = boundaries.next().unwrap_or(end_ms).max(from + 1);
        // Cues are sorted by start: those before `earliest` ended before this segment begins.
        while cues.get(earliest).is_some_and(|cue| cue.end <= ms(from)) {
            earliest += 1;
        }
        let later = cues[earliest..].partition_point(|cue| cue.start < ms(to));
        let body = webvtt::segment(&cues[earliest..earliest + later], ms(from), ms(to));
        segments.push(Segment { ticks: u64::try_from(to - from).unwrap_or(0), body });
        from = to;
    }
    segments
}

#[cfg(test)]
mod tests {
    use domain::FrameRate;

    use super::*;

    fn ms(ticks: i64) -> MediaTime {
        MediaTime::new(ticks, Timescale::MILLISECONDS)
    }

    fn cue(start: i64, end: i64, ass: &str) -> transcoder::Cue {
        transcoder::Cue { stream_index: 0, start: ms(start), end: ms(end), ass: ass.into() }
    }

    fn times(cues: &[webvtt::Cue]) -> Vec<(i64, i64)> {
        cues.iter().map(|cue| (cue.start.as_ms(), cue.end.as_ms())).collect()
    }

    #[test]
    fn cues_are_sorted_clipped_and_the_invisible_ones_dropped() {
        let cues = clean(
            vec![
                cue(5000, 99_000, "late"),
                cue(-500, 1000, "early"),
                cue(2000, 2000, "never"),
                cue(3000, 4000, "{\\an8}"),
                cue(20_000, 21_000, "after the end"),
                cue(5000, 99_000, "late"),
            ],
            ms(10_000),
        );
        assert_eq!(times(&cues), [(0, 1000), (5000, 10_000)]);
    }

    #[test]
    fn what_is_spoken_has_no_markup() {
        let cues = clean(vec![cue(0, 900, "{\\i1}Fish{\\i0} & <chips>"), cue(900, 1000, "Fish & <chips>")], ms(10_000));
        let spoken = spoken(&cues);
        assert_eq!(spoken, [Cue { start_ms: 0, end_ms: 900, text: "Fish & <chips>".into() }]);
    }

    #[test]
    fn segments_cover_the_whole_duration_and_repeat_a_cue_that_crosses_an_edge() {
        let cadence = Cadence::for_video(FrameRate::new(25, 1).expect("a rate"));
        let cues = clean(vec![cue(1500, 2500, "across"), cue(2600, 2700, "inside")], ms(10_040));
        let segments = segments(&cues, &cadence, ms(10_040));
        let ticks: Vec<u64> = segments.iter().map(|segment| segment.ticks).collect();
        assert_eq!(ticks, [2000, 2000, 2000, 4040]);
        let with = |text: &str| segments.iter().map(|segment| segment.body.contains(text)).collect::<Vec<_>>();
        assert_eq!(with("across"), [true, true, false, false]);
        assert_eq!(with("inside"), [false, true, false, false]);
        assert!(segments[3].body.starts_with("WEBVTT"));
    }

    #[test]
    fn segments_lie_on_the_keyframes_of_a_source_and_go_on_behind_them() {
        let rate = FrameRate::new(25, 1).expect("a rate");
        let cadence = Cadence::on_keyframes(rate, &[40, 60, 100]).expect("GOPs");
        let ticks = |duration| -> Vec<u64> {
            segments(&[], &cadence, ms(duration)).iter().map(|segment| segment.ticks).collect()
        };
        assert_eq!(ticks(8000), [1600, 2400, 4000]);
        assert_eq!(ticks(11_000), [1600, 2400, 6000, 1000]);
    }

    #[test]
    fn a_long_cue_does_not_hide_behind_a_short_one() {
        let cadence = Cadence::for_audio();
        let cues = clean(vec![cue(0, 9000, "long"), cue(100, 200, "short"), cue(7000, 8000, "last")], ms(12_000));
        let segments = segments(&cues, &cadence, ms(12_000));
        assert!(segments.last().is_some_and(|last| last.body.contains("long") && last.body.contains("last")));
    }

    #[test]
    fn endless_tracks_are_cut() {
        let cues = (0..60_000).map(|at| cue(at, at + 1, "x")).collect();
        assert_eq!(clean(cues, ms(100_000)).len(), CUES_MAX);
    }
}
