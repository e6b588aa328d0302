//! `cargo xtask bench curves`: how an answer's time grows with what it has to do, plotted into `docs/plots`.

use super::{CACHED, component_with, forest, machine};
use crate::build::{self, target};
use crate::drive::{self, Figures, Server};
use crate::plot::{Plot, Scale, Series};
use crate::step;
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PLOTS: &str = "docs/plots";
const OFF: [&str; 3] = ["rate_limit_predictions=off", "rate_limit_default=off", "log_level=warn"];
/// Rounds that are used of the large model, 1,000 trees of 127 leaves.
const TREES: [usize; 7] = [1, 3, 10, 30, 100, 300, 1000];
const ROWS: [usize; 8] = [1, 4, 16, 64, 128, 256, 512, 1024];
/// The rows of every question about trees: one row's walk is nothing beside the rest of an answer.
const ROWS_OF_TREES: usize = 256;
const CHECKINS: [usize; 7] = [1, 2, 5, 10, 20, 40, 60];
const ENTRIES: [usize; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// As many bytes as an entry of a person has.
const ENTRY_BYTES: usize = 3_000;
const CONNECTIONS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_secs(1);

pub(super) fn run() -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    let folder = std::path::absolute(target().join("bench"))?;
    let python = forest::models(&folder)?;
    build::module(&toolchain, &[])?;
    let program = build::host()?;
    let config = folder.join("sqlite.toml");
    std::fs::write(&config, "")?;
    let names: Vec<String> = TREES.iter().map(|rounds| format!("trees_{rounds:04}")).collect();
    let models: Vec<_> = names
        .iter()
        .zip(TREES)
        .map(|(name, rounds)| (name.as_str(), folder.join("lightgbm_large.txt"), Some(rounds)))
        .collect();
    let with_trees = component_with(&toolchain, &folder, &models)?;

    println!("==> measuring: leave the machine alone for five minutes");
    println!("{}\n", machine());
    std::fs::create_dir_all(PLOTS)?;
    let start = |manifest: &Path| Server::start(&program, manifest, &config, &OFF, None);
    let own = Path::new("spin.toml");

    let server = start(&with_trees)?;
    let trees = names.iter().zip(TREES).map(|(name, trees)| Ok((trees, infer(&server, name, ROWS_OF_TREES)?)));
    let trees: Vec<(usize, Figures)> = trees.collect::<Result<_>>()?;
    curve("trees", &format!("{ROWS_OF_TREES} rows through a model of so many trees of 127 leaves"), "trees", &trees)?;
    let rows = ROWS.map(|rows| Ok((rows, infer(&server, "trees_0300", rows)?))).into_iter();
    let rows: Vec<(usize, Figures)> = rows.collect::<Result<_>>()?;
    curve("rows", "So many rows through a model of 300 trees of 127 leaves", "rows", &rows)?;
    drop(server);

    let server = start(own)?;
    let history = CHECKINS.map(|count| Ok((count, best(&server, &posted(count), 1)?)));
    let history: Vec<(usize, Figures)> = history.into_iter().collect::<Result<_>>()?;
    curve("check-ins", "POST /data/predictions with so many check-ins, a window of 30 days", "check-ins", &history)?;
    let cached = get(CACHED);
    let connections = CONNECTIONS.map(|connections| Ok((connections, best(&server, &cached, connections)?)));
    let connections: Vec<(usize, Figures)> = connections.into_iter().collect::<Result<_>>()?;
    curve("connections", "A cached answer on so many connections", "connections", &connections)?;
    drop(server);

    let mut entries = Vec::new();
    for count in ENTRIES {
        let server = start(own)?;
        // The file is made by the first answer.
        drive::once(server.address(), &cached)?;
        let state = server.state().context("the host has a state")?;
        fill(&python, &state.join("sqlite_key_value.db"), count)?;
        entries.push((count, best(&server, &cached, 1)?));
    }
    curve("entries", "A cached answer beside so many entries in the store (SQLite)", "entries", &entries)
}

