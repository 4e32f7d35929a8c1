//! What documents of requests and answers have in common: bodies and versions.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::problem::Problem;
use crate::{State, body, characters};

/// Largest document of a request about accounts.
const BYTES_MAX: usize = 16 << 10;

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
    expect_json(headers)?;
    let content = body::read(state, headers, body, bytes_max).await?;
    // An object and nothing else: serde would take a list for the fields in their order.
    let object: serde_json::Result<serde_json::Map<_, _>> = serde_json::from_slice(&content);
    if let Ok(object) = &object {
        characters::check_document(object)?;
    }
    let document = object.and_then(|object| serde_json::from_value(serde_json::Value::Object(object)));
    document.map_err(|error| Problem::wrong_document(&error, plain(&error)))
}

/// Refuses a body that does not say that it is JSON.
pub(crate) fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // A page of another origin cannot send these types without asking first.
    let is_json = ["application/json", "application/merge-patch+json"].iter().any(|j| essence.eq_ignore_ascii_case(j));
    if is_json { Ok(()) } else { Err(Problem::not_json()) }
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

#[cfg(test)]
mod tests {
    use super::*;

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
