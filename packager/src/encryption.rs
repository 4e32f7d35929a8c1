//! Encryption of segments on their way out: stored segments stay clear, and what leaves is a pure function of one of
//! them, a key and an initialization vector.
//!
//! A [`Lock`] says which segments of an asset are encrypted and by which of its keys; playlists are rendered with it.
//! Keys have numbers: the one in force follows from where in the presentation a segment begins. What a key is, this
//! crate does not know; its number, its identifier and its vectors are public.
//!
//! | method | module | what is encrypted |
//! |---|---|---|
//! | `AES-128` | [`aes128`] | a whole segment, of CMAF or a transport stream (RFC 8216 §4.3.2.4) |
//! | `SAMPLE-AES` | [`cbcs`] | the samples in a segment of CMAF, by scheme `cbcs` (ISO/IEC 23001-7 §10.4) |

pub mod aes128;
pub mod cbcs;
mod slice;

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use domain::presentation::SegmentEntry;
use domain::{Encryption, EncryptionMethod, Presentation, RenditionId, Timescale};
use sha2::{Digest, Sha256};

/// Octets of a key, of a vector and of a key's identifier.
pub const KEY_BYTES: usize = 16;

/// A key, a vector or an identifier.
pub type Octets = [u8; KEY_BYTES];

/// Segments of sound begin up to half a frame beside those of the picture: beginnings are rounded to tenths.
const TENTHS_PER_S: u64 = 10;

/// What one secret and one set of settings make of an asset: a name for addresses, 12 hexadecimal digits.
///
/// Whatever changes the octets of an encrypted segment changes this, so that an address never stands for two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edition(u64);

impl Edition {
    /// Digits of its name.
    const DIGITS: usize = 12;

    /// The edition with the first 48 bits of these.
    pub fn new(octets: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(octets) >> 16)
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = Self::DIGITS)
    }
}

/// Not the name of an edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an edition")]
pub struct NoEdition;

impl From<ParseIntError> for NoEdition {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl FromStr for Edition {
    type Err = NoEdition;

    /// Reads the one form that is printed.
    fn from_str(text: &str) -> Result<Self, NoEdition> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != Self::DIGITS || !text.bytes().all(is_digit) {
            return Err(NoEdition);
        }
        Ok(Self(u64::from_str_radix(text, 16)?))
    }
}

/// Which segments of an asset are encrypted, how, and by which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lock {
    policy: Encryption,
    edition: Edition,
}

impl Lock {
    /// The lock of an asset with this policy.
    pub fn new(policy: Encryption, edition: Edition) -> Self {
        Self { policy, edition }
    }

    /// How segments are encrypted.
    pub fn method(&self) -> EncryptionMethod {
        self.policy.method
    }

    /// Its name in addresses.
    pub fn edition(&self) -> Edition {
        self.edition
    }

    /// The number of the key for a segment that begins at `ticks`; `None` if it stays clear.
    pub fn key_at(&self, ticks: u64, timescale: Timescale) -> Option<u32> {
        let second = u64::from(timescale.per_second());
        let tenths = ticks.saturating_mul(TENTHS_PER_S).saturating_add(second / 2) / second;
        if tenths < u64::from(self.policy.clear_lead_s) * TENTHS_PER_S {
            return None;
        }
        let period = u64::from(self.policy.rotate_s) * TENTHS_PER_S;
        Some(tenths.checked_div(period).map_or(0, |number| u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// The number of the key for segment `index` of these; `None` if it stays clear, or is not one of them.
    pub fn key_of(&self, segments: &[SegmentEntry], timescale: Timescale, index: u32) -> Option<u32> {
        let before = segments.get(..usize::try_from(index).ok()?).filter(|before| before.len() < segments.len())?;
        let ticks = before.iter().fold(0u64, |sum, segment| sum.saturating_add(segment.ticks));
        self.key_at(ticks, timescale)
    }

    /// Whether any segment of a presentation may need the key with this number.
    pub fn has_key(&self, presentation: &Presentation, number: u32) -> bool {
        let begins_ms = i64::from(number) * i64::from(self.policy.rotate_s) * 1000;
        if self.policy.rotate_s == 0 { number == 0 } else { begins_ms <= presentation.duration.as_ms() }
    }

    /// The identifier of a key (`default_KID`).
    pub fn key_id(&self, presentation: &Presentation, number: u32) -> Octets {
        self.name("key", presentation, &number.to_string())
    }

    /// The vector with which the segments of a rendition are encrypted while this key is in force.
    pub fn vector(&self, presentation: &Presentation, rendition: &RenditionId, number: u32) -> Octets {
        self.name("vector", presentation, &format!("{rendition}/{number}"))
    }

    /// Octets that everybody may know, different for each of what they name.
    fn name(&self, kind: &str, presentation: &Presentation, of: &str) -> Octets {
        let Presentation { playback, generation, .. } = presentation;
        let digest = Sha256::digest(format!("{kind}/{}/{playback}/{generation}/{of}", self.edition));
        let mut octets = [0; KEY_BYTES];
        octets.iter_mut().zip(digest).for_each(|(octet, byte)| *octet = byte);
        octets
    }

    /// True if one key is for all of the asset, from its first segment.
    pub fn has_one_key(&self) -> bool {
        self.policy.clear_lead_s == 0 && self.policy.rotate_s == 0
    }

    /// True if a rendition with this RFC 6381 codec string can be had encrypted so.
    ///
    /// Of HEVC and AV1 the headers of slices and tiles would have to be read to encrypt their samples.
    pub fn is_possible(&self, codecs: &str) -> bool {
        match self.policy.method {
            EncryptionMethod::Aes128 => true,
            EncryptionMethod::Cbcs => codecs.starts_with("avc1.") || codecs.starts_with("mp4a."),
        }
    }
}

/// Octets as the digits of a hexadecimal number.
pub fn hex(octets: &Octets) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests;
