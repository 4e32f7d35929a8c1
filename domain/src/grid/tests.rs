//! Tests of the grid.

use super::*;
use proptest::prelude::*;

fn rate(num: u32, den: u32) -> FrameRate {
    FrameRate::new(num, den).expect("not zero")
}

fn rates() -> impl Strategy<Value = FrameRate> {
    prop::sample::select(vec![
        (24_000, 1001),
        (24, 1),
        (25, 1),
        (30_000, 1001),
        (30, 1),
        (50, 1),
        (60_000, 1001),
        (60, 1),
        (25, 2),
        (15, 1),
        (1, 1),
    ])
    .prop_map(|(num, den)| rate(num, den))
}

#[test]
fn gops_of_every_rate_last_two_seconds() {
    let gop = |num, den| Cadence::for_video(rate(num, den)).gop_frames;
    assert_eq!(
        [gop(24_000, 1001), gop(25, 1), gop(30_000, 1001), gop(60, 1), gop(25, 2), gop(1, 1)],
        [48, 50, 60, 120, 25, 2]
    );
}

#[test]
fn a_tail_of_one_frame_joins_the_segment_before_it() {
    let cadence = Cadence::for_video(rate(25, 1));
    let counts = |frames| cadence.video_spans(frames).iter().map(|span| span.count).collect::<Vec<_>>();
    assert_eq!(counts(0), Vec::<u32>::new());
    assert_eq!(counts(1), [1]);
    assert_eq!(counts(301), [50, 50, 50, 151]);
    assert_eq!(counts(330), [50, 50, 50, 150, 30], "6 s and 1.2 s would be more than the target duration");
}

#[test]
fn gops_of_a_span_add_up() {
    let span = Span { index: 0, first: 0, count: 151 };
    assert_eq!(Cadence::for_video(rate(25, 1)).gops(span), [50, 50, 50, 1]);
}

/// Segments of a 25 fps video with these GOPs, as the lengths of their GOPs.
fn check_cells(gops: &[u32], expected: &[&[u32]]) {
    let cadence = Cadence::on_keyframes(rate(25, 1), gops);
    let cells = cadence.map(|cadence| cadence.cells).unwrap_or_default();
    assert_eq!(cells, expected, "{gops:?}");
}

#[test]
fn segments_on_keyframes_are_short_first_and_then_as_long_as_the_target_allows() {
    check_cells(&[50; 8], &[&[50], &[50], &[50], &[50, 50, 50], &[50, 50]]);
    check_cells(&[25; 12], &[&[25, 25], &[25, 25], &[25, 25], &[25; 6]]);
    check_cells(&[125; 4], &[&[125], &[125], &[125], &[125]]);
    check_cells(&[20, 40, 10, 10, 100, 100], &[&[20], &[40, 10], &[10], &[100], &[100]]);
}

#[test]
fn a_short_last_gop_joins_the_segment_before_it() {
    check_cells(&[50, 50, 5], &[&[50], &[50, 5]]);
    check_cells(&[50, 50, 50, 150, 30], &[&[50], &[50], &[50], &[150], &[30]]);
}

#[test]
fn gops_that_make_no_segments_are_refused() {
    check_cells(&[], &[]);
    check_cells(&[50, 0, 50], &[]);
    check_cells(&[50, 163], &[]);
    check_cells(&[162], &[&[162]]);
}

#[test]
fn an_even_rhythm_reads_as_it_did_before_there_were_others() {
    let json = r#"{"frame_rate":[25,1],"gop_frames":50}"#;
    let even = Cadence::for_video(rate(25, 1));
    assert_eq!(serde_json::to_string(&even).expect("serialises"), json);
    assert_eq!(serde_json::from_str::<Cadence>(json).expect("reads"), even);
}

fn gops() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(1u32..160, 1..200)
}

proptest! {
    #[test]
    fn video_spans_cover_every_frame_once(rate in rates(), frames in 1u64..500_000) {
        let cadence = Cadence::for_video(rate);
        let spans = cadence.video_spans(frames);
        let mut next = 0;
        for ((index, span), boundary) in spans.iter().enumerate().zip(cadence.boundaries()) {
            prop_assert_eq!(span.index as usize, index);
            prop_assert_eq!(span.first, next);
            prop_assert!(span.count > 0);
            prop_assert_eq!(span.first, boundary);
            prop_assert!(fits_target(rate.instant(u64::from(span.count))));
            next = span.end();
        }
        prop_assert_eq!(next, frames);
    }

    #[test]
    fn audio_cuts_stay_within_half_a_frame_of_the_video(rate in rates(), frames in 1u64..400_000) {
        let cadence = Cadence::for_video(rate);
        let scale = Timescale::new(48_000).expect("not zero");
        let spans = cadence.audio_spans(scale, frames);
        let mut next = 0;
        for (span, boundary) in spans.iter().zip(cadence.boundaries()) {
            prop_assert_eq!(span.first, next);
            let samples = i64::try_from(span.first * 1024).expect("fits");
            let video = rate.instant(boundary).rescale_round(scale).expect("fits").ticks;
            prop_assert!((samples - video).abs() <= 512, "segment {} at {samples}, video at {video}", span.index);
            next = span.end();
        }
        prop_assert_eq!(next, frames);
    }

    #[test]
    fn a_longer_video_only_adds_segments(rate in rates(), frames in 1u64..100_000, more in 0u64..100_000) {
        let short = Cadence::for_video(rate).video_spans(frames);
        let long = Cadence::for_video(rate).video_spans(frames + more);
        let settled = short.len().saturating_sub(1);
        prop_assert!(long.len() >= settled);
        prop_assert_eq!(&short[..settled.min(long.len().saturating_sub(1))], &long[..settled.min(long.len().saturating_sub(1))]);
    }

    #[test]
    fn segments_on_keyframes_hold_every_gop_once(gops in gops()) {
        let cadence = Cadence::on_keyframes(rate(25, 1), &gops).expect("no GOP is too long");
        let frames = gops.iter().map(|gop| u64::from(*gop)).sum();
        let spans = cadence.video_spans(frames);
        let mut next = 0;
        for (span, boundary) in spans.iter().zip(cadence.boundaries()) {
            prop_assert_eq!(span.first, next);
            prop_assert_eq!(span.first, boundary);
            prop_assert_eq!(cadence.gops(*span).iter().sum::<u32>(), span.count);
            prop_assert!(fits_target(cadence.frame_rate.instant(u64::from(span.count))));
            next = span.end();
        }
        prop_assert_eq!(next, frames);
        prop_assert_eq!(spans.iter().flat_map(|span| cadence.gops(*span)).collect::<Vec<_>>(), gops);
    }

    #[test]
    fn sound_is_cut_near_the_keyframes_and_goes_on_behind_them(gops in gops(), frames in 1u64..80_000) {
        let cadence = Cadence::on_keyframes(rate(25, 1), &gops).expect("no GOP is too long");
        let scale = Timescale::new(48_000).expect("not zero");
        let spans = cadence.audio_spans(scale, frames);
        let mut next = 0;
        for (span, boundary) in spans.iter().zip(cadence.boundaries()) {
            prop_assert_eq!(span.first, next);
            let samples = i64::try_from(span.first * 1024).expect("fits");
            let video = cadence.frame_rate.instant(boundary).rescale_round(scale);
            prop_assert!((samples - video.expect("fits").ticks).abs() <= 512, "segment {}", span.index);
            next = span.end();
        }
        prop_assert_eq!(next, frames);
    }
}
