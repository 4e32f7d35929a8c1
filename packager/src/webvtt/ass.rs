//! The text of an ASS dialogue, which is what libav makes of every text subtitle, as WebVTT cue text.

/// Longest text of one cue, in characters; the rest is cut.
const TEXT_CHARS_MAX: usize = 4000;

/// White space other than spaces and line breaks that is kept in one place.
const INDENT_BYTES_MAX: usize = 120;

/// The styles that WebVTT has tags for, in the order in which they are nested.
const STYLES: [(&str, char); 3] = [("b", 'b'), ("i", 'i'), ("u", 'u')];

/// Turns the text field of an ASS dialogue into WebVTT cue text.
///
/// Bold, italic and underline survive as tags; every other override (`{\an8}`, colours, karaoke)
/// and all drawings are dropped. `\N` is a line break, `\n` a space, `\h` a space that does not
/// break. `&`, `<` and `>` are escaped, so the text can hold neither a tag of its own nor an arrow.
/// The result has no empty line, and is empty if nothing is left to show.
pub fn from_ass(text: &str) -> String {
    let mut out = Writer::default();
    let mut rest = text;
    // Every round consumes at least one character.
    while let Some(c) = rest.chars().next() {
        if let Some(block) = rest.strip_prefix('{')
            && let Some((overrides, after)) = block.split_once('}')
        {
            out.apply(overrides);
            rest = after;
            continue;
        }
        let (shown, length) = match rest.as_bytes() {
            [b'\\', b'N', ..] => ('\n', 2),
            [b'\\', b'n', ..] => (' ', 2),
            [b'\\', b'h', ..] => ('\u{a0}', 2),
            _ => (c, c.len_utf8()),
        };
        out.push(shown);
        rest = rest.get(length..).unwrap_or_default();
    }
    out.finish()
}

/// Writes cue text with the styles that WebVTT has, properly nested, without blank lines and not too long.
#[derive(Default)]
pub(crate) struct Writer {
    text: String,
    chars: usize,
    /// Which of [`STYLES`] are wanted, and which tags are open.
    wanted: [bool; 3],
    open: [bool; 3],
    is_drawing: bool,
    /// White space waits until something visible follows it: what separates lines and words,
    gap: Option<char>,
    /// and behind it what does not break, or is wide.
    indent: String,
}

impl Writer {
    /// Applies the override tags of one `{...}` block.
    pub(crate) fn apply(&mut self, overrides: &str) {
        for tag in overrides.split('\\').skip(1) {
            let name_end = tag.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tag.len());
            let (name, argument) = tag.split_at(name_end);
            let number: u32 = argument.trim().parse().unwrap_or(0);
            match name {
                "p" => self.is_drawing = number > 0,
                "r" => self.wanted = [false; 3],
                _ => {
                    for (style, tag) in STYLES {
                        if style == name {
                            self.set(tag, number > 0);
                        }
                    }
                }
            }
        }
    }

    /// Switches the style of this tag of WebVTT on or off.
    pub(crate) fn set(&mut self, tag: char, is_on: bool) {
        for ((_, known), wanted) in STYLES.iter().zip(&mut self.wanted) {
            if *known == tag {
                *wanted = is_on;
            }
        }
    }

    pub(crate) fn push(&mut self, c: char) {
        if self.is_drawing || self.chars >= TEXT_CHARS_MAX {
            return;
        }
        match c {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => {
                self.gap = Some('\n');
                self.indent.clear();
            }
            ' ' | '\t' => self.gap = self.gap.or(Some(' ')),
            c if c.is_control() || c == '\u{feff}' => {}
            c if c.is_whitespace() => {
                if self.indent.len() < INDENT_BYTES_MAX {
                    self.indent.push(c);
                }
            }
            c => {
                self.match_tags();
                super::push_escaped(&mut self.text, c);
                self.chars += 1;
            }
        }
    }

    /// Closes tags, writes white space that waits, and opens tags, until those that are wanted are
    /// open and properly nested.
    fn match_tags(&mut self) {
        let first = (0..STYLES.len()).find(|&at| self.open[at] != self.wanted[at]).unwrap_or(STYLES.len());
        self.close_from(first);
        if let Some(gap) = self.gap.take()
            && self.chars > 0
        {
            self.text.push(gap);
        }
        self.chars += self.indent.chars().count();
        self.text.push_str(&self.indent);
        self.indent.clear();
        for (at, style) in STYLES.iter().enumerate().skip(first) {
            if self.wanted[at] {
                self.text.extend(['<', style.1, '>']);
                self.open[at] = true;
            }
        }
    }

    fn close_from(&mut self, first: usize) {
        for (at, style) in STYLES.iter().enumerate().skip(first).rev() {
            if self.open[at] {
                self.text.extend(['<', '/', style.1, '>']);
                self.open[at] = false;
            }
        }
    }

    pub(crate) fn finish(mut self) -> String {
        self.close_from(0);
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn markup_becomes_what_webvtt_has() {
        let check = |ass: &str, expected: &str| assert_eq!(from_ass(ass), expected, "{ass}");
        check("plain", "plain");
        check(r"{\an8}top\Nsecond line", "top\nsecond line");
        check(r"{\i1}slanted{\i0} upright", "<i>slanted</i> upright");
        check(r"{\b1\i1}both{\b0} only slanted", "<b><i>both</i></b> <i>only slanted</i>");
        check(r"{\b700}heavy{\r}{\u1}under", "<b>heavy</b><u>under</u>");
        check(r"{\c&H00FFFF&\fs20\fnArial Black}colour", "colour");
        check(r"{\p1}m 0 0 l 100 0 100 100{\p0}text", "text");
        check(r"a\hb\nc", "a\u{a0}b c");
        check(r"\h\hindented\N\h\N\h\hagain\h", "\u{a0}\u{a0}indented\n\u{a0}\u{a0}again");
        check(r"\h\N", "");
        check("\u{3000}wide", "\u{3000}wide");
        check(r"\N\N first\N \N\Nlast\N", "first\nlast");
        check("a & b <c> --> d", "a &amp; b &lt;c&gt; --&gt; d");
        check("an { open brace", "an { open brace");
        check(r"a \ backslash\", r"a \ backslash\");
        check(r"{\i1}", "");
        check("", "");
        check("\u{7}\0bell\r\nnext", "bell\nnext");
    }

    #[test]
    fn a_very_long_text_is_cut() {
        let indented = format!("{}a", "\u{a0}".repeat(100_000));
        assert_eq!(from_ass(&indented).len(), INDENT_BYTES_MAX + 1);
        assert_eq!(from_ass(&"ab ".repeat(100_000)).chars().filter(|&c| c != ' ').count(), TEXT_CHARS_MAX);
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_cue(ass in r"([ -~éü🎬\r\n]|\\[Nnh]|\{\\[biu][01]\}|-->){0,60}") {
            let text = from_ass(&ass);
            prop_assert!(!text.contains("-->"));
            prop_assert!(text.lines().all(|line| !line.trim().is_empty()));
            let count = |pattern: &str| text.matches(pattern).count();
            for (open, close) in [("<b>", "</b>"), ("<i>", "</i>"), ("<u>", "</u>")] {
                prop_assert_eq!(count(open), count(close));
            }
            prop_assert_eq!(count("<"), 2 * (count("</")));
        }
    }
}
