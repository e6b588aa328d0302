//! A server under load, and how it answers: keep-alive connections of our own, each of which asks as soon as it was answered.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A host with a state of its own, which ends with this value.
pub(crate) struct Server {
    process: Child,
    address: String,
    state: std::path::PathBuf,
}

/// How it answered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) p50: Duration,
    pub(crate) per_second: f64,
}

impl Figures {
    pub(crate) fn keep_better(&mut self, other: Figures) {
        if other.per_second > self.per_second {
            *self = other;
        }
    }
}

impl Server {
    /// Starts the project's own host with a runtime configuration and some variables set, and waits until it listens.
    pub(crate) fn start(program: &Path, config: &Path, variables: &[&str]) -> Result<Server> {
        let state = std::env::temp_dir().join(format!("bipolar-edge-bench-{}", std::process::id()));
        let mut process = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--quiet", "--state-dir"])
            .arg(&state)
            .arg("--runtime-config-file")
            .arg(config)
            .args(variables.iter().flat_map(|variable| ["--variable", variable]))
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().rsplit_once("http://").map(|(_, address)| address.to_owned());
        let server = Server { process, address: address.unwrap_or_default(), state };
        ensure!(!server.address.is_empty(), "the host does not say where it listens: {line:?}");
        Ok(server)
    }

    /// Asks for a path on so many connections for so long, by turns as so many callers.
    pub(crate) fn drive(&self, path: &str, callers: usize, connections: usize, time: Duration) -> Result<Figures> {
        let start = Instant::now();
        let taken: Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..connections)
                .map(|first| scope.spawn(move || ask(&self.address, path, (first, callers), start + time)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread ended"))).collect()
        });
        let mut taken = taken?.concat();
        taken.sort();
        let p50 = taken.get(taken.len() / 2).copied().context("there was no answer")?;
        Ok(Figures { p50, per_second: taken.len() as f64 / start.elapsed().as_secs_f64() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

/// How long each answer took on one connection.
fn ask(address: &str, path: &str, (first, callers): (usize, usize), until: Instant) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let (mut taken, mut caller, mut body) = (Vec::new(), first * 37, Vec::new());
    while Instant::now() < until {
        caller = (caller + 1) % callers;
        let start = Instant::now();
        let from = format!("10.0.{}.{}", caller / 250, caller % 250);
        stream.write_all(
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nx-forwarded-for: {from}\r\n\r\n").as_bytes(),
        )?;
        let (mut status, mut length, mut line) = (String::new(), 0, String::new());
        loop {
            line.clear();
            ensure!(answers.read_line(&mut line)? > 0, "the server hung up");
            if status.is_empty() {
                status = line.trim().to_owned();
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        body.resize(length, 0);
        answers.read_exact(&mut body)?;
        ensure!(status.contains(" 200 "), "{status}: {}", String::from_utf8_lossy(&body));
        taken.push(start.elapsed());
    }
    Ok(taken)
}
