//! `cargo xtask bench curves`: how the time of an answer grows with its work, and that the store does not grow with the
//! people who ask, plotted into `docs/plots`.

use crate::client::{self, Figures, milliseconds};
use crate::component::{self, Model};
use crate::plot::{Plot, Scale, Series};
use crate::server::{Application, Host, MANIFEST, Server};
use crate::{PLOTS, PREDICTIONS, forest, get, machine, project};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use xtask::benchmark::Options;
use xtask::toolchain::{Toolchain, check_rust};
use xtask::{build, step};

const VARIABLES: [&str; 4] =
    ["rate_limit_predictions=off", "rate_limit_default=off", "log_level=warn", "decision_log=false"];
/// The rounds that are used of the large model, 1,000 trees of 127 leaves.
const TREES: [usize; 7] = [1, 3, 10, 30, 100, 300, 1000];
const ROWS: [usize; 8] = [1, 4, 16, 64, 128, 256, 512, 1024];
/// The rows of each request of the curve of trees: a single row takes no time beside the rest of an answer.
const ROWS_OF_TREES: usize = 256;
/// The model of the curve of rows, by its number of trees.
const TREES_OF_ROWS: usize = 300;
const CHECKINS: [usize; 7] = [1, 2, 5, 10, 20, 40, 60];
const ENTRIES: [usize; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// The size of an entry, which is that of a person's predictions.
const ENTRY_BYTES: usize = 3_000;
/// The numbers of people who have asked when the store is measured.
const PEOPLE: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
/// One person in so many has changed a check-in, which writes a generation.
const PEOPLE_PER_CHANGE: usize = 10;
const CONNECTIONS_OF_PEOPLE: usize = 8;
/// The most keys of a store with the 400 slots of `spin.toml`: predictions, generations, jobs, tokens, tables of
/// limits, and the metrics, the key set and the sweep. Here nobody has jobs, tokens or limits.
const MAX_KEYS: usize = 400 + 448 + 50 + 64 + 4 + 3;
/// So many people take all slots.
const PEOPLE_WHO_FILL: usize = 10_000;
/// However many more ask, the store's file becomes at most so many times as large.
const MAX_GROWTH: f64 = 1.5;
const WEBHOOK_SECRET: &str = "a secret of the benchmarks";
const CONNECTIONS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// The store's file in a host's folder.
const STORE_FILE: &str = "sqlite_key_value.db";
const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(1);

/// Returns the name of the model with so many trees.
fn model_name(trees: usize) -> String {
    format!("trees_{trees:04}")
}

pub(crate) fn run() -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    let (folder, python) = forest::models()?;
    build::module(&toolchain, build::PORTABLE)?;
    let host = Host::set_up(Options::default())?;
    let file = folder.join("lightgbm_large.txt");
    let models = TREES.map(|trees| Model { name: model_name(trees), file: file.clone(), rounds: Some(trees) });
    let with_trees = component::build(&toolchain, &folder, &models)?;

    println!("==> measuring: leave the machine alone for seven minutes");
    println!("{}\n", machine());
    std::fs::create_dir_all(PLOTS)?;
    let start = |manifest: &Path| Application { variables: &VARIABLES, ..host.application(manifest) }.start();
    forest_curves(&start(&with_trees)?)?;
    request_curves(&start(MANIFEST.as_ref())?)?;
    people_curve(&host, &python)?;
    let mut entries = Vec::new();
    for count in ENTRIES {
        let server = start(MANIFEST.as_ref())?;
        // The first answer makes the file.
        client::once(server.address(), &get(PREDICTIONS))?;
        let state = server.state().context("the host has a state")?;
        fill(&python, &state.join(STORE_FILE), count)?;
        entries.push((count, best(&server, &get(PREDICTIONS), 1)?));
    }
    curve("entries", "A cached answer beside so many entries in the store (SQLite)", "entries", &entries)
}

/// Plots the time of a forest by its trees and by the rows of a request.
fn forest_curves(server: &Server) -> Result<()> {
    let trees = points(TREES, |trees| infer(server, &model_name(trees), ROWS_OF_TREES))?;
    curve("trees", &format!("{ROWS_OF_TREES} rows through a model of so many trees of 127 leaves"), "trees", &trees)?;
    let rows = points(ROWS, |rows| infer(server, &model_name(TREES_OF_ROWS), rows))?;
    curve("rows", &format!("So many rows through a model of {TREES_OF_ROWS} trees of 127 leaves"), "rows", &rows)
}

/// Plots the time of predictions by posted check-ins, and of cached answers by connections.
fn request_curves(server: &Server) -> Result<()> {
    let checkins = points(CHECKINS, |count| best(server, &post_check_ins(count), 1))?;
    curve("check-ins", "POST /data/predictions with so many check-ins, a window of 30 days", "check-ins", &checkins)?;
    let connections = points(CONNECTIONS, |connections| best(server, &get(PREDICTIONS), connections))?;
    curve("connections", "A cached answer on so many connections", "connections", &connections)
}

