//! What is left of a request that was answered without reading all of it.
//!
//! Where the next request begins is known only behind the body of this one, so either that is read or the connection is
//! closed (RFC 9112 §9.3). A refusal often comes before a body that is little and on its way, as many clients send it
//! behind its head: that is awaited. In all other cases the client is told that the connection ends.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

/// What is awaited of a body at most,
const LEFT_BYTES_MAX: u64 = 64 << 10;
/// and how long.
const LEFT_AWAITED: Duration = Duration::from_millis(300);

/// Whether octets of the client may be on their way that nobody is going to read. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    is_due: AtomicBool,
    left: Mutex<Left>,
}

/// The body of the message at hand.
#[derive(Debug, Default)]
enum Left {
    /// Somebody may be reading it.
    #[default]
    Held,
    /// It was dropped before its end.
    Dropped(Incoming),
    /// Nobody asks for it any more.
    Given,
}

impl Unread {
    /// Octets came: more of the same message may follow.
    pub(super) fn came(&self) {
        self.0.is_due.store(true, Ordering::Relaxed);
    }

    /// The message at hand was read to its end.
    pub(super) fn over(&self) {
        self.0.is_due.store(false, Ordering::Relaxed);
    }

    /// Whether the connection must not be closed at once.
    pub(super) fn is_due(&self) -> bool {
        self.0.is_due.load(Ordering::Relaxed)
    }

    /// A body that tells when it was read to its end. Its head may have been read together with the message before it,
    /// which is over.
    pub(super) fn watch(&self, body: Incoming) -> Watched {
        match body.is_end_stream() {
            true => self.over(),
            false => self.came(),
        }
        *self.left() = Left::Held;
        Watched { body: Some(body), unread: self.clone() }
    }

    /// Reads what is left of a request that is answered, if that is little and comes soon; what the client waits to be
    /// asked for does not come. False if the connection has to end with the answer.
    pub(super) async fn settled(&self, is_on_its_way: bool) -> bool {
        // Out of its place in any case: as long as it is there, hyper waits for somebody to read it.
        let left = std::mem::replace(&mut *self.left(), Left::Given);
        let is_little = |body: &Incoming| body.size_hint().upper().is_none_or(|bytes| bytes <= LEFT_BYTES_MAX);
        if let Left::Dropped(mut body) = left
            && is_on_its_way
            && is_little(&body)
            && timeout(LEFT_AWAITED, read(&mut body)).await.unwrap_or(false)
        {
            self.over();
        }
        !self.is_due()
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.0.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a body that is little; false if it is not, or breaks off.
async fn read(body: &mut Incoming) -> bool {
    let mut bytes = 0;
    // Ends with the body, or with what is read of one at most.
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        bytes += frame.data_ref().map_or(0, |octets| octets.len() as u64);
        if bytes > LEFT_BYTES_MAX {
            return false;
        }
    }
    true
}

/// See [`Unread::watch`].
#[derive(Debug)]
pub(super) struct Watched {
    /// Here until this is dropped.
    body: Option<Incoming>,
    unread: Unread,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let left = &mut *self.unread.left();
        if let (Left::Held, Some(body)) = (&*left, self.body.take().filter(|body| !body.is_end_stream())) {
            *left = Left::Dropped(body);
        }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        if frame.is_none() || body.is_end_stream() {
            self.unread.over();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
