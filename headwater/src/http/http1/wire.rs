//! A socket on which interim responses go out between hyper's messages.
//!
//! hyper's server does not write 1xx responses other than `100 Continue`. But it asks for a flush
//! each time it has run, and only when all it has to write is written: at that moment the socket
//! stands between two messages. If the request at hand is not answered yet, the next message would
//! be its response or `100 Continue`, and an interim response may come before either.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use ingest::interim::Outbox;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::interim;
use super::line;
use super::linger::Linger;
use super::patience::Patience;
use super::unread::{Unread, Watched};

/// What `104` means, in the words of its registration.
const REASON: &str = "Upload Resumption Supported";

/// What is taken at first of a request.
const HEARD_BYTES_MAX: usize = 4096;

/// The request at hand, while it is not answered. HTTP/1 has one at a time: hyper reads the next head
/// when the response before it is encoded, and flushes that before it flushes the socket.
type AtHand = Arc<Mutex<Option<Outbox>>>;

/// A socket and what is to be said on it between two messages.
#[derive(Debug)]
pub(super) struct Wire<S> {
    socket: S,
    at_hand: AtHand,
    /// The rest of an interim response, to be written before anything else.
    rest: Bytes,
    unread: Unread,
    /// Octets of a request that were taken from the socket before anybody read them.
    heard: Bytes,
    /// All that was written has gone out.
    is_flushed: bool,
    patience: Patience,
    /// The end of the connection, once it has begun.
    linger: Option<Box<Linger>>,
}

/// Lets the requests of one connection speak, and knows which of them were read to their end.
#[derive(Clone, Debug)]
pub(super) struct Speaker(AtHand, Unread);

/// The time in which a request may speak: until this is dropped.
#[derive(Debug)]
pub(super) struct Speech(AtHand);

impl<S> Wire<S> {
    /// Wraps a socket whose client is waited for so long.
    pub(super) fn new(socket: S, patience: Patience) -> (Self, Speaker) {
        let (at_hand, unread) = (AtHand::default(), Unread::default());
        let speaker = Speaker(at_hand.clone(), unread.clone());
        let (rest, heard) = (Bytes::new(), Bytes::new());
        (Self { socket, at_hand, rest, unread, heard, is_flushed: true, patience, linger: None }, speaker)
    }

    /// Gives back octets that were read of the next request: they are read again.
    pub(super) fn unread(&mut self, octets: Bytes) {
        self.heard = octets;
    }

    /// What was heard of the next request.
    pub(super) fn heard(&self) -> &Bytes {
        &self.heard
    }

    /// Takes a whole request off what was heard.
    pub(super) fn take(&mut self, bytes: usize) {
        self.heard.advance(bytes);
        self.unread.over();
    }
}

impl Speaker {
    /// Lets `request` speak until the answer is dropped; the request before it no longer can.
    pub(super) fn offer<B>(&self, request: &mut Request<B>) -> Option<Speech> {
        let outbox = interim::offer(request)?;
        *lock(&self.0) = Some(outbox);
        Some(Speech(self.0.clone()))
    }

    /// The body of a request, which must be read through this.
    pub(super) fn watch(&self, body: Incoming) -> Watched {
        self.1.watch(body)
    }

    /// What is left of it.
    pub(super) fn unread(&self) -> &Unread {
        &self.1
    }
}

