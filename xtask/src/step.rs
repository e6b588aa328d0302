//! The steps of a command: each is announced, timed, and named when it fails.

use anyhow::{Context, Error, Result, ensure};
use std::ffi::OsStr;
use std::process::Command;
use std::time::Instant;

/// Runs a command with its output shown. Errors if it fails.
pub fn run(what: &str, command: &mut Command) -> Result<()> {
    println!("==> {what}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("cannot run {}", command_line(command)))?;
    ensure!(status.success(), "{what} failed ({status}): {}", command_line(command));
    println!("    {what}: {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// Words of programs when this machine lacks something, and what to do about it.
const REMEDIES: [(&[&str], &str); 2] = [
    (
        &["No space left on device", "os error 28", "os error 112"],
        "the disk is full: a first build takes 5 GB, and CARGO_TARGET_DIR can name a folder on another disk",
    ),
    (
        &["failed to download", "download of", "Could not resolve host", "Couldn't connect", "failed to fetch"],
        "crates.io cannot be reached, and a first build downloads libraries: connect this machine to the network, or set HTTPS_PROXY",
    ),
];

/// Adds to an error what to do about what a program said.
pub fn with_remedy(error: Error, said: &str) -> Error {
    let remedy = REMEDIES.iter().find(|(signs, _)| signs.iter().any(|sign| said.contains(sign)));
    match remedy {
        Some((_, remedy)) => error.context(*remedy),
        None => error,
    }
}

/// Returns what a program prints, without blanks around it, or `None` if it cannot be run or fails.
pub fn output(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The variable that names the compiler of the workspace's own packages.
pub const WORKSPACE_WRAPPER: &str = "RUSTC_WORKSPACE_WRAPPER";
/// Compiles what is ours and lints it on the way.
pub const CLIPPY: &str = "clippy-driver";

/// Returns the cargo that runs this program, without the variable that names this package: some build scripts run again
/// when that variable changes, and half of the host would be built anew whenever `cargo` and `cargo xtask` are used by
/// turns.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.env_remove("CARGO_MANIFEST_DIR");
    cargo
}

/// Has a cargo, and every cargo that its programs run, compile the packages of the workspace with clippy. `cargo
/// clippy` checks every library first, Wasmtime too, for the tests to compile them then: it took a quarter of a run.
pub fn linting(mut cargo: Command) -> Command {
    cargo.env(WORKSPACE_WRAPPER, CLIPPY).env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__");
    cargo
}

/// Returns whether a program is on the path.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Returns whether packages can be installed without asking anyone.
pub fn is_root() -> bool {
    output("id", &["-u"]).is_some_and(|id| id == "0")
}

/// Installs Debian packages. Errors with `without_root` and the command to run if we are not root.
pub fn apt_get(packages: &[&str], without_root: &str) -> Result<()> {
    ensure!(is_root(), "{without_root}: sudo apt-get install -y --no-install-recommends {}", packages.join(" "));
    run("updating the list of Debian packages", Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "-y", "-qq", "--no-install-recommends"]);
    run(&format!("installing {} from Debian", packages.join(", ")), install.args(packages))
}

/// Returns a command as it would be typed.
pub fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
