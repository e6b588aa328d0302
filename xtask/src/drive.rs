//! A server under load, and how it answers: keep-alive connections of our own, each of which asks as soon as it was answered.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that is driven, which ends with this value.
pub(crate) struct Server {
    process: Child,
    address: String,
    /// What it leaves behind.
    state: Option<std::path::PathBuf>,
}

/// How it answered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    /// The share of answers that took as long as a stalled segment does, see `src/platform/spin.rs`.
    pub(crate) stalled: f64,
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
    /// Starts the project's own host, whose log goes into a file or nowhere, with a manifest, a runtime configuration and some
    /// variables set, and waits until it listens.
    pub(crate) fn start(
        program: &Path,
        manifest: &Path,
        config: &Path,
        variables: &[&str],
        log: Option<&Path>,
    ) -> Result<Server> {
        Server::start_with(program, manifest, config, variables, log, &[])
    }

    /// The same with more of its flags.
    pub(crate) fn start_with(
        program: &Path,
        manifest: &Path,
        config: &Path,
        variables: &[&str],
        log: Option<&Path>,
        flags: &[&str],
    ) -> Result<Server> {
        let state = std::env::temp_dir().join(format!("bipolar-edge-bench-{}", std::process::id()));
        let mut command = Command::new(program);
        match log {
            Some(file) => command.stderr(std::fs::File::create(file)?),
            None => command.arg("--quiet"),
        };
        command
            .args(["--listen", "127.0.0.1:0", "--from"])
            .arg(manifest)
            .arg("--state-dir")
            .arg(&state)
            .arg("--runtime-config-file")
            .arg(config)
            .args(variables.iter().flat_map(|variable| ["--variable", variable]))
            .args(flags);
        let mut server = Server::run(&mut command)?;
        server.state = Some(state);
        Ok(server)
    }

    /// Starts Spin with a manifest, some variables set and a state of its own, and waits until it listens.
    pub(crate) fn spin(manifest: &Path, variables: &[&str]) -> Result<Server> {
        let address = format!("127.0.0.1:{}", std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let state = std::env::temp_dir().join(format!("bipolar-edge-spin-{}", std::process::id()));
        let mut spin = Command::new("spin");
        spin.args(["up", "--quiet", "--listen", &address, "--from"]).arg(manifest).arg("--state-dir").arg(&state);
        spin.args(variables.iter().flat_map(|variable| ["--variable", variable]));
        let process = spin.stdout(Stdio::null()).spawn().context("cannot start spin")?;
        let mut server = Server::at(process, address);
        server.state = Some(state);
        let start = Instant::now();
        while TcpStream::connect(&server.address).is_err() {
            if let Some(status) = server.process.try_wait()? {
                bail!("spin ended ({status})");
            }
            ensure!(start.elapsed() < Duration::from_secs(60), "spin does not listen after a minute");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Starts a program that says where it listens.
    pub(crate) fn run(command: &mut Command) -> Result<Server> {
        let mut process =
            command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line.trim().rsplit_once("http://").map(|(_, address)| address.to_owned());
        let server = Server::at(process, address.unwrap_or_default());
        ensure!(!server.address.is_empty(), "the server does not say where it listens: {line:?}");
        Ok(server)
    }

    /// A server that was started, and will listen there.
    pub(crate) fn at(process: Child, address: String) -> Server {
        Server { process, address, state: None }
    }

    /// Where a host of ours keeps its store.
    pub(crate) fn state(&self) -> Option<&Path> {
        self.state.as_deref()
    }

    /// Mebibytes of the server and all that it started. What they share is counted once.
    pub(crate) fn memory(&self) -> Result<f64> {
        let mut sum = 0.0;
        for process in tree(self.process.id())? {
            let own = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
            let own =
                own.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
            sum += own.context("the kernel does not say how much memory a process has")? / 1024.0;
        }
        Ok(sum)
    }

    /// How long the server and all that it started have been at work.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let mut ticks = 0;
        for process in tree(self.process.id())? {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
            // After the name, which may have blanks in it, the 12th and 13th fields are user and system time.
            let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
            ticks +=
                fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        }
        // Linux shows a hundred a second, whatever its own clock does.
        Ok(Duration::from_millis(10 * ticks))
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
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

/// A process and all that it started.
fn tree(process: u32) -> Result<Vec<u32>> {
    let mut all = vec![process];
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let children = std::fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            all.extend(tree(child.parse()?)?);
        }
    }
    Ok(all)
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
    let stalled = taken.iter().filter(|took| **took >= STALL).count() as f64 / taken.len() as f64;
    let per_second = taken.len() as f64 / start.elapsed().as_secs_f64();
    Ok(Figures { p50: at(0.5)?, p99: at(0.99)?, p999: at(0.999)?, stalled, per_second })
}

/// How long a client on Linux waits before it acknowledges a first segment by itself, less what a clock may be off.
const STALL: Duration = Duration::from_millis(35);

/// One request on a connection of its own; gives the body of the answer.
pub(crate) fn once(address: &str, request: &[u8]) -> Result<Vec<u8>> {
    Connection::open(address)?.exchange(request).map(<[u8]>::to_vec)
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked first: Spin and others have processes of their own to end.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let start = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(state) = &self.state {
            let _ = std::fs::remove_dir_all(state);
        }
    }
}

/// A request with this is the last of its connection, and what it takes to connect counts to the next.
pub(crate) const CLOSE: &[u8] = b"\r\nconnection: close\r\n";

/// A head of ours is shorter.
const LONGEST_HEAD: usize = 512;

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
        let head = &request[..request.len().min(LONGEST_HEAD)];
        let ends = head.windows(CLOSE.len()).any(|part| part == CLOSE);
        let start = Instant::now();
        if ends && !taken.is_empty() {
            connection = Connection::open(address)?;
        }
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
        let (mut status, mut length, mut chunked, mut line) = (String::new(), 0, false, String::new());
        loop {
            line.clear();
            ensure!(self.answers.read_line(&mut line)? > 0, "the server hung up");
            if status.is_empty() {
                status = line.trim().to_owned();
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            chunked |= line.starts_with("transfer-encoding: chunked");
            if line == "\r\n" {
                break;
            }
        }
        self.body.clear();
        if chunked {
            loop {
                line.clear();
                self.answers.read_line(&mut line)?;
                let length = usize::from_str_radix(line.trim(), 16)?;
                let begin = self.body.len();
                self.body.resize(begin + length, 0);
                self.answers.read_exact(&mut self.body[begin..])?;
                self.answers.read_line(&mut line)?;
                if length == 0 {
                    break;
                }
            }
        } else {
            self.body.resize(length, 0);
            self.answers.read_exact(&mut self.body)?;
        }
        ensure!(status.contains(" 200 "), "{status}: {}", String::from_utf8_lossy(&self.body));
        Ok(&self.body)
    }
}
