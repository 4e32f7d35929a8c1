//! What belongs to uploads below `/api/v1`: capabilities and imports.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, post};
use domain::{members, misfit};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{Denial, State, UploadError, grant, grants, import};

/// Every route with its methods.
pub const ROUTES: &[(&str, &[&str])] = &[
    ("/api/v1/imports", &["post"]),
    ("/api/v1/upload-grants", &["get", "post"]),
    ("/api/v1/upload-grants/{id}", &["delete", "get"]),
];

/// Longest document of a request.
const DOCUMENT_BYTES_MAX: usize = 16 << 10;
/// Time for all of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves [`ROUTES`].
pub fn api(state: State) -> Router {
    let only = |allowed: &'static str| move || std::future::ready(UploadError::Method { allowed });
    let grants = post(grant::create).get(grants::list).fallback(only("GET, HEAD, POST"));
    let grant = delete(grant::revoke).get(grants::show).fallback(only("GET, HEAD, DELETE"));
    Router::new()
        .route("/api/v1/imports", post(import::create).fallback(only("POST")))
        .route("/api/v1/upload-grants", grants)
        .route("/api/v1/upload-grants/{id}", grant)
        .layer(middleware::from_fn(with_instance))
        .with_state(state)
}

/// Adds to a problem document what it is about, as the other documents of the API have it.
async fn with_instance(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    if response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != "application/problem+json") {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // Our own, a few sentences.
    let document = to_bytes(body, DOCUMENT_BYTES_MAX).await.unwrap_or_default();
    let mut fields: serde_json::Map<_, _> = serde_json::from_slice(&document).unwrap_or_default();
    fields.insert("instance".into(), path.into());
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, serde_json::Value::Object(fields).to_string().into())
}

/// The JSON document in a body.
pub(crate) async fn document<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, UploadError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // A page of another origin cannot send this type without asking first.
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Denial::NotJson.into());
    }
    let octets = octets(headers, body).await?;
    // An object and nothing else: serde would take a list for the fields in their order.
    members::object(&octets).and_then(misfit::read).map_err(|misfit| {
        let reason = format!("the document is not understood: {}", misfit.plain());
        match misfit.fault() {
            Some(fault) => Denial::Invalid { reason, fault }.into(),
            None => Denial::Malformed { reason }.into(),
        }
    })
}

/// A whole body, of bounded size and time.
async fn octets(headers: &HeaderMap, body: Body) -> Result<Bytes, Denial> {
    let too_large = Denial::BodyTooLarge { bytes_max: DOCUMENT_BYTES_MAX };
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| usize::try_from(bytes).map_or(true, |bytes| bytes > DOCUMENT_BYTES_MAX)) {
        return Err(too_large);
    }
    match timeout(PATIENCE, Limited::new(body, DOCUMENT_BYTES_MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large),
        Ok(Err(_)) => Err(Denial::Malformed { reason: "the body was cut off".to_owned() }),
        Err(_) => Err(Denial::BodyTooSlow { patience: PATIENCE }),
    }
}
