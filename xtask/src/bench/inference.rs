//! `cargo xtask bench inference`: the Open Inference Protocol beside MLServer, the same models, rows and questions, by turns.

use super::{component_with, forest, machine};
use crate::build::target;
use crate::drive::{self, Server};
use crate::python;
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// MLServer as its documentation installs it, with the libraries of the models. uvloop 0.21 is the last that its workers start
/// with.
const MLSERVER: [&str; 6] = [
    "mlserver==1.7.1",
    "mlserver-lightgbm==1.7.1",
    "mlserver-xgboost==1.7.1",
    "lightgbm==4.7.0",
    "xgboost==3.2.0",
    "uvloop==0.21.0",
];
/// 400 trees each, of 75 features. Model, file, MLServer's runtime for it.
const MODELS: [(&str, &str, &str); 2] = [
    ("lightgbm_medium", "lightgbm_medium.txt", "mlserver_lightgbm.LightGBMModel"),
    ("xgboost_medium", "xgboost_medium.json", "mlserver_xgboost.XGBoostModel"),
];
const ROWS: [usize; 3] = [1, 16, 256];
const CONNECTIONS: [usize; 3] = [1, 8, 64];
/// How long each is asked, and how often by turns.
const TIME: Duration = Duration::from_secs(2);
const ROUNDS: usize = 2;

pub(super) fn run() -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    let folder = std::path::absolute(target().join("bench"))?;
    forest::models(&folder)?;
    let python = python::environment("bench/mlserver", &MLSERVER)?;
    let program = crate::build::host()?;
    let models = MODELS.map(|(name, file, _)| (name, folder.join(file), None));
    let manifest = component_with(&toolchain, &folder, &models)?;
    let rows = rows(&folder.join("rows.csv"))?;

    let mlserver = MlServer::start(&python, &folder)?;
    let config = folder.join("in-memory.toml");
    std::fs::write(&config, "[key_value_store.default]\ntype = \"memory\"\n")?;
    let off = ["rate_limit_predictions=off", "rate_limit_default=off"];
    let ours = Server::start(&program, &manifest, &config, &off, None)?;
    let servers = [(ours.address(), true), (mlserver.server.address(), false)];

    println!("==> measuring: leave the machine alone for three minutes");
    println!("{}; {}\n", machine(), MLSERVER.join(", "));
    println!(
        "| model | rows | connections | p50 ms (MLServer) | ratio | p99 ms (MLServer) | rows/s (MLServer) | ratio |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut largest_difference: f64 = 0.0;
    for (model, ..) in MODELS {
        for count in ROWS {
            let questions = servers.map(|(address, ours)| question(address, model, &rows[..count], ours));
            let [one, other] = [0, 1].map(|side| predictions(servers[side].0, &questions[side]));
            for (one, other) in one?.iter().zip(other?) {
                largest_difference = largest_difference.max((one - other).abs());
            }
            for connections in CONNECTIONS {
                let mut best = [drive::Figures::default(); 2];
                for _ in 0..ROUNDS {
                    for ((best, (address, _)), question) in best.iter_mut().zip(servers).zip(&questions) {
                        best.keep_better(drive::drive(address, &|_| question.clone(), connections, TIME)?);
                    }
                }
                let [ours, theirs] = best;
                let ms = |time: Duration| time.as_secs_f64() * 1e3;
                println!(
                    "| {model} | {count} | {connections} | {:.2} ({:.2}) | {:.1} | {:.2} ({:.2}) | {:.0} ({:.0}) | {:.1} |",
                    ms(ours.p50),
                    ms(theirs.p50),
                    ms(theirs.p50) / ms(ours.p50),
                    ms(ours.p99),
                    ms(theirs.p99),
                    ours.per_second * count as f64,
                    theirs.per_second * count as f64,
                    ours.per_second / theirs.per_second,
                );
            }
        }
    }
    println!("\nlargest difference between two predictions: {largest_difference:e}");
    let (ours, theirs) = (ours.memory()?, mlserver.server.memory()?);
    println!("memory after it, in MiB: {ours:.0} ({theirs:.0}), ratio {:.1}", theirs / ours);
    Ok(())
}

/// The rows, without missing values: MLServer reads none from JSON.
fn rows(file: &Path) -> Result<Vec<Vec<f64>>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite()).unwrap_or(0.0);
    let rows: Vec<Vec<f64>> = text.lines().map(|line| line.split(',').map(number).collect()).collect();
    ensure!(rows.len() >= 256 && rows.iter().all(|row| row.len() == rows[0].len()), "{} is odd", file.display());
    Ok(rows)
}

/// The question about rows, the same for both but for the output that each has.
fn question(address: &str, model: &str, rows: &[Vec<f64>], ours: bool) -> Vec<u8> {
    let numbers: Vec<String> = rows.iter().flatten().map(f64::to_string).collect();
    let output = if ours { "probabilities" } else { "predict" };
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

/// The numbers of an answer's only output.
fn predictions(address: &str, question: &[u8]) -> Result<Vec<f64>> {
    let body = String::from_utf8(drive::once(address, question)?)?;
    let data = body.split_once("\"data\":[").and_then(|(_, rest)| rest.split_once(']'));
    let (numbers, _) = data.with_context(|| format!("no data: {body}"))?;
    numbers.split(',').map(|number| Ok(number.trim().parse()?)).collect()
}

/// MLServer with the models, which ends with this value.
struct MlServer {
    server: Server,
}

impl MlServer {
    fn start(python: &Path, folder: &Path) -> Result<MlServer> {
        let own = folder.join("mlserver-models");
        let _ = std::fs::remove_dir_all(&own);
        for (model, file, runtime) in MODELS {
            std::fs::create_dir_all(own.join(model))?;
            let settings = format!(
                r#"{{"name":"{model}","implementation":"{runtime}","parameters":{{"uri":"{}"}}}}"#,
                folder.join(file).display()
            );
            std::fs::write(own.join(model).join("model-settings.json"), settings)?;
        }
        let [http, grpc, metrics] = [free_port()?, free_port()?, free_port()?];
        let settings = format!(r#"{{"debug":false,"http_port":{http},"grpc_port":{grpc},"metrics_port":{metrics}}}"#);
        std::fs::write(own.join("settings.json"), settings)?;
        let log = std::fs::File::create(folder.join("mlserver.log"))?;
        println!("==> starting MLServer");
        let mut process = Command::new(python.with_file_name("mlserver"))
            .arg("start")
            .arg(&own)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start MLServer")?;
        let address = format!("127.0.0.1:{http}");
        let start = Instant::now();
        loop {
            let ready = |(model, ..): &(&str, &str, &str)| {
                let ready = format!("GET /v2/models/{model}/ready HTTP/1.1\r\nhost: x\r\n\r\n");
                drive::once(&address, ready.as_bytes()).is_ok()
            };
            if MODELS.iter().all(ready) {
                return Ok(MlServer { server: Server::at(process, address) });
            }
            if let Some(status) = process.try_wait()? {
                bail!("MLServer ended ({status}): see {}", folder.join("mlserver.log").display());
            }
            ensure!(start.elapsed() < Duration::from_secs(120), "MLServer is not ready after two minutes");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
