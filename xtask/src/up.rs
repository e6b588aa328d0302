//! `cargo xtask up`: serve the application.

use crate::build;
use crate::server::POSTGRESQL;
use crate::step::{on_path, output};
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) fn run(flags: &[String]) -> Result<()> {
    check_rust()?;
    build::module(&Toolchain::set_up()?, &[])?;
    let (demo, flags) = match flags {
        [first, rest @ ..] if first == "--supabase-demo" => (true, rest),
        all => (false, all),
    };
    let server = server()?;
    let mut serve = if demo {
        POSTGRESQL.set_up()?;
        let mut serve = Command::new(build::native("demo-project", "building the stand-in for Supabase")?);
        serve.arg(&server);
        serve
    } else {
        let mut serve = Command::new(&server);
        if server == Path::new("spin") {
            serve.arg("up");
        }
        serve
    };
    serve.args(flags);
    println!("==> serving; stop with Ctrl-C");
    if !demo {
        println!("    open http://127.0.0.1:3000, or");
        println!("    try: curl http://127.0.0.1:3000/data/predictions/33333333-3333-4333-8333-333333333333");
    }
    // In place of this process, so that signals reach the server itself.
    Err(serve.exec()).context("cannot start the server")
}

/// What serves: Spin, or the project's own host.
pub(crate) fn server() -> Result<PathBuf> {
    if spin_is_here() {
        return Ok("spin".into());
    }
    println!("    `spin` 4.1 or later is not on the path: serving on the project's own host");
    build::host()
}

/// Whether `spin` 4.1 or later is on the path.
pub(crate) fn spin_is_here() -> bool {
    let version = || -> Option<(u32, u32)> {
        let line = output("spin", &["--version"])?;
        let mut numbers = line.split_whitespace().nth(1)?.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    };
    on_path("spin") && version().is_some_and(|version| version >= (4, 1))
}
