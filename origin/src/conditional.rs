//! Conditional requests (RFC 9110 §13): what the client already has, and whether it may act on it.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};

/// What identifies the selected representation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validators<'a> {
    /// The opaque part of the entity-tag, with its quotes; empty where there is none.
    pub(crate) etag: &'a [u8],
    /// The tag only tells that two representations mean the same, not that they are.
    pub(crate) is_weak: bool,
    /// When it was last changed; `None` where that is not recorded, and then dates never decide.
    pub(crate) modified: Option<SystemTime>,
}

/// The outcome of the preconditions of a GET or HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answer as if there were none.
    Proceed {
        /// False when `If-Range` names another representation: send the whole of this one.
        is_range_valid: bool,
    },
    /// 304: the client's copy is current.
    NotModified,
    /// 412: the representation is not the one the client means.
    Failed,
}

/// Evaluates the preconditions in the order that §13.2.2 prescribes.
pub(crate) fn evaluate(headers: &HeaderMap, validators: Validators<'_>) -> Verdict {
    if headers.contains_key(IF_MATCH) {
        if !matches_any(headers, &IF_MATCH, validators, Comparison::Strong) {
            return Verdict::Failed;
        }
    } else if let Some(is_newer) = is_newer_than(headers, &IF_UNMODIFIED_SINCE, validators)
        && is_newer
    {
        return Verdict::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if matches_any(headers, &IF_NONE_MATCH, validators, Comparison::Weak) {
            return Verdict::NotModified;
        }
    } else if let Some(is_newer) = is_newer_than(headers, &IF_MODIFIED_SINCE, validators)
        && !is_newer
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed { is_range_valid: is_range_valid(headers, validators) }
}

/// Whether `If-Range` permits a partial answer (§13.1.5).
///
/// A date never does: its last change would have to be known to be the only one within that second.
fn is_range_valid(headers: &HeaderMap, validators: Validators<'_>) -> bool {
    let mut lines = headers.get_all(IF_RANGE).iter();
    match (lines.next(), lines.next()) {
        (None, _) => true,
        (Some(tag), None) => !validators.is_weak && !validators.etag.is_empty() && tag.as_bytes() == validators.etag,
        (Some(_), Some(_)) => false,
    }
}

/// Whether the representation was changed after the date; `None` when the header does not decide anything.
fn is_newer_than(headers: &HeaderMap, name: &HeaderName, validators: Validators<'_>) -> Option<bool> {
    let modified = validators.modified?;
    let mut lines = headers.get_all(name).iter();
    let (Some(date), None) = (lines.next(), lines.next()) else { return None };
    let date = httpdate::parse_http_date(date.to_str().ok()?).ok()?;
    // A date counts whole seconds.
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Some(seconds(modified) > seconds(date))
}

/// How entity-tags are compared (§8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether any line of the header is `*` or lists the tag; a malformed list matches only up to its first fault.
fn matches_any(headers: &HeaderMap, name: &HeaderName, validators: Validators<'_>, comparison: Comparison) -> bool {
    headers.get_all(name).iter().any(|line| {
        let mut rest = line.as_bytes();
        if rest.trim_ascii() == b"*" {
            return true;
        }
        while let Some((is_weak, tag, tail)) = next_tag(rest) {
            if tag == validators.etag && !((is_weak || validators.is_weak) && comparison == Comparison::Strong) {
                return true;
            }
            rest = tail;
        }
        false
    })
}

