//! The component's typed interface, called by a host that knows nothing of HTTP, gives what the same models give
//! natively.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use bipolar_edge_models::MODELS;
use std::path::Path;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "bipolar:edge/component",
        exports: { default: async },
    });
}

use bindings::exports::bipolar::edge::predictor::Error;

#[tokio::test]
async fn another_component_can_list_predict_and_explain() {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join(target).join("wasm32-wasip2/release/bipolar_edge.wasm");
    assert!(file.is_file(), "{} is not there: run `cargo xtask test`, which builds it", file.display());
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    let engine = Engine::new(&config).expect("an engine");
    let component = Component::from_file(&engine, file).expect("a component");
    let mut linker = Linker::<()>::new(&engine);
    // The interface needs nothing of a host: no store, no variable, no clock. Asking for any of it ends the call.
    linker.define_unknown_imports_as_traps(&component).expect("linked");
    let mut store = Store::new(&engine, ());
    let instance = bindings::Component::instantiate_async(&mut store, &component, &linker).await.expect("instantiated");
    let predictor = instance.bipolar_edge_predictor();

    let models = predictor.call_list_models(&mut store).await.expect("called");
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, MODELS.map(|model| model.name));
    assert_eq!(models[0].outputs, ["euthymia", "mania", "depression", "mixed"]);
    assert_eq!(models[0].features, MODELS[0].features);

    let table = std::fs::read_to_string(root.join("tests/fixtures/bring_your_own/features.csv")).expect("rows");
    for line in table.lines().skip(1).step_by(10) {
        let row: Vec<f64> = line.split(',').skip(2).map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
        for model in &MODELS {
            let served =
                predictor.call_predict(&mut store, model.name, &row).await.expect("called").expect("predicted");
            let native = model.probabilities(&row).expect("the row fits");
            let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&served), bits(&native), "{}", model.name);
            let output = native.len() as u32 - 1;
            let explained = predictor.call_explain(&mut store, model.name, &row, output).await.expect("called");
            let explained = explained.expect("explained");
            let mut contributions = vec![0.0; row.len()];
            model.explain(output as usize, &row, &mut contributions).expect("explained");
            assert_eq!(bits(&explained.contributions), bits(&contributions), "{}", model.name);
            assert_eq!(Some(explained.mean_margin), model.mean_margin(output as usize));
        }
    }

    let wrong = predictor.call_predict(&mut store, "mood", &[]).await.expect("called").expect_err("no model");
    assert!(matches!(wrong, Error::NoSuchModel));
    let wrong = predictor.call_predict(&mut store, "mood_state", &[1.0]).await.expect("called").expect_err("too short");
    assert!(matches!(wrong, Error::WrongLength(75)));
    let row = vec![f64::NAN; 75];
    let wrong = predictor.call_explain(&mut store, "mood_state", &row, 4).await.expect("called").expect_err("0 to 3");
    assert!(matches!(wrong, Error::NoSuchOutput));
}
