//! Structured fields (RFC 9651). A field that is not of the expected type counts as absent.

use axum::http::{HeaderMap, HeaderName};
use sfv::{Dictionary, Item, Parser};

/// The non-negative integer in a field.
pub(crate) fn integer(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let item: Item = Parser::new(&combined(headers, name)?).parse().ok()?;
    u64::try_from(i64::from(item.bare_item.as_integer()?)).ok()
}

/// The truth value in a field.
pub(crate) fn boolean(headers: &HeaderMap, name: &HeaderName) -> Option<bool> {
    let item: Item = Parser::new(&combined(headers, name)?).parse().ok()?;
    item.bare_item.as_boolean()
}

/// The dictionary in a field; empty if that is what stands there.
pub(crate) fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<Dictionary> {
    Parser::new(&combined(headers, name)?).parse().ok()
}

/// All lines of a field as one (RFC 9651 §4.2); `None` when there is none.
fn combined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
    (!lines.is_empty()).then(|| lines.join(&b", "[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: HeaderName = HeaderName::from_static("upload-offset");

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (NAME, line.parse().expect("a value"))).collect()
    }

    #[test]
    fn a_value_of_another_type_counts_as_absent() {
        let read = |line: &str| integer(&headers(&[line]), &NAME);
        assert_eq!((read("0"), read("999999999999999"), read("5;a=b")), (Some(0), Some(999_999_999_999_999), Some(5)));
        for other in ["-1", "1.0", "?1", "\"1\"", "1000000000000000", "1 2", "", "(1)", "+1", "one"] {
            assert_eq!(read(other), None, "{other:?}");
        }
        let read = |line: &str| boolean(&headers(&[line]), &NAME);
        assert_eq!((read("?1"), read("?0"), read("?1;q=1")), (Some(true), Some(false), Some(true)));
        for other in ["1", "0", "true", "?2", "\"?1\"", ""] {
            assert_eq!(read(other), None, "{other:?}");
        }
    }

    #[test]
    fn several_lines_are_one_field() {
        assert_eq!(integer(&headers(&["1", "1"]), &NAME), None, "a list is no item");
        assert_eq!(dictionary(&headers(&["a=1", "b=2"]), &NAME).map(|read| read.len()), Some(2));
        assert_eq!(dictionary(&HeaderMap::new(), &NAME), None);
    }
}
