//! The model tools, a program of their own so that this one stays small.

use crate::step;
use std::path::Path;
use std::process::Command;

/// Returns the command that runs the model tools, to which their arguments are added. It may run in any folder.
pub fn command(root: &Path) -> Command {
    let mut command = step::cargo();
    command
        .args(["run", "--locked", "--quiet", "--profile", "native", "--package", "model-tools", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .arg("--");
    command
}
