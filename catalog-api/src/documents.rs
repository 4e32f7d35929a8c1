//! What documents of requests and answers have in common: bodies, versions, cursors, pages.

use aws_lc_rs::hmac;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::problem::Problem;
use crate::{State, body};

/// Largest document of a request about accounts.
const BYTES_MAX: usize = 16 << 10;
/// Octets of a cursor's seal.
const SEAL_BYTES: usize = 8;

/// The JSON document in a body.
pub(crate) async fn document<T: DeserializeOwned>(
    state: &State,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    document_of(state, headers, body, BYTES_MAX).await
}

/// The same in a body of at most `bytes_max` octets.
pub(crate) async fn document_of<T: DeserializeOwned>(
    state: &State,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<T, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // A page of another origin cannot send these types without asking first.
    let is_json = ["application/json", "application/merge-patch+json"].iter().any(|j| essence.eq_ignore_ascii_case(j));
    if !is_json {
        return Err(Problem::not_json());
    }
    let content = body::read(state, headers, body, bytes_max).await?;
    // An object and nothing else: serde would take a list for the fields in their order.
    let object: serde_json::Result<serde_json::Map<_, _>> = serde_json::from_slice(&content);
    let document = object.and_then(|object| serde_json::from_value(serde_json::Value::Object(object)));
    document.map_err(|error| Problem::wrong_document(&error, plain(&error)))
}

/// What is wrong with a document, without what stands in it, which may be a password.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let is_about_names = text.starts_with("unknown field") || text.starts_with("missing field");
    if is_about_names { text } else { "the document is not of the form that is described".to_owned() }
}

/// For a field that may be absent, null or a value: absent stays `None`.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// The field that names a version (RFC 9110 §8.8.3).
pub(crate) fn tag(version: u64) -> Option<(header::HeaderName, HeaderValue)> {
    HeaderValue::try_from(format!("\"{version}\"")).ok().map(|value| (header::ETAG, value))
}

/// The version that a change is meant for (RFC 9110 §13.1.1).
pub(crate) fn wanted_version(headers: &HeaderMap) -> Result<u64, Problem> {
    let value = headers.get(header::IF_MATCH).ok_or_else(Problem::precondition_required)?;
    let text = value.to_str().unwrap_or_default().trim();
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    // What is no tag of ours matches nothing.
    number.ok_or_else(|| Problem::changed(None))
}

/// A page of a list, newest first.
#[derive(Serialize)]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    pub(crate) page: PageInfo,
}

#[derive(Serialize)]
pub(crate) struct PageInfo {
    /// What to pass as `after` for the next page.
    pub(crate) next: Option<String>,
    pub(crate) has_more: bool,
}

/// Where a page ends, sealed so that nobody makes one up or takes it to another list.
pub(crate) fn cursor(key: &[u8], list: &str, place: &str) -> String {
    let seal = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), format!("{list}\n{place}").as_bytes());
    URL_SAFE_NO_PAD.encode([&seal.as_ref()[..SEAL_BYTES], place.as_bytes()].concat())
}

/// The place in a cursor of this list.
pub(crate) fn place(key: &[u8], list: &str, text: &str) -> Result<String, Problem> {
    let wrong = || Problem::invalid_cursor();
    let octets = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let place = octets.get(SEAL_BYTES..).and_then(|place| std::str::from_utf8(place).ok()).ok_or_else(wrong)?;
    if cursor(key, list, place) == text { Ok(place.to_owned()) } else { Err(wrong()) }
}

/// The field that links to the next page.
pub(crate) fn next_link(path: &str, limit: u32, next: Option<&str>) -> Option<(header::HeaderName, HeaderValue)> {
    let link = format!("<{path}?limit={limit}&after={}>; rel=\"next\"", next?);
    HeaderValue::try_from(link).ok().map(|link| (header::LINK, link))
}

/// The field that links to the next page of what `uri` asks for.
pub(crate) fn link_to_next(uri: &Uri, next: Option<&str>) -> Option<(header::HeaderName, HeaderValue)> {
    let asked = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<&str> = asked.filter(|pair| !pair.starts_with("after=")).collect();
    let after = format!("after={}", next?);
    pairs.push(&after);
    let link = format!("<{}?{}>; rel=\"next\"", uri.path(), pairs.join("&"));
    HeaderValue::try_from(link).ok().map(|link| (header::LINK, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_list_only_and_cannot_be_made_up() {
        let next = cursor(b"key", "users", "usr_1");
        assert_eq!(place(b"key", "users", &next).unwrap(), "usr_1");
        assert!(place(b"key", "audit", &next).is_err() && place(b"other", "users", &next).is_err());
        let forged = URL_SAFE_NO_PAD.encode(b"12345678usr_1");
        for wrong in [&*forged, "", "x", "####", &next[..next.len() - 1]] {
            assert!(place(b"key", "users", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_link_to_the_next_page_asks_for_the_same() {
        let link = |uri: &str| link_to_next(&uri.parse().unwrap(), Some("x")).unwrap().1;
        assert_eq!(link("/a?limit=2&after=w&tag=%C3%A9"), "</a?limit=2&tag=%C3%A9&after=x>; rel=\"next\"");
        assert_eq!(link("/a"), "</a?after=x>; rel=\"next\"");
        assert_eq!(link_to_next(&"/a".parse().unwrap(), None), None);
    }

    #[test]
    fn a_version_is_asked_for_and_one_that_is_none_matches_nothing() {
        let wanted = |value: Option<&'static str>| {
            let field = value.map(|value| (header::IF_MATCH, HeaderValue::from_static(value)));
            wanted_version(&field.into_iter().collect::<HeaderMap>()).map_err(|problem| problem.code())
        };
        assert_eq!(wanted(Some("\"3\"")), Ok(3));
        assert_eq!(wanted(None), Err("precondition_required"));
        for other in ["3", "W/\"3\"", "\"x\"", "*"] {
            assert_eq!(wanted(Some(other)), Err("changed"), "{other}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_document_is_told_without_what_stands_in_it() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wanted {
            #[expect(dead_code, reason = "only its type matters")]
            password: u8,
        }
        let told = |text: &str| plain(&serde_json::from_str::<Wanted>(text).unwrap_err());
        assert!(!told(r#"{"password":"hunter2"}"#).contains("hunter2"));
        assert!(told(r#"{"passwort":1}"#).contains("unknown field"));
    }
}
