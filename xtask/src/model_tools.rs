//! The model tools, a program of their own so that this one stays small.

use crate::build;
use anyhow::Result;
use std::process::Command;

/// Builds the model tools, and says nothing of it unless it takes a while: what they print may go into a file. Returns
/// the command that runs them, to which their arguments are added. It may run in any folder.
pub fn command() -> Result<Command> {
    Ok(Command::new(std::path::absolute(build::native_quietly("model-tools")?)?))
}
