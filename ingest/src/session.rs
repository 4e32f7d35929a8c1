//! Who may append to an upload: one request at a time, and the newest wins.
//!
//! A connection that died without a word looks like one that is slow. So a request that can carry on
//! where the present one stands takes over: the present one is told to stop, admits nothing more,
//! flushes what it has and lets go. A request for any other offset is refused and disturbs nobody.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::UploadId;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

/// What this process keeps in memory of its uploads: whose turn it is, and how many are open. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    slots: Arc<Mutex<HashMap<UploadId, Arc<Slot>>>>,
    open: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Slot {
    turn: Arc<tokio::sync::Mutex<()>>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Requests that came so far.
    arrivals: u64,
    holder: Option<Holder>,
}

#[derive(Debug)]
struct Holder {
    /// Where the holder stands: octets admitted, durable or not. `None` when it does not append.
    position: Option<u64>,
    is_superseded: bool,
    stop: CancellationToken,
}

/// Why a request does not get its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The upload is being appended to at another offset.
    Elsewhere,
    /// The holder does not let go in time.
    Busy,
}

/// The right to append to one upload, until dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    sessions: Sessions,
    upload: UploadId,
    slot: Arc<Slot>,
    arrival: u64,
    stop: CancellationToken,
    /// Released last of all.
    _guard: OwnedMutexGuard<()>,
}

impl Sessions {
    /// Waits for the turn to append to `upload` at `offset`, at most for `patience`.
    pub(crate) async fn append_at(&self, upload: UploadId, offset: u64, patience: Duration) -> Result<Turn, Refused> {
        self.enter(upload, Some(offset), patience).await
    }

    /// Stops whoever appends to `upload` and waits until it is quiet, at most for `patience`.
    pub(crate) async fn quiesce(&self, upload: UploadId, patience: Duration) -> Result<Turn, Refused> {
        self.enter(upload, None, patience).await
    }

    /// How many uploads are open, as far as known: deletions through the catalogue go unnoticed.
    pub(crate) fn open_count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Corrects the number of open uploads.
    pub(crate) fn set_open_count(&self, count: usize) {
        self.open.store(count, Ordering::Relaxed);
    }

    /// One upload was created.
    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// One upload was completed or terminated.
    pub(crate) fn closed(&self) {
        let _ = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
    }

    async fn enter(&self, upload: UploadId, at: Option<u64>, patience: Duration) -> Result<Turn, Refused> {
        let slot = lock(&self.slots).entry(upload).or_default().clone();
        let arrival = {
            let mut queue = lock(&slot.queue);
            if let Some(holder) = &mut queue.holder {
                let is_elsewhere = at.is_some() && holder.position.is_some() && holder.position != at;
                if is_elsewhere {
                    return Err(Refused::Elsewhere);
                }
                holder.is_superseded = true;
                holder.stop.cancel();
            }
            queue.arrivals += 1;
            queue.arrivals
        };
        // Dropping the wait gives up the place in the queue and nothing else.
        let guard = tokio::time::timeout(patience, slot.turn.clone().lock_owned()).await;
        let guard = match guard {
            Ok(guard) => guard,
            Err(_) => {
                self.forget(upload, slot);
                return Err(Refused::Busy);
            }
        };
        let stop = CancellationToken::new();
        let holder = Holder { position: at, is_superseded: false, stop: stop.clone() };
        lock(&slot.queue).holder = Some(holder);
        Ok(Turn { sessions: self.clone(), upload, slot, arrival, stop, _guard: guard })
    }

    /// Removes the slot of an upload that nobody holds or waits for.
    fn forget(&self, upload: UploadId, slot: Arc<Slot>) {
        let mut slots = lock(&self.slots);
        drop(slot);
        if slots.get(&upload).is_some_and(|slot| Arc::strong_count(slot) == 1) {
            slots.remove(&upload);
        }
    }
}

impl Turn {
    /// Admits `bytes` more octets; false when a newer request took over, which may rely on the
    /// position it saw.
    pub(crate) fn admit(&self, bytes: u64) -> bool {
        let mut queue = lock(&self.slot.queue);
        let Some(holder) = queue.holder.as_mut().filter(|holder| !holder.is_superseded) else { return false };
        holder.position = holder.position.map(|position| position + bytes);
        true
    }

    /// Whether a newer request waits already.
    pub(crate) fn is_outdated(&self) -> bool {
        lock(&self.slot.queue).arrivals > self.arrival
    }

    /// Done when a newer request takes over.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + '_ {
        self.stop.cancelled()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.slot.queue).holder = None;
        self.sessions.forget(self.upload, std::mem::take(&mut self.slot));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);
    const NO_PATIENCE: Duration = Duration::ZERO;

    fn upload() -> UploadId {
        UploadId::from_u128(1)
    }

    #[tokio::test]
    async fn the_newest_request_at_the_position_takes_over_and_the_older_admits_nothing_more() {
        let sessions = Sessions::default();
        let older = sessions.append_at(upload(), 0, PATIENCE).await.expect("a turn");
        assert!(older.admit(10));
        let newer = sessions.append_at(upload(), 10, PATIENCE);
        let let_go = async {
            older.stopped().await;
            assert!(!older.admit(1));
            drop(older);
        };
        let (newer, ()) = tokio::join!(newer, let_go);
        assert!(newer.expect("a turn").admit(1));
    }

    #[tokio::test]
    async fn a_request_for_another_offset_disturbs_nobody() {
        let sessions = Sessions::default();
        let older = sessions.append_at(upload(), 0, PATIENCE).await.expect("a turn");
        assert!(older.admit(10));
        assert_eq!(sessions.append_at(upload(), 0, PATIENCE).await.err(), Some(Refused::Elsewhere));
        assert!(older.admit(10) && !older.is_outdated());
    }

    #[tokio::test]
    async fn quiescing_stops_whoever_appends() {
        let sessions = Sessions::default();
        let older = sessions.append_at(upload(), 0, PATIENCE).await.expect("a turn");
        assert!(matches!(sessions.quiesce(upload(), NO_PATIENCE).await, Err(Refused::Busy)));
        assert!(!older.admit(1));
        drop(older);
        sessions.quiesce(upload(), NO_PATIENCE).await.expect("a turn");
    }

    #[tokio::test]
    async fn nothing_is_left_of_uploads_that_nobody_appends_to() {
        let sessions = Sessions::default();
        let turn = sessions.append_at(upload(), 0, PATIENCE).await.expect("a turn");
        assert!(sessions.quiesce(upload(), NO_PATIENCE).await.is_err());
        drop(turn);
        assert!(lock(&sessions.slots).is_empty());
    }
}
