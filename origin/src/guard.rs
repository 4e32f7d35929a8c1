//! Requests that no handler should see: what hyper lets through although RFC 9112 has it refused.
//!
//! hyper itself refuses malformed lines, conflicting lengths and bodies whose last coding is not chunked. It accepts
//! codings below that, a missing or doubled `Host`, and bodies on methods that have none, which is how requests are smuggled past a
//! proxy in front. A server calls [`check`] before anything else; the origin looks for bodies once more,
//! since it may stand behind another server.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use crate::policy;
use crate::problem::Problem;

/// Longest request target, in octets: our paths are short, but CMCD data may come in the query.
pub const TARGET_BYTES_MAX: usize = 8 << 10;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Not exactly one `Host`, or not a host (RFC 9112 §3.2).
    #[error("a request needs exactly one valid Host")]
    Host,
    /// GET, HEAD or OPTIONS with a body (RFC 9110 §9.3.1).
    #[error("a request with this method has no body")]
    Body,
    /// A body in a transfer coding that is not undone (RFC 9112 §6.1).
    #[error("of the transfer codings only chunked is understood, once")]
    Coding,
    /// The target is longer than [`TARGET_BYTES_MAX`].
    #[error("the request target is too long")]
    Target,
}

impl Violation {
    fn problem(self) -> Problem {
        let (status, code, detail) = match self {
            Self::Host => (StatusCode::BAD_REQUEST, "bad_host", "a request needs exactly one valid Host"),
            Self::Body => (StatusCode::BAD_REQUEST, "unexpected_body", "a request with this method has no body"),
            Self::Coding => {
                let detail = "of the transfer codings only chunked is understood, once";
                (StatusCode::NOT_IMPLEMENTED, "unknown_transfer_coding", detail)
            }
            Self::Target => (StatusCode::URI_TOO_LONG, "target_too_long", "the request target is too long"),
        };
        Problem { status, code, detail, cache_control: policy::NO_STORE }
    }

    /// The refusal. Over HTTP/1 it ends the connection: where the next request begins is in doubt.
    pub fn respond<B: From<Bytes>>(self, version: Version) -> Response<B> {
        let mut response = self.problem().respond();
        if version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Checks the head of any request to this server.
///
/// # Errors
/// The first [`Violation`] found.
pub fn check<B>(request: &Request<B>) -> Result<(), Violation> {
    check_as(request, request.method())
}

/// The same where every method may have a body, as its handler says by what it does with it.
///
/// # Errors
/// The first [`Violation`] found.
pub fn check_target<B>(request: &Request<B>) -> Result<(), Violation> {
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > TARGET_BYTES_MAX) {
        return Err(Violation::Target);
    }
    // Only the last coding is undone: what is below it would be taken for the content.
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let is_known = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|coding| !is_known(coding)) || codings.next().is_some() {
        return Err(Violation::Coding);
    }
    check_host(request.version(), request.uri(), request.headers())
}

/// The same for a request that names its method elsewhere: that `method` tells whether there may be a body.
///
/// # Errors
/// The first [`Violation`] found.
pub fn check_as<B>(request: &Request<B>, method: &Method) -> Result<(), Violation> {
    check_target(request)?;
    check_bodiless(method, request.headers())
}

