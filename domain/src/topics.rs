//! Which topics somebody wants to hear of: patterns such as `asset.*` and `asset.#`.

use std::fmt;
use std::str::FromStr;

/// Patterns in one list.
pub const PATTERNS_MAX: usize = 16;
/// Longest pattern, in octets.
pub const PATTERN_BYTES_MAX: usize = 64;

/// Topics by patterns; none means all of them.
///
/// A topic is words with dots between them. In a pattern `*` stands for one word and `#` for any number of them, also
/// for none, as in AMQP 0-9-1 §3.1.3.3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics(Vec<String>);

/// Why a text is no list of patterns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicsError {
    /// There are more than [`PATTERNS_MAX`].
    #[error("there are at most {PATTERNS_MAX} patterns of topics")]
    TooMany,
    /// One is longer than [`PATTERN_BYTES_MAX`].
    #[error("a pattern of topics has at most {PATTERN_BYTES_MAX} characters")]
    TooLong,
    /// One has other characters, or no word between two dots.
    #[error(
        "a pattern of topics is words of a-z, 0-9 and _ with dots between them, where * is one word and # any number"
    )]
    Malformed,
}

impl Topics {
    /// These patterns.
    ///
    /// # Errors
    /// [`TopicsError`], if one of them is none or there are too many.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, TopicsError> {
        let mut known = Vec::new();
        for pattern in patterns {
            let pattern = pattern.trim();
            check(pattern)?;
            if known.len() == PATTERNS_MAX {
                return Err(TopicsError::TooMany);
            }
            known.push(pattern.to_owned());
        }
        Ok(Self(known))
    }

    /// Whether `topic` is among them.
    pub fn has(&self, topic: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| matches(pattern, topic))
    }

    /// The patterns.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Patterns with commas between them.
impl FromStr for Topics {
    type Err = TopicsError;

    fn from_str(text: &str) -> Result<Self, TopicsError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::new(text.split(','))
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

fn check(pattern: &str) -> Result<(), TopicsError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(TopicsError::TooLong);
    }
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_word = |word: &str| matches!(word, "*" | "#") || (!word.is_empty() && word.bytes().all(is_letter));
    if pattern.split('.').all(is_word) { Ok(()) } else { Err(TopicsError::Malformed) }
}

/// Goes back to the last `#` only, so the time is at most the product of both lengths.
fn matches(pattern: &str, topic: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let words: Vec<&str> = topic.split('.').collect();
    let (mut p, mut w) = (0, 0);
    // Where the last `#` stands, and how far it reaches.
    let mut last: Option<(usize, usize)> = None;
    // Ends because each round moves on in the topic, in the pattern, or lets the last `#` reach one word further.
    while w < words.len() {
        match pattern.get(p) {
            Some(&"#") => {
                last = Some((p, w));
                p += 1;
            }
            Some(&word) if word == "*" || word == words[w] => {
                p += 1;
                w += 1;
            }
            _ => match last {
                Some((at, reach)) => {
                    last = Some((at, reach + 1));
                    (p, w) = (at + 1, reach + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|word| *word == "#")
}

#[cfg(test)]
mod tests;
