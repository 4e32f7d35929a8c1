//! The plan of all segment boundaries, as integer frame numbers, before anything is encoded.
//!
//! A GOP lasts about 2 s and a segment three GOPs; the first three segments are one GOP long, so
//! that playback starts early. Boundaries depend on the frame rate alone: every video rendition
//! of an asset shares them, and audio is cut on the AAC frame nearest to them.

use serde::{Deserialize, Serialize};

use crate::{FrameRate, MediaTime, Timescale};

/// `EXT-X-TARGETDURATION` of every playlist, in seconds: the longest segment, rounded (RFC 8216 §4.3.3.1).
pub const TARGET_DURATION_S: u32 = 6;

/// Samples in one AAC-LC frame (ISO/IEC 14496-3 §4.5.1.1).
pub const AAC_FRAME_SAMPLES: u32 = 1024;

/// Segments at the start that hold a single GOP.
const SHORT_SEGMENTS: u32 = 3;

/// GOPs in every later segment.
const GOPS_PER_SEGMENT: u32 = 3;

/// The rhythm of one asset: where segments and GOPs begin, on an endless timeline of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cadence {
    /// Output frames per second; for audio-only assets the rate of an imagined 25 fps picture.
    pub frame_rate: FrameRate,
    /// Frames from one IDR to the next.
    pub gop_frames: u32,
}

/// One grid cell: the run of frames that a segment covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Number of the segment, from 0.
    pub index: u32,
    /// First frame: a video frame number, or an AAC frame number.
    pub first: u64,
    /// How many frames; never zero.
    pub count: u32,
}

impl Span {
    /// The frame after the last one.
    pub fn end(self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Lengths of the GOPs inside, in frames: all `gop_frames` long but perhaps the last.
    pub fn gops(self, gop_frames: u32) -> impl Iterator<Item = u32> {
        let gop_frames = gop_frames.max(1);
        (0..self.count.div_ceil(gop_frames)).map(move |at| gop_frames.min(self.count - at * gop_frames))
    }
}

impl Cadence {
    /// The rhythm of a video of this output rate: GOPs of 2 s, rounded to whole frames.
    pub fn for_video(frame_rate: FrameRate) -> Self {
        let frames =
            (2 * u64::from(frame_rate.num()) * 2 + u64::from(frame_rate.den())) / (2 * u64::from(frame_rate.den()));
        Self { frame_rate, gop_frames: u32::try_from(frames.max(1)).unwrap_or(u32::MAX) }
    }

    /// The rhythm of an asset without video: boundaries at 2, 4, 6 s and every 6 s after that.
    pub fn for_audio() -> Self {
        Self::for_video(FrameRate::new(25, 1).expect("25 and 1 are not zero"))
    }

    /// First frame of segment `index`, however long the video is.
    pub fn boundary(self, index: u32) -> u64 {
        let gops = u64::from(index.min(SHORT_SEGMENTS))
            + u64::from(index.saturating_sub(SHORT_SEGMENTS)) * u64::from(GOPS_PER_SEGMENT);
        gops * u64::from(self.gop_frames)
    }

    /// The segments of a video of `frame_count` frames: contiguous from 0, none empty.
    ///
    /// A rest shorter than one GOP joins the segment before it while that still rounds to
    /// [`TARGET_DURATION_S`].
    pub fn video_spans(self, frame_count: u64) -> Vec<Span> {
        let gop = self.frame_rate.instant(u64::from(self.gop_frames));
        cut(frame_count, gop, |index| self.boundary(index), |frames| self.frame_rate.instant(frames))
    }

    /// The segments of an audio track of `frame_count` AAC frames at `sample_rate`, cut on the AAC
    /// frame nearest to each video boundary. Counts are AAC frames.
    pub fn audio_spans(self, sample_rate: Timescale, frame_count: u64) -> Vec<Span> {
        let frame = i64::from(AAC_FRAME_SAMPLES);
        let nearest = |index: u32| {
            let samples = self.frame_rate.instant(self.boundary(index)).rescale_round(sample_rate);
            let samples = samples.map_or(i64::MAX - frame, |time| time.ticks);
            u64::try_from((samples + frame / 2) / frame).unwrap_or(0)
        };
        let length = |frames: u64| {
            MediaTime::new(i64::try_from(frames).unwrap_or(i64::MAX / frame).saturating_mul(frame), sample_rate)
        };
        cut(frame_count, self.frame_rate.instant(u64::from(self.gop_frames)), nearest, length)
    }
}

fn cut(
    frame_count: u64,
    gop: MediaTime,
    boundary: impl Fn(u32) -> u64,
    length: impl Fn(u64) -> MediaTime,
) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut first = 0;
    // Boundaries rise strictly, so this ends after at most `frame_count` segments.
    while first < frame_count {
        let index = u32::try_from(spans.len()).unwrap_or(u32::MAX);
        let end = boundary(index + 1).max(first + 1).min(frame_count);
        let is_rest = end == frame_count && length(end - first) < gop;
        let joined = spans.last().map(|last| end - last.first).filter(|&frames| is_rest && fits_target(length(frames)));
        match (joined, spans.last_mut()) {
            (Some(frames), Some(last)) => last.count = u32::try_from(frames).unwrap_or(u32::MAX),
            _ => spans.push(Span { index, first, count: u32::try_from(end - first).unwrap_or(u32::MAX) }),
        }
        first = end;
    }
    spans
}

/// True if a segment of this length rounds to at most [`TARGET_DURATION_S`].
fn fits_target(length: MediaTime) -> bool {
    length.as_ms() < i64::from(TARGET_DURATION_S) * 1000 + 500
}

#[cfg(test)]
mod tests {
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
        assert_eq!(span.gops(50).collect::<Vec<_>>(), [50, 50, 50, 1]);
    }

    proptest! {
        #[test]
        fn video_spans_cover_every_frame_once(rate in rates(), frames in 1u64..500_000) {
            let cadence = Cadence::for_video(rate);
            let spans = cadence.video_spans(frames);
            let mut next = 0;
            for (index, span) in spans.iter().enumerate() {
                prop_assert_eq!(span.index as usize, index);
                prop_assert_eq!(span.first, next);
                prop_assert!(span.count > 0);
                prop_assert_eq!(span.first, cadence.boundary(span.index));
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
            for span in &spans {
                prop_assert_eq!(span.first, next);
                let samples = i64::try_from(span.first * 1024).expect("fits");
                let video = rate.instant(cadence.boundary(span.index)).rescale_round(scale).expect("fits").ticks;
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
    }
}
