//! The headers of "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload-12), and what was
//! different in the versions that clients in the field still speak.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use catalog_store::Upload;
use domain::Timestamp;

use super::{Dialect, fields};
use crate::{Limits, UploadError};

pub(crate) const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");
pub(crate) const UPLOAD_INCOMPLETE: HeaderName = HeaderName::from_static("upload-incomplete");
pub(crate) const UPLOAD_LIMIT: HeaderName = HeaderName::from_static("upload-limit");
pub(crate) const UPLOAD_INTEROP: HeaderName = HeaderName::from_static("upload-draft-interop-version");

/// The media type of a piece of an upload.
pub(crate) const PARTIAL_UPLOAD: &str = "application/partial-upload";
/// Largest integer of a structured field.
const INTEGER_MAX: u64 = 999_999_999_999_999;
const TRUE: HeaderValue = HeaderValue::from_static("?1");
const FALSE: HeaderValue = HeaderValue::from_static("?0");

/// The versions of the draft that can tell themselves apart, by the number that clients state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interop {
    /// draft -01, as in iOS 17: `Upload-Incomplete`, and no media type of its own.
    V3,
    /// draft -03, as in iOS 18.0: `Upload-Complete`.
    V5,
    /// drafts -04 and -05: a media type, lengths and limits.
    V6,
    /// drafts -09 to -12.
    V8,
}

impl Interop {
    /// The version with this number, if it is spoken.
    pub(crate) fn of(number: u64) -> Option<Self> {
        [Self::V3, Self::V5, Self::V6, Self::V8].into_iter().find(|version| u64::from(version.number()) == number)
    }

    pub(crate) fn number(self) -> u16 {
        match self {
            Self::V3 => 3,
            Self::V5 => 5,
            Self::V6 => 6,
            Self::V8 => 8,
        }
    }
}

/// What differs between the versions; `None` is the newest, from a client that states no version.
pub(crate) trait Quirks {
    /// Pieces bear the media type `application/partial-upload`.
    fn has_media_type(self) -> bool;
    /// A piece is acknowledged with 201, not 204.
    fn acknowledges_with_created(self) -> bool;
    /// Octets for a complete upload are told to be that, and not a length that contradicts the known one: -10 and
    /// -11 demand the latter, -12 knows no other type for it.
    fn has_completed_upload(self) -> bool;
    /// `HEAD` and `DELETE` must not bear headers about the state of an upload.
    fn forbids_state_in_questions(self) -> bool;
}

impl Quirks for Option<Interop> {
    fn has_media_type(self) -> bool {
        !matches!(self, Some(Interop::V3 | Interop::V5))
    }

    fn acknowledges_with_created(self) -> bool {
        matches!(self, Some(Interop::V3 | Interop::V5))
    }

    fn has_completed_upload(self) -> bool {
        matches!(self, Some(Interop::V3 | Interop::V5 | Interop::V6))
    }

    fn forbids_state_in_questions(self) -> bool {
        matches!(self, Some(Interop::V3 | Interop::V5 | Interop::V6))
    }
}

/// Whether a request brings the rest of its upload; an error if it does not say so.
pub(crate) fn completes(headers: &HeaderMap, version: Option<Interop>) -> Result<bool, UploadError> {
    if version == Some(Interop::V3) {
        return Ok(!fields::boolean(headers, &UPLOAD_INCOMPLETE).unwrap_or(false));
    }
    let reason = "it is required: ?1 if this is the rest of the upload, ?0 if more will come";
    fields::boolean(headers, &UPLOAD_COMPLETE).ok_or(UploadError::Header { header: UPLOAD_COMPLETE, reason })
}

/// The header that tells whether an upload is complete.
pub(crate) fn completeness(version: Option<Interop>, is_complete: bool) -> (HeaderName, HeaderValue) {
    match version {
        Some(Interop::V3) => (UPLOAD_INCOMPLETE, if is_complete { FALSE } else { TRUE }),
        _ => (UPLOAD_COMPLETE, if is_complete { TRUE } else { FALSE }),
    }
}

