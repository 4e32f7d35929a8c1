//! Who may append to an upload: one request at a time, and the newest wins.
//!
//! A connection that died without a word looks like one that is slow. So a request that can carry on
//! where the present one stands takes over: the present one is told to stop, admits nothing more,
//! flushes what it has and lets go. A request for any other offset is refused and disturbs nobody.
//! One that only asks where the upload stands lets the present one first take in what lies in its
//! socket already, so that nothing is sent twice. An upload that is being completed is left in peace.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::UploadId;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::State;
use crate::committer::Committer;
use crate::transfer::Transfers;

/// Files that are read or copied from end to end at a time.
const HEAVY_WORK_MAX: usize = 4;
/// How many times longer a request waits for a completion than for another request.
pub(crate) const COMPLETION_PATIENCE_FACTOR: u32 = 4;

/// What this process keeps in memory of its uploads: whose turn it is, how many are open, and what is
/// on its way to the disk and to the store. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    slots: Arc<Mutex<HashMap<UploadId, Arc<Slot>>>>,
    open: Arc<AtomicUsize>,
    pub(crate) committer: Committer,
    pub(crate) transfers: Transfers,
    heavy: Heavy,
}

/// Permits for work that reads or copies whole files: a disk serves few such readers well.
#[derive(Clone, Debug)]
struct Heavy(Arc<Semaphore>);

impl Default for Heavy {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HEAVY_WORK_MAX)))
    }
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
    is_completing: bool,
    /// Somebody waits; what is on its way may still be taken in.
    stop: CancellationToken,
    /// Somebody waits who relies on the position, or does not care.
    superseded: CancellationToken,
}

/// What a request wants of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    AppendAt(u64),
    Quiet,
    Position,
}

/// Why a request does not get its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The upload is being appended to at another offset.
    Elsewhere,
    /// The holder does not let go in time.
    Busy,
    /// All octets are there and the upload is being completed: its row tells all there is to know.
    Completing,
}

/// The right to append to one upload, until dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    sessions: Sessions,
    upload: UploadId,
    slot: Arc<Slot>,
    arrival: u64,
    stop: CancellationToken,
    superseded: CancellationToken,
    /// How long it took a request that appended to let go; `None` when none did.
    hand_over: Option<Duration>,
    /// Released last of all.
    _guard: OwnedMutexGuard<()>,
}

/// Waits for the turn to append to `upload` at `offset`; longer while the upload is being completed.
pub(crate) async fn append_at(state: &State, upload: UploadId, offset: u64) -> Result<Turn, Refused> {
    state.sessions.append_at(upload, offset, state.limits.handover_max).await.inspect(|turn| note(state, turn))
}

/// Stops whoever works on `upload` and waits until it is quiet.
pub(crate) async fn quiesce(state: &State, upload: UploadId) -> Result<Turn, Refused> {
    state.sessions.quiesce(upload, state.limits.handover_max).await.inspect(|turn| note(state, turn))
}

/// Stops whoever appends to `upload` as soon as it has taken in what lies ready, and waits for that.
pub(crate) async fn drain(state: &State, upload: UploadId) -> Result<Turn, Refused> {
    state.sessions.drain(upload, state.limits.handover_max).await.inspect(|turn| note(state, turn))
}

/// Counts a take-over, whatever request it was for and whatever becomes of that.
fn note(state: &State, turn: &Turn) {
    if let Some(waited) = turn.hand_over {
        state.metrics.hand_over(waited);
        state.live.handed_over(turn.upload);
    }
}

impl Sessions {
    async fn append_at(&self, upload: UploadId, offset: u64, patience: Duration) -> Result<Turn, Refused> {
        self.enter(upload, Wish::AppendAt(offset), patience).await
    }

    async fn quiesce(&self, upload: UploadId, patience: Duration) -> Result<Turn, Refused> {
        self.enter(upload, Wish::Quiet, patience).await
    }

    async fn drain(&self, upload: UploadId, patience: Duration) -> Result<Turn, Refused> {
        self.enter(upload, Wish::Position, patience).await
    }

    /// The turn, if nobody has it or waits for it.
    pub(crate) fn idle(&self, upload: UploadId) -> Option<Turn> {
        let slot = lock(&self.slots).entry(upload).or_default().clone();
        match slot.turn.clone().try_lock_owned() {
            Ok(guard) => {
                let arrival = {
                    let mut queue = lock(&slot.queue);
                    queue.arrivals += 1;
                    queue.arrivals
                };
                Some(self.turn(upload, slot, arrival, None, guard, None))
            }
            Err(_) => {
                self.forget(upload, slot);
                None
            }
        }
    }

