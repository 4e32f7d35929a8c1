//! Writes of one file that follow one another without a pause.
//!
//! A disk stands still from the end of a write until somebody has woken up, looked, and begun the next one. So the next
//! one waits in a line, and whoever has done a write has it begun before anything else. Another thread does that one:
//! who is told of the first write runs at once, on this thread's processor, and would keep this thread from it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

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
    /// Where it writes.
    offset: u64,
    write: Box<dyn FnOnce() -> Outcome + Send>,
    done: oneshot::Sender<Outcome>,
}

impl Lane {
    /// Has done what writes at `offset`, behind all that was added before.
    pub(crate) fn add(
        &self,
        offset: u64,
        write: impl FnOnce() -> Outcome + Send + 'static,
    ) -> oneshot::Receiver<Outcome> {
        let (done, outcome) = oneshot::channel();
        let mut queue = self.queue();
        queue.waiting.push_back(Job { offset, write: Box::new(write), done });
        let is_busy = std::mem::replace(&mut queue.is_busy, true);
        drop(queue);
        if !is_busy {
            self.begin_next();
        }
        outcome
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a thread do what waits longest. For whom the line is busy, and nobody else.
    fn begin_next(&self) {
        let mut queue = self.queue();
        let Some(job) = queue.waiting.pop_front() else {
            queue.is_busy = false;
            return;
        };
        let is_behind_a_failure = queue.broken_at.is_some_and(|at| job.offset > at);
        drop(queue);
        Turn { lane: self.clone(), is_behind_a_failure, is_over: false }.begin(job);
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Lane").finish_non_exhaustive()
    }
}

/// The right to write, and the duty to pass it on.
struct Turn {
    lane: Lane,
    is_behind_a_failure: bool,
    is_over: bool,
}

impl Turn {
    /// Nobody holds the line: where the runtime is about to end this is dropped, and never run.
    fn begin(self, job: Job) {
        tokio::task::spawn_blocking(move || self.run(job));
    }

    fn run(mut self, Job { offset, write, done }: Job) {
        // What it writes is dropped, and its memory free, before anybody hears of it.
        let outcome = if self.is_behind_a_failure {
            drop(write);
            Err(io::Error::other("what comes before it could not be written"))
        } else {
            let outcome = write();
            self.lane.queue().broken_at = outcome.is_err().then_some(offset);
            outcome
        };
        self.is_over = true;
        self.lane.begin_next();
        // Nobody need want to.
        let _ = done.send(outcome);
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

    use super::*;

    #[tokio::test]
    async fn writes_are_done_in_their_order_by_one_at_a_time() {
        let (lane, seen) = (Lane::default(), Arc::new(Mutex::new(Vec::new())));
        let (go, may_go) = mpsc::sync_channel::<()>(1);
        let write = |offset: u64| {
            let seen = seen.clone();
            move || {
                seen.lock().expect("is whole").push(offset);
                Ok(Some(()))
            }
        };
        let first = lane.add(0, move || may_go.recv().map(Some).map_err(io::Error::other));
        let others = [10, 20].map(|offset| lane.add(offset, write(offset)));
        assert!(others.iter().all(oneshot::Receiver::is_empty) && seen.lock().expect("is whole").is_empty());
        go.send(()).expect("is waited for");
        for outcome in std::iter::once(first).chain(others) {
            outcome.await.expect("is told").expect("is written").expect("is its own");
        }
        assert_eq!(*seen.lock().expect("is whole"), [10, 20]);
        lane.add(30, write(30)).await.expect("is told").expect("is written");
        assert_eq!(*seen.lock().expect("is whole"), [10, 20, 30], "the line is taken up again");
    }

    #[tokio::test]
    async fn nothing_is_written_behind_a_failure_until_its_place_is() {
        let lane = Lane::default();
        let works = || Ok(Some(()));
        let failed = lane.add(10, || Err(io::ErrorKind::StorageFull.into())).await.expect("is told");
        assert_eq!(failed.expect_err("fails").kind(), io::ErrorKind::StorageFull);
        assert!(lane.add(20, || panic!("it is not written")).await.expect("is told").is_err());
        assert!(lane.add(10, works).await.expect("is told").is_ok());
        assert!(lane.add(20, works).await.expect("is told").is_ok());
    }

    #[tokio::test]
    async fn a_write_that_breaks_off_leaves_nobody_waiting() {
        let lane = Lane::default();
        let (go, may_go) = mpsc::sync_channel::<()>(1);
        let first = lane.add(0, move || panic!("when it is told: {:?}", may_go.recv()));
        let second = lane.add(10, || Ok(Some(())));
        go.send(()).expect("is waited for");
        assert!(first.await.is_err() && second.await.is_err());
        // Whoever broke off may still be on its way out.
        let mut outcome = lane.add(0, || Ok(Some(()))).await;
        for _ in 0..100 {
            if outcome.is_ok() {
                break;
            }
            outcome = lane.add(0, || Ok(Some(()))).await;
        }
        assert!(outcome.expect("is told").is_ok());
    }

    #[test]
    fn a_runtime_that_has_ended_leaves_nobody_waiting() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (lane, handle) = (Lane::default(), runtime.handle().clone());
        runtime.shutdown_background();
        let _entered = handle.enter();
        for offset in [0, 10] {
            assert!(lane.add(offset, || panic!("it is not written")).blocking_recv().is_err());
        }
    }
}
