//! Documents: files that people add to an asset for those who play it, such as a script or the slides of a talk.
//!
//! They are kept and handed out as they are, and never shown as pages of this server.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ByteSize, DocumentId};

/// Most documents that one asset may be allowed to have: its pointer lists them, and is read again and again.
pub const COUNT_MAX: u32 = 100;

/// Largest document that may be allowed, in octets: it is looked at as a whole when an asset is verified.
pub const BYTES_MAX: u64 = 256 << 20;

/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// Longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 500;

/// What a document is called whose uploader gave no name.
pub const NAMELESS: &str = "document";

/// The media type of what is none of [`TYPES`].
pub const OTHER: &str = "application/octet-stream";

/// Media types that documents have, each with the endings of its files, the usual one first.
pub const TYPES: [(&str, &[&str]); 17] = [
    ("application/epub+zip", &["epub"]),
    ("application/pdf", &["pdf"]),
    ("application/vnd.oasis.opendocument.presentation", &["odp"]),
    ("application/vnd.oasis.opendocument.spreadsheet", &["ods"]),
    ("application/vnd.oasis.opendocument.text", &["odt"]),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", &["pptx"]),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", &["xlsx"]),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", &["docx"]),
    ("application/zip", &["zip"]),
    ("image/avif", &["avif"]),
    ("image/gif", &["gif"]),
    ("image/jpeg", &["jpg", "jpeg"]),
    ("image/png", &["png"]),
    ("image/webp", &["webp"]),
    ("text/csv", &["csv"]),
    ("text/markdown", &["md", "markdown"]),
    ("text/plain", &["txt"]),
];

/// Where a document stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Octets of it are missing.
    Uploading,
    /// It can be had.
    Ready,
    /// Nothing came of it.
    Failed,
    /// It is taken back, and its object is still there.
    Removing,
}

impl State {
    /// The name used in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Removing => "removing",
        }
    }

    /// The state with this name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Uploading, Self::Ready, Self::Failed, Self::Removing].into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A document as the pointer of its asset tells of it: all that an origin needs to hand it out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Listed {
    /// Its id.
    pub id: DocumentId,
    /// What people call it.
    pub name: String,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it is, by its content.
    pub media_type: String,
    /// Its length.
    pub size_bytes: ByteSize,
    /// SHA-256 of it, 64 hexadecimal digits.
    pub sha256: String,
}

/// The media type that a document is handed out with: one of [`TYPES`], or [`OTHER`], and never one that a browser
/// would run.
pub fn served_as(media_type: &str) -> &'static str {
    TYPES.iter().find(|(known, _)| *known == media_type).map_or(OTHER, |(known, _)| known)
}

/// The type of a text, by the ending of its name: nothing in it tells one from the other.
pub fn text_type(name: &str) -> &'static str {
    let ending = ending(name);
    let of_text = |(kind, endings): &&(&str, &[&str])| {
        kind.starts_with("text/")
            && endings.iter().any(|known| ending.is_some_and(|one| one.eq_ignore_ascii_case(known)))
    };
    TYPES.iter().find(of_text).map_or("text/plain", |(kind, _)| kind)
}

/// What a file is called that somebody keeps: its name, with an ending that says what it is, so that nobody opens as a
/// program or a page what came as a text.
pub fn file_name(name: &str, media_type: &str) -> String {
    let Some((_, endings)) = TYPES.iter().find(|(known, _)| *known == media_type) else { return name.to_owned() };
    match ending(name) {
        Some(ending) if endings.iter().any(|known| ending.eq_ignore_ascii_case(known)) => name.to_owned(),
        _ => format!("{name}.{}", endings[0]),
    }
}

/// A name fit to be shown, in one line and without folders; `None` if nothing is left of it.
pub fn tidied(name: &str) -> Option<String> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    // Marks that turn the direction of writing hide how a name ends.
    let is_turning = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_gap = |c: char| c.is_whitespace() || c.is_control() || is_turning(c);
    let words = base.split(is_gap).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join(" ");
    (!name.trim_matches('.').is_empty()).then_some(name)
}

fn ending(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, ending)| ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_name_that_reads_back() {
        for name in ["uploading", "ready", "failed", "removing"] {
            assert_eq!(State::from_name(name).expect("a state").to_string(), name);
        }
        assert_eq!(State::from_name("gone"), None);
    }

    #[test]
    fn only_harmless_types_are_handed_out() {
        assert_eq!(served_as("application/pdf"), "application/pdf");
        for other in ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript", ""] {
            assert_eq!(served_as(other), OTHER, "{other}");
        }
        for (kind, endings) in TYPES {
            assert!(served_as(kind) == kind && !endings.is_empty());
        }
    }

    #[test]
    fn a_file_is_kept_under_an_ending_that_says_what_it_is() {
        for (name, kind, expected) in [
            ("Script.PDF", "application/pdf", "Script.PDF"),
            ("photo.jpeg", "image/jpeg", "photo.jpeg"),
            ("notes", "text/plain", "notes.txt"),
            ("page.html", "text/plain", "page.html.txt"),
            ("run.bat", "text/plain", "run.bat.txt"),
            ("app.jar", "application/zip", "app.jar.zip"),
            ("x.bin", OTHER, "x.bin"),
        ] {
            assert_eq!(file_name(name, kind), expected);
        }
        assert_eq!(text_type("README.md"), "text/markdown");
        assert_eq!(text_type("table.CSV"), "text/csv");
        assert_eq!((text_type("page.html"), text_type("none")), ("text/plain", "text/plain"));
    }

    #[test]
    fn a_name_is_one_line_without_folders() {
        assert_eq!(tidied("C:\\My Files\\a \t b\n.pdf").as_deref(), Some("a b .pdf"));
        assert_eq!(tidied("../../etc/passwd").as_deref(), Some("passwd"));
        for nothing in ["", "  ", "a/", "..", "\u{0}"] {
            assert_eq!(tidied(nothing), None, "{nothing:?}");
        }
    }
}
