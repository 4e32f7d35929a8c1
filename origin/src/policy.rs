//! Headers that do not depend on the request: caching by kind, tags for purges, CORS, what CDNs and players read.

mod media;
mod tier;

use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, HeaderName, LINK,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Uri};

use domain::{Access, Admission, Presentation};
use packager::encryption::Lock;

pub use self::media::as_token as tag_as_token;
pub(crate) use self::tier::Tier;
use crate::access::Passage;
use crate::cmcd;
use crate::resource::{Resource, Text};
use crate::route::{Route, Target};

/// Never changes under its address: a year.
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Changes when subtitles or chapters are added, and then people wait for it. Without `s-maxage`, as below.
const LIVELY: &str = "public, max-age=15, stale-while-revalidate=30, stale-if-error=86400";
/// Changes only when the asset is encoded anew. Without `s-maxage`, which forbids stale answers (RFC 9111 §5.2.2.10).
const SETTLED: &str = "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400";
/// How long a CDN may keep [`IMMUTABLE`] things.
const EDGE_IMMUTABLE: &str = "max-age=31536000";
/// As [`LIVELY`], for CDNs.
const EDGE_LIVELY: &str = "max-age=15, stale-while-revalidate=30, stale-if-error=86400";
/// As [`SETTLED`], for CDNs.
const EDGE_SETTLED: &str = "max-age=300, stale-while-revalidate=3600, stale-if-error=86400";
/// As [`UNSETTLED`], for CDNs.
const EDGE_UNSETTLED: &str = "max-age=2";
/// Changes when processing ends.
const UNSETTLED: &str = "public, max-age=2";
/// Does not exist and is not expected to.
pub(crate) const ABSENT: &str = "public, max-age=10";
/// Does not exist yet, or any more.
pub(crate) const ABSENT_FOR_NOW: &str = "public, max-age=1";
/// For the one who asked.
const PRIVATE: &str = "private, max-age=300";
/// For the one who asked, and once.
const SECRET: &str = "private, no-store";
/// Concerns this one request only.
pub(crate) const NO_STORE: &str = "no-store";

/// The methods that there are.
pub(crate) const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// Request headers that a page of another origin may send.
const REQUEST_HEADERS: &str = "Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range, \
                               Authorization, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session";
/// Response headers that a page of another origin may read.
const RESPONSE_HEADERS: &str = "Content-Disposition, Content-Length, Content-Range, Accept-Ranges, Date, ETag, Link, Retry-After, \
                                Server-Timing, Cache-Status, CMSD-Static, CMSD-Dynamic, X-Request-Id";

/// The name of one request, which whoever stands around the origin gives.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// For how long a CDN may keep something, apart from everybody else (RFC 9213).
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
/// Whether a CDN asks to be told what comes next (Akamai's origin-assisted prefetching).
const ASSIST: HeaderName = HeaderName::from_static("cdn-origin-assist-prefetch-enabled");
/// The answer to that.
const ASSIST_PATH: HeaderName = HeaderName::from_static("cdn-origin-assist-prefetch-path");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
pub(crate) const CMSD_STATIC: HeaderName = HeaderName::from_static("cmsd-static");
const CMSD_DYNAMIC: HeaderName = HeaderName::from_static("cmsd-dynamic");

/// How long `resource` may be kept, being part of a presentation that is complete or not: by everybody, and by CDNs.
fn cache_control(route: &Route, resource: &Resource, is_complete: bool) -> (&'static str, &'static str) {
    match resource {
        // Another picture once somebody chose it.
        Resource::Stored(_) if route.target == Target::Poster => (LIVELY, EDGE_LIVELY),
        // Objects are put once: what is there stays, even while its neighbours are being encoded.
        Resource::Stored(_) | Resource::Packed(_) => (IMMUTABLE, EDGE_IMMUTABLE),
        // It is said of each what is right.
        Resource::Key(_) | Resource::Steering => (SECRET, SECRET),
        // Another file once the asset is encoded anew.
        Resource::Download(_) => (LIVELY, EDGE_LIVELY),
        // Never other octets, but perhaps another name, or taken back.
        Resource::Documents | Resource::Document(_) => (LIVELY, EDGE_LIVELY),
        Resource::Text(_) if !is_complete => (UNSETTLED, EDGE_UNSETTLED),
        Resource::Text(Text::Master | Text::Manifest | Text::ChaptersJson | Text::ChaptersVtt) => (LIVELY, EDGE_LIVELY),
        Resource::Text(
            Text::StoryboardVtt | Text::StoryboardJson | Text::Playlist(_) | Text::Iframes(_) | Text::Images,
        ) => (SETTLED, EDGE_SETTLED),
    }
}

