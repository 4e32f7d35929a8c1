//! Clients that take their answers too slowly: each holds memory and a connection for as long as it likes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Time over which a client is judged. Long, since the system's buffer for a socket takes octets again only when a
/// good part of it is empty: seen from here, a slow client takes nothing for a while and then much.
pub(super) const WINDOW: Duration = Duration::from_secs(120);

/// How long the end of a connection may take: with TLS there is a last word, which the far end has to take.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// A socket whose far end has to take what is written to it at some rate.
#[derive(Debug)]
pub(super) struct Draining<S> {
    socket: S,
    /// Octets per second; 0 for no bound.
    rate_min: u64,
    window: Option<Window>,
    /// Runs once the end has begun and has to wait.
    close: Option<Pin<Box<Sleep>>>,
}

/// What happened since the window began.
#[derive(Debug)]
struct Window {
    end: Pin<Box<Sleep>>,
    written_bytes: u64,
    /// Time in which the far end took nothing although there was something for it.
    blocked: Duration,
    blocked_since: Option<Instant>,
}

impl<S> Draining<S> {
    /// Wraps a socket.
    pub(super) fn new(socket: S, rate_min: u64) -> Self {
        Self { socket, rate_min, window: None, close: None }
    }

    /// Takes notice of an attempt to write.
    fn judge(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.rate_min == 0 {
            return written;
        }
        match &written {
            Poll::Ready(Ok(bytes)) => {
                if let Some(window) = &mut self.window {
                    window.written_bytes += *bytes as u64;
                    window.unblock();
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending if self.is_too_slow(context) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_too_slow(&mut self, context: &mut Context<'_>) -> bool {
        let window = self.window.get_or_insert_with(|| Window {
            end: Box::pin(sleep(WINDOW)),
            written_bytes: 0,
            blocked: Duration::ZERO,
            blocked_since: None,
        });
        window.blocked_since.get_or_insert_with(Instant::now);
        if window.end.as_mut().poll(context).is_pending() {
            return false;
        }
        window.unblock();
        // Only the time counts in which there was something to take: between two requests nobody is slow.
        let is_long = window.blocked >= WINDOW / 2;
        let owed = window.blocked.as_millis() * u128::from(self.rate_min) / 1000;
        let is_too_slow = is_long && u128::from(window.written_bytes) < owed;
        (window.written_bytes, window.blocked, window.blocked_since) = (0, Duration::ZERO, Some(Instant::now()));
        window.end.as_mut().reset(Instant::now() + WINDOW);
        // Leaves word for the end of the next window.
        let _ = window.end.as_mut().poll(context);
        is_too_slow
    }
}

impl Window {
    fn unblock(&mut self) {
        if let Some(since) = self.blocked_since.take() {
            self.blocked += since.elapsed();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Draining<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Draining<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, octets);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // With TLS it is here that octets go out.
        let flushed = Pin::new(&mut self.socket).poll_flush(context);
        match self.judge(context, flushed.map_ok(|()| 0)) {
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.socket).poll_shutdown(context);
        if closed.is_ready() {
            return closed;
        }
        let close = self.close.get_or_insert_with(|| Box::pin(sleep(CLOSE_MAX)));
        close.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const RATE: u64 = 1000;

    /// What comes of `bytes` that are written to a far end that does this.
    async fn written<F: Future<Output = ()>>(
        bytes: usize,
        far_end: impl FnOnce(DuplexStream) -> F,
    ) -> (io::Result<()>, Duration) {
        let (near, far) = tokio::io::duplex(100);
        let begun = Instant::now();
        let mut socket = Draining::new(near, RATE);
        let write = async move {
            let result = socket.write_all(&vec![7; bytes]).await;
            drop(socket);
            (result, begun.elapsed())
        };
        tokio::join!(write, far_end(far)).0
    }

    /// Reads so many octets every second, until the end.
    async fn read_each_second(mut far: DuplexStream, bytes: usize) {
        let mut buffer = vec![0; bytes];
        while far.read_exact(&mut buffer).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_off() {
        let (result, took) = written(10_000, async |far| {
            sleep(10 * WINDOW).await;
            drop(far);
        })
        .await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(took.as_secs(), WINDOW.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_too_little_is_cut_off_and_one_that_takes_enough_is_not() {
        let (result, _) = written(1_000_000, |far| read_each_second(far, 500)).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (result, _) = written(1_000_000, |far| read_each_second(far, 2000)).await;
        assert!(result.is_ok());
    }

    /// A far end that never takes the last word.
    struct Deaf;

    impl AsyncWrite for Deaf {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(octets.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_take_the_last_word_is_left_whatever_the_rate() {
        for rate_min in [0, RATE] {
            let begun = Instant::now();
            let mut socket = Draining::new(Deaf, rate_min);
            let closed = tokio::time::timeout(10 * CLOSE_MAX, socket.shutdown()).await.expect("a bound");
            assert_eq!((closed.unwrap_err().kind(), begun.elapsed()), (io::ErrorKind::TimedOut, CLOSE_MAX));
        }
    }
}
