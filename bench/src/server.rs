//! Hosts and other servers under load.

use crate::client::{self, Figures};
use anyhow::{Result, ensure};
use harness::process::{Launch, Output, Process};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use xtask::benchmark::{On, Options};
use xtask::{build, spin};

/// The manifest of this service as a component of WASI 0.2, which every platform runs.
pub(crate) const MANIFEST: &str = "spin.toml";
/// The manifest of this service as a component of WASI 0.3, for Spin 4.1 and later.
pub(crate) const FAST_MANIFEST: &str = "spin-4.1.toml";

/// A host that serves components.
#[derive(Clone, Debug)]
pub(crate) enum Host {
    /// The project's own, by its program. It is no faster than Spin.
    Own(PathBuf),
    /// Spin, from the path.
    Spin,
}

impl Host {
    /// Builds the project's own host, quickly where nothing is measured, or errors if Spin is not there.
    pub(crate) fn set_up(Options { on, short }: Options) -> Result<Host> {
        match on {
            On::Own if short => Ok(Host::Own(build::native(build::HOST)?)),
            On::Own => Ok(Host::Own(build::measured_host()?)),
            On::Spin => {
                let (major, minor) = spin::MIN_RELEASE;
                ensure!(
                    spin::is_installed(spin::MIN_RELEASE),
                    "there is no `spin` {major}.{minor} or later on the path: leave `--on spin` out, or install it"
                );
                Ok(Host::Spin)
            }
        }
    }

    /// Returns the name for a table.
    pub(crate) fn name(&self) -> String {
        match self {
            Host::Own(_) => "own host".to_owned(),
            Host::Spin => spin::release().map_or("Spin".to_owned(), |(major, minor)| format!("Spin {major}.{minor}")),
        }
    }

    /// Returns the application of a component, with an empty store in SQLite and the default variables.
    pub(crate) fn application<'a>(&'a self, manifest: &'a Path) -> Application<'a> {
        Application { host: self, manifest, variables: &[], flags: &[], log: None }
    }
}

/// An application, as a benchmark starts it.
#[derive(Clone, Copy)]
pub(crate) struct Application<'a> {
    pub(crate) host: &'a Host,
    pub(crate) manifest: &'a Path,
    /// Variables of the application, each as `name=value`.
    pub(crate) variables: &'a [&'a str],
    /// More of the host's flags.
    pub(crate) flags: &'a [&'a str],
    /// The file that the log goes into. Without one there is no log.
    pub(crate) log: Option<&'a Path>,
}

impl Application<'_> {
    /// Starts the host with an empty store and waits until it listens.
    pub(crate) fn start(&self) -> Result<Server> {
        self.start_in(TempDir::with_prefix("bipolar-edge-bench-")?)
    }

    /// Starts the host with a folder to keep its store in, new or of an earlier start, and waits until it listens.
    pub(crate) fn start_in(&self, state: TempDir) -> Result<Server> {
        let launch = match self.host {
            Host::Own(program) => Launch::own_host(program).args(["--like-spin"]),
            // Spin 4.1 writes a backtrace for each idle instance when it ends: not between the tables.
            Host::Spin => Launch::spin()?.stderr(Output::Collect),
        };
        let launch = launch.manifest(self.manifest).state_dir(state.path()).variables(self.variables).args(self.flags);
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
    /// Starts a server that has no store of its own.
    pub(crate) fn launch(launch: Launch) -> Result<Server> {
        Ok(Server { process: launch.start()?, state: None })
    }

    /// Returns the address that it listens on.
    pub(crate) fn address(&self) -> &str {
        self.process.address()
    }

    /// Ends the server; returns the folder that it kept its store in.
    pub(crate) fn end(self) -> Option<TempDir> {
        self.state
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
