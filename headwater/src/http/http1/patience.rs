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

use crate::http::listener::Limits;
use crate::http::outgoing::Outgoing;

/// No request is at hand.
const IDLE: u8 = 0;
/// Part of a head has come.
const HEAD: u8 = 1;
/// A request is being answered: whoever answers it knows how long that may take.
const BUSY: u8 = 2;
/// No request has been at hand for a while, and nothing of one has come.
const RESTING: u8 = 3;
/// Nothing has come yet on the connection.
const NEW: u8 = 4;

/// Where a connection stands between two requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Phase(Arc<AtomicU8>);

impl Phase {
    /// A request has come; until what this returns is dropped, it is being answered.
    pub(super) fn begin(&self) -> AtHand {
        self.0.store(BUSY, Ordering::Relaxed);
        AtHand(self.clone())
    }

    /// Whether nothing has come yet.
    pub(super) fn is_new(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NEW
    }

    /// Whether the connection needs nothing but to be listened to.
    pub(super) fn is_resting(&self) -> bool {
        self.0.load(Ordering::Relaxed) == RESTING
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
    rest: Duration,
}

impl Patience {
    /// A new connection owes a head.
    pub(super) fn new(limits: &Limits) -> Self {
        let Limits { header_timeout: head, idle_timeout: idle, rest_after: rest, .. } = *limits;
        let phase = Phase(Arc::new(AtomicU8::new(NEW)));
        Self { phase, seen: NEW, since: Instant::now(), has_written: false, sleep: None, head, idle, rest }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.clone()
    }

