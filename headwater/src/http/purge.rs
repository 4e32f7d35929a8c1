//! `POST /edge/purge`: what an edge has is purged by its tags, by whoever knows the secret.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::body::{Body, to_bytes};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::problem::problem;

/// Where it is.
pub(crate) const PATH: &str = "/edge/purge";
/// Most tags of one request.
pub(crate) const TAGS_MAX: usize = 256;
/// Longest document, in octets.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The way to purge an edge.
#[derive(Clone)]
pub struct PurgeDoor {
    edge: origin::Edge,
    /// `Bearer secret`; empty where nobody may.
    wanted: String,
}

impl std::fmt::Debug for PurgeDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PurgeDoor").finish_non_exhaustive()
    }
}

/// What is purged.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// What carries any of these.
    #[serde(default)]
    tags: Vec<String>,
    /// Everything.
    #[serde(default)]
    all: bool,
}

impl PurgeDoor {
    /// Purges `edge` for whoever knows `secret`; for nobody if that is empty.
    pub fn new(edge: origin::Edge, secret: &str) -> Self {
        let wanted = if secret.is_empty() { String::new() } else { format!("Bearer {secret}") };
        Self { edge, wanted }
    }

    /// Answers `{"purged": n}`, so many answers were purged, or what is wrong.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        if request.method() != Method::POST {
            let mut refusal =
                problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "purges are sent with POST");
            refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return refusal;
        }
        if self.wanted.is_empty() {
            let detail = "this edge cannot be purged: set purge_secret on it";
            return problem(StatusCode::FORBIDDEN, "purge_disabled", detail);
        }
        let told = request.headers().get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
        if verify_slices_are_equal(self.wanted.as_bytes(), told).is_err() {
            let mut refusal = problem(StatusCode::UNAUTHORIZED, "wrong_secret", "send purge_secret as a bearer token");
            refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return refusal;
        }
        let Ok(body) = to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
            let detail = format!("a purge takes {BODY_BYTES_MAX} octets at most");
            return problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &detail);
        };
        let purged = match serde_json::from_slice::<Wanted>(&body) {
            Ok(Wanted { all: true, tags }) if tags.is_empty() => self.edge.purge_all(),
            Ok(Wanted { all: false, tags }) if (1..=TAGS_MAX).contains(&tags.len()) => self.edge.purge(&tags),
            _ => {
                let detail = format!("send {{\"tags\": [...]}} with 1 to {TAGS_MAX} tags, or {{\"all\": true}}");
                return problem(StatusCode::BAD_REQUEST, "bad_purge", &detail);
            }
        };
        tracing::info!(purged, "edge purged");
        let mut response = Response::new(Body::from(json!({ "purged": purged }).to_string()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
