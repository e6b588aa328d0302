//! `/v2`: the Open Inference Protocol (KServe v2), so that clients of other model servers can ask every model for its numbers:
//! rows of its own features in, probabilities, margins and contributions out. With the binary-data extension, in which tensors
//! stand behind the JSON as little-endian bytes.

use super::Asked;
use crate::platform::{Platform, RequestBody};
use crate::problem::Problem;
use crate::request;
use crate::response::Response;
use crate::telemetry::Record;
use crate::telemetry::metrics::{self, INFERENCE_ROWS};
use bipolar_edge_models::{MODELS, Model, Output};
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The most bytes of a request.
const BODY_LIMIT: usize = 4 << 20;
/// So many rows are predicted before others get their turn, and the clock is looked at.
const BLOCK: usize = 256;
/// The most rows of which contributions may be asked for: one takes as long as hundreds of predictions.
const MOST_EXPLAINED: usize = 256;
/// How deep tensors may be nested: a list of rows, and one around it for good measure.
const DEEPEST: usize = 4;
/// Where the JSON of a request or answer with binary tensors ends.
const JSON_LENGTH_HEADER: &str = "inference-header-content-length";
const INPUT: &str = "input";

#[derive(Serialize)]
struct Server {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; 1],
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    ready: bool,
}

#[derive(Serialize)]
struct Metadata {
    name: &'static str,
    versions: [&'static str; 1],
    platform: &'static str,
    inputs: [TensorMetadata; 1],
    outputs: [TensorMetadata; 3],
}

#[derive(Serialize)]
struct TensorMetadata {
    name: &'static str,
    datatype: &'static str,
    /// -1 for as many as are sent.
    shape: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Names>,
}

/// What stands at each place of a tensor's last dimension.
#[derive(Serialize)]
struct Names {
    names: String,
}

#[derive(Deserialize)]
struct Request {
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    inputs: Vec<Input>,
    outputs: Option<Vec<WantedOutput>>,
}

#[derive(Default, Deserialize)]
struct Parameters {
    /// Every output as binary data that does not say otherwise.
    #[serde(default)]
    binary_data_output: bool,
    /// Contributions too.
    #[serde(default)]
    contributions: bool,
}

#[derive(Deserialize)]
struct Input {
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

#[derive(Deserialize)]
struct WantedOutput {
    name: String,
    #[serde(default)]
    parameters: OutputParameters,
}

#[derive(Default, Deserialize)]
struct OutputParameters {
    binary_data: Option<bool>,
}

#[derive(Serialize)]
struct Answer<'a> {
    model_name: &'static str,
    model_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<AnswerOutput<'a>>,
}

#[derive(Serialize)]
struct AnswerOutput<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: &'a [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a [f64]>,
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

/// What a model can be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Probabilities,
    Margin,
    Contributions,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Probabilities, Kind::Margin, Kind::Contributions];

    fn name(self) -> &'static str {
        match self {
            Kind::Probabilities => "probabilities",
            Kind::Margin => "margin",
            Kind::Contributions => "contributions",
        }
    }

    /// The shape of one row's tensor.
    fn row_shape(self, model: &Model) -> Vec<usize> {
        match self {
            Kind::Probabilities | Kind::Margin => vec![model.output_count()],
            // Each feature's, and the mean margin behind them: together they are the margin.
            Kind::Contributions => vec![model.output_count(), model.features.len() + 1],
        }
    }

    /// One row's tensor, added to the others'.
    fn add(self, model: &Model, row: &[f64], to: &mut Vec<f64>) -> Result<(), Problem> {
        let no_covers =
            || Problem::invalid("outputs", "has contributions, which this model's file does not allow to compute");
        match self {
            Kind::Probabilities => to.extend(model.probabilities(row).unwrap_or_default()),
            Kind::Margin => to.extend(model.margins(row).unwrap_or_default()),
            Kind::Contributions => {
                for output in 0..model.output_count() {
                    let start = to.len();
                    to.resize(start + row.len(), 0.0);
                    model.explain(output, row, &mut to[start..]).ok_or_else(no_covers)?;
                    to.push(model.mean_margin(output).ok_or_else(no_covers)?);
                }
            }
        }
        Ok(())
    }
}

pub(super) fn server() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    Response::json(200, &Server { name: "bipolar-edge", version, extensions: ["binary_tensor_data"] })
}

pub(super) fn live() -> Response {
    Response::json(200, &Live { live: true })
}

pub(super) fn ready() -> Response {
    Response::json(200, &Ready { name: None, ready: !MODELS.is_empty() })
}

pub(super) fn model_ready(name: &str, version: Option<&str>) -> Result<Response, Problem> {
    find(name, version).map(|model| Response::json(200, &Ready { name: Some(model.name), ready: true }))
}

