//! What a client is told when a request fails: a problem document (RFC 9457) with a stable code.

use std::time::Duration;

use axum::http::header::{ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::{CatalogError, PageError};
use domain::about::Fault;
use domain::{Failure, Timestamp};
use media_store::{StagingError, StoreError};

use crate::protocol::draft::{PARTIAL_UPLOAD, Quirks, UPLOAD_LIMIT, completeness, limit};
use crate::protocol::tus::{OFFSET_OCTET_STREAM, TUS_VERSION, VERSION};
use crate::protocol::{ACCEPT_PATCH, Dialect, PIECES, UPLOAD_OFFSET};
use crate::{Denial, Limits};

/// What a client should wait before it asks again.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// The same while another request holds the upload.
const BUSY_DELAY: Duration = Duration::from_secs(1);

/// The code of every refusal of what was uploaded.
const REFUSED: &str = "upload_refused";
/// What stands before the names of the problems that IANA registers.
const PROBLEM_TYPES: &str = "https://iana.org/assignments/http-problem-types#";

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// Another protocol version, or none.
    #[error("this server speaks tus 1.0.0: send Tus-Resumable: 1.0.0")]
    Version,
    /// No upload has this address.
    #[error("there is no such upload")]
    NotFound,
    /// The asset that an upload is for does not exist, or is not there for the one who asks.
    #[error("there is no such asset")]
    NoAsset,
    /// No capability of the one who asks has this address.
    #[error("there is no such upload link of yours")]
    NoGrant,
    /// The upload was terminated, or its asset deleted.
    #[error("this upload was terminated or its asset deleted")]
    Gone,
    /// Nothing came for so long that the upload was given up.
    #[error("nothing came for too long, and this upload was given up: begin a new one")]
    Expired,
    /// The one who asks may not do that, or not so much of it.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// What was uploaded is not wanted.
    #[error("{0}")]
    Refused(Failure),
    /// The upload's octets are lost.
    #[error("the octets of this upload are lost: begin a new one")]
    Lost,
    /// The method makes no sense at this address.
    #[error("the method is not allowed here")]
    Method {
        /// What is.
        allowed: &'static str,
    },
    /// A header is missing or malformed.
    #[error("header {header}: {reason}")]
    Header {
        /// Which.
        header: HeaderName,
        /// What is wrong.
        reason: &'static str,
    },
    /// The body is not a piece of an upload.
    #[error("the body of this request must have the type {OFFSET_OCTET_STREAM} (tus) or {PARTIAL_UPLOAD}")]
    ContentType,
    /// The file would arrive in a coding that nobody here undoes.
    #[error("the file must be sent as it is, without a content coding")]
    Coding,
    /// The request tells another length than was told before, or than its content has.
    #[error("the length of the upload is {length} octets as well as {other}")]
    InconsistentLength {
        /// One length.
        length: u64,
        /// Another.
        other: u64,
    },
    /// A final upload takes no octets of its own.
    #[error("the octets of a final upload are those of its parts")]
    FinalUpload,
    /// Parts cannot become one file.
    #[error("the parts cannot be put together: {reason}")]
    Part {
        /// What is wrong with one of them.
        reason: &'static str,
    },
    /// More octets for an upload that is complete.
    #[error("this upload is complete and takes nothing more")]
    Completed {
        /// All octets.
        offset: u64,
    },
    /// The content has not the digest that came with it.
    #[error("the content does not have the given digest; nothing of it was kept, and the upload stands at {offset}")]
    ChecksumMismatch {
        /// Durable octets.
        offset: u64,
    },
    /// Every octet is safe, but the file is not yet stored.
    #[error("every octet has arrived; the file is still being stored")]
    Completing {
        /// Octets to be acknowledged.
        offset: u64,
    },
    /// The metadata are too long.
    #[error("Upload-Metadata is longer than {bytes_max} octets")]
    MetadataTooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// The announced length is above the limit.
    #[error("an upload may have up to {size_max} octets")]
    TooLarge {
        /// The limit.
        size_max: u64,
    },
    /// More octets than announced.
    #[error("the body goes beyond the announced length of {length} octets")]
    BeyondLength {
        /// The announced length.
        length: u64,
        /// Durable octets.
        offset: u64,
    },
    /// The client stands elsewhere than the server.
    #[error("the upload stands at offset {offset}, not at {provided}")]
    Offset {
        /// Durable octets.
        offset: u64,
        /// Where the client would go on.
        provided: u64,
    },
    /// A newer request writes this upload now.
    #[error("a newer request took this upload over at offset {offset}")]
    TakenOver {
        /// Durable octets.
        offset: u64,
    },
    /// Nothing came for too long.
    #[error("no octets came for {} seconds; the upload stands at offset {offset}", .silence.as_secs())]
    Stalled {
        /// Durable octets.
        offset: u64,
        /// For how long nothing came.
        silence: Duration,
    },
    /// The body broke off.
    #[error("the body broke off; the upload stands at offset {offset}")]
    BrokenOff {
        /// Durable octets.
        offset: u64,
    },
    /// The server is stopping.
    #[error("the server is restarting; the upload stands at offset {offset}")]
    Stopping {
        /// Durable octets.
        offset: u64,
    },
    /// Another request holds the upload and does not let go.
    #[error("the upload is being written or completed by another request")]
    Busy,
    /// Too many unfinished uploads.
    #[error("the server holds as many unfinished uploads as it may")]
    TooMany,
    /// The disk is full.
    #[error("the server has no room for more octets")]
    OutOfSpace,
    /// The catalogue failed.
    #[error("the catalogue does not answer")]
    Catalog(#[source] CatalogError),
    /// The store failed.
    #[error("the store does not answer")]
    Store(#[from] StoreError),
    /// The staged file failed.
    #[error("the staged file cannot be written")]
    Staging(#[source] StagingError),
    /// A bug: a task ended without an answer.
    #[error("the server made a mistake")]
    Internal,
}

impl From<CatalogError> for UploadError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NoUpload(_) => Self::NotFound,
            CatalogError::UploadClosed { .. } => Self::Gone,
            CatalogError::NoAsset(_) => Self::NoAsset,
            // It was deleted while this was asked for.
            CatalogError::AccountGone(_) => Denial::Unauthorized.into(),
            // Another request was faster, or it ended meanwhile.
            CatalogError::GrantSpent(_) => Denial::Grant { problem: "it was used before or has ended" }.into(),
            CatalogError::NotReady { state, .. } => {
                let reason = format!("the asset is {state}: only one that is ready takes another version");
                Denial::Version { code: "asset_not_ready", reason }.into()
            }
            CatalogError::VersionUnderWay(_) => {
                let reason = "another version of the asset is on its way: wait for it, or end its upload".to_owned();
                Denial::Version { code: "version_under_way", reason }.into()
            }
            CatalogError::AssetFailed(_) => {
                let reason = "the asset has failed: nothing can be added to it".to_owned();
                Denial::Version { code: "asset_failed", reason }.into()
            }
            CatalogError::TooManyDocuments { count_max, .. } => {
                let reason = format!("an asset has at most {count_max} documents: remove one");
                Denial::Version { code: "too_many_documents", reason }.into()
            }
            CatalogError::TooManyVersions(_) => {
                let reason = "the asset has had as many versions as it may".to_owned();
                Denial::Version { code: "too_many_versions", reason }.into()
            }
            error => Self::Catalog(error),
        }
    }
}

