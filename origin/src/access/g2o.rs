//! Akamai's "Ghost to Origin": each request of an edge server is signed with a key that it shares with the origin.
//!
//! `X-Akamai-G2O-Auth-Data: version, edge, client, time, id, key`, and in `X-Akamai-G2O-Auth-Sign` the base64 of an
//! HMAC over that value and the request's target: HMAC-MD5 (version 3), HMAC-SHA-1 (4) or HMAC-SHA-256 (5). Versions 1
//! and 2, bare MD5, are not taken. What was signed may be sent again while its time is near: the same answer comes.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, Uri};
use md5::{Digest, Md5};

/// What was signed, but for the target.
const DATA: HeaderName = HeaderName::from_static("x-akamai-g2o-auth-data");
/// The signature.
const SIGN: HeaderName = HeaderName::from_static("x-akamai-g2o-auth-sign");
/// Longest data that is read, in octets.
const DATA_BYTES_MAX: usize = 512;
/// Shorter keys could be guessed.
const KEY_CHARS_MIN: usize = 16;
/// Seconds that the time of a request may lie from ours, as Akamai has it.
const WINDOW_S: u64 = 30;
/// Octets of a block of MD5 (RFC 2104).
const BLOCK_BYTES: usize = 64;

/// A key by its name, which Akamai calls nonce, in each of its forms.
#[derive(Clone)]
struct Key {
    name: String,
    secret: Vec<u8>,
    sha1: hmac::Key,
    sha256: hmac::Key,
}

/// Takes requests that were signed with one of several keys.
#[derive(Clone, Default)]
pub struct G2o {
    keys: Vec<Key>,
}

impl G2o {
    /// Keys are `name:secret`, with secrets of 16 characters or more. `None` if one is something else.
    pub fn new<T: AsRef<str>>(keys: &[T]) -> Option<Self> {
        let key = |text: &T| {
            let (name, secret) = text.as_ref().split_once(':')?;
            let is_usable = !name.is_empty() && !name.contains(',') && secret.len() >= KEY_CHARS_MIN;
            let secret = is_usable.then(|| secret.as_bytes().to_vec())?;
            let sha1 = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
            let sha256 = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            Some(Key { name: name.to_owned(), secret, sha1, sha256 })
        };
        Some(Self { keys: keys.iter().map(key).collect::<Option<_>>()? })
    }

    /// Whether there are no keys.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a request for `uri` was signed at about `now_s`.
    pub(super) fn knows(&self, uri: &Uri, headers: &HeaderMap, now_s: u64) -> bool {
        self.verified(uri, headers, now_s).is_some()
    }

    fn verified(&self, uri: &Uri, headers: &HeaderMap, now_s: u64) -> Option<()> {
        let one = |name: HeaderName| {
            let mut lines = headers.get_all(name).iter();
            lines.next().filter(|_| lines.next().is_none())?.to_str().ok()
        };
        let (data, sign) = (one(DATA)?, one(SIGN)?);
        if data.len() > DATA_BYTES_MAX {
            return None;
        }
        let fields: Vec<&str> = data.split(',').map(str::trim).collect();
        let [version, _edge, _client, time, _id, name] = fields[..] else { return None };
        let time_s: u64 = time.parse().ok()?;
        if time_s.abs_diff(now_s) > WINDOW_S {
            return None;
        }
        let key = self.keys.iter().find(|key| key.name == name)?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let (signed, mac) = ([data, target].concat(), STANDARD.decode(sign).ok()?);
        match version {
            "3" => verify_slices_are_equal(&hmac_md5(&key.secret, signed.as_bytes()), &mac).ok(),
            "4" => hmac::verify(&key.sha1, signed.as_bytes(), &mac).ok(),
            "5" => hmac::verify(&key.sha256, signed.as_bytes(), &mac).ok(),
            _ => None,
        }
    }
}

