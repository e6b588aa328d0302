//! `cargo xtask bench limit`: what counting a request costs a cached answer, a host that counts beside one that does not, by turns.

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
    println!("| store | callers | connections | p50 us (not counted) | ratio | requests/s (not counted) | ratio |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let known = (1, "one");
    let new = (1000, "1,000, each new to an instance");
    for (store, (callers, name)) in [("SQLite", known), ("SQLite", new), ("in memory", new)] {
        let config = std::env::temp_dir().join("bipolar-edge-bench.toml");
        std::fs::write(&config, if store == "SQLite" { "" } else { "[key_value_store.default]\ntype = \"memory\"\n" })?;
        for connections in [1, 8, 32] {
            let start = |limit: &str| {
                let limit = format!("rate_limit_predictions={limit}");
                let variables = [limit.as_str(), "client_ip_header=x-forwarded-for"];
                Server::start(&program, "spin.toml".as_ref(), &config, &variables, None)
            };
            let sides = [&|| start("100000000/minute"), &|| start("off") as Result<Server>] as [&dyn Fn() -> _; 2];
            let ratios = by_turns(sides, CACHED, callers, connections)?;
            println!("| {store} | {name} | {connections} | {ratios} |");
        }
        std::fs::remove_file(&config)?;
    }
    Ok(())
}
