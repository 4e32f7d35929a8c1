//! What pages of other origins may send and read.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
};
use axum::http::{HeaderMap, HeaderValue};

const METHODS: HeaderValue = HeaderValue::from_static("POST, HEAD, PATCH, DELETE, OPTIONS, GET, PUT");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-digest, content-disposition, content-type, range, repr-digest, tus-resumable, \
     upload-checksum, upload-complete, upload-concat, upload-defer-length, upload-draft-interop-version, \
     upload-incomplete, upload-length, upload-metadata, upload-offset, want-repr-digest, x-http-method-override, \
     x-request-id, x-requested-with",
);
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept-patch, accept-ranges, asset-location, content-disposition, content-range, location, repr-digest, retry-after, \
     tus-checksum-algorithm, tus-extension, tus-max-size, tus-resumable, tus-version, upload-checksum, \
     upload-complete, upload-concat, upload-defer-length, upload-draft-interop-version, upload-expires, \
     upload-incomplete, upload-length, upload-limit, upload-metadata, upload-offset, want-repr-digest, x-request-id",
);
/// How long a browser may remember the answer to a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// What the answer to a preflight says: any origin may ask, without credentials of the browser.
pub(crate) fn permit(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
}

/// What every answer says.
pub(crate) fn expose(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
}
