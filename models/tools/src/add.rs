//! `model add`: copies a model into the registry, with a card that says all that the file says.

use crate::attributes::SourceAttributes;
use crate::card::{Card, Output, RiskLevels};
use crate::{check_name, load, registry};
use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use forest::import::{FILE_ENDINGS, Imported, NamedTransform, listed_endings};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Copy a model file into models/<name>/ and write a card for it.
#[derive(Args)]
pub(crate) struct Add {
    /// LightGBM's model.txt, XGBoost's model.json or model.ubj, CatBoost's or gbdt's model.json, a model.onnx.
    file: PathBuf,
    /// The prediction type, which is the folder's name; by default the file's own.
    #[arg(long)]
    name: Option<String>,
    /// Names of the features in the model's order, where the file has none (or numbers them).
    #[arg(long, value_delimiter = ',')]
    features: Vec<String>,
    /// Names of the classes in the model's order.
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    /// Use only the first boosting rounds.
    #[arg(long)]
    rounds: Option<usize>,
    /// Make probabilities of margins so, for an objective of your own: sigmoid, softmax or identity.
    #[arg(long)]
    transform: Option<NamedTransform>,
    /// Write a draft: a card that can be built before its questions are answered, to try the model out.
    #[arg(long)]
    draft: bool,
}

impl Add {
    pub(crate) fn run(&self, json: bool) -> Result<ExitCode> {
        let stem = self.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let name = self.name.as_deref().unwrap_or(stem);
        ensure!(self.name.is_some() || stem != "model", "name the prediction type, as in --name relapse_risk");
        check_name(name)?;
        let folder = registry().join(name);
        ensure!(!folder.exists(), "{} is there already: `cargo xtask model remove {name}` first", folder.display());
        // A file of another ending is most often no model at all, and then that is what to say.
        let model = load(&self.file, self.rounds)?;
        let ending = self.file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        ensure!(
            FILE_ENDINGS.contains(&ending),
            "{}: the file's name must end in {}",
            self.file.display(),
            listed_endings()
        );
        model.probabilities(self.transform).map_err(|reason| anyhow!("{}: {reason}", self.file.display()))?;
        let card = self.card(name, &model)?;
        card.check()?;

        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::copy(&self.file, folder.join(format!("model.{ending}")))?;
        let card_file = folder.join("card.toml");
        std::fs::write(&card_file, toml::to_string(&card)?)?;
        if json {
            let report = serde_json::json!({
                "added": name, "card": card_file, "module_bytes": model.forests.bytes(), "warnings": model.warnings,
            });
            println!("{report}");
        } else {
            println!("wrote {}: read it and put in what a file cannot know", card_file.display());
            println!("  title, licence, warnings; the labels and thresholds under [output] and [risk_levels];");
            println!("  under `critical` the features without which there is no prediction;");
            println!("  under [source_attributes] an answer in place of each question");
            for warning in &model.warnings {
                println!("warning: {warning}");
            }
            println!("it adds {} bytes to the module", model.forests.bytes());
            if self.draft {
                println!("it is a draft, which `cargo xtask build` takes as it is and which says so in its warnings:");
                println!("  answer the questions and delete `draft = true` before anybody relies on it");
            } else {
                println!("then `cargo xtask build`, which names the questions that are open, serves the type {name}");
                println!("  (to try it out before you answer them, write `draft = true` below the title)");
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn card(&self, name: &str, model: &Imported) -> Result<Card> {
        let width = model.forests.features();
        let from_file = if self.features.is_empty() { &model.feature_names } else { &self.features };
        ensure!(
            !from_file.is_empty(),
            "the file has no feature names: give the {width} in the model's order with --features a,b,c"
        );
        ensure!(from_file.len() == width, "{} names for {width} features", from_file.len());
        let unknown: Vec<&String> = from_file.iter().filter(|name| features::feature_index(name).is_none()).collect();
        ensure!(
            unknown.is_empty(),
            "{unknown:?} are no features of the service, so it could not compute them: docs/MODELS.md lists those that it has"
        );
        let outputs = model.forests.len();
        let output = if outputs == 1 {
            ensure!(self.classes.is_empty(), "--classes is for a model with an output a class; this one has one");
            Output::Risk {
                event: "event".into(),
                no_event: "no_event".into(),
                decision_threshold: 0.5,
                horizon_days: 7,
            }
        } else {
            let numbered = || (0..outputs).map(|class| format!("class_{class}")).collect();
            let classes: Vec<String> = if self.classes.is_empty() { numbered() } else { self.classes.clone() };
            ensure!(classes.len() == outputs, "{} classes for {outputs} outputs", classes.len());
            let reference_class = classes.first().context("a class")?.clone();
            Output::Classes { classes, reference_class }
        };
        Ok(Card {
            version: format!("{name}_v1"),
            title: format!("{name}, imported from {}", model.library_and_version()),
            draft: self.draft,
            position: 100,
            format: model.library,
            rounds: self.rounds,
            transform: self.transform,
            licence: "unknown".into(),
            warnings: Vec::new(),
            sensitive: false,
            features: from_file.clone(),
            critical: Vec::new(),
            min_days: None,
            min_answered: None,
            max_checkin_age_days: None,
            output,
            risk_levels: RiskLevels { medium: 0.3, high: 0.6, critical: 0.85 },
            display: BTreeMap::new(),
            source_attributes: SourceAttributes::questions(),
            training: None,
            quality: None,
        })
    }
}
