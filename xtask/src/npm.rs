//! Packages from the npm registry, for tests that use JavaScript libraries.

use crate::build::target;
use crate::step;
use anyhow::Result;
use std::process::Command;

/// Installs packages into `target/node`, unless they are there.
pub(crate) fn packages(packages: &[&str]) -> Result<()> {
    let folder = std::path::absolute(target().join("node"))?;
    let (installed, wanted) = (folder.join("installed"), packages.join("\n"));
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    let mut install = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    install.args(["install", "--loglevel", "error", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).args(packages);
    step::install(&format!("installing {} from the npm registry", packages.join(", ")), &mut install)?;
    std::fs::write(installed, wanted)?;
    Ok(())
}
