//! The response body: octets in memory, parts of files, and what still comes from a bucket or another server.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http_body::{Frame, SizeHint};
use media_store::ObjectFile;

use crate::download::{Downloads, Plan};
use crate::files::{Buffers, FileRead};
use crate::growing::Growing;
use crate::memory::Object;
use crate::objects::FetchError;
use crate::remote::{Begun, Remote, Source};

/// Where the octets of a representation come from.
#[derive(Clone)]
pub(crate) enum Content {
    /// They are not needed.
    None,
    /// Memory.
    Memory(Arc<Object>),
    /// A local file.
    File(Arc<ObjectFile>, Arc<Buffers>),
    /// A bucket.
    Blocks(Arc<Remote>, Source, Begun),
    /// Another server, from which it comes for all who asked.
    Growing(Arc<Growing>),
    /// Segments, of which one file is made.
    Download(Arc<Downloads>, Arc<Plan>, Arc<packager::progressive::File>),
}

impl Content {
    /// Whether the octets `range` can be sent without waiting for anything but a disk.
    pub(crate) fn is_at_hand(&self, range: Range<u64>) -> bool {
        match self {
            Self::None | Self::Memory(_) | Self::File(..) => true,
            Self::Blocks(remote, source, _) => remote.at_hand(source, &range).is_some(),
            Self::Download(..) | Self::Growing(_) => false,
        }
    }

    /// The octets `range`, which must be there.
    pub(crate) fn part(&self, range: Range<u64>) -> Part {
        match self {
            Self::None => Part::Octets(Bytes::new()),
            Self::Memory(object) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(object.bytes.len());
                Part::Octets(object.bytes.slice(at(range.start)..at(range.end)))
            }
            Self::File(file, buffers) => {
                if let Some(octets) = FileRead::at_once(file, &range) {
                    return Part::Octets(octets);
                }
                let read = FileRead::new(Arc::clone(file), Arc::clone(buffers), range.start, range.end);
                Part::File(Box::new(read))
            }
            Self::Blocks(remote, source, begun) => match remote.at_hand(source, &range) {
                Some(mut pieces) if pieces.len() == 1 => Part::Octets(pieces.remove(0)),
                Some(pieces) => Part::Stream(futures::stream::iter(pieces.into_iter().map(Ok)).boxed()),
                None => Part::Stream(remote.stream(source.clone(), range, begun.clone())),
            },
            Self::Growing(growing) => Part::Stream(growing.octets(range)),
            Self::Download(downloads, plan, file) => {
                Part::Stream(downloads.stream(Arc::clone(plan), Arc::clone(file), range))
            }
        }
    }
}

/// A run of octets of a body.
pub(crate) enum Part {
    Octets(Bytes),
    File(Box<FileRead>),
    Stream(BoxStream<'static, Result<Bytes, FetchError>>),
}

impl Part {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self {
            Self::Octets(octets) => {
                let octets = std::mem::take(octets);
                Poll::Ready((!octets.is_empty()).then_some(Ok(octets)))
            }
            Self::File(read) => read.poll_next(context),
            Self::Stream(stream) => {
                let next = ready!(stream.as_mut().poll_next(context));
                Poll::Ready(next.map(|octets| octets.map_err(io::Error::other)))
            }
        }
    }
}

/// A body, mostly of known length. What is in memory is sent without copying it; the rest is read as it is sent.
///
/// It fails when the store does in the middle of an answer: then the connection has to be broken off, since the
/// length was promised.
#[derive(Default)]
pub struct Body {
    part: Option<Part>,
    rest: std::vec::IntoIter<Part>,
    remaining: u64,
    /// Nobody told how long it is.
    is_unmeasured: bool,
}

impl Body {
    /// A body without octets.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body of one part of so many octets.
    pub(crate) fn part(part: Part, bytes: u64) -> Self {
        Self { part: Some(part), remaining: bytes, ..Self::default() }
    }

    /// A body of several parts, sent in order, with so many octets together.
    pub(crate) fn parts(parts: Vec<Part>, bytes: u64) -> Self {
        Self { rest: parts.into_iter(), remaining: bytes, ..Self::default() }
    }

    /// A body that ends when it ends.
    pub(crate) fn unmeasured(part: Part) -> Self {
        Self { part: Some(part), is_unmeasured: true, ..Self::default() }
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
        Self::part(Part::Octets(bytes), remaining)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        // Ends with a piece, or with the last part.
        loop {
            if self.part.is_none() {
                self.part = self.rest.next();
            }
            let Some(part) = &mut self.part else { return Poll::Ready(None) };
            match ready!(part.poll_next(context)) {
                Some(Ok(octets)) => {
                    // A part that is longer than it was said to be would be an error of ours; it is cut here.
                    self.remaining = self.remaining.saturating_sub(octets.len() as u64);
                    return Poll::Ready(Some(Ok(Frame::data(octets))));
                }
                Some(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "an answer broke off");
                    return Poll::Ready(Some(Err(error)));
                }
                None => self.part = None,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0 && !self.is_unmeasured
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_unmeasured { SizeHint::default() } else { SizeHint::with_exact(self.remaining) }
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn parts_are_sent_in_order_and_counted() {
        let stream = futures::stream::iter(["c", "de"].map(|octets| Ok(octets.into()))).boxed();
        let body = Body::parts(vec![Part::Octets("ab".into()), Part::Octets(Bytes::new()), Part::Stream(stream)], 5);
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abcde");
    }

    #[tokio::test]
    async fn an_empty_body_has_ended_before_it_begins() {
        for body in [Body::empty(), Body::from(Bytes::new()), Body::parts(vec![], 0)] {
            assert!(body.is_end_stream());
            assert_eq!(body.collect().await.unwrap().to_bytes(), "");
        }
    }

    #[tokio::test]
    async fn a_store_that_fails_in_the_middle_breaks_the_body_off() {
        let stream = futures::stream::iter([Ok("ab".into()), Err(FetchError::Store)]).boxed();
        assert!(Body::part(Part::Stream(stream), 4).collect().await.is_err());
    }
}
