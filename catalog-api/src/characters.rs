//! Characters that no text of a request may hold.
//!
//! PostgreSQL's text cannot hold NUL, and no other control character means anything in a filter but those that part
//! lines and words. Each engine would answer in its own way, so they are refused before anything is asked of one. Ids in
//! paths are known by their form, and of what is searched for only words count: any text is a query.

use axum::http::Uri;
use domain::about::Fault;
use domain::misfit::pointer_to;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// What is searched for, of which only words are used.
const FREE: &str = "q=";

/// Refuses a query in which a control character is written, but for tabs and ends of lines.
pub(crate) fn check(uri: &Uri) -> Result<(), Problem> {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    if pairs.any(|pair| !pair.starts_with(FREE) && holds_control(pair)) {
        return Err(Problem::invalid_query("the query holds a control character"));
    }
    Ok(())
}

/// Refuses a document of which a text, or the name of a field, holds NUL.
pub(crate) fn check_document(document: &Map<String, Value>) -> Result<(), Problem> {
    let mut faults = Vec::new();
    document.iter().for_each(|(name, value)| look(&pointer_to("", name), name, value, &mut faults));
    if faults.is_empty() { Ok(()) } else { Err(Problem::invalid_fields(faults)) }
}

fn look(pointer: &str, name: &str, value: &Value, faults: &mut Vec<Fault>) {
    let mut tell = |text: &str| {
        if text.contains('\0') {
            faults.push(Fault::new(pointer.replace('\0', ""), "control_character", "holds the character NUL"));
        }
    };
    tell(name);
    match value {
        Value::String(text) => tell(text),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, value)| look(&format!("{pointer}/{at}"), "", value, faults));
        }
        Value::Object(map) => {
            map.iter().for_each(|(name, value)| look(&pointer_to(pointer, name), name, value, faults));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// True if one is written as `%00` and the like: no address holds one as it is, and none is a part of another
/// character (RFC 3629).
fn holds_control(encoded: &str) -> bool {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = encoded.as_bytes();
    while let Some(at) = bytes.iter().position(|byte| *byte == b'%') {
        if let (Some(high), Some(low)) = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)))
            && is_refused(high * 16 + low)
        {
            return true;
        }
        bytes = &bytes[at + 1..];
    }
    false
}

fn is_refused(code: u32) -> bool {
    char::from_u32(code).is_some_and(|c| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_found_however_they_are_written() {
        for refused in ["%00", "a%00b", "%1F", "%1f", "%7f", "%0B", "%%00", "100%%01"] {
            assert!(holds_control(refused), "{refused}");
        }
        for taken in ["", "%09", "%0A%0d", "%C3%A9", "%E2%80%8B", "%80", "100%", "%0", "%2500", "%g0", "a+b"] {
            assert!(!holds_control(taken), "{taken}");
        }
    }

    #[test]
    fn nul_is_found_anywhere_in_a_document() {
        let check = |json: &str| check_document(&serde_json::from_str(json).expect("an object")).is_ok();
        assert!(check(r#"{"a":["b",{"c":"d\ne"}],"f":1,"g":null}"#));
        for refused in [r#"{"a":"\u0000"}"#, r#"{"a":["b","c\u0000"]}"#, r#"{"a":{"b\u0000":1}}"#, r#"{"\u0000":1}"#] {
            assert!(!check(refused), "{refused}");
        }
    }
}
