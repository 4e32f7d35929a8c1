//! Octets become durable and recorded, for many uploads at once.
//!
//! Whoever has written octets asks for a commit and waits. One task per process takes all that are due,
//! flushes their files together, and records them in one transaction; meanwhile the next ones gather.
//! So a thousand slow uploads cost a few flushes and transactions a second, not a thousand. The task
//! ends when nothing is due.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use catalog_store::{Advance, CatalogError};
use futures::future::join_all;
use media_store::StagingError;
use media_store::staging::Writer;
use tokio::sync::oneshot;

use crate::error::Causes;
use crate::session::Turn;
use crate::{State, UploadError};

/// Commits that one transaction records.
const BATCH_MAX: usize = 512;
/// Files that are flushed one by one, side by side; above that the whole file system is.
const SINGLE_SYNCS_MAX: usize = 32;
/// How long the catalogue may be away before commits fail.
const RECORD_PATIENCE: Duration = Duration::from_secs(5);
/// Time between two attempts to record.
const RECORD_PAUSE: Duration = Duration::from_millis(200);

/// When octets are flushed to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SyncPolicy {
    /// While a body arrives, every few megabytes or seconds, and at its end.
    #[default]
    Interval,
    /// At the end of each body: a crash in the middle of a body loses what it brought.
    End,
    /// Never: what is acknowledged survives a crash of the server, not one of the machine.
    None,
}

/// What one upload wants to have recorded.
#[derive(Debug)]
pub(crate) struct Commit {
    /// Its file.
    pub(crate) writer: Writer,
    /// Nobody else gets the turn while the commit is under way, whatever becomes of who asked for it.
    pub(crate) turn: Arc<Turn>,
    /// What is recorded once the file is flushed.
    pub(crate) advance: Advance,
}

/// The commits of one process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Committer {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// At most one for each upload: whoever asked waits for it.
    due: Vec<Due>,
    is_served: bool,
}

#[derive(Debug)]
struct Due {
    commit: Commit,
    done: oneshot::Sender<Result<(), UploadError>>,
}

impl Committer {
    /// Flushes and records; done when both happened.
    ///
    /// Dropping the future does not stop it.
    pub(crate) async fn commit(&self, state: &State, commit: Commit) -> Result<(), UploadError> {
        let (done, outcome) = oneshot::channel();
        let is_served = {
            let mut queue = lock(&self.queue);
            queue.due.push(Due { commit, done });
            std::mem::replace(&mut queue.is_served, true)
        };
        if !is_served {
            state.tasks.spawn(self.clone().serve(state.clone()));
        }
        outcome.await.map_err(|_| UploadError::Internal)?
    }

    /// Ends when nothing is due.
    async fn serve(self, state: State) {
        let mut service = Service { queue: &self.queue, is_over: false };
        while let Some(batch) = service.next() {
            serve_batch(&state, batch).await;
        }
    }
}

/// Takes batches; should it be dropped before the queue is empty, the next commit begins a new one.
struct Service<'a> {
    queue: &'a Mutex<Queue>,
    is_over: bool,
}

impl Service<'_> {
    fn next(&mut self) -> Option<Vec<Due>> {
        let mut queue = lock(self.queue);
        let count = queue.due.len().min(BATCH_MAX);
        if count == 0 {
            queue.is_served = false;
            self.is_over = true;
            return None;
        }
        Some(queue.due.drain(..count).collect())
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            lock(self.queue).is_served = false;
        }
    }
}

async fn serve_batch(state: &State, batch: Vec<Due>) {
    let flushed = flush(state, &batch).await;
    let mut durable = Vec::with_capacity(batch.len());
    for (due, flushed) in batch.into_iter().zip(flushed) {
        match flushed {
            Ok(()) => durable.push(due),
            // Nobody listens when the request is over; the turn is free then.
            Err(error) => drop(due.done.send(Err(error.into()))),
        }
    }
    let advances: Vec<Advance> = durable.iter().map(|due| due.commit.advance).collect();
    let recorded = record(state, &advances).await;
    let mut outcomes: Vec<Result<(), UploadError>> = match recorded {
        Ok(outcomes) => outcomes.into_iter().map(|outcome| outcome.map_err(UploadError::from)).collect(),
        Err(error) => {
            let message = Causes(&error).to_string();
            advances.iter().map(|advance| Err(unrecorded(advance, &message))).collect()
        }
    };
    for due in durable.into_iter().rev() {
        let outcome = outcomes.pop().unwrap_or(Err(UploadError::Internal));
        // The turn ends before the answer: who hears of the commit may rely on that.
        let Due { commit: Commit { turn, .. }, done } = due;
        drop(turn);
        let _ = done.send(outcome);
    }
}

/// Makes all files of a batch durable; what became of each.
async fn flush(state: &State, batch: &[Due]) -> Vec<Result<(), StagingError>> {
    if state.limits.sync == SyncPolicy::None {
        return batch.iter().map(|due| due.commit.writer.check()).collect();
    }
    let begun = Instant::now();
    // The file system does not tell whose write failed; each file does.
    let is_all_flushed = batch.len() > SINGLE_SYNCS_MAX && state.staging.sync_all().await.is_ok();
    let flushed = if is_all_flushed {
        batch.iter().map(|due| due.commit.writer.check()).collect()
    } else {
        let mut flushed = Vec::with_capacity(batch.len());
        for some in batch.chunks(SINGLE_SYNCS_MAX) {
            flushed.extend(join_all(some.iter().map(|due| due.commit.writer.sync())).await);
        }
        flushed
    };
    state.metrics.synced(begun.elapsed());
    flushed
}

/// Records a batch; waits a little for a catalogue that is away.
async fn record(state: &State, advances: &[Advance]) -> Result<Vec<Result<(), CatalogError>>, CatalogError> {
    let begun = Instant::now();
    // Ends when the catalogue answers, or the patience does.
    loop {
        match state.catalog.advance_uploads(advances, state.clock.now()).await {
            Err(error) if error.is_transient() && begun.elapsed() < RECORD_PATIENCE => {
                tracing::warn!(error = %Causes(&error), "offsets of uploads cannot be recorded, trying again");
                tokio::time::sleep(RECORD_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

fn unrecorded(advance: &Advance, message: &str) -> UploadError {
    let source = io::Error::other(message.to_owned());
    UploadError::Staging(StagingError::Io { action: "record", upload: advance.id, source })
}

fn lock(mutex: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