/// The size of a store.
struct StoreSize {
    keys: usize,
    file_bytes: u64,
}

/// Has more and more people ask, and plots the size of the store and the time of a cached answer. Errors if the store
/// grows once its slots are taken.
fn people_curve(host: &Host, python: &Path) -> Result<()> {
    let project = format!("supabase_url={}", project::start()?);
    let webhook = format!("webhook_secret={WEBHOOK_SECRET}");
    let source = [&project, "supabase_anon_key=anon", "supabase_service_key=service", "auth_mode=off", &webhook];
    let variables = [&source[..], &VARIABLES].concat();
    let server = Application { variables: &variables, ..host.application(Path::new(MANIFEST)) }.start()?;
    let state = server.state().context("the host has a state")?;
    let (mut asked, mut answers, mut sizes) = (0, Vec::new(), Vec::new());
    for people in PEOPLE {
        let ask = |number: usize| get(&format!("/data/predictions/{}", project::person(number)));
        client::each(server.address(), &ask, CONNECTIONS_OF_PEOPLE, asked..people)?;
        let change = |number: usize| check_in_change(&project::person(number * PEOPLE_PER_CHANGE));
        let changes = asked.div_ceil(PEOPLE_PER_CHANGE)..people.div_ceil(PEOPLE_PER_CHANGE);
        client::each(server.address(), &change, CONNECTIONS_OF_PEOPLE, changes)?;
        asked = people;
        sizes.push((people, store_size(python, state)?));
        answers.push((people, best(&server, &ask(people - 1), 1)?));
    }
    println!(
        "\nThe store (SQLite) after so many people asked: at most {MAX_KEYS} keys, and flat once its slots are taken"
    );
    println!("\n| people | keys | file, KiB |\n| --- | --- | --- |");
    for (people, StoreSize { keys, file_bytes }) in &sizes {
        println!("| {people} | {keys} | {} |", file_bytes / 1024);
    }
    let line = |of: fn(&StoreSize) -> f64| sizes.iter().map(|(people, size)| (*people as f64, of(size))).collect();
    let series: [Series; 2] = [
        ("keys".to_owned(), line(|size| size.keys as f64)),
        ("KiB of the file".to_owned(), line(|size| size.file_bytes as f64 / 1024.0)),
    ];
    let plot = Plot {
        title: "The store after so many people asked (SQLite, 400 slots)",
        x: ("people", Scale::Logarithmic),
        y: ("keys, KiB", Scale::Logarithmic),
    };
    plot.draw(&Path::new(PLOTS).join("store.svg"), &series)?;
    curve("people", "A cached answer after so many people asked (SQLite, 400 slots)", "people", &answers)?;
    ensure!(sizes.iter().all(|(_, size)| size.keys <= MAX_KEYS), "the store has more than {MAX_KEYS} keys");
    let full = sizes.iter().find(|(people, _)| *people == PEOPLE_WHO_FILL).context("nobody filled the slots")?;
    let limit = full.1.file_bytes as f64 * MAX_GROWTH;
    ensure!(sizes.iter().all(|(_, size)| size.file_bytes as f64 <= limit), "the store grows with the people who ask");
    Ok(())
}

