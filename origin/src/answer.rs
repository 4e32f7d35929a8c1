//! The answer to a GET or HEAD of something that exists: whole, in part, or not needed.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderMap, RANGE, VARY,
};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::body::Body;
use crate::coding::Coding;
use crate::conditional::{self, Validators, Verdict};
use crate::policy;
use crate::problem::Problem;
use crate::range::{self, Selection};

/// What is known of the selected representation before its octets are needed.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    pub(crate) media_type: &'static str,
    pub(crate) cache_control: &'static str,
    pub(crate) etag: HeaderValue,
    pub(crate) bytes: u64,
    /// The coding that was chosen; `None` where there is nothing to choose.
    pub(crate) coding: Option<Coding>,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
    /// 200 to HEAD.
    Head,
    /// 200.
    Whole,
    /// 206 with one part.
    Part(Range<u64>),
    /// 206 with several parts.
    Parts(Vec<Range<u64>>),
}

/// Chooses the answer: preconditions first, then the range (RFC 9110 §13.2, §14.2).
pub(crate) fn choose(method: &Method, headers: &HeaderMap, representation: &Representation) -> Answer {
    // There is no record of when content was made, so dates decide nothing (§13.1.3, §13.1.4).
    let validators = Validators { etag: representation.etag.as_bytes(), modified: None };
    let is_range_valid = match conditional::evaluate(headers, validators) {
        Verdict::NotModified => return Answer::NotModified,
        Verdict::Failed => return Answer::PreconditionFailed,
        Verdict::Proceed { is_range_valid } => is_range_valid,
    };
    // Ranges are defined for GET only.
    if method == Method::HEAD {
        return Answer::Head;
    }
    let mut lines = headers.get_all(RANGE).iter();
    let selection = match (lines.next(), lines.next()) {
        (Some(line), None) if is_range_valid => range::select(line.as_bytes(), representation.bytes),
        _ => Selection::Whole,
    };
    match selection {
        Selection::Whole => Answer::Whole,
        Selection::One(part) => Answer::Part(part),
        Selection::Many(parts) => Answer::Parts(parts),
        Selection::Unsatisfiable => Answer::Unsatisfiable,
    }
}

impl Answer {
    /// Whether the content has to be read.
    pub(crate) fn needs_content(&self) -> bool {
        matches!(self, Self::Whole | Self::Part(_) | Self::Parts(_))
    }

    /// The response. `content` is the whole representation, or empty where it is not needed.
    pub(crate) fn respond(self, representation: &Representation, content: Bytes) -> Response<Body> {
        debug_assert!(!self.needs_content() || content.len() as u64 == representation.bytes);
        let mut response = self.respond_undressed(representation, content);
        if let Some(coding) = representation.coding {
            // On every answer, since each of them might have been another (RFC 9110 §12.5.5).
            response.headers_mut().insert(VARY, HeaderValue::from(ACCEPT_ENCODING));
            let has_content = matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT);
            if let Some(token) = coding.token().filter(|_| has_content) {
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(token));
            }
        }
        response
    }

    /// The response, whose octets `read` gives. Several ranges are answered by the whole: that is permitted
    /// (RFC 9110 §14.2), and nobody reads a film so.
    pub(crate) fn respond_from(
        self,
        representation: &Representation,
        read: impl FnOnce(Range<u64>) -> Body,
    ) -> Response<Body> {
        match self {
            Self::Whole | Self::Parts(_) => full(representation, read(0..representation.bytes)),
            Self::Part(range) => {
                let content_range = content_range(&range, representation.bytes);
                let mut response = partial(representation, read(range), representation.media_type);
                response.headers_mut().insert(CONTENT_RANGE, content_range);
                response
            }
            other => other.respond(representation, Bytes::new()),
        }
    }

    fn respond_undressed(self, representation: &Representation, content: Bytes) -> Response<Body> {
        match self {
            Self::NotModified => validated(StatusCode::NOT_MODIFIED, representation, Body::empty()),
            Self::PreconditionFailed => PRECONDITION_FAILED.respond(),
            Self::Unsatisfiable => unsatisfiable(representation.bytes),
            Self::Head => full(representation, Body::empty()),
            Self::Whole => full(representation, content.into()),
            Self::Part(range) => {
                let content_range = content_range(&range, representation.bytes);
                let mut response = partial(representation, slice(&content, range).into(), representation.media_type);
                response.headers_mut().insert(CONTENT_RANGE, content_range);
                response
            }
            Self::Parts(ranges) => multipart(representation, &content, ranges),
        }
    }
}

