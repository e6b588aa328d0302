//! `cargo xtask doctor`: what is here, what is missing, and what for. It installs nothing.

use crate::python;
use crate::server::{CHROMIUM, CURL, NPM, POSTGRESQL, PROMTOOL, REDIS, Server};
use crate::step::{on_path, output};
use crate::toolchain::{MIN_RUST, TARGET, Toolchain, check_rust};
use crate::up::spin_is_here;
use anyhow::{Result, ensure};

/// One thing that is looked for.
struct Finding {
    what: &'static str,
    /// What is there.
    found: Option<String>,
    /// What needs it.
    needed_by: &'static str,
    /// How to get it, or what is done without it.
    otherwise: String,
    /// `cargo xtask up` cannot do without it, and cannot get it by itself.
    must: bool,
}

pub(crate) fn run() -> Result<()> {
    let mut findings = vec![
        Finding {
            what: "Rust",
            found: check_rust().ok().and_then(|()| output("rustc", &["--version"])),
            needed_by: "everything",
            otherwise: format!("rustup update stable ({MIN_RUST} or later; https://rustup.rs)"),
            must: true,
        },
        Finding {
            what: "the Wasm target",
            found: Toolchain::find().map(|toolchain| match toolchain {
                Toolchain::Own => format!("{TARGET}, rustup's"),
                Toolchain::Debian { .. } => format!("{TARGET}, Debian's"),
            }),
            needed_by: "everything",
            otherwise: "installed by up, build and test where rustup reaches its server, or as root on Debian"
                .to_owned(),
            must: false,
        },
        Finding {
            what: "port 3000",
            found: std::net::TcpListener::bind("127.0.0.1:3000").ok().map(|_| "free".to_owned()),
            needed_by: "up",
            otherwise: "taken: cargo xtask up -- --listen 127.0.0.1:3001".to_owned(),
            must: false,
        },
        Finding {
            what: "Spin 4.1 or later",
            found: output("spin", &["--version"]).filter(|_| spin_is_here()),
            needed_by: "up and test, which use it where it is",
            otherwise: "the project's own host serves instead".to_owned(),
            must: false,
        },
        Finding {
            what: "cargo-nextest",
            found: on_path("cargo-nextest").then(|| "here".to_owned()),
            needed_by: "test, which is faster with it",
            otherwise: "cargo install --locked cargo-nextest; without it `cargo test` runs the same tests".to_owned(),
            must: false,
        },
        Finding {
            what: "Python 3 with venv",
            found: python::is_here().then(|| output("python3", &["--version"]).unwrap_or_default()),
            needed_by: "tests of Python clients and pages, bench forest, inference, serve and curves",
            otherwise: "sudo apt-get install -y python3-venv (as root, test installs it)".to_owned(),
            must: false,
        },
    ];
    let servers: [(&str, Server, &str); 6] = [
        ("Redis", REDIS, "tests of the store in Redis, bench serve"),
        ("PostgreSQL", POSTGRESQL, "tests of the schema, up --supabase-demo"),
        ("promtool", PROMTOOL, "tests of /metrics"),
        ("Chromium", CHROMIUM, "tests of the pages"),
        ("curl", CURL, "tests of the README's samples"),
        ("npm", NPM, "tests of the README's samples and of the description"),
    ];
    findings.extend(servers.map(|(what, server, needed_by)| Finding {
        what,
        found: (server.is_here)().then(|| "here".to_owned()),
        needed_by,
        otherwise: format!("sudo apt-get install -y {} (as root, test installs it)", server.package),
        must: false,
    }));
    for Finding { what, found, needed_by, otherwise, .. } in &findings {
        match found {
            Some(found) => println!("ok       {what}: {found}"),
            None => println!("missing  {what}, for {needed_by}: {otherwise}"),
        }
    }
    let must: Vec<&str> = findings.iter().filter(|one| one.must && one.found.is_none()).map(|one| one.what).collect();
    ensure!(must.is_empty(), "nothing runs without {}", must.join(", "));
    println!("\n`cargo xtask up` can run; `cargo xtask test` leaves out what it cannot install and says so at its end");
    Ok(())
}
