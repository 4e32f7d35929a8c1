//! What documents of requests and answers have in common: bodies and versions.

use aws_lc_rs::digest;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use catalog_store::Expected;
use domain::{members, misfit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::accounts::secret;
use crate::problem::Problem;
use crate::{State, body, characters};

/// Octets of the digest in a tag: enough to tell one state of a document from those before it.
const DIGEST_BYTES: usize = 8;
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
    // Serde would take a list for the fields in their order, and the last of several members of one name.
    let object = members::object(&content).map_err(|misfit| Problem::wrong_document(&misfit))?;
    characters::check_document(&object)?;
    misfit::read(object).map_err(|misfit| Problem::wrong_document(&misfit))
}

/// Refuses a body that does not say that it is JSON.
fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // A page of another origin cannot send these types without asking first.
    let is_json = ["application/json", "application/merge-patch+json"].iter().any(|j| essence.eq_ignore_ascii_case(j));
    if is_json { Ok(()) } else { Err(Problem::not_json()) }
}

/// For a field that may be absent: what is there is of its type, and null only where the type takes it. Absent stays
/// `None`.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// The field that names a version (RFC 9110 §8.8.3).
pub(crate) fn tag(version: u64) -> Option<(header::HeaderName, HeaderValue)> {
    HeaderValue::try_from(quoted(version)).ok().map(|value| (header::ETAG, value))
}

/// The tag of a version.
pub(crate) fn quoted(version: u64) -> String {
    format!("\"{version}\"")
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
        match Tags::of(headers, &header::IF_MATCH).ok_or_else(Problem::invalid_if_match)? {
            Tags::Any => Ok(Self::Any),
            Tags::List(tags) => {
                Ok(Self::Tags(tags.into_iter().filter(|(is_weak, _)| !is_weak).map(|(_, tag)| tag).collect()))
            }
        }
    }

    /// The version at which a deletion wants what is at `present`; `None` for whatever is there, which it means without
    /// the field too. It is compared once more where it is deleted.
    pub(crate) fn of_deletion(headers: &HeaderMap, present: u64) -> Result<Option<u64>, Problem> {
        Ok(Self::is_named(headers, &quoted(present))?.then_some(present))
    }

    /// Whether a change that need not say what it is meant for says that it is for what has this tag; false where it is
    /// for whatever is there.
    pub(crate) fn is_named(headers: &HeaderMap, tag: &str) -> Result<bool, Problem> {
        if !headers.contains_key(header::IF_MATCH) {
            return Ok(false);
        }
        // An empty list names nothing that could be there.
        if headers.get_all(header::IF_MATCH).iter().all(|line| line.as_bytes().trim_ascii().is_empty()) {
            return Err(Problem::changed(tag));
        }
        match Self::of(headers)? {
            Self::Any => Ok(false),
            named if named.shows(tag) => Ok(true),
            _ => Err(Problem::changed(tag)),
        }
    }

    /// What is told of a change of what is there, which `change` looks up anew each time: tried once, or a bounded number
    /// of times while others are faster where it is meant for whatever is there.
    pub(crate) async fn tried<T, F>(&self, change: impl Fn() -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Problem>>,
    {
        for _ in 0..TRIES_MAX {
            match change().await {
                Err(problem) if *self == Self::Any && problem.code() == "changed" => {}
                told => return told,
            }
        }
        Err(Problem::busy())
    }

    /// Whether it is meant for what has this tag, with its quotes, and nothing else.
    pub(crate) fn names(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|one| one == tag.as_bytes()),
        }
    }

    /// The present version, if it is meant for that, in whatever form it was shown ([`with_digest`]).
    pub(crate) fn version(&self, present: u64) -> Result<u64, Problem> {
        let tag = quoted(present);
        if self.shows(&tag) { Ok(present) } else { Err(Problem::changed(&tag)) }
    }

    /// Whether it is meant for what has this tag, with its quotes, in whatever form it was shown ([`with_digest`]).
    fn shows(&self, tag: &str) -> bool {
        let shown = format!("{}-", tag.strip_suffix('"').unwrap_or(tag));
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|one| one == tag.as_bytes() || one.starts_with(shown.as_bytes())),
        }
    }
}

