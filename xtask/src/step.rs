//! Running one step of a command: said before, timed after, and a failure that names what was run.

use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::process::Command;
use std::time::Instant;

/// Runs a command with its output shown. Errors if it fails.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    println!("==> {what}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("cannot run {}", shown(command)))?;
    ensure!(status.success(), "{what} failed ({status}): {}", shown(command));
    println!("    {what}: {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// The output of a command, if it can be run and succeeds.
pub(crate) fn output(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The cargo that runs us. It is not told whose program runs it: there are build scripts that run again when that changes, and half of
/// the host would be built anew each time that somebody takes turns between cargo and this.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.env_remove("CARGO_MANIFEST_DIR");
    cargo
}

/// Whether a program is on the path.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether packages can be installed without asking anyone.
pub(crate) fn is_root() -> bool {
    output("id", &["-u"]).is_some_and(|id| id == "0")
}

/// Installs Debian packages, as root. `without_root` is said to everyone else.
pub(crate) fn apt_get(packages: &[&str], without_root: &str) -> Result<()> {
    ensure!(is_root(), "{without_root}: sudo apt-get install -y --no-install-recommends {}", packages.join(" "));
    run("updating the list of Debian packages", Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "-y", "-qq", "--no-install-recommends"]);
    run(&format!("installing {} from Debian", packages.join(", ")), install.args(packages))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
