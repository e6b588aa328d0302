//! The predictor, called by a host that knows nothing of HTTP and by a component that it is composed with, gives what
//! the models give natively.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use bipolar_edge_models::{MODELS, Output};
use std::path::{Path, PathBuf};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "bipolar:edge/component",
        exports: { default: async },
    });
}

use bindings::exports::bipolar::edge::predictor::Error;

/// Returns the path of a file of the repository.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// Returns the bytes of a Wasm file that `cargo xtask test` builds.
fn built(name: &str) -> Vec<u8> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| file("target"), |own| file("").join(own));
    let file = target.join("wasm32-wasip2/release").join(name);
    assert!(file.is_file(), "{} is not there: run `cargo xtask test`, which builds it", file.display());
    std::fs::read(file).expect("readable")
}

/// Links what a component imports to traps: it needs nothing of a host but a place for the message of a panic, and
/// whatever is asked for ends the call.
fn linker_of_traps(engine: &Engine, component: &Component) -> Linker<()> {
    let mut linker = Linker::new(engine);
    linker.define_unknown_imports_as_traps(component).expect("linked");
    linker
}

/// Reads the rows of features that Python made predictions for.
fn rows() -> Vec<Vec<f64>> {
    let table = std::fs::read_to_string(file("tests/fixtures/bring_your_own/features.csv")).expect("rows");
    let row = |line: &str| line.split(',').skip(2).map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
    table.lines().skip(1).step_by(10).map(row).collect()
}

#[tokio::test]
async fn a_host_can_list_predict_and_explain() {
    let engine = Engine::default();
    let component = Component::new(&engine, built("bipolar_edge_predictor.wasm")).expect("a component");
    let linker = linker_of_traps(&engine, &component);
    let mut store = Store::new(&engine, ());
    let instance = bindings::Component::instantiate_async(&mut store, &component, &linker).await.expect("instantiated");
    let predictor = instance.bipolar_edge_predictor();

    let models = predictor.call_list_models(&mut store).await.expect("called");
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, MODELS.map(|model| model.name));
    assert_eq!(models[0].outputs, ["euthymia", "mania", "depression", "mixed"]);
    assert_eq!(models[0].features, MODELS[0].features);

    for row in rows() {
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

/// Composes a component with a dependency as Spin does for `[component.x.dependencies]`: the export of one is the
/// argument of the other, by its name, and the exports of the whole are those of the component.
fn composed(component: Vec<u8>, dependency: Vec<u8>, interface: &str) -> Vec<u8> {
    let mut graph = CompositionGraph::new();
    let component = Package::from_bytes("application", None, component, graph.types_mut()).expect("a component");
    let dependency = Package::from_bytes("predictor", None, dependency, graph.types_mut()).expect("a component");
    let exports: Vec<String> = graph.types()[component.ty()].exports.keys().cloned().collect();
    let component = graph.register_package(component).expect("registered");
    let component = graph.instantiate(component);
    let dependency = graph.register_package(dependency).expect("registered");
    let dependency = graph.instantiate(dependency);
    let export = graph.alias_instance_export(dependency, interface).expect("the dependency exports it");
    graph.set_instantiation_argument(component, interface, export).expect("the component imports it");
    for name in exports {
        let export = graph.alias_instance_export(component, &name).expect("it was listed");
        graph.export(export, &name).expect("exported once");
    }
    graph.encode(EncodeOptions::default()).expect("what is composed is valid")
}

#[tokio::test]
async fn an_application_can_take_it_as_a_dependency() {
    let bytes =
        composed(built("predictor_guest.wasm"), built("bipolar_edge_predictor.wasm"), "bipolar:edge/predictor@0.1.0");
    let engine = Engine::default();
    let component = Component::new(&engine, bytes).expect("a component");
    let linker = linker_of_traps(&engine, &component);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate_async(&mut store, &component).await.expect("instantiated");
    let predictions =
        instance.get_typed_func::<(&[f64],), (Vec<String>,)>(&mut store, "predictions").expect("it exports that");

    for row in rows() {
        let (lines,) = predictions.call_async(&mut store, (&row,)).await.expect("called");
        let native = MODELS.iter().map(|model| {
            let outputs: Vec<&str> = match model.output {
                Output::Classes { classes, .. } => classes.to_vec(),
                Output::Risk { event, .. } => vec![event],
            };
            let probabilities = model.probabilities(&row).expect("the row fits");
            let cells = outputs.iter().zip(probabilities).map(|(output, p)| format!(" {output}={p}"));
            format!("{}:{}", model.name, cells.collect::<String>())
        });
        assert_eq!(lines, native.collect::<Vec<_>>());
    }
    let (lines,) = predictions.call_async(&mut store, (&[1.0],)).await.expect("called");
    assert_eq!(lines[0], "mood_state: a row has 75 numbers");
}