/// What has to be there for a change that need not say so: by `If-Match` what is at this version.
pub(crate) fn expected(headers: &HeaderMap, version: u64) -> Result<Expected, Problem> {
    Ok(IfMatch::of_deletion(headers, version)?.map_or(Expected::Anything, Expected::Version))
}

/// The same of what may be set for the first time, by `If-None-Match: *` only then.
pub(crate) fn expected_of_put(headers: &HeaderMap, version: u64) -> Result<Expected, Problem> {
    let named = expected(headers, version)?;
    Ok(match unless_there(headers)? {
        Expected::Anything => named,
        nothing => nothing,
    })
}

/// The same of what has no version.
pub(crate) fn unless_there(headers: &HeaderMap) -> Result<Expected, Problem> {
    if !headers.contains_key(header::IF_NONE_MATCH) {
        return Ok(Expected::Anything);
    }
    match Tags::of(headers, &header::IF_NONE_MATCH) {
        Some(Tags::Any) => Ok(Expected::Nothing),
        _ => Err(Problem::invalid_if_none_match()),
    }
}

/// What a client names by a field with a list of tags (RFC 9110 §13.1).
enum Tags {
    /// Whatever is there.
    Any,
    /// Whether each is weak, and its opaque part with the quotes.
    List(Vec<(bool, Vec<u8>)>),
}

impl Tags {
    /// Those in the lines of this name; `None` if that is no such list.
    fn of(headers: &HeaderMap, name: &header::HeaderName) -> Option<Self> {
        let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        // Several lines are one list (RFC 9110 §5.3).
        let list = lines.join(&b", "[..]);
        if list.trim_ascii() == b"*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        let mut rest = skipped(&list);
        while !rest.is_empty() {
            let (is_weak, tag, tail) = next_tag(rest)?;
            tags.push((is_weak, tag.to_vec()));
            rest = skipped(tail);
            // Between two of them there is a comma.
            if !rest.is_empty() && !tail[..tail.len() - rest.len()].contains(&b',') {
                return None;
            }
        }
        (!tags.is_empty()).then_some(Self::List(tags))
    }
}

/// Whether a client has what this tag names, by `If-None-Match` (RFC 9110 §13.1.2): weak tags count as well. What cannot
/// be read names nothing, so the client gets it once more.
pub(crate) fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let strong = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    match Tags::of(headers, &header::IF_NONE_MATCH) {
        Some(Tags::Any) => true,
        Some(Tags::List(tags)) => tags.iter().any(|(_, known)| *known == strong(tag.as_bytes())),
        None => false,
    }
}

