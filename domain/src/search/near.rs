//! Words that are almost the same: shared trigrams find them, the number of slips tells how near they are.

/// Shortest word that may have been mistyped, in characters: of shorter ones too many are near.
const NEAR_CHARS_MIN: usize = 4;
/// Up to this length all words that are one slip away are looked for.
const SHORT_CHARS_MAX: usize = 5;
/// Up to this length neighbours that changed places are.
const SWAPPED_CHARS_MAX: usize = 32;
/// From this length on two slips are forgiven, in characters.
const TWO_SLIPS_CHARS_MIN: usize = 8;

/// The groups of three characters of a word, with a blank at either end; each once, in order. Empty for words of which
/// none is near.
pub fn trigrams(word: &str) -> Vec<String> {
    let chars: Vec<char> = std::iter::once(' ').chain(word.chars()).chain([' ']).collect();
    if chars.len() < NEAR_CHARS_MIN + 2 {
        return Vec::new();
    }
    let mut trigrams: Vec<String> = chars.windows(3).map(|three| three.iter().collect()).collect();
    trigrams.sort();
    trigrams.dedup();
    trigrams
}

/// What a short word may have been meant as by one slip, in letters from a to z and digits; only neighbours that changed
/// places of a longer one. Of short words too many others share as few trigrams as a slip leaves.
pub fn one_slip_from(typed: &str) -> Vec<String> {
    let chars: Vec<char> = typed.chars().collect();
    if chars.len() < NEAR_CHARS_MIN || chars.len() > SWAPPED_CHARS_MAX {
        return Vec::new();
    }
    let word = |parts: &[&[char]]| parts.iter().flat_map(|part| part.iter()).collect::<String>();
    let mut meant: Vec<String> =
        (1..chars.len()).map(|at| word(&[&chars[..at - 1], &[chars[at], chars[at - 1]], &chars[at + 1..]])).collect();
    if chars.len() <= SHORT_CHARS_MAX {
        meant.extend((0..chars.len()).map(|at| word(&[&chars[..at], &chars[at + 1..]])));
        for letter in ('a'..='z').chain('0'..='9') {
            meant.extend((0..chars.len()).map(|at| word(&[&chars[..at], &[letter], &chars[at + 1..]])));
            meant.extend((0..=chars.len()).map(|at| word(&[&chars[..at], &[letter], &chars[at..]])));
        }
    }
    meant.retain(|word| is_near(typed, word));
    meant.sort();
    meant.dedup();
    meant
}

/// Whether somebody may have meant `word` by `typed`.
pub fn is_near(typed: &str, word: &str) -> bool {
    let slips_max = if forgives_two(typed) { 2 } else { 1 };
    typed.chars().count() >= NEAR_CHARS_MIN
        && distance(typed, word).is_some_and(|slips| (1..=slips_max).contains(&slips))
}

/// Whether two slips are forgiven in a word, as it is long enough, or one.
pub fn forgives_two(typed: &str) -> bool {
    typed.chars().count() >= TWO_SLIPS_CHARS_MIN
}

/// How many slips lie between two words: characters that are missing, too many, others, or changed places with their
/// neighbour. `None` if their lengths differ too much for it to matter.
pub fn distance(one: &str, other: &str) -> Option<usize> {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > 2 {
        return None;
    }
    // The rows of the table for the last two characters of `one`.
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = last[j] + usize::from(a != b);
            let mut best = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied()
}
