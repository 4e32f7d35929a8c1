//! Tokens of our own, in the path: what they open, until when, and for whom.
//!
//! `{claims}.{mac}`, both base64url without padding. The claims are `k=`, `e=`, `n=`, `p=`, and optionally `s=` and
//! `a=`: key, end, beginning, path prefix, session, network of the client; joined by `;`. `w=1` opens also what is
//! withheld, for those who review it. The MAC is HMAC-SHA-256 over the claims as they stand in the token.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quick_cache::sync::Cache;

use super::SKEW_S;
use super::keys::KeyRing;

/// Longest token, in octets.
const TOKEN_BYTES_MAX: usize = 768;
/// Tokens whose MAC was found right, and need not be computed again.
const VERIFIED_MAX: usize = 8192;

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is not one.
    #[error("not a token")]
    Malformed,
    /// It is signed by nobody we know, or not signed.
    #[error("not signed by a key in force")]
    Forged,
    /// Its time has not come, or is over.
    #[error("not in its time")]
    Untimely,
    /// It is for something else.
    #[error("for something else")]
    Elsewhere,
    /// It is for another client.
    #[error("for another client")]
    OtherClient,
    /// There is no key to sign with.
    #[error("there is no key to sign with")]
    NoKey,
    /// The grant cannot be written as a token.
    #[error("a prefix begins with /v/, and neither it nor the session holds a semicolon")]
    Unwritable,
}

/// What a token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Seconds since 1970 at which it ends.
    pub expires_s: u64,
    /// Seconds since 1970 at which it begins.
    pub begins_s: u64,
    /// Beginning of the paths that it opens, such as `/v/plb_.../`.
    pub prefix: String,
    /// A name for the viewer's session, for logs.
    pub session: Option<String>,
    /// The network that the client must come from, and how many bits of it count.
    pub network: Option<(IpAddr, u8)>,
    /// It opens also what is withheld or out of its time.
    pub is_preview: bool,
}

/// Writes a token, signed with the first key of the ring.
///
/// # Errors
/// [`TokenError::NoKey`] and [`TokenError::Unwritable`].
pub fn mint(grant: &Grant, ring: &KeyRing) -> Result<String, TokenError> {
    let key = ring.signing().ok_or(TokenError::NoKey)?;
    let is_writable = |text: &str| !text.contains(';') && !text.contains(char::is_control);
    let session = grant.session.as_deref().unwrap_or_default();
    if !grant.prefix.starts_with("/v/") || !is_writable(&grant.prefix) || !is_writable(session) {
        return Err(TokenError::Unwritable);
    }
    let Grant { expires_s, begins_s, prefix, .. } = grant;
    let mut claims = format!("k={};e={expires_s};n={begins_s};p={prefix}", key.name);
    if !session.is_empty() {
        claims.push_str(&format!(";s={session}"));
    }
    if let Some((address, bits)) = grant.network {
        claims.push_str(&format!(";a={address}/{bits}"));
    }
    if grant.is_preview {
        claims.push_str(";w=1");
    }
    let claims = URL_SAFE_NO_PAD.encode(claims);
    let mac = hmac::sign(&key.hmac, claims.as_bytes());
    let token = format!("{claims}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()));
    if token.len() > TOKEN_BYTES_MAX { Err(TokenError::Unwritable) } else { Ok(token) }
}

/// Opens tokens, and remembers which were signed by the keys in force.
pub(super) struct Tokens {
    ring: KeyRing,
    /// Keys of this process, which sign tickets where there are no others.
    own: KeyRing,
    /// With the edition of the ring that they were verified by.
    verified: Cache<String, (u64, Arc<Grant>)>,
}

impl Tokens {
    pub(super) fn new(ring: KeyRing) -> Self {
        Self { ring, own: KeyRing::default(), verified: Cache::new(VERIFIED_MAX) }
    }

    /// The same with keys of this process. They never change.
    pub(super) fn with_own(self, own: KeyRing) -> Self {
        Self { own, ..self }
    }

    /// Whether `token` opens `path` now: true if it opens also what is withheld.
    pub(super) fn open(
        &self,
        token: &str,
        path: &str,
        address: Option<IpAddr>,
        now_s: u64,
    ) -> Result<bool, TokenError> {
        // Taken before the keys are: what is verified while they change counts for those that were there before.
        let edition = self.ring.edition();
        let verified = self.verified.get(token).filter(|(of, _)| *of == edition);
        let grant = match verified {
            Some((_, grant)) => grant,
            None => {
                let read = read(token, &self.ring).or_else(|error| read(token, &self.own).map_err(|_| error));
                let grant = Arc::new(read?);
                self.verified.insert(token.to_owned(), (edition, Arc::clone(&grant)));
                grant
            }
        };
        grant.covers(path, address, now_s)?;
        Ok(grant.is_preview)
    }
}

impl Grant {
    fn covers(&self, path: &str, address: Option<IpAddr>, now_s: u64) -> Result<(), TokenError> {
        if now_s >= self.expires_s || now_s.saturating_add(SKEW_S) < self.begins_s {
            return Err(TokenError::Untimely);
        }
        // A prefix that ends within a name does not open what the name begins like.
        let rest = path.strip_prefix(self.prefix.as_str()).ok_or(TokenError::Elsewhere)?;
        if !rest.is_empty() && !self.prefix.ends_with('/') && !rest.starts_with('/') {
            return Err(TokenError::Elsewhere);
        }
        match self.network {
            None => Ok(()),
            Some((network, bits)) => {
                let is_inside = address.is_some_and(|address| is_in(address, network, bits));
                is_inside.then_some(()).ok_or(TokenError::OtherClient)
            }
        }
    }
}

/// What a token says, whoever signed it.
struct Told<'a> {
    grant: Grant,
    /// The name of the key.
    key: String,
    /// The claims as they stand in the token.
    signed: &'a str,
    mac: &'a str,
}

