//! Searching in texts: how they fall into words, what a query asks for, and what of a text it finds. Pure.
//!
//! Words are compared without accents and case, and in forms that differ in looks only (NFKD). The databases are given
//! words that are folded here, so that none of them folds by rules of its own.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;

mod near;
mod query;
mod snippet;

pub use near::{distance, forgives_two, is_near, one_slip_from, trigrams};
pub use query::{PHRASE_WORDS_MAX, Query, TERMS_MAX, Term};
pub use snippet::{Part, found_in, marked, snippet};

/// Longest word that is told apart, in characters; of a longer one the beginning counts.
pub const WORD_CHARS_MAX: usize = 64;

/// A word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As it is compared.
    pub text: String,
    /// Where it begins in the text, in octets.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// The words of a text in order.
pub fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut open: Option<Word> = None;
    let mut folded = String::new();
    for (start, c) in text.char_indices() {
        let end = start + c.len_utf8();
        if is_mark(c) {
            // It belongs to the character before it, and is not compared.
            if let Some(word) = &mut open {
                word.end = end;
            }
            continue;
        }
        folded.clear();
        fold_char(c, &mut folded);
        if folded.is_empty() {
            words.extend(open.take());
            continue;
        }
        if folded.chars().any(is_ideograph) {
            // Written without blanks between words: each is one, and neighbours are looked for as a phrase.
            words.extend(open.take());
            words.extend(folded.chars().map(|c| Word { text: c.to_string(), start, end }));
            continue;
        }
        let word = open.get_or_insert_with(|| Word { text: String::new(), start, end });
        word.end = end;
        if word.text.chars().count() < WORD_CHARS_MAX {
            word.text.push_str(&folded);
        }
    }
    words.extend(open);
    words
}

/// The words of a text with blanks between them: two texts that look the same to a search are equal in this form.
pub fn fold(text: &str) -> String {
    let words: Vec<String> = words(text).into_iter().map(|word| word.text).collect();
    words.join(" ")
}

/// Every word of these texts once.
pub fn vocabulary<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    texts.into_iter().flat_map(words).map(|word| word.text).collect()
}

/// What is compared of a character; nothing if it stands between words.
fn fold_char(c: char, out: &mut String) {
    if c.is_ascii() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        }
        return;
    }
    for part in std::iter::once(c).nfkd().filter(|part| !is_mark(*part)) {
        for lower in part.to_lowercase().filter(|lower| !is_mark(*lower)) {
            match plain(lower) {
                Some(letters) => out.push_str(letters),
                None if lower.is_alphanumeric() || unicode_normalization::char::is_combining_mark(lower) => {
                    out.push(lower);
                }
                None => {}
            }
        }
    }
}

/// Letters that no decomposition takes apart but people write in others.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'ı' => "i",
        'þ' => "th",
        'ħ' => "h",
        'ς' => "σ",
        _ => return None,
    })
}

/// An accent, a point or a tone that is not compared.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{487}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}'
        | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{200b}'..='\u{200d}' | '\u{20d0}'..='\u{20ff}' | '\u{3099}' | '\u{309a}' | '\u{ad}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}' | '\u{feff}')
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests;
