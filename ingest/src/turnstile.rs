//! Creations of uploads, one after the other where they could take the same place.
//!
//! Between the look at what is taken and the row that takes more lies a moment in which somebody else
//! may look. Creations of one owner therefore wait for each other. Those of different owners share the
//! disk only: they are made side by side, each counts what the others are about to take, and whoever
//! finds no room that way looks once more alone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Where creations wait. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turnstile {
    /// One for each owner who creates something at present.
    owners: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
    disk: Arc<RwLock<()>>,
    /// Octets promised to uploads that are not in the catalogue yet.
    promised: Arc<AtomicU64>,
}

/// Nobody else creates an upload of the same owner until it is dropped.
#[derive(Debug)]
pub(crate) struct Passage {
    _guard: OwnedMutexGuard<()>,
}

/// Octets of the disk that others have to leave alone until it is dropped.
#[derive(Debug)]
pub(crate) struct Promise {
    /// All octets that were promised when this promise was given, with its own.
    pub(crate) pending: u64,
    bytes: u64,
    promised: Arc<AtomicU64>,
    _guard: Guard,
}

#[derive(Debug)]
enum Guard {
    Beside { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Turnstile {
    /// Waits for the creations of `owner` that came before.
    pub(crate) async fn enter(&self, owner: &str) -> Passage {
        let lock = {
            let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for are of no more use.
            owners.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(owners.entry(owner.to_owned()).or_default())
        };
        Passage { _guard: lock.lock_owned().await }
    }

    /// Promises `bytes` beside others.
    pub(crate) async fn promise(&self, bytes: u64) -> Promise {
        let guard = Guard::Beside { _guard: Arc::clone(&self.disk).read_owned().await };
        self.promised_under(guard, bytes)
    }

    /// The same when all others are in the catalogue, or gone.
    pub(crate) async fn promise_alone(&self, bytes: u64) -> Promise {
        let guard = Guard::Alone { _guard: Arc::clone(&self.disk).write_owned().await };
        self.promised_under(guard, bytes)
    }

    /// All octets that are promised.
    pub(crate) fn pending(&self) -> u64 {
        self.promised.load(Ordering::SeqCst)
    }

    fn promised_under(&self, guard: Guard, bytes: u64) -> Promise {
        let pending = self.promised.fetch_add(bytes, Ordering::SeqCst).saturating_add(bytes);
        Promise { pending, bytes, promised: Arc::clone(&self.promised), _guard: guard }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        // Before the guard goes: whoever is alone then counts nobody else.
        self.promised.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn an_owner_creates_one_upload_after_the_other_and_is_forgotten() {
        let turnstile = Turnstile::default();
        let first = turnstile.enter("ada").await;
        let mut second = Box::pin(turnstile.enter("ada"));
        assert!(second.as_mut().now_or_never().is_none());
        let other = turnstile.enter("bob").now_or_never().expect("is somebody else");
        drop(first);
        drop(second.await);
        drop(other);
        drop(turnstile.enter("eve").await);
        assert_eq!(turnstile.owners.lock().expect("is whole").len(), 1, "only the last one");
    }

    #[tokio::test]
    async fn promises_are_counted_and_whoever_is_alone_counts_itself_only() {
        let turnstile = Turnstile::default();
        let (first, second) = (turnstile.promise(10).await, turnstile.promise(5).await);
        assert_eq!((first.pending, second.pending, turnstile.pending()), (10, 15, 15));
        let mut alone = Box::pin(turnstile.promise_alone(1));
        assert!(alone.as_mut().now_or_never().is_none());
        drop(first);
        drop(second);
        assert_eq!(alone.await.pending, 1);
        assert_eq!(turnstile.pending(), 0);
    }
}
