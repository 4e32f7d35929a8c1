//! The body of a request on an HTTP/2 stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::Heard;

/// Gives the stream of a request that was answered without reading all of it.
pub(super) type Unread = oneshot::Receiver<RecvStream>;

/// Octets and trailers as they arrive. Any reset is an error, also one without a reason to complain:
/// who resets a stream did not send the rest.
#[derive(Debug)]
pub(super) struct RequestBody {
    /// There until this is dropped.
    stream: Option<RecvStream>,
    /// Where the stream goes if this is dropped before its end.
    unread: Option<oneshot::Sender<RecvStream>>,
    /// What the client announced and has not sent; `None` when it announced nothing.
    remaining: Option<u64>,
    /// Sent when somebody wants the body of a client that waits to be asked for it.
    wanted: Option<oneshot::Sender<()>>,
    is_data_over: bool,
    heard: Heard,
}

impl RequestBody {
    /// The body that follows `headers` on `stream`; `wanted` is told when it is first asked for. What is received is
    /// the stream of a body that nobody has read to its end.
    pub(super) fn new(
        stream: RecvStream,
        headers: &HeaderMap,
        wanted: Option<oneshot::Sender<()>>,
        heard: Heard,
    ) -> (Self, Option<Unread>) {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let is_over = stream.is_end_stream();
        let remaining = announced.or(is_over.then_some(0));
        let (sender, receiver) = if is_over { None } else { Some(oneshot::channel()) }.unzip();
        (Self { stream: Some(stream), unread: sender, remaining, wanted, is_data_over: false, heard }, receiver)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let (Some(stream), Some(unread)) = (self.stream.take(), self.unread.take())
            && !stream.is_end_stream()
        {
            // Nobody wants it once the answer has gone out.
            let _ = unread.send(stream);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let body = &mut *self;
        let Some(stream) = &mut body.stream else { return Poll::Ready(None) };
        if let Some(wanted) = body.wanted.take() {
            // Nobody listens any more once the response has begun.
            let _ = wanted.send(());
        }
        if !body.is_data_over {
            match ready!(stream.poll_data(context)) {
                Some(data) => {
                    let data = data?;
                    body.heard.note();
                    // What is handed over is no longer ours to hold: the client may send as much again.
                    stream.flow_control().release_capacity(data.len())?;
                    body.remaining = body.remaining.map(|remaining| remaining.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                None => body.is_data_over = true,
            }
        }
        let trailers = ready!(stream.poll_trailers(context));
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
