//! `cargo xtask audit`: the licences, bans, sources and advisories of all dependencies.

use crate::step;
use anyhow::Result;

/// The version of cargo-deny that is installed.
const CARGO_DENY: &str = "0.20.2";

/// Checks all dependencies. Leaves advisories out if their database cannot be reached.
pub(crate) fn run() -> Result<()> {
    if step::output("cargo-deny", &["--version"]).is_none() {
        step::run(
            "installing cargo-deny (takes minutes)",
            step::cargo().args(["install", "--locked", "--quiet", "cargo-deny", "--version", CARGO_DENY]),
        )?;
    }
    step::run(
        "licences, bans and sources",
        step::cargo().args(["deny", "--workspace", "check", "licenses", "bans", "sources"]),
    )?;
    let fetched = step::run("the advisory database", step::cargo().args(["deny", "fetch", "db"]));
    if let Err(error) = fetched {
        println!("\nleft out: advisories, because their database cannot be reached from here ({error:#})");
        return Ok(());
    }
    step::run("advisories", step::cargo().args(["deny", "--workspace", "check", "advisories"]))
}