fn check_host(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Violation> {
    let mut lines = headers.get_all(HOST).iter();
    let host = match (lines.next(), lines.next()) {
        (Some(host), None) => Some(authority(host).ok_or(Violation::Host)?),
        (None, _) => None,
        (Some(_), Some(_)) => return Err(Violation::Host),
    };
    match (version, uri.authority(), host) {
        // HTTP/2 has it in the target; where it comes twice, both must agree (RFC 9113 §8.3.1).
        (Version::HTTP_2 | Version::HTTP_3, Some(target), host) => {
            let agrees = host.is_none_or(|host| host.eq_ignore_ascii_case(target.as_str()));
            agrees.then_some(()).ok_or(Violation::Host)
        }
        (Version::HTTP_09 | Version::HTTP_10, _, _) | (_, _, Some(_)) => Ok(()),
        (_, _, None) => Err(Violation::Host),
    }
}

/// The host and port that a `Host` line names; user names are no part of it.
fn authority(line: &HeaderValue) -> Option<&str> {
    let text = line.to_str().ok()?;
    if is_plain_authority(text) {
        return Some(text);
    }
    let authority = Authority::try_from(text).ok()?;
    (!authority.host().is_empty() && !text.contains('@')).then_some(text)
}

/// Whether it is a name or an IPv4 address, perhaps with a port, as nearly all are: to read any other makes a copy.
fn is_plain_authority(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    !host.is_empty()
        && host.bytes().all(is_of_host)
        && (1..=5).contains(&port.len())
        && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Checks that a GET, HEAD or OPTIONS announces no body.
pub(crate) fn check_bodiless(method: &Method, headers: &HeaderMap) -> Result<(), Violation> {
    if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
        return Ok(());
    }
    let is_empty = headers.get_all(CONTENT_LENGTH).iter().all(|length| length.as_bytes() == b"0");
    let is_plain = !headers.contains_key(TRANSFER_ENCODING);
    (is_empty && is_plain).then_some(()).ok_or(Violation::Body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_head(version: Version, uri: &str, lines: &[(&str, &str)], expected: Result<(), Violation>) {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        assert_eq!(check(&request.body(()).unwrap()), expected, "{version:?} {uri} {lines:?}");
    }

    #[test]
    fn http_1_1_needs_exactly_one_valid_host() {
        let refused = Err(Violation::Host);
        for (lines, expected) in [
            (&[("host", "example.com")][..], Ok(())),
            (&[("host", "example.com:8080")], Ok(())),
            (&[("host", "[::1]:8080")], Ok(())),
            (&[("host", "media_1.example")], Ok(())),
            (&[("host", ":8080")], refused),
            (&[], refused),
            (&[("host", "")], refused),
            (&[("host", "a b")], refused),
            (&[("host", "user@example.com")], refused),
            (&[("host", "example.com/path")], refused),
            (&[("host", "a"), ("host", "a")], refused),
        ] {
            check_head(Version::HTTP_11, "/", lines, expected);
        }
        check_head(Version::HTTP_11, "http://example.com/", &[], refused);
        check_head(Version::HTTP_10, "/", &[], Ok(()));
        check_head(Version::HTTP_10, "/", &[("host", "a"), ("host", "b")], refused);
    }

    #[test]
    fn http_2_names_its_host_in_the_target() {
        check_head(Version::HTTP_2, "http://example.com/", &[], Ok(()));
        check_head(Version::HTTP_2, "http://example.com/", &[("host", "EXAMPLE.com")], Ok(()));
        check_head(Version::HTTP_2, "http://example.com/", &[("host", "other.com")], Err(Violation::Host));
        check_head(Version::HTTP_2, "/", &[], Err(Violation::Host));
    }

    #[test]
    fn a_get_has_no_body() {
        let host = ("host", "a");
        check_head(Version::HTTP_11, "/", &[host, ("content-length", "0")], Ok(()));
        check_head(Version::HTTP_11, "/", &[host, ("content-length", "1")], Err(Violation::Body));
        check_head(Version::HTTP_11, "/", &[host, ("transfer-encoding", "chunked")], Err(Violation::Body));
        assert_eq!(
            check_bodiless(&Method::POST, &HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(9))])),
            Ok(())
        );
    }

    #[test]
    fn a_body_is_chunked_once_and_nothing_else() {
        let posted = |lines: &[&str]| {
            let mut request = Request::post("/").header("host", "a");
            for line in lines {
                request = request.header("transfer-encoding", *line);
            }
            check(&request.body(()).unwrap())
        };
        for known in [&[][..], &["chunked"], &["Chunked "]] {
            assert_eq!(posted(known), Ok(()), "{known:?}");
        }
        for unknown in [&["gzip, chunked"][..], &["chunked, chunked"], &["chunked", "chunked"], &["gzip"], &[""]] {
            assert_eq!(posted(unknown), Err(Violation::Coding), "{unknown:?}");
        }
    }

    #[test]
    fn a_method_that_stands_elsewhere_tells_whether_there_is_a_body() {
        let request = Request::get("/").header("host", "a").header("content-length", "1").body(()).unwrap();
        assert_eq!(check(&request), Err(Violation::Body));
        assert_eq!(check_as(&request, &Method::PATCH), Ok(()));
        assert_eq!(check_as(&request, &Method::HEAD), Err(Violation::Body));
    }

    #[test]
    fn a_target_has_a_longest_length() {
        let fits = format!("/?{}", "a".repeat(TARGET_BYTES_MAX - 2));
        check_head(Version::HTTP_11, &fits, &[("host", "a")], Ok(()));
        check_head(Version::HTTP_11, &format!("{fits}a"), &[("host", "a")], Err(Violation::Target));
    }
}
