//! `cargo xtask bench limit`: an application that counts each caller's requests beside one that does not, with cached
//! answers, by turns.

use crate::server::{Application, Host, MANIFEST, Server};
use crate::{PREDICTIONS, machine, turns};
use anyhow::Result;
use std::path::Path;
use xtask::benchmark::Options;
use xtask::build;
use xtask::toolchain::{Toolchain, check_rust};

/// The numbers of callers, and how a table names them.
const CALLERS: [(usize, &str); 2] = [(1, "one"), (1000, "1,000, each new to an instance")];

pub(crate) fn run(options: Options) -> Result<()> {
    check_rust()?;
    // Together, as the tests build them: one alone has libraries with other features, and is built again.
    build::all(&Toolchain::set_up()?, &[])?;
    let host = Host::set_up(options.on)?;
    println!("==> measuring: leave the machine alone for a minute");
    println!("{}; {}\n", machine(), host.name());
    println!("| callers | connections | p50 us (not counted) | ratio | requests/s (not counted) | ratio |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (callers, name) in CALLERS {
        let start = |limit: &str| -> Result<Server> {
            let variables = [limit, "client_ip_header=x-forwarded-for"];
            Application { variables: &variables, ..host.application(Path::new(MANIFEST)) }.start()
        };
        let counting = || start("rate_limit_predictions=100000000/minute");
        let not_counting = || start("rate_limit_predictions=off");
        for connections in options.connections(&[1, 8, 32]).iter().copied() {
            let cells = turns::compare(options, [&counting, &not_counting], PREDICTIONS, callers, connections)?;
            println!("| {name} | {connections} | {cells} |");
        }
    }
    Ok(())
}