/// What a token says it opens, whether that is true or not; `None` if it is not one.
pub(crate) fn told(token: &str) -> Option<Grant> {
    take_apart(token).ok().map(|told| told.grant)
}

/// Whether a token opens `path` for a client at `address`, by the keys in force.
///
/// # Errors
/// [`TokenError`].
pub fn open(token: &str, ring: &KeyRing, path: &str, address: Option<IpAddr>, now_s: u64) -> Result<(), TokenError> {
    read(token, ring)?.covers(path, address, now_s)
}

/// Reads a token and checks who signed it.
fn read(token: &str, ring: &KeyRing) -> Result<Grant, TokenError> {
    let Told { grant, key, signed, mac } = take_apart(token)?;
    let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| TokenError::Malformed)?;
    let key = ring.find(&key).ok_or(TokenError::Forged)?;
    hmac::verify(&key, signed.as_bytes(), &mac).map_err(|_| TokenError::Forged)?;
    Ok(grant)
}

/// The one reader of tokens.
fn take_apart(token: &str) -> Result<Told<'_>, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let (signed, mac) = token.split_once('.').ok_or(TokenError::Malformed)?;
    let claims = URL_SAFE_NO_PAD.decode(signed).map_err(|_| TokenError::Malformed)?;
    let claims = std::str::from_utf8(&claims).map_err(|_| TokenError::Malformed)?;
    let claim = |name: &str| {
        let mut pairs = claims.split(';').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let number = |name| claim(name).and_then(|value| value.parse().ok()).ok_or(TokenError::Malformed);
    let network = claim("a").map(|text| network(text).ok_or(TokenError::Malformed)).transpose()?;
    let grant = Grant {
        expires_s: number("e")?,
        begins_s: number("n")?,
        prefix: claim("p").ok_or(TokenError::Malformed)?.to_owned(),
        session: claim("s").map(str::to_owned),
        network,
        is_preview: claim("w") == Some("1"),
    };
    Ok(Told { grant, key: claim("k").ok_or(TokenError::Malformed)?.to_owned(), signed, mac })
}

/// An address, or one with the number of bits that count.
pub(super) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse::<u8>().ok()?)),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(all);
    (bits <= all).then_some((address, bits))
}

