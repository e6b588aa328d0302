//! `cargo xtask bench log`: a host that writes a line into its log file for each request beside one that writes none,
//! with cached answers, by turns.

use crate::server::{OwnHost, Server};
use crate::{PREDICTIONS, machine, turns};
use anyhow::Result;
use tempfile::NamedTempFile;
use xtask::build;
use xtask::toolchain::{Toolchain, check_rust};

pub(crate) fn run() -> Result<()> {
    check_rust()?;
    build::module(&Toolchain::set_up()?, build::PORTABLE, &[])?;
    let program = build::host()?;
    println!("==> measuring: leave the machine alone for a minute");
    println!("{}\n", machine());
    println!("| connections | p50 us (no line) | ratio | requests/s (no line) | ratio |");
    println!("| --- | --- | --- | --- | --- |");
    let file = NamedTempFile::with_prefix("bipolar-edge-bench-")?;
    let start = |level: &str| -> Result<Server> {
        let variables = [level, "rate_limit_predictions=off"];
        OwnHost { variables: &variables, log: Some(file.path()), ..OwnHost::new(&program) }.start()
    };
    let logging = || start("log_level=info");
    let silent = || start("log_level=warn");
    for connections in [1, 8, 32] {
        let cells = turns::compare([&logging, &silent], PREDICTIONS, 1, connections)?;
        println!("| {connections} | {cells} |");
    }
    Ok(())
}
