//! What an asset asks of those who want to play it.

use serde::{Deserialize, Serialize};

/// Pages that may be named.
pub const PAGES_MAX: usize = 64;

/// Shortest password that an asset is given, in characters: those before it was asked for go on being good.
pub const PASSWORD_CHARS_MIN: usize = 8;

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
    /// When it may be played at all.
    #[serde(default, skip_serializing_if = "Availability::is_always")]
    pub availability: Availability,
    /// Which change of the catalogue's `admission` and `pages` are of, or came after; 0 before there was any. Higher is
    /// later. What an operator changes in the pointer stays until the catalogue's next one.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub change: i64,
    /// How its picture and sound are encrypted on their way out; `None` if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

/// When an asset may be played. It follows from the catalogue; whoever writes a pointer takes it from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Availability {
    /// Not at all: it is in the bin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_withheld: bool,
    /// From when on, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_s: Option<i64>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<i64>,
}

impl Availability {
    /// Whether it may be played at any time.
    pub fn is_always(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it may be played at an instant, in seconds since 1970.
    pub fn is_open(&self, now_s: u64) -> bool {
        let now_s = i64::try_from(now_s).unwrap_or(i64::MAX);
        !self.is_withheld
            && self.from_s.is_none_or(|from| from <= now_s)
            && self.until_s.is_none_or(|until| now_s < until)
    }
}

/// Whether a text names a page as [`Access::pages`] does: an origin, or `none`.
pub fn is_page(page: &str) -> bool {
    let host = page.strip_prefix("https://").or_else(|| page.strip_prefix("http://"));
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', ',']);
    page == "none" || host.is_some_and(|host| is_host(host) && !host.contains(char::is_control))
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
fn is_none_yet(change: &i64) -> bool {
    *change == 0
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
    /// A token, which the API gives to those whom the asset belongs to or is shared with.
    Private,
    /// A token, which the API gives to everybody with an account.
    Internal,
    /// A token that somebody who knows a key has signed.
    Signed,
    /// A password, or such a token.
    Password {
        /// What is stored of the password: salted and derived slowly.
        hash: String,
    },
}

impl Admission {
    /// What people call it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unlisted => "unlisted",
            Self::Private => "private",
            Self::Internal => "internal",
            Self::Signed => "signed",
            Self::Password { .. } => "password",
        }
    }
}

impl Access {
    /// The same, once it follows what the catalogue wants, if that is later.
    #[must_use]
    pub fn following(&self, wanted: Option<&Self>) -> Self {
        let later = wanted.filter(|wanted| wanted.change > self.change);
        let Self { admission, pages, change, .. } = later.unwrap_or(self).clone();
        Self { admission, pages, change, ..self.clone() }
    }

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
        let private = Access { admission: Admission::Private, change: 7, ..Access::default() };
        check(private, r#"{"admission":"private","change":7}"#);
        check(Access { admission: Admission::Internal, ..Access::default() }, r#"{"admission":"internal"}"#);
        let pages = vec!["https://example.com".into(), "none".into()];
        check(
            Access { admission: Admission::Signed, pages, ..Access::default() },
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
    fn what_came_later_is_followed_and_the_rest_stays() {
        let encryption = Some(Encryption { method: EncryptionMethod::Aes128, clear_lead_s: 0, rotate_s: 0 });
        let now = Access { admission: Admission::Signed, encryption, change: 5, ..Access::default() };
        let wanted =
            |change| Access { admission: Admission::Private, pages: vec!["none".into()], change, ..Access::default() };
        for earlier in [None, Some(&wanted(4)), Some(&wanted(5))] {
            assert_eq!(now.following(earlier), now);
        }
        assert_eq!(now.following(Some(&wanted(6))), Access { encryption, ..wanted(6) });
    }

    #[test]
    fn pages_are_origins() {
        for (page, expected) in [
            ("https://example.com", true),
            ("http://localhost:3000", true),
            ("none", true),
            ("https://example.com/", false),
            ("example.com", false),
            ("https://", false),
            ("*", false),
        ] {
            assert_eq!(is_page(page), expected, "{page}");
        }
    }

    #[test]
    fn a_window_holds_its_first_second_and_not_its_last() {
        let window = Availability { is_withheld: false, from_s: Some(10), until_s: Some(20) };
        assert_eq!([9, 10, 19, 20].map(|now| window.is_open(now)), [false, true, true, false]);
        assert!(Availability::default().is_open(0) && Availability::default().is_open(u64::MAX));
        assert!(!Availability { is_withheld: true, ..Availability::default() }.is_open(15));
        let access = Access { availability: window, ..Access::default() };
        let text = r#"{"admission":"public","availability":{"from_s":10,"until_s":20}}"#;
        assert_eq!(serde_json::to_string(&access).unwrap(), text);
        assert_eq!(serde_json::from_str::<Access>(text).unwrap(), access);
    }

    #[test]
    fn what_is_not_understood_is_no_permission() {
        assert!(serde_json::from_str::<Access>(r#"{"admission":"friends"}"#).is_err());
        assert!(serde_json::from_str::<Access>(r#"{}"#).is_err());
        let unknown = r#"{"admission":"public","encryption":{"method":"rot13"}}"#;
        assert!(serde_json::from_str::<Access>(unknown).is_err(), "and is never served clear");
    }
}
