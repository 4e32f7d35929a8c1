//! The plan of all segment boundaries, as integer frame numbers, before anything is encoded.
//!
//! A GOP lasts about 2 s and a segment three GOPs; the first three segments are one GOP long, so
//! that playback starts early. Boundaries depend on the frame rate alone, or, where a source's own
//! pictures are shown as they are, on its keyframes. Every video rendition of an asset shares them,
//! and audio is cut on the AAC frame nearest to them.

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cadence {
    /// Output frames per second; for audio-only assets the rate of an imagined 25 fps picture.
    pub frame_rate: FrameRate,
    /// Frames from one IDR to the next, where `cells` does not say otherwise.
    pub gop_frames: u32,
    /// The segments of a video on its source's keyframes, each as the lengths of its GOPs in frames;
    /// empty for the even rhythm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<Vec<u32>>,
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
}

impl Cadence {
    /// The even rhythm of a video of this output rate: GOPs of 2 s, rounded to whole frames.
    pub fn for_video(frame_rate: FrameRate) -> Self {
        let frames =
            (2 * u64::from(frame_rate.num()) * 2 + u64::from(frame_rate.den())) / (2 * u64::from(frame_rate.den()));
        Self { frame_rate, gop_frames: u32::try_from(frames.max(1)).unwrap_or(u32::MAX), cells: Vec::new() }
    }

    /// The rhythm of an asset without video: boundaries at 2, 4, 6 s and every 6 s after that.
    pub fn for_audio() -> Self {
        Self::for_video(FrameRate::new(25, 1).expect("25 and 1 are not zero"))
    }

    /// The rhythm of a video that keeps its source's GOPs, whose lengths in frames are given in order.
    ///
    /// Segments hold as many whole GOPs as fit [`TARGET_DURATION_S`], the first three as many as fit
    /// 2 s, and at least one. `None` without GOPs, or if one is empty or too long for a segment.
    pub fn on_keyframes(frame_rate: FrameRate, gops: &[u32]) -> Option<Self> {
        let even = Self::for_video(frame_rate);
        let fits = |frames: u64| fits_target(frame_rate.instant(frames));
        let mut cells: Vec<Vec<u32>> = Vec::new();
        let mut frames = 0;
        for &gop in gops {
            if gop == 0 || !fits(gop.into()) {
                return None;
            }
            let longer = frames + u64::from(gop);
            let is_short = cells.len() <= SHORT_SEGMENTS as usize;
            let has_room = if is_short { longer <= u64::from(even.gop_frames) } else { fits(longer) };
            match cells.last_mut() {
                Some(cell) if has_room => {
                    cell.push(gop);
                    frames = longer;
                }
                _ => {
                    cells.push(vec![gop]);
                    frames = gop.into();
                }
            }
        }
        let length = |cell: &[u32]| cell.iter().map(|gop| u64::from(*gop)).sum::<u64>();
        if let [.., before, last] = cells.as_mut_slice()
            && frames < u64::from(even.gop_frames)
            && fits(length(before) + frames)
        {
            before.append(last);
            cells.pop();
        }
        (!cells.is_empty()).then_some(Self { cells, ..even })
    }

    /// First frames of all segments, however long the video is: rises for ever.
    ///
    /// Behind the last of its own cells a rhythm goes on in segments of the usual length.
    pub fn boundaries(&self) -> impl Iterator<Item = u64> + '_ {
        let usual = u64::from(self.gop_frames.max(1)) * u64::from(GOPS_PER_SEGMENT);
        let mut index = 0usize;
        let mut next = 0u64;
        std::iter::from_fn(move || {
            let boundary = next;
            let own: Option<u64> = self.cells.get(index).map(|cell| cell.iter().map(|gop| u64::from(*gop)).sum());
            let length = match own {
                // The last one is open: sound may go on behind the picture's end.
                Some(own) if index + 1 == self.cells.len() => own.max(usual),
                Some(own) => own.max(1),
                None if self.cells.is_empty() && index < SHORT_SEGMENTS as usize => u64::from(self.gop_frames.max(1)),
                None => usual,
            };
            index = index.saturating_add(1);
            next = next.saturating_add(length);
            Some(boundary)
        })
    }

    /// Lengths of the GOPs inside a video segment, in frames: all alike but perhaps the last, or the source's own.
    pub fn gops(&self, span: Span) -> Vec<u32> {
        let own = usize::try_from(span.index).ok().and_then(|index| self.cells.get(index));
        let gop = self.gop_frames.max(1);
        let even = || (0..span.count.div_ceil(gop)).map(|at| gop.min(span.count - at * gop)).collect();
        own.cloned().unwrap_or_else(even)
    }

    /// Frames of the longest GOP.
    pub fn gop_frames_max(&self) -> u32 {
        self.cells.iter().flatten().copied().max().unwrap_or(self.gop_frames)
    }

    /// The segments of a video of `frame_count` frames: contiguous from 0, none empty.
    ///
    /// A rest shorter than one GOP joins the segment before it while that still rounds to
    /// [`TARGET_DURATION_S`]. A rhythm with cells of its own has exactly these.
    pub fn video_spans(&self, frame_count: u64) -> Vec<Span> {
        if self.cells.is_empty() {
            return cut(frame_count, self.gop(), self.boundaries(), |frames| self.frame_rate.instant(frames));
        }
        let mut first = 0;
        let span = |(index, cell): (u32, &Vec<u32>)| {
            let span = Span { index, first, count: cell.iter().sum() };
            first = span.end();
            span
        };
        (0u32..).zip(&self.cells).map(span).collect()
    }

    /// The segments of an audio track of `frame_count` AAC frames at `sample_rate`, cut on the AAC
    /// frame nearest to each video boundary. Counts are AAC frames.
    pub fn audio_spans(&self, sample_rate: Timescale, frame_count: u64) -> Vec<Span> {
        self.audio_spans_from(0, sample_rate, frame_count)
    }

    /// The same where the first AAC frame begins `offset` samples behind zero, less than a frame.
    pub fn audio_spans_from(&self, offset: u32, sample_rate: Timescale, frame_count: u64) -> Vec<Span> {
        let frame = i64::from(AAC_FRAME_SAMPLES);
        let nearest = |boundary: u64| {
            let samples = self.frame_rate.instant(boundary).rescale_round(sample_rate);
            let samples = samples.map_or(i64::MAX - frame, |time| time.ticks);
            u64::try_from((samples - i64::from(offset) + frame / 2) / frame).unwrap_or(0)
        };
        let length = |frames: u64| {
            MediaTime::new(i64::try_from(frames).unwrap_or(i64::MAX / frame).saturating_mul(frame), sample_rate)
        };
        cut(frame_count, self.gop(), self.boundaries().map(nearest), length)
    }

    /// How long the usual GOP lasts.
    fn gop(&self) -> MediaTime {
        self.frame_rate.instant(u64::from(self.gop_frames))
    }
}

/// The segments of `frame_count` frames that begin at `boundaries`, the first of which is 0.
fn cut(
    frame_count: u64,
    gop: MediaTime,
    boundaries: impl Iterator<Item = u64>,
    length: impl Fn(u64) -> MediaTime,
) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut first = 0;
    // Every round moves `first` forward, so this ends after at most `frame_count` segments.
    for boundary in boundaries.skip(1) {
        if first >= frame_count {
            break;
        }
        let index = u32::try_from(spans.len()).unwrap_or(u32::MAX);
        let end = boundary.max(first + 1).min(frame_count);
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
mod tests;