/// The limits of uploads, or of one that lives until `expires_at`.
pub(crate) fn limit(
    version: Option<Interop>,
    limits: &Limits,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> HeaderValue {
    // Longer uploads than a structured field can tell of are not refused.
    let mut text = match limits.size_max {
        size_max @ 0..=INTEGER_MAX => format!("max-size={size_max}"),
        _ => "min-size=0".to_owned(),
    };
    if let Some(expires_at) = expires_at {
        let key = if version == Some(Interop::V6) { "expires" } else { "max-age" };
        text += &format!(", {key}={}", expires_at.since(now).as_secs().min(INTEGER_MAX));
    }
    HeaderValue::from_str(&text).expect("digits and ASCII keys are a header value")
}

/// The length of the whole upload as a request tells it: in so many words, or by ending it.
///
/// `content_bytes` is known when the request tells the length of its content.
pub(crate) fn length(
    headers: &HeaderMap,
    offset: u64,
    content_bytes: Option<u64>,
    completes: bool,
    recorded: Option<u64>,
) -> Result<Option<u64>, UploadError> {
    let stated = fields::integer(headers, &super::UPLOAD_LENGTH);
    let implied = content_bytes.filter(|_| completes).map(|bytes| offset.saturating_add(bytes));
    let mut told = [recorded, stated, implied].into_iter().flatten();
    let Some(length) = told.next() else { return Ok(None) };
    match told.find(|other| *other != length) {
        Some(other) => Err(UploadError::InconsistentLength { length, other }),
        None => Ok(Some(length)),
    }
}

/// Refuses a question that bears headers about the state of the upload, where that is forbidden.
pub(crate) fn check_question(dialect: Dialect, headers: &HeaderMap) -> Result<(), UploadError> {
    let Dialect::Draft(version) = dialect else { return Ok(()) };
    let state = [super::UPLOAD_OFFSET, UPLOAD_COMPLETE, UPLOAD_INCOMPLETE];
    match state.into_iter().find(|header| version.forbids_state_in_questions() && headers.contains_key(header)) {
        Some(header) => Err(UploadError::Header { header, reason: "it has no place in this request" }),
        None => Ok(()),
    }
}

/// An interim response that tells where the upload of this request lives.
pub(crate) fn interim(version: Interop, location: &HeaderValue, limit: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(UPLOAD_INTEROP, version.number().into());
    headers.insert(axum::http::header::LOCATION, location.clone());
    headers.insert(UPLOAD_LIMIT, limit);
    headers
}

/// An interim response that tells how much of the upload is durable.
pub(crate) fn progress(version: Interop, offset: u64) -> HeaderMap {
    HeaderMap::from_iter([(UPLOAD_INTEROP, version.number().into()), (super::UPLOAD_OFFSET, offset.into())])
}

/// Whether an upload takes nothing more because all of it is there.
pub(crate) fn is_complete(upload: &Upload) -> bool {
    upload.state == catalog_store::UploadState::Complete
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn whether_a_request_completes_is_told_in_each_version() {
        let read = |pairs: &[(HeaderName, &str)], version| completes(&headers(pairs), version).ok();
        for version in [None, Some(Interop::V5), Some(Interop::V6), Some(Interop::V8)] {
            assert_eq!(read(&[(UPLOAD_COMPLETE, "?1")], version), Some(true));
            assert_eq!(read(&[(UPLOAD_COMPLETE, "?0")], version), Some(false));
            assert_eq!(read(&[], version), None);
            assert_eq!(completeness(version, true), (UPLOAD_COMPLETE, TRUE));
        }
        assert_eq!(read(&[(UPLOAD_INCOMPLETE, "?1")], Some(Interop::V3)), Some(false));
        assert_eq!(read(&[(UPLOAD_INCOMPLETE, "?0")], Some(Interop::V3)), Some(true));
        assert_eq!(read(&[], Some(Interop::V3)), Some(true));
        assert_eq!(completeness(Some(Interop::V3), true), (UPLOAD_INCOMPLETE, FALSE));
    }

    #[test]
    fn lengths_agree_or_are_refused() {
        let read = |stated: &[&str], offset, content, completes, recorded| {
            let pairs: Vec<_> = stated.iter().map(|value| (super::super::UPLOAD_LENGTH, *value)).collect();
            length(&headers(&pairs), offset, content, completes, recorded).ok()
        };
        assert_eq!(read(&[], 0, None, true, None), Some(None));
        assert_eq!(read(&[], 5, Some(5), false, None), Some(None));
        assert_eq!(read(&[], 5, Some(5), true, None), Some(Some(10)));
        assert_eq!(read(&["10"], 5, Some(5), true, Some(10)), Some(Some(10)));
        assert_eq!(read(&["ten"], 5, Some(5), true, Some(10)), Some(Some(10)));
        assert_eq!(read(&["11"], 5, Some(5), true, None), None);
        assert_eq!(read(&["11"], 5, None, false, Some(10)), None);
        assert_eq!(read(&[], 5, Some(6), true, Some(10)), None);
    }

    #[test]
    fn limits_tell_of_size_and_life() {
        let (limits, now) = (Limits { size_max: 1000, ..Limits::default() }, Timestamp::from_unix_ms(5_000));
        let expires_at = Some(Timestamp::from_unix_ms(65_999));
        assert_eq!(limit(Some(Interop::V8), &limits, None, now), "max-size=1000");
        assert_eq!(limit(Some(Interop::V8), &limits, expires_at, now), "max-size=1000, max-age=60");
        assert_eq!(limit(Some(Interop::V6), &limits, expires_at, now), "max-size=1000, expires=60");
        let boundless = Limits { size_max: i64::MAX.unsigned_abs(), ..Limits::default() };
        assert_eq!(limit(None, &boundless, None, now), "min-size=0");
    }
}
