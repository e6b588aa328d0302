//! `cargo xtask bench inference`: the Open Inference Protocol beside MLServer, with the same models, rows and requests,
//! by turns.

use crate::client::{self, Figures, milliseconds};
use crate::component::{self, Model};
use crate::server::{Application, Host, Server};
use crate::{NO_RATE_LIMITS, forest, get, machine};
use anyhow::{Context, Result, ensure};
use harness::process::{Launch, Output, free_port, poll};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use xtask::benchmark::Options;
use xtask::python;
use xtask::toolchain::{Toolchain, check_rust};

/// MLServer as its documentation installs it, with the libraries of the models. uvloop 0.21 is the last that its
/// workers start with.
const MLSERVER: [&str; 6] = [
    "mlserver==1.7.1",
    "mlserver-lightgbm==1.7.1",
    "mlserver-xgboost==1.7.1",
    "lightgbm==4.7.0",
    "xgboost==3.2.0",
    "uvloop==0.21.0",
];
const MLSERVER_TIMEOUT: Duration = Duration::from_secs(120);
/// Models of 400 trees and 75 features: the name, the file, and MLServer's runtime for it.
const MODELS: [(&str, &str, &str); 2] = [
    ("lightgbm_medium", "lightgbm_medium.txt", "mlserver_lightgbm.LightGBMModel"),
    ("xgboost_medium", "xgboost_medium.json", "mlserver_xgboost.XGBoostModel"),
];
const ROWS: [usize; 3] = [1, 16, 256];
const CONNECTIONS: [usize; 3] = [1, 8, 64];
/// How long each server is measured, and how often by turns.
const TIME: Duration = Duration::from_secs(2);
const ROUNDS: usize = 2;

pub(crate) fn run() -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    let (folder, _) = forest::models()?;
    let python = python::environment("bench/mlserver", &MLSERVER)?;
    let host = Host::set_up(Options::default())?;
    let models = MODELS.map(|(name, file, _)| Model { name: name.to_owned(), file: folder.join(file), rounds: None });
    let manifest = component::build(&toolchain, &folder, &models)?;
    let rows = rows(&folder.join("rows.csv"))?;

    let mlserver = start_mlserver(&python, &folder)?;
    let service = Application { variables: &NO_RATE_LIMITS, ..host.application(&manifest) }.start()?;

    println!("==> measuring: leave the machine alone for three minutes");
    println!("{}; {}\n", machine(), MLSERVER.join(", "));
    println!(
        "| model | rows | connections | p50 ms (MLServer) | ratio | p99 ms (MLServer) | rows/s (MLServer) | ratio |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut max_difference: f64 = 0.0;
    for (model, ..) in MODELS {
        for count in ROWS {
            let sides = [
                (&service, request(service.address(), model, &rows[..count], "probabilities")),
                (&mlserver, request(mlserver.address(), model, &rows[..count], "predict")),
            ];
            let [ours, theirs] = [0, 1].map(|side| predictions(sides[side].0, &sides[side].1));
            for (one, other) in ours?.iter().zip(theirs?) {
                max_difference = max_difference.max((one - other).abs());
            }
            for connections in CONNECTIONS {
                print_row(model, count, connections, measure(&sides, connections)?);
            }
        }
    }
    println!("\nlargest difference between two predictions: {max_difference:e}");
    let (ours, theirs) = (service.memory_mib()?, mlserver.memory_mib()?);
    println!("memory after it, in MiB: {ours:.0} ({theirs:.0}), ratio {:.1}", theirs / ours);
    Ok(())
}

/// Measures two servers by turns.
fn measure(sides: &[(&Server, Vec<u8>); 2], connections: usize) -> Result<[Figures; 2]> {
    let mut best = [Figures::default(); 2];
    for _ in 0..ROUNDS {
        for (best, (server, request)) in best.iter_mut().zip(sides) {
            best.keep_better(server.repeat(request, connections, TIME)?);
        }
    }
    Ok(best)
}

