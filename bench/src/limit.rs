//! `cargo xtask bench limit`: a host that counts each caller's requests beside one that does not, with cached answers,
//! by turns.

use crate::server::{OwnHost, Server, Store};
use crate::{PREDICTIONS, machine, turns};
use anyhow::Result;
use xtask::build;
use xtask::toolchain::{Toolchain, check_rust};

/// The numbers of callers, and how a table names them.
const ONE: (usize, &str) = (1, "one");
const MANY: (usize, &str) = (1000, "1,000, each new to an instance");

pub(crate) fn run() -> Result<()> {
    check_rust()?;
    build::module(&Toolchain::set_up()?, build::PORTABLE, &[])?;
    let program = build::host()?;
    println!("==> measuring: leave the machine alone for a minute");
    println!("{}\n", machine());
    println!("| store | callers | connections | p50 us (not counted) | ratio | requests/s (not counted) | ratio |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (store, (callers, name)) in [(Store::Sqlite, ONE), (Store::Sqlite, MANY), (Store::Memory, MANY)] {
        let start = |limit: &str| -> Result<Server> {
            let variables = [limit, "client_ip_header=x-forwarded-for"];
            OwnHost { store, variables: &variables, ..OwnHost::new(&program) }.start()
        };
        let counting = || start("rate_limit_predictions=100000000/minute");
        let not_counting = || start("rate_limit_predictions=off");
        for connections in [1, 8, 32] {
            let cells = turns::compare([&counting, &not_counting], PREDICTIONS, callers, connections)?;
            println!("| {} | {name} | {connections} | {cells} |", store.name());
        }
    }
    Ok(())
}