impl From<PageError> for UploadError {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Cursor => Denial::Cursor.into(),
            PageError::Catalog(error) => error.into(),
            error @ PageError::BothSides => Denial::Parameter { reason: error.to_string() }.into(),
            error => Denial::Query { reason: error.to_string() }.into(),
        }
    }
}

impl From<StagingError> for UploadError {
    fn from(error: StagingError) -> Self {
        match error {
            StagingError::TakenOver { .. } => Self::Busy,
            StagingError::Lost { .. } => Self::Lost,
            error if error.is_out_of_space() => Self::OutOfSpace,
            error => Self::Staging(error),
        }
    }
}

impl UploadError {
    /// The status, and a name for programs that never changes.
    pub fn status_and_code(&self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::Version => (S::PRECONDITION_FAILED, "unsupported_version"),
            Self::NotFound => (S::NOT_FOUND, "upload_not_found"),
            Self::NoAsset => (S::NOT_FOUND, "asset_not_found"),
            Self::NoGrant => (S::NOT_FOUND, "not_found"),
            Self::Gone => (S::GONE, "upload_gone"),
            Self::Denied(denial) => denial.status_and_code(),
            Self::Expired => (S::GONE, "upload_expired"),
            Self::Refused(_) => (S::GONE, REFUSED),
            Self::Lost => (S::GONE, "upload_lost"),
            Self::Method { .. } => (S::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Header { .. } => (S::BAD_REQUEST, "invalid_header"),
            Self::ContentType => (S::UNSUPPORTED_MEDIA_TYPE, "invalid_content_type"),
            Self::Coding => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_coding"),
            Self::InconsistentLength { .. } => (S::BAD_REQUEST, "inconsistent_length"),
            Self::FinalUpload => (S::FORBIDDEN, "final_upload"),
            Self::Part { .. } => (S::BAD_REQUEST, "invalid_part"),
            Self::Completed { .. } => (S::BAD_REQUEST, "upload_complete"),
            Self::ChecksumMismatch { .. } => (checksum_mismatch(), "checksum_mismatch"),
            Self::Completing { .. } => (S::SERVICE_UNAVAILABLE, "completing"),
            Self::MetadataTooLong { .. } => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "metadata_too_long"),
            Self::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "upload_too_large"),
            Self::BeyondLength { .. } => (S::PAYLOAD_TOO_LARGE, "beyond_length"),
            Self::Offset { .. } => (S::CONFLICT, "offset_mismatch"),
            Self::TakenOver { .. } => (S::CONFLICT, "taken_over"),
            Self::Stalled { .. } => (S::REQUEST_TIMEOUT, "stalled"),
            Self::BrokenOff { .. } => (S::BAD_REQUEST, "broken_off"),
            Self::Stopping { .. } => (S::SERVICE_UNAVAILABLE, "stopping"),
            Self::Busy => (S::LOCKED, "upload_busy"),
            Self::TooMany => (S::SERVICE_UNAVAILABLE, "too_many_uploads"),
            Self::OutOfSpace => (S::INSUFFICIENT_STORAGE, "out_of_space"),
            Self::Catalog(_) | Self::Store(_) | Self::Staging(_) => (S::SERVICE_UNAVAILABLE, "storage_unavailable"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// Where the upload stands, if that is part of the answer.
    fn offset(&self) -> Option<u64> {
        match self {
            Self::BeyondLength { offset, .. }
            | Self::Offset { offset, .. }
            | Self::Completed { offset }
            | Self::ChecksumMismatch { offset }
            | Self::Completing { offset }
            | Self::TakenOver { offset }
            | Self::Stalled { offset, .. }
            | Self::BrokenOff { offset }
            | Self::Stopping { offset } => Some(*offset),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy => Some(BUSY_DELAY),
            Self::Denied(denial) => denial.retry_after(),
            Self::Stopping { .. }
            | Self::Completing { .. }
            | Self::TooMany
            | Self::OutOfSpace
            | Self::Catalog(_)
            | Self::Store(_)
            | Self::Staging(_) => Some(RETRY_DELAY),
            _ => None,
        }
    }

    /// Whether the fault is ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.status_and_code().0.is_server_error()
    }

