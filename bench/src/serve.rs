//! `cargo xtask bench serve`: the time of answers beside other servers, by turns, in one run.

use crate::client::{Figures, milliseconds};
use crate::competitors::{Component, NATIVE_NAME, OLD_STACK, OLD_STACK_NAME, Programs, World};
use crate::project::days_ago;
use crate::server::Server;
use crate::{PREDICTIONS, machine};
use anyhow::Result;
use std::time::Duration;
use xtask::benchmark::Options;

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
    /// Hello-worlds are asked too.
    hello: bool,
    /// Measured in every world and not in the first alone: each takes two starts a round, Spin's a second and more.
    every_world: bool,
    /// Beyond so many connections the slowest server takes longer than a client waits.
    max_connections: usize,
}

pub(crate) fn run(options: Options) -> Result<()> {
    let programs = Programs::build(options)?;
    println!("==> measuring: leave the machine alone for a quarter of an hour");
    println!("{}; {}; {}\n", machine(), programs.host.name(), OLD_STACK.join(", "));
    println!(
        "| asked | connections | server | world | p50 ms | p99 ms | p99.9 ms | requests/s | CPU us a request \
         | memory MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut summary = String::new();
    for case in cases() {
        let counts = options.connections(&CONNECTIONS).iter().copied();
        for connections in counts.filter(|connections| *connections <= case.max_connections) {
            let rows = Rows::measure(options, &programs, &case, connections)?;
            rows.print(&case, connections);
            summary += &rows.summary(&case, connections);
        }
    }
    println!(
        "\n| asked | connections | world | p50 ms | times hello-world's | times native axum's | p99 ms | requests/s \
         | times hello-world's | times the old stack's | memory MiB (old stack) |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n{summary}");
    Ok(())
}

/// The figures of all servers for one case.
struct Rows {
    /// For each world a row a component, in the order of [`Component::ALL`].
    components: Vec<(World, [Row; 2])>,
    native: Row,
    old_stack: Row,
}

impl Rows {
    /// Measures all servers by turns.
    fn measure(options: Options, programs: &Programs, case: &Case, connections: usize) -> Result<Rows> {
        let count = if case.every_world { programs.worlds.len() } else { 1 };
        let components = programs.worlds.iter().take(count).map(|world| (*world, [Row::default(); 2])).collect();
        let mut all = Rows { components, native: Row::default(), old_stack: Row::default() };
        let ttl = if case.cached { "cache_ttl_seconds=300" } else { "cache_ttl_seconds=0" };
        let variables = [ttl, "rate_limit_predictions=100000000/minute", "log_level=warn"];
        for _ in 0..options.rounds(ROUNDS) {
            for (world, rows) in &mut all.components {
                for (row, component) in rows.iter_mut().zip(Component::ALL) {
                    if case.hello || matches!(component, Component::Service) {
                        let server = programs.start(component, *world, &variables, &[])?;
                        row.keep_better(options, &server, case, connections)?;
                    }
                }
            }
            all.native.keep_better(options, &programs.start_native(case.cached)?, case, connections)?;
            if let Some(old_stack) = &programs.old_stack {
                all.old_stack.keep_better(options, &old_stack.start(case.cached)?.server, case, connections)?;
            }
        }
        Ok(all)
    }

    fn print(&self, case: &Case, connections: usize) {
        for (world, rows) in &self.components {
            for (row, component) in rows.iter().zip(Component::ALL) {
                row.print(case, connections, component.name(), world.name());
            }
        }
        self.native.print(case, connections, NATIVE_NAME, World::NONE);
        self.old_stack.print(case, connections, OLD_STACK_NAME, World::NONE);
    }

    /// Returns a row of the summary for each world: this service beside the others.
    fn summary(&self, case: &Case, connections: usize) -> String {
        let p50 = |row: &Row| milliseconds(row.figures.p50);
        let rows = self.components.iter().map(|(world, [ours, hello])| {
            let times = |other: &Row| match other.figures.per_second {
                0.0 => String::new(),
                _ => format!("{:.2}", p50(ours) / p50(other)),
            };
            let throughput = |other: &Row, digits: usize| match other.figures.per_second {
                0.0 => String::new(),
                _ => format!("{:.digits$}", ours.figures.per_second / other.figures.per_second),
            };
            format!(
                "| {} | {connections} | {} | {:.2} | {} | {} | {:.2} | {:.0} | {} | {} | {:.0} ({:.0}) |\n",
                case.name,
                world.name(),
                p50(ours),
                times(hello),
                times(&self.native),
                milliseconds(ours.figures.p99),
                ours.figures.per_second,
                throughput(hello, 2),
                throughput(&self.old_stack, 1),
                ours.memory_mib,
                self.old_stack.memory_mib
            )
        });
        rows.collect()
    }
}

fn cases() -> Vec<Case> {
    let checkins: Vec<String> = (10..17)
        .map(|day| {
            format!(
                r#"{{"checkin_date":"{}","hoursSlept":{},"depressedMood":{},"energyLevel":{},"medicationAdherence":1,"anxietyStress":4,"elevation":2}}"#,
                days_ago(16 - day),
                4 + day % 5,
                day % 9,
                9 - day % 8
            )
        })
        .collect();
    let posted = format!(r#"{{"as_of":"2026-01-16","checkins":[{}]}}"#, checkins.join(","));
    let batch = format!(r#"{{"items":[{}]}}"#, vec![posted.as_str(); 256].join(","));
    let get = |name, cached, query: &str| Case {
        name,
        cached,
        method: "GET",
        path: format!("{PREDICTIONS}{query}"),
        body: String::new(),
        closes: false,
        hello: true,
        every_world: false,
        max_connections: 128,
    };
    let post = |name, path: &str, body| Case {
        name,
        cached: false,
        method: "POST",
        path: path.to_owned(),
        body,
        closes: false,
        hello: true,
        every_world: true,
        max_connections: 128,
    };
    vec![
        Case { every_world: true, ..get("cached", true, "") },
        Case { closes: true, ..get("cached, a connection each", true, "") },
        get("uncached", false, ""),
        get("uncached, explained", false, "?explain=true"),
        post("POST, 7 check-ins", "/data/predictions", posted),
        // A server that leaves a body of this length unread hangs up, as a hello-world does.
        Case {
            max_connections: 8,
            hello: false,
            every_world: false,
            ..post("batch of 256", "/data/predictions/batch", batch)
        },
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
    fn keep_better(&mut self, options: Options, server: &Server, case: &Case, connections: usize) -> Result<()> {
        let request = case.request();
        server.repeat(&request, 1, options.time(WARM_UP))?;
        let before = server.processor_time()?;
        let time = options.time(TIME);
        let figures = server.repeat(&request, connections, time)?;
        let answers = figures.per_second * time.as_secs_f64();
        let processor = (server.processor_time()? - before).as_secs_f64() * 1e6 / answers;
        if figures.per_second > self.figures.per_second {
            *self = Row { figures, processor, memory_mib: server.memory_mib()? };
        }
        Ok(())
    }

    fn print(&self, case: &Case, connections: usize, name: &str, world: &str) {
        let Figures { p50, p99, p999, per_second, .. } = self.figures;
        if per_second == 0.0 {
            return;
        }
        println!(
            "| {} | {connections} | {name} | {world} | {:.2} | {:.2} | {:.2} | {per_second:.0} | {:.0} | {:.0} |",
            case.name,
            milliseconds(p50),
            milliseconds(p99),
            milliseconds(p999),
            self.processor,
            self.memory_mib
        );
    }
}
