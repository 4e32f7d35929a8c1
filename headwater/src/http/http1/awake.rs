//! How many connections have memory for requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts connections that are not resting. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub(in crate::http) struct Awake {
    count: Arc<AtomicUsize>,
    max: usize,
}

/// One of them, until this is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl Awake {
    /// None yet; beyond `max` they are many.
    pub(in crate::http) fn new(max: usize) -> Self {
        Self { count: Arc::default(), max }
    }

    /// Counts a connection for as long as it does this.
    pub(super) async fn during<T>(&self, what: impl Future<Output = T>) -> T {
        self.count.fetch_add(1, Ordering::Relaxed);
        let _counted = Counted(&self.count);
        what.await
    }

    /// Whether they are many: then each of them rests as soon as it can.
    pub(super) fn are_many(&self) -> bool {
        self.count.load(Ordering::Relaxed) > self.max
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn those_are_counted_that_are_busy() {
        let awake = Awake::new(1);
        let mut first = Box::pin(awake.during(pending::<()>()));
        let mut second = Box::pin(awake.during(pending::<()>()));
        assert!(!awake.are_many());
        assert!(futures::poll!(&mut first).is_pending() && !awake.are_many());
        assert!(futures::poll!(&mut second).is_pending() && awake.are_many());
        drop(first);
        assert!(!awake.are_many());
        awake.during(ready(())).await;
        assert!(!awake.are_many());
    }
}