fn print_row(model: &str, rows: usize, connections: usize, [ours, theirs]: [Figures; 2]) {
    println!(
        "| {model} | {rows} | {connections} | {:.2} ({:.2}) | {:.1} | {:.2} ({:.2}) | {:.0} ({:.0}) | {:.1} |",
        milliseconds(ours.p50),
        milliseconds(theirs.p50),
        milliseconds(theirs.p50) / milliseconds(ours.p50),
        milliseconds(ours.p99),
        milliseconds(theirs.p99),
        ours.per_second * rows as f64,
        theirs.per_second * rows as f64,
        ours.per_second / theirs.per_second,
    );
}

/// Reads the rows. Missing values become 0, because MLServer reads none from JSON.
fn rows(file: &Path) -> Result<Vec<Vec<f64>>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite()).unwrap_or(0.0);
    let rows: Vec<Vec<f64>> = text.lines().map(|line| line.split(',').map(number).collect()).collect();
    ensure!(rows.len() >= 256 && rows.iter().all(|row| row.len() == rows[0].len()), "{} is odd", file.display());
    Ok(rows)
}

/// Returns the request for predictions about rows. Only the name of the output differs between the servers.
fn request(address: &str, model: &str, rows: &[Vec<f64>], output: &str) -> Vec<u8> {
    let numbers: Vec<String> = rows.iter().flatten().map(f64::to_string).collect();
    let body = format!(
        r#"{{"inputs":[{{"name":"input","shape":[{},{}],"datatype":"FP64","data":[{}]}}],"outputs":[{{"name":"{output}"}}]}}"#,
        rows.len(),
        rows[0].len(),
        numbers.join(",")
    );
    let path = format!("/v2/models/{model}/infer");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

/// Sends a request; returns the numbers of the answer's only output.
fn predictions(server: &Server, request: &[u8]) -> Result<Vec<f64>> {
    let body = String::from_utf8(client::once(server.address(), request)?)?;
    let data = body.split_once("\"data\":[").and_then(|(_, rest)| rest.split_once(']'));
    let (numbers, _) = data.with_context(|| format!("no data: {body}"))?;
    numbers.split(',').map(|number| Ok(number.trim().parse()?)).collect()
}

/// Starts MLServer with the models and waits until each is ready.
fn start_mlserver(python: &Path, folder: &Path) -> Result<Server> {
    let settings_folder = folder.join("mlserver-models");
    let _ = std::fs::remove_dir_all(&settings_folder);
    for (model, file, runtime) in MODELS {
        std::fs::create_dir_all(settings_folder.join(model))?;
        let settings = format!(
            r#"{{"name":"{model}","implementation":"{runtime}","parameters":{{"uri":"{}"}}}}"#,
            folder.join(file).display()
        );
        std::fs::write(settings_folder.join(model).join("model-settings.json"), settings)?;
    }
    let [http, grpc, metrics] = [free_port()?, free_port()?, free_port()?];
    let settings = format!(r#"{{"debug":false,"http_port":{http},"grpc_port":{grpc},"metrics_port":{metrics}}}"#);
    std::fs::write(settings_folder.join("settings.json"), settings)?;
    println!("==> starting MLServer");
    let mut command = Command::new(python.with_file_name("mlserver"));
    command.arg("start").arg(&settings_folder);
    let launch = Launch::listening_on(command, format!("127.0.0.1:{http}"))
        .stdout(Output::File(folder.join("mlserver.log")))
        .stderr(Output::File(folder.join("mlserver-errors.log")))
        .start_timeout(MLSERVER_TIMEOUT);
    let logs = || format!("see the logs of MLServer in {}", folder.display());
    let server = Server::launch(launch).with_context(logs)?;
    let is_ready = |(model, ..): &(&str, &str, &str)| {
        client::once(server.address(), &get(&format!("/v2/models/{model}/ready"))).is_ok()
    };
    poll("MLServer is ready", MLSERVER_TIMEOUT, || Ok(MODELS.iter().all(is_ready).then_some(()))).with_context(logs)?;
    Ok(server)
}
