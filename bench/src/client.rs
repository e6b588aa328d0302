//! The client that loads a server: keep-alive connections, each of which sends its next request as soon as it has an
//! answer.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A request with this header is the last of its connection, and the time to connect counts towards the next one.
const CLOSE: &[u8] = b"\r\nconnection: close\r\n";
/// Longer than any head that a benchmark sends.
const MAX_HEAD_BYTES: usize = 512;
/// How long a client on Linux waits before it acknowledges a first segment by itself, less the error of a clock.
const STALL: Duration = Duration::from_millis(35);
/// How long an answer may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The turns between the first requests of two connections, so that they send different ones.
const TURNS_APART: usize = 37;

/// How a server answered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    /// The share of answers that took as long as a stalled segment does, see `src/platform/spin_4_1/lib.rs`.
    pub(crate) stalled: f64,
    pub(crate) per_second: f64,
}

impl Figures {
    /// Replaces these figures with others of more answers a second.
    pub(crate) fn keep_better(&mut self, other: Figures) {
        if other.per_second > self.per_second {
            *self = other;
        }
    }
}

/// Returns a time in milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Sends requests on some connections for some time. `request` makes the request of a turn; each connection begins at
/// another turn.
pub(crate) fn load(
    address: &str,
    request: &(dyn Fn(usize) -> Vec<u8> + Sync),
    connections: usize,
    time: Duration,
) -> Result<Figures> {
    let start = Instant::now();
    let times: Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|index| scope.spawn(move || answer_times(address, request, index * TURNS_APART, start + time)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect()
    });
    let mut times = times?.concat();
    times.sort();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().context("there was no answer");
    let stalled = times.iter().filter(|time| **time >= STALL).count() as f64 / times.len() as f64;
    let per_second = times.len() as f64 / start.elapsed().as_secs_f64();
    Ok(Figures { p50: at(0.5)?, p99: at(0.99)?, p999: at(0.999)?, stalled, per_second })
}

/// Sends one request on a connection of its own; returns the body of the answer.
pub(crate) fn once(address: &str, request: &[u8]) -> Result<Vec<u8>> {
    Connection::open(address)?.exchange(request).map(<[u8]>::to_vec)
}

/// Sends the request of each of these turns once, on some connections.
pub(crate) fn each(
    address: &str,
    request: &(dyn Fn(usize) -> Vec<u8> + Sync),
    connections: usize,
    turns: Range<usize>,
) -> Result<()> {
    let next = AtomicUsize::new(turns.start);
    let send = || {
        let mut connection = Connection::open(address)?;
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= turns.end {
                return Ok(());
            }
            connection.exchange(&request(turn))?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })
}

/// Sends requests on one connection until a time; returns how long each answer took.
fn answer_times(
    address: &str,
    request: &(dyn Fn(usize) -> Vec<u8> + Sync),
    first: usize,
    until: Instant,
) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let (mut times, mut turn) = (Vec::new(), first);
    while Instant::now() < until {
        turn += 1;
        let request = request(turn);
        let head = &request[..request.len().min(MAX_HEAD_BYTES)];
        let closes = head.windows(CLOSE.len()).any(|part| part == CLOSE);
        let start = Instant::now();
        if closes && !times.is_empty() {
            connection = Connection::open(address)?;
        }
        connection.exchange(&request)?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// A keep-alive connection.
struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let reader = BufReader::with_capacity(1 << 16, stream.try_clone()?);
        Ok(Connection { stream, reader, body: Vec::new() })
    }

    /// Sends a request and reads the answer, which must be a 200; returns its body.
    fn exchange(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(request)?;
        let (mut status, mut length, mut chunked, mut line) = (String::new(), 0, false, String::new());
        loop {
            line.clear();
            ensure!(self.reader.read_line(&mut line)? > 0, "the server hung up");
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
            self.read_chunks()?;
        } else {
            self.body.resize(length, 0);
            self.reader.read_exact(&mut self.body)?;
        }
        ensure!(status.contains(" 200 "), "{status}: {}", String::from_utf8_lossy(&self.body));
        Ok(&self.body)
    }

    fn read_chunks(&mut self) -> Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16)?;
            let begin = self.body.len();
            self.body.resize(begin + length, 0);
            self.reader.read_exact(&mut self.body[begin..])?;
            self.reader.read_line(&mut line)?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}
