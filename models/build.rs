//! Turns every `models/<name>/` with a card into static forests, so that nothing parses a model at run time.
//! A folder that is wrong fails the build with its file, the place and the reason.

#[path = "src/attributes.rs"]
#[allow(dead_code, unreachable_pub, reason = "the questions are for the model tools")]
mod attributes;
#[path = "src/card.rs"]
#[allow(dead_code, unreachable_pub, reason = "the card is documented as a whole, and the build reads what it needs")]
mod card;
#[path = "src/label.rs"]
#[allow(unreachable_pub, reason = "the labels are the library's")]
mod label;

use anyhow::{Context, Result, bail, ensure};
use card::{Card, Output};
use features::Language;
use flate2::Compression;
use flate2::write::GzEncoder;
use forest::Number;
use forest::import::{FILE_ENDINGS, Forests, Imported, Options, OwnedForest, listed_endings, read};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use strsim::levenshtein;

fn main() -> Result<()> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed={}", root.display());
    // Another registry than this folder, for trying one out without touching the repository.
    println!("cargo::rerun-if-env-changed=BIPOLAR_EDGE_REGISTRY");
    let registry = std::env::var_os("BIPOLAR_EDGE_REGISTRY").map_or_else(|| root.clone(), PathBuf::from);
    println!("cargo::rerun-if-changed={}", registry.display());
    let mut models = Vec::new();
    for entry in std::fs::read_dir(&registry)? {
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
    // For `cargo xtask build`, which shows it: a build script has no other way to say what is not a warning.
    println!("cargo::rerun-if-env-changed=BIPOLAR_EDGE_SIZES");
    if let Some(file) = std::env::var_os("BIPOLAR_EDGE_SIZES") {
        let lines: Vec<String> =
            models.iter().map(|model| format!("{} {}\n", model.name, model.sum(Forests::bytes))).collect();
        std::fs::write(file, lines.concat())?;
    }
    Ok(())
}

/// Returns a hash of everything that a prediction depends on.
fn fingerprint(root: &Path, models: &[Model]) -> Result<String> {
    let mut hash = Sha256::new();
    for model in models {
        for file in &model.files {
            hash.update(std::fs::read(file)?);
        }
    }
    let mut sources: Vec<PathBuf> = Vec::new();
    for folder in ["features/src", "forest/src", "forest/src/import", "forest/src/import/onnx", "src"] {
        for entry in std::fs::read_dir(root.join(folder))? {
            sources.push(entry?.path());
        }
    }
    sources.sort();
    for source in sources.iter().filter(|source| source.is_file()) {
        hash.update(std::fs::read(source)?);
    }
    let hash = hash.finalize();
    let start = hash.first_chunk().context("a hash has more than 8 bytes")?;
    Ok(format!("{:016x}", u64::from_be_bytes(*start)))
}

struct Model {
    name: String,
    card: Card,
    /// Models of one file, or of one file a class.
    imported: Vec<Imported>,
    files: Vec<PathBuf>,
}

impl Model {
    fn read(folder: &Path) -> Result<Model> {
        let name = folder.file_name().and_then(|name| name.to_str()).context("the folder's name is not UTF-8")?;
        let mut files = vec![folder.join("card.toml")];
        let card: Card = toml::from_str(&std::fs::read_to_string(&files[0])?).context("card.toml")?;
        card.check().context("card.toml")?;
        card.check_answers().context("card.toml")?;
        if card.draft {
            println!("cargo::warning={}: a draft, which is for trying out alone", files[0].display());
        }
        let stems = match &card.output {
            Output::Classes { classes, .. } if model_file(folder, "model")?.is_none() => {
                classes.iter().map(|class| format!("model.{class}")).collect()
            }
            _ => vec!["model".to_owned()],
        };
        let mut imported = Vec::new();
        for stem in stems {
            let file = model_file(folder, &stem)?;
            let file = file.with_context(|| format!("there is no {stem}{}", listed_endings()))?;
            let covers = folder.join(format!("{}.json", stem.replacen("model", "covers", 1)));
            files.push(file.clone());
            let covers = if covers.is_file() {
                files.push(covers.clone());
                let text = std::fs::read(&covers)?;
                Some(serde_json::from_slice(&text).with_context(|| covers.display().to_string())?)
            } else {
                None
            };
            imported.push(read_model(&card, &file, covers).with_context(|| file.display().to_string())?);
        }
        // The registry has one transform and one precision a model.
        let kind = |model: &Imported| (model.transform, model.divisor, matches!(model.forests, Forests::F32(_)));
        ensure!(
            imported.windows(2).all(|pair| kind(&pair[0]) == kind(&pair[1])),
            "the files of the classes are of different libraries or objectives"
        );
        let outputs: usize = imported.iter().map(|model| model.forests.len()).sum();
        let expected = if let Output::Classes { classes, .. } = &card.output { classes.len() } else { 1 };
        ensure!(outputs == expected, "card.toml: output: {expected} outputs are described, the model has {outputs}");
        Ok(Model { name: name.to_owned(), card, imported, files })
    }

