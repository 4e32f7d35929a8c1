//! Secrets that are told once, and the hashes that are kept of them.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Clock;

/// What every API key begins with.
pub(crate) const API_KEY: &str = "hwk_";
/// What every refresh token begins with.
pub(crate) const REFRESH: &str = "hwr_";
/// What the secret in every cookie begins with.
pub(crate) const COOKIE: &str = "hws_";
/// What the secret in every link begins with.
pub(crate) const TICKET: &str = "hwt_";

/// Longest secret that is looked at.
const BYTES_MAX: usize = 256;

/// 256 bits that nobody can guess, behind `prefix`.
pub(crate) fn mint(clock: &dyn Clock, prefix: &str) -> String {
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(octets(clock)))
}

/// 32 octets that nobody can guess.
pub(crate) fn octets(clock: &dyn Clock) -> [u8; 32] {
    let mut octets = [0; 32];
    octets[..16].copy_from_slice(&clock.entropy());
    octets[16..].copy_from_slice(&clock.entropy());
    octets
}

/// What is kept of a secret. It needs no salt and no time: nobody can try 256 bits.
pub(crate) fn hash(secret: &str) -> String {
    hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}

/// The refresh token that comes after `token`: always the same one, so that whoever lost the answer gets it again.
/// Who knows only what is kept of a token cannot make it, and neither can who knows only the token.
pub(crate) fn successor(token: &str, chain_key: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, chain_key.as_bytes());
    format!("{REFRESH}{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, token.as_bytes())))
}

/// Whether it may be a secret of this kind.
pub(crate) fn looks_like(secret: &str, prefix: &str) -> bool {
    secret.len() <= BYTES_MAX && secret.starts_with(prefix)
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_follows_from_token_and_chain_key_together() {
        let next = successor("hwr_a", "key");
        assert_eq!(next, successor("hwr_a", "key"));
        assert!(looks_like(&next, REFRESH));
        assert_ne!(next, successor("hwr_b", "key"));
        assert_ne!(next, successor("hwr_a", "other"));
    }

    #[test]
    fn secrets_differ_and_their_hashes_do_not_hold_them() {
        let clock = domain::ManualClock::at(domain::Timestamp::from_unix_ms(0));
        let (one, two) = (mint(&clock, API_KEY), mint(&clock, API_KEY));
        assert_ne!(one, two);
        assert_eq!((one.len(), hash(&one).len()), (47, 64));
        assert!(!hash(&one).contains(&one[4..]));
        assert!(!looks_like(&"hwk_".repeat(100), API_KEY));
    }
}
