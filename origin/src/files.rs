//! The second tier: local files, a piece at a time. What the system has in memory is read where the request is
//! served; only what has to come from the disk is handed to a thread that may wait.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use media_store::ObjectFile;
use tokio::sync::Semaphore;

/// Octets of one piece: large enough that the calls cost nothing, small enough to stay in the processor's cache.
const PIECE_BYTES: usize = 256 << 10;
/// Octets of one piece when all buffers are in use, so that many slow readers stay cheap.
const SMALL_PIECE_BYTES: usize = 16 << 10;
/// Buffers that are lent at a time.
const BUFFERS_MAX: usize = 64;
/// Reads that wait for the disk at a time.
const WAITS_MAX: usize = 32;

/// Buffers for pieces, used again and again: new memory would have to be cleared each time.
#[derive(Debug)]
pub(crate) struct Buffers {
    idle: Mutex<Vec<Box<[u8]>>>,
    made: AtomicUsize,
    turns: Arc<Semaphore>,
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Self { idle: Mutex::default(), made: AtomicUsize::new(0), turns: Arc::new(Semaphore::new(WAITS_MAX)) }
    }

    /// A buffer for at most `bytes`.
    fn lend(self: &Arc<Self>, bytes: usize) -> Loan {
        if bytes <= SMALL_PIECE_BYTES {
            return Loan { buffer: vec![0; bytes].into(), filled: 0, of: None };
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let is_bounded = |made: usize| (made < BUFFERS_MAX).then_some(made + 1);
        let buffer = idle.or_else(|| {
            let made = self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_bounded);
            made.is_ok().then(|| vec![0; PIECE_BYTES].into())
        });
        match buffer {
            Some(buffer) => Loan { buffer, filled: 0, of: Some(Arc::clone(self)) },
            None => Loan { buffer: vec![0; SMALL_PIECE_BYTES].into(), filled: 0, of: None },
        }
    }
}

/// A buffer that goes back to where it is from.
#[derive(Debug)]
struct Loan {
    buffer: Box<[u8]>,
    filled: usize,
    of: Option<Arc<Buffers>>,
}

impl Loan {
    /// The octets that are in it; nothing is copied.
    fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(buffers) = self.of.take() {
            let buffer = std::mem::take(&mut self.buffer);
            buffers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }
}

/// A part of a file, being read.
pub(crate) struct FileRead {
    file: Arc<ObjectFile>,
    buffers: Arc<Buffers>,
    at: u64,
    end: u64,
    waiting: Option<BoxFuture<'static, io::Result<Loan>>>,
}

impl FileRead {
    /// The octets from `at` to `end`, which must be there.
    pub(crate) fn new(file: Arc<ObjectFile>, buffers: Arc<Buffers>, at: u64, end: u64) -> Self {
        Self { file, buffers, at, end, waiting: None }
    }

    /// All of `range`, if that is little and the system has it in memory: then nothing has to be set up to read it.
    pub(crate) fn at_once(file: &ObjectFile, range: &Range<u64>) -> Option<Bytes> {
        let bytes = usize::try_from(range.end - range.start).ok().filter(|bytes| *bytes <= SMALL_PIECE_BYTES)?;
        let mut octets = vec![0; bytes];
        let read = file.read_now(&mut octets, range.start).ok()??;
        (read == bytes).then(|| octets.into())
    }

    /// The next piece; `None` at the end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.waiting.is_none() {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            if left == 0 {
                return Poll::Ready(None);
            }
            let mut loan = self.buffers.lend(left);
            let wanted = left.min(loan.buffer.len());
            match self.file.read_now(&mut loan.buffer[..wanted], self.at) {
                Ok(Some(0)) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                Ok(Some(filled)) => {
                    loan.filled = filled;
                    return Poll::Ready(Some(Ok(self.take(loan))));
                }
                Ok(None) => self.waiting = Some(self.wait(loan, wanted)),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        let Some(waiting) = &mut self.waiting else { return Poll::Ready(None) };
        let read = ready!(Pin::new(waiting).poll(context));
        self.waiting = None;
        Poll::Ready(Some(read.map(|loan| self.take(loan))))
    }

    fn take(&mut self, loan: Loan) -> Bytes {
        self.at += loan.filled as u64;
        loan.into_bytes()
    }

    /// Reads from the disk, on another thread, in turn.
    fn wait(&self, mut loan: Loan, wanted: usize) -> BoxFuture<'static, io::Result<Loan>> {
        let (file, buffers, at) = (Arc::clone(&self.file), Arc::clone(&self.buffers), self.at);
        let read = async move {
            let turn = Arc::clone(&buffers.turns).acquire_owned().await.map_err(io::Error::other)?;
            let read = move || {
                // Kept to the end of the read, which goes on when its client has left.
                let _turn = turn;
                file.read_waiting(&mut loan.buffer[..wanted], at)?;
                loan.filled = wanted;
                Ok(loan)
            };
            tokio::task::spawn_blocking(read).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
        };
        read.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_bounded() {
        let buffers = Arc::new(Buffers::new());
        let loans: Vec<_> = (0..2 * BUFFERS_MAX).map(|_| buffers.lend(1 << 20)).collect();
        let large = loans.iter().filter(|loan| loan.buffer.len() == PIECE_BYTES).count();
        assert_eq!(large, BUFFERS_MAX);
        drop(loans);
        assert_eq!(buffers.idle.lock().unwrap().len(), BUFFERS_MAX);
        assert_eq!(buffers.lend(1 << 20).buffer.len(), PIECE_BYTES);
        assert_eq!(buffers.made.load(Ordering::Relaxed), BUFFERS_MAX);
    }
}
