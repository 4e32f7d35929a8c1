//! Header lines that are written once, for answers that are ready: as HTTP/1 has them.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::body::Body;
use crate::policy::REQUEST_ID;

/// An answer that is ready, its header lines written already.
#[derive(Debug)]
pub struct InLines {
    /// 200, 206 or 304.
    pub status: StatusCode,
    /// Header lines, each with its end; of these four there are none: `Content-Length`, `Content-Range`, `Date` and
    /// `X-Request-Id`.
    pub lines: Bytes,
    /// What `Content-Length` is to be, if it is to be there.
    pub bytes: Option<u64>,
    /// What `Content-Range` is to be, if it is to be there.
    pub range: Option<HeaderValue>,
    /// The octets.
    pub body: Body,
}

/// The lines of one representation, each kind from the first time it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    full: OnceLock<Bytes>,
    brief: OnceLock<Bytes>,
}

impl Lines {
    /// Those of answers with content, of which `headers` are all.
    pub(crate) fn full(&self, headers: &HeaderMap) -> Bytes {
        self.full.get_or_init(|| written(headers)).clone()
    }

    /// Those of answers that say that nothing has changed.
    pub(crate) fn brief(&self, headers: &HeaderMap) -> Bytes {
        self.brief.get_or_init(|| written(headers)).clone()
    }
}

fn written(headers: &HeaderMap) -> Bytes {
    let mut lines = Vec::new();
    for (name, value) in headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH && *name != REQUEST_ID) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }
    // As large as they are and no larger: they are kept.
    lines.into_boxed_slice().into()
}