const PRECONDITION_FAILED: Problem = Problem {
    status: StatusCode::PRECONDITION_FAILED,
    code: "precondition_failed",
    detail: "this is not the content that the request means",
    cache_control: policy::NO_STORE,
};
const RANGE_NOT_SATISFIABLE: Problem = Problem {
    status: StatusCode::RANGE_NOT_SATISFIABLE,
    code: "range_not_satisfiable",
    detail: "the content ends before the requested range begins",
    cache_control: policy::NO_STORE,
};

/// A response with what a 304 has to repeat of the 200 (RFC 9110 §15.4.5).
fn validated(status: StatusCode, representation: &Representation, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ETAG, representation.etag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(representation.cache_control));
    response
}

fn full(representation: &Representation, body: Body) -> Response<Body> {
    let mut response = validated(StatusCode::OK, representation, body);
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(representation.media_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(representation.bytes));
    response
}

fn partial(representation: &Representation, body: Body, media_type: &'static str) -> Response<Body> {
    let length = http_body::Body::size_hint(&body).lower();
    let mut response = validated(StatusCode::PARTIAL_CONTENT, representation, body);
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn unsatisfiable(bytes: u64) -> Response<Body> {
    let mut response: Response<Body> = RANGE_NOT_SATISFIABLE.respond();
    let value = HeaderValue::from_str(&format!("bytes */{bytes}")).expect("digits are a header value");
    response.headers_mut().insert(CONTENT_RANGE, value);
    response
}

/// Several parts in one body (RFC 9110 §14.6); their data is not copied.
fn multipart(representation: &Representation, content: &Bytes, ranges: Vec<Range<u64>>) -> Response<Body> {
    // The tag is a hash of the content, so the content cannot contain it. Unquoted: some clients expect that.
    let tag = String::from_utf8_lossy(representation.etag.as_bytes());
    let boundary = format!("headwater-{}", tag.trim_matches('"'));
    let mut pieces = Vec::with_capacity(2 * ranges.len() + 1);
    for (at, range) in ranges.into_iter().enumerate() {
        let mut head = BytesMut::new();
        head.extend_from_slice(if at == 0 { b"--" } else { b"\r\n--" });
        head.extend_from_slice(boundary.as_bytes());
        head.extend_from_slice(b"\r\nContent-Type: ");
        head.extend_from_slice(representation.media_type.as_bytes());
        head.extend_from_slice(b"\r\nContent-Range: ");
        head.extend_from_slice(content_range(&range, representation.bytes).as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        pieces.push(head.freeze());
        pieces.push(slice(content, range));
    }
    pieces.push(format!("\r\n--{boundary}--\r\n").into());
    let mut response = partial(representation, Body::pieces(pieces), "");
    let media_type = HeaderValue::from_str(&format!("multipart/byteranges; boundary={boundary}"));
    response.headers_mut().insert(CONTENT_TYPE, media_type.expect("the boundary is made of letters and digits"));
    response
}

fn content_range(range: &Range<u64>, bytes: u64) -> HeaderValue {
    let value = format!("bytes {}-{}/{bytes}", range.start, range.end - 1);
    HeaderValue::from_str(&value).expect("digits are a header value")
}

fn slice(content: &Bytes, range: Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
    content.slice(at(range.start)..at(range.end))
}
