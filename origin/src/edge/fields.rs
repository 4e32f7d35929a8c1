//! Header fields on their way through: what belongs to one connection stays there, and every message says by whom it
//! was passed on (RFC 9110 §7.6, RFC 8586).

use domain::Timestamp;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderValue, Version};

use crate::access;

/// The name of this cache in `Via` and `Cache-Status`.
pub(super) const NAME: &str = "headwater-edge";
/// The way that a request has come (RFC 8586).
pub(super) const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
/// Where the octets of an answer came from (RFC 9211).
pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Fields that concern one connection only (RFC 9110 §7.6.1), and those for a proxy (RFC 9111 §3.1).
const OF_ONE_CONNECTION: [HeaderName; 11] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("http2-settings"),
];
/// Fields that tell about one answer and mean nothing when it is given again.
const OF_ONE_ANSWER: [HeaderName; 4] = [
    HeaderName::from_static("server-timing"),
    HeaderName::from_static("cmsd-dynamic"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("akamai-cache-status"),
];
/// Fields that ask for less than the whole.
const CONDITIONS: [HeaderName; 6] = [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];

/// Whether a request has been here before.
pub(super) fn has_looped(headers: &HeaderMap, id: &str) -> bool {
    let is_ours = |entry: &str| entry.split(';').next().is_some_and(|name| name.trim() == id);
    headers.get_all(CDN_LOOP).iter().any(|line| String::from_utf8_lossy(line.as_bytes()).split(',').any(is_ours))
}

/// The fields of a request as they are passed on; `id` is ours in `CDN-Loop`.
pub(super) fn onwards(asked: &HeaderMap, version: Version, id: &str) -> HeaderMap {
    let mut headers = without_hops(asked);
    headers.remove(HOST);
    headers.remove(CONTENT_LENGTH);
    append(&mut headers, VIA, &format!("{} {NAME}", number(version)));
    // A list in one line: intermediaries that know no better join lines at most, and never drop the last.
    let way = headers.get_all(CDN_LOOP).iter().map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned());
    let way = way.chain([id.to_owned()]).collect::<Vec<_>>().join(", ");
    if let Ok(way) = HeaderValue::from_str(&way) {
        headers.insert(CDN_LOOP, way);
    }
    headers
}

/// The same without what asks for less than the whole.
pub(super) fn unconditional(mut headers: HeaderMap) -> HeaderMap {
    for name in &CONDITIONS {
        headers.remove(name);
    }
    headers
}

/// The fields of an answer as they are passed back.
pub(super) fn back(answered: &HeaderMap, version: Version) -> HeaderMap {
    let mut headers = without_hops(answered);
    append(&mut headers, VIA, &format!("{} {NAME}", number(version)));
    headers
}

/// The fields of an answer as they are kept.
pub(super) fn kept(mut headers: HeaderMap) -> HeaderMap {
    for name in &OF_ONE_ANSWER {
        headers.remove(name);
    }
    headers
}

fn without_hops(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    for line in headers.get_all(CONNECTION) {
        for name in line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if let Ok(name) = HeaderName::from_bytes(name) {
                passed.remove(name);
            }
        }
    }
    for name in &OF_ONE_CONNECTION {
        passed.remove(name);
    }
    passed
}

fn number(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

pub(super) fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

/// What a path with a token of ours in it says about itself. Whether it is true, the origin judges: an answer was
/// given under it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Permission {
    /// When it ends.
    pub(super) ends: Option<Timestamp>,
    /// It is for one network only.
    pub(super) is_for_some: bool,
}

/// Reads the token of a path, if it has one.
pub(super) fn permission(path: &str) -> Permission {
    let token = path.strip_prefix("/t/").and_then(|rest| rest.split('/').next());
    token.and_then(access::told).map_or_else(Permission::default, |grant| {
        let ends_ms = i64::try_from(grant.expires_s).unwrap_or(i64::MAX).saturating_mul(1000);
        Permission { ends: Some(Timestamp::from_unix_ms(ends_ms)), is_for_some: grant.network.is_some() }
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::access::{Grant, mint};

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            append(&mut headers, HeaderName::from_static(name), value);
        }
        headers
    }

    #[test]
    fn what_belongs_to_one_connection_is_not_passed_on() {
        let asked = headers(&[
            ("host", "a"),
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("keep-alive", "5"),
            ("accept", "b"),
            ("range", "bytes=0-1"),
            ("via", "1.0 other"),
        ]);
        let passed = onwards(&asked, Version::HTTP_2, "me");
        let names: Vec<&str> = passed.keys().map(HeaderName::as_str).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!(passed["accept"], "b");
        let via: Vec<_> = passed.get_all(VIA).iter().collect();
        assert_eq!(via, ["1.0 other", "2 headwater-edge"]);
        assert!(!unconditional(passed).contains_key(RANGE));
        assert_eq!(back(&headers(&[("transfer-encoding", "chunked")]), Version::HTTP_11).len(), 1);
    }

    #[test]
    fn a_request_that_was_here_before_is_known() {
        let first = onwards(&headers(&[("cdn-loop", "cdn.example; a=b")]), Version::HTTP_11, "me");
        assert_eq!(first[CDN_LOOP], "cdn.example; a=b, me");
        assert!(has_looped(&first, "me") && !has_looped(&first, "m") && !has_looped(&HeaderMap::new(), "me"));
        assert!(has_looped(&headers(&[("cdn-loop", "a"), ("cdn-loop", "me;x=1")]), "me"));
    }

    #[test]
    fn what_is_read_from_a_path_is_what_a_token_says() {
        let ring = access::KeyRing::new(&["k:0123456789abcdef0123456789abcdef"]).unwrap();
        let prefix = "/v/x/".to_owned();
        for network in [None, Some(([10, 0, 0, 0].into(), 8))] {
            let grant = Grant {
                expires_s: 1_700_000_000,
                begins_s: 5,
                prefix: prefix.clone(),
                session: None,
                network,
                is_preview: false,
            };
            let path = format!("/t/{}/v/x/0.m4s", mint(&grant, &ring).unwrap());
            let ends = Some(Timestamp::from_unix_ms(1_700_000_000_000));
            assert_eq!(permission(&path), Permission { ends, is_for_some: network.is_some() });
        }
    }

    #[test]
    fn the_end_of_a_token_is_read_from_its_path() {
        let path = |claims: &str| format!("/t/{}.mac/v/x/0.m4s", URL_SAFE_NO_PAD.encode(claims));
        let found = permission(&path("k=a;e=1700000000;n=0;p=/v/x/"));
        assert_eq!(found, Permission { ends: Some(Timestamp::from_unix_ms(1_700_000_000_000)), is_for_some: false });
        assert!(permission(&path("k=a;e=1;n=0;p=/v/x/;a=10.0.0.0/8")).is_for_some);
        for other in ["/v/x/0.m4s", "/t/", "/t/abc/v", "/t/!!.x/v"] {
            assert_eq!(permission(other), Permission::default(), "{other}");
        }
    }
}
