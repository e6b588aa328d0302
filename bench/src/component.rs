//! The component with other models than the shipped ones.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use xtask::build::{PORTABLE, wasm_folder};
use xtask::toolchain::Toolchain;
use xtask::{model_tools, step};

/// A model that is compiled into a component.
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// The number of boosting rounds that are used, if not all.
    pub(crate) rounds: Option<usize>,
}

/// Builds the component with these models in a folder; returns its manifest.
pub(crate) fn build(toolchain: &Toolchain, folder: &Path, models: &[Model]) -> Result<PathBuf> {
    let (registry, target) = (folder.join("registry"), folder.join("inference"));
    let _ = std::fs::remove_dir_all(&registry);
    std::fs::create_dir_all(&registry)?;
    let features = features()?;
    for Model { name, file, rounds } in models {
        let mut add = model_tools::command()?;
        // A draft: nobody has said whom such a model is for.
        add.args(["add", "--draft"]).arg(file).args(["--name", name, "--features", &features]);
        if let Some(rounds) = rounds {
            add.args(["--rounds", &rounds.to_string()]);
        }
        step::run("adding a model", add.env("BIPOLAR_EDGE_REGISTRY", &registry).stdout(Stdio::null()))?;
    }
    let mut build = toolchain.cargo_build()?;
    build.args(["--package", PORTABLE.0]).env("BIPOLAR_EDGE_REGISTRY", &registry);
    step::run("building the Wasm module with them", build.env("CARGO_TARGET_DIR", &target))?;
    let shipped = wasm_folder(Path::new("target")).join(PORTABLE.1).display().to_string();
    let module = wasm_folder(&target).join(PORTABLE.1).display().to_string();
    let manifest = std::fs::read_to_string(crate::server::MANIFEST)?;
    ensure!(manifest.contains(&shipped), "the manifest does not name {shipped}");
    let file = folder.join("inference.toml");
    std::fs::write(&file, manifest.replace(&shipped, &module))?;
    Ok(file)
}

/// Returns the names of the service's features, with commas between them.
fn features() -> Result<String> {
    let mut command = model_tools::command()?;
    let output = command.args(["features", "--checkins", "src/checkins/demo.csv"]).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "`cargo xtask model features` failed ({})", output.status);
    let table = String::from_utf8(output.stdout)?;
    let columns = table.lines().next().context("`cargo xtask model features` printed nothing")?;
    // Before them stand the person and the date.
    Ok(columns.split(',').skip(2).collect::<Vec<_>>().join(","))
}
