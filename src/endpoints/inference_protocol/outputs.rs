//! The output tensors of a model, and those that a request asks for.

use crate::problem::Problem;
use bipolar_edge_models::Model;
use serde::Deserialize;

/// The output tensors that a model can be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum OutputKind {
    Probabilities,
    Margin,
    Contributions,
}

impl OutputKind {
    pub(super) const ALL: [OutputKind; 3] = [OutputKind::Probabilities, OutputKind::Margin, OutputKind::Contributions];

    pub(super) fn name(self) -> &'static str {
        match self {
            OutputKind::Probabilities => "probabilities",
            OutputKind::Margin => "margin",
            OutputKind::Contributions => "contributions",
        }
    }

    /// The shape of one row's tensor.
    pub(super) fn row_shape(self, model: &Model) -> Vec<usize> {
        match self {
            OutputKind::Probabilities | OutputKind::Margin => vec![model.output_count()],
            // Each feature's, and the mean margin behind them: together they are the margin.
            OutputKind::Contributions => vec![model.output_count(), model.features.len() + 1],
        }
    }

    /// Appends one row's tensor to the others'.
    pub(super) fn append(self, model: &Model, row: &[f64], to: &mut Vec<f64>) -> Result<(), Problem> {
        let no_covers =
            || Problem::invalid("outputs", "has contributions, which this model's file does not allow to compute");
        match self {
            OutputKind::Probabilities => to.extend(model.probabilities(row).unwrap_or_default()),
            OutputKind::Margin => to.extend(model.margins(row).unwrap_or_default()),
            OutputKind::Contributions => {
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

/// An output that a request asks for.
#[derive(Deserialize)]
pub(super) struct RequestedOutput {
    name: String,
    #[serde(default)]
    parameters: OutputParameters,
}

#[derive(Default, Deserialize)]
struct OutputParameters {
    binary_data: Option<bool>,
    /// Triton's extension for labels in place of numbers.
    classification: Option<serde::de::IgnoredAny>,
}

/// The parameters of a request.
#[derive(Default, Deserialize)]
pub(super) struct Parameters {
    /// Every output that does not say otherwise is binary data.
    #[serde(default)]
    binary_data_output: bool,
    /// Contributions are an output too, where the request names none.
    #[serde(default)]
    contributions: bool,
}

/// An output that is answered, and its form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SelectedOutput {
    pub(super) kind: OutputKind,
    pub(super) is_binary: bool,
}

/// Selects the outputs that a request asks for, in its order.
pub(super) fn select_outputs(
    parameters: &Parameters,
    outputs: Option<&[RequestedOutput]>,
) -> Result<Vec<SelectedOutput>, Problem> {
    let Some(outputs) = outputs.filter(|outputs| !outputs.is_empty()) else {
        let kinds = if parameters.contributions { &OutputKind::ALL[..] } else { &OutputKind::ALL[..2] };
        let is_binary = parameters.binary_data_output;
        return Ok(kinds.iter().map(|kind| SelectedOutput { kind: *kind, is_binary }).collect());
    };
    let mut selected: Vec<SelectedOutput> = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let kind = OutputKind::ALL.into_iter().find(|kind| kind.name() == output.name);
        let kind = kind.filter(|kind| selected.iter().all(|other| other.kind != *kind)).ok_or_else(|| {
            Problem::invalid(
                &format!("outputs[{index}].name"),
                "must be probabilities, margin or contributions, each once",
            )
        })?;
        if output.parameters.classification.is_some() {
            return Err(Problem::invalid(
                &format!("outputs[{index}].parameters.classification"),
                "is not supported: ask for probabilities, whose names the model's metadata has",
            ));
        }
        let is_binary = output.parameters.binary_data.unwrap_or(parameters.binary_data_output);
        selected.push(SelectedOutput { kind, is_binary });
    }
    Ok(selected)
}
