//! `cargo xtask bench serve`: answers beside a hello-world component on the same host, which is the floor, a native server with the same
//! forests, which is the ceiling, and the service before this one, rebuilt in Python. By turns, in one run.

use super::{forest, machine};
use crate::build::{self, target};
use crate::drive::{self, Figures, Server};
use crate::python;
use crate::server::REDIS;
use crate::step::{self, cargo};
use crate::toolchain::{Toolchain, check_rust};
use crate::up::spin_is_here;
use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The old stack, as it would be installed today.
const OLD_STACK: [&str; 7] = [
    "fastapi==0.115.14",
    "uvicorn==0.34.0",
    "uvloop==0.21.0",
    "httptools==0.6.4",
    "lightgbm==4.7.0",
    "numpy==2.4.6",
    "redis==6.2.0",
];
const PERSON: &str = "/data/predictions/33333333-3333-4333-8333-333333333333";
const CONNECTIONS: [usize; 4] = [1, 8, 32, 128];
const TIME: Duration = Duration::from_millis(1500);
const ROUNDS: usize = 2;
const NAMES: [&str; 5] = ["this service", "hello-world", "native axum", "old stack", "this service on Spin"];

/// What is asked.
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
    most_connections: usize,
}

pub(super) fn run() -> Result<()> {
    let Servers { program, config, native, python, folder } = Servers::build()?;
    println!("==> measuring: leave the machine alone for ten minutes");
    println!("{}; {}\n", machine(), OLD_STACK.join(", "));
    println!(
        "| asked | connections | server | p50 ms | p99 ms | p99.9 ms | requests/s | CPU us a request | memory MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut summary = String::new();
    for case in cases() {
        for connections in CONNECTIONS.into_iter().filter(|connections| *connections <= case.most_connections) {
            let mut rows = [Row::default(); 5];
            for _ in 0..ROUNDS {
                let ttl = if case.cached { "cache_ttl_seconds=300" } else { "cache_ttl_seconds=0" };
                let ours = [ttl, "rate_limit_predictions=off", "log_level=warn"];
                rows[0].keep_better(
                    &Server::start(&program, "spin.toml".as_ref(), &config, &ours, None)?,
                    &case,
                    connections,
                )?;
                if case.method == "GET" {
                    let hello = Server::start(&program, HELLO.as_ref(), &config, &[], None)?;
                    rows[1].keep_better(&hello, &case, connections)?;
                }
                let mode = if case.cached { "cache" } else { "no-cache" };
                rows[2].keep_better(&Server::run(Command::new(&native).arg(mode))?, &case, connections)?;
                let old = OldStack::start(&python, &folder, case.cached)?;
                rows[3].keep_better(&old.server, &case, connections)?;
                drop(old);
                if spin_is_here() {
                    rows[4].keep_better(&Server::spin("spin.toml".as_ref(), &ours)?, &case, connections)?;
                }
            }
            for (row, name) in rows.iter().zip(NAMES) {
                row.print(&case, connections, name);
            }
            summary += &summed_up(&case, connections, &rows);
        }
    }
    println!(
        "\n| asked | connections | p50 ms | times hello-world's | times native axum's | requests/s | times the old stack's | memory MiB (old stack) |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |\n{summary}");
    Ok(())
}

/// `cargo xtask bench start`: how long a first answer takes, of a server and of an instance, how many answers stall, and what the client can do
/// that asks.
pub(super) fn start() -> Result<()> {
    let Servers { program, config, native, python, folder } = Servers::build()?;
    println!("==> measuring: leave the machine alone for two minutes");
    println!("{}; {}\n", machine(), OLD_STACK.join(", "));
    client_alone()?;
    cold_starts(&program, &config, &native, &python, &folder)?;
    stalls(&program, &config)
}

/// What is compared, built.
struct Servers {
    program: PathBuf,
    /// A runtime configuration that changes nothing.
    config: PathBuf,
    native: PathBuf,
    python: PathBuf,
    folder: PathBuf,
}

impl Servers {
    fn build() -> Result<Servers> {
        check_rust()?;
        let toolchain = Toolchain::set_up()?;
        REDIS.set_up()?;
        let folder = std::path::absolute(target().join("bench"))?;
        forest::models(&folder)?;
        let python = python::environment("bench/old-stack", &OLD_STACK)?;
        build::module(&toolchain, &["hello"])?;
        let program = build::host()?;
        step::run(
            "building the native server",
            cargo().args(["build", "--locked", "--release", "--package", "native"]),
        )?;
        let config = folder.join("sqlite.toml");
        std::fs::write(&config, "")?;
        Ok(Servers { program, config, native: target().join("release/native"), python, folder })
    }
}

const HELLO: &str = "tests/beside/hello/spin.toml";

/// One row of what counts: ours beside the others.
fn summed_up(case: &Case, connections: usize, rows: &[Row; 5]) -> String {
    let [ours, hello, native, old, _] = rows;
    let p50 = |row: &Row| row.figures.p50.as_secs_f64() * 1e3;
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
        ours.memory,
        old.memory
    )
}