/// The headers of every successful answer about `resource`, which `route` led to; `lock` is how the asset is encrypted.
pub(crate) fn describe(
    route: &Route,
    resource: &Resource,
    presentation: &Presentation,
    lock: Option<Lock>,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(32);
    let (everybody, cdns) = cache_control(route, resource, presentation.is_complete());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(everybody));
    headers.insert(CDN_CACHE_CONTROL, HeaderValue::from_static(cdns));
    media::tag(route, resource, &mut headers);
    if let Some(next) = media::next_of(route, presentation, lock) {
        insert(&mut headers, LINK, &format!("<{next}>; rel=\"next\""));
    }
    insert(&mut headers, CMSD_STATIC, &media::cmsd(route, resource, presentation));
    dress(&mut headers);
    headers
}

/// Has a browser show nothing of it as a page of this server, whatever it takes it for.
pub(crate) const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'");

/// How long a steering manifest may be kept: by everybody, or not at all where it is for one player.
pub(crate) fn steer(fresh_s: Option<u32>, passage: Passage, headers: &mut HeaderMap) {
    match fresh_s.filter(|_| passage == Passage::Open) {
        Some(fresh_s) => insert(headers, CACHE_CONTROL, &format!("public, max-age={fresh_s}")),
        None => insert(headers, CACHE_CONTROL, NO_STORE),
    }
}

/// What changes for an asset that not everybody may play, or find.
pub(crate) fn restrict(access: &Access, passage: Passage, headers: &mut HeaderMap) {
    if access.admission != Admission::Public {
        headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
    }
    if headers.get(CACHE_CONTROL).is_some_and(|value| value == SECRET) {
        headers.remove(CDN_CACHE_CONTROL);
    } else if passage == Passage::Private || !access.pages.is_empty() {
        // A cache that many share would hand it to those who were not asked.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(PRIVATE));
        headers.remove(CDN_CACHE_CONTROL);
    }
}

/// Names the next object in Akamai's way, if the request asks for that.
pub(crate) fn assist(asked: &HeaderMap, headers: &mut HeaderMap) {
    let wants = asked.get(ASSIST).is_some_and(|value| value.as_bytes() == b"1");
    let next = || Some(headers.get(LINK)?.to_str().ok()?.strip_prefix('<')?.split_once('>')?.0.to_owned());
    if let Some(next) = wants.then(next).flatten() {
        insert(headers, ASSIST_PATH, &next);
    }
}

/// Whether nothing but the path, ranges and preconditions matters to the answer.
pub(crate) fn is_plain(uri: &Uri, headers: &HeaderMap) -> bool {
    uri.query().is_none_or(cmcd::is_all_of) && !headers.contains_key(ASSIST)
}

/// Adds how long the answer took, for people and for players.
pub(crate) fn time(headers: &mut HeaderMap, took: Duration) {
    let ms = took.as_secs_f64() * 1000.0;
    let timing = match headers.get(SERVER_TIMING).and_then(|told| told.to_str().ok()) {
        Some(told) => format!("{told}, origin;dur={ms:.1}"),
        None => format!("origin;dur={ms:.1}"),
    };
    insert(headers, SERVER_TIMING, &timing);
    insert(headers, CMSD_DYNAMIC, &format!("\"headwater\";rd={ms:.0}"));
}

/// Adds a header; what cannot be one is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Adds what every response carries.
pub(crate) fn dress(headers: &mut HeaderMap) {
    const EVERYWHERE: [(HeaderName, &str); 5] = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
        (HeaderName::from_static("timing-allow-origin"), "*"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in EVERYWHERE {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Adds what the answer to OPTIONS carries, be it a CORS preflight or not.
pub(crate) fn permit(headers: &mut HeaderMap) {
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
}
