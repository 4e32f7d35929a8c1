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
}

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
            Access { admission: Admission::Signed, pages },
            r#"{"admission":"signed","pages":["https://example.com","none"]}"#,
        );
        check(
            Access { admission: Admission::Password { hash: "x".into() }, pages: vec![] },
            r#"{"admission":"password","hash":"x"}"#,
        );
    }

    #[test]
    fn what_is_not_understood_is_no_permission() {
        assert!(serde_json::from_str::<Access>(r#"{"admission":"friends"}"#).is_err());
        assert!(serde_json::from_str::<Access>(r#"{}"#).is_err());
    }
}
