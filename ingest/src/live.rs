//! What is going on with uploads right now: how far, how fast, what went wrong last.
//!
//! It is kept in memory, for those who watch; nothing depends on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Failure, UploadId};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// A silence this long counts as a stall.
const STALL: Duration = Duration::from_secs(3);
/// Time over which the rate is averaged.
const RATE_WINDOW_S: f64 = 5.0;
/// Shortest time between two measurements of the rate.
const RATE_STEP: Duration = Duration::from_millis(250);
/// Uploads that are kept; above it those that have been quiet longest are forgotten.
const ENTRIES_MAX: usize = 20_000;

/// Streams of events that may be open at the same time.
const STREAMS_MAX: usize = 512;

/// The uploads of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live {
    entries: Arc<Mutex<HashMap<UploadId, Entry>>>,
    /// One permit for each open stream of events.
    pub(crate) streams: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Self {
        Self { entries: Arc::default(), streams: Arc::new(Semaphore::new(STREAMS_MAX)) }
    }
}

/// How far the look into an upload's head is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nobody looked yet.
    #[default]
    Ahead,
    /// Not before this many octets are there.
    At(u64),
    /// The engine is looking.
    Running,
    /// Nothing speaks against it.
    Fine,
    /// What it holds shows only when it is complete.
    AtTheEnd,
    /// It is not wanted.
    Refused(Failure),
}

#[derive(Debug)]
struct Entry {
    received: u64,
    durable: u64,
    bodies: u32,
    last_octet: Instant,
    /// Weighted sum of the measured rates, and the sum of the weights, which approaches 1.
    rate: f64,
    weight: f64,
    measured_at: Instant,
    measured: u64,
    stalls: u32,
    stalled: Duration,
    hand_overs: u32,
    last_error: Option<String>,
    look: Look,
    version: u64,
}

/// One upload at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot {
    /// Octets taken from bodies.
    pub(crate) received: u64,
    /// Octets per second.
    pub(crate) rate: f64,
    /// A body is coming in.
    pub(crate) is_receiving: bool,
    pub(crate) stalls: u32,
    pub(crate) stalled: Duration,
    pub(crate) hand_overs: u32,
    pub(crate) last_error: Option<String>,
    pub(crate) look: Look,
    /// Rises with every change.
    pub(crate) version: u64,
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            received: 0,
            durable: 0,
            bodies: 0,
            last_octet: now,
            rate: 0.0,
            weight: 0.0,
            measured_at: now,
            measured: 0,
            stalls: 0,
            stalled: Duration::ZERO,
            hand_overs: 0,
            last_error: None,
            look: Look::Ahead,
            version: 0,
        }
    }

    fn measure(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.measured_at);
        if passed < RATE_STEP {
            return;
        }
        let bytes = self.received.saturating_sub(self.measured);
        let (seconds, bytes) = (passed.as_secs_f64(), f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)));
        let weight = 1.0 - (-seconds / RATE_WINDOW_S).exp();
        self.rate += (bytes / seconds - self.rate) * weight;
        self.weight += (1.0 - self.weight) * weight;
        (self.measured_at, self.measured) = (now, self.received);
    }
}

impl Live {
    /// A body begins at `offset`.
    pub(crate) fn began(&self, id: UploadId, offset: u64) {
        self.with(id, |entry, now| {
            entry.bodies += 1;
            (entry.received, entry.durable) = (offset, offset);
            (entry.measured, entry.measured_at, entry.last_octet) = (offset, now, now);
            (entry.rate, entry.weight) = (0.0, 0.0);
        });
    }

    /// Octets came; `total` is where the upload stands, durable or not.
    pub(crate) fn received(&self, id: UploadId, total: u64, metrics: &Metrics) {
        self.with(id, |entry, now| {
            let silence = now.saturating_duration_since(entry.last_octet);
            if silence >= STALL {
                entry.stalls += 1;
                entry.stalled += silence;
                metrics.stalled(silence);
            }
            metrics.received(total.saturating_sub(entry.received));
            (entry.received, entry.last_octet) = (total, now);
            entry.measure(now);
        });
    }

    /// The first `offset` octets are durable.
    pub(crate) fn durable(&self, id: UploadId, offset: u64) {
        self.with(id, |entry, _| entry.durable = offset);
    }

    /// A body is over.
    pub(crate) fn ended(&self, id: UploadId, error: Option<String>) {
        self.with(id, |entry, now| {
            entry.measure(now);
            entry.bodies = entry.bodies.saturating_sub(1);
            if error.is_some() {
                entry.last_error = error;
            }
        });
    }

    /// A request took the upload over from another one.
    pub(crate) fn handed_over(&self, id: UploadId) {
        self.with(id, |entry, _| entry.hand_overs += 1);
    }

