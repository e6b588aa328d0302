//! `cargo xtask bench limit`: an application that counts each caller's requests beside one that does not, with cached
//! answers, by turns.

use crate::server::{Application, MANIFEST, Server};
use crate::{PREDICTIONS, turns};
use anyhow::Result;
use std::path::Path;
use xtask::benchmark::Options;

/// The numbers of callers, and how a table names them.
const CALLERS: [(usize, &str); 2] = [(1, "one"), (1000, "1,000, each new to an instance")];

pub(crate) fn run(options: Options) -> Result<()> {
    let host = turns::set_up(options)?;
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
