//! What somebody may not do, and why: the answers of the gate and of admission.

use std::time::Duration;

use axum::http::StatusCode;
use catalog_store::PageError;
use domain::about::Fault;
use domain::{ByteSize, Failure, FailureCode};

/// What a client should wait before it asks for room again.
const ROOM_DELAY: Duration = Duration::from_secs(30);
/// The same while it has as many open uploads as it may.
const OPEN_DELAY: Duration = Duration::from_secs(10);

/// Why a request is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// Nobody knows who asks.
    #[error("this server wants to know who uploads: send Authorization: Bearer and a token")]
    Unauthorized,
    /// The one who asks may not do that.
    #[error("{reason}")]
    Forbidden {
        /// Why not.
        reason: &'static str,
    },
    /// It cannot be told who asks.
    #[error("it cannot be told who you are now: try again later")]
    Unavailable,
    /// The capability cannot be used.
    #[error("this upload link cannot be used: {problem}; ask for a new one")]
    Grant {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The declared or found type is not on the list.
    #[error("files of the type {found} are not accepted here; accepted are: {accepted}")]
    Type {
        /// What it is.
        found: String,
        /// The list.
        accepted: String,
    },
    /// The announced length is above what this upload may have.
    #[error("this upload may have up to {bytes_max} octets")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// The principal has used up its share.
    #[error("your uploads would take {wanted} more, of your quota {left} are left: delete something first")]
    Quota {
        /// What was asked for.
        wanted: ByteSize,
        /// What is left.
        left: ByteSize,
    },
    /// The principal has too many unfinished uploads.
    #[error("you have {count_max} unfinished uploads, as many as you may: finish or delete one first")]
    TooManyOpen {
        /// The bound.
        count_max: u64,
    },
    /// The disk has no room for another upload; those that run can finish.
    #[error("the server has no room for {wanted} more now: try again later")]
    NoRoom {
        /// What was asked for.
        wanted: ByteSize,
    },
    /// A body comes too slowly.
    #[error(
        "the body came at less than {rate_min} octets a second and was cut off: ask where the upload stands, and go on"
    )]
    TooSlow {
        /// The bound, in octets per second.
        rate_min: u64,
    },
    /// The octets are not wanted.
    #[error("{0}")]
    Unwanted(Failure),
    /// A document of a request is none.
    #[error("{reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// A document of a request does not say that it is JSON.
    #[error("the document is sent with Content-Type: application/json")]
    NotJson,
    /// A document of a request is too long.
    #[error("the body has more than {bytes_max} octets")]
    BodyTooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// A document of a request takes too long to come.
    #[error("the body did not come whole within {} seconds", patience.as_secs())]
    BodyTooSlow {
        /// The bound.
        patience: Duration,
    },
    /// A document of a request cannot be meant.
    #[error("{reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
        /// The same of the member at fault.
        fault: Fault,
    },
    /// Fields of a document cannot be meant.
    #[error("{}", faults.first().map_or_else(String::new, |fault| format!("{} {}", fault.pointer, fault.detail)))]
    Fields {
        /// What is wrong with each; at least one.
        faults: Vec<Fault>,
    },
    /// The query of a request cannot be read.
    #[error("{reason}")]
    Query {
        /// What is wrong.
        reason: String,
    },
    /// A query that can be read, and not be meant.
    #[error("{reason}")]
    Parameter {
        /// Why not.
        reason: String,
    },
    /// An id of no form that ids of these have.
    #[error("{reason}")]
    Id {
        /// What it would be.
        reason: &'static str,
    },
    /// A place in a list that there is not.
    #[error("{}", PageError::Cursor)]
    Cursor,
    /// Too many watch already.
    #[error("too many streams of events are open: try again later")]
    TooManyStreams,
    /// An asset that takes no other source, or no document, now.
    #[error("{reason}")]
    Version {
        /// Why not, for programs.
        code: &'static str,
        /// Why not.
        reason: String,
    },
    /// An address that is not imported from.
    #[error("{reason}")]
    Address {
        /// Why not.
        reason: String,
        /// The same of the member that it stands in.
        fault: Fault,
    },
}

impl Denial {
    /// The status, and a name for programs that never changes.
    pub fn status_and_code(&self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::Unauthorized => (S::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden { .. } => (S::FORBIDDEN, "forbidden"),
            Self::Unavailable => (S::SERVICE_UNAVAILABLE, "accounts_unavailable"),
            Self::Grant { .. } => (S::FORBIDDEN, "grant_invalid"),
            Self::Type { .. } => (S::UNSUPPORTED_MEDIA_TYPE, "type_not_accepted"),
            Self::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "upload_too_large"),
            Self::Quota { .. } => (S::PAYLOAD_TOO_LARGE, "quota_exceeded"),
            Self::TooManyOpen { .. } => (S::TOO_MANY_REQUESTS, "too_many_open_uploads"),
            Self::NoRoom { .. } => (S::INSUFFICIENT_STORAGE, "out_of_space"),
            Self::TooSlow { .. } => (S::REQUEST_TIMEOUT, "too_slow"),
            Self::Unwanted(failure) if failure.code == FailureCode::LimitExceeded => {
                (S::PAYLOAD_TOO_LARGE, "upload_refused")
            }
            Self::Unwanted(_) => (S::UNSUPPORTED_MEDIA_TYPE, "upload_refused"),
            Self::NotJson => (S::UNSUPPORTED_MEDIA_TYPE, "not_json"),
            Self::BodyTooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTooSlow { .. } => (S::REQUEST_TIMEOUT, "body_too_slow"),
            Self::Malformed { .. } => (S::BAD_REQUEST, "malformed_body"),
            Self::Invalid { .. } => (S::UNPROCESSABLE_ENTITY, "invalid_body"),
            Self::Fields { .. } => (S::UNPROCESSABLE_ENTITY, "invalid_fields"),
            Self::Query { .. } => (S::BAD_REQUEST, "invalid_query"),
            Self::Parameter { .. } => (S::UNPROCESSABLE_ENTITY, "invalid_parameter"),
            Self::Id { .. } => (S::BAD_REQUEST, "invalid_id"),
            Self::Cursor => (S::UNPROCESSABLE_ENTITY, "invalid_cursor"),
            Self::Version { code, .. } => (S::CONFLICT, *code),
            Self::TooManyStreams => (S::SERVICE_UNAVAILABLE, "too_many_streams"),
            Self::Address { .. } => (S::UNPROCESSABLE_ENTITY, "address_refused"),
        }
    }

    /// What is wrong with members of the document that was sent.
    pub(crate) fn faults(&self) -> &[Fault] {
        match self {
            Self::Fields { faults } => faults,
            Self::Invalid { fault, .. } | Self::Address { fault, .. } => std::slice::from_ref(fault),
            _ => &[],
        }
    }

    /// What a client should wait before it asks again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoRoom { .. } => Some(ROOM_DELAY),
            Self::TooManyOpen { .. } | Self::TooManyStreams | Self::Unavailable => Some(OPEN_DELAY),
            _ => None,
        }
    }

    /// Whether a token would help.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Unauthorized)
    }
}
