//! Turns every `models/<name>/` with a card into static forests, so that nothing parses a model at run time.
//! A folder that is wrong fails the build with its file, the place and the reason.

#[path = "src/card.rs"]
#[allow(dead_code, unreachable_pub, reason = "the card is documented as a whole, and the build reads what it needs")]
mod card;

use anyhow::{Context, Result, bail, ensure};
use card::{Card, Output};
use forest::Link;
use forest::import::{Imported, Transform, read_gbdt};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed={}", root.display());
    let mut models = Vec::new();
    for entry in std::fs::read_dir(&root)? {
        let folder = entry?.path();
        if folder.join("card.toml").is_file() {
            models.push(Model::read(&folder).with_context(|| folder.display().to_string())?);
        }
    }
    models.sort_by_key(|model| (model.card.position, model.name.clone()));

    let mut out = String::new();
    for model in &models {
        model.write_statics(&mut out)?;
    }
    writeln!(
        out,
        "/// Every model compiled in, in the order of answers.\npub static MODELS: [Model; {}] = [",
        models.len()
    )?;
    for model in &models {
        model.write_entry(&mut out)?;
    }
    writeln!(out, "];\n")?;
    let fingerprint = fingerprint(&root, &models)?;
    writeln!(out, "/// Changes whenever a model, a card or the way features are computed does.")?;
    writeln!(out, "pub const FINGERPRINT: &str = {fingerprint:?};")?;
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("registry.rs"), out)?;
    Ok(())
}

