//! `cargo xtask bench log`: an application that writes a line into a log file for each request beside one that writes
//! none, with cached answers, by turns.

use crate::server::{Application, MANIFEST, Server};
use crate::{PREDICTIONS, turns};
use anyhow::Result;
use std::path::Path;
use tempfile::NamedTempFile;
use xtask::benchmark::Options;

pub(crate) fn run(options: Options) -> Result<()> {
    let host = turns::set_up(options)?;
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
