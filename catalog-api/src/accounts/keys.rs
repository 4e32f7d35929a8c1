//! The keys that access tokens are signed with: made here, kept in the catalogue, changed every month.
//!
//! A new key is published an hour before it signs, so that whoever keeps the published ones for a while knows it in
//! time; an old one stays as long as a token of it may be about.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use catalog_store::{Catalog, CatalogError, SigningKey};
use domain::{Clock, Timestamp};
use serde_json::{Value, json};

use super::secret;

const HOUR_MS: i64 = 3600 * 1000;
/// How long a key signs.
const LIFE_MS: i64 = 30 * 24 * HOUR_MS;
/// How long a key is published before it signs.
const NOTICE_MS: i64 = HOUR_MS;
/// How long a key is kept after its successor was made.
const KEPT_MS: i64 = 24 * HOUR_MS;
/// Time between two looks for keys that other processes made.
const RELOAD_MS: i64 = 10_000;

/// By which rule tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// RSA with SHA-256 (RFC 7518 §3.3), for programs that know nothing else.
    Rs256,
}

impl Algorithm {
    /// Its name in tokens.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    fn purpose(self) -> String {
        format!("jwt:{}", self.as_str())
    }
}

/// What is sealed here and comes back: first cursors, hence its name in rows.
const SEALS: &str = "cursor";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The catalogue does not answer.
    #[error("the catalogue does not answer")]
    Catalog(#[from] CatalogError),
    /// A key cannot be made, or one that is kept cannot be read.
    #[error("a signing key cannot be made or read")]
    Unusable,
}

enum Pair {
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<RsaKeyPair>),
}

struct Key {
    id: String,
    pair: Pair,
    created_at: Timestamp,
}

struct State {
    keys: Vec<Key>,
    seals: Vec<u8>,
    looked_at: Timestamp,
}

/// The keys in force. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ring {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    algorithm: Algorithm,
    state: Arc<RwLock<Arc<State>>>,
}

impl Ring {
    /// The keys of the catalogue, with those added that are missing.
    pub(crate) async fn open(catalog: Catalog, clock: Arc<dyn Clock>, algorithm: Algorithm) -> Result<Self, KeyError> {
        let empty = State { keys: Vec::new(), seals: Vec::new(), looked_at: Timestamp::from_unix_ms(0) };
        let ring = Self { catalog, clock, algorithm, state: Arc::new(RwLock::new(Arc::new(empty))) };
        ring.renew().await?;
        Ok(ring)
    }

    /// Adds a key if the youngest has signed long enough, and removes those that nobody needs.
    pub(crate) async fn renew(&self) -> Result<(), KeyError> {
        let now = self.clock.now();
        let before = |ms: i64| Timestamp::from_unix_ms(now.unix_ms().saturating_sub(ms));
        let mut keys = self.catalog.signing_keys().await?;
        if !keys.iter().any(|key| key.purpose == SEALS) {
            let new = self.stored(SEALS.to_owned(), STANDARD.encode(secret::octets(&*self.clock)), now);
            keys = self.catalog.renew_signing_keys(Some(&new), Timestamp::from_unix_ms(i64::MIN), &[], now).await?;
        }
        let purpose = self.algorithm.purpose();
        let is_young = |key: &SigningKey| key.purpose == purpose && key.created_at > before(LIFE_MS);
        if !keys.iter().any(is_young) {
            let algorithm = self.algorithm;
            let made = tokio::task::spawn_blocking(move || generated(algorithm)).await;
            let new = self.stored(purpose, made.ok().flatten().ok_or(KeyError::Unusable)?, now);
            let is_over =
                |key: &&SigningKey| key.purpose.starts_with("jwt:") && key.created_at <= before(LIFE_MS + KEPT_MS);
            let gone: Vec<String> = keys.iter().filter(is_over).map(|key| key.id.clone()).collect();
            keys = self.catalog.renew_signing_keys(Some(&new), before(LIFE_MS), &gone, now).await?;
        }
        self.take(&keys, now)
    }

    fn stored(&self, purpose: String, secret: String, now: Timestamp) -> SigningKey {
        let id = URL_SAFE_NO_PAD.encode(&self.clock.entropy()[..9]);
        SigningKey { id, purpose, secret, created_at: now }
    }

    /// Looks for keys that other processes made, unless that was done a moment ago.
    async fn reload(&self) -> Result<(), KeyError> {
        let now = self.clock.now();
        if now.unix_ms() - self.state().looked_at.unix_ms() < RELOAD_MS {
            return Ok(());
        }
        self.take(&self.catalog.signing_keys().await?, now)
    }

