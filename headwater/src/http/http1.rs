//! HTTP/1 connections: hyper's, on a socket that can speak before the answer.

mod linger;
mod patience;
mod wire;

use std::convert::Infallible;
use std::future::ready;
use std::pin::pin;

use axum::body::Body;
use futures::future::Either;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use origin::access::Peer;
use tokio::io::{AsyncRead, AsyncWrite};

use self::patience::{Patience, Sent};
use self::wire::Wire;
use super::drain::Draining;
use super::listener::Limits;
use super::surface::Surface;
use crate::lifecycle::Lifecycle;

/// Octets that are read at once when a client sends as many: each piece of a body is handed from one
/// task to another. hyper bounds heads by the same figure; the surface refuses those that are too large
/// for anybody.
const READ_BYTES_MAX: usize = 256 * 1024;

/// Serves one connection until it ends; after a soft stop, until its request is answered.
pub(super) async fn serve<S>(stream: S, peer: Peer, surface: Surface, lifecycle: &Lifecycle, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let patience = Patience::new(limits.header_timeout, limits.idle_timeout);
    let phase = patience.phase();
    let (wire, speaker) = Wire::new(Draining::new(stream, limits.drain_rate_min), patience);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let at_hand = phase.begin();
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
    let mut builder = http1::Builder::new();
    // Header lines are bounded by hyper itself, at 100: told a bound, it clears room for them at each request.
    builder.max_buf_size(READ_BYTES_MAX).half_close(false);
    let mut served = pin!(builder.serve_connection(TokioIo::new(wire), service));
    let mut is_draining = false;
    // Ends with the connection.
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = lifecycle.soft().cancelled(), if !is_draining => {
                is_draining = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests;
