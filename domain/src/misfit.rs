//! What is wrong with a JSON document, and at which of its members.

use std::fmt::Write;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use crate::about::Fault;

/// Longest message of the reader that is passed on, in octets: a name in it may be as long as the document.
const MESSAGE_BYTES_MAX: usize = 1000;
/// Longest place that is told, in octets.
const PLACE_BYTES_MAX: usize = 500;

/// Why a document is not what is wished for.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Misfit {
    error: serde_json::Error,
    /// Where; `None` for all of it.
    path: Option<Path>,
}

/// Which kind of fault the reader found, for those that name a member.
enum Named {
    Unknown,
    Missing,
    Twice,
}

/// What the members of `object` say.
///
/// # Errors
/// [`Misfit`], for the first member that there should not be, that is missing or that is of another form.
pub fn read<T: DeserializeOwned>(object: Map<String, Value>) -> Result<T, Misfit> {
    Ok(serde_path_to_error::deserialize(Value::Object(object))?)
}

/// The pointer (RFC 6901) to the member `name` of what `parent` points to.
pub fn pointer_to(parent: &str, name: &str) -> String {
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

impl From<serde_path_to_error::Error<serde_json::Error>> for Misfit {
    fn from(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = Some(error.path().clone());
        Self { error: error.into_inner(), path }
    }
}

impl Misfit {
    /// What is wrong with all of a document.
    pub(crate) fn of_whole(error: serde_json::Error) -> Self {
        Self { error, path: None }
    }

    /// False if it is no JSON at all.
    pub fn is_data(&self) -> bool {
        self.error.is_data()
    }

    /// What is wrong, and where; `None` if it is no JSON at all.
    ///
    /// It points to the member, or to the object around it where the member's name is too long to be told.
    pub fn fault(&self) -> Option<Fault> {
        if !self.is_data() {
            return None;
        }
        let (place, message) = (pointer(self.path.as_ref()), self.error.to_string());
        Some(match named(&message) {
            // The reader's path ends with it.
            Some(Named::Unknown) => Fault::new(place, "unknown", "there is no such field"),
            Some(Named::Missing) => Fault::new(member(place, &message), "missing", "is missing"),
            Some(Named::Twice) => Fault::new(member(place, &message), "twice", "is given twice"),
            None => Fault::new(place, "wrong_form", "is not of the form that is described"),
        })
    }

    /// What is wrong, as a sentence without what stands there, which may be a password.
    pub fn plain(&self) -> String {
        let message = self.error.to_string();
        if named(&message).is_some() && message.len() <= MESSAGE_BYTES_MAX {
            return message;
        }
        let place = if self.is_data() { place(self.path.as_ref()) } else { String::new() };
        // All of it, or too much to be told.
        let is_told = (1..=PLACE_BYTES_MAX).contains(&place.len());
        let place = if is_told { place.as_str() } else { "the document" };
        format!("{place} is not of the form that is described")
    }
}

fn named(message: &str) -> Option<Named> {
    let kinds =
        [("unknown field", Named::Unknown), ("missing field", Named::Missing), ("duplicate field", Named::Twice)];
    kinds.into_iter().find(|(begin, _)| message.starts_with(begin)).map(|(_, kind)| kind)
}

/// The pointer to the member of the object at `parent` that a message names, or to the object.
fn member(parent: String, message: &str) -> String {
    let name = message.split_once('`').and_then(|(_, rest)| rest.rsplit_once('`')).map(|(name, _)| name);
    match name.map(|name| pointer_to(&parent, name)) {
        Some(pointer) if pointer.len() <= PLACE_BYTES_MAX => pointer,
        _ => parent,
    }
}

/// The members and items on a path, as far as they are some: what names a variant stands in a member.
fn steps(path: Option<&Path>) -> impl Iterator<Item = &Segment> {
    path.into_iter().flatten().take_while(|segment| matches!(segment, Segment::Seq { .. } | Segment::Map { .. }))
}

fn pointer(path: Option<&Path>) -> String {
    let mut pointer = String::new();
    for step in steps(path) {
        let next = match step {
            Segment::Map { key } => pointer_to(&pointer, key),
            other => pointer_to(&pointer, other.to_string().trim_matches(['[', ']'])),
        };
        if next.len() > PLACE_BYTES_MAX {
            break;
        }
        pointer = next;
    }
    pointer
}

/// The same for people: `chapters[2].title`.
fn place(path: Option<&Path>) -> String {
    let mut place = String::new();
    for step in steps(path) {
        let dot = if place.is_empty() || matches!(step, Segment::Seq { .. }) { "" } else { "." };
        // Never fails: it is written to memory.
        let _ = write!(place, "{dot}{step}");
    }
    place
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::members::object;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only their types matter")]
    struct Wanted {
        password: u8,
        kind: Option<Kind>,
        #[serde(default)]
        people: Vec<Person>,
        #[serde(default)]
        ids: std::collections::BTreeMap<String, u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its type matters")]
    struct Person {
        name: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Series,
    }

    fn misfit(text: &str) -> Misfit {
        match object(text.as_bytes()) {
            Err(misfit) => misfit,
            Ok(object) => read::<Wanted>(object).expect_err(text),
        }
    }

    #[test]
    fn what_is_wrong_with_a_document_is_told_with_its_place() {
        for (text, expected) in [
            ("3", Some(("", "wrong_form"))),
            ("[]", Some(("", "wrong_form"))),
            ("{", None),
            (r#"{"a":}"#, None),
            ("{}", Some(("/password", "missing"))),
            (r#"{"password":1,"passwort":1}"#, Some(("/passwort", "unknown"))),
            (r#"{"password":1,"a/b~c`d":1}"#, Some(("/a~1b~0c`d", "unknown"))),
            (r#"{"password":"hunter2"}"#, Some(("/password", "wrong_form"))),
            (r#"{"password":256}"#, Some(("/password", "wrong_form"))),
            (r#"{"password":1,"kind":"opera"}"#, Some(("/kind", "wrong_form"))),
            (r#"{"password":1,"people":{}}"#, Some(("/people", "wrong_form"))),
            (r#"{"password":1,"people":[{"name":"a"},{}]}"#, Some(("/people/1/name", "missing"))),
            (r#"{"password":1,"people":[{"name":"a"},{"name":"b","age":4}]}"#, Some(("/people/1/age", "unknown"))),
            (r#"{"password":1,"people":[{"name":null}]}"#, Some(("/people/0/name", "wrong_form"))),
            (r#"{"password":1,"ids":{"a/b":"x"}}"#, Some(("/ids/a~1b", "wrong_form"))),
            (r#"{"password":1,"password":2}"#, Some(("/password", "twice"))),
            (r#"{"people":[0,{"a`b":1,"a`b":2}]}"#, Some(("/people/1/a`b", "twice"))),
        ] {
            let fault = misfit(text).fault();
            assert_eq!(fault.as_ref().map(|fault| (&*fault.pointer, fault.code)), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_document_is_told_without_what_stands_in_it() {
        for (text, expected) in [
            (r#"{"password":"hunter2"}"#, "password is not of the form that is described"),
            (r#"{"password":1,"people":[{"name":7}]}"#, "people[0].name is not of the form that is described"),
            (r#"{"password":1,"kind":"opera"}"#, "kind is not of the form that is described"),
            ("3", "the document is not of the form that is described"),
            (r#"{"a":[1"#, "the document is not of the form that is described"),
            ("{}", "missing field `password`"),
        ] {
            assert_eq!(misfit(text).plain(), expected, "{text}");
        }
        assert!(misfit(r#"{"passwort":1}"#).plain().starts_with("unknown field `passwort`, expected one of"));
    }

    #[test]
    fn a_name_that_is_as_long_as_the_document_is_not_told() {
        let name = "x".repeat(10_000);
        for (text, place) in [
            (format!(r#"{{"{name}":1}}"#), ""),
            (format!(r#"{{"people":[{{"{name}":1}}]}}"#), "/people/0"),
            (format!(r#"{{"people":[{{"{name}":1,"{name}":1}}]}}"#), "/people/0"),
            (format!(r#"{{"ids":{{"{name}":"x"}}}}"#), "/ids"),
        ] {
            let misfit = misfit(&text);
            assert_eq!(misfit.fault().expect("it is JSON").pointer, place);
            assert!(misfit.plain().len() < 1000, "{}", misfit.plain());
        }
    }
}
