//! A component that takes the models as a dependency, as an application for Spin does.

#![cfg(target_family = "wasm")]

#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, reason = "generated")]
mod generated {
    wit_bindgen::generate!({ path: ["../../wit", "wit"], world: "predictor:guest/application", generate_all });
    export!(Application);
    pub struct Application;
}

use generated::bipolar::edge::predictor::{Error, list_models, predict};

impl generated::Guest for generated::Application {
    fn predictions(row: Vec<f64>) -> Vec<String> {
        let line = |name: &str, outputs: &[String]| match predict(name, &row) {
            Ok(probabilities) => {
                let cells = outputs.iter().zip(probabilities).map(|(output, p)| format!(" {output}={p}"));
                format!("{name}:{}", cells.collect::<String>())
            }
            Err(Error::WrongLength(features)) => format!("{name}: a row has {features} numbers"),
            Err(_) => format!("{name}: no prediction"),
        };
        list_models().iter().map(|model| line(&model.name, &model.outputs)).collect()
    }
}
