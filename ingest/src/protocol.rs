//! The two protocols that are spoken of one resource, and which of them a request speaks.
//!
//! A tus request says so in `Tus-Resumable`. A request of the IETF draft "Resumable Uploads for HTTP"
//! states the draft's version, or bears one of the headers that only the draft has.

pub(crate) mod checks;
pub(crate) mod draft;
pub(crate) mod fields;
pub(crate) mod metadata;
pub(crate) mod tus;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

use self::draft::{Interop, PARTIAL_UPLOAD, UPLOAD_COMPLETE, UPLOAD_INCOMPLETE, UPLOAD_INTEROP};
use self::tus::{TUS_RESUMABLE, VERSION};
use crate::UploadError;

pub(crate) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(crate) const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
pub(crate) const ASSET_LOCATION: HeaderName = HeaderName::from_static("asset-location");
pub(crate) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// The pieces that an upload takes (RFC 5789 §3.1): that of tus and that of the draft.
pub(crate) const PIECES: HeaderValue =
    HeaderValue::from_static("application/offset+octet-stream, application/partial-upload");

/// The protocol of one request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// tus 1.0.0, or plain HTTP where any client may ask.
    Tus,
    /// The IETF draft, at the version that the client stated. A client that states none, or one that is
    /// not known, is spoken to as by the newest and sent no interim responses.
    Draft(Option<Interop>),
}

impl Dialect {
    /// The protocol that a request speaks; an error if that is neither.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Result<Self, UploadError> {
        if let Some(version) = headers.get(TUS_RESUMABLE) {
            return if version == VERSION { Ok(Self::Tus) } else { Err(UploadError::Version) };
        }
        let has_complete = fields::boolean(headers, &UPLOAD_COMPLETE).is_some();
        let has_incomplete = fields::boolean(headers, &UPLOAD_INCOMPLETE).is_some();
        let is_partial = media_type(headers).is_some_and(|essence| essence == PARTIAL_UPLOAD);
        if headers.contains_key(UPLOAD_INTEROP) || has_complete || has_incomplete || is_partial {
            let stated = fields::integer(headers, &UPLOAD_INTEROP).and_then(Interop::of);
            // Only the third version has this header; a proxy may have dropped the other.
            let stated = stated.or((has_incomplete && !has_complete).then_some(Interop::V3));
            return Ok(Self::Draft(stated));
        }
        // Whoever only wants the file need not know how it came.
        if method == Method::GET { Ok(Self::Tus) } else { Err(UploadError::Version) }
    }
}

/// The media type of a request's content without parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or(value).trim();
    (!essence.is_empty()).then(|| essence.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_that_are_accepted_are_those_of_both_protocols() {
        assert_eq!(PIECES, format!("{}, {PARTIAL_UPLOAD}", tus::OFFSET_OCTET_STREAM));
    }

    fn spoken(method: Method, headers: &[(&str, &str)]) -> Option<Dialect> {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).expect("a name"), value.parse().expect("a value"))
        };
        Dialect::of(&method, &headers.iter().map(pair).collect()).ok()
    }

    #[test]
    fn each_request_speaks_one_protocol() {
        let newest = Some(Dialect::Draft(None));
        assert_eq!(spoken(Method::HEAD, &[("tus-resumable", "1.0.0")]), Some(Dialect::Tus));
        assert_eq!(spoken(Method::PATCH, &[("tus-resumable", "1.0.0"), ("upload-complete", "?1")]), Some(Dialect::Tus));
        for version in ["", "1.0", "0.2.2", "1.0.0, 2.0.0"] {
            assert_eq!(spoken(Method::GET, &[("tus-resumable", version), ("upload-complete", "?1")]), None);
        }
        assert_eq!(spoken(Method::POST, &[("upload-complete", "?0")]), newest);
        assert_eq!(spoken(Method::PATCH, &[("content-type", "Application/Partial-Upload")]), newest);
        assert_eq!(spoken(Method::POST, &[("upload-incomplete", "?0")]), Some(Dialect::Draft(Some(Interop::V3))));
        let versions = [("3", Some(Interop::V3)), ("5", Some(Interop::V5)), ("6", Some(Interop::V6))];
        for (stated, known) in versions.into_iter().chain([("8", Some(Interop::V8)), ("99", None), ("x", None)]) {
            assert_eq!(spoken(Method::HEAD, &[("upload-draft-interop-version", stated)]), Some(Dialect::Draft(known)));
        }
    }

    #[test]
    fn a_request_without_a_sign_is_only_let_read() {
        assert_eq!(spoken(Method::GET, &[]), Some(Dialect::Tus));
        for method in [Method::HEAD, Method::PATCH, Method::DELETE, Method::POST] {
            assert_eq!(spoken(method.clone(), &[]), None);
            assert_eq!(spoken(method, &[("upload-complete", "true")]), None, "a value of another type is no header");
        }
    }
}
