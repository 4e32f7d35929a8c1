//! The answer to a GET or HEAD of something that exists: whole, in part, or not needed.

use std::ops::Range;
use std::time::SystemTime;

use bytes::BytesMut;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, LAST_MODIFIED, LINK, RANGE, VARY,
};
use http::{HeaderValue, Method, Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::body::{Body, Content, Part};
use crate::coding::{self, Coding};
use crate::conditional::{self, Validators, Verdict};
use crate::lines::{InLines, Lines};
use crate::policy;
use crate::problem::Problem;
use crate::range::{self, Selection};

/// Longest entity-tag that is written into a boundary (RFC 2046 §5.1.1 ends those at 70).
const TAG_IN_BOUNDARY_MAX: usize = 60;

/// What is known of the selected representation before its octets are needed.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    /// Its opaque part, with the quotes; empty where there is none.
    pub(crate) etag: HeaderValue,
    is_weak: bool,
    /// When it was last changed, where that is known.
    modified: Option<SystemTime>,
    pub(crate) bytes: u64,
    /// The headers of a 304.
    brief: HeaderMap,
    /// The headers of a 200.
    full: HeaderMap,
    /// The coding that the client likes best; `None` where there is nothing to choose.
    asked: Option<Coding>,
}

impl Representation {
    /// A representation whose answers all carry `headers`.
    pub(crate) fn new(media_type: &'static str, etag: HeaderValue, bytes: u64, headers: HeaderMap) -> Self {
        let mut brief = headers;
        brief.insert(ETAG, etag.clone());
        let mut full = brief.clone();
        // Nothing that a cache has to hear again (RFC 9110 §15.4.5).
        for name in [LINK, policy::CMSD_STATIC] {
            brief.remove(name);
        }
        full.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        full.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        full.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
        Self { etag, is_weak: false, modified: None, bytes, brief, full, asked: None }
    }

    /// A representation of which another server gave `headers`.
    pub(crate) fn relayed(headers: &HeaderMap, bytes: u64) -> Self {
        let tag = headers.get(ETAG).map_or(&b""[..], HeaderValue::as_bytes);
        let opaque = tag.strip_prefix(b"W/").unwrap_or(tag);
        let is_weak = opaque.len() < tag.len();
        let etag = HeaderValue::from_bytes(opaque).unwrap_or(HeaderValue::from_static(""));
        let date = headers.get(LAST_MODIFIED).and_then(|date| date.to_str().ok());
        let modified = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let mut full = headers.clone();
        full.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
        full.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let mut brief = headers.clone();
        // What describes octets that are not sent (RFC 9110 §15.4.5).
        for name in [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, ACCEPT_RANGES] {
            brief.remove(name);
        }
        if !tag.is_empty() {
            brief.remove(LAST_MODIFIED);
        }
        Self { etag, is_weak, modified, bytes, brief, full, asked: None }
    }

    /// All of it with a status of its own, whatever the request's conditions.
    pub(crate) fn respond_as(&self, status: StatusCode, content: &Content) -> Response<Body> {
        let mut headers = self.full.clone();
        headers.remove(ACCEPT_RANGES);
        if status == StatusCode::NO_CONTENT {
            headers.remove(CONTENT_LENGTH);
        }
        response(status, headers, Body::part(content.part(0..self.bytes), self.bytes))
    }

    /// Says that the representation was chosen for clients that like `asked` best, and is in `coding`.
    pub(crate) fn negotiated(mut self, asked: Coding, coding: Coding) -> Self {
        // On every answer, since each of them might have been another (RFC 9110 §12.5.5).
        self.add(VARY, &HeaderValue::from_static("accept-encoding"));
        if let Some(token) = coding.token() {
            self.full.insert(CONTENT_ENCODING, HeaderValue::from_static(token));
        }
        self.asked = Some(asked);
        self
    }

    /// Whether it is the one for a client that sends these headers.
    pub(crate) fn suits(&self, headers: &HeaderMap) -> bool {
        self.asked.is_none_or(|asked| coding::negotiate(headers) == asked)
    }

    /// Adds to the headers of answers with content.
    pub(crate) fn add_to_content(&mut self, name: HeaderName, value: HeaderValue) {
        self.full.insert(name, value);
    }

    /// Adds to the headers of all answers.
    pub(crate) fn add(&mut self, name: HeaderName, value: &HeaderValue) {
        self.brief.insert(name.clone(), value.clone());
        self.full.insert(name, value.clone());
    }
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
    // Of our own content there is no record of when it was made, so dates decide nothing (§13.1.3, §13.1.4).
    let Representation { is_weak, modified, .. } = *representation;
    let validators = Validators { etag: representation.etag.as_bytes(), is_weak, modified };
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

    /// The octets that are needed, of so many: from the first to the last.
    pub(crate) fn range(&self, bytes: u64) -> Range<u64> {
        match self {
            Self::Whole => 0..bytes,
            Self::Part(range) => range.clone(),
            Self::Parts(ranges) => {
                let start = ranges.iter().map(|range| range.start).min().unwrap_or(0);
                start..ranges.iter().map(|range| range.end).max().unwrap_or(0)
            }
            _ => 0..0,
        }
    }

    /// The octet that is needed first, if any is.
    pub(crate) fn begins_at(&self) -> u64 {
        match self {
            Self::Part(range) => range.start,
            Self::Parts(ranges) => ranges.first().map_or(0, |range| range.start),
            _ => 0,
        }
    }

