//! `cargo xtask semver`: whether the public interface of `forest` breaks what its last release promised.

use crate::step::{self, cargo, output};
use anyhow::{Context, Result};

/// The version of cargo-semver-checks that is installed.
const CARGO_SEMVER_CHECKS: &str = "0.51.0";

/// Compares the public interface of `forest` with that of a commit, or of the last release. Errors with each break that
/// the version in `Cargo.toml` does not allow.
pub(crate) fn run(revision: Option<String>) -> Result<()> {
    let revision = revision
        .or_else(last_release)
        .context("no version is tagged here (v0.1.0): cargo xtask semver REV names a commit to compare with")?;
    if output("cargo", &["semver-checks", "--version"]).is_none() {
        step::install(
            "installing cargo-semver-checks (takes minutes)",
            cargo().args(["install", "--locked", "cargo-semver-checks", "--version", CARGO_SEMVER_CHECKS]),
        )?;
    }
    step::run(
        &format!("the public interface of forest, against that of {revision}"),
        cargo().args(["semver-checks", "--package", "forest", "--baseline-rev", &revision]),
    )
}

/// Returns the newest tag of a version.
fn last_release() -> Option<String> {
    output("git", &["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"])
}
