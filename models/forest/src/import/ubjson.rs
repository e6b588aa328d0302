//! UBJSON draft 12, as XGBoost writes it: big-endian, arrays with or without a type and a count.

use super::ImportError;
use serde_json::{Map, Number, Value};

/// Maximum depth of nesting, more than any model has; each level is a call.
const MAX_DEPTH: usize = 64;

/// Reads one object. A number that is not finite is `null`.
pub(super) fn read(bytes: &[u8]) -> Result<Value, ImportError> {
    let mut reader = Reader { bytes, at: 0 };
    let kind = reader.byte()?;
    let value = reader.value(kind, 0)?;
    if reader.at != bytes.len() {
        return Err(reader.refuse("the file goes on after its object"));
    }
    Ok(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn refuse(&self, reason: impl Into<String>) -> ImportError {
        ImportError::new(format!("UBJSON, byte {}", self.at), reason)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ImportError> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.refuse("the file is cut off"))?;
        self.at += count;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ImportError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| self.refuse("the file is cut off"))
    }

    fn byte(&mut self) -> Result<u8, ImportError> {
        Ok(self.fixed::<1>()?[0])
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Reads a count or length: a number with its own type.
    fn length(&mut self) -> Result<usize, ImportError> {
        let kind = self.byte()?;
        let number = self.value(kind, 0)?;
        number
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| self.refuse("a length that is no whole number"))
    }

    fn text(&mut self) -> Result<String, ImportError> {
        let length = self.length()?;
        let text = self.take(length)?;
        String::from_utf8(text.to_vec()).map_err(|_| self.refuse("text that is not UTF-8"))
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<Value, ImportError> {
        if depth > MAX_DEPTH {
            return Err(self.refuse("nested too deep"));
        }
        let float = |x: f64| Number::from_f64(x).map_or(Value::Null, Value::Number);
        Ok(match kind {
            b'Z' => Value::Null,
            b'T' => Value::Bool(true),
            b'F' => Value::Bool(false),
            b'i' => i64::from(i8::from_be_bytes(self.fixed()?)).into(),
            b'U' => u64::from(u8::from_be_bytes(self.fixed()?)).into(),
            b'I' => i64::from(i16::from_be_bytes(self.fixed()?)).into(),
            b'l' => i64::from(i32::from_be_bytes(self.fixed()?)).into(),
            b'L' => i64::from_be_bytes(self.fixed()?).into(),
            b'd' => float(f32::from_be_bytes(self.fixed()?).into()),
            b'D' => float(f64::from_be_bytes(self.fixed()?)),
            b'C' => Value::String(char::from(self.byte()?).to_string()),
            b'S' => Value::String(self.text()?),
            b'[' => self.array(depth)?,
            b'{' => self.object(depth)?,
            other => return Err(self.refuse(format!("{:?} is no type that is known", char::from(other)))),
        })
    }

    /// Reads the type and count that may stand at the beginning of an array or object.
    fn head(&mut self) -> Result<(Option<u8>, Option<usize>), ImportError> {
        let kind = if self.peek() == Some(b'$') {
            self.at += 1;
            Some(self.byte()?)
        } else {
            None
        };
        let count = if self.peek() == Some(b'#') {
            self.at += 1;
            Some(self.length()?)
        } else {
            None
        };
        if kind.is_some() && count.is_none() {
            return Err(self.refuse("a type without a count"));
        }
        // Each element takes a byte at least, but for those that are their own type; the latter are no arrays of
        // numbers.
        if kind.is_some_and(|kind| b"ZTFN".contains(&kind)) {
            return Err(self.refuse("an array of a type without content"));
        }
        if count.is_some_and(|count| count > self.bytes.len() - self.at) {
            return Err(self.refuse("a count beyond the end of the file"));
        }
        Ok((kind, count))
    }

    fn array(&mut self, depth: usize) -> Result<Value, ImportError> {
        let (kind, count) = self.head()?;
        let mut values = Vec::with_capacity(count.unwrap_or(0));
        while count.is_none_or(|count| values.len() < count) {
            let kind = match kind {
                Some(kind) => kind,
                None => self.byte()?,
            };
            if count.is_none() && kind == b']' {
                break;
            }
            values.push(self.value(kind, depth + 1)?);
        }
        Ok(Value::Array(values))
    }

    fn object(&mut self, depth: usize) -> Result<Value, ImportError> {
        let (kind, count) = self.head()?;
        let mut values = Map::new();
        let mut read = 0;
        while count.is_none_or(|count| read < count) {
            if count.is_none() && self.peek() == Some(b'}') {
                self.at += 1;
                break;
            }
            let key = self.text()?;
            let kind = match kind {
                Some(kind) => kind,
                None => self.byte()?,
            };
            values.insert(key, self.value(kind, depth + 1)?);
            read += 1;
        }
        Ok(Value::Object(values))
    }
}