    /// The response.
    pub(crate) fn respond(self, representation: &Representation, content: &Content) -> Response<Body> {
        match self {
            Self::NotModified => response(StatusCode::NOT_MODIFIED, representation.brief.clone(), Body::empty()),
            Self::PreconditionFailed => dressed(PRECONDITION_FAILED.respond(), representation),
            Self::Unsatisfiable => unsatisfiable(representation),
            Self::Head => response(StatusCode::OK, representation.full.clone(), Body::empty()),
            Self::Whole => {
                let body = Body::part(content.part(0..representation.bytes), representation.bytes);
                response(StatusCode::OK, representation.full.clone(), body)
            }
            Self::Part(range) => {
                let content_range = content_range(&range, representation.bytes);
                let length = range.end - range.start;
                let body = Body::part(content.part(range), length);
                let mut headers = representation.full.clone();
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                headers.insert(CONTENT_RANGE, content_range);
                response(StatusCode::PARTIAL_CONTENT, headers, body)
            }
            Self::Parts(ranges) => multipart(representation, content, ranges),
        }
    }

    /// The same with header lines that are written; `None` for what is not answered from what is ready.
    pub(crate) fn in_lines(self, representation: &Representation, lines: &Lines, content: &Content) -> Option<InLines> {
        let full = |status, octets: Option<Range<u64>>, range| {
            let bytes = octets.as_ref().map_or(representation.bytes, |octets| octets.end - octets.start);
            let body = octets.map_or_else(Body::empty, |octets| Body::part(content.part(octets), bytes));
            InLines { status, lines: lines.of(status, &representation.full), bytes: Some(bytes), range, body }
        };
        match self {
            Self::NotModified => {
                let status = StatusCode::NOT_MODIFIED;
                let lines = lines.of(status, &representation.brief);
                Some(InLines { status, lines, bytes: None, range: None, body: Body::empty() })
            }
            Self::Head => Some(full(StatusCode::OK, None, None)),
            Self::Whole => Some(full(StatusCode::OK, Some(0..representation.bytes), None)),
            Self::Part(range) => {
                let content_range = content_range(&range, representation.bytes);
                Some(full(StatusCode::PARTIAL_CONTENT, Some(range), Some(content_range)))
            }
            Self::Parts(_) | Self::PreconditionFailed | Self::Unsatisfiable => None,
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

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn dressed(mut response: Response<Body>, representation: &Representation) -> Response<Body> {
    policy::dress(response.headers_mut());
    if let Some(vary) = representation.brief.get(VARY) {
        response.headers_mut().insert(VARY, vary.clone());
    }
    response
}

fn unsatisfiable(representation: &Representation) -> Response<Body> {
    let mut response: Response<Body> = dressed(RANGE_NOT_SATISFIABLE.respond(), representation);
    let value = HeaderValue::from_str(&format!("bytes */{}", representation.bytes)).expect("digits are a header value");
    response.headers_mut().insert(CONTENT_RANGE, value);
    response
}

/// Several parts in one body (RFC 9110 §14.6); their data is not copied.
fn multipart(representation: &Representation, content: &Content, ranges: Vec<Range<u64>>) -> Response<Body> {
    // Our tags are hashes of the content, so the content cannot contain them. Unquoted: some clients expect that.
    let tag = String::from_utf8_lossy(representation.etag.as_bytes());
    let tag = tag.trim_matches('"');
    let boundary = if !tag.is_empty()
        && tag.len() <= TAG_IN_BOUNDARY_MAX
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        format!("headwater-{tag}")
    } else {
        let hash = Sha256::digest(format!("{tag} {}", representation.bytes));
        format!("headwater-{}", hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    let media_type =
        representation.full.get(CONTENT_TYPE).map_or(&b"application/octet-stream"[..], HeaderValue::as_bytes);
    let (mut parts, mut length) = (Vec::with_capacity(2 * ranges.len() + 1), 0);
    for (at, range) in ranges.into_iter().enumerate() {
        let mut head = BytesMut::new();
        head.extend_from_slice(if at == 0 { b"--" } else { b"\r\n--" });
        head.extend_from_slice(boundary.as_bytes());
        head.extend_from_slice(b"\r\nContent-Type: ");
        head.extend_from_slice(media_type);
        head.extend_from_slice(b"\r\nContent-Range: ");
        head.extend_from_slice(content_range(&range, representation.bytes).as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        length += head.len() as u64 + (range.end - range.start);
        parts.push(Part::Octets(head.freeze()));
        parts.push(content.part(range));
    }
    let tail = format!("\r\n--{boundary}--\r\n");
    length += tail.len() as u64;
    parts.push(Part::Octets(tail.into()));
    let mut headers = representation.full.clone();
    let media_type = HeaderValue::from_str(&format!("multipart/byteranges; boundary={boundary}"));
    headers.insert(CONTENT_TYPE, media_type.expect("the boundary is made of letters and digits"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response(StatusCode::PARTIAL_CONTENT, headers, Body::parts(parts, length))
}

fn content_range(range: &Range<u64>, bytes: u64) -> HeaderValue {
    let value = format!("bytes {}-{}/{bytes}", range.start, range.end - 1);
    HeaderValue::from_str(&value).expect("digits are a header value")
}
