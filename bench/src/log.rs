//! `cargo xtask bench log`: an application that writes a line into a log file for each request beside one that writes
//! none, with cached answers, by turns.

use crate::server::{Application, Host, MANIFEST, Server};
use crate::{PREDICTIONS, machine, turns};
use anyhow::Result;
use std::path::Path;
use tempfile::NamedTempFile;
use xtask::benchmark::Options;
use xtask::build;
use xtask::toolchain::{Toolchain, check_rust};

pub(crate) fn run(options: Options) -> Result<()> {
    check_rust()?;
    // Together, as the tests build them: one alone has libraries with other features, and is built again.
    build::all(&Toolchain::set_up()?, &[])?;
    let host = Host::set_up(options.on)?;
    println!("==> measuring: leave the machine alone for a minute");
    println!("{}; {}\n", machine(), host.name());
    println!("| connections | p50 us (no line) | ratio | requests/s (no line) | ratio |");
    println!("| --- | --- | --- | --- | --- |");
    let file = NamedTempFile::with_prefix("bipolar-edge-bench-")?;
    let start = |level: &str| -> Result<Server> {
        let variables = [level, "rate_limit_predictions=off"];
        Application { variables: &variables, log: Some(file.path()), ..host.application(Path::new(MANIFEST)) }.start()
    };
    let logging = || start("log_level=info");
    let silent = || start("log_level=warn");
    for connections in options.connections(&[1, 8, 32]).iter().copied() {
        let cells = turns::compare(options, [&logging, &silent], PREDICTIONS, 1, connections)?;
        println!("| {connections} | {cells} |");
    }
    Ok(())
}
