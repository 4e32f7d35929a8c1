//! Waiting for what is planned: many requests, one wait per object, ended by its arrival or by a bound.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Time between two looks for an object that another process may put.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Objects that are waited for, by key.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<HashMap<String, Arc<Notify>>>);

/// A place among those who wait for one object.
pub(crate) struct Wait<'a> {
    arrivals: &'a Arrivals,
    key: &'a str,
    arrived: Arc<Notify>,
}

impl Arrivals {
    /// Begins to wait. There is one wait per key: who shares it is settled before.
    pub(crate) fn wait_for<'a>(&'a self, key: &'a str) -> Wait<'a> {
        let arrived = Arc::default();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.insert(key.to_owned(), Arc::clone(&arrived));
        Wait { arrivals: self, key, arrived }
    }

    /// An object was put by this very process.
    pub(crate) fn put(&self, key: &str) {
        if let Some(arrived) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            // Kept for a wait that is just looking.
            arrived.notify_one();
        }
    }
}

impl Wait<'_> {
    /// Ends when the object was put here, or when it is time to look whether somebody else did.
    pub(crate) async fn for_a_while(&self) {
        let _ = timeout(POLL_INTERVAL, self.arrived.notified()).await;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut table = self.arrivals.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.get(self.key).is_some_and(|arrived| Arc::ptr_eq(arrived, &self.arrived)) {
            table.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_arrival_ends_the_wait_at_once_and_silence_after_a_while() {
        let arrivals = Arrivals::default();
        let wait = arrivals.wait_for("a");
        let begun = Instant::now();
        arrivals.put("b");
        wait.for_a_while().await;
        assert_eq!(begun.elapsed(), POLL_INTERVAL);
        arrivals.put("a");
        wait.for_a_while().await;
        assert_eq!(begun.elapsed(), POLL_INTERVAL);
        drop(wait);
        assert!(arrivals.0.lock().unwrap().is_empty());
    }
}
