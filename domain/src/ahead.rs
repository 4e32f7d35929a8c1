//! Which work a source permits of which only the first octets are there, and how important that work is.
//!
//! A container whose index comes first tells where each sample lies before the samples have arrived. What is
//! decided here is when a job is worth a try: a reader that comes to octets that are not there stops, so a
//! wrong answer costs a try and is never believed.

use serde::{Deserialize, Serialize};

use crate::{AAC_FRAME_SAMPLES, JobSpec, MediaTime, Plan, Timescale};

/// Seconds of media that decoders and demuxers may read on behind the last picture or sound that is wanted:
/// pictures that are shown earlier come later, and tracks lie beside each other.
const MARGIN_S: i64 = 3;

/// Longest timeline that is told of, in seconds.
pub const SECONDS_MAX: usize = 8 * 86_400;

/// How far into a source the samples of each moment reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// For each second from the start of the timeline: the end of the furthest octet of any sample that is
    /// decoded before the second is over, whatever its track. Never falls.
    ends: Vec<u64>,
}

impl Reach {
    /// The reach of these samples: when each is decoded, and the octet behind its last one. `None` if one of
    /// them is decoded too late to be told of.
    pub fn of(samples: impl IntoIterator<Item = (MediaTime, u64)>) -> Option<Self> {
        let mut ends: Vec<u64> = Vec::new();
        for (decoded, end) in samples {
            let second = second(decoded);
            if second >= SECONDS_MAX {
                return None;
            }
            if ends.len() <= second {
                ends.resize(second + 1, 0);
            }
            ends[second] = ends[second].max(end);
        }
        let mut furthest = 0;
        for end in &mut ends {
            furthest = furthest.max(*end);
            *end = furthest;
        }
        Some(Self { ends })
    }

    /// True if it can be what [`of`](Self::of) makes of the samples of a source of `length` octets.
    pub fn is_sound(&self, length: u64) -> bool {
        self.ends.len() <= SECONDS_MAX
            && self.ends.is_sorted()
            && self.ends.last().is_none_or(|furthest| *furthest <= length)
    }

    /// How many octets from the start of the source hold everything that is decoded until `time`, and a little
    /// more; `None` if nothing is known of any sample.
    pub fn until(&self, time: MediaTime) -> Option<u64> {
        let second = second(time).saturating_add(usize::try_from(MARGIN_S).unwrap_or(0));
        self.ends.get(second).or(self.ends.last()).copied()
    }
}

/// The second that `time` lies in; what lies before the start belongs to the first one.
fn second(time: MediaTime) -> usize {
    let seconds = time.ticks.div_euclid(i64::from(time.scale.per_second()));
    usize::try_from(seconds.max(0)).unwrap_or(usize::MAX)
}

/// How many octets from the start of its source a job needs, and when what it makes begins to play on the output's
/// timeline, in seconds; `None` for a job that needs the whole source.
pub fn needs(plan: &Plan, reach: &Reach, job: &JobSpec) -> Option<(u64, u64)> {
    let (begin, end) = match job {
        JobSpec::Chunk { chunk, .. } | JobSpec::Copy { chunk, .. } => {
            let chunk = plan.chunks().into_iter().find(|candidate| candidate.index == *chunk)?;
            let cells = chunk.first_segment..chunk.first_segment.saturating_add(chunk.segment_count);
            let spans = plan.video_spans();
            let mut spans = spans.iter().filter(|span| cells.contains(&span.index));
            let first = spans.next()?;
            let last = spans.next_back().unwrap_or(first);
            let rate = plan.cadence.frame_rate;
            (rate.instant(first.first), rate.instant(last.end()))
        }
        JobSpec::Audio { rendition, part, .. } => {
            let audio = plan.audio_rendition(rendition)?;
            let part = plan.audio_parts(audio).into_iter().find(|candidate| candidate.index == *part)?;
            let spans = plan.audio_spans(audio);
            let mut spans = spans.iter().filter(|span| part.holds(span.index));
            let first = spans.next()?;
            let last = spans.next_back().unwrap_or(first);
            let samples = |frames: u64| {
                let whole = frames.saturating_mul(AAC_FRAME_SAMPLES.into());
                i64::try_from(whole.saturating_add(audio.offset().into())).ok()
            };
            let instant = |frames: u64| Some(MediaTime::new(samples(frames)?, plan.audio_timescale(audio)));
            (instant(first.first)?, instant(last.end())?)
        }
        _ => return None,
    };
    // Rounded up: what is decoded in the fraction of a second counts.
    let end = end.rescale_ceil(Timescale::MILLISECONDS)?;
    let origin = plan.origin.rescale_ceil(Timescale::MILLISECONDS)?;
    let source_end = MediaTime::new(end.ticks.checked_add(origin.ticks)?, Timescale::MILLISECONDS);
    Some((reach.until(source_end)?, u64::try_from(begin.as_ms() / 1000).unwrap_or(0)))
}

#[cfg(test)]
mod tests;
