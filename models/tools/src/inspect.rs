//! `model inspect`: describes a model file.

use crate::{find, load};
use anyhow::Result;
use clap::Args;
use forest::import::{Forests, Imported, OwnedForest};
use forest::{Link, Number};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Describe a model file.
#[derive(Args)]
pub(crate) struct Inspect {
    /// A model file, or a model of the registry by name.
    model: PathBuf,
    /// Read only the first boosting rounds.
    #[arg(long)]
    rounds: Option<usize>,
}

/// Description of a model file.
#[derive(Serialize)]
pub(crate) struct Report {
    file: String,
    file_bytes: u64,
    library: String,
    objective: String,
    /// Function from a margin to a prediction.
    transform: String,
    outputs: usize,
    features: Vec<String>,
    trees: usize,
    splits: usize,
    splits_by_category: usize,
    leaves: usize,
    deepest: usize,
    precision: &'static str,
    /// Contributions can be computed.
    explains: bool,
    /// The reason why they cannot.
    cannot_explain: Option<&'static str>,
    features_of_which_zero_is_missing: Vec<u16>,
    /// Bytes that the model adds to the Wasm module.
    module_bytes: usize,
    warnings: Vec<String>,
}

impl Inspect {
    pub(crate) fn run(&self, json: bool) -> Result<ExitCode> {
        let file = find(&self.model)?;
        let model = load(&file, self.rounds)?;
        let report = Report::of(file.display().to_string(), std::fs::metadata(&file)?.len(), model);
        if json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            report.print();
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Report {
    fn of(file: String, file_bytes: u64, model: Imported) -> Report {
        let mut report = Report {
            file,
            file_bytes,
            library: model.library_and_version(),
            objective: model.objective.clone(),
            transform: match model.divisor {
                1.0 => format!("{:?}", model.transform),
                divisor => format!("{:?} of the margin divided by {divisor}", model.transform),
            },
            outputs: model.forests.len(),
            features: feature_names(&model),
            trees: model.forests.trees(),
            splits: 0,
            splits_by_category: 0,
            leaves: 0,
            deepest: 0,
            precision: "",
            explains: model.forests.cannot_explain().is_none(),
            cannot_explain: model.forests.cannot_explain(),
            features_of_which_zero_is_missing: Vec::new(),
            module_bytes: model.forests.bytes(),
            warnings: model.warnings,
        };
        match &model.forests {
            Forests::F32(forests) => forests.iter().for_each(|forest| report.count(forest, "f32")),
            Forests::F64(forests) => forests.iter().for_each(|forest| report.count(forest, "f64")),
        }
        report
    }

    fn count<T: Number>(&mut self, forest: &OwnedForest<T>, precision: &'static str) {
        self.precision = precision;
        let forest = forest.forest();
        let parts = forest.parts();
        self.deepest = self.deepest.max(parts.depth);
        self.features_of_which_zero_is_missing = parts.zero_is_missing.to_vec();
        for link in (0..parts.nodes.len()).filter_map(|at| forest.link(at)) {
            match link {
                Link::Leaf(_) => self.leaves += 1,
                Link::Split { reading, .. } => {
                    self.splits += 1;
                    self.splits_by_category += usize::from(reading.is_set());
                }
            }
        }
    }

    fn print(&self) {
        println!("{} ({} bytes)", self.file, self.file_bytes);
        println!("  library     {}", self.library);
        println!("  objective   {}", self.objective);
        println!("  transform   {}", self.transform);
        println!("  outputs     {}", self.outputs);
        println!("  trees       {}, at most {} deep", self.trees, self.deepest);
        println!("  splits      {}, {} of them by category", self.splits, self.splits_by_category);
        println!("  leaves      {}", self.leaves);
        println!("  precision   {}", self.precision);
        match self.cannot_explain {
            None => println!("  explains    yes"),
            Some(reason) => println!("  explains    no: {reason}"),
        }
        println!("  in module   {} bytes", self.module_bytes);
        if !self.features_of_which_zero_is_missing.is_empty() {
            println!("  zero is missing in features {:?}", self.features_of_which_zero_is_missing);
        }
        println!("  features    {}", self.features.join(", "));
        for warning in &self.warnings {
            println!("  warning     {warning}");
        }
    }
}

/// Returns the features' names, or their numbers where the file has none.
pub(crate) fn feature_names(model: &Imported) -> Vec<String> {
    if model.feature_names.is_empty() {
        (0..model.forests.features()).map(|index| format!("#{index}")).collect()
    } else {
        model.feature_names.clone()
    }
}
