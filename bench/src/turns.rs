//! Two servers measured by turns.

use crate::client::Figures;
use crate::server::Server;
use anyhow::Result;
use std::time::Duration;
use xtask::benchmark::Options;

/// How often each server is measured, and for how long.
const ROUNDS: usize = 4;
const TIME: Duration = Duration::from_secs(2);
/// How long a server is loaded before it is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// Loads two servers by turns, and returns the cells of a table: p50 in microseconds and requests a second of one, of
/// the other in brackets, and the ratio. The better of several rounds counts: the other work of the machine slows down
/// both alike.
pub(crate) fn compare(
    options: Options,
    starts: [&dyn Fn() -> Result<Server>; 2],
    path: &str,
    callers: usize,
    connections: usize,
) -> Result<String> {
    let mut best = [Figures::default(); 2];
    for _ in 0..options.rounds(ROUNDS) {
        for (best, start) in best.iter_mut().zip(starts) {
            let server = start()?;
            server.load(path, callers, 1, options.time(WARM_UP))?;
            best.keep_better(server.load(path, callers, connections, options.time(TIME))?);
        }
    }
    let [one, other] = best;
    Ok(format!(
        "{:.0} ({:.0}) | {:.2} | {:.0} ({:.0}) | {:.2}",
        one.p50.as_secs_f64() * 1e6,
        other.p50.as_secs_f64() * 1e6,
        one.p50.as_secs_f64() / other.p50.as_secs_f64(),
        one.per_second,
        other.per_second,
        one.per_second / other.per_second,
    ))
}
