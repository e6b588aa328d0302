//! `model remove`: deletes a model from the registry.

use crate::{check_name, registry};
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::process::ExitCode;

/// Delete models/<name>/.
#[derive(Args)]
pub(crate) struct Remove {
    /// The model's name.
    name: String,
}

impl Remove {
    pub(crate) fn run(&self, json: bool) -> Result<ExitCode> {
        check_name(&self.name)?;
        let folder = registry().join(&self.name);
        ensure!(folder.join("card.toml").is_file(), "there is no model {:?} in {}", self.name, registry().display());
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot delete {}", folder.display()))?;
        if json {
            println!("{}", serde_json::json!({ "removed": self.name }));
        } else {
            println!("removed {}; `cargo xtask build` builds without it", folder.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}
