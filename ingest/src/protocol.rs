//! The two protocols that are spoken of one resource, and which of them a request speaks.
//!
//! A tus request says so in `Tus-Resumable`. A request of the IETF draft "Resumable Uploads for HTTP"
//! states the draft's version, or bears one of the headers that only the draft has; a question that has neither is
//! taken to be in the protocol in which its upload was created.

pub(crate) mod checks;
pub(crate) mod draft;
pub(crate) mod fields;
pub(crate) mod metadata;
pub(crate) mod tus;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use catalog_store::Upload;

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
    /// The protocol that a request speaks; `None` if it names neither, an error if it names another version of tus.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, UploadError> {
        if let Some(version) = headers.get(TUS_RESUMABLE) {
            return if version == VERSION { Ok(Some(Self::Tus)) } else { Err(UploadError::Version) };
        }
        let has_complete = fields::boolean(headers, &UPLOAD_COMPLETE).is_some();
        let has_incomplete = fields::boolean(headers, &UPLOAD_INCOMPLETE).is_some();
        let is_partial = media_type(headers).is_some_and(|essence| essence == PARTIAL_UPLOAD);
        if headers.contains_key(UPLOAD_INTEROP) || has_complete || has_incomplete || is_partial {
            let stated = fields::integer(headers, &UPLOAD_INTEROP).and_then(Interop::of);
            // Only the third version has this header; a proxy may have dropped the other.
            let stated = stated.or((has_incomplete && !has_complete).then_some(Interop::V3));
            return Ok(Some(Self::Draft(stated)));
        }
        Ok(None)
    }

    /// The protocol of a question about `upload` that names none: that in which the upload was created. tus demands its
    /// name, but of nobody who only wants the file.
    pub(crate) fn of_unnamed(method: &Method, upload: &Upload) -> Result<Self, UploadError> {
        match *method {
            Method::HEAD | Method::GET | Method::DELETE if upload.terms.is_draft => Ok(Self::Draft(None)),
            Method::GET => Ok(Self::Tus),
            _ => Err(UploadError::Version),
        }
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

    fn spoken(headers: &[(&str, &str)]) -> Option<Option<Dialect>> {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).expect("a name"), value.parse().expect("a value"))
        };
        Dialect::of(&headers.iter().map(pair).collect()).ok()
    }

    #[test]
    fn each_request_speaks_one_protocol() {
        let (tus, draft) = (Some(Some(Dialect::Tus)), |version| Some(Some(Dialect::Draft(version))));
        assert_eq!(spoken(&[("tus-resumable", "1.0.0")]), tus);
        assert_eq!(spoken(&[("tus-resumable", "1.0.0"), ("upload-complete", "?1")]), tus);
        for version in ["", "1.0", "0.2.2", "1.0.0, 2.0.0"] {
            assert_eq!(spoken(&[("tus-resumable", version), ("upload-complete", "?1")]), None);
        }
        assert_eq!(spoken(&[("upload-complete", "?0")]), draft(None));
        assert_eq!(spoken(&[("content-type", "Application/Partial-Upload")]), draft(None));
        assert_eq!(spoken(&[("upload-incomplete", "?0")]), draft(Some(Interop::V3)));
        let versions = [("3", Some(Interop::V3)), ("5", Some(Interop::V5)), ("6", Some(Interop::V6))];
        for (stated, known) in versions.into_iter().chain([("8", Some(Interop::V8)), ("99", None), ("x", None)]) {
            assert_eq!(spoken(&[("upload-draft-interop-version", stated)]), draft(known));
        }
        assert_eq!(spoken(&[]), Some(None));
        assert_eq!(spoken(&[("upload-complete", "true")]), Some(None), "a value of another type is no header");
    }
}