/// Returns the request of the database's webhook after a change of a person's check-ins.
fn check_in_change(person: &str) -> Vec<u8> {
    let body =
        format!(r#"{{"type":"INSERT","table":"check_ins","record":{{"user_id":"{person}"}},"old_record":null}}"#);
    let head = "POST /hooks/check-ins HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let length = body.len();
    format!("{head}x-webhook-secret: {WEBHOOK_SECRET}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// Returns the size of the store in a host's folder.
fn store_size(python: &Path, state: &Path) -> Result<StoreSize> {
    let code = "import sqlite3, sys\n\
        store = sqlite3.connect(sys.argv[1], timeout=60)\n\
        print(store.execute('SELECT count(*) FROM spin_key_value').fetchone()[0])";
    let counted = step::output(python, &["-c", code, &state.join(STORE_FILE).display().to_string()]);
    let keys = counted.and_then(|count| count.trim().parse().ok()).context("the store's keys cannot be counted")?;
    Ok(StoreSize { keys, file_bytes: std::fs::metadata(state.join(STORE_FILE))?.len() })
}

/// Measures at each count.
fn points<const N: usize>(
    counts: [usize; N],
    measure: impl Fn(usize) -> Result<Figures>,
) -> Result<Vec<(usize, Figures)>> {
    counts.into_iter().map(|count| Ok((count, measure(count)?))).collect()
}

/// Returns the best of several rounds.
fn best(server: &Server, request: &[u8], connections: usize) -> Result<Figures> {
    server.repeat(request, 1, TIME / 4)?;
    let mut best = Figures::default();
    for _ in 0..ROUNDS {
        best.keep_better(server.repeat(request, connections, TIME)?);
    }
    Ok(best)
}

/// Measures rows through a model, sent as the binary tensors that clients of the Open Inference Protocol send.
fn infer(server: &Server, model: &str, rows: usize) -> Result<Figures> {
    let columns = columns(server, model)?;
    // Each row takes a path of its own.
    let mut noise = fastrand::Rng::with_seed(1);
    let numbers: Vec<u8> = (0..rows * columns).flat_map(|_| (noise.f64() * 10.0).to_le_bytes()).collect();
    let head = format!(
        r#"{{"inputs":[{{"name":"input","shape":[{rows},{columns}],"datatype":"FP64","parameters":{{"binary_data_size":{}}}}}],"outputs":[{{"name":"margin","parameters":{{"binary_data":true}}}}]}}"#,
        numbers.len()
    );
    let request = format!(
        "POST /v2/models/{model}/infer HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n\
         inference-header-content-length: {}\r\ncontent-length: {}\r\n\r\n{head}",
        head.len(),
        head.len() + numbers.len()
    );
    best(server, &[request.into_bytes(), numbers].concat(), 1)
}

/// Returns the number of features that a model has.
fn columns(server: &Server, model: &str) -> Result<usize> {
    let metadata = String::from_utf8(client::once(server.address(), &get(&format!("/v2/models/{model}")))?)?;
    let shape = metadata.split_once("\"shape\":[-1,").and_then(|(_, rest)| rest.split_once(']'));
    let columns = shape.and_then(|(columns, _)| columns.parse().ok());
    columns.with_context(|| format!("{model} does not say how many features it has"))
}

/// Returns the request for predictions from check-ins on as many days in a row.
fn post_check_ins(count: usize) -> Vec<u8> {
    let date = |day: usize| format!("2026-{:02}-{:02}", 1 + day / 28, 1 + day % 28);
    let checkins: Vec<String> = (0..count)
        .map(|day| {
            format!(
                r#"{{"checkin_date":"{}","sleep_data":{{"hoursSlept":{}}},"mood_data":{{"depressedMood":{},"energyLevel":{}}},"medicationAdherence":1}}"#,
                date(day),
                4 + day % 5,
                day % 9,
                9 - day % 8
            )
        })
        .collect();
    let body = format!(r#"{{"as_of":"{}","window_days":30,"checkins":[{}]}}"#, date(count - 1), checkins.join(","));
    let head = "POST /data/predictions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Adds entries to the store.
fn fill(python: &Path, file: &Path, count: usize) -> Result<()> {
    let code = "import sqlite3, sys, os\n\
        file, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])\n\
        store = sqlite3.connect(file, timeout=60)\n\
        store.execute('PRAGMA synchronous = OFF')\n\
        rows = (('default', f'filler:{os.urandom(16).hex()}', bytes(size)) for _ in range(count))\n\
        store.executemany('INSERT INTO spin_key_value VALUES (?, ?, ?)', rows)\n\
        store.commit()";
    let mut fill = Command::new(python);
    fill.args(["-c", code]).arg(file).args([count.to_string(), ENTRY_BYTES.to_string()]);
    step::run(&format!("putting {count} entries into the store"), &mut fill)
}

/// Prints a curve and plots it.
fn curve(name: &str, title: &str, x: &str, figures: &[(usize, Figures)]) -> Result<()> {
    ensure!(figures.len() > 3, "too few points");
    println!("\n{title}\n\n| {x} | p50 ms | p99 ms | answers/s |\n| --- | --- | --- | --- |");
    for (count, Figures { p50, p99, per_second, .. }) in figures {
        println!("| {count} | {:.3} | {:.3} | {per_second:.0} |", milliseconds(*p50), milliseconds(*p99));
    }
    println!("\nexponent over the larger half: {:.2}", exponent(&figures[figures.len() / 2..]));
    let line = |pick: fn(&Figures) -> Duration| {
        figures.iter().map(|(count, figures)| (*count as f64, milliseconds(pick(figures)))).collect()
    };
    let series: [Series; 2] =
        [("p50".to_owned(), line(|figures| figures.p50)), ("p99".to_owned(), line(|figures| figures.p99))];
    let plot = Plot { title, x: (x, Scale::Logarithmic), y: ("ms", Scale::Logarithmic) };
    plot.draw(&Path::new(PLOTS).join(format!("{name}.svg")), &series)
}

/// Returns the slope of the regression line in logarithmic coordinates: 1 where time grows in proportion, 0 where it
/// does not grow.
fn exponent(figures: &[(usize, Figures)]) -> f64 {
    let points: Vec<(f64, f64)> =
        figures.iter().map(|(count, figures)| ((*count as f64).ln(), figures.p50.as_secs_f64().ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread
}
