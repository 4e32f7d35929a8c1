//! Counters of the worker, as plain atomics; the binary turns them into Prometheus text.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::JobKind;

/// How a run of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Settled: its work is done.
    Done,
    /// Settled without its product, which could not be made.
    WentWithout,
    /// Settled by another plan for its asset.
    Replanned,
    /// An error; it is tried again later.
    Retried,
    /// The machine was at fault; it is tried again later.
    Postponed,
    /// An error that ended the asset.
    Failed,
    /// Given back because the worker stops.
    Released,
    /// Dropped because the lease was lost or the asset deleted.
    Lost,
}

impl Outcome {
    /// The value of the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::WentWithout => "went_without",
            Self::Replanned => "replanned",
            Self::Retried => "retried",
            Self::Postponed => "postponed",
            Self::Failed => "failed",
            Self::Released => "released",
            Self::Lost => "lost",
        }
    }
}

/// What kind of rendition a segment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentKind {
    /// A picture.
    Video,
    /// A picture as the source holds it, not encoded.
    Copied,
    /// A sound.
    Audio,
    /// Text.
    Subtitles,
}

impl SegmentKind {
    /// The value of the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Copied => "copied",
            Self::Audio => "audio",
            Self::Subtitles => "subtitles",
        }
    }
}

/// Upper edges of the buckets of job durations, in seconds; one more bucket holds all longer ones.
pub const JOB_SECONDS: [u64; 8] = [1, 2, 5, 10, 30, 60, 300, 1800];

/// Durations of the finished runs of one kind of job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// Runs that took at most the [`JOB_SECONDS`] edge of the same index; the last entry holds the
    /// longer ones. Not cumulative.
    pub buckets: [u64; JOB_SECONDS.len() + 1],
    /// All durations together.
    pub sum: Duration,
}

/// The counters of one kind of segment, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    /// Segments committed.
    pub count: u64,
    /// Their octets.
    pub bytes: u64,
    /// Media time they play, in milliseconds.
    pub media_ms: u64,
}

/// Counters of one worker, handed in by whoever exports them.
///
/// Encode speed is `segments(kind).media_ms` over [`encode_ms`](Self::encode_ms) of the same time.
#[derive(Debug, Default)]
pub struct Metrics {
    jobs: Mutex<Jobs>,
    segments: [SegmentCounters; 4],
    encode_ms: [AtomicU64; 4],
    jobs_running: AtomicU64,
}

#[derive(Debug, Default)]
struct Jobs {
    outcomes: BTreeMap<(JobKind, Outcome), u64>,
    durations: BTreeMap<JobKind, Durations>,
}

#[derive(Debug, Default)]
struct SegmentCounters {
    count: AtomicU64,
    bytes: AtomicU64,
    media_ms: AtomicU64,
}

impl Metrics {
    /// Counters at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many runs of each kind of job ended in which way.
    pub fn outcomes(&self) -> Vec<(JobKind, Outcome, u64)> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.outcomes.iter().map(|((kind, outcome), count)| (*kind, *outcome, *count)).collect()
    }

    /// How long the runs of each kind of job took.
    pub fn durations(&self) -> Vec<(JobKind, Durations)> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.durations.iter().map(|(kind, durations)| (*kind, durations.clone())).collect()
    }

    /// Segments committed so far.
    pub fn segments(&self, kind: SegmentKind) -> Segments {
        let counters = &self.segments[kind as usize];
        Segments {
            count: counters.count.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            media_ms: counters.media_ms.load(Ordering::Relaxed),
        }
    }

    /// Wall time that encoding sessions of this kind were open, in milliseconds.
    pub fn encode_ms(&self, kind: SegmentKind) -> u64 {
        self.encode_ms[kind as usize].load(Ordering::Relaxed)
    }

    /// Jobs that run at this moment.
    pub fn jobs_running(&self) -> u64 {
        self.jobs_running.load(Ordering::Relaxed)
    }

    /// Counts a job as running until the answer is dropped.
    pub(crate) fn running(&self) -> Running<'_> {
        self.jobs_running.fetch_add(1, Ordering::Relaxed);
        Running(self)
    }

    pub(crate) fn job_ended(&self, kind: JobKind, outcome: Outcome, took: Duration) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        *jobs.outcomes.entry((kind, outcome)).or_default() += 1;
        let durations = jobs.durations.entry(kind).or_default();
        let bucket = JOB_SECONDS.iter().position(|&edge| took <= Duration::from_secs(edge));
        durations.buckets[bucket.unwrap_or(JOB_SECONDS.len())] += 1;
        durations.sum = durations.sum.saturating_add(took);
    }

    pub(crate) fn segment_committed(&self, kind: SegmentKind, bytes: u64, media_ms: u64) {
        let counters = &self.segments[kind as usize];
        counters.count.fetch_add(1, Ordering::Relaxed);
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        counters.media_ms.fetch_add(media_ms, Ordering::Relaxed);
    }

    pub(crate) fn session_ended(&self, kind: SegmentKind, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.encode_ms[kind as usize].fetch_add(ms, Ordering::Relaxed);
    }
}

/// A job that runs.
pub(crate) struct Running<'a>(&'a Metrics);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.jobs_running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_by_kind_outcome_and_duration() {
        let metrics = Metrics::new();
        let (first, _second) = (metrics.running(), metrics.running());
        drop(first);
        assert_eq!(metrics.jobs_running(), 1);
        metrics.job_ended(JobKind::Chunk, Outcome::Done, Duration::from_secs(3));
        metrics.job_ended(JobKind::Chunk, Outcome::Retried, Duration::from_secs(3600));
        assert_eq!(metrics.outcomes(), [(JobKind::Chunk, Outcome::Done, 1), (JobKind::Chunk, Outcome::Retried, 1)]);
        assert_eq!(metrics.durations()[0].1.buckets, [0, 0, 1, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn segments_add_up_by_kind() {
        let metrics = Metrics::new();
        metrics.segment_committed(SegmentKind::Audio, 10, 2000);
        metrics.segment_committed(SegmentKind::Audio, 20, 6000);
        assert_eq!(metrics.segments(SegmentKind::Audio), Segments { count: 2, bytes: 30, media_ms: 8000 });
        assert_eq!(metrics.segments(SegmentKind::Video), Segments::default());
    }
}
