//! HTTP/1 connections: hyper's, on a socket that can speak before the answer.

mod linger;
mod wire;

use std::pin::pin;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use self::wire::Wire;
use super::listener::{HEADERS_MAX, Limits};
use super::surface::Surface;
use crate::lifecycle::Lifecycle;

/// Octets that are read at once when a client sends as many: each piece of a body is handed from one
/// task to another. hyper bounds heads by the same figure; the surface refuses those that are too large
/// for anybody.
const READ_BYTES_MAX: usize = 256 * 1024;

/// Serves one connection until it ends; after a soft stop, until its request is answered.
pub(super) async fn serve(stream: TcpStream, surface: Surface, lifecycle: &Lifecycle, limits: Limits) {
    let (wire, speaker) = Wire::new(stream);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(speaker.watch(body)));
        let speech = speaker.offer(&mut request);
        let answer = Box::pin(surface.clone().answer(request));
        async move {
            let response = answer.await;
            // From here on the answer may be written: nothing comes before it any more.
            drop(speech);
            response
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(READ_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .half_close(false);
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
