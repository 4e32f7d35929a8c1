//! The body of a request on an HTTP/2 stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::Heard;

/// Octets and trailers as they arrive. Any reset is an error, also one without a reason to complain:
/// who resets a stream did not send the rest.
#[derive(Debug)]
pub(super) struct RequestBody {
    stream: RecvStream,
    /// What the client announced and has not sent; `None` when it announced nothing.
    remaining: Option<u64>,
    /// Sent when somebody wants the body of a client that waits to be asked for it.
    wanted: Option<oneshot::Sender<()>>,
    is_data_over: bool,
    heard: Heard,
}

impl RequestBody {
    /// The body that follows `headers` on `stream`; `wanted` is told when it is first asked for.
    pub(super) fn new(
        stream: RecvStream,
        headers: &HeaderMap,
        wanted: Option<oneshot::Sender<()>>,
        heard: Heard,
    ) -> Self {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let remaining = announced.or(stream.is_end_stream().then_some(0));
        Self { stream, remaining, wanted, is_data_over: false, heard }
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
        if let Some(wanted) = body.wanted.take() {
            // Nobody listens any more once the response has begun.
            let _ = wanted.send(());
        }
        if !body.is_data_over {
            match ready!(body.stream.poll_data(context)) {
                Some(data) => {
                    let data = data?;
                    body.heard.note();
                    // What is handed over is no longer ours to hold: the client may send as much again.
                    body.stream.flow_control().release_capacity(data.len())?;
                    body.remaining = body.remaining.map(|remaining| remaining.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                None => body.is_data_over = true,
            }
        }
        let trailers = ready!(body.stream.poll_trailers(context));
        Poll::Ready(trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