/// The best of several rounds.
fn best(server: &Server, request: &[u8], connections: usize) -> Result<Figures> {
    drive::drive(server.address(), &|_| request.to_vec(), 1, TIME / 4)?;
    let mut best = Figures::default();
    for _ in 0..ROUNDS {
        best.keep_better(drive::drive(server.address(), &|_| request.to_vec(), connections, TIME)?);
    }
    Ok(best)
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// Rows through a model, as the binary tensors that clients of the Open Inference Protocol send.
fn infer(server: &Server, model: &str, rows: usize) -> Result<Figures> {
    let columns = {
        let metadata = drive::once(server.address(), &get(&format!("/v2/models/{model}")))?;
        let metadata = String::from_utf8(metadata)?;
        let shape = metadata.split_once("\"shape\":[-1,").and_then(|(_, rest)| rest.split_once(']'));
        shape.and_then(|(columns, _)| columns.parse::<usize>().ok())
    };
    let columns = columns.with_context(|| format!("{model} does not say how many features it has"))?;
    // Noise of a linear congruential generator: each row takes a path of its own.
    let mut state = 1_u32;
    let numbers = (0..rows * columns).flat_map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (f64::from(state) / f64::from(u32::MAX) * 10.0).to_le_bytes()
    });
    let numbers: Vec<u8> = numbers.collect();
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

/// Check-ins of as many days in a row.
fn posted(count: usize) -> Vec<u8> {
    let checkins: Vec<String> = (0..count)
        .map(|day| {
            format!(
                r#"{{"checkin_date":"2026-{:02}-{:02}","sleep_data":{{"hoursSlept":{}}},"mood_data":{{"depressedMood":{},"energyLevel":{}}},"medicationAdherence":1}}"#,
                1 + day / 28,
                1 + day % 28,
                4 + day % 5,
                day % 9,
                9 - day % 8
            )
        })
        .collect();
    let body = format!(r#"{{"window_days":30,"checkins":[{}]}}"#, checkins.join(","));
    let head = "POST /data/predictions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Fills the store up to so many entries.
fn fill(python: &Path, file: &Path, count: usize) -> Result<()> {
    let code = "import sqlite3, sys, os\n\
        file, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])\n\
        store = sqlite3.connect(file, timeout=60)\n\
        store.execute('PRAGMA synchronous = OFF')\n\
        rows = (('default', f'filler:{os.urandom(16).hex()}', bytes(size)) for _ in range(count))\n\
        store.executemany('INSERT INTO spin_key_value VALUES (?, ?, ?)', rows)\n\
        store.commit()\n\
        store.execute('PRAGMA wal_checkpoint(TRUNCATE)')";
    let mut fill = Command::new(python);
    fill.args(["-c", code]).arg(file).args([count.to_string(), ENTRY_BYTES.to_string()]);
    step::run(&format!("putting {count} entries into the store"), &mut fill)
}

/// Prints one curve and plots it. The exponent is the slope of the straight line through the larger half on doubly logarithmic paper:
/// 1 where time grows in proportion, 0 where it does not grow.
fn curve(name: &str, title: &str, x: &str, figures: &[(usize, Figures)]) -> Result<()> {
    ensure!(figures.len() > 3, "too few points");
    println!("\n{title}\n\n| {x} | p50 ms | p99 ms | answers/s |\n| --- | --- | --- | --- |");
    for (count, figures) in figures {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!("| {count} | {:.3} | {:.3} | {:.0} |", ms(figures.p50), ms(figures.p99), figures.per_second);
    }
    let half: Vec<(f64, f64)> = figures[figures.len() / 2..]
        .iter()
        .map(|(count, figures)| ((*count as f64).ln(), figures.p50.as_secs_f64().ln()))
        .collect();
    let mean = |of: fn(&(f64, f64)) -> f64| half.iter().map(of).sum::<f64>() / half.len() as f64;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = half.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = half.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    println!("\nexponent over the larger half: {slope:.2}");
    let of = |pick: fn(&Figures) -> Duration| {
        figures.iter().map(|(count, figures)| (*count as f64, pick(figures).as_secs_f64() * 1e3)).collect::<Vec<_>>()
    };
    let series: [Series; 2] =
        [("p50".to_owned(), of(|figures| figures.p50)), ("p99".to_owned(), of(|figures| figures.p99))];
    let plot = Plot { title, x: (x, Scale::Logarithmic), y: ("ms", Scale::Logarithmic) };
    plot.draw(&Path::new(PLOTS).join(format!("{name}.svg")), &series)
}
