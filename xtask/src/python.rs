//! Python environments with packages from PyPI, for tests and benchmarks that use Python libraries.

use crate::build::target;
use crate::step::{self, apt_get, install_hint, is_root, on_path, output};
use anyhow::{Result, ensure};
use std::env::consts::{EXE_SUFFIX, OS};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Python's own name on the path.
pub const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

/// Returns whether Python is installed with all that environments need.
pub fn is_installed() -> bool {
    output(PYTHON, &["-c", "import venv, ensurepip"]).is_some()
}

/// Returns the command that installs Python.
pub fn install_python() -> String {
    install_hint(OS, "python3-venv", "python")
}

/// Returns the path of a program in an environment.
fn program(environment: &Path, name: &str) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts" } else { "bin" }).join(format!("{name}{EXE_SUFFIX}"))
}

/// Returns the Python of an environment with these packages, in a folder under `target`. Makes it unless it is there.
pub fn environment(folder: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = std::path::absolute(target().join(folder))?;
    let (python, installed) = (program(&folder, "python"), folder.join("installed"));
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let uv = uv()?;
    let mut make = Command::new(&uv);
    make.args(["venv", "--quiet", "--clear", "--python", PYTHON]).arg(&folder);
    step::install("making a Python environment", &mut make)?;
    let mut install = Command::new(&uv);
    install.args(["pip", "install", "--quiet", "--python"]).arg(&python).args(packages);
    step::install(&format!("installing {} from PyPI", packages.join(", ")), &mut install)?;
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
    let uv = program(&folder, "uv");
    if uv.is_file() {
        return Ok(uv);
    }
    if !is_installed() && is_root() && on_path("apt-get") {
        apt_get(&["python3-venv"], "")?;
    }
    ensure!(is_installed(), "Python 3 with venv is needed: {}", install_python());
    step::run("making an environment for uv", Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut install = Command::new(program(&folder, "python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", UV]);
    step::install(&format!("installing {UV} from PyPI"), &mut install)?;
    Ok(uv)
}
