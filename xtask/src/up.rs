//! `cargo xtask up`: serves the application.

use crate::build;
use crate::programs::POSTGRESQL;
use crate::spin;
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The flag of this command that may also stand behind `--`.
const SUPABASE_DEMO: &str = "--supabase-demo";

/// Builds the application and becomes its server. Returns only if that fails.
pub(crate) fn run(supabase_demo: bool, flags: &[OsString]) -> Result<()> {
    check_rust()?;
    let (supabase_demo, flags) = match flags {
        [first, rest @ ..] if first == SUPABASE_DEMO => (true, rest),
        all => (supabase_demo, all),
    };
    let module = build::module_of(&manifest(flags))?;
    build::module(&Toolchain::set_up()?, module, &[])?;
    let server = server(module)?;
    let mut serve = if supabase_demo {
        POSTGRESQL.set_up()?;
        let mut serve = Command::new(build::native("demo-project", "building the stand-in for Supabase")?);
        serve.arg(&server);
        serve
    } else {
        command(&server)
    };
    serve.args(flags);
    println!("==> serving; stop with Ctrl-C");
    if !supabase_demo {
        println!("    open http://127.0.0.1:3000, or");
        println!("    try: curl http://127.0.0.1:3000/data/predictions/33333333-3333-4333-8333-333333333333");
    }
    // In place of this process, so that signals reach the server itself.
    Err(serve.exec()).context("cannot start the server")
}

/// Returns the manifest that the server's flags name.
pub(crate) fn manifest(flags: &[OsString]) -> PathBuf {
    let in_one = flags.iter().find_map(|flag| flag.to_str()?.strip_prefix("--from="));
    let in_two = flags.windows(2).find(|pair| ["-f", "--from"].iter().any(|flag| pair[0] == *flag));
    in_one.map(PathBuf::from).or_else(|| in_two.map(|pair| PathBuf::from(&pair[1]))).unwrap_or("spin.toml".into())
}

/// Returns the program that serves a module: Spin if it is installed, otherwise the project's own host, which is built.
pub(crate) fn server(module: (&str, &str)) -> Result<PathBuf> {
    let release = if module == build::FAST { spin::FAST_RELEASE } else { spin::MIN_RELEASE };
    if spin::is_installed(release) {
        return Ok("spin".into());
    }
    let (major, minor) = release;
    println!("    `spin` {major}.{minor} or later is not on the path: serving on the project's own host");
    build::host()
}

/// Returns the command that serves with a program of [`server`]. Both take the same flags.
pub(crate) fn command(server: &Path) -> Command {
    let mut command = Command::new(server);
    if server == Path::new("spin") {
        command.arg("up");
    }
    command
}
