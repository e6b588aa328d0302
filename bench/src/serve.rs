//! `cargo xtask bench serve`: the time of answers beside other servers, by turns, in one run.

use crate::client::{Figures, milliseconds};
use crate::competitors::{NAMES, OLD_STACK, Programs};
use crate::server::{OwnHost, Server};
use crate::{PREDICTIONS, machine};
use anyhow::Result;
use std::time::Duration;
use xtask::spin;

pub(crate) const CONNECTIONS: [usize; 4] = [1, 8, 32, 128];
pub(crate) const TIME: Duration = Duration::from_millis(1500);
/// How long a server is loaded before it is measured.
pub(crate) const WARM_UP: Duration = Duration::from_millis(300);
const ROUNDS: usize = 2;

/// A kind of request.
struct Case {
    name: &'static str,
    /// Answers come from a cache.
    cached: bool,
    method: &'static str,
    path: String,
    body: String,
    /// Every request has a connection of its own.
    closes: bool,
    /// Beyond so many connections the slowest server takes longer than a client waits.
    max_connections: usize,
}

pub(crate) fn run() -> Result<()> {
    let programs = Programs::build()?;
    println!("==> measuring: leave the machine alone for ten minutes");
    println!("{}; {}\n", machine(), OLD_STACK.join(", "));
    println!(
        "| asked | connections | server | p50 ms | p99 ms | p99.9 ms | requests/s | CPU us a request | memory MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut summary = String::new();
    for case in cases() {
        for connections in CONNECTIONS.into_iter().filter(|connections| *connections <= case.max_connections) {
            let rows = measure(&programs, &case, connections)?;
            for (row, name) in rows.iter().zip(NAMES) {
                row.print(&case, connections, name);
            }
            summary += &summary_row(&case, connections, &rows);
        }
    }
    println!(
        "\n| asked | connections | p50 ms | times hello-world's | times native axum's | requests/s | times the old stack's | memory MiB (old stack) |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |\n{summary}");
    Ok(())
}

/// Measures all servers by turns, in the order of [`NAMES`].
fn measure(programs: &Programs, case: &Case, connections: usize) -> Result<[Row; 5]> {
    let mut rows = [Row::default(); 5];
    for _ in 0..ROUNDS {
        let ttl = if case.cached { "cache_ttl_seconds=300" } else { "cache_ttl_seconds=0" };
        let variables = [ttl, "rate_limit_predictions=off", "log_level=warn"];
        let service = OwnHost { variables: &variables, ..programs.service() };
        rows[0].keep_better(&service.start()?, case, connections)?;
        if case.method == "GET" {
            rows[1].keep_better(&programs.hello().start()?, case, connections)?;
        }
        rows[2].keep_better(&programs.start_native(case.cached)?, case, connections)?;
        rows[3].keep_better(&programs.start_old_stack(case.cached)?.server, case, connections)?;
        if spin::is_installed() {
            rows[4].keep_better(&Server::spin(&variables)?, case, connections)?;
        }
    }
    Ok(rows)
}

/// Returns a row of the summary: this service beside the others.
fn summary_row(case: &Case, connections: usize, rows: &[Row; 5]) -> String {
    let [ours, hello, native, old, _] = rows;
    let p50 = |row: &Row| milliseconds(row.figures.p50);
    let times = |other: &Row| match other.figures.per_second {
        0.0 => String::new(),
        _ => format!("{:.2}", p50(ours) / p50(other)),
    };
    format!(
        "| {} | {connections} | {:.2} | {} | {} | {:.0} | {:.1} | {:.0} ({:.0}) |\n",
        case.name,
        p50(ours),
        times(hello),
        times(native),
        ours.figures.per_second,
        ours.figures.per_second / old.figures.per_second,
        ours.memory_mib,
        old.memory_mib
    )
}

fn cases() -> Vec<Case> {
    let checkins: Vec<String> = (10..17)
        .map(|day| {
            format!(
                r#"{{"checkin_date":"2026-01-{day}","hoursSlept":{},"depressedMood":{},"energyLevel":{},"medicationAdherence":1,"anxietyStress":4,"elevation":2}}"#,
                4 + day % 5,
                day % 9,
                9 - day % 8
            )
        })
        .collect();
    let posted = format!(r#"{{"checkins":[{}]}}"#, checkins.join(","));
    let batch = format!(r#"{{"items":[{}]}}"#, vec![posted.as_str(); 256].join(","));
    let get = |name, cached, query: &str| Case {
        name,
        cached,
        method: "GET",
        path: format!("{PREDICTIONS}{query}"),
        body: String::new(),
        closes: false,
        max_connections: 128,
    };
    let post = |name, path: &str, body| Case {
        name,
        cached: false,
        method: "POST",
        path: path.to_owned(),
        body,
        closes: false,
        max_connections: 128,
    };
    vec![
        get("cached", true, ""),
        Case { closes: true, ..get("cached, a connection each", true, "") },
        get("uncached", false, ""),
        get("uncached, explained", false, "?explain=true"),
        post("POST, 7 check-ins", "/data/predictions", posted),
        Case { max_connections: 8, ..post("batch of 256", "/data/predictions/batch", batch) },
    ]
}

impl Case {
    fn request(&self) -> Vec<u8> {
        let (method, path, length) = (self.method, &self.path, self.body.len());
        let close = if self.closes { "connection: close\r\n" } else { "" };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{close}");
        match method {
            "GET" => format!("{head}\r\n").into_bytes(),
            _ => format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{}", self.body)
                .into_bytes(),
        }
    }
}

/// The figures of one server for one case.
#[derive(Clone, Copy, Default)]
struct Row {
    figures: Figures,
    /// Microseconds of processor time for one answer.
    processor: f64,
    /// Mebibytes afterwards.
    memory_mib: f64,
}

impl Row {
    /// Measures a server, and replaces these figures if there are more answers a second.
    fn keep_better(&mut self, server: &Server, case: &Case, connections: usize) -> Result<()> {
        let request = case.request();
        server.repeat(&request, 1, WARM_UP)?;
        let before = server.processor_time()?;
        let figures = server.repeat(&request, connections, TIME)?;
        let answers = figures.per_second * TIME.as_secs_f64();
        let processor = (server.processor_time()? - before).as_secs_f64() * 1e6 / answers;
        if figures.per_second > self.figures.per_second {
            *self = Row { figures, processor, memory_mib: server.memory_mib()? };
        }
        Ok(())
    }

    fn print(&self, case: &Case, connections: usize, name: &str) {
        let Figures { p50, p99, p999, per_second, .. } = self.figures;
        if per_second == 0.0 {
            return;
        }
        println!(
            "| {} | {connections} | {name} | {:.2} | {:.2} | {:.2} | {per_second:.0} | {:.0} | {:.0} |",
            case.name,
            milliseconds(p50),
            milliseconds(p99),
            milliseconds(p999),
            self.processor,
            self.memory_mib
        );
    }
}
