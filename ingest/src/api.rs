//! What belongs to uploads below `/api/v1`: capabilities and imports.

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};
use axum::routing::{delete, post};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;

use crate::{Denial, State, UploadError, grant, import};

/// Every route with its methods.
pub const ROUTES: &[(&str, &[&str])] = &[
    ("/api/v1/imports", &["post"]),
    ("/api/v1/upload-grants", &["post"]),
    ("/api/v1/upload-grants/{id}", &["delete"]),
];

/// Longest document of a request.
const DOCUMENT_BYTES_MAX: usize = 16 << 10;

/// Serves [`ROUTES`].
pub fn api(state: State) -> Router {
    let not_allowed = |allowed: Method| async move {
        let allowed = if allowed == Method::DELETE { "DELETE" } else { "POST" };
        UploadError::Method { allowed }
    };
    Router::new()
        .route("/api/v1/imports", post(import::create).fallback(move || not_allowed(Method::POST)))
        .route("/api/v1/upload-grants", post(grant::create).fallback(move || not_allowed(Method::POST)))
        .route("/api/v1/upload-grants/{id}", delete(grant::revoke).fallback(move || not_allowed(Method::DELETE)))
        .with_state(state)
}

/// The JSON document in a body.
pub(crate) async fn document<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, UploadError> {
    let malformed = |reason: String| UploadError::from(Denial::Malformed { reason });
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // A page of another origin cannot send this type without asking first.
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(malformed("send the document as Content-Type: application/json".into()));
    }
    let collected = Limited::new(body, DOCUMENT_BYTES_MAX).collect().await;
    let octets = collected.map_err(|error| malformed(format!("the document cannot be read: {error}")))?.to_bytes();
    // An object and nothing else: serde would take a list for the fields in their order.
    let object: serde_json::Result<serde_json::Map<_, _>> = serde_json::from_slice(&octets);
    let document = object.and_then(|object| serde_json::from_value(serde_json::Value::Object(object)));
    document.map_err(|error| malformed(format!("the document is not understood: {error}")))
}