    fn write_statics(&self, out: &mut String) -> Result<()> {
        let mut index = 0;
        for model in &self.imported {
            match &model.forests {
                Forests::F32(forests) => {
                    for forest in forests {
                        write_forest(out, &format!("{}_{index}", self.name.to_uppercase()), "f32", forest)?;
                        index += 1;
                    }
                }
                Forests::F64(forests) => {
                    for forest in forests {
                        write_forest(out, &format!("{}_{index}", self.name.to_uppercase()), "f64", forest)?;
                        index += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn write_entry(&self, out: &mut String) -> Result<()> {
        let card = &self.card;
        let first = self.imported.first().context("a model has a file")?;
        let precision = if matches!(first.forests, Forests::F32(_)) { "F32" } else { "F64" };
        let count = self.sum(Forests::len);
        let forests: Vec<String> = (0..count).map(|index| format!("{}_{index}", self.name.to_uppercase())).collect();
        let output = match &card.output {
            Output::Classes { classes, reference_class } => {
                let reference = classes.iter().position(|class| class == reference_class);
                format!(
                    "Output::Classes {{ classes: &{classes:?}, reference: {} }}",
                    reference.context("reference_class")?
                )
            }
            Output::Risk { event, no_event, decision_threshold, horizon_days } => format!(
                "Output::Risk {{ event: {event:?}, no_event: {no_event:?}, decision_threshold: {decision_threshold:?}, horizon_days: {horizon_days} }}"
            ),
        };
        let places = |names: &[String]| names.iter().map(|name| place(name)).collect::<Result<Vec<usize>>>();
        writeln!(
            out,
            "Model {{ name: {:?}, version: {:?}, title: {:?}, warnings: &{:?}, draft: {}, \
             features: &{:?}, places: &{:?}, critical: &{:?}, \
             min_days: {}, min_answered: {:?}, max_checkin_age_days: {:?}, output: {output}, \
             medium: {:?}, high: {:?}, critical_risk: {:?}, sensitive: {}, forests: Forests::{precision}(&[{}]), \
             transform: Transform::{:?}, divisor: {:?}, one_versus_rest: {}, calibration: {:?}, display: [{}], trees: {}, \
             bytes: {}, summary: {:?}, \
             inventory: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{}\")) }},",
            self.name,
            card.version,
            card.title,
            card.all_warnings(),
            card.draft,
            card.features,
            places(&card.features)?,
            places(&card.critical)?,
            card.min_days.unwrap_or(1),
            card.min_answered.unwrap_or(0.0),
            card.max_checkin_age_days,
            card.risk_levels.medium,
            card.risk_levels.high,
            card.risk_levels.critical,
            card.sensitive,
            forests.join(", "),
            first.transform,
            first.divisor,
            self.imported.len() > 1,
            calibration(card)?,
            Language::ALL.map(|language| display(&self.name, card, language)).join(", "),
            self.sum(Forests::trees),
            self.sum(Forests::bytes),
            self.inventory(false).to_string(),
            self.write_inventory()?,
        )?;
        Ok(())
    }

    /// Returns the sum of a count over all files.
    fn sum(&self, of: fn(&Forests) -> usize) -> usize {
        self.imported.iter().map(|model| of(&model.forests)).sum()
    }

    /// Writes the JSON of the model in `GET /models/{name}`, compressed; returns the file's name.
    fn write_inventory(&self) -> Result<String> {
        let name = format!("{}.inventory.gz", self.name);
        let file = std::fs::File::create(Path::new(&std::env::var("OUT_DIR")?).join(&name))?;
        let mut gzip = GzEncoder::new(file, Compression::best());
        gzip.write_all(self.inventory(true).to_string().as_bytes())?;
        gzip.finish()?;
        Ok(name)
    }

    /// Returns the JSON of the model in `GET /models`, or with `whole` in `GET /models/{name}`.
    fn inventory(&self, whole: bool) -> serde_json::Value {
        let card = &self.card;
        let answers = card.source_attributes.answers();
        let mut inventory = json!({
            "name": self.name,
            "type": self.name,
            "version": card.version,
            "title": card.title,
            "draft": card.draft,
            "format": card.format,
            "library": self.imported.first().map(Imported::library_and_version),
            "objective": self.imported.first().map(|model| &model.objective),
            "trees": self.sum(Forests::trees),
            "nodes": self.sum(Forests::nodes),
            "bytes": self.sum(Forests::bytes),
            "features": card.features.len(),
            "output": card.output,
            "quality": card.quality.as_ref().map(|quality| quality.model),
            "display": card.display,
            "warnings": card.all_warnings(),
            "intended_use": answers["intended_use"],
            "out_of_scope": answers["out_of_scope"],
        });
        if whole {
            inventory["features"] = json!(card.features);
            inventory["source_attributes"] = json!(answers);
            inventory["critical_features"] = json!(card.critical);
            inventory["min_days"] = json!(card.min_days.unwrap_or(1));
            inventory["min_answered"] = json!(card.min_answered.unwrap_or(0.0));
            inventory["max_checkin_age_days"] = json!(card.max_checkin_age_days);
            inventory["risk_levels"] = json!(card.risk_levels);
            inventory["sensitive"] = json!(card.sensitive);
            inventory["licence"] = json!(card.licence);
            inventory["training"] = json!(card.training);
            inventory["quality"] = json!(card.quality);
        }
        inventory
    }
}

/// Returns the share of rows in which the label was the true one, and the number of rows, by tenth of the predicted
/// probability; a tenth without rows has 0 of them.
fn calibration(card: &Card) -> Result<[(f64, u32); 10]> {
    let mut tenths = [(0.0, 0); 10];
    for (index, bin) in card.quality.iter().flat_map(|quality| &quality.calibration).enumerate() {
        let at = format!("card.toml: quality.calibration[{index}]");
        ensure!((0.0..=1.0).contains(&bin.predicted), "{at}: predicted: {} is no probability", bin.predicted);
        ensure!((0.0..=1.0).contains(&bin.observed), "{at}: observed: {} is no share", bin.observed);
        let tenth = &mut tenths[((bin.predicted * 10.0) as usize).min(9)];
        ensure!(tenth.1 == 0, "{at}: predicted: {} is in the same tenth as another", bin.predicted);
        *tenth = (bin.observed, bin.rows);
    }
    Ok(tenths)
}

/// Writes the words for a model in a language. What has none is its own name, with blanks.
fn display(name: &str, card: &Card, language: Language) -> String {
    let own = card.display.get(language.tag());
    let plain = |name: &str| name.replace('_', " ");
    let labels = card.output.labels().into_iter().map(|label| {
        let text = own.and_then(|own| own.labels.get(label)).cloned();
        (label, text.unwrap_or_else(|| plain(label)))
    });
    let name = own.map_or_else(|| plain(name), |own| own.name.clone());
    format!("Display {{ name: {name:?}, labels: &{:?} }}", labels.collect::<Vec<_>>())
}

/// Returns the file with this stem, if there is one.
fn model_file(folder: &Path, stem: &str) -> Result<Option<PathBuf>> {
    let files: Vec<PathBuf> = FILE_ENDINGS
        .iter()
        .map(|ending| folder.join(format!("{stem}.{ending}")))
        .filter(|file| file.is_file())
        .collect();
    ensure!(files.len() < 2, "there are several model files: {files:?}");
    Ok(files.into_iter().next())
}

/// Reads a model file and checks it against its card.
fn read_model(card: &Card, file: &Path, covers: Option<Vec<f32>>) -> Result<Imported> {
    let mut model = read(&std::fs::read(file)?, &Options { rounds: card.rounds, covers })?;
    ensure!(
        card.format == model.library,
        "card.toml: format is {:?}, and this is a file of {}",
        card.format.format(),
        model.library.format()
    );
    let features = model.forests.features();
    ensure!(
        features == card.features.len(),
        "card.toml: features: {} names, the model reads {features}",
        card.features.len()
    );
    for (index, (own, named)) in model.feature_names.iter().zip(&card.features).enumerate() {
        ensure!(own == named, "card.toml: features[{index}] is {named:?}, and the model calls it {own:?}");
    }
    model.transform = model.probabilities(card.transform).map_err(anyhow::Error::msg)?;
    for warning in &model.warnings {
        println!("cargo::warning={}: {warning}", file.display());
    }
    Ok(model)
}

/// Writes a forest as static data, which the compiler checks. Numbers stand in files of their own, as bytes: as source
/// text the compiler takes minutes for what a thousand trees have.
fn write_forest<T: Number>(out: &mut String, name: &str, precision: &str, forest: &OwnedForest<T>) -> Result<()> {
    let forest = forest.forest();
    let parts = forest.parts();
    let nodes = parts.nodes.iter().flat_map(|node| node.to_bits().to_le_bytes());
    write_numbers(out, name, "NODES", "Node", 8, nodes.collect())?;
    // Empty in f32.
    let numbers = parts.numbers.iter().flat_map(|number| Into::<f64>::into(*number).to_le_bytes());
    write_numbers(out, name, "NUMBERS", precision, 8, numbers.collect())?;
    let covers = parts.covers.iter().flat_map(|cover| cover.to_le_bytes());
    write_numbers(out, name, "COVERS", "f32", 4, covers.collect())?;
    let linear = parts.linear;
    let wide = |numbers: &[T]| numbers.iter().flat_map(|number| Into::<f64>::into(*number).to_le_bytes()).collect();
    // A forest in f32 has none of them.
    write_numbers(out, name, "CONSTANTS", precision, 8, wide(linear.constants))?;
    write_numbers(out, name, "COEFFICIENTS", precision, 8, wide(linear.coefficients))?;
    let features = linear.features.iter().flat_map(|feature| feature.to_le_bytes());
    write_numbers(out, name, "TERMS", "u16", 2, features.collect())?;
    for (part, numbers) in [
        ("ROOTS", parts.roots),
        ("SET_STARTS", parts.set_starts),
        ("SET_WORDS", parts.set_words),
        ("LINEAR", linear.leaves),
        ("STARTS", linear.starts),
    ] {
        write_numbers(out, name, part, "u32", 4, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())?;
    }
    writeln!(
        out,
        "#[allow(long_running_const_eval)]\nstatic {name}: Forest<'static, {precision}> = match Forest::new(Parts {{ \
         base_margin: {:?}, features: {}, depth: {}, zero_is_missing: &{:?}, roots: &{name}_ROOTS, nodes: &{name}_NODES, \
         numbers: &{name}_NUMBERS, covers: &{name}_COVERS, path_features: &{:?}, set_starts: &{name}_SET_STARTS, set_words: &{name}_SET_WORDS, \
         linear: Linear {{ leaves: &{name}_LINEAR, constants: &{name}_CONSTANTS, starts: &{name}_STARTS, \
         features: &{name}_TERMS, coefficients: &{name}_COEFFICIENTS }} }}) {{ Ok(forest) => forest, Err(reason) => panic!(\"{{}}\", reason) }};",
        parts.base_margin, parts.features, parts.depth, parts.zero_is_missing, parts.path_features,
    )?;
    Ok(())
}

/// Writes numbers of so many bytes each to a file, and a static array of them.
fn write_numbers(out: &mut String, name: &str, part: &str, kind: &str, size: usize, bytes: Vec<u8>) -> Result<()> {
    let file = format!("{name}_{part}");
    let count = bytes.len() / size;
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join(&file), bytes)?;
    writeln!(
        out,
        "#[allow(unsafe_code, reason = \"any bits are such a number, and the array has as many bytes\")]\n\
         static {file}: [{kind}; {count}] = unsafe {{ \
         std::mem::transmute(*include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\"))) }};"
    )?;
    Ok(())
}

/// Returns the place of a feature in the service's feature row.
fn place(name: &str) -> Result<usize> {
    let Some(place) = features::feature_index(name) else {
        let nearest = features::FEATURES.iter().min_by_key(|feature| levenshtein(feature.name, name));
        bail!(
            "card.toml: features: {name:?} is not a feature; did you mean {:?}?",
            nearest.map(|feature| feature.name)
        );
    };
    Ok(place)
}
