//! Cache-Control as it stands in a request or a response (RFC 9111 §5.2, RFC 5861), and what is said to CDNs alone
//! (RFC 9213).

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// What is said to CDNs alone (RFC 9213 §3.1).
pub(super) const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
/// Seconds that stand for all larger numbers (RFC 9111 §1.2.2).
const SECONDS_MAX: u64 = 1 << 31;

/// The directives that a shared cache acts upon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    pub(super) max_age_s: Option<u64>,
    pub(super) s_maxage_s: Option<u64>,
    pub(super) stale_while_revalidate_s: Option<u64>,
    pub(super) stale_if_error_s: Option<u64>,
    pub(super) is_no_store: bool,
    pub(super) is_no_cache: bool,
    pub(super) is_private: bool,
    pub(super) is_public: bool,
    pub(super) is_must_revalidate: bool,
    pub(super) is_proxy_revalidate: bool,
    pub(super) is_must_understand: bool,
    pub(super) is_only_if_cached: bool,
}

impl Directives {
    /// Those of a request, or of a response for everybody.
    pub(super) fn of_everybody(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for element in elements(line.as_bytes()) {
                let (name, value) = match element.iter().position(|&byte| byte == b'=') {
                    Some(at) => (&element[..at], Some(&element[at + 1..])),
                    None => (element, None),
                };
                directives.take(&name.to_ascii_lowercase(), || value.map_or(0, seconds));
            }
        }
        directives
    }

    /// Those of a response for this cache: what is said to CDNs goes before what is said to everybody, and is all
    /// that counts where it is valid (RFC 9213 §2.2). `true` tells that it is.
    pub(super) fn of_response(headers: &HeaderMap) -> (Self, bool) {
        match Self::of_cdns(headers) {
            Some(directives) => (directives, true),
            None => (Self::of_everybody(headers), false),
        }
    }

    /// `None` where the field is missing, empty or not well-formed: then it is as if it were not there.
    fn of_cdns(headers: &HeaderMap) -> Option<Self> {
        let lines: Vec<&[u8]> = headers.get_all(CDN_CACHE_CONTROL).iter().map(|line| line.as_bytes()).collect();
        let text = lines.join(&b", "[..]);
        let dictionary = Parser::new(&text).parse_dictionary::<Dictionary>().ok()?;
        if dictionary.is_empty() {
            return None;
        }
        let mut directives = Self::default();
        for (key, entry) in &dictionary {
            let ListEntry::Item(item) = entry else { continue };
            match &item.bare_item {
                BareItem::Integer(number) => {
                    let seconds = u64::try_from(i64::from(*number)).unwrap_or(0).min(SECONDS_MAX);
                    directives.take(key.as_str().as_bytes(), || seconds);
                }
                BareItem::Boolean(true) if !is_timed(key.as_str().as_bytes()) => {
                    directives.take(key.as_str().as_bytes(), || 0);
                }
                // A value of another type is none (RFC 9213 §2.1).
                _ => {}
            }
        }
        Some(directives)
    }

    /// Of several numbers the smallest counts (RFC 9111 §4.2.1).
    fn take(&mut self, name: &[u8], seconds: impl FnOnce() -> u64) {
        let least = |known: Option<u64>| {
            let told = seconds();
            Some(known.map_or(told, |known| known.min(told)))
        };
        match name {
            b"max-age" => self.max_age_s = least(self.max_age_s),
            b"s-maxage" => self.s_maxage_s = least(self.s_maxage_s),
            b"stale-while-revalidate" => self.stale_while_revalidate_s = least(self.stale_while_revalidate_s),
            b"stale-if-error" => self.stale_if_error_s = least(self.stale_if_error_s),
            b"no-store" => self.is_no_store = true,
            // With field names as without: "caches often treat the qualified form as if it were unqualified".
            b"no-cache" => self.is_no_cache = true,
            b"private" => self.is_private = true,
            b"public" => self.is_public = true,
            b"must-revalidate" => self.is_must_revalidate = true,
            b"proxy-revalidate" => self.is_proxy_revalidate = true,
            b"must-understand" => self.is_must_understand = true,
            b"only-if-cached" => self.is_only_if_cached = true,
            _ => {}
        }
    }

    /// Whether the origin must be asked once the time is over, whatever happens (RFC 9111 §5.2.2.2, .8 and .10).
    pub(super) fn forbids_stale(&self) -> bool {
        self.is_must_revalidate || self.is_proxy_revalidate || self.is_no_cache || self.s_maxage_s.is_some()
    }
}

