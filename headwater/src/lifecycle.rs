//! Stopping in order: soft, deadline, hard.
//!
//! A soft stop lets requests and jobs in flight finish and takes nothing new. When the deadline
//! has passed, or a second signal arrives, the hard stop cuts off what is left. Nothing durable
//! depends on either: kill -9 is as good a stop as any.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of a process and the two tokens that stop them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tracker: TaskTracker,
}

/// How a process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Everything finished by itself.
    Clean,
    /// The deadline passed, or a second signal came.
    CutOff,
}

impl Lifecycle {
    /// A process that runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when nothing new may begin.
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when what is left must end at once.
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// The tracker of all tasks, for tasks that may end at any time (one per connection).
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Runs a task that the process cannot do without: if it ends before the soft stop, that is
    /// an error and the process stops.
    pub fn spawn_essential(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let lifecycle = self.clone();
        let guard = StopOnEnd { name, soft: self.soft.clone() };
        self.tracker.spawn(async move {
            let _guard = guard;
            // A hard stop drops the task wherever it waits; all it does is repeatable.
            lifecycle.hard.run_until_cancelled(task).await;
        });
    }

    /// Waits for a signal (or for a soft stop from inside), then stops everything within `deadline`.
    ///
    /// # Errors
    /// If the signals cannot be listened to.
    pub async fn run(&self, deadline: Duration) -> std::io::Result<Stop> {
        let mut signals = Signals::listen()?;
        tokio::select! {
            () = signals.next() => tracing::info!("stopping: a signal asks for it"),
            () = self.soft.cancelled() => tracing::info!("stopping: a part of the server ended"),
        }
        self.soft.cancel();
        self.tracker.close();
        let stop = tokio::select! {
            () = self.tracker.wait() => Stop::Clean,
            () = tokio::time::sleep(deadline) => Stop::CutOff,
            () = signals.next() => Stop::CutOff,
        };
        self.hard.cancel();
        if stop == Stop::CutOff {
            tracing::warn!(tasks = self.tracker.len(), "cutting off what is still running");
            // What ignores the hard stop ends with the process.
            let _ = tokio::time::timeout(HARD_STOP_MAX, self.tracker.wait()).await;
        }
        Ok(stop)
    }
}

/// How long tasks get to notice a hard stop.
const HARD_STOP_MAX: Duration = Duration::from_secs(2);

/// Also runs when the task panics: then, too, the server must not live on without it.
struct StopOnEnd {
    name: &'static str,
    soft: CancellationToken,
}

impl Drop for StopOnEnd {
    fn drop(&mut self) {
        if !self.soft.is_cancelled() {
            tracing::error!(task = self.name, "a part of the server ended by itself");
            self.soft.cancel();
        }
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_what_finishes_in_time() {
        let lifecycle = Lifecycle::new();
        let soft = lifecycle.soft().clone();
        lifecycle.spawn_essential("worker", async move { soft.cancelled().await });
        lifecycle.soft().cancel();
        assert_eq!(lifecycle.run(Duration::from_secs(60)).await.unwrap(), Stop::Clean);
    }

    #[tokio::test]
    async fn what_outlasts_the_deadline_is_cut_off() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn_essential("stubborn", std::future::pending());
        lifecycle.soft().cancel();
        assert_eq!(lifecycle.run(Duration::ZERO).await.unwrap(), Stop::CutOff);
        assert!(lifecycle.tracker().is_empty());
    }

    #[tokio::test]
    async fn the_end_of_an_essential_part_stops_the_rest() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn_essential("brief", async {});
        assert_eq!(lifecycle.run(Duration::from_secs(60)).await.unwrap(), Stop::Clean);
    }
}
