//! Lines of a text, whatever ends them.

/// Longest piece of a file that a report repeats, in characters.
const EXCERPT_CHARS_MAX: usize = 40;

/// The lines of a text with their numbers from 1; a line ends with CR LF, LF or CR.
pub(super) struct Lines<'a> {
    rest: Option<&'a str>,
    number: u32,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: Some(text), number: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (u32, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        self.number = self.number.saturating_add(1);
        let Some(end) = rest.find(['\n', '\r']) else {
            self.rest = None;
            return Some((self.number, rest));
        };
        let (line, ending) = rest.split_at(end);
        self.rest = Some(ending.strip_prefix("\r\n").unwrap_or(&ending[1..]));
        Some((self.number, line))
    }
}

/// True for a line that says when a cue is shown, be it well-formed or not.
pub(super) fn is_timing(line: &str) -> bool {
    let line = line.trim();
    let begins_with_digit = line.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    // A broken arrow between two times is no text that anybody wants to read.
    line.contains("-->") || (begins_with_digit && line.contains("->") && line.contains(':'))
}

/// The beginning of `text` in quotes, on one line.
pub(super) fn excerpt(text: &str) -> String {
    let text = text.trim();
    let shown = text.chars().take(EXCERPT_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c });
    let ellipsis = if text.chars().nth(EXCERPT_CHARS_MAX).is_some() { "..." } else { "" };
    format!("\"{}{ellipsis}\"", shown.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_ending_ends_one_line() {
        let lines: Vec<_> = Lines::new("a\nb\r\nc\rd\n\r\n").collect();
        assert_eq!(lines, [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, ""), (6, "")]);
        assert_eq!(Lines::new("").collect::<Vec<_>>(), [(1, "")]);
    }

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        assert_eq!(excerpt(" a\tb "), "\"a b\"");
        assert_eq!(excerpt(&"é".repeat(50)), format!("\"{}...\"", "é".repeat(40)));
    }
}
