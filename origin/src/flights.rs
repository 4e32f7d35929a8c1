//! One piece of work per key at a time, however many requests want its result.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

/// Dead entries are swept when there are this many more than at the last sweep.
const SWEEP_STEP: usize = 64;

/// Work in flight, by key. It is driven by those who wait for it, and ends with the last of them.
#[derive(Debug)]
pub(crate) struct Flights<K, T>
where
    T: Clone,
{
    table: Mutex<Table<K, T>>,
}

#[derive(Debug)]
struct Table<K, T: Clone> {
    flights: HashMap<K, WeakShared<BoxFuture<'static, T>>>,
    sweep_at: usize,
}

impl<K: Eq + Hash, T: Clone> Flights<K, T> {
    /// Nothing in flight.
    pub(crate) fn new() -> Self {
        Self { table: Mutex::new(Table { flights: HashMap::new(), sweep_at: SWEEP_STEP }) }
    }

    /// The work under way for `key`, or new work from `start`. Nothing happens until it is awaited.
    pub(crate) fn join(&self, key: K, start: impl FnOnce() -> BoxFuture<'static, T>) -> Shared<BoxFuture<'static, T>> {
        // The table is whole after every statement, so a panic elsewhere leaves nothing half done.
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let flying = table.flights.get(&key).and_then(WeakShared::upgrade);
        if let Some(flight) = flying.filter(|flight| flight.peek().is_none()) {
            return flight;
        }
        if table.flights.len() >= table.sweep_at {
            table.flights.retain(|_, flight| flight.upgrade().is_some());
            table.sweep_at = table.flights.len() + SWEEP_STEP;
        }
        let flight = start().shared();
        if let Some(weak) = flight.downgrade() {
            table.flights.insert(key, weak);
        }
        flight
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn waiters_share_one_flight_and_later_ones_start_another() {
        let flights = Flights::<u32, usize>::new();
        let starts = Arc::new(AtomicUsize::new(0));
        let join = |key| {
            let starts = starts.clone();
            flights.join(key, || {
                let flight = async move {
                    tokio::task::yield_now().await;
                    starts.fetch_add(1, Ordering::Relaxed)
                };
                flight.boxed()
            })
        };
        let results = futures::future::join_all([join(1), join(1), join(1)]).await;
        assert_eq!(results, [0, 0, 0]);
        assert_eq!(join(1).await, 1);
        assert_eq!(join(2).await, 2);
    }

    #[tokio::test]
    async fn a_waiter_that_leaves_does_not_take_the_flight_with_it() {
        let flights = Flights::<u32, u32>::new();
        let (send, receive) = tokio::sync::oneshot::channel();
        let mut first = flights.join(1, || receive.map(|received| received.unwrap_or(0)).boxed());
        let second = flights.join(1, || std::future::ready(0).boxed());
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        send.send(7).unwrap();
        assert_eq!(second.await, 7);
    }

    #[tokio::test]
    async fn abandoned_flights_do_not_pile_up() {
        let flights = Flights::<usize, ()>::new();
        for key in 0..10 * SWEEP_STEP {
            drop(flights.join(key, || std::future::pending().boxed()));
        }
        assert!(flights.table.lock().unwrap().flights.len() <= SWEEP_STEP);
    }
}
