//! Octets that are still arriving, shared by all who wait for them: everybody gets each piece as it comes.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::objects::FetchError;

/// A run of pieces with an end that is yet to come. One fills it, any number read it.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    state: Mutex<State>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct State {
    pieces: Vec<Bytes>,
    end: Option<Result<(), FetchError>>,
}

impl Growing {
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
    use std::sync::Arc;

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
    async fn a_failure_is_told_behind_what_came_before_it() {
        let growing = Arc::new(Growing::default());
        growing.push("ab".into());
        growing.end(Err(FetchError::Store));
        growing.end(Ok(()));
        assert_eq!(growing.piece(0).await, Some(Ok("ab".into())));
        assert_eq!(growing.piece(1).await, Some(Err(FetchError::Store)));
    }
}
