//! What of a text a query finds, to be shown to people.

use serde::Serialize;

use super::{Term, Word, words};

/// Words that are shown before the first one that is found.
const WORDS_BEFORE: usize = 6;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// It, as it stands in the text: no markup, to be shown as it is.
    pub text: String,
    /// It is what was looked for.
    pub is_match: bool,
}

/// The words of a text that any of `terms` finds, as indices in order.
pub fn found_in(words: &[Word], terms: &[Term]) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for term in terms {
        let length = term.words.len();
        for at in 0..(words.len() + 1).saturating_sub(length) {
            if stands_at(&words[at..at + length], term) {
                found.extend(at..at + length);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn stands_at(words: &[Word], term: &Term) -> bool {
    let last = term.words.len() - 1;
    words.iter().zip(&term.words).enumerate().all(|(at, (word, wanted))| {
        if at == last && term.is_prefix { word.text.starts_with(wanted.as_str()) } else { word.text == *wanted }
    })
}

/// At most `words_max` words of a text around the first that any of `terms` finds, and what is found marked. `None` if
/// nothing is.
pub fn snippet(text: &str, terms: &[Term], words_max: usize) -> Option<Vec<Part>> {
    let words = words(text);
    let found = found_in(&words, terms);
    let first = found.first()?.saturating_sub(WORDS_BEFORE);
    let after = first.saturating_add(words_max).min(words.len());
    let start = if first == 0 { 0 } else { words[first].start };
    let end = if after == words.len() { text.len() } else { words[after - 1].end };
    let shown = found.into_iter().filter(|index| (first..after).contains(index));
    let mut parts = pieces(text, (start, end), &words, shown);
    if first > 0 {
        parts.insert(0, Part { text: "… ".into(), is_match: false });
    }
    if after < words.len() {
        parts.push(Part { text: " …".into(), is_match: false });
    }
    Some(parts)
}

/// A whole text in pieces, with those of its words marked that `found` names in order.
pub fn marked(text: &str, words: &[Word], found: impl Iterator<Item = usize>) -> Vec<Part> {
    pieces(text, (0, text.len()), words, found)
}

fn pieces(text: &str, (start, end): (usize, usize), words: &[Word], found: impl Iterator<Item = usize>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut push = |piece: &str, is_match| {
        if !piece.is_empty() {
            parts.push(Part { text: piece.to_owned(), is_match });
        }
    };
    let (mut at, mut found) = (start, found.peekable());
    while let Some(index) = found.next() {
        // Neighbours are marked together with what stands between them.
        let mut last = index;
        while let Some(next) = found.next_if_eq(&(last + 1)) {
            last = next;
        }
        push(&text[at..words[index].start], false);
        push(&text[words[index].start..words[last].end], true);
        at = words[last].end;
    }
    push(&text[at..end], false);
    parts
}