/// A hash of everything that a prediction depends on.
fn fingerprint(root: &Path, models: &[Model]) -> Result<String> {
    let mut hash = Sha256::new();
    for model in models {
        for file in &model.files {
            hash.update(std::fs::read(file)?);
        }
    }
    let mut sources: Vec<PathBuf> = Vec::new();
    for folder in ["features/src", "forest/src", "src"] {
        for entry in std::fs::read_dir(root.join(folder))? {
            sources.push(entry?.path());
        }
    }
    sources.sort();
    for source in sources.iter().filter(|source| source.is_file()) {
        hash.update(std::fs::read(source)?);
    }
    Ok(hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

struct Model {
    name: String,
    card: Card,
    forests: Vec<Imported>,
    files: Vec<PathBuf>,
}

impl Model {
    fn read(folder: &Path) -> Result<Model> {
        let name = folder.file_name().and_then(|name| name.to_str()).context("the folder's name is not UTF-8")?;
        let mut files = vec![folder.join("card.toml")];
        let card: Card = toml::from_str(&std::fs::read_to_string(&files[0])?).context("card.toml")?;
        check(&card).context("card.toml")?;
        ensure!(card.format == "gbdt", "card.toml: format {:?} is not known; gbdt is", card.format);
        let suffixes: Vec<String> = match &card.output {
            Output::Classes { classes, .. } => classes.iter().map(|class| format!(".{class}")).collect(),
            Output::Risk { .. } => vec![String::new()],
        };
        let mut forests = Vec::new();
        for suffix in suffixes {
            let model_file = folder.join(format!("model{suffix}.json"));
            let bytes = std::fs::read(&model_file).with_context(|| model_file.display().to_string())?;
            let mut imported = read_gbdt(&bytes).with_context(|| model_file.display().to_string())?;
            ensure!(
                imported.features == card.features.len(),
                "card.toml: features: {} names, the model reads {}",
                card.features.len(),
                imported.features
            );
            ensure!(
                imported.transform == Transform::DoubledSigmoid,
                "{}: conf.loss: a probability is needed, and only LogLikelyhood gives one",
                model_file.display()
            );
            files.push(model_file);
            let covers_file = folder.join(format!("covers{suffix}.json"));
            if covers_file.is_file() {
                imported.covers = serde_json::from_slice(&std::fs::read(&covers_file)?)
                    .with_context(|| covers_file.display().to_string())?;
                ensure!(
                    imported.covers.len() == imported.nodes.len(),
                    "{}: {} covers for {} nodes",
                    covers_file.display(),
                    imported.covers.len(),
                    imported.nodes.len()
                );
                files.push(covers_file);
            }
            forests.push(imported);
        }
        Ok(Model { name: name.to_owned(), card, forests, files })
    }

    fn write_statics(&self, out: &mut String) -> Result<()> {
        for (index, forest) in self.forests.iter().enumerate() {
            let name = format!("{}_{index}", self.name.to_uppercase());
            writeln!(out, "static {name}_NODES: [Node; {}] = [", forest.nodes.len())?;
            for node in &forest.nodes {
                // `{:?}` prints the shortest text that reads back to the same bits.
                match node.link() {
                    Link::Leaf(value) => writeln!(out, "Node::leaf({value:?}),")?,
                    Link::Split { feature, threshold, left, right, missing } => {
                        writeln!(out, "Node::split({feature}, {threshold:?}, {left}, {right}, {missing}),")?;
                    }
                }
            }
            writeln!(out, "];")?;
            writeln!(out, "static {name}_ROOTS: [u32; {}] = {:?};", forest.roots.len(), forest.roots)?;
            writeln!(out, "static {name}_COVERS: [u32; {}] = {:?};", forest.covers.len(), forest.covers)?;
        }
        Ok(())
    }

    fn write_entry(&self, out: &mut String) -> Result<()> {
        let card = &self.card;
        let mut forests = String::new();
        for (index, forest) in self.forests.iter().enumerate() {
            let name = format!("{}_{index}", self.name.to_uppercase());
            write!(
                forests,
                "Forest {{ base_margin: {:?}, features: {}, roots: &{name}_ROOTS, nodes: &{name}_NODES, covers: &{name}_COVERS }}, ",
                forest.base_margin, forest.features
            )?;
        }
        let output = match &card.output {
            Output::Classes { classes, reference_class } => {
                let reference = classes.iter().position(|class| class == reference_class);
                format!(
                    "Output::Classes {{ classes: &{classes:?}, reference: {} }}",
                    reference.context("reference_class")?
                )
            }
            Output::Risk { event, no_event, decision_threshold, horizon_days } => format!(
                "Output::Risk {{ event: {event:?}, no_event: {no_event:?}, decision_threshold: {decision_threshold:?}_f32, horizon_days: {horizon_days} }}"
            ),
        };
        let places = |names: &[String]| names.iter().map(|name| place(name)).collect::<Result<Vec<usize>>>();
        writeln!(
            out,
            "Model {{ name: {:?}, version: {:?}, features: &{:?}, places: &{:?}, critical: &{:?}, output: {output}, \
             medium: {:?}_f32, high: {:?}_f32, critical_risk: {:?}_f32, sensitive: {}, forests: &[{forests}], summary: {:?}, inventory: {:?} }},",
            self.name,
            card.version,
            card.features,
            places(&card.features)?,
            places(&card.critical)?,
            card.risk_levels.medium,
            card.risk_levels.high,
            card.risk_levels.critical,
            card.sensitive,
            self.inventory(false).to_string(),
            self.inventory(true).to_string(),
        )?;
        Ok(())
    }

    /// What `GET /models` says of the model, and with `whole` what `GET /models/{name}` says.
    fn inventory(&self, whole: bool) -> serde_json::Value {
        let card = &self.card;
        let count = |of: fn(&Imported) -> usize| self.forests.iter().map(of).sum::<usize>();
        let mut inventory = json!({
            "name": self.name,
            "type": self.name,
            "version": card.version,
            "title": card.title,
            "format": card.format,
            "trees": count(|forest| forest.roots.len()),
            "nodes": count(|forest| forest.nodes.len()),
            "features": card.features.len(),
            "output": card.output,
            "quality": card.quality.model,
            "warnings": card.warnings,
        });
        if whole {
            inventory["features"] = json!(card.features);
            inventory["critical_features"] = json!(card.critical);
            inventory["risk_levels"] = json!(card.risk_levels);
            inventory["sensitive"] = json!(card.sensitive);
            inventory["licence"] = json!(card.licence);
            inventory["training"] = json!(card.training);
            inventory["quality"] = json!(card.quality);
        }
        inventory
    }
}

fn check(card: &Card) -> Result<()> {
    let levels = &card.risk_levels;
    ensure!(
        0.0 < levels.medium && levels.medium < levels.high && levels.high < levels.critical && levels.critical <= 1.0,
        "risk_levels: medium {} < high {} < critical {} must rise between 0 and 1",
        levels.medium,
        levels.high,
        levels.critical
    );
    match &card.output {
        Output::Classes { classes, reference_class } => {
            ensure!(classes.len() >= 2, "output.classes: {} given, at least 2 are needed", classes.len());
            ensure!(
                classes.contains(reference_class),
                "output.reference_class {reference_class:?} is none of {classes:?}"
            );
        }
        Output::Risk { decision_threshold, .. } => {
            ensure!(
                (0.0..=1.0).contains(decision_threshold),
                "output.decision_threshold {decision_threshold} is no probability"
            );
        }
    }
    for name in &card.critical {
        ensure!(card.features.contains(name), "critical: {name:?} is none of the model's features");
    }
    Ok(())
}

/// Where the service's feature row has a feature.
fn place(name: &str) -> Result<usize> {
    let Some(place) = features::feature_index(name) else {
        let nearest = features::FEATURES.iter().min_by_key(|feature| distance(feature.name, name));
        bail!(
            "card.toml: features: {name:?} is not a feature; did you mean {:?}?",
            nearest.map(|feature| feature.name)
        );
    };
    Ok(place)
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