    /// The type of the problem where one is registered.
    fn kind(&self, dialect: Dialect) -> Option<&'static str> {
        let has_completed_upload = match dialect {
            Dialect::Tus => true,
            Dialect::Draft(version) => version.has_completed_upload(),
        };
        match self {
            Self::Offset { .. } => Some("mismatching-upload-offset"),
            Self::InconsistentLength { .. } => Some("inconsistent-upload-length"),
            Self::BeyondLength { .. } if dialect != Dialect::Tus => Some("inconsistent-upload-length"),
            Self::Completed { .. } if has_completed_upload => Some("completed-upload"),
            // The length was told, and these octets lie beyond it.
            Self::Completed { .. } => Some("inconsistent-upload-length"),
            Self::ChecksumMismatch { .. } => Some("digest-mismatching-values"),
            _ => None,
        }
    }

    /// Whether the upload itself is answered, not the way in which it came.
    fn is_about_the_upload(&self) -> bool {
        self.status_and_code().1 == REFUSED
    }

    /// The answer in the protocol of the request.
    pub(crate) fn into_answer(self, dialect: Dialect, limits: &Limits) -> Response {
        let Dialect::Draft(version) = dialect else { return self.into_response() };
        let status = match self.status_and_code().0 {
            // 460 is a status of tus alone.
            status if status == checksum_mismatch() => StatusCode::BAD_REQUEST,
            // 413 would tell its clients to come again with less (-12 section 4.1.4): this upload is at its end.
            _ if matches!(self, Self::BeyondLength { .. }) => StatusCode::BAD_REQUEST,
            status => status,
        };
        let (name, value) = completeness(version, self.is_about_the_upload());
        let mut response = self.into_response_with(status, dialect);
        response.headers_mut().insert(name, value);
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let limit = limit(version, limits, None, Timestamp::from_unix_ms(0));
            response.headers_mut().insert(UPLOAD_LIMIT, limit);
        }
        response
    }

    /// What answers a `HEAD`: never a server error, for clients take any other failure as the end of the
    /// upload and begin again at octet 0.
    pub(crate) fn softened(self) -> Self {
        if !self.is_ours() {
            return self;
        }
        tracing::error!(error = %Causes(&self), "an upload could not be looked up");
        Self::Busy
    }

    fn into_response_with(self, status: StatusCode, dialect: Dialect) -> Response {
        let (_, code) = self.status_and_code();
        if self.is_ours() {
            tracing::error!(code, error = %Causes(&self), "an upload request failed");
        }
        let mut problem = serde_json::json!({
            "type": self.kind(dialect).map_or("about:blank".to_owned(), |kind| format!("{PROBLEM_TYPES}{kind}")),
            "title": status.canonical_reason().unwrap_or("Checksum Mismatch"),
            "status": status.as_u16(),
            "code": code,
            "detail": self.to_string(),
        });
        if let Self::Denied(denial) = &self
            && !denial.faults().is_empty()
        {
            let error = |Fault { pointer, code, detail }: &Fault| serde_json::json!({ "pointer": pointer, "code": code, "detail": detail });
            problem["errors"] = denial.faults().iter().map(error).collect();
        }
        if let Self::Offset { offset, provided } = self {
            problem["expected-offset"] = offset.into();
            problem["provided-offset"] = provided.into();
        }
        let mut response = (status, problem.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(offset) = self.offset() {
            headers.insert(UPLOAD_OFFSET, offset.into());
        }
        if let Some(delay) = self.retry_after() {
            headers.insert(RETRY_AFTER, delay.as_secs().into());
        }
        match self {
            Self::Version => drop(headers.insert(TUS_VERSION, VERSION)),
            Self::Method { allowed } => drop(headers.insert(ALLOW, HeaderValue::from_static(allowed))),
            Self::Denied(denial) if denial.is_unauthorized() => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::ContentType => drop(headers.insert(ACCEPT_PATCH, PIECES)),
            Self::Coding => drop(headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"))),
            _ => {}
        }
        response
    }
}

impl IntoResponse for UploadError {
    fn into_response(self) -> Response {
        let (status, _) = self.status_and_code();
        self.into_response_with(status, Dialect::Tus)
    }
}

/// The status with which tus tells that a digest does not match.
fn checksum_mismatch() -> StatusCode {
    StatusCode::from_u16(460).expect("three digits are a status")
}

/// An error with all its causes, for the log.
pub(crate) struct Causes<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_never_answered_with_a_server_error() {
        let ours = [
            UploadError::Internal,
            UploadError::Stopping { offset: 5 },
            UploadError::OutOfSpace,
            UploadError::Catalog(CatalogError::NoUpload(domain::UploadId::from_u128(1))),
        ];
        for error in ours {
            assert!(error.is_ours());
            let response = error.softened().into_response();
            assert_eq!(response.status(), StatusCode::LOCKED);
            assert_eq!(response.headers().get(RETRY_AFTER), Some(&HeaderValue::from_static("1")));
        }
        assert_eq!(UploadError::NotFound.softened().into_response().status(), StatusCode::NOT_FOUND);
    }
}
