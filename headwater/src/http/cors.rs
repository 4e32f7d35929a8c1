//! What pages of other origins may ask of the API and read of its answers (Fetch, CORS protocol).
//!
//! They show who asks by a token. Credentials of the browser are never allowed: a cookie is for pages of this server.

use std::time::Duration;

use axum::Router;
use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Stands for every origin.
pub(crate) const ANY: &str = "*";
/// How long a browser may remember the answer to a preflight.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// What requests may carry.
const REQUEST_HEADERS: [HeaderName; 9] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("x-request-id"),
];

/// What of answers a page may read beside what every page may.
const RESPONSE_HEADERS: [HeaderName; 13] = [
    header::ALLOW,
    HeaderName::from_static("asset-location"),
    header::CONTENT_DISPOSITION,
    HeaderName::from_static("deprecation"),
    header::ETAG,
    HeaderName::from_static("idempotent-replayed"),
    header::LINK,
    header::LOCATION,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("x-request-id"),
];

/// The same operations, for pages of these origins too; preflights are answered before anybody is asked who they are.
///
/// Without origins nothing changes.
pub(crate) fn around(router: Router, origins: &[String]) -> Router {
    if origins.is_empty() {
        return router;
    }
    let allowed = match origins.iter().any(|origin| origin == ANY) {
        true => AllowOrigin::any(),
        // They were checked with the settings.
        false => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    router.layer(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods(METHODS)
            .allow_headers(REQUEST_HEADERS)
            .expose_headers(RESPONSE_HEADERS)
            .max_age(MAX_AGE),
    )
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use http::{Request, Response, StatusCode};
    use tower::ServiceExt;

    use super::*;

    async fn asked(origins: &[&str], method: &str, path: &str, origin: &str) -> Response<Body> {
        let router = Router::new().route("/api/v1/assets", get(async || ([(header::VARY, "Accept-Language")], "[]")));
        let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let request = Request::builder().method(method).uri(path).header("origin", origin);
        let request = request.header("access-control-request-method", "PATCH");
        let request = request.header("access-control-request-headers", "authorization,if-match");
        around(router, &origins).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    fn allowed(answer: &Response<Body>) -> Option<&str> {
        answer.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn a_page_of_a_named_origin_may_ask_and_read() {
        let origins = ["https://app.example.org", "http://localhost:5173"];
        for origin in origins {
            let preflight = asked(&origins, "OPTIONS", "/api/v1/assets", origin).await;
            assert_eq!((preflight.status(), allowed(&preflight)), (StatusCode::OK, Some(origin)));
            let text = |name: &str| preflight.headers()[name].to_str().unwrap().to_ascii_lowercase();
            for name in ["authorization", "content-type", "if-match", "idempotency-key", "last-event-id"] {
                assert!(text("access-control-allow-headers").split(',').any(|known| known == name), "{name}");
            }
            assert_eq!(text("access-control-allow-methods"), "get,head,post,put,patch,delete");
            let answer = asked(&origins, "GET", "/api/v1/assets", origin).await;
            assert_eq!((answer.status(), allowed(&answer)), (StatusCode::OK, Some(origin)));
            let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
            for name in ["etag", "link", "location", "ratelimit", "retry-after", "x-request-id"] {
                assert!(exposed.split(',').any(|known| known == name), "{name}");
            }
            assert!(!answer.headers().contains_key("access-control-allow-credentials"));
            let vary: Vec<_> = answer.headers().get_all(header::VARY).iter().collect();
            assert!(vary.iter().any(|value| *value == "Accept-Language") && vary.len() > 1, "{vary:?}");
        }
        // What is not there is told to them as well.
        let absent = asked(&origins, "GET", "/api/v1/nothing", origins[0]).await;
        assert_eq!((absent.status(), allowed(&absent)), (StatusCode::NOT_FOUND, Some(origins[0])));
    }

    #[tokio::test]
    async fn a_page_of_another_origin_may_not() {
        for method in ["OPTIONS", "GET"] {
            let answer = asked(&["https://app.example.org"], method, "/api/v1/assets", "https://evil.example").await;
            assert_eq!(allowed(&answer), None, "{method}");
            let any = asked(&[ANY], method, "/api/v1/assets", "https://evil.example").await;
            assert_eq!(allowed(&any), Some("*"), "{method}");
            assert!(!any.headers().contains_key("access-control-allow-credentials"));
            let none = asked(&[], method, "/api/v1/assets", "https://app.example.org").await;
            assert_eq!(allowed(&none), None, "{method}");
        }
        let preflight = asked(&[], "OPTIONS", "/api/v1/assets", "https://app.example.org").await;
        assert_eq!(preflight.status(), StatusCode::METHOD_NOT_ALLOWED, "as without the setting");
    }
}
