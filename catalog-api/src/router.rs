//! The whole HTTP surface of this crate.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use catalog_store::Catalog;
use domain::Clock;
use http::header;
use media_store::MediaStore;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::body::BODIES_MAX;
use crate::problem::Problem;
use crate::{assets, chapters, events, markers, problem, reprocess, subtitles};

/// Event streams that may be open at the same time; one more is told to come back later.
const STREAMS_MAX: usize = 512;

/// Every route with its methods; HEAD is answered wherever GET is.
pub const ROUTES: &[(&str, &[&str])] = &[
    ("/api/v1/assets", &["get"]),
    ("/api/v1/assets/{id}", &["get", "delete"]),
    ("/api/v1/assets/{id}/subtitles", &["get", "post"]),
    ("/api/v1/assets/{id}/subtitles/{subtitle}", &["get", "delete"]),
    ("/api/v1/assets/{id}/chapters", &["get", "put", "delete"]),
    ("/api/v1/assets/{id}/markers", &["get", "put", "delete"]),
    ("/api/v1/assets/{id}/reprocess", &["post"]),
    ("/api/v1/events", &["get"]),
    ("/api/v1/openapi.json", &["get"]),
];

/// What the handlers work with.
#[derive(Clone)]
pub struct State {
    pub(crate) catalog: Catalog,
    pub(crate) store: MediaStore,
    pub(crate) clock: Arc<dyn Clock>,
    /// Ends the event streams, so that a shutdown need not wait for them.
    pub(crate) shutdown: CancellationToken,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) bodies: Arc<Semaphore>,
}

impl State {
    /// The API over this catalogue; event streams end when `shutdown` is cancelled.
    pub fn new(catalog: Catalog, store: MediaStore, clock: Arc<dyn Clock>, shutdown: CancellationToken) -> Self {
        let (streams, bodies) = (Arc::new(Semaphore::new(STREAMS_MAX)), Arc::new(Semaphore::new(BODIES_MAX)));
        Self { catalog, store, clock, shutdown, streams, bodies }
    }
}

/// Answers everything below `/api`; paths it does not know with a problem document.
pub fn router(state: State) -> Router {
    Router::new()
        .route("/api/v1/assets", get(assets::list))
        .route("/api/v1/assets/{id}", get(assets::show).delete(assets::delete))
        .route("/api/v1/assets/{id}/subtitles", get(subtitles::list).post(subtitles::add))
        .route("/api/v1/assets/{id}/subtitles/{subtitle}", get(subtitles::show).delete(subtitles::remove))
        .route("/api/v1/assets/{id}/chapters", get(chapters::show).put(chapters::set).delete(chapters::unset))
        .route("/api/v1/assets/{id}/markers", get(markers::show).put(markers::set).delete(markers::unset))
        .route("/api/v1/assets/{id}/reprocess", post(reprocess::begin))
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/openapi.json", get(openapi))
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn(problem::render))
        .with_state(state)
}

async fn openapi() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, include_str!("../openapi.json")).into_response()
}
