//! What a file is, by its first octets.
//!
//! Whether it is played is decided by [`domain::Container`] alone, as it is later for the whole file:
//! what is played is never refused here. What it is otherwise is only named, to help the uploader.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use domain::container::Container;
use domain::{Failure, FailureCode};
use infer::MatcherType;

/// Media types that are accepted: `video/mp4`, `audio/*`, `*/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern {
    main: String,
    sub: String,
}

impl std::str::FromStr for TypePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let (main, sub) = lower.split_once('/').ok_or_else(|| format!("\"{text}\" is not a media type"))?;
        let is_token = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        if (main == "*" && sub == "*") || (is_token(main) && (sub == "*" || is_token(sub))) {
            return Ok(Self { main: main.to_owned(), sub: sub.to_owned() });
        }
        Err(format!("\"{text}\" is not a media type such as video/mp4, audio/* or */*"))
    }
}

impl std::fmt::Display for TypePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.main, self.sub)
    }
}

impl TypePattern {
    /// Whether a media type, without parameters, is one of these.
    pub fn holds(&self, media_type: &str) -> bool {
        let lower = media_type.to_ascii_lowercase();
        let Some((main, sub)) = lower.split_once('/') else { return false };
        (self.main == "*" || self.main == main) && (self.sub == "*" || self.sub == sub)
    }

    /// Whether this is every type there is.
    pub fn is_any(&self) -> bool {
        self.main == "*"
    }
}

/// The first octets of a file, as many as there are and `bytes` at most.
pub(crate) fn head_of(file: &File, bytes: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; bytes];
    let mut filled = 0;
    // Ends at the end of the file, or with a full head.
    while filled < head.len() {
        match file.read_at(&mut head[filled..], filled as u64)? {
            0 => break,
            bytes => filled += bytes,
        }
    }
    head.truncate(filled);
    Ok(head)
}

/// What the tracks of a file are, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracks {
    /// Nobody looked.
    Unknown,
    /// At least one is a picture.
    Picture,
    /// None is a picture.
    Sound,
}

/// Media types of a container with such tracks: not those of sound if it shows a picture, nor those of video if it does
/// not. A container with types of one kind only has these whatever is in it.
pub(crate) fn types_of(container: Container, tracks: Tracks) -> Vec<&'static str> {
    let other = match tracks {
        Tracks::Unknown => return container.media_types().to_vec(),
        Tracks::Picture => "audio/",
        Tracks::Sound => "video/",
    };
    let types: Vec<_> = container.media_types().iter().copied().filter(|kind| !kind.starts_with(other)).collect();
    if types.is_empty() { container.media_types().to_vec() } else { types }
}

/// Whether a container with such tracks may be uploaded where only `patterns` may; no patterns mean that everything may.
pub(crate) fn is_accepted(container: Container, tracks: Tracks, patterns: &[TypePattern]) -> bool {
    let types = types_of(container, tracks);
    let any = |pattern: &TypePattern| types.iter().any(|kind| pattern.holds(kind));
    patterns.is_empty() || patterns.iter().any(any)
}

/// The container of a file that begins with `head`; `read` reads further on, as for [`Container::recognise`].
///
/// # Errors
/// Why it is not played, for the uploader.
pub(crate) fn container(head: &[u8], read: impl Fn(u64, &mut [u8]) -> usize) -> Result<Container, Failure> {
    Container::recognise(head, read).map_err(|failure| match named(head) {
        Some(sentence) if is_vague(&failure) => Failure::new(FailureCode::UnknownFormat, sentence),
        _ => failure,
    })
}

/// Whether a name would say more: "a text" may be a web page, "no format that is known" anything.
fn is_vague(failure: &Failure) -> bool {
    failure.message.contains("is a text") || failure.message.contains("no video or sound format")
}

fn named(head: &[u8]) -> Option<String> {
    let kind = infer::get(head)?;
    let name = match (kind.mime_type(), kind.matcher_type()) {
        ("application/pdf", _) => "a PDF document",
        ("text/html", _) => "a web page",
        (_, MatcherType::Image) => "a picture",
        (_, MatcherType::App) => "a program",
        (_, MatcherType::Archive) => "an archive",
        (_, MatcherType::Doc | MatcherType::Book) => "a document",
        (_, MatcherType::Font) => "a font",
        (mime, MatcherType::Audio | MatcherType::Video) => {
            return Some(format!("the file is of the type {mime}, which is not played here: export it as MP4"));
        }
        _ => return None,
    };
    Some(format!("the file is {name}, not a video or a sound recording"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &[u8], part: &str) {
        let failure = container(head, |_, _| 0).expect_err("is refused");
        assert!(failure.message.contains(part), "{}", failure.message);
        assert_eq!(failure.code, FailureCode::UnknownFormat);
    }

    #[test]
    fn what_is_no_medium_is_named() {
        check(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document");
        check(b"<!DOCTYPE html><html><body>x</body></html>", "a web page");
        check(&[&b"\x7fELF\x02\x01\x01\0"[..], &[0; 60]].concat(), "a program");
        check(b"#!AMR\n<\x91\x17\x16\xbe\x66\x79\xe1\xe0\x01\xe7\xaf\xf0", "audio/amr");
        check(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture");
        check(b"PK\x03\x04\x14\0\0\0", "an archive");
        check(b"7z\xbc\xaf\x27\x1c\0\x04", "an archive");
        check(b"#!/bin/sh\necho hello\n", "a text");
        check(b"#EXTM3U\n", "a playlist");
        check(b"", "empty");
        check(&[0x87; 100], "no video or sound format");
    }

    #[test]
    fn types_are_accepted_by_pattern() {
        let with = |container: Container, tracks: Tracks, patterns: &[&str]| {
            let patterns: Vec<TypePattern> = patterns.iter().map(|text| text.parse().expect("a pattern")).collect();
            is_accepted(container, tracks, &patterns)
        };
        let accepted = |container, patterns: &[&str]| with(container, Tracks::Unknown, patterns);
        assert!(accepted(Container::Mp4, &[]) && accepted(Container::Mp3, &["*/*"]));
        assert!(accepted(Container::Mp4, &["video/mp4"]) && accepted(Container::Mp4, &["AUDIO/*"]));
        assert!(accepted(Container::Matroska, &["video/webm"]) && !accepted(Container::Matroska, &["video/mp4"]));
        assert!(!accepted(Container::Mp3, &["video/*"]) && accepted(Container::Mp3, &["video/*", "audio/*"]));
        for container in [Container::Mp4, Container::Matroska, Container::Ogg] {
            assert!(!with(container, Tracks::Picture, &["audio/*"]) && with(container, Tracks::Sound, &["audio/*"]));
            assert!(with(container, Tracks::Picture, &["video/*"]) && !with(container, Tracks::Sound, &["video/*"]));
        }
        assert!(with(Container::Ogg, Tracks::Picture, &["application/ogg"]));
        assert!(with(Container::Mp3, Tracks::Sound, &["audio/*"]) && with(Container::Avi, Tracks::Sound, &["video/*"]));
        for wrong in ["", "video", "video/", "/mp4", "*/mp4", "video/mp4; codecs=x", "v*/x"] {
            assert!(wrong.parse::<TypePattern>().is_err(), "{wrong}");
        }
    }
}
