//! The response body: octets that are already in memory, sent without copying them, or read as they are sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http_body::{Frame, SizeHint};

use crate::objects::FetchError;

/// A body of known length, made of whole or sliced cache entries, or of what still comes from the store.
///
/// It fails when the store does in the middle of an answer: then the connection has to be broken off, since the
/// length was promised.
#[derive(Default)]
pub struct Body {
    next: Option<Bytes>,
    rest: std::vec::IntoIter<Bytes>,
    stream: Option<BoxStream<'static, Result<Bytes, FetchError>>>,
    remaining: u64,
}

impl Body {
    /// A body without octets.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body of several pieces, sent in order.
    pub(crate) fn pieces(pieces: Vec<Bytes>) -> Self {
        let remaining = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { rest: pieces.into_iter(), remaining, ..Self::default() }
    }
}

impl Body {
    /// A body of so many octets that come from elsewhere.
    pub(crate) fn stream(stream: BoxStream<'static, Result<Bytes, FetchError>>, bytes: u64) -> Self {
        Self { stream: Some(stream), remaining: bytes, ..Self::default() }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Body({} octets left)", self.remaining)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let remaining = bytes.len() as u64;
        Self { next: (remaining > 0).then_some(bytes), remaining, ..Self::default() }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(stream) = &mut self.stream {
            let next = ready!(stream.poll_next_unpin(context));
            if let Some(Ok(octets)) = &next {
                self.remaining = self.remaining.saturating_sub(octets.len() as u64);
            }
            return Poll::Ready(next.map(|octets| octets.map(Frame::data).map_err(io::Error::other)));
        }
        let piece = self.next.take().or_else(|| self.rest.find(|piece| !piece.is_empty()));
        if let Some(piece) = &piece {
            self.remaining -= piece.len() as u64;
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn pieces_are_sent_in_order_and_counted() {
        let body = Body::pieces(vec!["ab".into(), Bytes::new(), "cde".into()]);
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abcde");
    }

    #[tokio::test]
    async fn an_empty_body_has_ended_before_it_begins() {
        for body in [Body::empty(), Body::from(Bytes::new()), Body::pieces(vec![])] {
            assert!(body.is_end_stream());
            assert_eq!(body.collect().await.unwrap().to_bytes(), "");
        }
    }
}