    /// Waits for a permit to read or copy a whole file; to be held meanwhile.
    pub(crate) async fn heavy(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.heavy.0.clone().acquire_owned().await.ok()
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

    async fn enter(&self, upload: UploadId, wish: Wish, patience: Duration) -> Result<Turn, Refused> {
        let slot = lock(&self.slots).entry(upload).or_default().clone();
        let (asked, mut patience) = (Instant::now(), patience);
        let (arrival, takes_over) = {
            let mut queue = lock(&slot.queue);
            // Only from a request that appends: two that ask wait for each other, too.
            let takes_over = queue.holder.as_ref().is_some_and(|holder| holder.position.is_some());
            if let Some(holder) = &mut queue.holder {
                match wish {
                    Wish::Position if holder.is_completing => return Err(Refused::Completing),
                    // The completion ends by itself, and then there is nothing left to append.
                    Wish::AppendAt(_) if holder.is_completing => patience *= COMPLETION_PATIENCE_FACTOR,
                    Wish::AppendAt(at) if holder.position.is_some_and(|position| position != at) => {
                        return Err(Refused::Elsewhere);
                    }
                    Wish::Position => holder.stop.cancel(),
                    Wish::AppendAt(_) | Wish::Quiet => {
                        holder.superseded.cancel();
                        holder.stop.cancel();
                    }
                }
            }
            queue.arrivals += 1;
            (queue.arrivals, takes_over)
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
        let position = if let Wish::AppendAt(offset) = wish { Some(offset) } else { None };
        let hand_over = takes_over.then(|| asked.elapsed());
        Ok(self.turn(upload, slot, arrival, position, guard, hand_over))
    }

    fn turn(
        &self,
        upload: UploadId,
        slot: Arc<Slot>,
        arrival: u64,
        position: Option<u64>,
        guard: OwnedMutexGuard<()>,
        hand_over: Option<Duration>,
    ) -> Turn {
        let (stop, superseded) = (CancellationToken::new(), CancellationToken::new());
        let holder = Holder { position, is_completing: false, stop: stop.clone(), superseded: superseded.clone() };
        lock(&slot.queue).holder = Some(holder);
        Turn { sessions: self.clone(), upload, slot, arrival, stop, superseded, hand_over, _guard: guard }
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
        let Some(holder) = queue.holder.as_mut().filter(|holder| !holder.superseded.is_cancelled()) else {
            return false;
        };
        holder.position = holder.position.map(|position| position + bytes);
        true
    }

    /// From here on the upload is being completed: only a termination stops that.
    pub(crate) fn completing(&self) {
        if let Some(holder) = &mut lock(&self.slot.queue).holder {
            holder.is_completing = true;
        }
    }

    /// Whether a newer request waits already.
    pub(crate) fn is_outdated(&self) -> bool {
        lock(&self.slot.queue).arrivals > self.arrival
    }

    /// Whether the holder may still change the upload: false when a newer request takes over.
    pub(crate) fn is_superseded(&self) -> bool {
        self.superseded.is_cancelled()
    }

    /// Done when a newer request takes over.
    pub(crate) fn superseded(&self) -> impl Future<Output = ()> + '_ {
        self.superseded.cancelled()
    }

    /// Done when a newer request takes over, or asks for the position.
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
        assert!(older.admit(10) && older.hand_over.is_none());
        let newer = sessions.append_at(upload(), 10, PATIENCE);
        let let_go = async {
            older.stopped().await;
            assert!(!older.admit(1) && older.is_superseded());
            drop(older);
        };
        let (newer, ()) = tokio::join!(newer, let_go);
        let newer = newer.expect("a turn");
        assert!(newer.admit(1) && newer.hand_over.is_some());
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
    async fn whoever_is_drained_is_told_to_stop_and_may_still_admit() {
        let sessions = Sessions::default();
        let older = sessions.append_at(upload(), 0, PATIENCE).await.expect("a turn");
        let asking = sessions.drain(upload(), PATIENCE);
        let draining = async {
            older.stopped().await;
            assert!(older.admit(10) && !older.is_superseded());
            drop(older);
        };
        let (asking, ()) = tokio::join!(asking, draining);
        asking.expect("a turn");
    }

    #[tokio::test]
    async fn a_completion_is_left_in_peace_by_all_but_a_termination() {
        let sessions = Sessions::default();
        let completing = sessions.append_at(upload(), 5, PATIENCE).await.expect("a turn");
        completing.completing();
        assert!(matches!(sessions.drain(upload(), PATIENCE).await, Err(Refused::Completing)));
        assert!(matches!(sessions.append_at(upload(), 4, NO_PATIENCE).await, Err(Refused::Busy)));
        assert!(sessions.idle(upload()).is_none() && !completing.is_superseded());
        assert!(matches!(sessions.quiesce(upload(), NO_PATIENCE).await, Err(Refused::Busy)));
        assert!(completing.is_superseded());
    }

    #[tokio::test]
    async fn nothing_is_left_of_uploads_that_nobody_appends_to() {
        let sessions = Sessions::default();
        let turn = sessions.append_at(upload(), 0, PATIENCE).await.expect("a turn");
        assert!(sessions.quiesce(upload(), NO_PATIENCE).await.is_err() && sessions.idle(upload()).is_none());
        drop(turn);
        assert!(lock(&sessions.slots).is_empty());
        drop(sessions.idle(upload()).expect("a turn"));
        assert!(lock(&sessions.slots).is_empty());
    }
}
