//! Header lines that are written once, for answers that are ready: as HTTP/1 has them.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::body::Body;
use crate::policy::REQUEST_ID;

/// An answer that is ready, most of its head written already.
#[derive(Debug)]
pub struct InLines {
    /// 200, 206 or 304.
    pub status: StatusCode,
    /// The status line and header lines of HTTP/1.1, each with its end; of these four there are none: `Content-Length`,
    /// `Content-Range`, `Date` and `X-Request-Id`.
    pub lines: Bytes,
    /// What `Content-Length` is to be, if it is to be there.
    pub bytes: Option<u64>,
    /// What `Content-Range` is to be, if it is to be there.
    pub range: Option<HeaderValue>,
    /// The octets.
    pub body: Body,
}

/// The lines of one representation, of each kind from the first time that it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    whole: OnceLock<Bytes>,
    part: OnceLock<Bytes>,
    unchanged: OnceLock<Bytes>,
}

impl Lines {
    /// Those of an answer with this status, one of 200, 206 and 304, of which `headers` are all.
    pub(crate) fn of(&self, status: StatusCode, headers: &HeaderMap) -> Bytes {
        let place = match status {
            StatusCode::NOT_MODIFIED => &self.unchanged,
            StatusCode::PARTIAL_CONTENT => &self.part,
            _ => &self.whole,
        };
        place.get_or_init(|| written(status, headers)).clone()
    }
}

fn written(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut lines = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH && *name != REQUEST_ID) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }
    // As large as they are and no larger: they are kept.
    lines.into_boxed_slice().into()
}
