//! `cargo xtask watch`: serves, and builds and serves anew after each change.

use crate::build;
use crate::step;
use crate::toolchain::{Toolchain, check_rust};
use crate::up;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, SystemTime};

/// The sources of the module.
const WATCHED: [&str; 6] = ["src", "models", "wit", "spin.toml", "Cargo.toml", "build.rs"];
/// A walk over some hundred files takes a few milliseconds.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// Serves until this process is stopped.
pub(crate) fn run(flags: &[OsString]) -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    // Taken before the build: a later change is not in it.
    let mut built = Snapshot::take();
    let module = build::module_of(&up::manifest(flags))?;
    let server = up::build(&toolchain, module)?;
    let mut running = serve(&server, flags)?;
    println!("==> watching {}; stop with Ctrl-C", WATCHED.join(", "));
    loop {
        std::thread::sleep(POLL_INTERVAL);
        let mut latest = Snapshot::take();
        if latest == built {
            continue;
        }
        // Whoever writes one file often writes the next at once.
        while std::mem::replace(&mut latest, Snapshot::take()) != latest {
            std::thread::sleep(POLL_INTERVAL);
        }
        built = latest;
        println!("==> something was changed");
        match build::module(&toolchain, module) {
            Ok(()) => {
                stop(&mut running);
                running = serve(&server, flags)?;
            }
            // The module that was built before still serves.
            Err(error) => eprintln!("error: {error:#}"),
        }
    }
}

fn serve(server: &Path, flags: &[OsString]) -> Result<Child> {
    up::command(server).args(flags).spawn().context("cannot start the server")
}

/// Interrupts the server, as Ctrl-C does, so that it finishes its requests; and waits for its end.
fn stop(server: &mut Child) {
    if step::output("kill", &["-INT", &server.id().to_string()]).is_none() {
        let _ = server.kill();
    }
    let _ = server.wait();
}

/// The state of the watched files.
#[derive(Clone, Copy, PartialEq)]
struct Snapshot {
    modified: SystemTime,
    /// Shows that a file was deleted.
    files: usize,
}

impl Snapshot {
    fn take() -> Snapshot {
        let mut snapshot = Snapshot { modified: SystemTime::UNIX_EPOCH, files: 0 };
        for path in WATCHED {
            snapshot.add(Path::new(path));
        }
        snapshot
    }

    /// Adds a file, or all files in a folder.
    fn add(&mut self, path: &Path) {
        let Ok(metadata) = path.metadata() else { return };
        if metadata.is_dir() {
            // The fuzzers' build folders are large, and nothing that is served comes out of them.
            let skipped = ["target", "corpus"].iter().any(|name| path.file_name().is_some_and(|own| own == *name));
            if !skipped {
                let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
                entries.for_each(|entry| self.add(&entry.path()));
            }
        } else if let Ok(modified) = metadata.modified() {
            self.modified = self.modified.max(modified);
            self.files += 1;
        }
    }
}
