//! Headers that do not depend on the content: caching by kind, CORS, what browsers may read.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, HeaderName, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

use crate::resource::{Resource, Text};

/// Never changes under its address: a year.
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Changes when subtitles or chapters are added, and then people wait for it. Without `s-maxage`, as below.
const LIVELY: &str = "public, max-age=15, stale-while-revalidate=30, stale-if-error=86400";
/// Changes only when the asset is encoded anew. Without `s-maxage`, which forbids stale answers (RFC 9111 §5.2.2.10).
const SETTLED: &str = "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400";
/// Changes when processing ends.
const UNSETTLED: &str = "public, max-age=2";
/// Does not exist and is not expected to.
pub(crate) const ABSENT: &str = "public, max-age=10";
/// Does not exist yet, or any more.
pub(crate) const ABSENT_FOR_NOW: &str = "public, max-age=1";
/// Concerns this one request only.
pub(crate) const NO_STORE: &str = "no-store";

/// The methods that there are.
pub(crate) const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// Request headers that a page of another origin may send.
const REQUEST_HEADERS: &str = "Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range, \
                               Authorization, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session";
/// Response headers that a page of another origin may read.
const RESPONSE_HEADERS: &str = "Content-Disposition, Content-Length, Content-Range, Accept-Ranges, Date, ETag, Retry-After, Server-Timing, X-Request-Id";

/// How long `resource` may be kept, being part of a presentation that is complete or not.
pub(crate) fn cache_control(resource: &Resource, is_complete: bool) -> &'static str {
    match resource {
        // Objects are put once: what is there stays, even while its neighbours are being encoded.
        Resource::Stored(_) | Resource::Packed(_) => IMMUTABLE,
        // Another file once the asset is encoded anew.
        Resource::Download(_) => LIVELY,
        Resource::Text(_) if !is_complete => UNSETTLED,
        Resource::Text(Text::Master | Text::Manifest | Text::ChaptersJson | Text::ChaptersVtt) => LIVELY,
        Resource::Text(
            Text::StoryboardVtt | Text::StoryboardJson | Text::Playlist(_) | Text::Iframes(_) | Text::Images,
        ) => SETTLED,
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
