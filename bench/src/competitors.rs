//! The servers that this service is compared with: a hello-world component on the same host, which is the floor, a
//! native server with the same forests, which is the ceiling, and the service before this one, rebuilt in Python.

use crate::server::{OwnHost, Server};
use crate::{PREDICTIONS, client, forest, get};
use anyhow::Result;
use harness::process::{Launch, Process, free_port, poll};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use xtask::programs::REDIS;
use xtask::step::{self, cargo};
use xtask::toolchain::{Toolchain, check_rust};
use xtask::{build, python};

/// The packages of the old stack, as it would be installed today.
pub(crate) const OLD_STACK: [&str; 7] = [
    "fastapi==0.115.14",
    "uvicorn==0.34.0",
    "uvloop==0.21.0",
    "httptools==0.6.4",
    "lightgbm==4.7.0",
    "numpy==2.4.6",
    "redis==6.2.0",
];
/// The servers in the order of the tables.
pub(crate) const NAMES: [&str; 5] = ["this service", "hello-world", "native axum", "old stack", "this service on Spin"];

const HELLO_MANIFEST: &str = "tests/beside/hello/spin.toml";
const OLD_STACK_TIMEOUT: Duration = Duration::from_secs(60);

/// The programs of the servers, built.
pub(crate) struct Programs {
    host: PathBuf,
    native: PathBuf,
    python: PathBuf,
    /// The folder of the models that the old stack serves.
    models: PathBuf,
}

impl Programs {
    pub(crate) fn build() -> Result<Programs> {
        check_rust()?;
        let toolchain = Toolchain::set_up()?;
        REDIS.set_up()?;
        let (models, _) = forest::models()?;
        let python = python::environment("bench/old-stack", &OLD_STACK)?;
        build::module(&toolchain, &["hello"])?;
        let host = build::host()?;
        step::run(
            "building the native server",
            cargo().args(["build", "--locked", "--release", "--package", "native"]),
        )?;
        Ok(Programs { host, native: build::target().join("release/native"), python, models })
    }

    /// Returns the project's own host with this service.
    pub(crate) fn service(&self) -> OwnHost<'_> {
        OwnHost::new(&self.host)
    }

    /// Returns the project's own host with the hello-world component.
    pub(crate) fn hello(&self) -> OwnHost<'_> {
        OwnHost { manifest: Path::new(HELLO_MANIFEST), ..OwnHost::new(&self.host) }
    }

    /// Starts the native server.
    pub(crate) fn start_native(&self, cached: bool) -> Result<Server> {
        let mut command = Command::new(&self.native);
        command.arg(if cached { "cache" } else { "no-cache" });
        Server::launch(Launch::program(command))
    }

    /// Starts the old stack and waits until it answers.
    pub(crate) fn start_old_stack(&self, cached: bool) -> Result<OldStack> {
        let (redis_port, http) = (free_port()?.to_string(), free_port()?.to_string());
        let mut redis = Command::new("redis-server");
        redis.args(["--port", &redis_port, "--save", "", "--appendonly", "no"]);
        let redis = Launch::listening_on(redis, format!("127.0.0.1:{redis_port}")).start()?;
        let mut uvicorn = Command::new(self.python.with_file_name("uvicorn"));
        uvicorn
            .args(["app:app", "--workers", "2", "--loop", "uvloop", "--http", "httptools", "--no-access-log"])
            .args(["--port", &http])
            .current_dir("tests/beside/old_stack")
            .env("FOLDER", &self.models)
            .env("REDIS_PORT", &redis_port)
            .env("CACHE", if cached { "1" } else { "0" })
            // One thread each, so that two workers do not fight for two cores.
            .env("OMP_NUM_THREADS", "1");
        let launch = Launch::listening_on(uvicorn, format!("127.0.0.1:{http}"))
            .stderr(harness::process::Output::Discard)
            .start_timeout(OLD_STACK_TIMEOUT);
        let server = Server::launch(launch)?;
        let request = get(PREDICTIONS);
        poll("the old stack answers", OLD_STACK_TIMEOUT, || Ok(client::once(server.address(), &request).ok()))?;
        Ok(OldStack { server, _redis: redis })
    }
}

/// The service before this one, with its Redis.
pub(crate) struct OldStack {
    // Dropped before the store that it uses.
    pub(crate) server: Server,
    _redis: Process,
}
