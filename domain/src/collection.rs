//! What assets are put together in, and what it may be called.

use serde::{Deserialize, Serialize};

/// Longest title of a collection or name of a channel, in characters.
pub const TITLE_CHARS_MAX: usize = 200;
/// Longest description of either.
pub const DESCRIPTION_CHARS_MAX: usize = 5000;
/// Shortest and longest handle of a channel, in characters.
const HANDLE_CHARS: std::ops::RangeInclusive<usize> = 3..=30;

/// What a collection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Of seasons, or of assets that belong to none.
    Series,
    /// Of the episodes of a series.
    Season,
    /// Of whatever somebody puts into it.
    Playlist,
}

impl Kind {
    /// The name used in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Season => "season",
            Self::Playlist => "playlist",
        }
    }

    /// The kind with this name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Series, Self::Season, Self::Playlist].into_iter().find(|kind| kind.as_str() == name)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who sees a collection beside its owner and those whom it is shared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Nobody.
    #[default]
    Private,
    /// Everybody with an account. What is in it each sees as far as they may.
    Internal,
}

impl Visibility {
    /// The name used in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Internal => "internal",
        }
    }

    /// The visibility with this name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Private, Self::Internal].into_iter().find(|visibility| visibility.as_str() == name)
    }
}

/// A handle of a channel as it is kept and compared: in small letters. `None` if it cannot be one.
pub fn handle(text: &str) -> Option<String> {
    let handle = text.strip_prefix('@').unwrap_or(text).to_ascii_lowercase();
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    (HANDLE_CHARS.contains(&handle.len()) && handle.chars().all(is_letter)).then_some(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in ["series", "season", "playlist"] {
            assert_eq!(Kind::from_name(name).expect("a kind").to_string(), name);
        }
        for name in ["private", "internal"] {
            assert_eq!(Visibility::from_name(name).expect("a visibility").as_str(), name);
        }
        assert_eq!((Kind::from_name("film"), Visibility::from_name("public")), (None, None));
    }

    #[test]
    fn handles_are_short_plain_names_in_small_letters() {
        for (text, expected) in
            [("@Ada.L", Some("ada.l")), ("abc", Some("abc")), ("ab", None), ("a b c", None), ("été", None)]
        {
            assert_eq!(handle(text).as_deref(), expected, "{text}");
        }
        assert!(handle(&"a".repeat(30)).is_some() && handle(&"a".repeat(31)).is_none());
    }
}
