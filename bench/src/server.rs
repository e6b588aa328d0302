//! Hosts and other servers under load.

use crate::client::{self, Figures};
use anyhow::Result;
use harness::process::{Launch, Output, Process};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// The manifest of this service as a component of WASI 0.2, which every platform runs.
pub(crate) const MANIFEST: &str = "spin.toml";
/// The manifest of this service as a component of WASI 0.3, for Spin 4.1 and later.
pub(crate) const FAST_MANIFEST: &str = "spin-4.1.toml";

/// A key-value store that the project's own host offers.
#[derive(Clone, Copy)]
pub(crate) enum Store {
    Sqlite,
    Memory,
}

impl Store {
    /// Returns the name for a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Store::Sqlite => "SQLite",
            Store::Memory => "in memory",
        }
    }

    /// Returns the runtime configuration that selects the store. SQLite is the default.
    fn runtime_config(self) -> &'static str {
        match self {
            Store::Sqlite => "",
            Store::Memory => "[key_value_store.default]\ntype = \"memory\"\n",
        }
    }
}

/// The project's own host, as a benchmark starts it.
#[derive(Clone, Copy)]
pub(crate) struct OwnHost<'a> {
    pub(crate) program: &'a Path,
    pub(crate) manifest: &'a Path,
    pub(crate) store: Store,
    /// Variables of the application, each as `name=value`.
    pub(crate) variables: &'a [&'a str],
    /// More of the host's flags.
    pub(crate) flags: &'a [&'a str],
    /// The file that the log goes into. Without one there is no log.
    pub(crate) log: Option<&'a Path>,
}

impl<'a> OwnHost<'a> {
    /// Returns a host that serves this service with a store in SQLite and the default variables, and logs nothing.
    pub(crate) fn new(program: &'a Path) -> OwnHost<'a> {
        let manifest = Path::new(MANIFEST);
        OwnHost { program, manifest, store: Store::Sqlite, variables: &[], flags: &[], log: None }
    }

    /// Starts the host with an empty store and waits until it listens.
    pub(crate) fn start(&self) -> Result<Server> {
        let state = TempDir::with_prefix("bipolar-edge-bench-")?;
        let config = state.path().join("runtime-config.toml");
        std::fs::write(&config, self.store.runtime_config())?;
        let launch = Launch::own_host(self.program)
            .manifest(self.manifest)
            .state_dir(state.path())
            .runtime_config(config)
            .variables(self.variables)
            .args(self.flags);
        let launch = match self.log {
            Some(file) => launch.stderr(Output::File(file.to_owned())),
            None => launch.quiet(),
        };
        Ok(Server { process: launch.start()?, state: Some(state) })
    }
}

/// A server under load. It ends with this value, and its store is removed.
pub(crate) struct Server {
    // Dropped before the folder that it writes into.
    process: Process,
    state: Option<TempDir>,
}

impl Server {
    /// Starts the application of a manifest on Spin with an empty store and waits until it listens.
    pub(crate) fn spin(manifest: &Path, variables: &[&str], flags: &[&str]) -> Result<Server> {
        let state = TempDir::with_prefix("bipolar-edge-bench-")?;
        let launch = Launch::spin()?
            .manifest(manifest)
            .state_dir(state.path())
            .variables(variables)
            .args(flags)
            // Spin 4.1 writes a backtrace for each idle instance when it ends: not between the tables.
            .stderr(Output::Collect)
            .quiet();
        Ok(Server { process: launch.start()?, state: Some(state) })
    }

    /// Starts a server that has no store of its own.
    pub(crate) fn launch(launch: Launch) -> Result<Server> {
        Ok(Server { process: launch.start()?, state: None })
    }

    /// Returns the address that it listens on.
    pub(crate) fn address(&self) -> &str {
        self.process.address()
    }

    /// Returns the folder that a host keeps its store in.
    pub(crate) fn state(&self) -> Option<&Path> {
        self.state.as_ref().map(TempDir::path)
    }

    /// Returns the mebibytes of the server and all that it started.
    pub(crate) fn memory_mib(&self) -> Result<f64> {
        self.process.memory_mib()
    }

    /// Returns the processor time of the server and all that it started.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        self.process.processor_time()
    }

    /// Requests a path on some connections for some time, as `callers` callers by turns.
    pub(crate) fn load(&self, path: &str, callers: usize, connections: usize, time: Duration) -> Result<Figures> {
        let address = self.address();
        let request = |turn: usize| {
            let caller = turn % callers;
            let from = format!("10.0.{}.{}", caller / 250, caller % 250);
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nx-forwarded-for: {from}\r\n\r\n").into_bytes()
        };
        client::load(address, &request, connections, time)
    }

    /// Sends one request again and again on some connections for some time.
    pub(crate) fn repeat(&self, request: &[u8], connections: usize, time: Duration) -> Result<Figures> {
        client::load(self.address(), &|_| request.to_vec(), connections, time)
    }
}
