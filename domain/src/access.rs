//! What an asset asks of those who want to play it.

use serde::{Deserialize, Serialize};

/// Pages that may be named.
pub const PAGES_MAX: usize = 64;

/// Who may play an asset, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Access {
    /// What opens it.
    #[serde(flatten)]
    pub admission: Admission,
    /// The pages that may show it, as origins such as `https://example.com`; empty for all. `none` stands for players
    /// that are no page and say so by naming none. Who writes a player of their own can say what they like: this
    /// keeps honest browsers from showing it elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<String>,
    /// How its picture and sound are encrypted on their way out; `None` if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

/// How picture and sound of an asset are encrypted on their way out. What is stored stays clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Encryption {
    /// How.
    pub method: EncryptionMethod,
    /// Seconds at the beginning that stay clear, so that players begin before they have a key. Segments that begin
    /// within them are clear.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clear_lead_s: u32,
    /// Seconds of the presentation after which another key is used, at the next beginning of a segment; 0 for one key
    /// throughout.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rotate_s: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How segments are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EncryptionMethod {
    /// Whole segments (RFC 8216 §4.3.2.4).
    #[serde(rename = "aes-128")]
    Aes128,
    /// The samples in segments of CMAF (ISO/IEC 23001-7 scheme `cbcs`, in playlists SAMPLE-AES).
    #[serde(rename = "cbcs")]
    Cbcs,
}

/// Longest time of either kind that may be set, in seconds: a day.
pub const ENCRYPTION_TIME_S_MAX: u32 = 86_400;

/// What opens an asset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "admission", rename_all = "snake_case")]
pub enum Admission {
    /// Nothing is needed.
    #[default]
    Public,
    /// Nothing but its address; search engines are asked to keep away.
    Unlisted,
    /// A token that somebody who knows a key has signed.
    Signed,
    /// A password, or such a token.
    Password {
        /// What is stored of the password: salted and derived slowly.
        hash: String,
    },
}

impl Access {
    /// Whether everybody may play it anywhere, and find it.
    pub fn is_public(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_in_few_words() {
        let check = |access: Access, expected: &str| {
            assert_eq!(serde_json::to_string(&access).unwrap(), expected);
            assert_eq!(serde_json::from_str::<Access>(expected).unwrap(), access);
        };
        check(Access::default(), r#"{"admission":"public"}"#);
        let pages = vec!["https://example.com".into(), "none".into()];
        check(
            Access { admission: Admission::Signed, pages, encryption: None },
            r#"{"admission":"signed","pages":["https://example.com","none"]}"#,
        );
        check(
            Access { admission: Admission::Password { hash: "x".into() }, ..Access::default() },
            r#"{"admission":"password","hash":"x"}"#,
        );
        let encryption = Encryption { method: EncryptionMethod::Aes128, clear_lead_s: 0, rotate_s: 0 };
        check(
            Access { encryption: Some(encryption), ..Access::default() },
            r#"{"admission":"public","encryption":{"method":"aes-128"}}"#,
        );
        let encryption = Encryption { method: EncryptionMethod::Cbcs, clear_lead_s: 12, rotate_s: 600 };
        check(
            Access { encryption: Some(encryption), admission: Admission::Signed, ..Access::default() },
            r#"{"admission":"signed","encryption":{"method":"cbcs","clear_lead_s":12,"rotate_s":600}}"#,
        );
    }

    #[test]
    fn what_is_not_understood_is_no_permission() {
        assert!(serde_json::from_str::<Access>(r#"{"admission":"friends"}"#).is_err());
        assert!(serde_json::from_str::<Access>(r#"{}"#).is_err());
        let unknown = r#"{"admission":"public","encryption":{"method":"rot13"}}"#;
        assert!(serde_json::from_str::<Access>(unknown).is_err(), "and is never served clear");
    }
}