impl Drop for Speech {
    fn drop(&mut self) {
        *lock(&self.0) = None;
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Ends when the rest is written: each turn writes some of it.
        while !self.rest.is_empty() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(context, &self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what the request at hand has to say.
    fn poll_speak(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Ends when nothing more waits, or when the client does not read.
        loop {
            ready!(self.poll_rest(context))?;
            let next = match lock(&self.at_hand).as_mut().map(|outbox| outbox.poll_next(context)) {
                Some(Poll::Ready(headers)) => headers,
                Some(Poll::Pending) | None => return Poll::Ready(Ok(())),
            };
            self.rest = encoded(&next);
        }
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Waits for the first octets of a request, with no memory for them until they come. False at the end of what
    /// the client says.
    pub(super) fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.heard.is_empty() {
            let mut octets = [const { MaybeUninit::uninit() }; HEARD_BYTES_MAX];
            let mut buffer = ReadBuf::uninit(&mut octets);
            ready!(Pin::new(&mut *self).poll_read(context, &mut buffer))?;
            self.heard = Bytes::copy_from_slice(buffer.filled());
        }
        Poll::Ready(Ok(!self.heard.is_empty()))
    }

    /// Whether the client has sent more than was asked of it: requests that are not answered any more.
    fn has_more(&mut self, context: &mut Context<'_>) -> bool {
        let mut octet = [0];
        let mut buffer = ReadBuf::new(&mut octet);
        let read = Pin::new(&mut self.socket).poll_read(context, &mut buffer);
        matches!(read, Poll::Ready(Ok(()))) && !buffer.filled().is_empty()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.heard.is_empty() {
            let taken = self.heard.len().min(buffer.remaining());
            buffer.put_slice(&self.heard.split_to(taken));
            self.unread.came();
            self.patience.came();
            return Poll::Ready(Ok(()));
        }
        let filled = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > filled {
            self.unread.came();
            self.patience.came();
        }
        if read.is_pending() {
            let is_between = self.is_flushed && self.rest.is_empty() && !self.unread.is_due();
            return self.patience.poll(is_between, context).map(Err);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(context))?;
        self.patience.went();
        self.is_flushed = false;
        Pin::new(&mut self.socket).poll_write(context, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(context))?;
        self.patience.went();
        self.is_flushed = false;
        Pin::new(&mut self.socket).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_speak(context))?;
        ready!(Pin::new(&mut self.socket).poll_flush(context))?;
        self.is_flushed = true;
        if !self.unread.is_due() {
            self.patience.is_between();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // The end is not to be slept through.
        this.patience.went();
        if this.linger.is_none() {
            ready!(this.poll_rest(context))?;
            ready!(Pin::new(&mut this.socket).poll_shutdown(context))?;
            if !this.unread.is_due() && !this.has_more(context) {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.linger.get_or_insert_with(|| Box::new(Linger::begin()));
        linger.poll(&mut this.socket, context).map(Ok)
    }
}

fn encoded(headers: &HeaderMap) -> Bytes {
    let mut text = format!("HTTP/1.1 {} {REASON}\r\n", ingest::interim::STATUS).into_bytes();
    for (name, value) in headers {
        line(&mut text, name, value.as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    text.into()
}

fn lock(at_hand: &Mutex<Option<Outbox>>) -> MutexGuard<'_, Option<Outbox>> {
    at_hand.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::http::listener::Limits;

    fn said(number: u64) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static("upload-offset"), HeaderValue::from(number))])
    }

    fn block(number: u64) -> String {
        format!("HTTP/1.1 104 Upload Resumption Supported\r\nupload-offset: {number}\r\n\r\n")
    }

    fn request() -> Request<()> {
        Request::builder().uri("/uploads/upl_x").body(()).unwrap()
    }

    /// A wire over a pipe of `room` octets, the far end, and a request that may speak.
    fn ground(room: usize) -> (Wire<DuplexStream>, DuplexStream, ingest::Interim, Option<Speech>) {
        let (near, far) = tokio::io::duplex(room);
        let patience = Patience::new(&Limits::default());
        let (wire, speaker) = Wire::new(near, patience);
        let mut request = request();
        let speech = speaker.offer(&mut request);
        let interim = request.extensions().get::<ingest::Interim>().unwrap().clone();
        (wire, far, interim, speech)
    }

    async fn heard(wire: Wire<DuplexStream>, mut far: DuplexStream) -> String {
        drop(wire);
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn words_go_out_with_the_next_flush_and_in_order() {
        let (mut wire, far, interim, _speech) = ground(4096);
        wire.write_all(b"before;").await.unwrap();
        interim.send(said(1));
        interim.send(said(2));
        wire.write_all(b"same message;").await.unwrap();
        wire.flush().await.unwrap();
        wire.write_all(b"after").await.unwrap();
        assert_eq!(heard(wire, far).await, format!("before;same message;{}{}after", block(1), block(2)));
    }

    #[tokio::test]
    async fn nothing_goes_out_once_the_answer_is_there() {
        let (mut wire, far, interim, speech) = ground(4096);
        interim.send(said(1));
        drop(speech);
        interim.send(said(2));
        wire.flush().await.unwrap();
        assert_eq!(heard(wire, far).await, "");
    }

    #[tokio::test]
    async fn a_block_that_is_half_written_is_finished_before_anything_else() {
        let (mut wire, mut far, interim, speech) = ground(10);
        interim.send(said(1));
        let is_flushed = tokio::time::timeout(std::time::Duration::from_millis(20), wire.flush()).await;
        assert!(is_flushed.is_err(), "the pipe has room for ten octets");
        // The answer begins meanwhile: what was begun is still finished.
        drop(speech);
        let write = async move {
            wire.write_all(b"answer").await.unwrap();
            drop(wire);
        };
        let mut text = String::new();
        let (_, read) = tokio::join!(write, far.read_to_string(&mut text));
        read.unwrap();
        assert_eq!(text, format!("{}answer", block(1)));
    }

    #[tokio::test]
    async fn a_wire_that_is_idle_hears_of_words_that_come_later() {
        let (mut wire, far, interim, _speech) = ground(4096);
        // A flush that found nothing to say has left word whom to wake.
        let mut context = Context::from_waker(futures::task::noop_waker_ref());
        assert!(Pin::new(&mut wire).poll_flush(&mut context).is_ready());
        let woken = async {
            let mut is_first = true;
            std::future::poll_fn(|context| {
                let _ = Pin::new(&mut wire).poll_flush(context);
                if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
        };
        let send = async {
            tokio::task::yield_now().await;
            interim.send(said(3));
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), async { tokio::join!(woken, send) }).await.unwrap();
        assert_eq!(heard(wire, far).await, block(3));
    }
}
