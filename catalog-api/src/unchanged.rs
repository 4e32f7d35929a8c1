//! `If-None-Match`: what a client has is not sent once more (RFC 9110 §13.1.2).
//!
//! One layer around every answer to GET and HEAD that has an `ETag`. The tag of a JSON document whose version counts only
//! what people change gets a digest of all that it tells, so that a client is never told that it has what has changed.

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::documents::{is_known, with_digest};
use crate::problem::Problem;

/// Largest answer that is looked at, in octets; more than any whose tag is a version.
const BODY_OCTETS_MAX: u64 = 16 << 20;

pub(crate) async fn unless_known(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let headers = request.headers().clone();
    let answer = next.run(request).await;
    if !answer.status().is_success() || !answer.headers().contains_key(header::ETAG) {
        return answer;
    }
    let answer = match tagged(answer).await {
        Ok(answer) => answer,
        Err(problem) => return problem.into_response(),
    };
    let is_known = answer.headers().get(header::ETAG).is_some_and(|tag| is_known(&headers, tag));
    if is_read && is_known { not_modified(answer.headers()) } else { answer }
}

/// The answer with a tag that names all that it tells.
async fn tagged(answer: Response) -> Result<Response, Problem> {
    let is_json = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    // A body that is still being made is no document of this kind, and what is longer goes out as it is.
    let is_short = answer.body().size_hint().exact().is_some_and(|octets| octets <= BODY_OCTETS_MAX);
    if !is_json || !is_short {
        return Ok(answer);
    }
    let (mut parts, body) = answer.into_parts();
    let content = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| Problem::internal())?;
    if let Some(tag) = parts.headers.get(header::ETAG).and_then(|version| with_digest(version, &content)) {
        parts.headers.insert(header::ETAG, tag);
    }
    Ok(Response::from_parts(parts, Body::from(content)))
}

/// What stays of an answer that the client has (RFC 9110 §15.4.5).
fn not_modified(headers: &HeaderMap) -> Response {
    let kept = [header::ETAG, header::CACHE_CONTROL, header::VARY];
    let kept = kept.into_iter().filter_map(|name| headers.get(&name).map(|value| (name, value.clone())));
    (StatusCode::NOT_MODIFIED, HeaderMap::from_iter(kept)).into_response()
}