    /// Octets came.
    pub(super) fn came(&self) {
        for quiet in [IDLE, RESTING, NEW] {
            let _ = self.phase.0.compare_exchange(quiet, HEAD, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Octets went out: the answer before is still on its way.
    pub(super) fn went(&mut self) {
        self.has_written = true;
        if self.phase.is_resting() {
            self.phase.0.store(IDLE, Ordering::Relaxed);
        }
    }

    /// All is written, and nothing is owed of the last message. If the answer was whole, the connection rests.
    pub(super) fn is_between(&self) {
        // The silence begins with the next look, which is at once.
        let _ = self.phase.0.compare_exchange(IDLE, RESTING, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// To be asked when nothing comes: done when that has lasted too long. `is_between` tells that all is written and
    /// nothing is owed of the last message: then the connection may rest.
    pub(super) fn poll(&mut self, is_between: bool, context: &mut Context<'_>) -> Poll<io::Error> {
        let phase = self.phase.0.load(Ordering::Relaxed);
        let mut now = Instant::now();
        // The time for the first head began with the connection.
        if (phase, self.seen) == (HEAD, NEW) {
            self.seen = HEAD;
        }
        let is_over = matches!(phase, IDLE | RESTING) && self.has_written;
        if is_over || (phase != self.seen && phase != RESTING) {
            (self.seen, self.since, self.has_written) = (phase, now, false);
        }
        let end = match phase {
            BUSY => None,
            HEAD | NEW => Some(self.since + self.head),
            _ => Some(self.since + self.idle),
        };
        let rest = self.since + self.rest;
        let may_rest = phase == IDLE && is_between;
        // hyper looks for the next request before it lets go of the last one, and not again by itself: so there is
        // another look for which nobody else asks.
        let next = |now| match end {
            None => now + self.rest,
            Some(end) if may_rest && now < rest => rest.min(end),
            Some(end) => end,
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(next(now))));
        // A sleep that ends early costs one more look, and most never end.
        if next(now) < sleep.deadline() {
            sleep.as_mut().reset(next(now));
        }
        // Ends at the end, or with the client.
        loop {
            if may_rest && now >= rest {
                self.phase.0.store(RESTING, Ordering::Relaxed);
            }
            ready!(sleep.as_mut().poll(context));
            now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            sleep.as_mut().reset(next(now));
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
    const REST_AFTER: Duration = Duration::from_secs(2);

    fn patience() -> Patience {
        let (header_timeout, idle_timeout, rest_after) = (HEAD_TIME, IDLE_TIME, REST_AFTER);
        let limits = Limits { header_timeout, idle_timeout, rest_after, ..Limits::default() };
        Patience::new(&limits)
    }

    async fn ended(patience: &mut Patience) -> Duration {
        let begun = Instant::now();
        poll_fn(|context| patience.poll(true, context)).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_less_time_than_silence() {
        let mut patience = patience();
        let begun = Instant::now();
        assert!(tokio::time::timeout(HEAD_TIME / 2, ended(&mut patience)).await.is_err() && patience.phase().is_new());
        patience.came();
        assert!(!patience.phase().is_new());
        ended(&mut patience).await;
        assert_eq!(begun.elapsed(), HEAD_TIME, "from the beginning of the connection");
        drop(patience.phase().begin());
        assert_eq!(ended(&mut patience).await, IDLE_TIME);
        drop(patience.phase().begin());
        patience.came();
        assert_eq!(ended(&mut patience).await, HEAD_TIME);
    }

    /// Whether the connection rests after so long without a request.
    async fn rests_after(is_between: bool, time: Duration) -> bool {
        let mut patience = patience();
        drop(patience.phase().begin());
        let polled = poll_fn(|context| patience.poll(is_between, context));
        let _ = tokio::time::timeout(time, polled).await;
        patience.phase().is_resting()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_rests_when_nothing_is_asked_for_and_nothing_owed() {
        assert!(!rests_after(true, REST_AFTER / 2).await);
        assert!(rests_after(true, REST_AFTER * 2).await);
        assert!(!rests_after(false, REST_AFTER * 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_rests_as_soon_as_it_has_answered() {
        let mut patience = patience();
        let phase = patience.phase();
        let at_hand = phase.begin();
        let rests = |patience: &mut Patience| {
            patience.went();
            patience.is_between();
            phase.is_resting()
        };
        assert!(!rests(&mut patience), "an answer is under way");
        tokio::time::sleep(2 * IDLE_TIME).await;
        drop(at_hand);
        assert!(rests(&mut patience));
        // Its silence begins here, whatever it did before.
        assert_eq!(ended(&mut patience).await, IDLE_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_rests_ends_when_others_do_and_is_woken_by_what_comes() {
        let mut patience = patience();
        drop(patience.phase().begin());
        let phase = patience.phase();
        let polled = poll_fn(|context| patience.poll(true, context));
        assert!(tokio::time::timeout(REST_AFTER * 2, polled).await.is_err());
        assert!(phase.is_resting());
        assert_eq!(ended(&mut patience).await, IDLE_TIME - REST_AFTER * 2);
        patience.came();
        assert!(!phase.is_resting());
        assert_eq!(ended(&mut patience).await, HEAD_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_at_hand_has_all_the_time_it_needs() {
        let mut patience = patience();
        let at_hand = patience.phase().begin();
        let waited = tokio::time::timeout(10 * IDLE_TIME, ended(&mut patience)).await;
        assert!(waited.is_err());
        drop(at_hand);
        assert_eq!(ended(&mut patience).await, IDLE_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_nobody_looks_at_after_its_answer_is_looked_at_again() {
        let mut patience = patience();
        let at_hand = patience.phase().begin();
        let phase = patience.phase();
        let mut looked = Box::pin(poll_fn(|context| patience.poll(true, context)));
        assert!(futures::poll!(&mut looked).is_pending());
        drop(at_hand);
        // Only what the timer asks for is looked at from here on.
        let begun = Instant::now();
        assert!(tokio::time::timeout(REST_AFTER * 3, &mut looked).await.is_err());
        assert!(phase.is_resting());
        looked.await;
        assert!(begun.elapsed() <= IDLE_TIME + REST_AFTER * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_still_going_out_is_no_silence() {
        let mut patience = patience();
        drop(patience.phase().begin());
        for _ in 0..5 {
            let waited = tokio::time::timeout(IDLE_TIME / 2, ended(&mut patience)).await;
            assert!(waited.is_err());
            patience.went();
        }
        assert_eq!(ended(&mut patience).await, IDLE_TIME);
    }
}
