//! `Range` requests (RFC 9110 §14): which octets of a representation to send.

use std::ops::Range;

/// Range specifiers read from one header; more are an attack or a mistake (RFC 9110 §17.15).
const SPECS_MAX: usize = 16;
/// Parts may overlap this many times before the whole is sent instead.
const OVERLAPS_MAX: usize = 2;
/// Parts may come out of order as long as there are no more than this.
const UNORDERED_MAX: usize = 8;
/// Gaps this small are filled: a part of its own would cost more (§14.2).
const GAP_MAX: u64 = 80;
/// Octets that a part of a multipart body costs at most on top of its data, with the longest boundary.
const PART_OVERHEAD_MAX: u64 = 224;

/// What a `Range` header selects from a representation of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The header is absent, not understood or not worth splitting for: send everything, status 200.
    Whole,
    /// One part: never empty, within the representation.
    One(Range<u64>),
    /// At least two parts in the order of the request, none of which touches another.
    Many(Vec<Range<u64>>),
    /// Nothing that was asked for exists: status 416.
    Unsatisfiable,
}

/// One range-spec (§14.1.1); numerals too large for 64 bits are saturated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// `a-b` or, with the largest number as `last`, `a-`.
    From { first: u64, last: u64 },
    /// `-n`.
    Suffix(u64),
}

/// Selects from `len` octets what the value of a `Range` header asks for.
///
/// An unknown unit or a syntax error means [`Selection::Whole`], as §14.2 allows.
pub(crate) fn select(header: &[u8], len: u64) -> Selection {
    let Some(specs) = parse(header) else { return Selection::Whole };
    if len == 0 && specs.iter().any(|spec| matches!(spec, Spec::Suffix(1..))) {
        return Selection::Whole;
    }
    let ranges: Vec<_> = specs.iter().filter_map(|spec| satisfy(*spec, len)).collect();
    if is_abusive(&ranges) {
        return Selection::Whole;
    }
    let mut parts = coalesce(ranges);
    match parts.len() {
        0 => Selection::Unsatisfiable,
        1 => Selection::One(parts.remove(0)),
        count => {
            let data: u64 = parts.iter().map(|part| part.end - part.start).sum();
            // The last boundary costs less than a part.
            let overhead = PART_OVERHEAD_MAX.saturating_mul(count as u64 + 1);
            if data.saturating_add(overhead) >= len { Selection::Whole } else { Selection::Many(parts) }
        }
    }
}

/// The specifiers of a `bytes` range; `None` for other units, syntax errors and more than [`SPECS_MAX`].
fn parse(header: &[u8]) -> Option<Vec<Spec>> {
    let equals = header.iter().position(|&byte| byte == b'=')?;
    let (unit, set) = (&header[..equals], &header[equals + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for (count, element) in set.split(|&byte| byte == b',').enumerate() {
        if count == SPECS_MAX {
            return None;
        }
        // Empty list elements are to be ignored (§5.6.1.2).
        let element = trim(element);
        if !element.is_empty() {
            specs.push(spec(element)?);
        }
    }
    if specs.is_empty() { None } else { Some(specs) }
}

fn spec(element: &[u8]) -> Option<Spec> {
    let dash = element.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&element[..dash], &element[dash + 1..]);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Spec::Suffix(numeral(last)?)),
        (false, true) => Some(Spec::From { first: numeral(first)?, last: u64::MAX }),
        (false, false) => {
            let (first, last) = (numeral(first)?, numeral(last)?);
            (first <= last).then_some(Spec::From { first, last })
        }
    }
}

/// A decimal numeral of any length, saturated: recipients "MUST anticipate potentially large decimal numerals".
fn numeral(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(value.saturating_mul(10).saturating_add(digit))
    })
}

fn trim(element: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = element.iter().position(|byte| !is_space(byte)).unwrap_or(element.len());
    let end = element.iter().rposition(|byte| !is_space(byte)).map_or(start, |at| at + 1);
    &element[start..end]
}

/// The octets a specifier stands for, or `None` when it is unsatisfiable.
fn satisfy(spec: Spec, len: u64) -> Option<Range<u64>> {
    let range = match spec {
        Spec::From { first, last } => first..last.saturating_add(1).min(len),
        Spec::Suffix(count) => len.saturating_sub(count)..len,
    };
    (!range.is_empty()).then_some(range)
}

/// More than two overlaps, or many parts out of order (§14.2).
fn is_abusive(ranges: &[Range<u64>]) -> bool {
    let overlaps = |at: usize| ranges[..at].iter().filter(|one| meet(one, &ranges[at], 0)).count();
    let is_ascending = ranges.windows(2).all(|pair| pair[0].start <= pair[1].start);
    (0..ranges.len()).map(overlaps).sum::<usize>() > OVERLAPS_MAX || !is_ascending && ranges.len() > UNORDERED_MAX
}

/// Whether two ranges overlap or lie at most `gap` octets apart.
fn meet(one: &Range<u64>, other: &Range<u64>, gap: u64) -> bool {
    one.start < other.end.saturating_add(gap) && other.start < one.end.saturating_add(gap)
}

/// Joins ranges that overlap or nearly touch; each stands where the first of its members stood.
fn coalesce(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut parts: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for mut range in ranges {
        let mut place = parts.len();
        while let Some(at) = parts.iter().position(|part| meet(part, &range, GAP_MAX + 1)) {
            let part = parts.remove(at);
            range = range.start.min(part.start)..range.end.max(part.end);
            place = place.min(at);
        }
        parts.insert(place.min(parts.len()), range);
    }
    parts
}

#[cfg(test)]
mod tests;