    fn take(&self, stored: &[SigningKey], now: Timestamp) -> Result<(), KeyError> {
        let (mut keys, mut seals) = (Vec::new(), Vec::new());
        for key in stored {
            let octets = STANDARD.decode(&key.secret).map_err(|_| KeyError::Unusable)?;
            let pair = match key.purpose.as_str() {
                SEALS => {
                    seals = octets;
                    continue;
                }
                "jwt:EdDSA" => Pair::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8(&octets).map_err(unusable)?)),
                "jwt:RS256" => Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(&octets).map_err(unusable)?)),
                // Of a newer version.
                _ => continue,
            };
            keys.push(Key { id: key.id.clone(), pair, created_at: key.created_at });
        }
        let state = Arc::new(State { keys, seals, looked_at: now });
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(())
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What cookies on the way to a provider are sealed with.
    pub(crate) fn seal_key(&self) -> Vec<u8> {
        self.state().seals.clone()
    }

    /// Signs `claims`: a JSON Web Token (RFC 7519).
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, KeyError> {
        let state = self.state();
        let of_rule = || state.keys.iter().filter(|key| key.pair.algorithm() == self.algorithm);
        let is_due = |key: &&Key| key.created_at.unix_ms() <= self.clock.now().unix_ms() - NOTICE_MS;
        // Keys are in the order of their birth.
        let key = of_rule().rfind(is_due).or_else(|| of_rule().next()).ok_or(KeyError::Unusable)?;
        let header = json!({ "alg": self.algorithm.as_str(), "kid": key.id, "typ": "JWT" });
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encoded(&header), encoded(claims));
        let signature = key.pair.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a token that one of the keys has signed.
    pub(crate) async fn claims(&self, token: &str) -> Result<Option<Value>, KeyError> {
        let Some((signed, signature)) = token.rsplit_once('.') else { return Ok(None) };
        let Some((header, claims)) = signed.split_once('.') else { return Ok(None) };
        let (Some(header), Ok(signature)) = (document(header), URL_SAFE_NO_PAD.decode(signature)) else {
            return Ok(None);
        };
        let id = header["kid"].as_str().unwrap_or_default();
        if !self.state().keys.iter().any(|key| key.id == id) {
            self.reload().await?;
        }
        let state = self.state();
        let Some(key) = state.keys.iter().find(|key| key.id == id) else { return Ok(None) };
        // The rule is the key's, whatever the token says: else it could choose a weaker one.
        let is_of_rule = header["alg"].as_str() == Some(key.pair.algorithm().as_str());
        if !is_of_rule || !key.pair.has_signed(signed.as_bytes(), &signature) {
            return Ok(None);
        }
        Ok(document(claims))
    }

    /// The public keys, as a JSON Web Key Set (RFC 7517).
    pub(crate) fn published(&self) -> Value {
        let keys: Vec<Value> = self.state().keys.iter().map(Key::published).collect();
        json!({ "keys": keys })
    }
}

impl Key {
    fn published(&self) -> Value {
        let text = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        let mut key = match &self.pair {
            Pair::Ed25519(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) }),
            Pair::Rsa(pair) => {
                let (modulus, exponent) = numbers(pair.public_key().as_ref()).unwrap_or_default();
                json!({ "kty": "RSA", "n": text(modulus), "e": text(exponent) })
            }
        };
        key["kid"] = json!(self.id);
        key["alg"] = json!(self.pair.algorithm().as_str());
        key["use"] = json!("sig");
        key
    }
}

impl Pair {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::Rsa(_) => Algorithm::Rs256,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::Ed25519(pair) => Ok(pair.try_sign(message).map_err(unusable)?.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(unusable)?;
                Ok(signature)
            }
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(pair) => {
                UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref()).verify(message, signature).is_ok()
            }
            Self::Rsa(pair) => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
                .verify(message, signature)
                .is_ok(),
        }
    }
}

fn generated(algorithm: Algorithm) -> Option<String> {
    Some(match algorithm {
        Algorithm::EdDsa => STANDARD.encode(Ed25519KeyPair::generate().ok()?.to_pkcs8().ok()?.as_ref()),
        Algorithm::Rs256 => {
            let der: Pkcs8V1Der<'_> = RsaKeyPair::generate(KeySize::Rsa2048).ok()?.as_der().ok()?;
            STANDARD.encode(der.as_ref())
        }
    })
}

/// Modulus and exponent of an `RSAPublicKey` in DER's form (RFC 8017 §A.1.1), without leading zeros.
fn numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, _) = element(der, 0x30)?;
    let (modulus, rest) = element(content, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    let plain = |number: &'_ [u8]| number.iter().take_while(|byte| **byte == 0).count();
    Some((&modulus[plain(modulus)..], &exponent[plain(exponent)..]))
}

/// The content of the element of this type at the beginning, and what comes after it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x82 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (octets.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn unusable<E>(_: E) -> KeyError {
    KeyError::Unusable
}

fn document(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
