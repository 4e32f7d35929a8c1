//! The response body: octets that are already in memory, sent without copying them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// A body of known length, made of whole or sliced cache entries; never fails, never waits.
#[derive(Debug, Default)]
pub struct Body {
    next: Option<Bytes>,
    rest: std::vec::IntoIter<Bytes>,
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
        Self { next: None, rest: pieces.into_iter(), remaining }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let remaining = bytes.len() as u64;
        Self { next: (remaining > 0).then_some(bytes), rest: Vec::new().into_iter(), remaining }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
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
