//! Tags and entities in cue text, reduced to what WebVTT knows.

use super::time;
use crate::webvtt::{self, Writer};

/// Longest text of one cue, in characters; the rest is cut.
const TEXT_CHARS_MAX: usize = 4000;

/// Longest tag that is looked at, in octets; a longer one is text.
const TAG_BYTES_MAX: usize = 200;

/// Longest entity, without its semicolon, in octets.
const ENTITY_BYTES_MAX: usize = 10;

/// Tags that may be open at the same time; more are left out.
const DEPTH_MAX: usize = 16;

/// Classes that a tag keeps.
const CLASSES_MAX: usize = 4;

/// One piece of cue text.
enum Piece<'a> {
    Char(char),
    /// What stands between `<` and `>`.
    Tag(&'a str),
    /// What stands between `{\` and `}`.
    Override(&'a str),
}

/// The next piece and its length; `None` at the end.
fn piece(rest: &str) -> Option<(Piece<'_>, usize)> {
    let first = rest.chars().next()?;
    let literal = (Piece::Char(first), first.len_utf8());
    let between = |open: &str, close: char| {
        let inner = rest.strip_prefix(open)?;
        let end = inner.find(close).filter(|end| *end <= TAG_BYTES_MAX)?;
        Some((&inner[..end], open.len() + end + close.len_utf8()))
    };
    let found = match first {
        '<' => between("<", '>').filter(|(tag, _)| is_tag(tag)).map(|(tag, length)| (Piece::Tag(tag), length)),
        '{' => between("{\\", '}').map(|(tags, length)| (Piece::Override(tags), length)),
        '&' => between("&", ';').and_then(|(name, length)| Some((Piece::Char(entity(name)?), length))),
        _ => None,
    };
    Some(found.unwrap_or(literal))
}

/// Text such as `I <3 this` or `a < b > c` holds no tag.
fn is_tag(tag: &str) -> bool {
    let name = tag.strip_prefix('/').unwrap_or(tag);
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic()) || tag.is_empty() || time::clock(tag).is_some()
}

fn entity(name: &str) -> Option<char> {
    if name.len() > ENTITY_BYTES_MAX {
        return None;
    }
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        "lrm" => Some('\u{200e}'),
        "rlm" => Some('\u{200f}'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32).filter(|c| !c.is_control())
        }
    }
}

/// The text of a SubRip cue as WebVTT cue text.
///
/// Bold, italic and underline survive, whether written as HTML or as ASS overrides; other tags of HTML
/// and all other overrides are dropped. What looks like a tag but is none stays as text.
pub(super) fn from_srt(text: &str) -> String {
    let mut out = Writer::default();
    let mut rest = text;
    // Every round consumes at least one character.
    while let Some((piece, length)) = piece(rest) {
        match piece {
            Piece::Char(c) => out.push(c),
            Piece::Override(tags) => out.apply(&format!("\\{tags}")),
            Piece::Tag(tag) if !apply_html(&mut out, tag) => rest[..length].chars().for_each(|c| out.push(c)),
            Piece::Tag(_) => {}
        }
        rest = &rest[length..];
    }
    out.finish()
}

/// Applies a tag of HTML; false if it is none.
fn apply_html(out: &mut Writer, tag: &str) -> bool {
    let (name, is_on) = match tag.strip_prefix('/') {
        Some(name) => (name, false),
        None => (tag, true),
    };
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    match name.to_ascii_lowercase().as_str() {
        "b" | "strong" => out.set('b', is_on),
        "i" | "em" => out.set('i', is_on),
        "u" => out.set('u', is_on),
        "br" => out.push('\n'),
        "font" | "span" | "p" | "div" | "s" | "strike" | "c" | "v" | "ruby" | "rt" => {}
        _ => return false,
    }
    true
}

/// The text of a WebVTT cue, parsed and written anew, so that it is well-formed.
///
/// Classes, voices, languages, ruby and inner times are kept, unknown tags dropped, open ones closed.
pub(super) fn from_vtt(text: &str) -> String {
    let mut out = Nested::default();
    let mut rest = text;
    // Every round consumes at least one character.
    while let Some((piece, length)) = piece(rest) {
        match piece {
            Piece::Char(c) => out.push(c),
            Piece::Tag(tag) => out.tag(tag),
            // WebVTT has no overrides: it is text.
            Piece::Override(_) => rest[..length].chars().for_each(|c| out.push(c)),
        }
        rest = &rest[length..];
    }
    out.finish()
}

/// Cue text with tags of any kind that WebVTT has.
#[derive(Default)]
struct Nested<'a> {
    text: String,
    chars: usize,
    open: Vec<&'a str>,
}

impl<'a> Nested<'a> {
    fn push(&mut self, c: char) {
        if self.chars >= TEXT_CHARS_MAX || c == '\u{feff}' || (c.is_control() && c != '\n') {
            return;
        }
        self.chars += 1;
        webvtt::push_escaped(&mut self.text, c);
    }

    fn tag(&mut self, tag: &'a str) {
        if let Some(name) = tag.strip_prefix('/') {
            // As browsers do: only what was opened last can be closed.
            if self.open.last() == Some(&name.trim()) {
                self.close();
            }
            return;
        }
        if let Some(time) = time::clock(tag) {
            self.text.push_str(&format!("<{}>", webvtt::timestamp(time.as_ms())));
            return;
        }
        let (head, annotation) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        let mut parts = head.split('.');
        let name = parts.next().unwrap_or_default();
        let is_known = matches!(name, "c" | "i" | "b" | "u" | "ruby" | "rt" | "v" | "lang");
        if !is_known || self.open.len() >= DEPTH_MAX {
            return;
        }
        self.open.push(name);
        self.text.push('<');
        self.text.push_str(name);
        let is_plain =
            |class: &&str| !class.is_empty() && class.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        for class in parts.filter(is_plain).take(CLASSES_MAX) {
            self.text.push('.');
            self.text.push_str(class);
        }
        let annotation: Vec<&str> = annotation.split(|c: char| c.is_whitespace() || c.is_control()).collect();
        let annotation = annotation.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        if matches!(name, "v" | "lang") && !annotation.is_empty() {
            self.text.push(' ');
            self.text.push_str(&webvtt::escape(&unescaped(&annotation)));
        }
        self.text.push('>');
    }

    fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.text.push_str(&format!("</{name}>"));
        }
    }

    fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        // Tags around nothing are nothing to see.
        if self.chars == 0 { String::new() } else { self.text }
    }
}

/// `text` with entities as the characters they stand for.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    // Every round consumes at least one character.
    while let Some((piece, length)) = piece(rest) {
        match piece {
            Piece::Char(c) => out.push(c),
            _ => out.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    out
}
