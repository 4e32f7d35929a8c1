//! Digests that a client gives of its octets: which are understood, and whether the octets have them.
//!
//! One list for both protocols. `Upload-Checksum` of tus names every algorithm; the digest fields of
//! RFC 9530 name those that are registered for them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::Digest as _;

/// A function of octets that a client may have computed too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-1, which tus demands.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// MD5.
    Md5,
    /// CRC-32C (Castagnoli), as four octets, the highest first.
    Crc32c,
    /// BLAKE3 with 256 bits.
    Blake3,
}

/// What the digest of some octets must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// How it is computed.
    pub algorithm: Algorithm,
    /// The digest itself; one of another length than the algorithm's matches nothing.
    pub value: Vec<u8>,
}

/// A digest in the making, fed with octets in their order.
#[derive(Clone, Debug)]
pub struct Hasher(Running);

#[derive(Clone, Debug)]
enum Running {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
    Md5(md5::Md5),
    Crc32c(u32),
    Blake3(Box<blake3::Hasher>),
}

impl Algorithm {
    /// Every algorithm, the one that the server would rather be given first.
    pub const ALL: [Self; 6] = [Self::Sha256, Self::Sha512, Self::Blake3, Self::Crc32c, Self::Sha1, Self::Md5];

    /// The name in tus: `sha1`, `crc32c`, ...
    pub fn tus_name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Md5 => "md5",
            Self::Crc32c => "crc32c",
            Self::Blake3 => "blake3",
        }
    }

    /// The key in the digest fields of RFC 9530, where one is registered: `sha-256`, `sha`, ...
    pub fn field_key(self) -> Option<&'static str> {
        match self {
            Self::Sha1 => Some("sha"),
            Self::Sha256 => Some("sha-256"),
            Self::Sha512 => Some("sha-512"),
            Self::Md5 => Some("md5"),
            Self::Crc32c => Some("crc32c"),
            Self::Blake3 => None,
        }
    }

    /// The algorithm of this name in tus.
    pub fn of_tus_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.tus_name() == name)
    }

    /// The algorithm of this key in a digest field.
    pub fn of_field_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.field_key() == Some(key))
    }

    /// Octets in a digest.
    pub fn digest_bytes(self) -> usize {
        match self {
            Self::Crc32c => 4,
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Expected {
    /// Digests as an upload's terms record them: the name in tus, and base64.
    pub fn to_terms(all: &[Self]) -> BTreeMap<String, String> {
        let pair = |one: &Self| (one.algorithm.tus_name().to_owned(), BASE64_STANDARD.encode(&one.value));
        all.iter().map(pair).collect()
    }

    /// Reads back what [`Expected::to_terms`] wrote; `None` if anything else stands there.
    pub fn of_terms(terms: &BTreeMap<String, String>) -> Option<Vec<Self>> {
        let one = |(name, value): (&String, &String)| {
            let algorithm = Algorithm::of_tus_name(name)?;
            Some(Self { algorithm, value: BASE64_STANDARD.decode(value).ok()? })
        };
        terms.iter().map(one).collect()
    }
}

impl Hasher {
    /// The digest of no octets yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha1 => Running::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => Running::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Running::Sha512(Box::new(sha2::Sha512::new())),
            Algorithm::Md5 => Running::Md5(md5::Md5::new()),
            Algorithm::Crc32c => Running::Crc32c(0),
            Algorithm::Blake3 => Running::Blake3(Box::new(blake3::Hasher::new())),
        })
    }

    /// How the digest is computed.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Running::Sha1(_) => Algorithm::Sha1,
            Running::Sha256(_) => Algorithm::Sha256,
            Running::Sha512(_) => Algorithm::Sha512,
            Running::Md5(_) => Algorithm::Md5,
            Running::Crc32c(_) => Algorithm::Crc32c,
            Running::Blake3(_) => Algorithm::Blake3,
        }
    }

    /// Adds the next octets. Costs time in proportion: a megabyte is for a thread that may block.
    pub fn update(&mut self, octets: &[u8]) {
        match &mut self.0 {
            Running::Sha1(hasher) => hasher.update(octets),
            Running::Sha256(hasher) => hasher.update(octets),
            Running::Sha512(hasher) => hasher.update(octets),
            Running::Md5(hasher) => hasher.update(octets),
            Running::Crc32c(sum) => *sum = crc32c::crc32c_append(*sum, octets),
            Running::Blake3(hasher) => drop(hasher.update(octets)),
        }
    }

    /// The digest of the octets so far; more may follow.
    pub fn value(&self) -> Vec<u8> {
        match &self.0 {
            Running::Sha1(hasher) => hasher.clone().finalize().to_vec(),
            Running::Sha256(hasher) => hasher.clone().finalize().to_vec(),
            Running::Sha512(hasher) => hasher.as_ref().clone().finalize().to_vec(),
            Running::Md5(hasher) => hasher.clone().finalize().to_vec(),
            Running::Crc32c(sum) => sum.to_be_bytes().to_vec(),
            Running::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        }
    }

    /// The digest of all the octets.
    pub fn finish(self) -> Vec<u8> {
        self.value()
    }

    /// Whether the octets so far have the digest that is expected of them.
    pub fn matches(&self, expected: &Expected) -> bool {
        self.algorithm() == expected.algorithm && self.value() == expected.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digests of `abc`, and of nothing, from the documents that define the algorithms.
    #[test]
    fn each_algorithm_gives_the_published_digests() {
        let check = |algorithm: Algorithm, octets: &[u8], hex: &str| {
            let mut hasher = Hasher::new(algorithm);
            octets.iter().for_each(|octet| hasher.update(&[*octet]));
            let value: String = hasher.value().iter().map(|octet| format!("{octet:02x}")).collect();
            assert!(value.starts_with(hex), "{algorithm:?}: {value}");
            assert_eq!(hasher.value().len(), algorithm.digest_bytes());
        };
        check(Algorithm::Sha1, b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
        check(Algorithm::Sha1, b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        check(Algorithm::Sha256, b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        check(Algorithm::Sha512, b"abc", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a");
        check(Algorithm::Md5, b"abc", "900150983cd24fb0d6963f7d28e17f72");
        check(Algorithm::Crc32c, b"123456789", "e3069283");
        check(Algorithm::Blake3, b"", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    }

    #[test]
    fn octets_match_their_own_digest_and_no_other() {
        for algorithm in Algorithm::ALL {
            let mut hasher = Hasher::new(algorithm);
            assert_eq!(hasher.algorithm(), algorithm);
            hasher.update(b"one");
            let expected = Expected { algorithm, value: hasher.value() };
            assert!(hasher.matches(&expected));
            let shorter = Expected { algorithm, value: expected.value[1..].to_vec() };
            assert!(!hasher.matches(&shorter) && !hasher.matches(&Expected { algorithm, value: Vec::new() }));
            hasher.update(b"more");
            assert!(!hasher.matches(&expected));
        }
        let sha256 = Expected { algorithm: Algorithm::Sha256, value: Hasher::new(Algorithm::Sha256).value() };
        assert!(!Hasher::new(Algorithm::Blake3).matches(&sha256));
    }

    #[test]
    fn names_lead_back_to_their_algorithm() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::of_tus_name(algorithm.tus_name()), Some(algorithm));
            if let Some(key) = algorithm.field_key() {
                assert_eq!(Algorithm::of_field_key(key), Some(algorithm));
            }
        }
        assert_eq!((Algorithm::of_tus_name("SHA1"), Algorithm::of_field_key("sha256")), (None, None));
    }

    #[test]
    fn terms_are_read_back_as_they_were_written() {
        let all = [Algorithm::Sha256, Algorithm::Md5].map(|algorithm| {
            let value = vec![7; algorithm.digest_bytes()];
            Expected { algorithm, value }
        });
        let mut terms = Expected::to_terms(&all);
        let mut read = Expected::of_terms(&terms).expect("is readable");
        read.sort_by_key(|expected| all.iter().position(|one| one == expected));
        assert_eq!(read, all);
        terms.insert("sha3".to_owned(), String::new());
        assert_eq!(Expected::of_terms(&terms), None);
    }
}