/// The tag of a version of a document that looks like this. A version counts what people change; what else the document
/// tells, such as how far work is, changes without it.
pub(crate) fn with_digest(version: &HeaderValue, content: &[u8]) -> Option<HeaderValue> {
    let version = version.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?;
    // The version of an asset has a second one behind it, in hexadecimal digits.
    let (counted, second) = version.split_once('-').unwrap_or((version, ""));
    let is_counted = !counted.is_empty() && counted.bytes().all(|byte| byte.is_ascii_digit());
    let is_counted = is_counted && second.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digest = secret::hex(&digest::digest(&digest::SHA256, content).as_ref()[..DIGEST_BYTES]);
    HeaderValue::try_from(format!("\"{version}-{digest}\"")).ok().filter(|_| is_counted)
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
    use std::cell::Cell;
    use std::future::ready;

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
    fn a_change_is_meant_for_a_version_in_whatever_form_it_was_shown() {
        let shown = with_digest(&HeaderValue::from_static("\"3\""), b"{}").unwrap();
        assert!(shown.to_str().unwrap().starts_with("\"3-"), "{shown:?}");
        let meant = |present| {
            let headers = HeaderMap::from_iter([(header::IF_MATCH, shown.clone())]);
            IfMatch::of(&headers).unwrap().version(present).is_ok()
        };
        assert_eq!((meant(3), meant(2), meant(33)), (true, false, false));
        for other in ["\"pic_1\"", "\"g1-1\"", "\"3-x\"", "\"-3\"", "W/\"3\"", "3", "\"\""] {
            assert_eq!(with_digest(&HeaderValue::from_static(other), b"{}"), None, "{other}");
        }
        let asset = with_digest(&HeaderValue::from_static("\"3-5f\""), b"{}").unwrap();
        let headers = HeaderMap::from_iter([(header::IF_MATCH, asset)]);
        let named = |tag: &str| IfMatch::is_named(&headers, tag).map_err(|problem| problem.code());
        assert_eq!((named("\"3-5f\""), named("\"3\"")), (Ok(true), Ok(true)));
        assert_eq!((named("\"3-5\""), named("\"3-60\"")), (Err("changed"), Err("changed")));
    }

    #[test]
    fn a_client_has_what_one_of_its_tags_names() {
        let known = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(line));
            }
            is_known(&headers, &HeaderValue::from_static("\"pic_1\""))
        };
        for yes in [&["\"pic_1\""][..], &["W/\"pic_1\""], &["\"a,b\", \"pic_1\""], &[" * "], &["\"a\"", "\"pic_1\""]] {
            assert!(known(yes), "{yes:?}");
        }
        for no in [&[][..], &[""], &["pic_1"], &["\"pic_2\""], &["\"pic_1"], &["\"x, pic_1\""], &["*, \"pic_1\""]] {
            assert!(!known(no), "{no:?}");
        }
    }

    #[test]
    fn a_deletion_is_meant_for_what_is_named_or_for_whatever_is_there() {
        let meant = |line: Option<&'static str>| {
            let line = line.map(|line| (header::IF_MATCH, HeaderValue::from_static(line)));
            IfMatch::of_deletion(&HeaderMap::from_iter(line), 3).map_err(|problem| problem.code())
        };
        assert_eq!((meant(None), meant(Some("*")), meant(Some("\"3\""))), (Ok(None), Ok(None), Ok(Some(3))));
        assert_eq!((meant(Some("\"2\"")), meant(Some(" "))), (Err("changed"), Err("changed")));
        assert_eq!(meant(Some("3")), Err("invalid_header"));
    }

    #[test]
    fn a_change_that_need_not_say_what_it_is_meant_for_may() {
        let meant = |lines: &[(header::HeaderName, &'static str)]| {
            let lines = lines.iter().map(|(name, line)| (name.clone(), HeaderValue::from_static(line)));
            expected_of_put(&HeaderMap::from_iter(lines), 3).map_err(|problem| problem.code())
        };
        let (of, unless) = (header::IF_MATCH, header::IF_NONE_MATCH);
        assert_eq!((meant(&[]), meant(&[(of.clone(), "*")])), (Ok(Expected::Anything), Ok(Expected::Anything)));
        assert_eq!(meant(&[(of.clone(), "\"3-9f\", \"4\"")]), Ok(Expected::Version(3)));
        assert_eq!(meant(&[(unless.clone(), " * ")]), Ok(Expected::Nothing));
        assert_eq!(meant(&[(of.clone(), "\"3\""), (unless.clone(), "*")]), Ok(Expected::Nothing));
        for wrong in ["\"3\"", "", "x", "*, \"3\""] {
            assert_eq!(meant(&[(unless.clone(), wrong)]), Err("invalid_header"), "{wrong}");
        }
        for other in ["\"2\"", "W/\"3\"", "", "\"33-9f\""] {
            assert_eq!(meant(&[(of.clone(), other), (unless.clone(), "*")]), Err("changed"), "{other}");
        }
    }

    #[tokio::test]
    async fn a_change_of_whatever_is_there_is_tried_again_while_others_are_faster_and_not_for_ever() {
        let named = IfMatch::Tags(vec![b"\"3\"".to_vec()]);
        for (condition, faster, told, times) in [
            (&named, 1, Err("changed"), 1),
            (&IfMatch::Any, 3, Ok(()), 4),
            (&IfMatch::Any, usize::MAX, Err("busy"), TRIES_MAX),
        ] {
            let tried = Cell::new(0);
            let change = || {
                tried.set(tried.get() + 1);
                ready(if tried.get() <= faster { Err(Problem::changed("\"4\"")) } else { Ok(()) })
            };
            assert_eq!(condition.tried(change).await.map_err(|problem| problem.code()), told);
            assert_eq!(tried.get(), times);
        }
        let other = IfMatch::Any.tried(|| ready(Err::<(), _>(Problem::precondition_required()))).await;
        assert_eq!(other.unwrap_err().code(), "precondition_required");
    }
}
