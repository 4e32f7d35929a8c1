//! HTTP/2 connections, with prior knowledge: h2's frames and streams under rules of our own.
//!
//! hyper's server hides what an upload server needs: interim responses, and a reset that is told apart
//! from an end. Everything that is HTTP/2 itself is h2's.

mod body;
mod gather;
mod stream;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection};
use h2::{Ping, PingPong, Reason};
use origin::access::Peer;
use tokio::io::{AsyncRead, AsyncWrite};

use self::gather::{Gather, Outlet, gather};
use super::drain::{Draining, WINDOW};
use super::listener::{HEAD_BYTES_MAX, Limits};
use super::surface::Surface;
use crate::lifecycle::Lifecycle;

/// What every HTTP/2 client says first.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Concurrent streams of one connection.
const STREAMS_MAX: u32 = 128;

/// What a client may send on one stream ahead of us: at 200 ms there and back, 20 MiB/s.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;

/// The same for all streams of a connection, and so the most that unread bodies can hold.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Largest frame taken: the protocol's own figure, which clients hardly use more than. A frame is gathered whole
/// before anybody sees it.
const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// Small frames that may wait to be read, each of which costs more than its octets. Many slow uploads
/// share a connection behind a proxy; h2's own bound of 100 would cut them all off.
const SMALL_FRAMES_MAX: usize = 4096;

/// h2 counts what a frame lacks of this many octets.
const SMALL_FRAME_BYTES: usize = 256;

/// A silent client is asked for a sign of life this often.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// And has this long to give one.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Whether anything came from the client since the last look. Cheap to clone.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<AtomicBool>);

impl Heard {
    fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Serves one connection until it ends; after a soft stop, until its requests are answered.
pub(super) async fn serve<S>(socket: S, peer: Peer, surface: Surface, lifecycle: &Lifecycle, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (socket, outlet) = gather(Draining::new(socket, limits.drain_rate_min));
    let handshake = outlet.during(builder().handshake::<_, Bytes>(socket));
    let shaken = tokio::time::timeout(limits.header_timeout, handshake).await;
    let connection = match shaken {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%error, "no HTTP/2 handshake"),
        Err(_) => return tracing::debug!("no HTTP/2 handshake in time"),
    };
    accept(connection, outlet, peer, surface, lifecycle, limits).await;
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .data_frame_budget(SMALL_FRAMES_MAX * SMALL_FRAME_BYTES);
    builder
}

async fn accept<S>(
    mut connection: Connection<Gather<S>, Bytes>,
    outlet: Outlet<S>,
    peer: Peer,
    surface: Surface,
    lifecycle: &Lifecycle,
    limits: Limits,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(pings) = connection.ping_pong() else { return };
    let heard = Heard::default();
    let room_timeout = (limits.drain_rate_min > 0).then_some(WINDOW);
    let mut death = pin!(death(pings, heard.clone()));
    let mut silence = pin!(tokio::time::sleep(limits.header_timeout));
    let (mut has_asked, mut is_draining) = (false, false);
    // Ends with the connection. No lost branch loses anything: what was not accepted is still queued.
    loop {
        tokio::select! {
            accepted = outlet.during(connection.accept()) => match accepted {
                Some(Ok((mut request, reply))) => {
                    request.extensions_mut().insert(peer);
                    has_asked = true;
                    heard.note();
                    let stream = stream::answer(request, reply, surface.clone(), heard.clone(), room_timeout);
                    let hard = lifecycle.hard().clone();
                    // A hard stop drops the request; what was acknowledged on it is durable.
                    lifecycle.tracker().spawn(async move { hard.run_until_cancelled(stream).await });
                }
                Some(Err(error)) => return tracing::debug!(%error, "connection ended"),
                None => return,
            },
            () = lifecycle.soft().cancelled(), if !is_draining => {
                is_draining = true;
                connection.graceful_shutdown();
            }
            () = death.as_mut() => return tracing::debug!("the client gives no sign of life"),
            () = silence.as_mut(), if !has_asked => {
                has_asked = true;
                connection.abrupt_shutdown(Reason::NO_ERROR);
            }
        }
    }
}

/// Done when the client is silent and does not answer a ping either.
async fn death(mut pings: PingPong, heard: Heard) {
    // Ends with the client, or is dropped with the connection.
    loop {
        tokio::time::sleep(PING_INTERVAL).await;
        if heard.take() {
            continue;
        }
        if pings.send_ping(Ping::opaque()).is_err() {
            return;
        }
        // An answer may have to wait behind the body that the client is sending: that is a sign, too.
        while !matches!(
            tokio::time::timeout(PING_TIMEOUT, poll_fn(|context| pings.poll_pong(context))).await,
            Ok(Ok(_))
        ) {
            if !heard.take() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
