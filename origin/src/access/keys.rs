//! Keys of tokens: several at a time, changed while the server runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac;

/// Shorter secrets could be guessed.
const SECRET_CHARS_MIN: usize = 32;
/// Longest name of a key.
const NAME_CHARS_MAX: usize = 32;
/// Keys at a time.
const KEYS_MAX: usize = 64;

/// Why a list of keys cannot be used. It never holds the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not `name:secret`.
    #[error("key {at} is not name:secret")]
    Form {
        /// Its place in the list, from 1.
        at: usize,
    },
    /// The name has other characters than letters, digits, `-` and `_`, or is too long.
    #[error("the name of key {at} must be up to {NAME_CHARS_MAX} letters, digits, - and _")]
    Name {
        /// Its place in the list, from 1.
        at: usize,
    },
    /// The secret is too short.
    #[error("the secret of key {name} must have {SECRET_CHARS_MIN} characters or more")]
    Short {
        /// The key.
        name: String,
    },
    /// Two keys have one name.
    #[error("key {name} is there twice")]
    Twice {
        /// The key.
        name: String,
    },
    /// More than anybody needs.
    #[error("there are more than {KEYS_MAX} keys")]
    Many,
}

/// A key and its name.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) hmac: hmac::Key,
}

#[derive(Debug, Default)]
struct Shared {
    keys: RwLock<Arc<[Key]>>,
    edition: AtomicU64,
}

/// The keys in force, the one that signs first. Cheap to clone; clones see the same keys.
#[derive(Clone, Debug, Default)]
pub struct KeyRing(Arc<Shared>);

impl KeyRing {
    /// A ring of `name:secret` each, the one that signs first.
    ///
    /// # Errors
    /// [`KeyError`] for the first that cannot be used.
    pub fn new<T: AsRef<str>>(keys: &[T]) -> Result<Self, KeyError> {
        let ring = Self::default();
        ring.replace(keys)?;
        Ok(ring)
    }

    /// Puts other keys in force; what was signed with keys that are no longer there is worth nothing any more.
    ///
    /// # Errors
    /// [`KeyError`] for the first that cannot be used; then the ring stays as it is.
    pub fn replace<T: AsRef<str>>(&self, keys: &[T]) -> Result<(), KeyError> {
        if keys.len() > KEYS_MAX {
            return Err(KeyError::Many);
        }
        let mut ring: Vec<Key> = Vec::with_capacity(keys.len());
        for (at, text) in keys.iter().enumerate() {
            let key = parse(at + 1, text.as_ref())?;
            if ring.iter().any(|known| known.name == key.name) {
                return Err(KeyError::Twice { name: key.name });
            }
            ring.push(key);
        }
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = ring.into();
        self.0.edition.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// How often the keys have changed.
    pub(super) fn edition(&self) -> u64 {
        self.0.edition.load(Ordering::Acquire)
    }

    /// The key of this name.
    pub(super) fn find(&self, name: &str) -> Option<hmac::Key> {
        let keys = Arc::clone(&self.0.keys.read().unwrap_or_else(PoisonError::into_inner));
        keys.iter().find(|key| key.name == name).map(|key| key.hmac.clone())
    }

    /// The key that signs.
    pub(super) fn signing(&self) -> Option<Key> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }
}

fn parse(at: usize, text: &str) -> Result<Key, KeyError> {
    let (name, secret) = text.trim().split_once(':').ok_or(KeyError::Form { at })?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.bytes().all(is_plain) {
        return Err(KeyError::Name { at });
    }
    if secret.len() < SECRET_CHARS_MIN {
        return Err(KeyError::Short { name: name.into() });
    }
    Ok(Key { name: name.into(), hmac: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_keys_are_told_without_their_secret() {
        let secret = "0123456789abcdef0123456789abcdef";
        let of = |keys: &[&str]| KeyRing::new(keys).map(drop);
        assert_eq!(of(&[]), Ok(()));
        assert_eq!(of(&[&format!("a:{secret}"), &format!("b:{secret}")]), Ok(()));
        assert_eq!(of(&["a"]), Err(KeyError::Form { at: 1 }));
        assert_eq!(of(&[&format!("a b:{secret}")]), Err(KeyError::Name { at: 1 }));
        assert_eq!(of(&["a:short"]), Err(KeyError::Short { name: "a".into() }));
        assert_eq!(of(&[&format!("a:{secret}"), &format!("a:{secret}")]), Err(KeyError::Twice { name: "a".into() }));
    }
}
