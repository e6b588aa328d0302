//! `bipolar:edge/predictor`: the models without HTTP. See `wit/predictor.wit`.
//!
//! A component that takes it as a dependency, as `tests/predictor_guest` does:
//!
//! ```ignore
//! wit_bindgen::generate!({ world: "clinic", generate_all });
//! use bipolar::edge::predictor::{list_models, predict};
//!
//! let model = &list_models()[0];
//! // One number a feature, in the order of `features`; NaN is a missing one.
//! let probabilities = predict(&model.name, &vec![f64::NAN; model.features.len()])?;
//! ```

#![cfg(target_family = "wasm")]

use bipolar_edge_models::{MODELS, Model, Output};

#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, reason = "generated")]
mod generated {
    wit_bindgen::generate!({ path: "../../wit", world: "component" });
    pub(super) use exports::bipolar::edge::predictor;
    export!(Predictor);
    pub struct Predictor;
}

use generated::predictor::{self, Error, Explanation};

impl predictor::Guest for generated::Predictor {
    fn list_models() -> Vec<predictor::Model> {
        let text = |text: &&str| (*text).to_owned();
        let model = |model: &Model| predictor::Model {
            name: model.name.to_owned(),
            version: model.version.to_owned(),
            features: model.features.iter().map(text).collect(),
            outputs: match model.output {
                Output::Classes { classes, .. } => classes.iter().map(text).collect(),
                Output::Risk { event, .. } => vec![event.to_owned()],
            },
        };
        MODELS.iter().map(model).collect()
    }

    fn predict(name: String, row: Vec<f64>) -> Result<Vec<f64>, Error> {
        let model = find(&name)?;
        model.probabilities(&row).ok_or(Error::WrongLength(model.features.len() as u32))
    }

    fn explain(name: String, row: Vec<f64>, output: u32) -> Result<Explanation, Error> {
        let model = find(&name)?;
        if row.len() != model.features.len() {
            return Err(Error::WrongLength(model.features.len() as u32));
        }
        let output = output as usize;
        if output >= model.output_count() {
            return Err(Error::NoSuchOutput);
        }
        let mut contributions = vec![0.0; row.len()];
        let explained = model.explain(output, &row, &mut contributions);
        let mean_margin = explained.and_then(|()| model.mean_margin(output)).ok_or(Error::NoExplanation)?;
        Ok(Explanation { mean_margin, contributions })
    }
}

fn find(name: &str) -> Result<&'static Model, Error> {
    Model::find(name).ok_or(Error::NoSuchModel)
}
