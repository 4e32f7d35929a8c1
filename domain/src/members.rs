//! JSON objects in which no member occurs twice.
//!
//! Which of two members of one name counts is left open (RFC 8259 §4), so whoever looks at a document on its way here
//! may understand another thing than what is done; RFC 7493 §2.3 forbids them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::misfit::Misfit;

/// The object in these octets, as deep as serde_json reads.
///
/// # Errors
/// [`Misfit`], also for a member that occurs twice, however deep: its message begins as that of a derived reader does,
/// with `duplicate field` and its name.
pub fn object(octets: &[u8]) -> Result<Map<String, Value>, Misfit> {
    let mut reader = serde_json::Deserializer::from_slice(octets);
    let Object(object) = serde_path_to_error::deserialize(&mut reader)?;
    reader.end().map_err(Misfit::of_whole)?;
    Ok(object)
}

/// An object, and nothing else.
struct Object(Map<String, Value>);

/// Any value.
struct Once(Value);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object, A::Error> {
                each_once(members).map(Object)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // As serde_json has it: no number in JSON is infinite.
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Once(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Value, A::Error> {
        each_once(members).map(Value::Object)
    }
}

fn each_once<'de, A: MapAccess<'de>>(mut members: A) -> Result<Map<String, Value>, A::Error> {
    let mut object = Map::new();
    while let Some(name) = members.next_key::<String>()? {
        if object.contains_key(&name) {
            return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
        }
        let Once(value) = members.next_value()?;
        object.insert(name, value);
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_serde_json_reads_it() {
        let text = r#"{"a":[1,-2,2.5,18446744073709551615,"b\u0000c",null,true,{}],"b":{"a":{"a":[]}},"é":""}"#;
        let read: Map<String, Value> = serde_json::from_str(text).expect("it is one");
        assert_eq!(object(text.as_bytes()).expect("it is one"), read);
        for wrong in ["", "[]", "1", "null", "{", "{}{}", r#"{"a":}"#, r#"{"a":1e999}"#] {
            let (own, other) = (object(wrong.as_bytes()), serde_json::from_str::<Map<String, Value>>(wrong));
            let is_data = own.map_err(|misfit| misfit.is_data()).err();
            assert_eq!((is_data, wrong), (other.map_err(|error| error.is_data()).err(), wrong));
        }
    }

    #[test]
    fn a_member_occurs_once_however_deep_it_stands_and_however_it_is_written() {
        for twice in [
            r#"{"x":1,"x":1}"#,
            r#"{"x":1,"\u0078":2}"#,
            r#"{"a":{"x":1,"y":2,"x":null}}"#,
            r#"{"a":[{},{"b":[{"x":[],"x":{}}]}]}"#,
        ] {
            let error = object(twice.as_bytes()).expect_err(twice);
            assert!(error.is_data() && error.plain().starts_with("duplicate field `x` at line 1"), "{error}");
        }
    }

    #[test]
    fn no_document_is_deeper_than_serde_json_reads() {
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(object(deep(100).as_bytes()).is_ok());
        assert!(object(deep(100_000).as_bytes()).is_err_and(|misfit| !misfit.is_data()));
    }
}
