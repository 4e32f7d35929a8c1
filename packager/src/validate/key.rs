//! Rules of keys (RFC 8216 §4.3.2.4 and §5).

use super::reader::Attributes;
use super::{Report, rules};
use crate::encryption::{KEY_BYTES, Octets};

/// Most versions of a format that are read.
const VERSIONS_MAX: usize = 64;

/// How a segment is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// How.
    pub method: Method,
    /// Where the key is; empty if that is not said.
    pub uri: String,
    /// What it is encrypted with beside the key; `None` for the segment's number.
    pub vector: Option<Octets>,
    /// What is found at `uri`: `identity` for the key itself.
    format: String,
}

/// What is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Whole segments.
    Aes128,
    /// Samples alone.
    Sample,
    /// What that is, nobody knows.
    Other,
}

impl Key {
    /// The vector for the segment with this number (§5.2).
    pub fn vector_of(&self, sequence: u64) -> Octets {
        self.vector.unwrap_or_else(|| u128::from(sequence).to_be_bytes())
    }

    /// Whether what is found at its address is the key itself.
    pub fn is_identity(&self) -> bool {
        self.format == "identity"
    }

    /// Whether it is for players with another way to a key.
    pub(super) fn is_other_format(&self) -> bool {
        !self.is_identity()
    }
}

/// Reads the attributes of EXT-X-KEY; `None` where nothing is encrypted from there on.
pub(super) fn read(place: &str, list: &Attributes<'_>, report: &mut Report) -> Option<Key> {
    let mut problems: Vec<String> = Vec::new();
    let method = match list.plain("METHOD", report) {
        Some("AES-128") => Method::Aes128,
        Some("SAMPLE-AES" | "SAMPLE-AES-CTR") => Method::Sample,
        Some("NONE") => {
            if ["URI", "IV", "KEYFORMAT", "KEYFORMATVERSIONS"].iter().any(|name| list.has(name)) {
                report.add(&rules::KEY, place, "METHOD=NONE has nothing beside it");
            }
            return None;
        }
        Some(other) => {
            problems.push(format!("there is no METHOD={other}"));
            Method::Other
        }
        None => {
            problems.push("METHOD is missing".into());
            Method::Other
        }
    };
    let uri = list.quoted("URI", report).unwrap_or_default().to_owned();
    if uri.is_empty() {
        problems.push("URI is missing".into());
    }
    let stated = list.plain("IV", report);
    let vector = stated.and_then(octets);
    if let (Some(text), None) = (stated, vector) {
        problems.push(format!("IV={text} has not 128 bits in hexadecimal digits behind 0x"));
    }
    let format = list.quoted("KEYFORMAT", report).unwrap_or("identity").to_owned();
    if let Some(versions) = list.quoted("KEYFORMATVERSIONS", report)
        && !is_versions(versions)
    {
        problems.push(format!("KEYFORMATVERSIONS=\"{versions}\" is no list such as 1/2"));
    }
    problems.into_iter().for_each(|what| report.add(&rules::KEY, place, what));
    Some(Key { method, uri, vector, format })
}

/// Positive numbers with slashes between them.
fn is_versions(text: &str) -> bool {
    let is_version = |part: &str| part.parse::<u32>().is_ok_and(|version| version > 0);
    text.split('/').count() <= VERSIONS_MAX && text.split('/').all(is_version)
}

/// `0x` and two digits for each octet.
fn octets(text: &str) -> Option<Octets> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let is_whole = digits.len() == 2 * KEY_BYTES && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_whole.then(|| u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes))?
}
