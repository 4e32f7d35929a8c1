//! Passwords of assets, sent as HTTP's Basic authentication; the user name does not matter.

use std::net::IpAddr;
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
use super::attempts::Attempts;

/// Rounds of the derivation: some 20 ms, which a guesser has to spend each time.
const ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).expect("not zero");
/// What a hash begins with.
const SCHEME: &str = "pbkdf2-sha256";
/// Passwords that were found right, and need not be derived again; and addresses that brought one of them.
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
    /// The same together with where it was brought from: there, wrong ones of others change nothing.
    known: Cache<[u8; 32], ()>,
    attempts: Attempts,
    turns: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self {
            opened: Cache::new(OPENED_MAX),
            known: Cache::new(OPENED_MAX),
            attempts: Attempts::new(),
            turns: Arc::new(Semaphore::new(DERIVATIONS_MAX)),
        }
    }

    /// Lets the request in if it brings the password of `hash`.
    ///
    /// # Errors
    /// [`Denied::NoPassword`], [`Denied::Guessing`] after too many wrong ones, or [`Denied::Busy`] when there is no time
    /// to find out.
    pub(super) async fn open(&self, hash: &str, headers: &HeaderMap, address: Option<IpAddr>) -> Result<(), Denied> {
        let password = brought(headers).ok_or(Denied::NoPassword)?;
        let (salt, derived) = parts(hash).ok_or(Denied::NoPassword)?;
        let from = domain::neighbourhood(address);
        let name = named(&[hash, &password]);
        let name_there = named(&[hash, &password, &from]);
        if self.known.get(&name_there).is_some() {
            return Ok(());
        }
        // Before it is told whether it is right, also where others brought it: else they would be guessed all the same.
        let attempt = self.attempts.take(hash, &from).map_err(Denied::guessing)?;
        match self.is_right((salt, derived), name, password).await {
            Ok(true) => {
                self.attempts.give_back(attempt);
                self.known.insert(name_there, ());
                Ok(())
            }
            Ok(false) => Err(Denied::NoPassword),
            Err(busy) => {
                self.attempts.give_back(attempt);
                Err(busy)
            }
        }
    }

    async fn is_right(
        &self,
        (salt, derived): (Vec<u8>, Vec<u8>),
        name: [u8; 32],
        password: String,
    ) -> Result<bool, Denied> {
        if self.opened.get(&name).is_some() {
            return Ok(true);
        }
        let Ok(Ok(turn)) = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await else {
            return Err(Denied::Busy);
        };
        // Another request of the same viewer may have been faster.
        if self.opened.get(&name).is_some() {
            return Ok(true);
        }
        let work = move || {
            // Kept to the end of the work, which goes on when its client has left.
            let _turn = turn;
            verify(PBKDF2_HMAC_SHA256, ROUNDS, &salt, password.as_bytes(), &derived).is_ok()
        };
        // Only a runtime that is shutting down refuses the work.
        let is_right = tokio::task::spawn_blocking(work).await.map_err(|_| Denied::Busy)?;
        if is_right {
            self.opened.insert(name, ());
        }
        Ok(is_right)
    }
}

/// A short name of several texts together.
fn named(texts: &[&str]) -> [u8; 32] {
    let mut name = [0; 32];
    // None of them has an end of line in it.
    name.copy_from_slice(digest(&SHA256, texts.join("\n").as_bytes()).as_ref());
    name
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
        let opened =
            join_all((0..12).map(|at| passwords.open(&hash, if at % 2 == 0 { &wrong } else { &right }, None))).await;
        for (at, opened) in opened.into_iter().enumerate() {
            assert_eq!(opened, if at % 2 == 0 { Err(Denied::NoPassword) } else { Ok(()) });
        }
    }

    #[tokio::test]
    async fn a_password_with_more_behind_it_is_another() {
        let (passwords, hash) = (Passwords::new(), hash("right", [7; 16]));
        for more in ["\0", "\0\0", "\n", "\r\n", "\t", " ", "\u{80}"] {
            let brought = bringing(&format!("right{more}"));
            assert_eq!(passwords.open(&hash, &brought, None).await, Err(Denied::NoPassword), "{more:?}");
        }
        assert_eq!(passwords.open(&hash, &bringing("right"), None).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_turn_nobody_is_told_that_the_password_is_wrong() {
        let (passwords, hash) = (Passwords::new(), hash("right", [7; 16]));
        let right = bringing("right");
        let turns = passwords.turns.acquire_many(2).await.unwrap();
        let begun = Instant::now();
        assert_eq!(passwords.open(&hash, &right, None).await, Err(Denied::Busy));
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
        drop(turns);
        assert_eq!(passwords.open(&hash, &right, None).await, Ok(()));
        // What is known to be right needs no turn.
        let _turns = passwords.turns.acquire_many(2).await.unwrap();
        assert_eq!(passwords.open(&hash, &right, None).await, Ok(()));
    }

    #[tokio::test]
    async fn wrong_passwords_are_bounded_and_whoever_brought_the_right_one_does_not_feel_it() {
        let (passwords, hash) = (Passwords::new(), hash("right", [7; 16]));
        let [viewer, guesser] = ["192.0.2.1", "192.0.2.2"].map(|address| Some(address.parse().unwrap()));
        let open = async |password: &str, address| passwords.open(&hash, &bringing(password), address).await;
        assert_eq!(open("right", viewer).await, Ok(()));
        let mut refused = None;
        for nth in 0..40 {
            match open(&format!("guess {nth}"), guesser).await {
                Err(Denied::NoPassword) => {}
                other => {
                    refused = Some((nth, other));
                    break;
                }
            }
        }
        let Some((20.., Err(Denied::Guessing { retry_s }))) = refused else { panic!("{refused:?}") };
        assert!((1..=15).contains(&retry_s), "{retry_s}");
        let guessed = open("right", guesser).await;
        assert!(matches!(guessed, Err(Denied::Guessing { .. })), "not even the right one is told from the others");
        assert_eq!(open("right", viewer).await, Ok(()));
        assert_eq!(open("wrong", viewer).await, Err(Denied::NoPassword), "others have their own");
    }

    #[tokio::test]
    async fn right_passwords_are_no_attempts() {
        let (passwords, hash) = (Passwords::new(), hash("right", [7; 16]));
        let right = bringing("right");
        for nth in 0..60 {
            let address = Some(std::net::Ipv6Addr::from_bits(nth).into());
            assert_eq!(passwords.open(&hash, &right, address).await, Ok(()), "{nth}");
        }
    }
}
