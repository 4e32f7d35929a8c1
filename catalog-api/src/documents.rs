//! What documents of requests and answers have in common: bodies and versions.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::problem::Problem;
use crate::{State, body, characters};

/// How often a change that is meant for whatever is there is tried, where others change it at the same time: each time
/// it is lost, one of them was done.
const TRIES_MAX: usize = 64;
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
    let object = object.map_err(|error| Problem::wrong_document(&error, plain(&error, ".")))?;
    characters::check_document(&object)?;
    let document = serde_path_to_error::deserialize(serde_json::Value::Object(object));
    document.map_err(|error| Problem::wrong_document(error.inner(), plain(error.inner(), &error.path().to_string())))
}

/// Refuses a body that does not say that it is JSON.
pub(crate) fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // A page of another origin cannot send these types without asking first.
    let is_json = ["application/json", "application/merge-patch+json"].iter().any(|j| essence.eq_ignore_ascii_case(j));
    if is_json { Ok(()) } else { Err(Problem::not_json()) }
}

/// What is wrong with a document, and where, without what stands there, which may be a password.
fn plain(error: &serde_json::Error, path: &str) -> String {
    let text = error.to_string();
    if text.starts_with("unknown field") || text.starts_with("missing field") {
        return text;
    }
    // All of it.
    let place = if path == "." { "the document" } else { path };
    format!("{place} is not of the form that is described")
}

/// For a field that may be absent: what is there is of its type, and null only where the type takes it. Absent stays
/// `None`.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// The field that names a version (RFC 9110 §8.8.3).
pub(crate) fn tag(version: u64) -> Option<(header::HeaderName, HeaderValue)> {
    HeaderValue::try_from(format!("\"{version}\"")).ok().map(|value| (header::ETAG, value))
}

/// What a change is meant for (RFC 9110 §13.1.1).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Whatever is there.
    Any,
    /// What has one of these tags, each with its quotes. Weak ones are left out: they never match.
    Tags(Vec<Vec<u8>>),
}

impl IfMatch {
    /// What a request says, which has to say it.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        if !headers.contains_key(header::IF_MATCH) {
            return Err(Problem::precondition_required());
        }
        let lines: Vec<&[u8]> = headers.get_all(header::IF_MATCH).iter().map(HeaderValue::as_bytes).collect();
        // Several lines are one list (RFC 9110 §5.3).
        let list = lines.join(&b", "[..]);
        if list.trim_ascii() == b"*" {
            return Ok(Self::Any);
        }
        let mut tags = Vec::new();
        let (mut rest, mut count) = (skipped(&list), 0);
        while !rest.is_empty() {
            let (is_weak, tag, tail) = next_tag(rest).ok_or_else(Problem::invalid_if_match)?;
            if !is_weak {
                tags.push(tag.to_vec());
            }
            count += 1;
            rest = skipped(tail);
            // Between two of them there is a comma.
            if !rest.is_empty() && !tail[..tail.len() - rest.len()].contains(&b',') {
                return Err(Problem::invalid_if_match());
            }
        }
        if count == 0 { Err(Problem::invalid_if_match()) } else { Ok(Self::Tags(tags)) }
    }

    /// For a change of what is there, which is looked up anew in each try.
    pub(crate) fn tries(&self) -> Tries<'_> {
        Tries { condition: self, left: TRIES_MAX }
    }

    /// Whether it is meant for what has this tag, with its quotes.
    pub(crate) fn names(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|one| one == tag.as_bytes()),
        }
    }

    /// The present version, if it is meant for that.
    pub(crate) fn version(&self, present: u64) -> Result<u64, Problem> {
        if self.names(&format!("\"{present}\"")) { Ok(present) } else { Err(Problem::changed(Some(present))) }
    }
}

/// Tries of a change: one, or until nobody else is faster where it is meant for whatever is there.
pub(crate) struct Tries<'a> {
    condition: &'a IfMatch,
    left: usize,
}