/// The first entity-tag of a list: whether it is weak, its opaque part with quotes, and what follows.
fn next_tag(list: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let start = list.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
    let list = &list[start..];
    let (is_weak, list) = list.strip_prefix(b"W/").map_or((false, list), |rest| (true, rest));
    let inner = list.strip_prefix(b"\"")?;
    let end = inner.iter().position(|&byte| byte == b'"')? + 2;
    Some((is_weak, &list[..end], &list[end..]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const ETAG: &str = "\"abc\"";
    const PROCEED: Verdict = Verdict::Proceed { is_range_valid: true };
    const WHOLE: Verdict = Verdict::Proceed { is_range_valid: false };

    /// Sunday, 6 November 1994, 08:49:37 GMT and half a second.
    fn modified() -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500))
    }

    #[track_caller]
    fn check_verdict(lines: &[(HeaderName, &str)], modified: Option<SystemTime>, expected: Verdict) {
        let headers: HeaderMap = lines
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            });
        assert_eq!(
            evaluate(&headers, Validators { etag: ETAG.as_bytes(), is_weak: false, modified }),
            expected,
            "{lines:?}"
        );
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (value, expected) in [
            ("\"abc\"", Verdict::NotModified),
            ("W/\"abc\"", Verdict::NotModified),
            ("*", Verdict::NotModified),
            ("\"x\", \"a,c\" ,W/\"abc\"", Verdict::NotModified),
            ("\"x\"", PROCEED),
            ("\"x,\\\"abc\\\"\"", PROCEED),
            ("abc", PROCEED),
            ("w/\"abc\"", PROCEED),
            ("\"abc", PROCEED),
            ("", PROCEED),
        ] {
            check_verdict(&[(IF_NONE_MATCH, value)], None, expected);
        }
        check_verdict(&[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, ETAG)], None, Verdict::NotModified);
    }

    #[test]
    fn if_match_compares_strongly() {
        for (value, expected) in [
            ("\"abc\"", PROCEED),
            ("*", PROCEED),
            ("\"x\",\"abc\"", PROCEED),
            ("W/\"abc\"", Verdict::Failed),
            ("\"x\"", Verdict::Failed),
            ("", Verdict::Failed),
        ] {
            check_verdict(&[(IF_MATCH, value)], None, expected);
        }
    }

    #[test]
    fn dates_decide_only_where_a_change_is_recorded() {
        let (same, later, earlier) =
            ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT", "Sun, 06 Nov 1994 08:49:36 GMT");
        for (name, value, expected) in [
            (IF_MODIFIED_SINCE, same, Verdict::NotModified),
            (IF_MODIFIED_SINCE, later, Verdict::NotModified),
            (IF_MODIFIED_SINCE, earlier, PROCEED),
            (IF_MODIFIED_SINCE, "Sunday, 06-Nov-94 08:49:37 GMT", Verdict::NotModified),
            (IF_MODIFIED_SINCE, "yesterday", PROCEED),
            (IF_UNMODIFIED_SINCE, same, PROCEED),
            (IF_UNMODIFIED_SINCE, later, PROCEED),
            (IF_UNMODIFIED_SINCE, earlier, Verdict::Failed),
            (IF_UNMODIFIED_SINCE, "never", PROCEED),
        ] {
            check_verdict(&[(name.clone(), value)], modified(), expected);
            check_verdict(&[(name, value)], None, PROCEED);
        }
        check_verdict(&[(IF_MODIFIED_SINCE, later), (IF_MODIFIED_SINCE, later)], modified(), PROCEED);
    }

    #[test]
    fn tags_are_evaluated_before_dates_and_match_before_none_match() {
        let (later, earlier) = ("Sun, 06 Nov 1994 08:49:38 GMT", "Sun, 06 Nov 1994 08:49:36 GMT");
        check_verdict(&[(IF_MATCH, ETAG), (IF_UNMODIFIED_SINCE, earlier)], modified(), PROCEED);
        check_verdict(&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, later)], modified(), PROCEED);
        check_verdict(&[(IF_MATCH, "\"x\""), (IF_NONE_MATCH, ETAG)], None, Verdict::Failed);
        check_verdict(&[(IF_MATCH, ETAG), (IF_NONE_MATCH, ETAG)], None, Verdict::NotModified);
        check_verdict(&[(IF_UNMODIFIED_SINCE, earlier), (IF_NONE_MATCH, ETAG)], modified(), Verdict::Failed);
        check_verdict(&[(IF_NONE_MATCH, ETAG), (IF_RANGE, "\"x\"")], None, Verdict::NotModified);
    }

    #[test]
    fn if_range_needs_the_same_strong_tag() {
        for (value, expected) in [
            ("\"abc\"", PROCEED),
            ("W/\"abc\"", WHOLE),
            ("\"x\"", WHOLE),
            ("abc", WHOLE),
            ("*", WHOLE),
            ("Sun, 06 Nov 1994 08:49:37 GMT", WHOLE),
        ] {
            check_verdict(&[(IF_RANGE, value)], modified(), expected);
        }
        check_verdict(&[(IF_RANGE, ETAG), (IF_RANGE, ETAG)], None, WHOLE);
    }

    #[test]
    fn a_weak_tag_answers_no_question_that_needs_a_strong_one() {
        for (name, value, expected) in [
            (IF_NONE_MATCH, "\"abc\"", Verdict::NotModified),
            (IF_NONE_MATCH, "W/\"abc\"", Verdict::NotModified),
            (IF_MATCH, "\"abc\"", Verdict::Failed),
            (IF_MATCH, "*", PROCEED),
            (IF_RANGE, "\"abc\"", WHOLE),
        ] {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            let validators = Validators { etag: ETAG.as_bytes(), is_weak: true, modified: None };
            assert_eq!(evaluate(&headers, validators), expected, "{headers:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            for name in [IF_MATCH, IF_NONE_MATCH, IF_RANGE, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
                let headers = HeaderMap::from_iter([(name, value.clone())]);
                let _ = evaluate(&headers, Validators { etag: ETAG.as_bytes(), is_weak: false, modified: modified() });
            }
        }
    }
}
