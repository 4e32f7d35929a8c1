//! HTTP/1 connections: hyper's while a request is at hand, on a socket that can speak before the answer.
//!
//! hyper keeps buffers of 16 KiB for as long as it has a connection. It has one only for a request whose answer is not
//! ready: the connection is taken back from it when that is answered, and listened to without memory ([`quick`]).

mod linger;
mod patience;
mod quick;
mod unread;
mod wire;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use axum::body::{Body, Bytes};
use http::{HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use origin::access::Peer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use self::patience::{Patience, Phase, Sent};
use self::quick::{Next, Quick};
use self::wire::Wire;
use super::drain::Draining;
use super::listener::{Limits, Stops};
use super::surface::Surface;
use crate::lifecycle::Lifecycle;

/// Octets that are read at once when a client sends as many: each piece of a body is handed from one
/// task to another. hyper bounds heads by the same figure; the surface refuses those that are too large
/// for anybody.
const READ_BYTES_MAX: usize = 256 * 1024;

/// What becomes of a connection that hyper has.
enum Turn {
    Ended(hyper::Result<()>),
    /// What was asked for is answered.
    Rests,
}

/// Serves one connection until it ends; after a soft stop, until its request is answered. One on which nothing has come
/// yet ends when `leaving` is cancelled.
pub(super) async fn serve<S>(stream: S, peer: Peer, surface: Surface, stops: &Stops, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let patience = Patience::new(&limits);
    let phase = patience.phase();
    let mut quick = Quick::new(surface.clone(), peer, phase.clone());
    let (mut wire, speaker) = Wire::new(Draining::new(stream, limits.drain_rate_min), patience);
    let service_phase = phase.clone();
    let mut service = service_fn(move |request: Request<Incoming>| {
        let at_hand = service_phase.begin();
        let is_on_its_way = !request.headers().contains_key(header::EXPECT);
        let unread = speaker.unread().clone();
        let mut request = request.map(|body| speaker.watch(body));
        request.extensions_mut().insert(peer);
        let speech = speaker.offer(&mut request);
        let answer = Box::pin(surface.clone().answer(request.map(Body::new)));
        async move {
            let Ok(mut response) = answer.await;
            // From here on the answer may be written: nothing comes before it any more.
            drop(speech);
            if unread.is_due() && !unread.settled(is_on_its_way).await {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Sent { body, _at_hand: at_hand }))
        }
    });
    // Ends with the connection: each turn waits for a request, and answers it.
    loop {
        let is_endless = match listen(&mut wire, &mut quick, &phase, stops).await {
            Ok(Next::Request { is_endless }) => is_endless,
            Ok(Next::End) => {
                // Whatever comes of it, nobody waits for anything.
                let _ = wire.shutdown().await;
                return;
            }
            Err(error) => return tracing::debug!(%error, "connection ended"),
        };
        match Box::pin(answer(wire, service, is_endless, &phase, &stops.0)).await {
            Some(rested) => (wire, service) = rested,
            None => return,
        }
    }
}

/// Waits for a request without the buffers that one takes, and answers those that are ready.
async fn listen<S>(
    wire: &mut Wire<S>,
    quick: &mut Quick,
    phase: &Phase,
    (lifecycle, leaving): &Stops,
) -> io::Result<Next>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if phase.is_new() && !quick::heard(wire, pin!(leaving.cancelled())).await {
        return Ok(Next::End);
    }
    quick.answer_all(wire, lifecycle.soft()).await
}

/// Has hyper answer the request that is heard, and those that came with it. The socket is given back when nothing more
/// is asked for; `None` at the connection's end.
async fn answer<S, T>(
    wire: Wire<S>,
    service: T,
    is_endless: bool,
    phase: &Phase,
    lifecycle: &Lifecycle,
) -> Option<(Wire<S>, T)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: Service<Request<Incoming>, Response = Response<Sent>, Error = Infallible>,
{
    let mut builder = http1::Builder::new();
    // Header lines are bounded by hyper itself, at 100: told a bound, it clears room for them at each request.
    // A client may have said all it has to say (RFC 9112 §9.6) and wait for its answer. One of a stream that never ends
    // is looked at until it goes: nobody would notice before the next event.
    builder.max_buf_size(READ_BYTES_MAX).half_close(!is_endless);
    // Whoever asks after a stop is told that it is the last time.
    builder.keep_alive(!lifecycle.soft().is_cancelled());
    // In a place of its own, which is free again while the connection rests.
    let mut served = Box::new(builder.serve_connection(TokioIo::new(wire), service));
    let mut is_draining = false;
    // Ends with the connection, or when it rests.
    loop {
        let next = poll_fn(|context| match Pin::new(&mut *served).poll(context) {
            Poll::Ready(ended) => Poll::Ready(Turn::Ended(ended)),
            Poll::Pending if phase.is_resting() => Poll::Ready(Turn::Rests),
            Poll::Pending => Poll::Pending,
        });
        // What lies in the socket is read before it is stopped: hyper closes a connection of which it has read nothing.
        tokio::select! {
            biased;
            turn = next => match turn {
                Turn::Ended(ended) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended");
                    }
                    return None;
                }
                Turn::Rests => {
                    let Parts { io, read_buf, service, .. } = served.into_parts();
                    let mut wire = io.into_inner();
                    // Not the buffer itself, which is as large when there is nothing in it.
                    wire.unread(Bytes::copy_from_slice(&read_buf));
                    return Some((wire, service));
                }
            },
            () = lifecycle.soft().cancelled(), if !is_draining => {
                is_draining = true;
                Pin::new(&mut *served).graceful_shutdown();
            }
        }
    }
}

/// Writes a header line with its end.
fn line(head: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests;
