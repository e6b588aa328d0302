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
    pub(crate) p99: Duration,
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
    /// Starts the project's own host, whose log goes into a file or nowhere, with a manifest, a runtime configuration and some variables set, and waits until it listens.
    pub(crate) fn start(
        program: &Path,
        manifest: &Path,
        config: &Path,
        variables: &[&str],
        log: Option<&Path>,
    ) -> Result<Server> {
        let state = std::env::temp_dir().join(format!("bipolar-edge-bench-{}", std::process::id()));
        let mut command = Command::new(program);
        match log {
            Some(file) => command.stderr(std::fs::File::create(file)?),
            None => command.arg("--quiet"),
        };
        let mut process = command
            .args(["--listen", "127.0.0.1:0", "--from"])
            .arg(manifest)
            .arg("--state-dir")
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

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// Asks for a path on so many connections for so long, by turns as so many callers.
    pub(crate) fn drive(&self, path: &str, callers: usize, connections: usize, time: Duration) -> Result<Figures> {
        let address = &self.address;
        let request = |turn: usize| {
            let caller = turn % callers;
            let from = format!("10.0.{}.{}", caller / 250, caller % 250);
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nx-forwarded-for: {from}\r\n\r\n").into_bytes()
        };
        drive(address, &request, connections, time)
    }
}

/// Asks on so many connections for so long, each time with the request of that turn. Each connection begins at another turn.
pub(crate) fn drive(
    address: &str,
    request: &(dyn Fn(usize) -> Vec<u8> + Sync),
    connections: usize,
    time: Duration,
) -> Result<Figures> {
    let start = Instant::now();
    let taken: Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|first| scope.spawn(move || ask(address, request, first * 37, start + time)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread ended"))).collect()
    });
    let mut taken = taken?.concat();
    taken.sort();
    let at = |share: f64| taken.get((taken.len() as f64 * share) as usize).copied().context("there was no answer");
    Ok(Figures { p50: at(0.5)?, p99: at(0.99)?, per_second: taken.len() as f64 / start.elapsed().as_secs_f64() })
}

/// One request on a connection of its own; gives the body of the answer.
pub(crate) fn once(address: &str, request: &[u8]) -> Result<Vec<u8>> {
    Connection::open(address)?.exchange(request).map(<[u8]>::to_vec)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

/// How long each answer took on one connection.
fn ask(
    address: &str,
    request: &(dyn Fn(usize) -> Vec<u8> + Sync),
    first: usize,
    until: Instant,
) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let (mut taken, mut turn) = (Vec::new(), first);
    while Instant::now() < until {
        turn += 1;
        let request = request(turn);
        let start = Instant::now();
        connection.exchange(&request)?;
        taken.push(start.elapsed());
    }
    Ok(taken)
}

/// A keep-alive connection.
struct Connection {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let answers = BufReader::with_capacity(1 << 16, stream.try_clone()?);
        Ok(Connection { stream, answers, body: Vec::new() })
    }

    /// Sends a request and reads the answer, which must be a 200.
    fn exchange(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(request)?;
        let (mut status, mut length, mut line) = (String::new(), 0, String::new());
        loop {
            line.clear();
            ensure!(self.answers.read_line(&mut line)? > 0, "the server hung up");
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
        self.body.resize(length, 0);
        self.answers.read_exact(&mut self.body)?;
        ensure!(status.contains(" 200 "), "{status}: {}", String::from_utf8_lossy(&self.body));
        Ok(&self.body)
    }
}
