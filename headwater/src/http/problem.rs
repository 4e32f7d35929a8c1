//! Answers that say what went wrong, as RFC 9457 problem documents.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};

/// A problem document: a stable `code` for programs and a sentence for people.
pub(super) fn problem(status: StatusCode, code: &str, detail: &str) -> Response<Body> {
    let document = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("error"),
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
    });
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
