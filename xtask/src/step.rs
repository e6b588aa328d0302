//! The steps of a command: each is announced, timed, and named when it fails.

use anyhow::{Context, Error, Result, anyhow, bail};
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

/// Runs a command with its output shown. Errors if it fails.
pub fn run(what: &str, command: &mut Command) -> Result<()> {
    timed(what, command, |command| Ok((command.status()?, String::new())))
}

/// Runs a command that downloads, as [`run`] does. Its standard error is shown and read too: if it fails for want of a
/// network or of room on the disk, the error says what to do. Other commands keep their terminal.
pub fn install(what: &str, command: &mut Command) -> Result<()> {
    timed(what, command, |command| {
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let mut said = String::new();
        let stderr = child.stderr.take();
        for line in stderr.into_iter().flat_map(|stream| BufReader::new(stream).split(b'\n')).map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            eprintln!("{line}");
            said = said + &line + "\n";
        }
        Ok((child.wait()?, said))
    })
}

/// Runs a command by a function that returns how it ended and what it said, and shows how long it took.
fn timed(
    what: &str,
    command: &mut Command,
    ended: impl FnOnce(&mut Command) -> io::Result<(ExitStatus, String)>,
) -> Result<()> {
    println!("==> {what}");
    let start = Instant::now();
    let (status, said) = ended(command).with_context(|| format!("cannot run {}", command_line(command)))?;
    if !status.success() {
        let error = anyhow!("{what} failed ({status}): {}", command_line(command));
        return Err(with_remedy(what, error, &said));
    }
    println!("    {what}: {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// Words of programs (cargo, rustup, apt-get, uv, pip, npm) when this machine lacks something, and what to do about it.
const REMEDIES: [(&[&str], &str); 2] = [
    (
        &["No space left on device", "os error 28", "os error 112", "ENOSPC"],
        "the disk is full: `up` takes 2 GB and `test` 7, and CARGO_TARGET_DIR can name a folder on another disk",
    ),
    (
        &[
            "failed to download",
            "download of",
            "Could not resolve host",
            "Couldn't connect",
            "ailed to fetch",
            "could not download",
            "error sending request",
            "Temporary failure in name resolution",
            "from versions: none",
            "ECONNREFUSED",
            "ENOTFOUND",
            "EAI_AGAIN",
            "ETIMEDOUT",
        ],
        "a server cannot be reached, and this step downloads: connect this machine to the network, or set HTTPS_PROXY",
    ),
];

/// Returns an error that says in one sentence what to do about what a program said; else the error as it is.
pub fn with_remedy(what: &str, error: Error, said: &str) -> Error {
    let remedy = REMEDIES.iter().find(|(signs, _)| signs.iter().any(|sign| said.contains(sign)));
    remedy.map_or(error, |(_, remedy)| anyhow!("{what} failed: {remedy}"))
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

/// The endings of programs on this system.
const PROGRAM_ENDINGS: &[&str] = if cfg!(windows) { &[".exe", ".cmd", ".bat"] } else { &[""] };

/// Returns whether a program, named without its ending, is on the path.
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_program(&folder.join(program), PROGRAM_ENDINGS))
}

/// Returns whether a file is there under one of these endings.
fn is_program(file: &Path, endings: &[&str]) -> bool {
    endings.iter().any(|ending| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        Path::new(&name).is_file()
    })
}

/// Returns whether packages can be installed without asking anyone.
pub fn is_root() -> bool {
    output("id", &["-u"]).is_some_and(|id| id == "0")
}

/// Installs Debian packages. Errors with `without_root` and the command to run if we are not root.
pub fn apt_get(packages: &[&str], without_root: &str) -> Result<()> {
    if !is_root() {
        bail!("{without_root}: sudo apt-get install -y --no-install-recommends {}", packages.join(" "));
    }
    install("updating the list of Debian packages", Command::new("apt-get").args(["update", "-qq"]))?;
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "-y", "-qq", "--no-install-recommends"]);
    install(&format!("installing {} from Debian", packages.join(", ")), command.args(packages))
}

/// Returns the command that installs a program on a system ([`std::env::consts::OS`]), by its package of Debian and its
/// formula of Homebrew.
pub fn install_hint(system: &str, debian: &str, homebrew: &str) -> String {
    match system {
        "macos" => format!("brew install {homebrew}"),
        "linux" => format!("sudo apt-get install -y {debian}"),
        _ => format!("install {homebrew} by hand"),
    }
}

/// Returns a command as it would be typed.
pub fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are what each program prints without a network, or on a full disk.
    #[test]
    fn what_is_lacking_is_said_in_one_sentence_with_the_remedy() {
        let network = "x failed: a server cannot be reached, and this step downloads: connect this machine to the \
                       network, or set HTTPS_PROXY";
        let disk = "x failed: the disk is full: `up` takes 2 GB and `test` 7, and CARGO_TARGET_DIR can name a folder \
                    on another disk";
        for (said, expected) in [
            ("error: failed to download from `https://index.crates.io/config.json`", network),
            (
                "error: component download failed for rust-std-wasm32-wasip2: could not download file from 'https",
                network,
            ),
            ("W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease", network),
            ("error: Failed to fetch: https://pypi.org/simple/numpy/", network),
            ("ERROR: Could not find a version that satisfies the requirement uv (from versions: none)", network),
            ("npm error code ECONNREFUSED", network),
            ("npm error request to https://registry.npmjs.org failed, reason: getaddrinfo EAI_AGAIN", network),
            ("error: failed to write `a.o`: No space left on device (os error 28)", disk),
            ("npm error code ENOSPC", disk),
            ("error[E0308]: mismatched types", "x failed (exit status: 1): cargo build"),
            (
                "error: could not compile `serde` (lib) due to 1 previous error",
                "x failed (exit status: 1): cargo build",
            ),
        ] {
            let error = with_remedy("x", anyhow!("x failed (exit status: 1): cargo build"), said);
            assert_eq!(format!("{error:#}"), expected, "{said}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_step_that_installs_reads_what_its_program_says() {
        let fails = |script: &str| {
            let error = install("making a test", Command::new("sh").args(["-c", script]));
            error.err().map(|error| format!("{error:#}")).unwrap_or_default()
        };
        assert!(
            fails("echo npm error code ENOTFOUND >&2; exit 1").starts_with("making a test failed: a server cannot")
        );
        assert_eq!(fails("exit 3"), "making a test failed (exit status: 3): sh -c exit 3");
        // A warning of a step that ends well is none of ours.
        assert_eq!(fails("echo Failed to fetch >&2"), "");
    }

    #[test]
    fn a_program_is_found_under_the_ending_that_its_system_gives_it() {
        let itself = std::env::current_exe().unwrap_or_default();
        assert!(is_program(&itself.with_extension(""), PROGRAM_ENDINGS));
        assert!(is_program(Path::new("Cargo"), &[".exe", ".toml"]));
        assert!(!is_program(Path::new("Cargo"), &[".exe"]) && !is_program(Path::new("Cargo"), &[""]));
    }

    #[test]
    fn programs_are_installed_as_each_system_does() {
        let postgresql = |system: &str| install_hint(system, "postgresql", "postgresql@17");
        assert_eq!(postgresql("linux"), "sudo apt-get install -y postgresql");
        assert_eq!(postgresql("macos"), "brew install postgresql@17");
        assert_eq!(postgresql("windows"), "install postgresql@17 by hand");
    }
}
