//! What somebody asks for: words, "phrases", beginnings* and what must -not be there. Any text is a query.

use super::{Word, words};

/// Most terms of a query; those after them are left out.
pub const TERMS_MAX: usize = 12;
/// Most words of a phrase; those after them are left out.
pub const PHRASE_WORDS_MAX: usize = 12;

/// A word, or several that stand in this order next to each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// At least one, as they are compared.
    pub words: Vec<String>,
    /// Of the last one only the beginning is given.
    pub is_prefix: bool,
}

/// What is asked for: all of some terms and none of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// What has to be there, each once.
    pub wanted: Vec<Term>,
    /// What must not.
    pub unwanted: Vec<Term>,
}

impl Term {
    fn new(words: Vec<Word>, is_prefix: bool) -> Option<Self> {
        let is_prefix = is_prefix && words.len() <= PHRASE_WORDS_MAX;
        let words: Vec<String> = words.into_iter().take(PHRASE_WORDS_MAX).map(|word| word.text).collect();
        (!words.is_empty()).then_some(Self { words, is_prefix })
    }

    /// The word, if it is one and whole.
    pub fn word(&self) -> Option<&str> {
        match &*self.words {
            [word] if !self.is_prefix => Some(word),
            _ => None,
        }
    }
}

impl Query {
    /// Reads a query. Nothing is an error: what means nothing is left out.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        let mut rest = text;
        // Each turn takes at least one character off.
        while let Some(first) = rest.chars().next() {
            if first.is_whitespace() {
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let (is_unwanted, body) = match rest.strip_prefix('-') {
                Some(body) => (true, body),
                None => (false, rest),
            };
            let (term, after) = one(body);
            rest = after;
            let terms = if is_unwanted { &mut query.unwanted } else { &mut query.wanted };
            if let Some(term) = term.filter(|term| terms.len() < TERMS_MAX && !terms.contains(term)) {
                terms.push(term);
            }
        }
        query
    }
}

/// The term at the beginning of a text, and what follows it.
fn one(text: &str) -> (Option<Term>, &str) {
    let (body, after) = match text.strip_prefix('"') {
        // Whoever forgets the second quotation mark means everything up to the end.
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => {
            let end = text.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(text.len());
            text.split_at(end)
        }
    };
    let (is_prefix, after) = match after.strip_prefix('*') {
        Some(after) => (true, after),
        None => (body.ends_with('*'), after),
    };
    (Term::new(words(body), is_prefix), after)
}
