//! What a browser carries to a provider and back: sealed, so that nobody reads or changes it, and good for minutes.

use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{IdentityId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// How long somebody may take at a provider.
pub(crate) const LIFE: Duration = Duration::from_secs(600);
/// Largest cookie that is looked at.
const BYTES_MAX: usize = 4096;
/// Over TLS.
const SECURE: &str = "__Host-headwater-oidc";
/// Without TLS.
const PLAIN: &str = "headwater-oidc";

/// Where somebody is on the way in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub(crate) enum Trip {
    /// At the provider.
    Provider {
        /// Its name.
        provider: String,
        /// What it has to hand back.
        state: String,
        /// What has to be in its token.
        nonce: String,
        /// What shows that this browser began it.
        verifier: String,
        /// The page to go back to.
        back: String,
        /// Whose account the identity is to be linked to; `None` to log in.
        user: Option<UserId>,
        /// Until when it is good, in milliseconds since 1970.
        until: i64,
    },
    /// Back, and known; a code of the second factor is still to be shown.
    Code {
        /// Who.
        user: UserId,
        /// By which of their identities.
        identity: IdentityId,
        /// The page to go back to.
        back: String,
        /// Until when it is good, in milliseconds since 1970.
        until: i64,
    },
}

impl Trip {
    fn until(&self) -> i64 {
        match self {
            Self::Provider { until, .. } | Self::Code { until, .. } => *until,
        }
    }
}

/// Seals cookies of one installation.
pub(crate) struct Seals(Option<RandomizedNonceKey>);

impl Seals {
    pub(crate) fn new(secret: &[u8]) -> Self {
        let own = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let key = hmac::sign(&own, b"headwater cookies on the way to a provider");
        Self(RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).ok())
    }

    /// The field that has a browser carry it.
    pub(crate) fn issued(&self, trip: &Trip, is_secure: bool) -> Option<HeaderValue> {
        let mut octets = serde_json::to_vec(trip).ok()?;
        let nonce = self.0.as_ref()?.seal_in_place_append_tag(Aad::from(PLAIN.as_bytes()), &mut octets).ok()?;
        let sealed = URL_SAFE_NO_PAD.encode([&nonce.as_ref()[..], &octets].concat());
        let (name, also) = if is_secure { (SECURE, "; Secure") } else { (PLAIN, "") };
        // Lax: it has to come along when the provider sends the browser back.
        let life_s = LIFE.as_secs();
        let text = format!("{name}={sealed}; Path=/; Max-Age={life_s}; HttpOnly; SameSite=Lax{also}");
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// What a browser carries, if it is still good.
    pub(crate) fn presented(&self, headers: &HeaderMap, now: Timestamp) -> Option<Trip> {
        let lines = || headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let named = |name: &str| {
            let pairs = lines().flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
            pairs.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
        };
        let text = named(SECURE).or_else(|| named(PLAIN)).filter(|text| text.len() <= BYTES_MAX)?;
        let octets = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, octets) = octets.split_at_checked(NONCE_LEN)?;
        let (nonce, mut octets) = (Nonce::try_assume_unique_for_key(nonce).ok()?, octets.to_vec());
        let plain = self.0.as_ref()?.open_in_place(nonce, Aad::from(PLAIN.as_bytes()), &mut octets).ok()?;
        let trip: Trip = serde_json::from_slice(plain).ok()?;
        (trip.until() > now.unix_ms()).then_some(trip)
    }

    /// The fields that take it away again.
    pub(crate) fn cleared() -> [HeaderValue; 2] {
        [
            HeaderValue::from_static("__Host-headwater-oidc=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"),
            HeaderValue::from_static("headwater-oidc=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(value: &HeaderValue) -> HeaderMap {
        let pair = value.to_str().unwrap().split(';').next().unwrap().to_owned();
        HeaderMap::from_iter([(header::COOKIE, format!("a=b; {pair}").parse().unwrap())])
    }

    #[test]
    fn what_a_browser_carries_is_read_by_who_sealed_it_and_in_time() {
        let seals = Seals::new(b"one");
        let trip = Trip::Code {
            user: UserId::from_u128(7),
            identity: IdentityId::from_u128(8),
            back: "/".into(),
            until: 1000,
        };
        for is_secure in [true, false] {
            let value = seals.issued(&trip, is_secure).unwrap();
            let text = value.to_str().unwrap();
            assert!(text.contains("HttpOnly; SameSite=Lax") && text.contains("Secure") == is_secure, "{text}");
            assert!(!text.contains("usr_") && text.len() < BYTES_MAX);
            let found = |seals: &Seals, ms| seals.presented(&carried(&value), Timestamp::from_unix_ms(ms));
            assert_eq!(found(&seals, 999), Some(trip.clone()));
            assert_eq!((found(&seals, 1000), found(&Seals::new(b"two"), 0)), (None, None));
        }
        assert_eq!(seals.presented(&HeaderMap::new(), Timestamp::from_unix_ms(0)), None);
        let wrong = HeaderValue::from_static("headwater-oidc=AAAA");
        assert_eq!(seals.presented(&carried(&wrong), Timestamp::from_unix_ms(0)), None);
    }
}
