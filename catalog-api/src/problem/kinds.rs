//! What problems are called by, and what that address answers (RFC 9457 §3.1.1).

use std::borrow::Cow;

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::titles::{self, Tongue};
use super::{Problem, say_tongue};

/// Of problems that say no more than their status.
pub(super) const NONE: &str = "about:blank";
/// Of bounds that were reached, whose names the problem tells (draft-ietf-httpapi-ratelimit-headers, "Quota Exceeded").
pub(super) const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// The type of the problems with a code: an address on this server.
pub(super) fn of(code: &str) -> Cow<'static, str> {
    if titles::title(code, Tongue::English).is_some() { format!("/api/problems/{code}").into() } else { NONE.into() }
}

/// What is to be known of the problems with a code.
pub(crate) async fn show(path: Result<Path<String>, PathRejection>, asked: HeaderMap) -> Result<Response, Problem> {
    let Path(code) = path.map_err(|rejection| Problem::invalid_path(rejection.body_text()))?;
    let tongue = Tongue::of(&asked);
    let title = titles::title(&code, tongue).ok_or_else(|| Problem::not_found("there are no problems of this type"))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    say_tongue(&mut headers, tongue);
    Ok((headers, Json(json!({ "type": of(&code), "code": code, "title": title }))).into_response())
}
