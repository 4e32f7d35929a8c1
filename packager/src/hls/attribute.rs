//! Attribute lists (RFC 8216 §4.2), whatever text people put into their titles.

use std::fmt;

/// Longest quoted text, in characters; longer ones are cut.
const TEXT_CHARS_MAX: usize = 500;

/// One `NAME=value,NAME="value"` list behind its tag.
pub(super) struct List {
    text: String,
    has_any: bool,
}

impl List {
    /// A list behind `tag`, such as `EXT-X-MEDIA`.
    pub(super) fn of(tag: &str) -> Self {
        Self { text: format!("#{tag}:"), has_any: false }
    }

    /// Adds a decimal number, resolution or enumerated string.
    #[must_use]
    pub(super) fn plain(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.name(name);
        self.text.push_str(&value.to_string());
        self
    }

    /// Adds a quoted string, cleaned by [`clean`].
    #[must_use]
    pub(super) fn quoted(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.text.push('"');
        self.text.push_str(&clean(value));
        self.text.push('"');
        self
    }

    /// Adds `YES`, or `NO`, which is also what absence means.
    #[must_use]
    pub(super) fn yes_or_no(self, name: &str, is_yes: bool) -> Self {
        self.plain(name, if is_yes { "YES" } else { "NO" })
    }

    /// The line, without its end.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn name(&mut self, name: &str) {
        if self.has_any {
            self.text.push(',');
        }
        self.has_any = true;
        self.text.push_str(name);
        self.text.push('=');
    }
}

/// Text that can stand between double quotes on one line of a playlist.
///
/// Double quotes become typographic ones; control characters, line and paragraph separators and
/// byte order marks become spaces; runs of white space become one; anything past 500 characters is
/// cut. RFC 8216 §4.1 and §4.2 forbid what is taken out here.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::new();
    let mut words = 0usize;
    let is_gap = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    for word in text.split(is_gap).filter(|word| !word.is_empty()) {
        if words > 0 {
            out.push(' ');
        }
        out.extend(word.chars().take(TEXT_CHARS_MAX).map(|c| if c == '"' { '\u{201d}' } else { c }));
        words += 1;
        // Every word has a character, so this bounds the work on long texts.
        if words > TEXT_CHARS_MAX {
            break;
        }
    }
    match out.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => out[..end].trim_end().to_owned(),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_that_would_break_a_line_is_cleaned() {
        let check = |text: &str, expected: &str| assert_eq!(clean(text), expected);
        check("A \"quoted\" title", "A \u{201d}quoted\u{201d} title");
        check("two\r\nlines\u{2028}three\u{85}four", "two lines three four");
        check("\u{feff}\0 bell\u{7} ", "bell");
        check("commas, = signs, 🎬 and ümlauts stay", "commas, = signs, 🎬 and ümlauts stay");
        check("", "");
        assert_eq!(clean(&"é".repeat(10_000)).chars().count(), TEXT_CHARS_MAX);
        assert_eq!(clean(&"a ".repeat(10_000)).chars().count(), TEXT_CHARS_MAX - 1);
    }

    proptest! {
        #[test]
        fn cleaned_text_never_leaves_its_quotes(text in any::<String>()) {
            let cleaned = clean(&text);
            prop_assert!(cleaned.chars().all(|c| c != '"' && !c.is_control()));
            prop_assert!(cleaned.chars().count() <= TEXT_CHARS_MAX);
            prop_assert_eq!(clean(&cleaned), cleaned.clone());
        }
    }
}
