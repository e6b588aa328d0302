//! `cargo xtask bench log`: what its line in the log costs a cached answer, a host that writes it into a file beside one that does not,
//! by turns. Both count.

use super::{CACHED, by_turns, machine};
use crate::build;
use crate::drive::Server;
use crate::toolchain::{Toolchain, check_rust};
use anyhow::Result;

pub(super) fn run() -> Result<()> {
    check_rust()?;
    build::module(&Toolchain::set_up()?, &[])?;
    let program = build::host()?;
    println!("==> measuring: leave the machine alone for a minute");
    println!("{}\n", machine());
    println!("| connections | p50 us (no line) | ratio | requests/s (no line) | ratio |");
    println!("| --- | --- | --- | --- | --- |");
    let (config, log) =
        (std::env::temp_dir().join("bipolar-edge-bench.toml"), std::env::temp_dir().join("bipolar-edge-bench.log"));
    std::fs::write(&config, "")?;
    for connections in [1, 8, 32] {
        let start = |level: &str| {
            let level = format!("log_level={level}");
            let variables = [level.as_str(), "rate_limit_predictions=off"];
            Server::start(&program, "spin.toml".as_ref(), &config, &variables, Some(&log))
        };
        let sides = [&|| start("info"), &|| start("warn") as Result<Server>] as [&dyn Fn() -> _; 2];
        println!("| {connections} | {} |", by_turns(sides, CACHED, 1, connections)?);
    }
    std::fs::remove_file(&config)?;
    std::fs::remove_file(&log)?;
    Ok(())
}
