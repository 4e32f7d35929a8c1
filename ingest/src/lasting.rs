//! Work that goes on when nobody waits for it any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A future that goes on in a task of its own when it is dropped before its end.
///
/// Until then it runs where it is waited for. A body that is read there passes from its connection to the
/// disk without changing the thread; in a task of its own, each piece of it would wake another one.
pub(crate) struct Lasting<T: Send + 'static> {
    work: Option<Work<T>>,
    tasks: TaskTracker,
    /// Whoever waits for the tracker's tasks waits for this work all along.
    _token: TaskTrackerToken,
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<T: Send + 'static> Lasting<T> {
    /// Work that becomes a task of `tasks` when nobody waits for it any more.
    pub(crate) fn new(tasks: TaskTracker, work: impl Future<Output = T> + Send + 'static) -> Self {
        let token = tasks.token();
        Self { work: Some(Box::pin(work)), tasks, _token: token }
    }
}

impl<T: Send + 'static> Future for Lasting<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let outcome = std::task::ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(outcome)
    }
}

impl<T: Send + 'static> Drop for Lasting<T> {
    fn drop(&mut self) {
        // Work that panicked cannot go on; without a runtime nothing can.
        if let (Some(work), Ok(runtime), false) = (self.work.take(), Handle::try_current(), std::thread::panicking()) {
            self.tasks.spawn_on(work, &runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_waits_gets_the_outcome() {
        assert_eq!(Lasting::new(TaskTracker::new(), async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn dropped_work_goes_on_to_its_end_and_is_waited_for() {
        let (tasks, (go, gone), (done, outcome)) = (TaskTracker::new(), oneshot::channel(), oneshot::channel());
        let work = async move {
            let heard: Result<i32, _> = gone.await;
            let _ = done.send(heard);
        };
        let mut lasting = Box::pin(Lasting::new(tasks.clone(), work));
        assert!(futures::poll!(&mut lasting).is_pending());
        drop(lasting);
        tasks.close();
        assert!(tokio::time::timeout(Duration::from_millis(20), tasks.wait()).await.is_err());
        go.send(7).expect("is waited for");
        assert_eq!(outcome.await.expect("ends"), Ok(7));
        tasks.wait().await;
    }
}
