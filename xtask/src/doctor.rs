//! `cargo xtask doctor`: lists what is installed and what is missing. It installs nothing.

use crate::programs::{CHROMIUM, CURL, NPM, POSTGRESQL, PROMTOOL, Program, REDIS};
use crate::python;
use crate::spin;
use crate::step::{install_hint, is_root, on_path, output};
use crate::toolchain::{MIN_RUST, TARGET, Toolchain, check_rust};
use crate::up;
use anyhow::{Result, ensure};
use std::env::consts::OS;

/// A thing that commands need.
struct Finding {
    name: &'static str,
    /// A description, if it is there.
    found: Option<String>,
    /// The commands and tests that need it.
    needed_by: &'static str,
    /// How to get it, or what is done without it.
    otherwise: String,
    /// `cargo xtask up` cannot do without it, and cannot get it by itself.
    required: bool,
}

/// The programs that Debian has packages of, and the tests and commands that need them.
const PROGRAMS: [(&str, Program, &str); 6] = [
    ("Redis", REDIS, "tests of the store in Redis, bench serve"),
    ("PostgreSQL", POSTGRESQL, "tests of the schema, up --supabase-demo"),
    ("promtool", PROMTOOL, "tests of /metrics"),
    ("Chromium", CHROMIUM, "tests of the pages"),
    ("curl", CURL, "tests of the samples of the pages"),
    ("npm", NPM, "tests of the samples of the pages and of the description"),
];

/// Prints all findings. Errors if something required is missing.
pub(crate) fn run() -> Result<()> {
    let findings: Vec<Finding> = for_serving().into_iter().chain(for_tests()).chain(PROGRAMS.map(debian)).collect();
    for Finding { name, found, needed_by, otherwise, .. } in &findings {
        match found {
            Some(found) => println!("ok       {name}: {found}"),
            None => println!("missing  {name}, for {needed_by}: {otherwise}"),
        }
    }
    let missing: Vec<&str> =
        findings.iter().filter(|one| one.required && one.found.is_none()).map(|one| one.name).collect();
    ensure!(missing.is_empty(), "nothing runs without {}", missing.join(", "));
    println!("\n`cargo xtask up` can run; `cargo xtask test` leaves out what it cannot install and says so at its end");
    Ok(())
}

fn for_serving() -> [Finding; 5] {
    [
        Finding {
            name: "Rust",
            found: check_rust().ok().and_then(|()| output("rustc", &["--version"])),
            needed_by: "everything",
            otherwise: format!("rustup update stable ({MIN_RUST} or later; https://rustup.rs)"),
            required: true,
        },
        Finding {
            name: "a C linker",
            found: linker(),
            needed_by: "everything",
            otherwise: match OS {
                "macos" => "xcode-select --install".to_owned(),
                _ => install_hint(OS, "gcc libc6-dev", "a C compiler"),
            },
            required: true,
        },
        Finding {
            name: "the Wasm target",
            found: Toolchain::find().map(|toolchain| match toolchain {
                Toolchain::Own { .. } => format!("{TARGET}, rustup's"),
                Toolchain::Debian { .. } => format!("{TARGET}, Debian's"),
            }),
            needed_by: "everything",
            otherwise: "installed by up, build and test where rustup reaches its server, or as root on Debian"
                .to_owned(),
            required: false,
        },
        Finding {
            name: "port 3000",
            found: up::check_port(up::ADDRESS).ok().map(|()| "free".to_owned()),
            needed_by: "up",
            otherwise: "taken: cargo xtask up -- --listen 127.0.0.1:3001".to_owned(),
            required: false,
        },
        Finding {
            name: "Spin 3.4 or later",
            found: output("spin", &["--version"]).filter(|_| spin::is_installed(spin::MIN_RELEASE)),
            needed_by: "up and test, which use it where it is",
            otherwise: "the project's own host serves instead".to_owned(),
            required: false,
        },
    ]
}

/// Returns the linker that Rust calls: `cc`, or on Windows one that it finds by itself.
fn linker() -> Option<String> {
    if cfg!(windows) { Some("the one that rustc finds".to_owned()) } else { on_path("cc").then(|| "cc".to_owned()) }
}

fn for_tests() -> [Finding; 2] {
    [
        Finding {
            name: "cargo-nextest",
            found: on_path("cargo-nextest").then(|| "here".to_owned()),
            needed_by: "test, which is faster with it",
            otherwise: "cargo install --locked cargo-nextest; without it `cargo test` runs the same tests".to_owned(),
            required: false,
        },
        Finding {
            name: "Python 3 with venv",
            found: python::is_installed().then(|| output(python::PYTHON, &["--version"]).unwrap_or_default()),
            needed_by: "tests of Python clients and pages, bench forest, inference, serve and curves",
            otherwise: python::install_python() + by_itself(),
            required: false,
        },
    ]
}

/// Returns what is added where `test` can install what is missing.
fn by_itself() -> &'static str {
    if is_root() && on_path("apt-get") { ", which test does by itself" } else { "" }
}

fn debian((name, program, needed_by): (&'static str, Program, &'static str)) -> Finding {
    Finding {
        name,
        found: (program.is_installed)().then(|| "here".to_owned()),
        needed_by,
        otherwise: program.how_to_install(OS) + by_itself(),
        required: false,
    }
}
