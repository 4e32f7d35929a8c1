//! A listener with uploads of its own, for tests of the connections.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use ingest::Interim;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use super::{Health, Limits, Listener, Parts, Surface, Tls};
use crate::clock::SystemClock;
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;

/// Longest wait for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Octets of the answer at `/uploads/large`.
pub(super) const LARGE_BYTES: usize = 3 << 20;

/// Chunks of the answer at `/uploads/streamed`.
const STREAMED_CHUNKS: u32 = 50;

const HTTP1_HEADERS: [(&str, &str); 2] = [("connection", "keep-alive"), ("keep-alive", "timeout=5")];

/// What a handler saw of one body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It began to wait for the body.
    Began,
    /// So many octets and the value of the trailer `digest`; the body ended whole.
    Whole(usize, Option<String>),
    /// So many octets; the body broke off.
    BrokenOff(usize),
    /// Nobody waits for its answer any more.
    Left,
}

/// A listener, until dropped.
pub(super) struct Ground {
    pub(super) address: SocketAddr,
    pub(super) surface: Surface,
    pub(super) lifecycle: Lifecycle,
    pub(super) seen: mpsc::Receiver<Seen>,
    /// While false, `/uploads/gated` reads nothing.
    pub(super) gate: watch::Sender<bool>,
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.lifecycle.soft().cancel();
        self.lifecycle.hard().cancel();
    }
}

impl Ground {
    pub(super) async fn new() -> Self {
        Self::with(Limits { connections_max: 64, header_timeout: PATIENCE, ..Limits::default() }).await
    }

    pub(super) async fn with(limits: Limits) -> Self {
        Self::on(Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), limits).await.unwrap())
    }

    /// The same on a socket that others may share.
    pub(super) async fn shared() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::on(Listener::bind_shared(address, Limits::default()).await.unwrap())
    }

    /// The same over TLS.
    pub(super) async fn encrypted(tls: Tls) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let plain = Listener::bind(address, Limits::default()).await.unwrap();
        Self::on(plain.bind_tls(address, tls).await.unwrap())
    }

    fn on(listener: Listener) -> Self {
        let (saw, seen) = mpsc::channel(64);
        let (gate, is_open) = watch::channel(true);
        let (lifecycle, address) = (Lifecycle::new(), listener.address().unwrap());
        let surface = Surface::new(Parts {
            origin: None,
            edge: None,
            purge: None,
            ingest: Some(uploads(saw, is_open)),
            api: None,
            pages: None,
            health: Health::new(lifecycle.soft().clone(), Vec::new()),
            metrics: Arc::new(Metrics::new(Arc::default(), Arc::default(), Arc::default())),
            catalog: None,
            strangers: None,
            is_behind_tls: false,
            clock: Arc::new(SystemClock),
        });
        lifecycle.tracker().spawn(listener.run(surface.clone(), lifecycle.clone()));
        Self { address, surface, lifecycle, seen, gate }
    }

    /// What a handler saw next.
    pub(super) async fn next_seen(&mut self) -> Seen {
        tokio::time::timeout(PATIENCE, self.seen.recv()).await.expect("in time").expect("a handler")
    }
}

/// `announced` speaks first and reads then, `counted` reads first, `gated` waits before it reads,
/// `detached` reads in a task of its own, which outlives its client, `streamed` speaks while its answer is
/// under way, `endless/events` answers as long as somebody listens, `refused` reads nothing, `large` has much to
/// answer, `old-fashioned` answers with headers of HTTP/1.
fn uploads(saw: mpsc::Sender<Seen>, is_open: watch::Receiver<bool>) -> Router {
    let counted = saw.clone();
    let announced = saw.clone();
    let outliving = saw.clone();
    let endless = saw.clone();
    Router::new()
        .route("/uploads/announced", any(move |request| receive(request, true, announced.clone())))
        .route("/uploads/counted", any(move |request| receive(request, false, counted.clone())))
        .route(
            "/uploads/gated",
            any(move |request| {
                let (saw, mut is_open) = (saw.clone(), is_open.clone());
                async move {
                    is_open.wait_for(|is_open| *is_open).await.unwrap();
                    receive(request, false, saw).await
                }
            }),
        )
        .route("/uploads/detached", any(move |request| detached(receive(request, false, outliving.clone()))))
        .route("/uploads/streamed", get(streamed))
        .route("/uploads/endless/events", get(move || ready(unending(endless.clone()))))
        .route("/uploads/refused", any(async || (StatusCode::PAYLOAD_TOO_LARGE, "too large")))
        .route("/uploads/old-fashioned", get(async || (StatusCode::NO_CONTENT, HTTP1_HEADERS)))
        .route("/uploads/large", get(async || vec![7_u8; LARGE_BYTES]))
}

async fn receive(request: Request, is_announced: bool, saw: mpsc::Sender<Seen>) -> Response {
    let interim = request.extensions().get::<Interim>().cloned();
    let name = request.headers().get("x-name").cloned();
    let say = |key: &'static str, value: HeaderValue| {
        let mut headers = HeaderMap::from_iter([(HeaderName::from_static(key), value)]);
        headers.extend(name.clone().map(|name| (HeaderName::from_static("x-name"), name)));
        if let Some(interim) = &interim {
            interim.send(headers);
        }
    };
    if is_announced {
        say("location", HeaderValue::from_static("/uploads/upl_1"));
    }
    let _ = saw.try_send(Seen::Began);
    let (mut body, mut bytes, mut digest) = (request.into_body(), 0, None);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            let _ = saw.try_send(Seen::BrokenOff(bytes));
            return StatusCode::BAD_REQUEST.into_response();
        };
        if let Some(data) = frame.data_ref() {
            bytes += data.len();
            say("upload-offset", HeaderValue::from(bytes));
        }
        if let Some(trailers) = frame.trailers_ref() {
            digest = trailers.get("digest").and_then(|value| value.to_str().ok()).map(str::to_owned);
        }
    }
    let _ = saw.try_send(Seen::Whole(bytes, digest));
    let name = name.map(|name| [(HeaderName::from_static("x-name"), name)]);
    (StatusCode::CREATED, name.map(HeaderMap::from_iter).unwrap_or_default(), bytes.to_string()).into_response()
}

async fn detached(work: impl Future<Output = Response> + Send + 'static) -> Response {
    TaskTracker::new().spawn(work).await.unwrap()
}

fn unending(saw: mpsc::Sender<Seen>) -> Response {
    struct Listened(mpsc::Sender<Seen>);

    impl Drop for Listened {
        fn drop(&mut self) {
            let _ = self.0.try_send(Seen::Left);
        }
    }

    let listened = Listened(saw);
    let silence = futures::stream::pending().map(move |never: Result<Bytes, Infallible>| {
        let _ = &listened;
        never
    });
    Body::from_stream(silence).into_response()
}

async fn streamed(request: Request) -> Response {
    let interim = request.extensions().get::<Interim>().cloned();
    let chunks = futures::stream::unfold(0, move |number| {
        let interim = interim.clone();
        async move {
            if let Some(interim) = interim {
                interim.send(HeaderMap::new());
            }
            tokio::task::yield_now().await;
            let chunk = Bytes::from(format!("chunk {number};"));
            (number < STREAMED_CHUNKS).then_some((Ok::<_, Infallible>(chunk), number + 1))
        }
    });
    Body::from_stream(chunks).into_response()
}
