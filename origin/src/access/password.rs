//! Passwords of assets, sent as HTTP's Basic authentication; the user name does not matter.

use std::num::NonZeroU32;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive, verify};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

/// Rounds of the derivation: some 20 ms, which a guesser has to spend each time.
const ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).expect("not zero");
/// What a hash begins with.
const SCHEME: &str = "pbkdf2-sha256";
/// Passwords that were found right, and need not be derived again.
const OPENED_MAX: usize = 4096;
/// Derivations at a time; further requests with a password that is not known to be right are refused.
const DERIVATIONS_MAX: usize = 2;
/// Longest password, in octets.
const PASSWORD_BYTES_MAX: usize = 256;

/// What is stored of a password.
pub fn hash(password: &str, salt: [u8; 16]) -> String {
    let mut derived = [0; 32];
    derive(PBKDF2_HMAC_SHA256, ROUNDS, &salt, password.as_bytes(), &mut derived);
    format!("{SCHEME}${}${}", STANDARD.encode(salt), STANDARD.encode(derived))
}

/// Whether a text is what [`hash`] makes.
pub fn is_hash(text: &str) -> bool {
    parts(text).is_some()
}

fn parts(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut parts = text.split('$');
    (parts.next()? == SCHEME).then_some(())?;
    let (salt, derived) = (STANDARD.decode(parts.next()?).ok()?, STANDARD.decode(parts.next()?).ok()?);
    (parts.next().is_none() && derived.len() == 32).then_some((salt, derived))
}

/// Tries passwords.
pub(super) struct Passwords {
    /// Digests of hash and password together.
    opened: Cache<[u8; 32], ()>,
    turns: Semaphore,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self { opened: Cache::new(OPENED_MAX), turns: Semaphore::new(DERIVATIONS_MAX) }
    }

    /// Whether the request brings the password of `hash`.
    pub(super) async fn open(&self, hash: &str, headers: &HeaderMap) -> bool {
        let Some(password) = brought(headers) else { return false };
        let Some((salt, derived)) = parts(hash) else { return false };
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, format!("{hash}\n{password}").as_bytes()).as_ref());
        if self.opened.get(&name).is_some() {
            return true;
        }
        let Ok(_turn) = self.turns.try_acquire() else { return false };
        let work = move || verify(PBKDF2_HMAC_SHA256, ROUNDS, &salt, password.as_bytes(), &derived).is_ok();
        let is_right = tokio::task::spawn_blocking(work).await.unwrap_or(false);
        if is_right {
            self.opened.insert(name, ());
        }
        is_right
    }
}

fn brought(headers: &HeaderMap) -> Option<String> {
    let line = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = line.split_once(' ')?;
    let is_short = credentials.len() <= 2 * PASSWORD_BYTES_MAX;
    (scheme.eq_ignore_ascii_case("basic") && is_short).then_some(())?;
    let plain = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    plain.split_once(':').map(|(_, password)| password.to_owned())
}