pub(super) fn model(name: &str, version: Option<&str>) -> Result<Response, Problem> {
    let model = find(name, version)?;
    let outputs = match model.output {
        Output::Classes { classes, .. } => classes.join(","),
        Output::Risk { event, .. } => event.to_owned(),
    };
    let tensor = |name, row_shape: &[usize], names: Option<String>| TensorMetadata {
        name,
        datatype: "FP64",
        shape: std::iter::once(-1).chain(row_shape.iter().map(|length| *length as i64)).collect(),
        parameters: names.map(|names| Names { names }),
    };
    let outputs = Kind::ALL.map(|kind| {
        let names = (kind != Kind::Contributions).then(|| outputs.clone());
        tensor(kind.name(), &kind.row_shape(model), names)
    });
    let inputs = [tensor(INPUT, &[model.features.len()], Some(model.features.join(",")))];
    let platform = "bipolar-edge_forest";
    Ok(Response::json(200, &Metadata { name: model.name, versions: [model.version], platform, inputs, outputs }))
}

pub(super) async fn infer<P: Platform>(
    asked: &Asked<'_, P>,
    name: &str,
    version: Option<&str>,
    body: impl RequestBody,
    record: &mut Record,
) -> Result<Response, Problem> {
    let model = find(name, version)?;
    let platform = &asked.instance.platform;
    let bytes = request::read_bytes(platform, asked.headers, body, BODY_LIMIT, asked.deadline).await?;
    let (json, binary) = bytes.split_at(json_length(asked.headers, bytes.len())?);
    let request: Request = serde_json::from_slice(&without_bare_words(json)).map_err(|error| {
        Problem::invalid("body", &format!("is no inference request: line {}, column {}", error.line(), error.column()))
    })?;
    let rows = rows(model, request.inputs, binary)?;
    let wanted = wanted(&request.parameters, request.outputs.as_deref())?;
    let count = rows.len() / model.features.len().max(1);
    if count > MOST_EXPLAINED && wanted.iter().any(|(kind, _)| *kind == Kind::Contributions) {
        return Err(Problem::invalid(
            "outputs",
            &format!("has contributions, of which {MOST_EXPLAINED} rows may be asked for"),
        ));
    }
    record.lap("request");
    let mut tensors: Vec<Vec<f64>> = wanted.iter().map(|_| Vec::new()).collect();
    for (index, row) in rows.chunks_exact(model.features.len().max(1)).enumerate() {
        if index % BLOCK == 0 && index > 0 || wanted.iter().any(|(kind, _)| *kind == Kind::Contributions) {
            platform.yield_now().await;
            if asked.deadline.has_passed() {
                return Err(Problem::OutOfTime);
            }
        }
        for ((kind, _), tensor) in wanted.iter().zip(&mut tensors) {
            kind.add(model, row, tensor)?;
        }
    }
    metrics::add(&INFERENCE_ROWS, &[model.name], count as u64);
    record.lap("inference");
    Ok(answer(model, request.id.as_deref(), count, &wanted, &tensors))
}

fn answer(model: &Model, id: Option<&str>, rows: usize, wanted: &[(Kind, bool)], tensors: &[Vec<f64>]) -> Response {
    let shapes: Vec<Vec<usize>> = wanted.iter().map(|(kind, _)| [vec![rows], kind.row_shape(model)].concat()).collect();
    let mut outputs = Vec::new();
    for ((&(kind, binary), tensor), shape) in wanted.iter().zip(tensors).zip(&shapes) {
        outputs.push(AnswerOutput {
            name: kind.name(),
            datatype: "FP64",
            shape,
            parameters: binary.then_some(BinarySize { binary_data_size: tensor.len() * size_of::<f64>() }),
            data: (!binary).then_some(tensor.as_slice()),
        });
    }
    let mut response =
        Response::json(200, &Answer { model_name: model.name, model_version: model.version, id, outputs });
    if !wanted.iter().any(|(_, binary)| *binary) {
        return response;
    }
    let json_length = response.body.len();
    for ((_, binary), tensor) in wanted.iter().zip(tensors) {
        if *binary {
            response.body.extend(tensor.iter().flat_map(|number| number.to_le_bytes()));
        }
    }
    let length = response.body.len();
    response
        .with_header("content-length", length.to_string())
        .with_header("content-type", "application/octet-stream")
        .with_header(JSON_LENGTH_HEADER, json_length.to_string())
}

fn find(name: &str, version: Option<&str>) -> Result<&'static Model, Problem> {
    let model = Model::find(name).ok_or(Problem::NoSuchModel)?;
    let same = version.is_none_or(|version| version == model.version);
    if same { Ok(model) } else { Err(Problem::NoSuchModel) }
}

