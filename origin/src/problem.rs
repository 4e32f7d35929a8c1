//! Errors as problem documents (RFC 9457) with a stable code.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

/// An error, told to the client. It always says how long it may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The status.
    pub(crate) status: StatusCode,
    /// What programs match on.
    pub(crate) code: &'static str,
    /// What people read.
    pub(crate) detail: &'static str,
    /// How long it holds.
    pub(crate) cache_control: &'static str,
}

impl Problem {
    /// The response, with its body.
    pub(crate) fn respond<B: From<Bytes>>(self) -> Response<B> {
        let document = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let document = document.to_string();
        let length = HeaderValue::from(document.len());
        let mut response = Response::new(B::from(document.into()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.cache_control));
        response
    }
}
