//! What this process has just changed, told to whoever keeps something in memory.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use domain::PlaybackId;

use crate::Key;

/// One change, after it was made or tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// An object was put.
    Put(&'a Key),
    /// A playback id points to something else, or to nothing.
    Pointer(PlaybackId),
}

/// Who is told.
pub type Listener = dyn Fn(&Change<'_>) + Send + Sync;

/// Those who are told; forgotten once they are dropped.
#[derive(Default)]
pub(crate) struct Changes(Mutex<Vec<Weak<Listener>>>);

impl Changes {
    pub(crate) fn listen(&self, listener: &Arc<Listener>) {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|known| known.strong_count() > 0);
        listeners.push(Arc::downgrade(listener));
    }

    pub(crate) fn tell(&self, change: &Change<'_>) {
        // Called without the lock: a listener may take its time with locks of its own.
        let listeners: Vec<_> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
        listeners.iter().for_each(|listener| listener(change));
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changes")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn listeners_hear_of_changes_until_they_are_dropped() {
        let (changes, heard) = (Changes::default(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&heard);
        let listener: Arc<Listener> = Arc::new(move |_: &Change<'_>| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        changes.listen(&listener);
        changes.tell(&Change::Pointer(PlaybackId::from_u128(1)));
        drop(listener);
        changes.tell(&Change::Pointer(PlaybackId::from_u128(1)));
        assert_eq!(heard.load(Ordering::Relaxed), 1);
    }
}