/// What the client alone can do: against threads that answer as many bytes without looking at the question.
fn client_alone() -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 3000\r\n\r\n{}", " ".repeat(3000));
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut question = [0; 4096];
                while stream.read(&mut question).is_ok_and(|read| read > 0)
                    && stream.write_all(answer.as_bytes()).is_ok()
                {}
            });
        }
    });
    println!("| the client alone, connections | p50 ms | requests/s |\n| --- | --- | --- |");
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
    for connections in CONNECTIONS {
        let figures = drive::drive(&address, &|_| request.clone(), connections, TIME)?;
        println!("| {connections} | {:.3} | {:.0} |", figures.p50.as_secs_f64() * 1e3, figures.per_second);
    }
    Ok(())
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
        path: format!("{PERSON}{query}"),
        body: String::new(),
        closes: false,
        most_connections: 128,
    };
    let post = |name, path: &str, body| Case {
        name,
        cached: false,
        method: "POST",
        path: path.to_owned(),
        body,
        closes: false,
        most_connections: 128,
    };
    vec![
        get("cached", true, ""),
        Case { closes: true, ..get("cached, a connection each", true, "") },
        get("uncached", false, ""),
        get("uncached, explained", false, "?explain=true"),
        post("POST, 7 check-ins", "/data/predictions", posted),
        Case { most_connections: 8, ..post("batch of 256", "/data/predictions/batch", batch) },
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

/// How a server did.
#[derive(Clone, Copy, Default)]
struct Row {
    figures: Figures,
    /// Microseconds of processor time for one answer.
    processor: f64,
    /// Mebibytes afterwards.
    memory: f64,
}

impl Row {
    fn keep_better(&mut self, server: &Server, case: &Case, connections: usize) -> Result<()> {
        let request = case.request();
        drive::drive(server.address(), &|_| request.clone(), 1, Duration::from_millis(300))?;
        let before = server.processor_time()?;
        let figures = drive::drive(server.address(), &|_| request.clone(), connections, TIME)?;
        let answers = figures.per_second * TIME.as_secs_f64();
        let processor = (server.processor_time()? - before).as_secs_f64() * 1e6 / answers;
        if figures.per_second > self.figures.per_second {
            *self = Row { figures, processor, memory: server.memory()? };
        }
        Ok(())
    }

    fn print(&self, case: &Case, connections: usize, name: &str) {
        let Figures { p50, p99, p999, per_second, .. } = self.figures;
        if per_second == 0.0 {
            return;
        }
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "| {} | {connections} | {name} | {:.2} | {:.2} | {:.2} | {per_second:.0} | {:.0} | {:.0} |",
            case.name,
            ms(p50),
            ms(p99),
            ms(p999),
            self.processor,
            self.memory
        );
    }
}

/// Starts one or the other.
type Start<'a> = &'a dyn Fn() -> Result<(Option<OldStack>, Option<Server>)>;

