//! Octets that are still arriving, shared by all who wait for them: everybody gets each piece as it comes.

use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::objects::FetchError;

/// A run of pieces with an end that is yet to come. One fills it, any number read it.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    state: Mutex<State>,
    grown: Notify,
    /// The room that it takes in memory, where that is counted.
    _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Default)]
struct State {
    pieces: Vec<Bytes>,
    end: Option<Result<(), FetchError>>,
}

impl Growing {
    /// One that takes counted room for as long as anybody has it.
    pub(crate) fn within(room: OwnedSemaphorePermit) -> Self {
        Self { _room: Some(room), ..Self::default() }
    }

    /// The octets `range`, as they come.
    pub(crate) fn octets(self: &Arc<Self>, range: Range<u64>) -> BoxStream<'static, Result<Bytes, FetchError>> {
        let state = (Arc::clone(self), 0, 0, range);
        let next = |(growing, mut index, mut at, range): (Arc<Self>, usize, u64, Range<u64>)| async move {
            // Ends with octets of the range, behind it, or with the last piece.
            while at < range.end {
                let piece = match growing.piece(index).await? {
                    Ok(piece) => piece,
                    Err(error) => return Some((Err(error), (growing, index, range.end, range))),
                };
                let within =
                    |offset: u64| usize::try_from(offset.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len());
                let octets = piece.slice(within(range.start)..within(range.end));
                (index, at) = (index + 1, at + piece.len() as u64);
                if !octets.is_empty() {
                    return Some((Ok(octets), (growing, index, at, range)));
                }
            }
            None
        };
        futures::stream::unfold(state, next).boxed()
    }

    /// Adds a piece.
    pub(crate) fn push(&self, piece: Bytes) {
        self.lock().pieces.push(piece);
        self.grown.notify_waiters();
    }

    /// Ends it; the first end counts.
    pub(crate) fn end(&self, end: Result<(), FetchError>) {
        self.lock().end.get_or_insert(end);
        self.grown.notify_waiters();
    }

    /// All octets in one run of memory.
    pub(crate) fn joined(&self) -> Bytes {
        let pieces = self.lock().pieces.clone();
        match pieces.as_slice() {
            [one] => one.clone(),
            several => several.concat().into(),
        }
    }

    /// The piece `index`, when it is there; `None` behind the last.
    pub(crate) async fn piece(&self, index: usize) -> Option<Result<Bytes, FetchError>> {
        // Ends when the filler adds a piece or ends: it does so within its own bounds, and when it is dropped.
        loop {
            let mut grown = pin!(self.grown.notified());
            // What happens after this look wakes us.
            grown.as_mut().enable();
            {
                let state = self.lock();
                if let Some(piece) = state.pieces.get(index) {
                    return Some(Ok(piece.clone()));
                }
                if let Some(end) = &state.end {
                    return end.clone().err().map(Err);
                }
            }
            grown.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(growing: Arc<Growing>) -> Result<Vec<u8>, FetchError> {
        let (mut all, mut index) = (Vec::new(), 0);
        while let Some(piece) = growing.piece(index).await {
            all.extend_from_slice(&piece?);
            index += 1;
        }
        Ok(all)
    }

    #[tokio::test]
    async fn readers_that_come_early_and_late_get_the_same() {
        let growing = Arc::new(Growing::default());
        let fill = async {
            for piece in ["ab", "c", "def"] {
                growing.push(piece.into());
                tokio::task::yield_now().await;
            }
            growing.end(Ok(()));
        };
        let (early, ()) = tokio::join!(read(growing.clone()), fill);
        assert_eq!(early.unwrap(), b"abcdef");
        assert_eq!(read(growing.clone()).await.unwrap(), b"abcdef");
        assert_eq!(growing.joined(), "abcdef");
    }

    #[tokio::test]
    async fn a_range_of_what_arrives_needs_no_more_than_that() {
        let growing = Arc::new(Growing::default());
        for piece in ["ab", "cde", "f"] {
            growing.push(piece.into());
        }
        for (range, expected) in [(0..6, "abcdef"), (1..4, "bcd"), (2..5, "cde"), (3..3, ""), (5..6, "f")] {
            let pieces: Vec<_> = growing.octets(range.clone()).map(Result::unwrap).collect().await;
            assert_eq!(pieces.concat(), expected.as_bytes(), "{range:?}");
        }
        growing.end(Err(FetchError::Upstream));
        let pieces: Vec<_> = growing.octets(4..9).collect().await;
        assert_eq!(pieces, [Ok("e".into()), Ok("f".into()), Err(FetchError::Upstream)]);
    }

    #[tokio::test]
    async fn a_failure_is_told_behind_what_came_before_it() {
        let growing = Arc::new(Growing::default());
        growing.push("ab".into());
        growing.end(Err(FetchError::Store));
        growing.end(Ok(()));
        assert_eq!(growing.piece(0).await, Some(Ok("ab".into())));
        assert_eq!(growing.piece(1).await, Some(Err(FetchError::Store)));
    }
}