/// Where the JSON of a body ends.
fn json_length(headers: &http::HeaderMap, body: usize) -> Result<usize, Problem> {
    let Some(said) = headers.get(JSON_LENGTH_HEADER) else { return Ok(body) };
    let length = said.to_str().ok().and_then(|text| text.parse().ok()).filter(|length| *length <= body);
    length.ok_or_else(|| Problem::invalid(JSON_LENGTH_HEADER, "must be a number of bytes that the body has"))
}

/// JSON has no word for what is not a number, and clients in Python write `NaN`, `Infinity` and `-Infinity`: they are put into
/// quotation marks.
fn without_bare_words(json: &[u8]) -> Cow<'_, [u8]> {
    let begins_word = |byte: &u8| [b'N', b'I'].contains(byte);
    if !json.iter().any(begins_word) {
        return Cow::Borrowed(json);
    }
    let mut out = Vec::with_capacity(json.len() + json.len() / 4);
    let (mut at, mut in_text) = (0, false);
    while let Some(byte) = json.get(at) {
        let word = [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| json[at..].starts_with(word));
        match (in_text, byte, word) {
            (true, b'\\', _) => {
                out.extend(json.iter().skip(at).take(2));
                at += 2;
                continue;
            }
            (_, b'"', _) => in_text = !in_text,
            (false, _, Some(word)) => {
                out.push(b'"');
                out.extend_from_slice(word);
                out.push(b'"');
                at += word.len();
                continue;
            }
            _ => {}
        }
        out.push(*byte);
        at += 1;
    }
    Cow::Owned(out)
}

/// The rows of a request, one after the other.
fn rows(model: &Model, inputs: Vec<Input>, binary: &[u8]) -> Result<Vec<f64>, Problem> {
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
        _ => return Err(Problem::invalid("inputs[0].datatype", "must be FP32 or FP64")),
    };
    let data = match (input.parameters.binary_data_size, input.data) {
        (Some(size), None) => {
            if size != binary.len() as u64 {
                return Err(Problem::invalid(
                    "inputs[0].parameters.binary_data_size",
                    "must be the bytes behind the JSON",
                ));
            }
            if wide { numbers(binary, f64::from_le_bytes) } else { numbers(binary, |b| f32::from_le_bytes(b).into()) }
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

/// Numbers of so many bytes each; none at all if the bytes do not come out even.
fn numbers<const SIZE: usize>(bytes: &[u8], read: impl Fn([u8; SIZE]) -> f64) -> Vec<f64> {
    let (numbers, rest) = bytes.as_chunks::<SIZE>();
    if rest.is_empty() { numbers.iter().map(|number| read(*number)).collect() } else { Vec::new() }
}

/// What is asked for, in which order, and whether as binary data.
fn wanted(parameters: &Parameters, outputs: Option<&[WantedOutput]>) -> Result<Vec<(Kind, bool)>, Problem> {
    let Some(outputs) = outputs.filter(|outputs| !outputs.is_empty()) else {
        let kinds = if parameters.contributions { &Kind::ALL[..] } else { &Kind::ALL[..2] };
        return Ok(kinds.iter().map(|kind| (*kind, parameters.binary_data_output)).collect());
    };
    let mut wanted: Vec<(Kind, bool)> = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == output.name);
        let kind = kind.filter(|kind| !wanted.iter().any(|(other, _)| other == kind)).ok_or_else(|| {
            Problem::invalid(
                &format!("outputs[{index}].name"),
                "must be probabilities, margin or contributions, each once",
            )
        })?;
        wanted.push((kind, output.parameters.binary_data.unwrap_or(parameters.binary_data_output)));
    }
    Ok(wanted)
}

/// A tensor's numbers in row-major order, flat in the JSON or nested as its shape is. Null, and what is not a number, is missing.
struct Flat(Vec<f64>);

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flat, D::Error> {
        let mut numbers = Vec::new();
        Part { numbers: &mut numbers, deeper: DEEPEST }.deserialize(deserializer)?;
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

/// What the fuzzer calls: a body whose JSON ends at its first zero byte.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(body: &[u8]) {
    let json = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    let (json, binary) = body.split_at(json);
    let Ok(request) = serde_json::from_slice::<Request>(&without_bare_words(json)) else { return };
    let wanted = wanted(&request.parameters, request.outputs.as_deref());
    let Some(model) = MODELS.first() else { return };
    if let (Ok(rows), Ok(wanted)) = (rows(model, request.inputs, binary), wanted) {
        let mut tensor = Vec::new();
        for (row, (kind, _)) in rows.chunks_exact(model.features.len().max(1)).zip(wanted.iter().cycle()) {
            let _ = kind.add(model, row, &mut tensor);
        }
    }
}
