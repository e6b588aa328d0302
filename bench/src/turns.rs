//! Two servers measured by turns.

use crate::client::Figures;
use crate::machine;
use crate::server::{Host, Server};
use anyhow::Result;
use std::time::Duration;
use xtask::benchmark::Options;
use xtask::build;
use xtask::toolchain::{Toolchain, check_rust};

/// How often each server is measured, and for how long.
const ROUNDS: usize = 4;
const TIME: Duration = Duration::from_secs(2);
/// How long a server is loaded before it is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// Builds what is measured, and says on which machine and host that is.
pub(crate) fn set_up(options: Options) -> Result<Host> {
    check_rust()?;
    // Together, as the tests build them: one alone has libraries with other features, and is built again.
    build::all(&Toolchain::set_up()?, &[])?;
    let host = Host::set_up(options)?;
    println!("==> measuring: leave the machine alone for a minute");
    println!("{}; {}\n", machine(), host.name());
    Ok(host)
}

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
