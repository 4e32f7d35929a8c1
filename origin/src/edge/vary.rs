//! Which of several answers at one address a request gets (RFC 9111 §4.1): the fields that `Vary` names are part of
//! the key.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderName, VARY};

/// Fields that may decide; answers that name more are not kept.
const FIELDS_MAX: usize = 16;

/// The names of the fields that decide, in order.
pub(super) type Spec = Arc<[HeaderName]>;

/// What an answer varies for; `None` where no other request can be known to get the same.
pub(super) fn spec(headers: &HeaderMap) -> Option<Spec> {
    let mut names = Vec::new();
    for line in headers.get_all(VARY) {
        for name in line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if !name.is_empty() {
                names.push(HeaderName::from_bytes(name).ok().filter(|name| name != "*")?);
            }
        }
    }
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    (names.len() <= FIELDS_MAX).then(|| names.into())
}

/// The values of those fields in a request, as text without a line that could be taken for another's.
pub(super) fn variant(spec: &[HeaderName], asked: &HeaderMap) -> String {
    let mut text = String::new();
    for name in spec {
        // Written so that other octets are another text.
        let lines = asked.get_all(name).iter().map(|line| line.as_bytes().trim_ascii().escape_ascii().to_string());
        let is_list = [ACCEPT_ENCODING, ACCEPT_LANGUAGE].contains(name);
        let value =
            if is_list { members(lines, name == ACCEPT_ENCODING) } else { lines.collect::<Vec<_>>().join(", ") };
        // A missing field is not the same as an empty one.
        let is_there = if asked.contains_key(name) { ":" } else { "" };
        text.push_str(&format!("\n{name}{is_there}{value}"));
    }
    text
}

/// A list whose space means nothing. Of codings neither case nor order does (RFC 9110 §12.5.3).
fn members(lines: impl Iterator<Item = String>, are_codings: bool) -> String {
    let mut members: Vec<String> = Vec::new();
    for line in lines {
        members.extend(line.split(',').map(|member| member.trim().to_owned()).filter(|member| !member.is_empty()));
    }
    if are_codings {
        members.iter_mut().for_each(|member| {
            member.make_ascii_lowercase();
            member.retain(|letter| !letter.is_ascii_whitespace());
        });
        members.sort_unstable();
        members.dedup();
    }
    members.join(",")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_fields_that_decide_are_named_once_and_in_order() {
        let names = |value: &str| {
            let spec = spec(&headers(&[(VARY, value), (VARY, "accept")]))?;
            Some(spec.iter().map(HeaderName::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names("Origin,, ACCEPT , origin").as_deref(), Some("accept origin"));
        assert_eq!(names("").as_deref(), Some("accept"));
        assert_eq!(names("*"), None);
        assert_eq!(names("a b"), None);
        let many = (0..17).map(|at| format!("x{at}")).collect::<Vec<_>>().join(",");
        assert_eq!(names(&many), None);
    }

    #[test]
    fn codings_are_the_same_in_any_order_and_other_fields_are_not() {
        let of =
            |name: HeaderName, value: &str| variant(std::slice::from_ref(&name), &headers(&[(name.clone(), value)]));
        assert_eq!(of(ACCEPT_ENCODING, "gzip, br"), of(ACCEPT_ENCODING, "BR,gzip"));
        assert_ne!(of(ACCEPT_ENCODING, "gzip"), of(ACCEPT_ENCODING, "gzip;q=0"));
        let language = ACCEPT_LANGUAGE;
        assert_ne!(of(language.clone(), "de, en"), of(language.clone(), "en, de"));
        assert_eq!(of(language.clone(), "de, en"), of(language.clone(), "de,en"));
        assert_ne!(of(language.clone(), ""), variant(&[language], &HeaderMap::new()));
        // What is not known to be a list is taken as it is, octet by octet.
        let cookie = http::header::COOKIE;
        assert_ne!(of(cookie.clone(), "a=\"x, y\""), of(cookie.clone(), "a=\"x,y\""));
        let of_octet = |octet: u8| {
            let value = HeaderValue::from_bytes(&[octet]).unwrap();
            variant(std::slice::from_ref(&cookie), &HeaderMap::from_iter([(cookie.clone(), value)]))
        };
        assert_ne!(of_octet(0xFE), of_octet(0xFF));
    }
}
