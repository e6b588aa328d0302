//! `model check`: reads every file of a folder, and says of each what would become of it.

use crate::load;
use anyhow::{Context, Result, ensure};
use clap::Args;
use forest::import::Imported;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Read every file of a folder, and say of each whether it can be served, its size in the module and the time of a row.
#[derive(Args)]
pub(crate) struct Check {
    /// A folder of model files, and of any others. Folders in it are looked into too.
    folder: PathBuf,
}

/// The result for one file.
#[derive(Serialize)]
struct Line {
    file: String,
    /// The model, if it was read.
    #[serde(flatten)]
    model: Option<Read>,
    /// The reason why it was refused, or cannot be a prediction type.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// A file that was read.
#[derive(Serialize)]
struct Read {
    library: String,
    objective: String,
    trees: usize,
    module_bytes: usize,
    microseconds_a_row: f64,
    warnings: Vec<String>,
}

/// The time for which the rows of a model are repeated.
const TIME: Duration = Duration::from_millis(20);
const ROWS: usize = 64;

impl Check {
    pub(crate) fn run(&self, json: bool) -> Result<ExitCode> {
        let mut files = Vec::new();
        collect(&self.folder, &mut files)?;
        ensure!(!files.is_empty(), "there is no file in {}", self.folder.display());
        files.sort();
        let lines: Vec<Line> = files.iter().map(|file| self.line(file)).collect();
        if json {
            println!("{}", serde_json::to_string_pretty(&lines)?);
        } else {
            lines.iter().for_each(Line::print);
        }
        let served = lines.iter().all(|line| line.problem.is_none());
        Ok(if served { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn line(&self, file: &Path) -> Line {
        let name = file.strip_prefix(&self.folder).unwrap_or(file).display().to_string();
        match load(file, None) {
            Ok(model) => Line { file: name, problem: model.probabilities(None).err(), model: Some(Read::of(&model)) },
            // Without the file's name, which the line begins with.
            Err(error) => Line { file: name, problem: Some(error.root_cause().to_string()), model: None },
        }
    }
}

/// Collects the files of a folder, but hidden ones.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

impl Read {
    fn of(model: &Imported) -> Read {
        Read {
            library: model.library_and_version(),
            objective: model.objective.clone(),
            trees: model.forests.trees(),
            module_bytes: model.forests.bytes(),
            microseconds_a_row: microseconds_a_row(model),
            warnings: model.warnings.clone(),
        }
    }
}

impl Line {
    fn print(&self) {
        print!("{}: ", self.file);
        if let Some(Read { library, objective, trees, module_bytes, microseconds_a_row, .. }) = &self.model {
            print!("{library}, {objective}, {trees} trees, {module_bytes} bytes, {microseconds_a_row:.1} us a row");
        }
        match (&self.problem, &self.model) {
            (Some(problem), Some(_)) => println!("; not served: {problem}"),
            (Some(problem), None) => println!("refused: {problem}"),
            (None, _) => println!(),
        }
        for warning in self.model.iter().flat_map(|model| &model.warnings) {
            println!("    warning: {warning}");
        }
    }
}

/// Returns the time that a row takes on this machine, natively: the fastest of some passes over rows of noise.
fn microseconds_a_row(model: &Imported) -> f64 {
    // Each row takes a path of its own. An f32, as the service's features are.
    let mut noise = fastrand::Rng::with_seed(1);
    let mut number = || f64::from(noise.f32() * 10.0);
    let rows: Vec<Vec<f64>> = (0..ROWS).map(|_| (0..model.forests.features()).map(|_| number()).collect()).collect();
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < TIME {
        let pass = Instant::now();
        for row in &rows {
            std::hint::black_box(model.forests.margins(row));
        }
        best = best.min(pass.elapsed().as_secs_f64() * 1e6 / ROWS as f64);
    }
    best
}
