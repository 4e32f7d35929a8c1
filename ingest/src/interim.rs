//! Interim responses: what a server says about a request before its final response.
//!
//! `104 (Upload Resumption Supported)` tells a client early where its upload lives, and later how much
//! of it is durable. This crate decides what to say; whoever serves the connection knows when it may
//! be said. Between them lies a short line: [`Interim`] puts words in, [`Outbox`] takes them out.
//!
//! A request carries its [`Interim`] as an extension, if its connection can speak before it answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::http::HeaderMap;

/// The status of an interim response about an upload: Upload Resumption Supported.
pub const STATUS: u16 = 104;

/// Words that wait for a connection. More would only be old news: each tells of the whole upload.
const WAITING_MAX: usize = 4;

/// Says something about one request before its final response. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Interim(Arc<Mutex<Line>>);

/// What is to be said about one request, for whoever serves its connection.
///
/// Dropping it when the final response begins ends the line: words that come later are dropped.
#[derive(Debug)]
pub struct Outbox(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<HeaderMap>,
    listener: Option<Waker>,
    is_over: bool,
}

/// A new line between a request and its connection.
pub fn line() -> (Interim, Outbox) {
    let line = Arc::<Mutex<Line>>::default();
    (Interim(line.clone()), Outbox(line))
}

impl Interim {
    /// Sends `headers` as an interim response, if the final response has not begun.
    ///
    /// Never waits. When the client reads slower than there is news, the newest replaces what waits
    /// last; the first to be sent is never lost that way.
    pub fn send(&self, headers: HeaderMap) {
        let listener = {
            let mut line = lock(&self.0);
            if line.is_over {
                return;
            }
            if line.waiting.len() == WAITING_MAX {
                line.waiting.pop_back();
            }
            line.waiting.push_back(headers);
            line.listener.take()
        };
        if let Some(listener) = listener {
            listener.wake();
        }
    }

    /// Whether an interim response could still be sent; saves the making of one.
    pub fn is_open(&self) -> bool {
        !lock(&self.0).is_over
    }
}

impl Outbox {
    /// The next interim response; pending while there is nothing to say.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<HeaderMap> {
        let mut line = lock(&self.0);
        match line.waiting.pop_front() {
            Some(headers) => Poll::Ready(headers),
            None => {
                line.listener = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Waits for the next interim response. Dropping the wait loses nothing.
    pub async fn next(&mut self) -> HeaderMap {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let mut line = lock(&self.0);
        line.is_over = true;
        line.waiting.clear();
        line.listener = None;
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn numbered(number: u64) -> HeaderMap {
        HeaderMap::from_iter([(axum::http::header::AGE, number.into())])
    }

    #[tokio::test]
    async fn a_listener_hears_what_is_sent_while_it_waits() {
        let (interim, mut outbox) = line();
        let heard = async { tokio::time::timeout(Duration::from_secs(5), outbox.next()).await };
        let sent = async {
            tokio::task::yield_now().await;
            interim.clone().send(numbered(7));
        };
        assert_eq!(tokio::join!(heard, sent).0, Ok(numbered(7)));
    }

    #[tokio::test]
    async fn news_that_nobody_takes_replaces_older_news_but_never_the_first() {
        let (interim, mut outbox) = line();
        (0..100).for_each(|number| interim.send(numbered(number)));
        let mut heard = Vec::new();
        while let Ok(headers) = tokio::time::timeout(Duration::ZERO, outbox.next()).await {
            heard.push(headers);
        }
        assert_eq!(heard, [0, 1, 2, 99].map(numbered));
    }

    #[test]
    fn what_is_sent_after_the_end_is_dropped() {
        let (interim, outbox) = line();
        interim.send(numbered(1));
        assert!(interim.is_open());
        drop(outbox);
        interim.send(numbered(2));
        assert!(!interim.is_open() && lock(&interim.0).waiting.is_empty());
    }
}
