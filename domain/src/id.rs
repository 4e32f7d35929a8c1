//! Names of things: typed ids that cannot be mistaken for one another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// Why a string is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The prefix is missing or belongs to another kind of thing.
    #[error("expected an id that begins with \"{expected}_\"")]
    Prefix {
        /// The prefix this kind of id carries.
        expected: &'static str,
    },
    /// What follows the prefix is not 26 digits of base 32.
    #[error("expected 26 characters of 0-9 and a-z without i, l, o, u after \"{expected}_\"")]
    Digits {
        /// The prefix this kind of id carries.
        expected: &'static str,
    },
    /// A rendition name has the wrong characters or length.
    #[error("a rendition name is 1 to 40 characters of a-z, 0-9 and '-'")]
    Rendition,
}

/// Crockford's base 32, lower case: no i, l, o, u.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn encode(value: u128) -> String {
    let digit = |at: u32| usize::try_from(value >> (5 * at) & 31).map_or('0', |digit| char::from(DIGITS[digit]));
    (0..26u32).rev().map(digit).collect()
}

fn decode(text: &str) -> Option<u128> {
    if text.len() != 26 || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes().try_fold(0u128, |value, byte| {
        let digit = DIGITS.iter().position(|&known| known == byte)?;
        Some(value << 5 | digit as u128)
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What every id of this kind begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// The id with these 128 bits.
            pub fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, encode(self.0.as_u128()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let digits = text
                    .strip_prefix(concat!($prefix, "_"))
                    .ok_or(IdError::Prefix { expected: $prefix })?;
                decode(digits).map(Self::from_u128).ok_or(IdError::Digits { expected: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! ordered_by_birth {
    ($name:ident) => {
        impl $name {
            /// A new id: a UUIDv7 (RFC 9562 §5.7), so ids sort by birth; `entropy` must be unpredictable.
            pub fn mint(at: Timestamp, entropy: [u8; 16]) -> Self {
                let mut random = [0u8; 10];
                random.copy_from_slice(&entropy[..10]);
                let unix_ms = u64::try_from(at.unix_ms()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
            }
        }
    };
}

id!(
    /// An asset: `ast_` and 26 digits.
    AssetId, "ast"
);
id!(
    /// An upload: `upl_` and 26 digits. Whoever knows it may append to it, so it is unguessable.
    UploadId, "upl"
);
id!(
    /// A job: `job_` and 26 digits.
    JobId, "job"
);
id!(
    /// The public, unguessable name under which an asset is served: `plb_` and 26 digits.
    PlaybackId, "plb"
);
id!(
    /// A subtitle file that was added to an asset: `txt_` and 26 digits.
    TextId, "txt"
);
id!(
    /// A document that was added to an asset: `doc_` and 26 digits.
    DocumentId, "doc"
);
id!(
    /// A picture that somebody sent, of themselves or for an asset: `pic_` and 26 digits. None has two contents.
    PictureId, "pic"
);
id!(
    /// An account: `usr_` and 26 digits.
    UserId, "usr"
);
id!(
    /// What lasts from logging in to logging out: `ses_` and 26 digits. It is no secret.
    SessionId, "ses"
);
id!(
    /// An API key: `key_` and 26 digits. It is no secret.
    KeyId, "key"
);
id!(
    /// That an account is also known to a provider of identities: `idn_` and 26 digits. It is no secret.
    IdentityId, "idn"
);
id!(
    /// A webhook: `whk_` and 26 digits. It is no secret.
    WebhookId, "whk"
);
id!(
    /// A message that is sent to a webhook, the same however often it is sent: `msg_` and 26 digits.
    MessageId, "msg"
);
id!(
    /// Something that somebody is told: `ntf_` and 26 digits.
    NotificationId, "ntf"
);
id!(
    /// A series, a season or a playlist: `col_` and 26 digits.
    CollectionId, "col"
);
id!(
    /// What stands in a collection: `itm_` and 26 digits.
    ItemId, "itm"
);
id!(
    /// A channel: `chn_` and 26 digits.
    ChannelId, "chn"
);
ordered_by_birth!(AssetId);
ordered_by_birth!(UploadId);
ordered_by_birth!(JobId);
ordered_by_birth!(TextId);
ordered_by_birth!(DocumentId);
ordered_by_birth!(PictureId);
ordered_by_birth!(UserId);
ordered_by_birth!(SessionId);
ordered_by_birth!(KeyId);
ordered_by_birth!(IdentityId);
ordered_by_birth!(WebhookId);
ordered_by_birth!(MessageId);
ordered_by_birth!(NotificationId);
ordered_by_birth!(CollectionId);
ordered_by_birth!(ItemId);
ordered_by_birth!(ChannelId);

impl TextId {
    /// The rendition that is made of the text: never that of another one, since its segments are kept for ever.
    pub fn rendition(self) -> RenditionId {
        RenditionId(format!("text-{}", encode(self.0.as_u128())))
    }
}

impl PlaybackId {
    /// A new playback id: all 128 bits random, so it tells nothing of when the asset was made.
    pub fn mint(entropy: [u8; 16]) -> Self {
        Self::from_u128(u128::from_be_bytes(entropy))
    }
}

/// Which output of an asset this is; counts from 1 and never runs backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which of the sources that an asset has had this is; counts from 1, and no number is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceVersion(pub u32);

impl SourceVersion {
    /// None at all: what an upload brings that is no source.
    pub const NONE: Self = Self(0);
    /// The source that an asset begins with.
    pub const FIRST: Self = Self(1);
    /// The one that replaces it.
    pub const SECOND: Self = Self(2);
    /// The last number that is given.
    pub const MAX: Self = Self(9_999);
}

impl fmt::Display for SourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One source of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId {
    /// The asset.
    pub asset: AssetId,
    /// Which of its sources.
    pub version: SourceVersion,
}

/// The source that the asset begins with.
impl From<AssetId> for SourceId {
    fn from(asset: AssetId) -> Self {
        Self { asset, version: SourceVersion::FIRST }
    }
}

/// The name of a rendition within its generation, such as `720p` or `audio-0-en`; safe in a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RenditionId(String);

impl RenditionId {
    /// A rendition of this name.
    ///
    /// # Errors
    /// [`IdError::Rendition`] unless `name` is 1 to 40 characters of `a-z`, `0-9` and `-`.
    pub fn new(name: impl Into<String>) -> Result<Self, IdError> {
        let name = name.into();
        let is_safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=40).contains(&name.len()) && name.bytes().all(is_safe) {
            Ok(Self(name))
        } else {
            Err(IdError::Rendition)
        }
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RenditionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RenditionId {
    type Error = IdError;

    fn try_from(name: String) -> Result<Self, IdError> {
        Self::new(name)
    }
}

impl FromStr for RenditionId {
    type Err = IdError;

    fn from_str(name: &str) -> Result<Self, IdError> {
        Self::new(name)
    }
}

impl From<RenditionId> for String {
    fn from(id: RenditionId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_reads_back_as_itself(bits: u128) {
            let id = AssetId::from_u128(bits);
            prop_assert_eq!(id.to_string().parse::<AssetId>(), Ok(id));
            prop_assert_eq!(id.to_string().len(), 30);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<AssetId>();
            let _ = text.parse::<RenditionId>();
        }

        #[test]
        fn ids_sort_by_birth(earlier in 0i64..1 << 47, gap in 1i64..1 << 46, entropy: [u8; 16]) {
            let older = AssetId::mint(Timestamp::from_unix_ms(earlier), entropy);
            let younger = AssetId::mint(Timestamp::from_unix_ms(earlier + gap), [0; 16]);
            prop_assert!(older < younger);
            prop_assert!(older.to_string() < younger.to_string());
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let upload = UploadId::from_u128(7).to_string();
        assert_eq!(upload.parse::<AssetId>(), Err(IdError::Prefix { expected: "ast" }));
        assert_eq!("ast_short".parse::<AssetId>(), Err(IdError::Digits { expected: "ast" }));
    }

    #[test]
    fn the_rendition_of_a_text_has_a_valid_name() {
        let name = TextId::from_u128(u128::MAX).rendition();
        assert_eq!(RenditionId::new(name.as_str()), Ok(name.clone()));
        assert_eq!(name.as_str(), "text-7zzzzzzzzzzzzzzzzzzzzzzzzz");
    }

    #[test]
    fn a_rendition_name_is_safe_in_a_path() {
        for name in ["", "..", "a/b", "A", "720p\n", "é"] {
            assert!(RenditionId::new(name).is_err(), "{name:?}");
        }
        assert!(RenditionId::new("audio-0-en").is_ok());
    }
}
