//! Akamai's EdgeAuth 2.0 tokens: fields joined by `~`, an HMAC in hexadecimal digits over them.

use aws_lc_rs::hmac;

use super::token::{is_in, network};
use super::{Claim, SKEW_S, Verdict, Verifier};

/// The names that Akamai gives the parameter, the cookie and the header.
const NAMES: [&str; 3] = ["hdnts", "hdnea", "hdntl"];
/// Longest token that is read, in octets.
const TOKEN_BYTES_MAX: usize = 2048;
/// Steps in which one pattern is matched at most, per octet of the path.
const STEPS_PER_OCTET: usize = 64;

/// Takes tokens signed by one of several keys.
pub struct Akamai {
    keys: Vec<hmac::Key>,
    salt: String,
}

impl Akamai {
    /// Keys are hexadecimal digits, as Akamai shows them; `salt` may be empty. `None` if a key is something else.
    pub fn new<T: AsRef<str>>(keys: &[T], salt: &str) -> Option<Self> {
        let keys = keys.iter().map(|key| octets(key.as_ref()).filter(|key| key.len() >= 16));
        let keys = keys.map(|key| Some(hmac::Key::new(hmac::HMAC_SHA256, &key?))).collect::<Option<_>>()?;
        Some(Self { keys, salt: salt.to_owned() })
    }

    fn opens(&self, token: &str, claim: &Claim<'_>) -> Option<()> {
        let (fields, mac) = token.rsplit_once("~hmac=")?;
        let mac = octets(mac).filter(|mac| mac.len() == 32)?;
        let field = |name: &str| {
            let mut pairs = fields.split('~').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let mut signed = fields.to_owned();
        let acl = field("acl");
        if acl.is_none() {
            // A token for one address signs the address, but does not repeat it.
            signed.push_str("~url=");
            signed.push_str(claim.path);
        }
        if !self.salt.is_empty() {
            signed.push_str("~salt=");
            signed.push_str(&self.salt);
        }
        let is_signed = |key: &hmac::Key| hmac::verify(key, signed.as_bytes(), &mac).is_ok();
        self.keys.iter().any(is_signed).then_some(())?;
        let number = |name| field(name).map(str::parse::<u64>).transpose().ok();
        let (begins_s, expires_s) = (number("st")?, number("exp")??);
        let is_timely = claim.now_s < expires_s && begins_s.is_none_or(|begins_s| claim.now_s + SKEW_S >= begins_s);
        let is_there = acl.is_none_or(|acl| acl.split('!').any(|pattern| matches(pattern, claim.path)));
        let is_bound = field("ip").is_none_or(|ip| {
            let network = network(ip);
            network.zip(claim.address).is_some_and(|((network, bits), address)| is_in(address, network, bits))
        });
        (is_timely && is_there && is_bound).then_some(())
    }
}

impl Verifier for Akamai {
    fn verify(&self, claim: &Claim<'_>) -> Verdict {
        let header = |name: &str| claim.headers.get(name).and_then(|value| value.to_str().ok());
        let found =
            NAMES.iter().find_map(|name| claim.parameter(name).or_else(|| claim.cookie(name)).or_else(|| header(name)));
        let Some(token) = found else { return Verdict::Absent };
        if token.len() <= TOKEN_BYTES_MAX && self.opens(token, claim).is_some() {
            Verdict::Granted
        } else {
            Verdict::Refused
        }
    }
}

/// Whether a pattern with `*` (any run) and `?` (any octet) matches the whole text. The time is bounded.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut in_text, mut star) = (0, 0, None);
    // Ends at the end of the text, or with the steps.
    for _ in 0..(text.len() + 1).saturating_mul(STEPS_PER_OCTET) {
        match (pattern.get(at), text.get(in_text)) {
            (Some(b'*'), _) => {
                star = Some((at, in_text));
                at += 1;
            }
            (None, None) => return true,
            (Some(b'?'), Some(_)) => (at, in_text) = (at + 1, in_text + 1),
            (Some(wanted), Some(octet)) if wanted == octet => (at, in_text) = (at + 1, in_text + 1),
            // The last star takes one octet more.
            (_, Some(_)) => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    (at, in_text) = (place + 1, taken + 1);
                }
                None => return false,
            },
            (Some(_), None) => return false,
        }
    }
    false
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = hex.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_whole_text() {
        for (pattern, text, expected) in [
            ("/v/plb_x/*", "/v/plb_x/g1/720p/0.m4s", true),
            ("/v/plb_x/*", "/v/plb_y/0.m4s", false),
            ("/*.m4s", "/v/0.m4s", true),
            ("/*.m4s", "/v/0.mp4", false),
            ("/v/?.m4s", "/v/1.m4s", true),
            ("/v/?.m4s", "/v/10.m4s", false),
            ("*", "", true),
            ("", "", true),
            ("", "/", false),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXbYY", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)));
    }
}
