//! The compiler for Wasm: rustup's where rustup reaches its server, else Debian's packages.

use crate::step::{self, WORKSPACE_WRAPPER, apt_get, cargo, linting, on_path, output};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Wasm target of the module.
pub const TARGET: &str = "wasm32-wasip2";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "wasi-libc"];
/// The Rust version that the workspace needs, from its `Cargo.toml`.
pub const MIN_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// A compiler for the Wasm module.
#[derive(Clone, Debug)]
pub enum Toolchain {
    /// The toolchain that cargo uses, with the target in it.
    Own {
        /// True if clippy compiles what is ours.
        lints: bool,
    },
    /// Debian's compiler and standard library sources, with the linker that came with ours.
    Debian {
        /// The folder of our own toolchain's linkers.
        linkers: PathBuf,
    },
}

impl Toolchain {
    /// Returns the toolchain. Installs what is missing.
    pub fn set_up() -> Result<Toolchain> {
        if let Some(found) = Toolchain::find() {
            return Ok(found);
        }
        println!("==> the Wasm target {TARGET} is not installed");
        let rustup_error = if on_path("rustup") {
            match step::install(
                "rustup target add",
                Command::new("rustup").env("RUST_BACKTRACE", "0").args(["target", "add", TARGET]),
            ) {
                Ok(()) => return Toolchain::find().context("rustup added the target, and it cannot be found"),
                Err(error) => format!("{error:#}"),
            }
        } else {
            "rustup is not on the path".to_owned()
        };
        if !on_path("apt-get") {
            bail!(
                "the Wasm target {TARGET} is missing and could not be installed ({rustup_error}): run \
                 `rustup target add {TARGET}` where rustup reaches its server"
            );
        }
        println!("    {rustup_error}; taking Debian's packages instead");
        apt_get(
            &DEBIAN_PACKAGES,
            &format!(
                "the Wasm target {TARGET} is missing; run `rustup target add {TARGET}` where rustup reaches its \
                 server, or"
            ),
        )?;
        Toolchain::find().with_context(|| {
            format!(
                "{} are installed, and still no compiler for {TARGET} was found: {} must be {MIN_RUST} or later, and \
                 rust-lld and wasm-component-ld must stand beside rustup's rustc",
                DEBIAN_PACKAGES.join(", "),
                DEBIAN_RUSTC
            )
        })
    }

    /// Returns the toolchain that is installed, if one is complete.
    pub fn find() -> Option<Toolchain> {
        let libraries = output("rustc", &["--print", "target-libdir", "--target", TARGET])?;
        if Path::new(&libraries).is_dir() {
            return Some(Toolchain::Own { lints: false });
        }
        let version = output(DEBIAN_RUSTC, &["--version"])?;
        let sources = Path::new(&output(DEBIAN_RUSTC, &["--print", "sysroot"])?).join("lib/rustlib/src/rust/library");
        let host = output("rustc", &["--print", "host-tuple"])?;
        let linkers = Path::new(&output("rustc", &["--print", "sysroot"])?).join("lib/rustlib").join(host).join("bin");
        let complete = is_recent(&version)
            && sources.is_dir()
            && Path::new(DEBIAN_WASI_LIBRARIES).is_dir()
            && linkers.join("wasm-component-ld").is_file();
        complete.then_some(Toolchain::Debian { linkers })
    }

    /// Returns the command `cargo build --release` for the Wasm target.
    pub fn cargo_build(&self) -> Result<Command> {
        let mut build = cargo();
        build.args(["build", "--release", "--locked", "--target", TARGET]);
        if let Toolchain::Own { lints: true } = self {
            build = linting(build);
        }
        if let Toolchain::Debian { linkers } = self {
            // The standard library is built from source with a compiler that did not come with this cargo: stable
            // compilers allow that only when told.
            let old = std::env::var_os("PATH").unwrap_or_default();
            let path =
                std::env::join_paths(std::iter::once(linkers.join("gcc-ld")).chain(std::env::split_paths(&old)))?;
            build
                // Of another compiler than this one.
                .env_remove(WORKSPACE_WRAPPER)
                .env("PATH", path)
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_WASIP2_LINKER", linkers.join("wasm-component-ld"))
                .env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", format!("-L {DEBIAN_WASI_LIBRARIES} {SIMD}"))
                .args(["-Z", "build-std=std,panic_abort"]);
        }
        Ok(build)
    }

    /// Has clippy compile what is ours, if it is there for this compiler.
    pub fn with_lints(self) -> Toolchain {
        match self {
            Toolchain::Own { .. } => Toolchain::Own { lints: true },
            Toolchain::Debian { .. } => {
                println!("    what only the Wasm modules have is not linted: Debian's compiler has no clippy");
                self
            }
        }
    }
}

/// The flags of `.cargo/config.toml`, which the variable replaces.
const SIMD: &str = "-Ctarget-feature=+simd128";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_WASI_LIBRARIES: &str = "/usr/lib/wasm32-wasi";

/// Errors if Rust is too old. Called before anything is installed.
pub fn check_rust() -> Result<()> {
    let version =
        output("rustc", &["--version"]).context("rustc is not on the path: install Rust from https://rustup.rs")?;
    ensure!(is_recent(&version), "{version} is too old: Rust {MIN_RUST} or later is needed (`rustup update stable`)");
    Ok(())
}

/// Returns whether a compiler, by what its `--version` prints, is [`MIN_RUST`] or later.
fn is_recent(version: &str) -> bool {
    // "1.95" and "rustc 1.95.0 (59807616e 2026-04-14)" have their minor version in the same place.
    let minor = |text: &str| text.split('.').nth(1)?.parse::<u32>().ok();
    minor(version).zip(minor(MIN_RUST)).is_some_and(|(found, needed)| found >= needed)
}
