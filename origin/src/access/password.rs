//! Passwords of assets, sent as HTTP's Basic authentication; the user name does not matter.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive, verify};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Denied;

/// Rounds of the derivation: some 20 ms, which a guesser has to spend each time.
const ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).expect("not zero");
/// What a hash begins with.
const SCHEME: &str = "pbkdf2-sha256";
/// Passwords that were found right, and need not be derived again.
const OPENED_MAX: usize = 4096;
/// Derivations at a time; further requests with a password that is not known to be right wait.
const DERIVATIONS_MAX: usize = 2;
/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(5);
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
    turns: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self { opened: Cache::new(OPENED_MAX), turns: Arc::new(Semaphore::new(DERIVATIONS_MAX)) }
    }

    /// Lets the request in if it brings the password of `hash`.
    ///
    /// # Errors
    /// [`Denied::NoPassword`], or [`Denied::Busy`] when there is no time to find out.
    pub(super) async fn open(&self, hash: &str, headers: &HeaderMap) -> Result<(), Denied> {
        let password = brought(headers).ok_or(Denied::NoPassword)?;
        let (salt, derived) = parts(hash).ok_or(Denied::NoPassword)?;
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, format!("{hash}\n{password}").as_bytes()).as_ref());
        if self.opened.get(&name).is_some() {
            return Ok(());
        }
        let Ok(Ok(turn)) = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await else {
            return Err(Denied::Busy);
        };
        // Another request of the same viewer may have been faster.
        if self.opened.get(&name).is_some() {
            return Ok(());
        }
        let work = move || {
            // Kept to the end of the work, which goes on when its client has left.
            let _turn = turn;
            verify(PBKDF2_HMAC_SHA256, ROUNDS, &salt, password.as_bytes(), &derived).is_ok()
        };
        // Only a runtime that is shutting down refuses the work.
        let is_right = tokio::task::spawn_blocking(work).await.map_err(|_| Denied::Busy)?;
        if !is_right {
            return Err(Denied::NoPassword);
        }
        self.opened.insert(name, ());
        Ok(())
    }
}

fn brought(headers: &HeaderMap) -> Option<String> {
    let line = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = line.split_once(' ')?;
    let is_short = credentials.len() <= 2 * PASSWORD_BYTES_MAX;
    (scheme.eq_ignore_ascii_case("basic") && is_short).then_some(())?;
    let plain = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (_, password) = plain.split_once(':')?;
    // RFC 7617 has no control characters; and to HMAC, which fills short keys with NUL, a password with one more of them
    // is the same.
    (!password.contains(char::is_control)).then(|| password.to_owned())
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use http::HeaderValue;
    use tokio::time::Instant;

    use super::*;

    fn bringing(password: &str) -> HeaderMap {
        let line = format!("Basic {}", STANDARD.encode(format!("u:{password}")));
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(&line).unwrap())])
    }

    #[tokio::test]
    async fn the_right_password_opens_however_many_bring_one_at_once() {
        let (passwords, hash) = (Passwords::new(), hash("right", [7; 16]));
        let (right, wrong) = (bringing("right"), bringing("wrong"));
        let opened = join_all((0..12).map(|at| passwords.open(&hash, if at % 2 == 0 { &wrong } else { &right }))).await;
        for (at, opened) in opened.into_iter().enumerate() {
            assert_eq!(opened, if at % 2 == 0 { Err(Denied::NoPassword) } else { Ok(()) });
        }
    }

    #[tokio::test]
    async fn a_password_with_more_behind_it_is_another() {
        let (passwords, hash) = (Passwords::new(), hash("right", [7; 16]));
        for more in ["\0", "\0\0", "\n", "\r\n", "\t", " ", "\u{80}"] {
            let brought = bringing(&format!("right{more}"));
            assert_eq!(passwords.open(&hash, &brought).await, Err(Denied::NoPassword), "{more:?}");
        }
        assert_eq!(passwords.open(&hash, &bringing("right")).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_turn_nobody_is_told_that_the_password_is_wrong() {
        let (passwords, hash) = (Passwords::new(), hash("right", [7; 16]));
        let right = bringing("right");
        let turns = passwords.turns.acquire_many(2).await.unwrap();
        let begun = Instant::now();
        assert_eq!(passwords.open(&hash, &right).await, Err(Denied::Busy));
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
        drop(turns);
        assert_eq!(passwords.open(&hash, &right).await, Ok(()));
        // What is known to be right needs no turn.
        let _turns = passwords.turns.acquire_many(2).await.unwrap();
        assert_eq!(passwords.open(&hash, &right).await, Ok(()));
    }
}
