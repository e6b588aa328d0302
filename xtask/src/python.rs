//! Python environments with packages from PyPI, for tests and benchmarks that use Python libraries.

use crate::build::target;
use crate::step::{self, apt_get, is_root, on_path, output};
use anyhow::{Result, ensure};
use std::path::PathBuf;
use std::process::Command;

/// Returns whether Python is installed with all that environments need.
pub fn is_installed() -> bool {
    output("python3", &["-c", "import venv, ensurepip"]).is_some()
}

/// Returns the Python of an environment with these packages, in a folder under `target`. Makes it unless it is there.
pub fn environment(folder: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = std::path::absolute(target().join(folder))?;
    let (python, installed) = (folder.join("bin/python"), folder.join("installed"));
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let uv = uv()?;
    let mut make = Command::new(&uv);
    make.args(["venv", "--quiet", "--clear", "--python", "python3"]).arg(&folder);
    step::run("making a Python environment", &mut make)?;
    let mut install = Command::new(&uv);
    install.args(["pip", "install", "--quiet", "--python"]).arg(&python).args(packages);
    step::run(&format!("installing {} from PyPI", packages.join(", ")), &mut install)?;
    std::fs::write(installed, wanted)?;
    Ok(python)
}

/// Installs in seconds what pip takes minutes for.
const UV: &str = "uv==0.13.9";

/// Returns uv, from the path or from PyPI.
fn uv() -> Result<PathBuf> {
    if on_path("uv") {
        return Ok("uv".into());
    }
    let folder = std::path::absolute(target().join("uv"))?;
    let uv = folder.join("bin/uv");
    if uv.is_file() {
        return Ok(uv);
    }
    if !is_installed() && is_root() && on_path("apt-get") {
        apt_get(&["python3-venv"], "")?;
    }
    ensure!(is_installed(), "python3 with venv is needed: sudo apt-get install -y python3-venv");
    step::run("making an environment for uv", Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut install = Command::new(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", UV]);
    step::run(&format!("installing {UV} from PyPI"), &mut install)?;
    Ok(uv)
}
