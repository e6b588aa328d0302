//! The input tensor: rows of a model's features, in JSON or as bytes behind it.

use super::lookup::INPUT;
use crate::problem::Problem;
use bipolar_edge_models::Model;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;

/// Tensors may be nested so deep: a list of rows, and one around it for good measure.
const MAX_DEPTH: usize = 4;

/// The protocol's other types of data.
const DATATYPES: [&str; 12] =
    ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "BYTES"];

/// An input tensor.
#[derive(Deserialize)]
pub(super) struct Input {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    #[serde(default)]
    parameters: InputParameters,
    data: Option<Flat>,
}

#[derive(Default, Deserialize)]
struct InputParameters {
    binary_data_size: Option<u64>,
}

/// The rows of a request, one after the other.
pub(super) fn rows(model: &Model, inputs: Vec<Input>, binary: &[u8]) -> Result<Vec<f64>, Problem> {
    let Ok([input]) = <[Input; 1]>::try_from(inputs) else {
        return Err(Problem::invalid("inputs", "must hold one tensor, named input"));
    };
    if input.name != INPUT {
        return Err(Problem::invalid("inputs[0].name", "must be input"));
    }
    let features = model.features.len();
    // A batch of rows, or one row alone.
    let rows = match input.shape.as_slice() {
        [rows, columns] if *columns == features as u64 => *rows,
        [columns] if *columns == features as u64 => 1,
        _ => return Err(Problem::invalid("inputs[0].shape", &format!("must be [rows, {features}]"))),
    };
    let wide = match input.datatype.as_str() {
        "FP64" => true,
        "FP32" => false,
        other => {
            // Only a word of the protocol is quoted.
            let given = DATATYPES.iter().find(|known| **known == other).map(|known| format!(", not {known}"));
            let message = format!("must be FP32 or FP64{}", given.unwrap_or_default());
            return Err(Problem::invalid("inputs[0].datatype", &message));
        }
    };
    let data = match (input.parameters.binary_data_size, input.data) {
        (Some(size), None) => {
            if size != binary.len() as u64 {
                return Err(Problem::invalid(
                    "inputs[0].parameters.binary_data_size",
                    "must be the bytes behind the JSON",
                ));
            }
            if wide { decode(binary, f64::from_le_bytes) } else { decode(binary, |b| f32::from_le_bytes(b).into()) }
        }
        (None, Some(Flat(data))) if binary.is_empty() => {
            if wide {
                data
            } else {
                data.into_iter().map(|number| f64::from(number as f32)).collect()
            }
        }
        _ => return Err(Problem::invalid("inputs[0].data", "must be there, or else binary data")),
    };
    if rows.checked_mul(features as u64) != Some(data.len() as u64) {
        return Err(Problem::invalid(
            "inputs[0].data",
            &format!("has {} numbers, and the shape another number of them", data.len()),
        ));
    }
    Ok(data)
}

/// Decodes numbers of so many bytes each; none at all if the bytes do not come out even.
fn decode<const SIZE: usize>(bytes: &[u8], decode: impl Fn([u8; SIZE]) -> f64) -> Vec<f64> {
    let (numbers, rest) = bytes.as_chunks::<SIZE>();
    if rest.is_empty() { numbers.iter().map(|number| decode(*number)).collect() } else { Vec::new() }
}

/// A tensor's numbers in row-major order, flat in the JSON or nested as its shape is. Null and NaN are missing.
pub(super) struct Flat(Vec<f64>);

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flat, D::Error> {
        let mut numbers = Vec::new();
        Part { numbers: &mut numbers, deeper: MAX_DEPTH }.deserialize(deserializer)?;
        Ok(Flat(numbers))
    }
}

/// A number or a list of them, read into the others.
struct Part<'a> {
    numbers: &'a mut Vec<f64>,
    deeper: usize,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number, null, or a list of them")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.numbers.push(number);
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.visit_f64(f64::NAN)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<(), E> {
        match word {
            "NaN" => self.visit_f64(f64::NAN),
            "Infinity" => self.visit_f64(f64::INFINITY),
            "-Infinity" => self.visit_f64(f64::NEG_INFINITY),
            _ => Err(E::custom("not a number")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        let deeper = self.deeper.checked_sub(1).ok_or_else(|| A::Error::custom("too deep"))?;
        while all.next_element_seed(Part { numbers: &mut *self.numbers, deeper })?.is_some() {}
        Ok(())
    }
}
