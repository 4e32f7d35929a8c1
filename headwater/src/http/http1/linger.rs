//! The end of a connection on which the client may still be sending.
//!
//! A socket that is closed with unread octets in it, or that more octets come to, is reset, and a reset takes the
//! answer away from a client that has not read it yet. A refusal in the middle of a long body would be lost. So the
//! server says that it has no more to say, and for a while takes what still comes without looking at it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What is taken at most: much more than a client sends before it can have read the answer.
const BYTES_MAX: u64 = 64 << 20;
/// How long it is taken at most.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Silence after which the client is taken to have gone.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// What is taken at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// Takes what still comes.
#[derive(Debug)]
pub(super) struct Linger {
    end: Pin<Box<Sleep>>,
    silence: Pin<Box<Sleep>>,
    bytes_left: u64,
    buffer: Box<[u8]>,
}

impl Linger {
    pub(super) fn begin() -> Self {
        Self {
            end: Box::pin(sleep(TIME_MAX)),
            silence: Box::pin(sleep(SILENCE_MAX)),
            bytes_left: BYTES_MAX,
            buffer: vec![0; BUFFER_BYTES].into(),
        }
    }

    /// Done when the client has gone, or was given enough.
    pub(super) fn poll<S: AsyncRead + Unpin>(&mut self, socket: &mut S, context: &mut Context<'_>) -> Poll<()> {
        // Ends with the client or a bound; each turn takes octets off the one that counts them.
        while self.bytes_left > 0 && self.end.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut self.buffer);
            match Pin::new(&mut *socket).poll_read(context, &mut buffer) {
                Poll::Pending => return self.silence.as_mut().poll(context),
                Poll::Ready(Err(_)) => break,
                Poll::Ready(Ok(())) => match buffer.filled().len() {
                    0 => break,
                    taken => self.bytes_left = self.bytes_left.saturating_sub(taken as u64),
                },
            }
            self.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, DuplexStream};

    use super::*;

    /// How long the near end stays beside a far end that does this.
    async fn lingered<F: Future<Output = ()>>(far_end: impl FnOnce(DuplexStream) -> F) -> Duration {
        let (mut near, far) = tokio::io::duplex(4096);
        let begun = Instant::now();
        let mut linger = Linger::begin();
        let lingering = async move {
            poll_fn(|context| linger.poll(&mut near, context)).await;
            begun.elapsed()
        };
        tokio::join!(lingering, far_end(far)).0
    }

    #[tokio::test(start_paused = true)]
    async fn it_lasts_as_long_as_the_client_is_there_and_within_bounds() {
        assert_eq!(lingered(async |far| drop(far)).await, Duration::ZERO);
        let silent = async |far: DuplexStream| {
            sleep(2 * TIME_MAX).await;
            drop(far);
        };
        assert_eq!(lingered(silent).await.as_secs(), SILENCE_MAX.as_secs());
        let dripping = async |mut far: DuplexStream| {
            while far.write_all(b"x").await.is_ok() {
                sleep(SILENCE_MAX / 2).await;
            }
        };
        assert_eq!(lingered(dripping).await.as_secs(), TIME_MAX.as_secs());
        let flooding = async |mut far: DuplexStream| {
            let mut sent = 0;
            while far.write_all(&[7; 4096]).await.is_ok() {
                sent += 4096;
            }
            assert!((BYTES_MAX..BYTES_MAX + 16_384).contains(&sent), "{sent}");
        };
        assert!(lingered(flooding).await < TIME_MAX);
    }
}
