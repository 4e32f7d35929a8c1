//! Passwords: hashed so slowly, and in so much memory, that trying many of them is dear.
//!
//! For the same reason only so many are hashed at a time, and only so many wait: a flood of logins takes neither the
//! memory nor the processors from everything else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::problem::Problem;

/// What OWASP's cheat sheet on password storage asks of Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
/// The same in blocks of Argon2, which are 1 KiB each.
const MEMORY_BLOCKS: usize = MEMORY_KIB as usize;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Octets of a hash.
const HASH_BYTES: usize = 32;

/// What is taken from hashes that somebody brings along.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;
const BCRYPT_COST_MAX: u32 = 14;

/// Most passwords that are hashed at a time, however many processors there are: each place keeps 19 MiB.
const AT_ONCE_MAX: usize = 8;
/// Passwords that wait for their turn.
const WAITING_MAX: usize = 64;
/// How long one waits at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// Fewest characters of a new password.
pub(crate) const CHARS_MIN: usize = 10;
/// Longest password, in octets.
pub(crate) const BYTES_MAX: usize = 256;

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hasher {
    at_once: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// What is worked in, one for each place. Kept, because allocators keep such blocks anyway, one for each thread
    /// that ever had one.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
    /// What the password of an account that is not there is held against.
    dummy: Arc<str>,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_right: bool,
    /// The hash is by another rule than new ones are.
    pub(crate) is_outdated: bool,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        let places = std::thread::available_parallelism().map_or(1, usize::from).min(AT_ONCE_MAX);
        let mut blocks = Vec::new();
        let dummy = argon2("", [0; 16], &mut blocks).into();
        Self {
            at_once: Arc::new(Semaphore::new(places)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX + places)),
            memory: Arc::new(Mutex::new(vec![blocks])),
            dummy,
        }
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: String, salt: [u8; 16]) -> Result<String, Problem> {
        self.turn(move |blocks| argon2(&password, salt, blocks)).await
    }

    /// Holds a password against a hash; against no hash it is wrong, and takes as long.
    pub(crate) async fn verify(&self, password: String, hash: Option<&str>) -> Result<Verdict, Problem> {
        let is_there = hash.is_some();
        let hash = hash.unwrap_or(&self.dummy).to_owned();
        let verdict = self.turn(move |blocks| check(&password, &hash, blocks)).await?;
        Ok(Verdict { is_right: verdict.is_right && is_there, ..verdict })
    }

    async fn turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let _place = self.waiting.try_acquire().map_err(|_| Problem::busy())?;
        let turn = timeout(PATIENCE, Arc::clone(&self.at_once).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or_else(Problem::busy)?;
        let memory = Arc::clone(&self.memory);
        let done = tokio::task::spawn_blocking(move || {
            let kept = memory.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut blocks = kept.unwrap_or_default();
            let done = work(&mut blocks);
            // A hash that was brought along may have asked for more.
            if blocks.len() == MEMORY_BLOCKS {
                memory.lock().unwrap_or_else(PoisonError::into_inner).push(blocks);
            }
            // Kept to the end of the work, also when nobody waits for it any more.
            drop(turn);
            done
        });
        done.await.map_err(|_| Problem::internal())
    }
}

/// Why a password cannot be a new one.
pub(crate) fn weakness(password: &str, others: &[&str]) -> Option<&'static str> {
    if password.len() > BYTES_MAX {
        return Some("a password has at most 256 octets");
    }
    if password.chars().count() < CHARS_MIN {
        return Some("a password has at least 10 characters");
    }
    let mut distinct: Vec<char> = password.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 4 {
        return Some("a password has at least 4 different characters");
    }
    others.iter().any(|other| other.eq_ignore_ascii_case(password)).then_some("a password is not the mail address")
}

/// Whether a hash that somebody brings along can be held against passwords.
pub(crate) fn is_usable(hash: &str) -> bool {
    parsed(hash).is_some() || bcrypt_cost(hash).is_some_and(|cost| cost <= BCRYPT_COST_MAX)
}

/// In the form of the Password Hashing Competition.
fn argon2(password: &str, salt: [u8; 16], blocks: &mut Vec<Block>) -> String {
    let mut hash = [0; HASH_BYTES];
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).expect("the parameters are in range");
    derive(params, password, &salt, &mut hash, blocks).expect("lengths are in range");
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}")
}