fn is_timed(name: &[u8]) -> bool {
    [&b"max-age"[..], b"s-maxage", b"stale-while-revalidate", b"stale-if-error"].contains(&name)
}

/// The elements of a list; commas in quoted strings separate nothing.
fn elements(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = line.split(move |&byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            _ if was_escaped => {}
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' => return !is_quoted,
            _ => {}
        }
        false
    });
    parts.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Delta-seconds, as a token or quoted. What is no number means none: the answer is stale at once (RFC 9111 §4.2.1).
fn seconds(value: &[u8]) -> u64 {
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    value.iter().fold(0, add).min(SECONDS_MAX)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[track_caller]
    fn check_everybody(value: &str, expected: Directives) {
        assert_eq!(Directives::of_everybody(&headers(&[(CACHE_CONTROL, value)])), expected, "{value}");
    }

    #[test]
    fn directives_are_read_whatever_their_case_and_place() {
        let none = Directives::default;
        check_everybody("MAX-Age=5, PUBLIC", Directives { max_age_s: Some(5), is_public: true, ..none() });
        check_everybody("max-age=\"7\"", Directives { max_age_s: Some(7), ..none() });
        check_everybody(",, max-age=9 ,", Directives { max_age_s: Some(9), ..none() });
        check_everybody("a=\"max-age=1, no-store\", max-age=3", Directives { max_age_s: Some(3), ..none() });
        check_everybody("a=\"\\\", no-store\", private", Directives { is_private: true, ..none() });
        check_everybody("no-cache=\"x\"", Directives { is_no_cache: true, ..none() });
        check_everybody("", none());
    }

    #[test]
    fn a_number_that_is_none_is_nothing_and_the_smaller_of_two_counts() {
        for (value, expected) in [
            ("max-age=x", 0),
            ("max-age", 0),
            ("max-age=-5", 0),
            ("max-age=1.5", 0),
            ("max-age= 5", 0),
            ("max-age=99999999999999999999999", SECONDS_MAX),
            ("max-age=10, max-age=20", 10),
        ] {
            check_everybody(value, Directives { max_age_s: Some(expected), ..Directives::default() });
        }
    }

    #[test]
    fn what_is_said_to_cdns_goes_first_where_it_is_valid() {
        let of = |cdn: &str| {
            let lines = [(CACHE_CONTROL, "max-age=1, private"), (CDN_CACHE_CONTROL, cdn)];
            Directives::of_response(&headers(&lines))
        };
        let told = |max_age_s| (Directives { max_age_s, ..Directives::default() }, true);
        assert_eq!(of("max-age=60"), told(Some(60)));
        assert_eq!(of("max-age=-1"), told(Some(0)));
        assert_eq!(of("max-age=\"60\", x"), told(None));
        assert_eq!(of("max-age=60;a=b"), told(Some(60)));
        for ignored in ["", "max-age=", "Max-Age=60", "max-age=60,,"] {
            let (directives, is_for_cdns) = of(ignored);
            assert_eq!((directives.max_age_s, directives.is_private, is_for_cdns), (Some(1), true, false), "{ignored}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            let lines = HeaderMap::from_iter([(CACHE_CONTROL, value.clone()), (CDN_CACHE_CONTROL, value)]);
            let _ = (Directives::of_everybody(&lines), Directives::of_response(&lines));
        }
    }
}
