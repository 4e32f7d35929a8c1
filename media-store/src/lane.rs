//! Writes of one file that follow one another without a pause.
//!
//! A disk stands still from the end of a write until somebody has woken up, looked, and begun the next one. So the next
//! one waits in a line, and whoever has done a write takes it from there.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::gathered::Gathered;

/// `None` is for a writer that somebody has taken over from.
pub(crate) type Outcome = io::Result<Option<()>>;

/// The writes of one file, one at a time, in their order. Cheap to clone. Whoever adds to it keeps it short.
#[derive(Clone, Default)]
pub(crate) struct Lane(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    /// Somebody does what waits.
    is_busy: bool,
    /// Where a write failed. What goes behind that is not written: it would leave a hole.
    broken_at: Option<u64>,
}

struct Job {
    gathered: Gathered,
    done: oneshot::Sender<Outcome>,
}

impl Lane {
    /// Has `gathered` written by `write`, behind all that was added before.
    pub(crate) fn add(
        &self,
        gathered: Gathered,
        write: impl FnMut(&Gathered) -> Outcome + Send + 'static,
    ) -> oneshot::Receiver<Outcome> {
        let (done, outcome) = oneshot::channel();
        let mut queue = self.queue();
        queue.waiting.push_back(Job { gathered, done });
        if !std::mem::replace(&mut queue.is_busy, true) {
            let turn = Turn { lane: self.clone(), is_over: false };
            // Dropped, and never run, where the runtime is about to end.
            tokio::task::spawn_blocking(move || turn.run(write));
        }
        outcome
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Lane").finish_non_exhaustive()
    }
}

/// The right to do what waits.
struct Turn {
    lane: Lane,
    is_over: bool,
}

impl Turn {
    fn run(mut self, mut write: impl FnMut(&Gathered) -> Outcome) {
        // Ends with the line.
        while let Some((job, is_behind_a_failure)) = self.next() {
            let Job { gathered, done } = job;
            let outcome = match is_behind_a_failure {
                true => Err(io::Error::other("what comes before it could not be written")),
                false => write(&gathered),
            };
            if !is_behind_a_failure {
                self.lane.queue().broken_at = outcome.is_err().then(|| gathered.offset());
            }
            // Its memory is free before anybody hears of it. Nobody need want to.
            drop(gathered);
            let _ = done.send(outcome);
        }
    }

    fn next(&mut self) -> Option<(Job, bool)> {
        let mut queue = self.lane.queue();
        let job = queue.waiting.pop_front();
        let Some(job) = job else {
            queue.is_busy = false;
            self.is_over = true;
            return None;
        };
        let is_behind_a_failure = queue.broken_at.is_some_and(|at| job.gathered.offset() > at);
        Some((job, is_behind_a_failure))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            // It did not come to its end: whoever waits is told so.
            let mut queue = self.lane.queue();
            queue.waiting.clear();
            queue.is_busy = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use bytes::Bytes;

    use super::*;
    use crate::gathered::Areas;

    fn octets(offset: u64) -> Gathered {
        let mut gathered = Gathered::new(offset, Areas::default());
        gathered.push(Bytes::from_static(b"0123456789"));
        gathered
    }

    #[tokio::test]
    async fn writes_are_done_in_their_order_by_one_at_a_time() {
        let (lane, seen) = (Lane::default(), Arc::new(Mutex::new(Vec::new())));
        let (go, may_go) = mpsc::sync_channel::<()>(3);
        let write = |seen: Arc<Mutex<Vec<u64>>>, may_go: Option<mpsc::Receiver<()>>| {
            move |gathered: &Gathered| {
                may_go.as_ref().map_or(Ok(()), mpsc::Receiver::recv).expect("is told to go on");
                seen.lock().expect("is whole").push(gathered.offset());
                Ok(Some(()))
            }
        };
        let first = lane.add(octets(0), write(seen.clone(), Some(may_go)));
        let others = [10, 20].map(|offset| lane.add(octets(offset), write(seen.clone(), None)));
        assert!(others.iter().all(oneshot::Receiver::is_empty) && seen.lock().expect("is whole").is_empty());
        (0..3).for_each(|_| go.send(()).expect("is waited for"));
        for outcome in std::iter::once(first).chain(others) {
            outcome.await.expect("is told").expect("is written").expect("is its own");
        }
        assert_eq!(*seen.lock().expect("is whole"), [0, 10, 20]);
        lane.add(octets(30), write(seen.clone(), None)).await.expect("is told").expect("is written");
        assert_eq!(seen.lock().expect("is whole").len(), 4, "the line is taken up again");
    }

    #[tokio::test]
    async fn nothing_is_written_behind_a_failure_until_its_place_is() {
        let lane = Lane::default();
        let fails = |_: &Gathered| Err(io::ErrorKind::StorageFull.into());
        let works = |_: &Gathered| Ok(Some(()));
        let failed = lane.add(octets(10), fails).await.expect("is told");
        assert_eq!(failed.expect_err("fails").kind(), io::ErrorKind::StorageFull);
        assert!(lane.add(octets(20), works).await.expect("is told").is_err());
        assert!(lane.add(octets(10), works).await.expect("is told").is_ok());
        assert!(lane.add(octets(20), works).await.expect("is told").is_ok());
    }

    #[tokio::test]
    async fn a_write_that_breaks_off_leaves_nobody_waiting() {
        let lane = Lane::default();
        let breaks = |gathered: &Gathered| panic!("as at {}", gathered.offset());
        let (first, second) = (lane.add(octets(0), breaks), lane.add(octets(10), |_| Ok(Some(()))));
        assert!(first.await.is_err() && second.await.is_err());
        assert!(lane.add(octets(0), |_| Ok(Some(()))).await.expect("is told").is_ok());
    }
}