/// Whether an address lies in a network.
pub(super) fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let bits_of = |address: IpAddr| match address.to_canonical() {
        IpAddr::V4(four) => (u128::from(four.to_bits()) << 96, true),
        IpAddr::V6(six) => (six.to_bits(), false),
    };
    let ((one, is_four), (other, is_network_four)) = (bits_of(address), bits_of(network));
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    is_four == is_network_four && one & mask == other & mask
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const PATH: &str = "/v/plb_x/g1/720p/0.m4s";

    fn ring(names: &[&str]) -> KeyRing {
        KeyRing::new(&names.iter().map(|name| format!("{name}:{name}{SECRET}")).collect::<Vec<_>>()).unwrap()
    }

    fn grant() -> Grant {
        Grant {
            expires_s: 2000,
            begins_s: 1000,
            prefix: "/v/plb_x/".into(),
            session: None,
            network: None,
            is_preview: false,
        }
    }

    fn open(ring: &KeyRing, grant: &Grant, path: &str, address: Option<&str>, now_s: u64) -> Result<(), TokenError> {
        let token = mint(grant, ring).unwrap();
        let tokens = Tokens::new(ring.clone());
        let address = address.map(|address| address.parse().unwrap());
        let first = tokens.open(&token, path, address, now_s);
        assert_eq!(tokens.open(&token, path, address, now_s), first, "remembered or not");
        first.map(|is_preview| assert_eq!(is_preview, grant.is_preview))
    }

    #[test]
    fn a_token_opens_its_prefix_in_its_time() {
        let ring = ring(&["a"]);
        let check = |path: &str, now_s: u64, expected| assert_eq!(open(&ring, &grant(), path, None, now_s), expected);
        check(PATH, 1500, Ok(()));
        check(PATH, 2000, Err(TokenError::Untimely));
        check(PATH, 1000 - SKEW_S, Ok(()));
        check(PATH, 999 - SKEW_S, Err(TokenError::Untimely));
        check("/v/plb_y/master.m3u8", 1500, Err(TokenError::Elsewhere));
        let narrow = Grant { prefix: "/v/plb_x/g1/7".into(), ..grant() };
        assert_eq!(open(&ring, &narrow, PATH, None, 1500), Err(TokenError::Elsewhere));
        let file = Grant { prefix: PATH.into(), session: Some("s-1".into()), ..grant() };
        assert_eq!(open(&ring, &file, PATH, None, 1500), Ok(()));
    }

    #[test]
    fn a_token_may_be_bound_to_a_network() {
        let ring = ring(&["a"]);
        let bound = |network: &str| Grant { network: super::network(network), ..grant() };
        let check = |network: &str, address, expected| {
            assert_eq!(open(&ring, &bound(network), PATH, address, 1500), expected, "{network} {address:?}");
        };
        check("192.0.2.0/24", Some("192.0.2.77"), Ok(()));
        check("192.0.2.0/24", Some("::ffff:192.0.2.77"), Ok(()));
        check("192.0.2.0/24", Some("192.0.3.1"), Err(TokenError::OtherClient));
        check("192.0.2.7", Some("192.0.2.7"), Ok(()));
        check("0.0.0.0/0", Some("192.0.2.7"), Ok(()));
        check("2001:db8::/32", Some("2001:db8:1::1"), Ok(()));
        check("2001:db8::/32", Some("192.0.2.7"), Err(TokenError::OtherClient));
        check("192.0.2.0/24", None, Err(TokenError::OtherClient));
    }

    #[test]
    fn keys_change_while_tokens_are_out() {
        let ring = ring(&["old"]);
        let token = mint(&grant(), &ring).unwrap();
        let tokens = Tokens::new(ring.clone());
        assert_eq!(tokens.open(&token, PATH, None, 1500), Ok(false));
        ring.replace(&[format!("new:new{SECRET}"), format!("old:old{SECRET}")]).unwrap();
        assert_eq!(tokens.open(&token, PATH, None, 1500), Ok(false));
        let next = mint(&grant(), &ring).unwrap();
        assert_ne!(next, token, "the first key signs");
        ring.replace(&[format!("new:new{SECRET}")]).unwrap();
        assert_eq!(tokens.open(&token, PATH, None, 1500), Err(TokenError::Forged));
        assert_eq!(tokens.open(&next, PATH, None, 1500), Ok(false));
        // What was verified before the keys changed, and is remembered after that, opens nothing.
        tokens.verified.insert(token.clone(), (ring.edition() - 1, Arc::new(grant())));
        assert_eq!(tokens.open(&token, PATH, None, 1500), Err(TokenError::Forged));
    }

    #[test]
    fn tickets_are_signed_by_keys_in_force_or_by_those_of_the_process_which_no_other_knows() {
        let preview = Grant { is_preview: true, ..grant() };
        let (ring, own) = (ring(&["a"]), ring(&["own"]));
        assert_eq!(open(&ring, &preview, PATH, None, 1500), Ok(()));
        let tokens = Tokens::new(ring.clone()).with_own(own.clone());
        assert_eq!(tokens.open(&mint(&preview, &own).unwrap(), PATH, None, 1500), Ok(true));
        assert_eq!(tokens.open(&mint(&preview, &own).unwrap(), PATH, None, 2000), Err(TokenError::Untimely));
        assert_eq!(tokens.open(&mint(&grant(), &own).unwrap(), PATH, None, 1500), Ok(false));
        assert_eq!(tokens.open(&mint(&grant(), &ring).unwrap(), PATH, None, 1500), Ok(false));
        let elsewhere = Tokens::new(ring);
        for one in [preview, grant()] {
            assert_eq!(elsewhere.open(&mint(&one, &own).unwrap(), PATH, None, 1500), Err(TokenError::Forged));
        }
    }

    #[test]
    fn a_changed_token_is_forged() {
        let ring = ring(&["a"]);
        let token = mint(&grant(), &ring).unwrap();
        let (claims, mac) = token.split_once('.').unwrap();
        let longer = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap().replace("e=2000", "e=9000");
        let tokens = Tokens::new(ring);
        for forged in [
            format!("{}.{mac}", URL_SAFE_NO_PAD.encode(longer)),
            format!("{claims}.{}", URL_SAFE_NO_PAD.encode([0; 32])),
            format!("{claims}."),
        ] {
            assert_eq!(tokens.open(&forged, PATH, None, 1500), Err(TokenError::Forged), "{forged}");
        }
        assert_eq!(tokens.open(claims, PATH, None, 1500), Err(TokenError::Malformed));
        assert_eq!(tokens.open(&"a".repeat(TOKEN_BYTES_MAX + 1), PATH, None, 1500), Err(TokenError::Malformed));
    }

    proptest! {
        #[test]
        fn no_token_panics(token in "[A-Za-z0-9_.-]{0,200}", text in "\\PC{0,100}") {
            let tokens = Tokens::new(ring(&["a"]));
            let _ = tokens.open(&token, PATH, None, 0);
            let _ = tokens.open(&format!("{}.{}", URL_SAFE_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)), PATH, None, 0);
            let _ = network(&text);
        }
    }
}
