//! Keys of encrypted content: derived when they are needed, never stored.
//!
//! `HKDF-SHA-256(secret, salt "headwater content keys", info)`; the info of a key is
//! `key/{method}/{playback id}/{generation}/{number}`. Every origin with the same secret has the same keys. Secrets
//! are rotated as those of tokens are: the first makes new playlists, all give the keys of playlists that are out.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use domain::{Access, Encryption, EncryptionMethod, Presentation};
use packager::encryption::{Edition, KEY_BYTES, Lock, Octets};

/// Shorter secrets could be guessed.
const SECRET_CHARS_MIN: usize = 32;
/// Secrets at a time.
const SECRETS_MAX: usize = 16;

const SALT: &[u8] = b"headwater content keys";

/// Why secrets cannot be used. It never holds one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentKeyError {
    /// One is too short.
    #[error("secret {at} must have {SECRET_CHARS_MIN} characters or more")]
    Short {
        /// Its place in the list, from 1.
        at: usize,
    },
    /// More than anybody needs.
    #[error("there are more than {SECRETS_MAX} secrets")]
    Many,
}

/// Why an encrypted asset cannot be served so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locked {
    /// There is no secret to derive keys from.
    NoSecret,
    /// Nothing of this edition is served, or not any more.
    OtherEdition,
}

/// The secrets that content keys are derived from, the one in use first.
#[derive(Default)]
pub struct ContentKeys(Vec<Prk>);

impl fmt::Debug for ContentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentKeys({} secrets)", self.0.len())
    }
}

/// How an asset is encrypted, with what its keys are derived from.
#[derive(Clone, Copy)]
pub(crate) struct Opened<'a> {
    pub(crate) lock: Lock,
    secret: &'a Prk,
}

/// So many octets.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl ContentKeys {
    /// Keys that are derived from these secrets.
    ///
    /// # Errors
    /// [`ContentKeyError`] for the first that cannot be used.
    pub fn new<T: AsRef<str>>(secrets: &[T]) -> Result<Self, ContentKeyError> {
        if secrets.len() > SECRETS_MAX {
            return Err(ContentKeyError::Many);
        }
        if let Some(short) = secrets.iter().position(|secret| secret.as_ref().len() < SECRET_CHARS_MIN) {
            return Err(ContentKeyError::Short { at: short + 1 });
        }
        let salt = Salt::new(HKDF_SHA256, SALT);
        Ok(Self(secrets.iter().map(|secret| salt.extract(secret.as_ref().as_bytes())).collect()))
    }

    /// How an asset is encrypted: by the first secret, or by the one that makes `edition`. `None` if it is not.
    pub(crate) fn open(&self, access: &Access, edition: Option<Edition>) -> Result<Option<Opened<'_>>, Locked> {
        let Some(policy) = access.encryption else {
            return if edition.is_some() { Err(Locked::OtherEdition) } else { Ok(None) };
        };
        if self.0.is_empty() {
            return Err(Locked::NoSecret);
        }
        let mut opened =
            self.0.iter().map(|secret| Opened { lock: Lock::new(policy, edition_of(secret, policy)), secret });
        let found = opened.find(|one| edition.is_none_or(|edition| one.lock.edition() == edition));
        found.map(Some).ok_or(Locked::OtherEdition)
    }
}

impl Opened<'_> {
    /// The key with this number.
    pub(crate) fn key(&self, presentation: &Presentation, number: u32) -> Octets {
        let Presentation { playback, generation, .. } = presentation;
        let info = format!("key/{}/{playback}/{generation}/{number}", name_of(self.lock.method()));
        derived::<KEY_BYTES>(self.secret, &info)
    }
}

/// What names everything that is encrypted with this secret and under this policy. The clear lead is no part of it: it
/// changes which segments are encrypted, not what becomes of them.
fn edition_of(secret: &Prk, policy: Encryption) -> Edition {
    Edition::new(derived::<8>(secret, &format!("edition/{}/{}", name_of(policy.method), policy.rotate_s)))
}

fn name_of(method: EncryptionMethod) -> &'static str {
    match method {
        EncryptionMethod::Aes128 => "aes-128",
        EncryptionMethod::Cbcs => "cbcs",
    }
}

fn derived<const BYTES: usize>(secret: &Prk, info: &str) -> [u8; BYTES] {
    let mut out = [0; BYTES];
    let info = [info.as_bytes()];
    let filled = secret.expand(&info, Length(BYTES)).and_then(|okm| okm.fill(&mut out));
    filled.expect("fewer octets than 255 hashes have");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    fn access(method: EncryptionMethod, rotate_s: u32) -> Access {
        let encryption = Encryption { method, clear_lead_s: 0, rotate_s };
        Access { encryption: Some(encryption), ..Access::default() }
    }

    fn edition(keys: &ContentKeys, access: &Access) -> Edition {
        keys.open(access, None).ok().flatten().expect("it is encrypted").lock.edition()
    }

    #[test]
    fn secrets_that_could_be_guessed_are_refused() {
        assert_eq!(ContentKeys::new(&[OLD, "short"]).err(), Some(ContentKeyError::Short { at: 2 }));
        assert_eq!(ContentKeys::new(&vec![OLD; SECRETS_MAX + 1]).err(), Some(ContentKeyError::Many));
        assert_eq!(format!("{:?}", ContentKeys::new(&[OLD]).unwrap()), "ContentKeys(1 secrets)");
    }

    #[test]
    fn without_a_secret_nothing_is_served_clear() {
        let keys = ContentKeys::default();
        assert_eq!(keys.open(&access(EncryptionMethod::Cbcs, 0), None).err(), Some(Locked::NoSecret));
        assert!(keys.open(&Access::default(), None).unwrap().is_none());
    }

    #[test]
    fn derivation_is_hkdf_as_in_rfc_5869() {
        // Computed by another implementation: HMAC-SHA-256 twice, by hand.
        let prk = Salt::new(HKDF_SHA256, SALT).extract(OLD.as_bytes());
        let key = derived::<16>(&prk, "key/aes-128/plb_00000000000000000000000007/3/0");
        assert_eq!(packager::encryption::hex(&key), "fdafeeb4cf23747e785596a3279a87b7");
    }

    #[test]
    fn an_older_secret_still_opens_and_the_first_makes_what_is_new() {
        let (before, after) = (ContentKeys::new(&[OLD]).unwrap(), ContentKeys::new(&[NEW, OLD]).unwrap());
        let access = access(EncryptionMethod::Aes128, 60);
        let (old, new) = (edition(&before, &access), edition(&after, &access));
        assert_ne!(old, new);
        assert!(after.open(&access, Some(old)).unwrap().is_some());
        assert_eq!(before.open(&access, Some(new)).err(), Some(Locked::OtherEdition));
        assert_eq!(after.open(&Access::default(), Some(old)).err(), Some(Locked::OtherEdition));
    }

    #[test]
    fn whatever_changes_the_octets_changes_the_edition() {
        let keys = ContentKeys::new(&[OLD]).unwrap();
        let of = |method, rotate_s| edition(&keys, &access(method, rotate_s));
        let editions = [of(EncryptionMethod::Aes128, 0), of(EncryptionMethod::Cbcs, 0), of(EncryptionMethod::Cbcs, 60)];
        assert!(editions[0] != editions[1] && editions[1] != editions[2]);
        assert_eq!(edition(&keys, &access(EncryptionMethod::Cbcs, 60)), editions[2]);
    }
}
