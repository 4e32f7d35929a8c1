//! What is counted, for operators: take-overs, syncs, stalls, octets, refusals.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper edges of the buckets of take-overs and syncs, in milliseconds; one more bucket has no edge.
pub const SHORT_MS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 250, 1000, 5000];
/// The same for silences within a body.
pub const LONG_MS: [u64; 10] = [3000, 5000, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 120_000, 300_000];

/// Durations, sorted into buckets.
#[derive(Debug)]
pub struct Durations {
    edges_ms: &'static [u64; 10],
    buckets: [AtomicU64; 11],
    sum_us: AtomicU64,
}

/// [`Durations`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Upper edges of all buckets but the last, in milliseconds.
    pub edges_ms: [u64; 10],
    /// How many fell into each bucket.
    pub buckets: [u64; 11],
    /// All of them together.
    pub sum: Duration,
}

impl Durations {
    fn new(edges_ms: &'static [u64; 10]) -> Self {
        Self { edges_ms, buckets: Default::default(), sum_us: AtomicU64::new(0) }
    }

    fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.edges_ms.iter().position(|edge| us <= edge * 1000).unwrap_or(self.edges_ms.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What was observed so far.
    pub fn observed(&self) -> Observed {
        let buckets = std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed));
        let sum = Duration::from_micros(self.sum_us.load(Ordering::Relaxed));
        Observed { edges_ms: *self.edges_ms, buckets, sum }
    }
}

/// Everything this process counts of its uploads.
#[derive(Debug)]
pub struct Metrics {
    hand_overs: Durations,
    syncs: Durations,
    stalls: Durations,
    received_bytes: AtomicU64,
    /// Keyed by the problem's code, of which there are a few.
    refusals: Mutex<BTreeMap<&'static str, u64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            hand_overs: Durations::new(&SHORT_MS),
            syncs: Durations::new(&SHORT_MS),
            stalls: Durations::new(&LONG_MS),
            received_bytes: AtomicU64::new(0),
            refusals: Mutex::default(),
        }
    }
}

impl Metrics {
    /// A request took an upload over from another one, which let go after `took`.
    pub(crate) fn hand_over(&self, took: Duration) {
        self.hand_overs.observe(took);
    }

    /// A staged file was flushed.
    pub(crate) fn synced(&self, took: Duration) {
        self.syncs.observe(took);
    }

    /// A body went on after a silence.
    pub(crate) fn stalled(&self, silence: Duration) {
        self.stalls.observe(silence);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, code: &'static str) {
        *self.refusals.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }

    /// How long requests waited for the one they took over from.
    pub fn hand_overs(&self) -> Observed {
        self.hand_overs.observed()
    }

    /// How long flushes took.
    pub fn syncs(&self) -> Observed {
        self.syncs.observed()
    }

    /// How long bodies fell silent.
    pub fn stalls(&self) -> Observed {
        self.stalls.observed()
    }

    /// Octets taken from bodies.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    /// Uploads and requests that were not allowed, by code.
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.iter().map(|(code, count)| (*code, *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let metrics = Metrics::default();
        for ms in [0, 1, 2, 3, 5000, 5001] {
            metrics.hand_over(Duration::from_millis(ms));
        }
        let observed = metrics.hand_overs();
        assert_eq!(observed.buckets, [2, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(observed.sum, Duration::from_millis(10_007));
    }
}
