//! How long a connection may say nothing, and how long the head of a request may take.
//!
//! hyper has one time for both, and sets it up anew for each request. A CDN keeps its connections for a minute and
//! more; a head that takes that long is an attack.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http::outgoing::Outgoing;

/// No request is at hand.
const IDLE: u8 = 0;
/// Part of a head has come.
const HEAD: u8 = 1;
/// A request is being answered: whoever answers it knows how long that may take.
const BUSY: u8 = 2;

/// Where a connection stands between two requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Phase(Arc<AtomicU8>);

impl Phase {
    /// A request has come; until what this returns is dropped, it is being answered.
    pub(super) fn begin(&self) -> AtHand {
        self.0.store(BUSY, Ordering::Relaxed);
        AtHand(self.clone())
    }
}

/// A request is at hand.
#[derive(Debug)]
pub(super) struct AtHand(Phase);

impl Drop for AtHand {
    fn drop(&mut self) {
        self.0.0.store(IDLE, Ordering::Relaxed);
    }
}

/// The time that a client has.
#[derive(Debug)]
pub(super) struct Patience {
    phase: Phase,
    /// The phase at the last look, and when it began.
    seen: u8,
    since: Instant,
    has_written: bool,
    sleep: Option<Pin<Box<Sleep>>>,
    head: Duration,
    idle: Duration,
}

impl Patience {
    /// A new connection owes a head.
    pub(super) fn new(head: Duration, idle: Duration) -> Self {
        let phase = Phase(Arc::new(AtomicU8::new(HEAD)));
        Self { phase, seen: HEAD, since: Instant::now(), has_written: false, sleep: None, head, idle }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.clone()
    }

    /// Octets came.
    pub(super) fn came(&self) {
        let _ = self.phase.0.compare_exchange(IDLE, HEAD, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Octets went out: the answer before is still on its way.
    pub(super) fn went(&mut self) {
        self.has_written = true;
    }

    /// To be asked when nothing comes: done when that has lasted too long.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let phase = self.phase.0.load(Ordering::Relaxed);
        if phase == BUSY {
            self.seen = BUSY;
            return Poll::Pending;
        }
        if phase != self.seen || (phase == IDLE && self.has_written) {
            (self.seen, self.since, self.has_written) = (phase, Instant::now(), false);
        }
        let deadline = self.since + if phase == HEAD { self.head } else { self.idle };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // A sleep that ends early costs one more look, and most never end.
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        // Ends at the deadline, or with the client.
        loop {
            ready!(sleep.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// The body of an answer, with the request it belongs to.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) body: Outgoing,
    pub(super) _at_hand: AtHand,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const HEAD_TIME: Duration = Duration::from_secs(10);
    const IDLE_TIME: Duration = Duration::from_secs(75);

    async fn ended(patience: &mut Patience) -> Duration {
        let begun = Instant::now();
        poll_fn(|context| patience.poll(context)).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_less_time_than_silence() {
        let mut patience = Patience::new(HEAD_TIME, IDLE_TIME);
        assert_eq!(ended(&mut patience).await, HEAD_TIME);
        drop(patience.phase().begin());
        assert_eq!(ended(&mut patience).await, IDLE_TIME);
        drop(patience.phase().begin());
        patience.came();
        assert_eq!(ended(&mut patience).await, HEAD_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_at_hand_has_all_the_time_it_needs() {
        let mut patience = Patience::new(HEAD_TIME, IDLE_TIME);
        let at_hand = patience.phase().begin();
        let waited = tokio::time::timeout(10 * IDLE_TIME, ended(&mut patience)).await;
        assert!(waited.is_err());
        drop(at_hand);
        assert_eq!(ended(&mut patience).await, IDLE_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_still_going_out_is_no_silence() {
        let mut patience = Patience::new(HEAD_TIME, IDLE_TIME);
        drop(patience.phase().begin());
        for _ in 0..5 {
            let waited = tokio::time::timeout(IDLE_TIME / 2, ended(&mut patience)).await;
            assert!(waited.is_err());
            patience.went();
        }
        assert_eq!(ended(&mut patience).await, IDLE_TIME);
    }
}
