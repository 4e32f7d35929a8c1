//! How often what concerns accounts may be tried, and how it is told.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::throttle::{Allowance, Policy};

/// Passwords for one account.
pub(crate) const LOGIN_OF_ACCOUNT: Policy = Policy { name: "login-account", burst: 20, period_ms: 10_000 };
/// Passwords from one address.
pub(crate) const LOGIN: Policy = Policy { name: "login", burst: 30, period_ms: 2000 };
/// Codes of the second factor of one account.
pub(crate) const CODES: Policy = Policy { name: "codes", burst: 5, period_ms: 300_000 };
/// Tokens and links shown by one address.
pub(crate) const TOKENS: Policy = Policy { name: "tokens", burst: 60, period_ms: 1000 };
/// Letters asked for by one address.
pub(crate) const LETTERS: Policy = Policy { name: "letters", burst: 10, period_ms: 60_000 };
/// Letters to one address.
pub(crate) const LETTERS_TO: Policy = Policy { name: "letters-to", burst: 3, period_ms: 600_000 };

/// Tells what is left as the IETF draft on RateLimit fields has it.
pub(crate) fn tell(policy: &Policy, allowance: &Allowance, headers: &mut HeaderMap) {
    let Policy { name, burst, period_ms } = policy;
    let window_s = i64::from(*burst) * period_ms / 1000;
    let fields = [
        ("ratelimit-policy", format!("\"{name}\";q={burst};w={window_s}")),
        ("ratelimit", format!("\"{name}\";r={};t={}", allowance.remaining, allowance.reset_s())),
    ];
    for (name, value) in fields {
        headers.extend(HeaderValue::try_from(value).ok().map(|value| (HeaderName::from_static(name), value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told() {
        let three = Policy { name: "three", burst: 3, period_ms: 1000 };
        let mut headers = HeaderMap::new();
        tell(&three, &Allowance { is_exceeded: false, remaining: 2, reset_ms: 1000 }, &mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"three\";q=3;w=3");
        assert_eq!(headers["ratelimit"], "\"three\";r=2;t=1");
    }
}
