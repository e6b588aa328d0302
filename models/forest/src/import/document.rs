//! A JSON or UBJSON file as a tree of values, and access to it by path.

use super::{ImportError, ubjson};
use crate::json::nullify_bare_numbers;
use serde_json::Value;

/// Reads either encoding. A number that is not finite is `null`.
pub(super) fn read(bytes: &[u8]) -> Result<Value, ImportError> {
    if bytes.first() != Some(&b'{') {
        return Err(ImportError::new("byte 0", "an object begins with `{`"));
    }
    if is_json(bytes) == Some(true) {
        std::str::from_utf8(bytes).map_err(|error| ImportError::new("file", error.to_string()))?;
        let finite = nullify_bare_numbers(bytes);
        return serde_json::from_slice(&finite).map_err(|error| ImportError::new("JSON", error.to_string()));
    }
    ubjson::read(bytes)
}

/// Tells if an object is JSON or UBJSON; `None` if nothing follows its brace.
pub(super) fn is_json(object: &[u8]) -> Option<bool> {
    // In JSON a key or the end follows the brace; in UBJSON its length does, whose type is a letter.
    let second = object.iter().copied().skip(1).find(|byte| !byte.is_ascii_whitespace())?;
    Some(matches!(second, b'"' | b'}'))
}

/// A value and its path, so that an error can say where it is.
#[derive(Clone)]
pub(super) struct JsonPath<'a> {
    pub(super) value: &'a Value,
    path: String,
}

impl<'a> JsonPath<'a> {
    pub(super) fn root(value: &'a Value) -> JsonPath<'a> {
        JsonPath { value, path: String::new() }
    }

    /// Returns the path, or `file` for the root.
    pub(super) fn path(&self) -> &str {
        if self.path.is_empty() { "file" } else { &self.path }
    }

    pub(super) fn refuse(&self, reason: impl Into<String>) -> ImportError {
        ImportError::new(self.path(), reason)
    }

    pub(super) fn optional(&self, key: &str) -> Option<JsonPath<'a>> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        self.value.get(key).map(|value| JsonPath { value, path })
    }

    pub(super) fn get(&self, key: &str) -> Result<JsonPath<'a>, ImportError> {
        self.optional(key).ok_or_else(|| self.refuse(format!("there is no {key:?}")))
    }

    pub(super) fn text(&self) -> Result<&'a str, ImportError> {
        self.value.as_str().ok_or_else(|| self.refuse("is not text"))
    }

    pub(super) fn array(&self) -> Result<Vec<JsonPath<'a>>, ImportError> {
        let array = self.value.as_array().ok_or_else(|| self.refuse("is not an array"))?;
        let place = |(index, value)| JsonPath { value, path: format!("{}[{index}]", self.path) };
        Ok(array.iter().enumerate().map(place).collect())
    }

    /// Returns a whole number, which XGBoost may write as text.
    pub(super) fn whole(&self) -> Result<i64, ImportError> {
        let number = match self.value {
            Value::Number(number) => {
                number.as_i64().or_else(|| number.as_f64().filter(|x| x.fract() == 0.0).map(|x| x as i64))
            }
            Value::String(text) => text.parse().ok(),
            Value::Bool(answer) => Some(i64::from(*answer)),
            _ => None,
        };
        number.ok_or_else(|| self.refuse("is not a whole number"))
    }

    pub(super) fn index(&self) -> Result<usize, ImportError> {
        usize::try_from(self.whole()?).map_err(|_| self.refuse("is below 0"))
    }

    /// Returns `count` numbers of the kind that `number` converts.
    pub(super) fn numbers<T>(&self, count: usize, number: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, ImportError> {
        let array = self.value.as_array().ok_or_else(|| self.refuse("is not an array"))?;
        if array.len() != count {
            return Err(self.refuse(format!("{} numbers, {count} are needed", array.len())));
        }
        let each = array.iter().enumerate().map(|(index, value)| {
            number(value)
                .ok_or_else(|| ImportError::new(format!("{}[{index}]", self.path), "is not a number that fits here"))
        });
        each.collect()
    }
}

/// Converts a whole number from 0.
pub(super) fn index(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| usize::try_from(number).ok())
}

/// Converts a number to f32, NaN for `null`.
pub(super) fn float(value: &Value) -> Option<f32> {
    match value {
        Value::Null => Some(f32::NAN),
        Value::Number(number) => number.as_f64().map(|number| number as f32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_for_numbers_are_null_and_text_is_left_alone() {
        let value = read(br#"{"a": [NaN, -Infinity, 1.5], "NaN": "NaN \" inf", "i": 3}"#).expect("JSON");
        assert_eq!(value, serde_json::json!({ "a": [null, null, 1.5], "NaN": "NaN \" inf", "i": 3 }));
    }
}