/// From starting a server to its first answer, and the answers of instances of which each is new.
fn cold_starts(program: &Path, config: &Path, native: &Path, python: &Path, folder: &Path) -> Result<()> {
    let request = format!("GET {PERSON} HTTP/1.1\r\nhost: x\r\n\r\n");
    let first = |start: Start<'_>| -> Result<Duration> {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let begun = Instant::now();
            let (old, server) = start()?;
            let server = old.as_ref().map(|old| &old.server).or(server.as_ref()).context("a server")?;
            drive::once(server.address(), request.as_bytes())?;
            best = best.min(begun.elapsed());
        }
        Ok(best)
    };
    let ours = |manifest: &'static str| {
        move || Ok((None, Some(Server::start(program, manifest.as_ref(), config, &[], None)?)))
    };
    println!("\n| from starting the server to its first answer | ms |\n| --- | --- |");
    let of_native = || Ok((None, Some(Server::run(Command::new(native).arg("cache"))?)));
    let of_old = || Ok((Some(OldStack::start(python, folder, true)?), None));
    let starts: [Start<'_>; 4] = [&ours("spin.toml"), &ours(HELLO), &of_native, &of_old];
    for (start, name) in starts.into_iter().zip(NAMES) {
        println!("| {name} | {:.0} |", first(start)?.as_secs_f64() * 1e3);
    }
    println!("\n| each answer by a new instance, one connection | p50 ms | ratio |\n| --- | --- | --- |");
    let mut best = [Figures::default(); 2];
    for _ in 0..ROUNDS {
        for (best, manifest) in best.iter_mut().zip(["spin.toml", HELLO]) {
            let off = ["rate_limit_default=off", "log_level=warn"];
            let variables = if manifest == "spin.toml" { &off[..] } else { &[] };
            let flags = ["--max-instance-reuse-count", "1"];
            let server = Server::start_with(program, manifest.as_ref(), config, variables, None, &flags)?;
            let request = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
            best.keep_better(drive::drive(server.address(), &|_| request.clone(), 1, TIME)?);
        }
    }
    let ms = |figures: &Figures| figures.p50.as_secs_f64() * 1e3;
    println!("| this service, /health/live | {:.2} | {:.2} |", ms(&best[0]), ms(&best[0]) / ms(&best[1]));
    println!("| hello-world | {:.2} | 1.00 |", ms(&best[1]));
    Ok(())
}

/// Without TCP_NODELAY, as Spin is: the share of answers that waited for the client's delayed acknowledgement.
fn stalls(program: &Path, config: &Path) -> Result<()> {
    println!(
        "\n| without TCP_NODELAY, connections | stalled, this service, cached | stalled, hello-world |\n| --- | --- | --- |"
    );
    for connections in [1, 2, 8, 32] {
        let mut shares = Vec::new();
        for manifest in ["spin.toml", HELLO] {
            let off = ["rate_limit_predictions=off", "log_level=warn"];
            let variables = if manifest == "spin.toml" { &off[..] } else { &[] };
            let server =
                Server::start_with(program, manifest.as_ref(), config, variables, None, &["--no-tcp-nodelay"])?;
            server.drive(PERSON, 1, 1, Duration::from_millis(300))?;
            shares.push(server.drive(PERSON, 1, connections, 2 * TIME)?.stalled * 100.0);
        }
        println!("| {connections} | {:.2} % | {:.2} % |", shares[0], shares[1]);
    }
    Ok(())
}

/// The service before this one, with its Redis.
struct OldStack {
    server: Server,
    redis: Child,
}

impl OldStack {
    fn start(python: &Path, folder: &Path, cached: bool) -> Result<OldStack> {
        let port = || -> Result<u16> { Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
        let (redis_port, http) = (port()?.to_string(), port()?.to_string());
        let redis = Command::new("redis-server")
            .args(["--port", &redis_port, "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start redis-server")?;
        let mut uvicorn = Command::new(python.with_file_name("uvicorn"));
        uvicorn
            .args([
                "app:app",
                "--workers",
                "2",
                "--loop",
                "uvloop",
                "--http",
                "httptools",
                "--no-access-log",
                "--port",
                &http,
            ])
            .current_dir("tests/beside/old_stack")
            .env("FOLDER", folder)
            .env("REDIS_PORT", &redis_port)
            .env("CACHE", if cached { "1" } else { "0" })
            // One thread each, so that two workers do not fight for two cores.
            .env("OMP_NUM_THREADS", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Server::at(uvicorn.spawn().context("cannot start uvicorn")?, format!("127.0.0.1:{http}"));
        let start = Instant::now();
        while drive::once(server.address(), format!("GET {PERSON} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).is_err() {
            ensure!(start.elapsed() < Duration::from_secs(60), "the old stack does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(OldStack { server, redis })
    }
}

impl Drop for OldStack {
    fn drop(&mut self) {
        let _ = self.redis.kill();
        let _ = self.redis.wait();
    }
}
