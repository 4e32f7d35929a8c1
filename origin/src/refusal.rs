//! Answers for what is not served: problem documents, and the methods that there are.

use http::header::{ALLOW, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use packager::hls::ClipError;

use crate::access::{Denied, Locked};
use crate::body::Body;
use crate::objects::FetchError;
use crate::policy;
use crate::problem::Problem;
use crate::query::QueryError;
use crate::route::RouteError;

/// What a client is to wait before it asks again for something that is not ready, in seconds.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("2");

/// Why there is nothing to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The path is not one of ours.
    BadPath(RouteError),
    /// The query asks for no view that there is.
    BadQuery(QueryError),
    /// Nothing is published under this playback id, or not any more.
    UnknownPlayback,
    /// The presentation has no such part.
    NoSuchPart,
    /// The presentation has no such part, but may get it when processing ends.
    NoSuchPartYet,
    /// Planned, but not encoded in time.
    NotYet,
    /// Too many requests wait.
    Busy,
    /// The store does not answer.
    Unavailable,
    /// What was published is damaged.
    Broken,
    /// The asset is encrypted, and has no such form.
    Encrypted,
    /// The asset is encrypted, and there is no secret to derive its keys from.
    NoContentKey,
    /// The request may not have it.
    Denied(Denied),
}

impl Refusal {
    /// What is said of a part that is not there.
    pub(crate) fn absent(is_complete: bool) -> Self {
        if is_complete { Self::NoSuchPart } else { Self::NoSuchPartYet }
    }

    fn problem(self) -> Problem {
        use StatusCode as Status;
        let (status, code, detail, cache_control) = match self {
            Self::BadPath(RouteError::TooLong) => {
                (Status::URI_TOO_LONG, "target_too_long", "the path is too long", policy::NO_STORE)
            }
            Self::BadPath(RouteError::Malformed) => {
                (Status::BAD_REQUEST, "bad_path", "the path is not well-formed", policy::NO_STORE)
            }
            Self::BadQuery(QueryError::TooLong) => {
                (Status::URI_TOO_LONG, "target_too_long", "the query is too long", policy::NO_STORE)
            }
            Self::BadQuery(QueryError::Container) => {
                (Status::BAD_REQUEST, "bad_container", "containers are cmaf and ts", policy::NO_STORE)
            }
            Self::BadQuery(error) => (Status::BAD_REQUEST, "bad_clip", query_detail(error), policy::NO_STORE),
            Self::BadPath(RouteError::Unknown) | Self::NoSuchPart => {
                (Status::NOT_FOUND, "not_found", "there is nothing at this address", policy::ABSENT)
            }
            Self::NoSuchPartYet => {
                (Status::NOT_FOUND, "not_found", "there is nothing at this address yet", policy::ABSENT_FOR_NOW)
            }
            Self::UnknownPlayback => {
                (Status::NOT_FOUND, "unknown_playback", "nothing is published here", policy::ABSENT_FOR_NOW)
            }
            Self::NotYet => {
                (Status::SERVICE_UNAVAILABLE, "not_encoded_yet", "this part is still being encoded", policy::NO_STORE)
            }
            Self::Busy | Self::Denied(Denied::Busy) => {
                (Status::SERVICE_UNAVAILABLE, "busy", "too many requests wait already", policy::NO_STORE)
            }
            Self::Unavailable => {
                (Status::SERVICE_UNAVAILABLE, "storage_unavailable", "the storage does not answer", policy::NO_STORE)
            }
            Self::Encrypted => (
                Status::NOT_FOUND,
                "encrypted",
                "the asset is encrypted: it is played by its HLS playlists, and has no such form",
                policy::ABSENT,
            ),
            Self::NoContentKey => (
                Status::SERVICE_UNAVAILABLE,
                "no_content_key",
                "the asset is encrypted, and this server has no secret for its keys",
                policy::NO_STORE,
            ),
            Self::Denied(Denied::NotByCdn) => {
                (Status::FORBIDDEN, "not_by_cdn", "this server answers its CDN only", policy::NO_STORE)
            }
            Self::Denied(Denied::BadToken) => {
                (Status::FORBIDDEN, "bad_token", "the token does not open this", policy::NO_STORE)
            }
            Self::Denied(Denied::NotSigned) => {
                (Status::FORBIDDEN, "token_needed", "this needs a token", policy::NO_STORE)
            }
            Self::Denied(Denied::OtherPage) => {
                (Status::FORBIDDEN, "other_page", "this is not shown on that page", policy::NO_STORE)
            }
            Self::Denied(Denied::Withheld) => {
                (Status::NOT_FOUND, "not_available", "this is not shown at this time", policy::NO_STORE)
            }
            Self::Denied(Denied::NoPassword) => {
                (Status::UNAUTHORIZED, "password_needed", "this needs a password", policy::NO_STORE)
            }
            Self::Denied(Denied::Guessing { .. }) => (
                Status::TOO_MANY_REQUESTS,
                "too_many_attempts",
                "too many wrong passwords came from there: try again later",
                policy::NO_STORE,
            ),
            Self::Broken => (Status::INTERNAL_SERVER_ERROR, "damaged", "this part is damaged", policy::NO_STORE),
        };
        Problem { status, code, detail, cache_control }
    }

    /// The response.
    pub(crate) fn respond(self) -> Response<Body> {
        let mut response = self.problem().respond();
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
        }
        if let Self::Denied(Denied::Guessing { retry_s }) = self {
            response.headers_mut().insert(RETRY_AFTER, retry_s.into());
        }
        if self == Self::Denied(Denied::NoPassword) {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"video\""));
        }
        response
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Self {
        Self::BadPath(error)
    }
}

impl From<Locked> for Refusal {
    fn from(locked: Locked) -> Self {
        match locked {
            Locked::NoSecret => Self::NoContentKey,
            Locked::OtherEdition => Self::NoSuchPart,
        }
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        Self::BadQuery(error)
    }
}

/// What people read of a clip that is none.
fn query_detail(error: QueryError) -> &'static str {
    match error {
        QueryError::Clip(ClipError::Empty) => "a clip ends after it begins",
        QueryError::Clip(ClipError::Outside) => "the clip begins after the end of the video",
        QueryError::Doubled => "a parameter may stand there once",
        _ => "a clip begins and ends at seconds, such as 90.5, or at hh:mm:ss",
    }
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Store | FetchError::Slow | FetchError::Upstream => Self::Unavailable,
            FetchError::Corrupt => Self::Broken,
            FetchError::Busy => Self::Busy,
            FetchError::NotYet => Self::NotYet,
        }
    }
}

/// The answer to OPTIONS.
pub(crate) fn options() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    policy::permit(response.headers_mut());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(policy::NO_STORE));
    response
}

/// The answer to methods that there are not.
pub(crate) fn refused_method() -> Response<Body> {
    let problem = Problem {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "method_not_allowed",
        detail: "only GET, HEAD and OPTIONS are served here",
        cache_control: policy::NO_STORE,
    };
    let mut response: Response<Body> = problem.respond();
    response.headers_mut().insert(ALLOW, policy::METHODS);
    response
}
