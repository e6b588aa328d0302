//! `cargo xtask watch`: serve, and serve anew what was changed.

use crate::build;
use crate::step;
use crate::toolchain::{Toolchain, check_rust};
use crate::up::server;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

/// What the module is made of.
const WATCHED: [&str; 6] = ["src", "models", "wit", "spin.toml", "Cargo.toml", "build.rs"];
/// A walk over some hundred files takes a few milliseconds.
const LOOK: Duration = Duration::from_millis(300);

pub(crate) fn run(flags: &[String]) -> Result<()> {
    check_rust()?;
    let toolchain = Toolchain::set_up()?;
    // Before it is built: what is changed meanwhile is not in it.
    let mut seen = latest_change();
    build::module(&toolchain, &[])?;
    let server = server()?;
    let mut served = serve(&server, flags)?;
    println!("==> watching {}; stop with Ctrl-C", WATCHED.join(", "));
    loop {
        std::thread::sleep(LOOK);
        let mut latest = latest_change();
        if latest == seen {
            continue;
        }
        // Whoever writes one file often writes the next at once.
        while std::mem::replace(&mut latest, latest_change()) != latest {
            std::thread::sleep(LOOK);
        }
        seen = latest;
        println!("==> something was changed");
        match build::module(&toolchain, &[]) {
            Ok(()) => {
                stop(&mut served);
                served = serve(&server, flags)?;
            }
            // What was built before still serves.
            Err(error) => eprintln!("error: {error:#}"),
        }
    }
}

fn serve(server: &Path, flags: &[String]) -> Result<Child> {
    let mut command = Command::new(server);
    if server == Path::new("spin") {
        command.arg("up");
    }
    command.args(flags).spawn().context("cannot start the server")
}

/// Asks the server to end, as Ctrl-C does, so that it finishes what it is doing.
fn stop(served: &mut Child) {
    let asked = step::output("kill", &["-INT", &served.id().to_string()]);
    if asked.is_none() {
        let _ = served.kill();
    }
    let _ = served.wait();
}

/// When the latest of the files was changed, and how many there are, so that one that is deleted is seen too.
fn latest_change() -> (SystemTime, usize) {
    let mut latest = (SystemTime::UNIX_EPOCH, 0);
    for path in WATCHED {
        look(Path::new(path), &mut latest);
    }
    latest
}

fn look(path: &Path, latest: &mut (SystemTime, usize)) {
    let Ok(metadata) = path.metadata() else { return };
    if metadata.is_dir() {
        // Build folders of the fuzzers are large, and nothing that is served comes out of them.
        let built = |name: &str| path.file_name().is_some_and(|own| own == name);
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        if !built("target") && !built("corpus") {
            entries.for_each(|entry| look(&entry.path(), latest));
        }
    } else if let Ok(changed) = metadata.modified() {
        *latest = (latest.0.max(changed), latest.1 + 1);
    }
}
