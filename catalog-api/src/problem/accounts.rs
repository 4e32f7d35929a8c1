//! What can be wrong with who asks, and with what they ask about accounts.

use axum::http::StatusCode;
use domain::throttle::{Allowance, Policy};

use super::Problem;
use crate::accounts::KeyError;

impl Problem {
    pub(crate) fn unauthorized(detail: String) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub(crate) fn forbidden(reason: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", reason)
    }

    pub(crate) fn accounts_off(detail: String) -> Self {
        Self::new(StatusCode::NOT_FOUND, "accounts_off", detail)
    }

    pub(crate) fn cross_origin(detail: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross_origin", detail)
    }

    /// One answer for all that is wrong with it: none tells whether there is such an account.
    pub(crate) fn invalid_credentials() -> Self {
        let detail = "the mail address or the password is wrong";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail)
    }

    /// The password was right.
    pub(crate) fn code_required() -> Self {
        let detail = "this account has a second factor: send its code as well";
        Self::new(StatusCode::UNAUTHORIZED, "code_required", detail)
    }

    pub(crate) fn invalid_code() -> Self {
        let detail = "the code is wrong, over or was used";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_code", detail)
    }

    pub(crate) fn invalid_refresh() -> Self {
        let detail = "the refresh token is not good, or not any more: log in again";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_refresh_token", detail)
    }

    pub(crate) fn invalid_link() -> Self {
        let detail = "the link was used, is over, or was never given: ask for a new one";
        Self::new(StatusCode::GONE, "invalid_link", detail)
    }

    pub(crate) fn email_not_verified() -> Self {
        let detail = "follow the link in the letter that was sent to this mail address first";
        Self::new(StatusCode::FORBIDDEN, "email_not_verified", detail)
    }

    pub(crate) fn suspended() -> Self {
        let detail = "this account is suspended: ask whoever runs the server";
        Self::new(StatusCode::FORBIDDEN, "account_suspended", detail)
    }

    pub(crate) fn registration_closed() -> Self {
        let detail = "accounts are made by administrators here";
        Self::new(StatusCode::FORBIDDEN, "registration_closed", detail)
    }

    pub(crate) fn weak_password(reason: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "weak_password", reason).at_member("/password", "weak_password")
    }

    pub(crate) fn email_taken() -> Self {
        let detail = "another account has this mail address";
        Self::new(StatusCode::CONFLICT, "email_taken", detail)
    }

    pub(crate) fn last_admin() -> Self {
        let detail = "somebody has to be able to decide about accounts: make another administrator first";
        Self::new(StatusCode::CONFLICT, "last_admin", detail)
    }

    pub(crate) fn too_many_keys() -> Self {
        let detail = format!("an account has at most {} API keys: take one back", catalog_store::credentials::KEYS_MAX);
        Self::new(StatusCode::CONFLICT, "too_many_keys", detail)
    }

    pub(crate) fn identity_taken() -> Self {
        let detail = "another account has this identity: log in with it, and take it off there";
        Self::new(StatusCode::CONFLICT, "identity_taken", detail)
    }

    pub(crate) fn too_many_identities() -> Self {
        let most = catalog_store::identities::IDENTITIES_MAX;
        let detail = format!("an account has at most {most} identities: take one off");
        Self::new(StatusCode::CONFLICT, "too_many_identities", detail)
    }

    pub(crate) fn last_way_in() -> Self {
        let detail = "nobody could log in to this account any more: set a password first";
        Self::new(StatusCode::CONFLICT, "last_way_in", detail)
    }

    pub(crate) fn provider_away() -> Self {
        let detail = "the provider of identities does not answer, try again later";
        Self { retry_after_s: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "provider_away", detail) }
    }

    pub(crate) fn too_many_shares() -> Self {
        let detail = format!("an asset is shared with at most {} accounts", catalog_store::shares::SHARES_MAX);
        Self::new(StatusCode::CONFLICT, "too_many_shares", detail)
    }

    pub(crate) fn precondition_required() -> Self {
        let detail = "send If-Match with the ETag of what you change";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail)
    }

    pub(crate) fn invalid_if_match() -> Self {
        let detail = "If-Match is * or a list of ETags, each in its quotes";
        Self::new(StatusCode::BAD_REQUEST, "invalid_header", detail)
    }

    pub(crate) fn invalid_if_none_match() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_header", "If-None-Match is * where something is set")
    }

    /// Something is there where nothing was to be, with its tag if it has one.
    pub(crate) fn exists(tag: Option<&str>) -> Self {
        let detail = "there is one already, and the change is for none: read it";
        Self { tag: tag.map(Into::into), ..Self::new(StatusCode::PRECONDITION_FAILED, "changed", detail) }
    }

    /// With the tag of what is there.
    pub(crate) fn changed(tag: &str) -> Self {
        let detail = "it was changed since: read it again";
        Self { tag: Some(tag.into()), ..Self::new(StatusCode::PRECONDITION_FAILED, "changed", detail) }
    }

    /// With the bound that was reached, beside others that are told of anyway.
    pub(crate) fn too_many_attempts(policy: &Policy, allowance: Allowance) -> Self {
        let retry_after_s = allowance.reset_s();
        let detail = format!("that was tried too often: try again in {retry_after_s} s");
        Self {
            retry_after_s: Some(retry_after_s),
            bound: Some(Box::new((*policy, allowance))),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail)
        }
    }

    /// More requests than one may send.
    pub(crate) fn too_many_requests(policy: Policy, allowance: Allowance) -> Self {
        let retry_after_s = allowance.reset_s();
        let detail = format!("so many requests are too many: try again in {retry_after_s} s");
        Self {
            retry_after_s: Some(retry_after_s),
            bound: Some(Box::new((policy, allowance))),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
        }
    }

    /// A bearer token that is nobody's (RFC 6750, 3.1).
    pub(crate) fn invalid_token(detail: String) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_token", detail)
    }

    pub(crate) fn busy() -> Self {
        let detail = "too much is asked for at this moment, try again later";
        Self { retry_after_s: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail) }
    }

    pub(crate) fn unavailable() -> Self {
        let detail = "accounts cannot be reached, try again later";
        Self { retry_after_s: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "accounts_unavailable", detail) }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        tracing::error!(error = %super::chain(&error), "no token can be signed");
        Self::unavailable()
    }
}
