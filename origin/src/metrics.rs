//! What players tell, counted; read by whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cmcd::Cmcd;

/// Upper edges of the buckets for what players have buffered, in milliseconds.
pub const BUFFER_EDGES_MS: [u64; 7] = [500, 1000, 2000, 5000, 10_000, 20_000, 40_000];
/// Upper edges of the buckets for the throughput that players measure, in kilobits per second.
pub const THROUGHPUT_EDGES_KBPS: [u64; 7] = [500, 1000, 2500, 5000, 10_000, 25_000, 100_000];

/// Values that fell into buckets; the last bucket is for all above the last edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// How many fell into each bucket, not cumulated.
    pub buckets: [u64; 8],
    /// Their sum.
    pub sum: u64,
}

#[derive(Debug, Default)]
struct Observing {
    buckets: [AtomicU64; 8],
    sum: AtomicU64,
}

impl Observing {
    fn observe(&self, edges: [u64; 7], value: u64) {
        let bucket = edges.iter().position(|edge| value <= *edge).unwrap_or(edges.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn observed(&self) -> Observed {
        let sum = self.sum.load(Ordering::Relaxed);
        Observed { buckets: std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed)), sum }
    }
}

/// Counters of an origin.
#[derive(Debug, Default)]
pub struct Metrics {
    reports: AtomicU64,
    starvations: AtomicU64,
    startups: AtomicU64,
    hints: AtomicU64,
    buffers: Observing,
    throughputs: Observing,
}

impl Metrics {
    pub(crate) fn heard(&self, told: &Cmcd) {
        self.reports.fetch_add(1, Ordering::Relaxed);
        self.starvations.fetch_add(u64::from(told.has_starved), Ordering::Relaxed);
        self.startups.fetch_add(u64::from(told.is_startup), Ordering::Relaxed);
        if let Some(buffer_ms) = told.buffer_ms {
            self.buffers.observe(BUFFER_EDGES_MS, buffer_ms);
        }
        if let Some(throughput_kbps) = told.throughput_kbps {
            self.throughputs.observe(THROUGHPUT_EDGES_KBPS, throughput_kbps);
        }
    }

    pub(crate) fn hinted(&self) {
        self.hints.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests with which a player told something.
    pub fn reports(&self) -> u64 {
        self.reports.load(Ordering::Relaxed)
    }

    /// Times that a player's buffer ran empty.
    pub fn starvations(&self) -> u64 {
        self.starvations.load(Ordering::Relaxed)
    }

    /// Requests that a player needed urgently, to start or to go on.
    pub fn startups(&self) -> u64 {
        self.startups.load(Ordering::Relaxed)
    }

    /// Objects that were brought into memory because a player said that it would ask for them.
    pub fn hints(&self) -> u64 {
        self.hints.load(Ordering::Relaxed)
    }

    /// What players had buffered, in milliseconds, by [`BUFFER_EDGES_MS`].
    pub fn buffers(&self) -> Observed {
        self.buffers.observed()
    }

    /// The throughput that players measured, in kilobits per second, by [`THROUGHPUT_EDGES_KBPS`].
    pub fn throughputs(&self) -> Observed {
        self.throughputs.observed()
    }
}
