//! The body of an answer: the origin's own, or anybody else's.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// What is sent. The origin's body has a place of its own, so that it needs none on the heap.
#[derive(Debug)]
pub enum Outgoing {
    /// From the origin.
    Origin(origin::Body),
    /// From anybody else.
    Other(Body),
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Origin(body) => Pin::new(body).poll_frame(context).map_err(axum::Error::new),
            Self::Other(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Origin(body) => body.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Origin(body) => http_body::Body::size_hint(body),
            Self::Other(body) => http_body::Body::size_hint(body),
        }
    }
}
