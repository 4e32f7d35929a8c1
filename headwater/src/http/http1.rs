//! HTTP/1 connections: hyper's, on a socket that can speak before the answer.
//!
//! hyper keeps buffers of 16 KiB for as long as it has a connection. One on which nothing is asked for a while is taken
//! back from it, and given to it again with the first octets of the next request; where it has many, as soon as it has
//! answered.

mod awake;
mod linger;
mod patience;
mod wire;

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::task::Poll;

use axum::body::{Body, Bytes};
use futures::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use origin::access::Peer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

pub(super) use self::awake::Awake;
use self::patience::{Patience, Phase, Sent};
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
    /// Nothing has been asked for a while.
    Rests,
    /// The first octets have come.
    Begun,
}

/// Serves one connection until it ends; after a soft stop, until its request is answered. One on which nothing has come
/// yet ends when `leaving` is cancelled.
pub(super) async fn serve<S>(
    stream: S,
    peer: Peer,
    surface: Surface,
    (lifecycle, leaving): &Stops,
    limits: Limits,
    awake: Awake,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let patience = Patience::new(&limits, awake.clone());
    let phase = patience.phase();
    let (mut wire, speaker) = Wire::new(Draining::new(stream, limits.drain_rate_min), patience);
    let service_phase = phase.clone();
    let mut service = service_fn(move |mut request: Request<Incoming>| {
        let at_hand = service_phase.begin();
        if request.uri().path().starts_with("/t/") {
            request.extensions_mut().insert(peer);
        }
        let at_once = surface.answer_at_once(&request);
        let mut request = request.map(|body| speaker.watch(body));
        if let Some(response) = at_once {
            return Either::Left(ready(Ok::<_, Infallible>(response.map(|body| Sent { body, _at_hand: at_hand }))));
        }
        request.extensions_mut().insert(peer);
        let speech = speaker.offer(&mut request);
        let answer = Box::pin(surface.clone().answer(request.map(Body::new)));
        Either::Right(async move {
            let response = answer.await;
            // From here on the answer may be written: nothing comes before it any more.
            drop(speech);
            response.map(|response| response.map(|body| Sent { body, _at_hand: at_hand }))
        })
    });
    // Ends with the connection: each turn waits for a request, and answers it.
    while let Some(rested) = awake.during(busy(wire, service, &phase, (lifecycle, leaving))).await {
        (wire, service) = rested;
        if !rest(&mut wire, lifecycle).await {
            return;
        }
    }
}

/// Serves requests until none has come for a while: then the socket is given back. `None` at the connection's end.
async fn busy<S, T>(
    wire: Wire<S>,
    service: T,
    phase: &Phase,
    (lifecycle, leaving): (&Lifecycle, &CancellationToken),
) -> Option<(Wire<S>, T)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: Service<Request<Incoming>, Response = Response<Sent>, Error = Infallible>,
{
    let mut builder = http1::Builder::new();
    // Header lines are bounded by hyper itself, at 100: told a bound, it clears room for them at each request.
    builder.max_buf_size(READ_BYTES_MAX).half_close(false);
    // In a place of its own, which is free again while the connection rests.
    let mut served = Box::new(builder.serve_connection(TokioIo::new(wire), service));
    let mut is_draining = false;
    // Ends with the connection, or when it rests.
    loop {
        let is_new = phase.is_new();
        let next = poll_fn(|context| match Pin::new(&mut *served).poll(context) {
            Poll::Ready(ended) => Poll::Ready(Turn::Ended(ended)),
            Poll::Pending if phase.is_resting() => Poll::Ready(Turn::Rests),
            Poll::Pending if is_new && !phase.is_new() => Poll::Ready(Turn::Begun),
            Poll::Pending => Poll::Pending,
        });
        let stop = if is_new { leaving } else { lifecycle.soft() };
        // What lies in the socket is read before it is stopped: hyper closes a connection of which it has read nothing.
        tokio::select! {
            biased;
            turn = next => match turn {
                Turn::Begun => {}
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
            () = stop.cancelled(), if !is_draining => {
                is_draining = true;
                Pin::new(&mut *served).graceful_shutdown();
            }
        }
    }
}

/// Waits for the next request without the buffers that one takes; false when the connection is over.
async fn rest<S>(wire: &mut Wire<S>, lifecycle: &Lifecycle) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let has_more = tokio::select! {
        biased;
        heard = poll_fn(|context| wire.poll_heard(context)) => heard.unwrap_or_else(|error| {
            tracing::debug!(%error, "connection ended");
            false
        }),
        () = lifecycle.soft().cancelled() => false,
    };
    if !has_more {
        // Whatever comes of it, nobody waits for anything.
        let _ = wire.shutdown().await;
    }
    has_more
}

#[cfg(test)]
mod tests;