impl Tries<'_> {
    /// What is told of the change; `None` if it is to be tried again. Says so a bounded number of times.
    pub(crate) fn settled<T>(&mut self, tried: Result<T, Problem>) -> Option<Result<T, Problem>> {
        self.left = self.left.saturating_sub(1);
        match tried {
            Err(problem) if *self.condition == IfMatch::Any && problem.code() == "changed" => {
                (self.left == 0).then(|| Err(Problem::busy()))
            }
            tried => Some(tried),
        }
    }
}

/// A list behind the spaces and commas that it begins with.
fn skipped(list: &[u8]) -> &[u8] {
    let start = list.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','));
    &list[start.unwrap_or(list.len())..]
}

/// The entity-tag that a list begins with (RFC 9110 §8.8.3): whether it is weak, its opaque part with the quotes, and
/// what follows.
fn next_tag(list: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let (is_weak, list) = list.strip_prefix(b"W/").map_or((false, list), |rest| (true, rest));
    let inner = list.strip_prefix(b"\"")?;
    let end = inner.iter().position(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))?;
    if inner[end] != b'"' {
        return None;
    }
    Some((is_weak, &list[..end + 2], &list[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_what_it_is_meant_for() {
        let wanted = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (header::IF_MATCH, HeaderValue::from_static(line)));
            let mut headers = HeaderMap::new();
            lines.for_each(|(name, value)| {
                headers.append(name, value);
            });
            IfMatch::of(&headers).and_then(|wanted| wanted.version(3)).map_err(|problem| problem.code())
        };
        assert_eq!(wanted(&[]), Err("precondition_required"));
        for right in ["\"3\"", " * ", "\"3\", \"99\"", "\"99\",\"3\"", ",, W/\"3\" ,\"x,y\"\t, \"3\",", "\"\", \"3\""] {
            assert_eq!(wanted(&[right]), Ok(3), "{right}");
        }
        assert_eq!(wanted(&["\"2\"", "\"3\""]), Ok(3));
        for other in ["\"2\"", "W/\"3\"", "\"x\"", "\"03\"", "\"2\", \"4\"", "\"18446744073709551616\""] {
            assert_eq!(wanted(&[other]), Err("changed"), "{other}");
        }
        for wrong in
            ["3", "", ",", "\"3", "3\"", "w/\"3\"", "\"3\" \"4\"", "*, \"3\"", "\"3\", x", "\"a b\"", "W/ \"3\""]
        {
            assert_eq!(wanted(&[wrong]), Err("invalid_header"), "{wrong}");
        }
        assert_eq!(wanted(&["*", "\"3\""]), Err("invalid_header"));
    }

    #[test]
    fn a_change_of_whatever_is_there_is_tried_again_while_others_are_faster_and_not_for_ever() {
        let lost = || Err::<(), _>(Problem::changed(Some(4)));
        let named = IfMatch::Tags(vec![b"\"3\"".to_vec()]);
        assert_eq!(named.tries().settled(lost()).unwrap().unwrap_err().code(), "changed");
        let mut tries = IfMatch::Any.tries();
        for _ in 1..TRIES_MAX {
            assert!(tries.settled(lost()).is_none());
        }
        assert_eq!(tries.settled(lost()).unwrap().unwrap_err().code(), "busy");
        assert!(IfMatch::Any.tries().settled(Ok(())).unwrap().is_ok());
        let other = IfMatch::Any.tries().settled::<()>(Err(Problem::precondition_required()));
        assert_eq!(other.unwrap().unwrap_err().code(), "precondition_required");
    }

    #[test]
    fn what_is_wrong_with_a_document_is_told_without_what_stands_in_it() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wanted {
            #[expect(dead_code, reason = "only its type matters")]
            password: u8,
        }
        let told = |text: &str| {
            let wrong = serde_path_to_error::deserialize::<_, Wanted>(&mut serde_json::Deserializer::from_str(text));
            let error = wrong.unwrap_err();
            plain(error.inner(), &error.path().to_string())
        };
        assert_eq!(told(r#"{"password":"hunter2"}"#), "password is not of the form that is described");
        assert_eq!(told("3"), "the document is not of the form that is described");
        assert!(told(r#"{"passwort":1}"#).contains("unknown field"));
    }
}
