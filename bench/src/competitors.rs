//! The servers that this service is compared with: a hello-world component of the same world on the same host, which
//! is the floor, a native server with the same forests, which is the ceiling, and the service before this one, rebuilt
//! in Python.

use crate::server::{Application, FAST_MANIFEST, Host, MANIFEST, Server};
use crate::{PREDICTIONS, client, forest, get};
use anyhow::Result;
use harness::process::{Launch, Process, free_port, poll};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use xtask::benchmark::Options;
use xtask::programs::REDIS;
use xtask::step::{self, cargo};
use xtask::toolchain::{Toolchain, check_rust};
use xtask::{build, python, spin};

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
pub(crate) const NATIVE_NAME: &str = "native axum";
pub(crate) const OLD_STACK_NAME: &str = "old stack";

const OLD_STACK_TIMEOUT: Duration = Duration::from_secs(60);

/// A component that is measured.
#[derive(Clone, Copy)]
pub(crate) enum Component {
    Service,
    Hello,
}

impl Component {
    /// All of them, this service first.
    pub(crate) const ALL: [Component; 2] = [Component::Service, Component::Hello];

    /// Returns the name for a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Component::Service => "this service",
            Component::Hello => "hello-world",
        }
    }

    fn manifest(self, world: World) -> &'static Path {
        Path::new(match (self, world) {
            (Component::Service, World::Portable) => MANIFEST,
            (Component::Service, World::Fast) => FAST_MANIFEST,
            (Component::Hello, World::Portable) => "tests/beside/hello/spin.toml",
            (Component::Hello, World::Fast) => "tests/beside/hello_fast/spin.toml",
        })
    }
}

/// A world that components are built for: only components of one world are compared with each other.
#[derive(Clone, Copy)]
pub(crate) enum World {
    Portable,
    Fast,
}

impl World {
    /// The cell of a table for a server that is no component.
    pub(crate) const NONE: &str = "";

    /// Returns the name for a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            World::Portable => "WASI 0.2",
            World::Fast => "WASI 0.3",
        }
    }
}

/// The old stack's programs and the folder of the models that it serves.
pub(crate) struct OldStackPrograms {
    python: PathBuf,
    models: PathBuf,
}

/// The programs of the servers, built.
pub(crate) struct Programs {
    pub(crate) host: Host,
    native: PathBuf,
    /// `None` in the short form: LightGBM has models to train first.
    pub(crate) old_stack: Option<OldStackPrograms>,
    /// The worlds that the host serves, first the one that everything is measured in.
    pub(crate) worlds: Vec<World>,
}

impl Programs {
    pub(crate) fn build(options: Options) -> Result<Programs> {
        check_rust()?;
        let toolchain = Toolchain::set_up()?;
        let old_stack = if options.short {
            println!("    the short form leaves the old stack out");
            None
        } else {
            REDIS.set_up()?;
            let (models, _) = forest::models()?;
            Some(OldStackPrograms { python: python::environment("bench/old-stack", &OLD_STACK)?, models })
        };
        build::all(&toolchain, &["hello", "hello-fast"])?;
        let host = Host::set_up(options)?;
        let native = if options.short {
            build::native("native")?
        } else {
            let release = ["build", "--locked", "--release", "--package", "native"];
            step::run("building the native server", cargo().args(release))?;
            build::target().join("release/native")
        };
        let serves = |world: &World| match (&host, world) {
            (Host::Spin, World::Fast) => spin::is_installed(spin::FAST_RELEASE),
            _ => true,
        };
        let worlds = [World::Portable, World::Fast].into_iter().filter(serves).collect();
        Ok(Programs { host, native, old_stack, worlds })
    }

    /// Starts a component with an empty store and waits until its host listens. The variables are this service's, each
    /// as `name=value`; a hello-world has none. The flags are the host's.
    pub(crate) fn start(
        &self,
        component: Component,
        world: World,
        variables: &[&str],
        flags: &[&str],
    ) -> Result<Server> {
        let variables = match component {
            Component::Service => variables,
            Component::Hello => &[],
        };
        Application { variables, flags, ..self.application(component, world) }.start()
    }

    /// Returns the application of a component, with the default variables.
    pub(crate) fn application(&self, component: Component, world: World) -> Application<'_> {
        self.host.application(component.manifest(world))
    }

    /// Starts the native server.
    pub(crate) fn start_native(&self, cached: bool) -> Result<Server> {
        let mut command = Command::new(&self.native);
        command.arg(if cached { "cache" } else { "no-cache" });
        Server::launch(Launch::program(command))
    }
}

impl OldStackPrograms {
    /// Starts the old stack and waits until it answers.
    pub(crate) fn start(&self, cached: bool) -> Result<OldStack> {
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