    pub(crate) fn set_look(&self, id: UploadId, look: Look) {
        self.with(id, |entry, _| entry.look = look);
    }

    /// How far the look into the head is.
    pub(crate) fn look(&self, id: UploadId) -> Look {
        lock(&self.entries).get(&id).map(|entry| entry.look.clone()).unwrap_or_default()
    }

    /// Turns `Ahead` or a reached `At` into `Running`; false when somebody looks or has looked already.
    pub(crate) fn begin_look(&self, id: UploadId, total: u64) -> bool {
        let mut is_ours = false;
        self.with(id, |entry, _| {
            is_ours = match entry.look {
                Look::Ahead => true,
                Look::At(bytes) => total >= bytes,
                _ => false,
            };
            if is_ours {
                entry.look = Look::Running;
            }
        });
        is_ours
    }

    /// What is known of an upload; `None` if nothing happened to it in this process.
    pub(crate) fn snapshot(&self, id: UploadId) -> Option<Snapshot> {
        let now = Instant::now();
        let mut entries = lock(&self.entries);
        let entry = entries.get_mut(&id)?;
        entry.measure(now);
        let silence = now.saturating_duration_since(entry.last_octet);
        let is_receiving = entry.bodies > 0;
        let stalled = if is_receiving && silence >= STALL { entry.stalled + silence } else { entry.stalled };
        Some(Snapshot {
            received: entry.received.max(entry.durable),
            // By its weight, so that a body that has just begun is not taken for a slow one.
            rate: if is_receiving && entry.weight > 0.0 { entry.rate / entry.weight } else { 0.0 },
            is_receiving,
            stalls: entry.stalls,
            stalled,
            hand_overs: entry.hand_overs,
            last_error: entry.last_error.clone(),
            look: entry.look.clone(),
            version: entry.version,
        })
    }

    fn with(&self, id: UploadId, change: impl FnOnce(&mut Entry, Instant)) {
        let now = Instant::now();
        let mut entries = lock(&self.entries);
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(&id) {
            forget_quiet(&mut entries);
        }
        let entry = entries.entry(id).or_insert_with(|| Entry::new(now));
        change(entry, now);
        entry.version += 1;
    }
}

/// Forgets the half of the uploads that nobody sends to that has been quiet longest.
fn forget_quiet(entries: &mut HashMap<UploadId, Entry>) {
    let mut quiet: Vec<_> =
        entries.iter().filter(|(_, entry)| entry.bodies == 0).map(|(id, entry)| (entry.last_octet, *id)).collect();
    quiet.sort_unstable();
    for (_, id) in quiet.iter().take(quiet.len().div_ceil(2)) {
        entries.remove(id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: u128 = 7;

    #[tokio::test(start_paused = true)]
    async fn rate_stalls_and_errors_are_seen() {
        let (live, metrics, id) = (Live::default(), Metrics::default(), UploadId::from_u128(ID));
        assert_eq!(live.snapshot(id), None);
        live.began(id, 1000);
        for step in 1..=40u64 {
            tokio::time::advance(Duration::from_millis(500)).await;
            live.received(id, 1000 + step * 500, &metrics);
            let rate = live.snapshot(id).expect("is there").rate;
            assert!((rate - 1000.0).abs() < 1.0, "{rate} after {step} steps");
        }
        let seen = live.snapshot(id).expect("is there");
        assert_eq!((seen.received, seen.stalls, seen.is_receiving), (21_000, 0, true));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(live.snapshot(id).expect("is there").stalled, Duration::from_secs(10));
        live.received(id, 21_001, &metrics);
        live.ended(id, Some("the body broke off".into()));
        let seen = live.snapshot(id).expect("is there");
        assert_eq!((seen.stalls, seen.stalled, seen.is_receiving), (1, Duration::from_secs(10), false));
        assert_eq!((seen.rate, seen.last_error.as_deref()), (0.0, Some("the body broke off")));
        assert_eq!((metrics.received_bytes(), metrics.stalls().buckets[2]), (20_001, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded_and_what_is_busy_stays() {
        let live = Live::default();
        let busy = UploadId::from_u128(u128::MAX);
        live.began(busy, 0);
        for id in 0..=u128::try_from(ENTRIES_MAX).expect("fits") {
            live.handed_over(UploadId::from_u128(id));
        }
        assert!(lock(&live.entries).len() <= ENTRIES_MAX);
        assert!(live.snapshot(busy).is_some());
    }

    #[test]
    fn one_look_at_a_time() {
        let (live, id) = (Live::default(), UploadId::from_u128(ID));
        assert!(live.begin_look(id, 1) && !live.begin_look(id, 1));
        live.set_look(id, Look::At(10));
        assert!(!live.begin_look(id, 9) && live.begin_look(id, 10));
        live.set_look(id, Look::Fine);
        assert!(!live.begin_look(id, 100));
    }
}
