//! A socket on which frames go out together.
//!
//! h2 hands a frame over as soon as it is made, and flushes: for each 16 KiB of an answer that is a call into the
//! system, or with TLS a record and a small one for the frame's head. Here they are gathered while the connection is
//! polled, and go out at the end of that, or when there are enough.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets that are gathered at most: the kernel makes one segment of as many, and they stay in the processor's cache.
const BYTES_MAX: usize = 64 * 1024;

/// What h2 reads from and writes to.
pub(super) struct Gather<S>(Arc<Mutex<Gathered<S>>>);

/// Where what was gathered goes out.
pub(super) struct Outlet<S>(Arc<Mutex<Gathered<S>>>);

/// The socket is used by one task: nobody ever waits for the other end's lock.
struct Gathered<S> {
    socket: S,
    octets: Vec<u8>,
    /// How many of them are gone.
    gone_bytes: usize,
    /// Something was gathered since the last look.
    is_in_use: bool,
    is_flushed: bool,
    /// What became of octets whose writer was told that they are written.
    failed: Option<io::ErrorKind>,
}

/// Both ends of a socket.
pub(super) fn gather<S>(socket: S) -> (Gather<S>, Outlet<S>) {
    let octets = Vec::new();
    let gathered = Gathered { socket, octets, gone_bytes: 0, is_in_use: false, is_flushed: true, failed: None };
    let gathered = Arc::new(Mutex::new(gathered));
    (Gather(Arc::clone(&gathered)), Outlet(gathered))
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    fn check(&self) -> io::Result<()> {
        self.failed.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Writes what was gathered.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Ends when all is written: each turn writes some of it.
        while self.gone_bytes < self.octets.len() {
            let left = &self.octets[self.gone_bytes..];
            match ready!(Pin::new(&mut self.socket).poll_write(context, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.gone_bytes += written,
            }
        }
        self.octets.clear();
        self.gone_bytes = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        ready!(self.poll_written(context))?;
        if !self.is_flushed {
            ready!(Pin::new(&mut self.socket).poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_gather(&mut self, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.check()?;
        if self.octets.len() >= BYTES_MAX {
            ready!(self.poll_written(context))?;
        }
        if self.octets.capacity() == 0 {
            self.octets.reserve_exact(BYTES_MAX);
        }
        (self.is_in_use, self.is_flushed) = (true, false);
        let mut taken_bytes = 0;
        for piece in pieces {
            let taken = piece.len().min(BYTES_MAX - self.octets.len());
            self.octets.extend_from_slice(&piece[..taken]);
            taken_bytes += taken;
        }
        Poll::Ready(Ok(taken_bytes))
    }
}

impl<S: AsyncWrite + Unpin> Outlet<S> {
    /// Does something that reads and writes, and lets out what that has written whenever it waits, and at its end.
    pub(super) async fn during<T>(&self, what: impl Future<Output = T>) -> T {
        let mut what = pin!(what);
        std::future::poll_fn(|context| {
            let polled = what.as_mut().poll(context);
            self.let_out(context);
            polled
        })
        .await
    }

    fn let_out(&self, context: &mut Context<'_>) {
        let mut gathered = lock(&self.0);
        if gathered.failed.is_some() {
            return;
        }
        match gathered.poll_out(context) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                // Nobody keeps memory for what may never be said.
                if !std::mem::take(&mut gathered.is_in_use) {
                    gathered.octets = Vec::new();
                }
            }
            Poll::Ready(Err(error)) => {
                gathered.failed = Some(error.kind());
                // Whoever wrote it learns of it when it asks for more.
                context.waker().wake_by_ref();
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut gathered = lock(&self.0);
        gathered.check()?;
        Pin::new(&mut gathered.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_gather(context, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_gather(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Left to the outlet, after each look at the connection.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(lock(&self.0).check())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = lock(&self.0);
        ready!(gathered.poll_out(context))?;
        Pin::new(&mut gathered.socket).poll_shutdown(context)
    }
}

fn lock<S>(gathered: &Mutex<Gathered<S>>) -> MutexGuard<'_, Gathered<S>> {
    gathered.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_is_written_goes_out_together_when_its_writer_waits() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut socket, outlet) = gather(near);
        let mut heard = [0; 6];
        socket.write_all(b"one").await.unwrap();
        socket.flush().await.unwrap();
        let nothing = far.read(&mut heard);
        assert!(poll!(pin!(nothing)).is_pending());
        outlet.during(async { socket.write_all(b"two").await.unwrap() }).await;
        assert_eq!(far.read(&mut heard).await.unwrap(), 6);
        assert_eq!(&heard, b"onetwo");
        // The memory for it is gone at the second look.
        assert!(lock(&outlet.0).octets.capacity() > 0);
        outlet.during(std::future::ready(())).await;
        assert_eq!(lock(&outlet.0).octets.capacity(), 0);
    }

    #[tokio::test]
    async fn little_is_kept_for_a_client_that_does_not_read_and_all_arrives() {
        let (near, mut far) = tokio::io::duplex(1000);
        let (mut socket, outlet) = gather(near);
        let sent: Vec<u8> = (0..3 * BYTES_MAX).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let write = outlet.during(async {
            for piece in sent.chunks(16_393) {
                socket.write_all(piece).await.unwrap();
            }
            socket.shutdown().await.unwrap();
        });
        let read = async {
            tokio::task::yield_now().await;
            assert!(lock(&outlet.0).octets.capacity() <= BYTES_MAX);
            let mut heard = Vec::new();
            far.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let (_, heard) = tokio::join!(write, read);
        assert!(heard == sent);
    }

    #[tokio::test]
    async fn a_socket_that_breaks_later_is_told_to_whoever_wrote_and_reads() {
        let (near, far) = tokio::io::duplex(1000);
        let (mut socket, outlet) = gather(near);
        outlet.during(async { socket.write_all(&[7; 2000]).await.unwrap() }).await;
        drop(far);
        let read = outlet.during(async {
            // The outlet finds out, and asks for another look.
            tokio::task::yield_now().await;
            socket.read_u8().await
        });
        assert_eq!(read.await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(socket.write_all(b"more").await.is_err());
    }
}
