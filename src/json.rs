//! JSON from outside, in which no object may have a key twice: which of the two counts, each reader decides for itself,
//! so that one who checks and one who acts can see different things (RFC 8259, section 4).

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use std::collections::HashSet;
use std::fmt;

/// The words of the error, before the place.
const KEY_TWICE: &str = "a key is there twice";

/// Parses JSON. Errors also if an object has a key twice.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(bytes).map(|UniqueKeys(value)| value)
}

/// Returns true if an object has a key twice in JSON that was parsed before: keys that are not read are skipped there,
/// unseen. Numbers, of which there may be many, are not looked at.
pub(crate) fn has_key_twice(json: &[u8]) -> bool {
    let (mut objects, mut text): (Vec<HashSet<String>>, _) = (Vec::new(), None);
    let mut index = 0;
    while let Some(byte) = json.get(index) {
        match byte {
            b'{' => objects.push(HashSet::new()),
            b'}' => drop(objects.pop()),
            b'"' => {
                let begin = index;
                index += 1;
                while json.get(index).is_some_and(|byte| *byte != b'"') {
                    index += if json.get(index) == Some(&b'\\') { 2 } else { 1 };
                }
                text = json.get(begin..=index);
            }
            // Before it stands a key, which may be written in several ways.
            b':' => {
                let key = text.take().and_then(|text| serde_json::from_slice(text).ok());
                if objects.last_mut().zip(key).is_some_and(|(keys, key)| !keys.insert(key)) {
                    return true;
                }
            }
            _ => {}
        }
        index += 1;
    }
    false
}

/// Returns true if that is what is wrong, with [`parse`] or with a derived `Deserialize`.
pub(crate) fn is_key_twice(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    error.is_data() && (text.starts_with(KEY_TWICE) || text.starts_with("duplicate field"))
}

/// A value of which no object has a key twice.
struct UniqueKeys(Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UniqueKeys, D::Error> {
        deserializer.deserialize_any(Values).map(UniqueKeys)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueKeys(value)) = all.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = all.next_key::<String>()? {
            let Entry::Vacant(place) = object.entry(key) else { return Err(A::Error::custom(KEY_TWICE)) };
            let UniqueKeys(value) = all.next_value()?;
            place.insert(value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_that_is_there_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"[[{"b":{"a":1,"x":[],"a":null}}]]"#, r#"{"a":1,"\u0061":2}"#] {
            let error = parse(text.as_bytes()).expect_err("a key twice");
            assert!(is_key_twice(&error) && error.line() == 1, "{text}: {error}");
        }
        assert!(!is_key_twice(&parse(b"{\"a\"").expect_err("no JSON")));
        assert!(parse(br#"[{"a":1},{"a":{"a":2}}]"#).is_ok());
    }

    proptest! {
        #[test]
        fn everything_else_is_what_the_usual_parser_says(text in "[\\[\\]{},:0-9eE.+\\-\"ab\\\\ nulltrefas]{0,24}") {
            let (own, usual) = (parse(text.as_bytes()), serde_json::from_str::<Value>(&text));
            match own {
                Ok(own) => prop_assert_eq!(own, usual.expect("JSON")),
                Err(error) => prop_assert!(is_key_twice(&error) || usual.is_err(), "{}", text),
            }
        }
    }
}