/// Argon2id in memory that is grown where it does not suffice. What is left in it is written over before it is read.
fn derive(
    params: Params,
    password: &str,
    salt: &[u8],
    hash: &mut [u8],
    blocks: &mut Vec<Block>,
) -> Result<(), argon2::Error> {
    let count = params.block_count();
    if blocks.len() < count {
        // Given back first: both together would be the peak.
        *blocks = Vec::new();
        *blocks = vec![Block::new(); count];
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into_with_memory(password.as_bytes(), salt, hash, &mut blocks[..count])
}

fn check(password: &str, hash: &str, blocks: &mut Vec<Block>) -> Verdict {
    if let Some(cost) = bcrypt_cost(hash) {
        let is_right = cost <= BCRYPT_COST_MAX && bcrypt::verify(password, hash).unwrap_or(false);
        return Verdict { is_right, is_outdated: true };
    }
    let Some(stored) = parsed(hash) else { return Verdict { is_right: false, is_outdated: false } };
    let mut computed = vec![0; stored.hash.len()];
    let is_computed = derive(stored.params.clone(), password, &stored.salt, &mut computed, blocks).is_ok();
    Verdict {
        is_right: is_computed && verify_slices_are_equal(&computed, &stored.hash).is_ok(),
        is_outdated: (stored.params.m_cost(), stored.params.t_cost(), stored.params.p_cost())
            != (MEMORY_KIB, PASSES, LANES),
    }
}

struct Stored {
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

fn parsed(hash: &str) -> Option<Stored> {
    let mut fields = hash.strip_prefix("$argon2id$v=19$")?.split('$');
    let (costs, salt, hash) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let mut costs = costs.split(',');
    let mut cost = |name: &str, max: u32| -> Option<u32> {
        let value: u32 = costs.next()?.strip_prefix(name)?.parse().ok()?;
        (value <= max).then_some(value)
    };
    let (memory, passes, lanes) = (cost("m=", MEMORY_KIB_MAX)?, cost("t=", PASSES_MAX)?, cost("p=", LANES_MAX)?);
    let (salt, hash) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?);
    if !(8..=64).contains(&salt.len()) || !(16..=64).contains(&hash.len()) {
        return None;
    }
    Some(Stored { params: Params::new(memory, passes, lanes, Some(hash.len())).ok()?, salt, hash })
}

/// `$2b$12$` and 53 characters.
fn bcrypt_cost(hash: &str) -> Option<u32> {
    let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| hash.strip_prefix(prefix))?;
    let (cost, rest) = rest.split_once('$')?;
    (rest.len() == 53 && rest.is_ascii()).then(|| cost.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_for_its_hash_only() {
        let hasher = Hasher::new();
        let hash = hasher.hash("correct horse".into(), [7; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let right = Verdict { is_right: true, is_outdated: false };
        assert_eq!(hasher.verify("correct horse".into(), Some(&hash)).await.unwrap(), right);
        assert!(!hasher.verify("correct horsf".into(), Some(&hash)).await.unwrap().is_right);
        assert!(!hasher.verify(String::new(), None).await.unwrap().is_right, "the dummy's own password opens nothing");
        assert_ne!(hash, hasher.hash("correct horse".into(), [8; 16]).await.unwrap());
    }

    #[tokio::test]
    async fn memory_is_worked_in_again_and_only_as_much_as_there_are_places() {
        let hasher = Hasher::new();
        let kept = || hasher.memory.lock().unwrap().iter().map(|blocks| blocks.as_ptr() as usize).collect::<Vec<_>>();
        let first = kept();
        let hash = hasher.hash("correct horse".into(), [7; 16]).await.unwrap();
        assert!(hasher.verify("correct horse".into(), Some(&hash)).await.unwrap().is_right, "in what another left");
        assert_eq!(kept(), first);
        let many = (0..24).map(|_| hasher.verify("wrong".into(), Some(&hash)));
        for verdict in futures::future::join_all(many).await {
            assert!(!verdict.unwrap().is_right);
        }
        assert!(kept().len() <= hasher.at_once.available_permits(), "{}", kept().len());
        // What a hash of elsewhere needs more is given back.
        let dear = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(hasher.verify("password".into(), Some(dear)).await.unwrap().is_right);
        assert!(hasher.memory.lock().unwrap().iter().all(|blocks| blocks.len() == MEMORY_BLOCKS));
    }

    #[test]
    fn hashes_of_other_implementations_are_understood() {
        let check = |password: &str, hash: &str| check(password, hash, &mut Vec::new());
        // The test vector of the reference implementation for these parameters.
        let reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert_eq!(check("password", reference), Verdict { is_right: true, is_outdated: true });
        // From the test vectors of crypt_blowfish.
        let bcrypt = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        assert_eq!(check("U*U", bcrypt), Verdict { is_right: true, is_outdated: true });
        assert!(!check("U*V", bcrypt).is_right);
        assert!(is_usable(reference) && is_usable(bcrypt));
        for other in ["", "plain", "$2b$31$", "$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$AAAA", "$1$abc$def"] {
            assert!(!is_usable(other), "{other}");
        }
        let dear = bcrypt.replace("$05$", "$15$");
        assert!(!is_usable(&dear) && !check("U*U", &dear).is_right, "it would take seconds");
    }

    #[tokio::test]
    async fn only_so_many_wait_and_the_next_is_told_to_come_back() {
        let hasher =
            Hasher { at_once: Arc::new(Semaphore::new(0)), waiting: Arc::new(Semaphore::new(1)), ..Hasher::new() };
        tokio::time::pause();
        let (first, second) = tokio::join!(hasher.verify("a".into(), None), hasher.verify("b".into(), None));
        assert_eq!((first.unwrap_err().code(), second.unwrap_err().code()), ("busy", "busy"));
    }

    #[test]
    fn weak_passwords_are_told_why() {
        for (password, is_weak) in
            [("short", true), ("aaaaaaaaaaaa", true), ("ada@example.org", true), ("a long enough one", false)]
        {
            assert_eq!(weakness(password, &["Ada@example.org"]).is_some(), is_weak, "{password}");
        }
        assert!(weakness(&"abcd".repeat(65), &[]).is_some());
    }
}