/// HMAC-MD5 (RFC 2104), which the library that makes the others does not have.
fn hmac_md5(secret: &[u8], text: &[u8]) -> [u8; 16] {
    let mut block = [0; BLOCK_BYTES];
    if secret.len() > BLOCK_BYTES {
        block[..16].copy_from_slice(&Md5::digest(secret));
    } else {
        block[..secret.len()].copy_from_slice(secret);
    }
    let padded = |with: u8| block.map(|octet| octet ^ with);
    let inner = Md5::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Md5::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const NOW_S: u64 = 1_471_524_574;

    fn headers(data: &str, sign: &str) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        HeaderMap::from_iter([(DATA, value(data)), (SIGN, value(sign))])
    }

    fn data(version: u8, name: &str) -> String {
        format!("{version}, 1.2.3.4, 3.4.5.6, {NOW_S}, 2805760.691583751, {name}")
    }

    /// Computed by Python's hmac for the key `s3cr3tk3y0123456` and `/v/plb_x/0.m4s?a=b`.
    const SIGNED: [(u8, &str); 3] = [
        (3, "hL4BbV0siMYVW3/fa/SdCg=="),
        (4, "FHmhVZ/aglZbTbKGE3Vs85cVIBw="),
        (5, "vDxWM6WH1rRUuifumx65TrhYEfxZCUD5m1+DCZ/5O6o="),
    ];

    #[test]
    fn versions_three_to_five_are_verified() {
        let g2o = G2o::new(&["old:another secret of some length", "v:s3cr3tk3y0123456"]).unwrap();
        let uri = Uri::from_static("/v/plb_x/0.m4s?a=b");
        for (version, sign) in SIGNED {
            let asked = headers(&data(version, "v"), sign);
            assert!(g2o.knows(&uri, &asked, NOW_S), "version {version}");
            assert!(g2o.knows(&uri, &asked, NOW_S + WINDOW_S) && g2o.knows(&uri, &asked, NOW_S - WINDOW_S));
            for now_s in [NOW_S + WINDOW_S + 1, NOW_S - WINDOW_S - 1, 0] {
                assert!(!g2o.knows(&uri, &asked, now_s), "version {version} at {now_s}");
            }
            for other in ["/v/plb_x/1.m4s?a=b", "/v/plb_x/0.m4s", "/v/plb_x/0.m4s?a=c"] {
                assert!(!g2o.knows(&other.parse().unwrap(), &asked, NOW_S), "version {version} for {other}");
            }
            assert!(!g2o.knows(&uri, &headers(&data(version, "old"), sign), NOW_S), "another key");
            assert!(!g2o.knows(&uri, &headers(&data(version, "w"), sign), NOW_S), "no key");
            let other = if version == 5 { 4 } else { 5 };
            assert!(!g2o.knows(&uri, &headers(&data(other, "v"), sign), NOW_S), "another version");
        }
    }

    #[test]
    fn the_samples_of_akamais_own_tool_are_verified() {
        // With a key shorter than we take.
        let signed = |version| format!("{}/abc", data(version, "v1"));
        let mac = hmac_md5(b"s3cr3tk3y", signed(3).as_bytes());
        assert_eq!(STANDARD.encode(mac), "D2+ASTlqs3WfCC5EBIhtjA==");
        for (version, algorithm, expected) in [
            (4, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, "OLU/4N3Sc5gvy7Ta/e1rzMgPb2g="),
            (5, hmac::HMAC_SHA256, "d/8DhQppXfD8WvbEP5TU3UVrPxgifX4LumVfadVPxgk="),
        ] {
            let mac = hmac::sign(&hmac::Key::new(algorithm, b"s3cr3tk3y"), signed(version).as_bytes());
            assert_eq!(STANDARD.encode(mac), expected);
        }
        // RFC 2202, with a key longer than a block.
        let mac = hmac_md5(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(mac[..4], [0x6b, 0x1a, 0xb7, 0xfe]);
    }

    #[test]
    fn what_is_not_signed_so_is_refused() {
        let g2o = G2o::new(&["v:s3cr3tk3y0123456"]).unwrap();
        let uri = Uri::from_static("/v/plb_x/0.m4s?a=b");
        let (_, sign) = SIGNED[2];
        assert!(!g2o.knows(&uri, &HeaderMap::new(), NOW_S));
        for (data, sign) in [
            (data(1, "v"), sign),
            (data(5, "v"), ""),
            (data(5, "v"), "!!!"),
            (String::new(), sign),
            (format!("{}, more", data(5, "v")), sign),
            (format!("{}{}", data(5, "v"), " ".repeat(600)), sign),
        ] {
            assert!(!g2o.knows(&uri, &headers(&data, sign), NOW_S), "{data} {sign}");
        }
        let mut twice = headers(&data(5, "v"), sign);
        twice.append(SIGN, HeaderValue::from_str(sign).unwrap());
        assert!(!g2o.knows(&uri, &twice, NOW_S));
    }

    #[test]
    fn keys_have_names_and_some_length() {
        assert!(G2o::new(&["v:s3cr3tk3y0123456"]).is_some() && G2o::new::<&str>(&[]).unwrap().is_empty());
        for wrong in ["s3cr3tk3y0123456", ":s3cr3tk3y0123456", "v:short", "a,b:s3cr3tk3y0123456"] {
            assert!(G2o::new(&[wrong]).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(data in "\\PC{0,80}", sign in "[A-Za-z0-9+/=]{0,60}", now_s in any::<u64>()) {
            let g2o = G2o::new(&["v:s3cr3tk3y0123456"]).unwrap();
            let Ok(value) = HeaderValue::from_str(&data) else { return Ok(()) };
            let headers = HeaderMap::from_iter([(DATA, value), (SIGN, HeaderValue::from_str(&sign).unwrap())]);
            prop_assert!(!g2o.knows(&Uri::from_static("/"), &headers, now_s));
        }
    }
}
