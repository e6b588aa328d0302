//! Imported forests predict as LightGBM, XGBoost and CatBoost do in Python and ONNX Runtime does: on rows as trained
//! on, on thresholds and their neighbours, zeros, infinities, missing values and unseen categories. `fixtures/make.py`
//! made the files.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use forest::import::{Imported, Options, read};
use std::path::{Path, PathBuf};

/// One fixture: a model and its library's predictions for some rows.
struct Fixture {
    name: String,
    model: Imported,
    rows: Vec<Vec<f64>>,
    raw: Vec<Vec<f64>>,
    predicted: Vec<Vec<f64>>,
    contributions: Option<Vec<Vec<f64>>>,
}

fn fixtures(library: &str) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let entries = std::fs::read_dir(folder).expect("the fixtures");
    let folders = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let mut found: Vec<PathBuf> = folders
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(library)))
        .collect();
    found.sort();
    found.iter().map(|folder| fixture(folder)).collect()
}

fn model_file(folder: &Path) -> PathBuf {
    let files = ["model.txt", "model.json", "model.ubj", "model.onnx"].map(|name| folder.join(name));
    files.into_iter().find(|file| file.is_file()).expect("a model file")
}

fn fixture(folder: &Path) -> Fixture {
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    let bytes = std::fs::read(model_file(folder)).expect("the model");
    let model = read(&bytes, &Options::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let contributions = folder.join("contributions.csv");
    Fixture {
        model,
        rows: table(&folder.join("rows.csv")),
        raw: table(&folder.join("raw.csv")),
        predicted: table(&folder.join("predicted.csv")),
        contributions: contributions.is_file().then(|| table(&contributions)),
        name,
    }
}

fn table(file: &Path) -> Vec<Vec<f64>> {
    let number = |cell: &str| if cell.is_empty() { f64::NAN } else { cell.parse().expect("a number") };
    let text = std::fs::read_to_string(file).expect("a table");
    text.lines().map(|line| line.split(',').map(number).collect()).collect()
}

/// XGBoost before 1.3 summed a row's trees from zero and added the base margin last. Its files are summed as every
/// later XGBoost sums them, itself reading such a file included, so the last bits may differ from what 1.2 said.
const SUMMED_OTHERWISE: &str = "xgboost_1_2_1";

fn distance(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() / b.abs().max(1.0) }
}

#[test]
fn lightgbm_margins_are_equal_to_the_bit() {
    let fixtures = fixtures("lightgbm_");
    assert!(fixtures.len() >= 46);
    for Fixture { name, model, rows, raw, .. } in fixtures {
        assert!(rows.len() >= 150, "{name}");
        for (index, (row, raw)) in rows.iter().zip(&raw).enumerate() {
            let margins = model.forests.margins(row).expect("the row fits");
            // Infinities make a linear function no number, whose sign is the processor's.
            let bits = |x: &f64| if x.is_nan() { f64::NAN } else { *x }.to_bits();
            let bits = |numbers: &[f64]| numbers.iter().map(bits).collect::<Vec<_>>();
            assert_eq!(bits(&margins), bits(raw), "{name}, row {index}: {margins:?} is not {raw:?} for {row:?}");
        }
    }
}

#[test]
fn xgboost_margins_are_equal_to_the_bit() {
    let fixtures = fixtures("xgboost_");
    assert!(fixtures.len() >= 47);
    for Fixture { name, model, rows, raw, .. } in fixtures {
        for (index, (row, raw)) in rows.iter().zip(&raw).enumerate() {
            let mut margins = model.forests.margins(row).expect("the row fits");
            if model.objective == "multi:softmax" && raw.len() == 1 {
                model.transform.apply(&mut margins);
            }
            if name.starts_with(SUMMED_OTHERWISE) {
                for (ours, theirs) in margins.iter().zip(raw) {
                    assert!(distance(*ours, *theirs) < 1e-6, "{name}, row {index}: {ours} is not {theirs}");
                }
                continue;
            }
            let bits = |numbers: &[f64]| numbers.iter().map(|x| (*x as f32).to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&margins), bits(raw), "{name}, row {index}: {margins:?} is not {raw:?} for {row:?}");
        }
    }
}

/// The documentation says on how many models, and of which versions, all of this was compared.
#[test]
fn documentation_counts_the_fixtures_and_names_their_versions() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/MODELS.md");
    let docs = std::fs::read_to_string(docs).expect("the documentation");
    let fixtures = fixtures("");
    let claim = docs.lines().find(|line| line.contains(" asserts, on ")).expect("the figures");
    assert!(claim.contains(&format!(" on {} models of ", fixtures.len())), "{} fixtures: {claim}", fixtures.len());
    for Fixture { name, .. } in &fixtures {
        // As in lightgbm_3_3_5_binary; ONNX's versions are those of what wrote it.
        let version: Vec<&str> = name.split('_').skip(1).take_while(|part| part.parse::<u32>().is_ok()).collect();
        let is_named = version.is_empty() || name.starts_with("onnx") || claim.contains(&version.join("."));
        assert!(is_named, "{name}: {claim}");
    }
}

/// CatBoost adds leaves up in an order of its own, and JSON has its leaves to 16 digits.
#[test]
fn catboost_margins_are_equal_but_for_the_order_of_sums() {
    let fixtures = fixtures("catboost_");
    assert!(fixtures.len() >= 18);
    for Fixture { name, model, rows, raw, .. } in fixtures {
        for (index, (row, raw)) in rows.iter().zip(&raw).enumerate() {
            let margins = model.forests.margins(row).expect("the row fits");
            assert_eq!(margins.len(), raw.len(), "{name}");
            for (ours, theirs) in margins.iter().zip(raw) {
                assert!(distance(*ours, *theirs) < 4e-15, "{name}, row {index}: {ours} is not {theirs} for {row:?}");
            }
        }
    }
}

#[test]
fn onnx_margins_are_equal_to_the_bit_of_onnx_runtime() {
    let fixtures = fixtures("onnx_");
    assert!(fixtures.len() >= 21);
    for Fixture { name, model, rows, raw, .. } in fixtures {
        for (index, (row, raw)) in rows.iter().zip(&raw).enumerate() {
            let margins =
                model.transformed(forest::Transform::Identity, model.forests.margins(row).expect("the row fits"));
            let bits = |numbers: &[f64]| numbers.iter().map(|x| (*x as f32).to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&margins), bits(raw), "{name}, row {index}: {margins:?} is not {raw:?} for {row:?}");
        }
    }
}

#[test]
fn predictions_are_equal_within_1e_7() {
    for Fixture { name, model, rows, predicted, .. } in fixtures("") {
        for (index, (row, predicted)) in rows.iter().zip(&predicted).enumerate() {
            let ours = model.predict(row).expect("the row fits");
            assert_eq!(ours.len(), predicted.len(), "{name}");
            for (ours, theirs) in ours.iter().zip(predicted) {
                // Beyond 1 a last bit of f32 is more than 1e-7 by itself.
                let tolerance = match name.as_str() {
                    name if name.starts_with(SUMMED_OTHERWISE) => 1e-6,
                    name if name.starts_with("xgboost") || name.starts_with("onnx") => 1.5e-7,
                    _ => 1e-12,
                };
                assert!(distance(*ours, *theirs) <= tolerance, "{name}, row {index}: {ours} is not {theirs}");
            }
        }
    }
}

/// Of some files the library gives no contributions, or none that are right.
#[test]
fn contributions_that_no_library_gives_add_up_to_the_margin() {
    for name in ["catboost_depthwise", "catboost_lossguide", "catboost_onehot_depthwise", "xgboost_vector_leaves"] {
        for Fixture { model, rows, .. } in fixtures(name) {
            for row in rows {
                let margins = model.forests.margins(&row).expect("the row fits");
                for (output, margin) in margins.into_iter().enumerate() {
                    let sum: f64 = model.forests.contributions(output, &row).expect("the file has covers").iter().sum();
                    assert!(distance(sum, margin) < 2e-6, "{name}: {sum} is not {margin}");
                }
            }
        }
    }
}

#[test]
fn contributions_equal_the_library_s_own_and_add_up_to_the_margin() {
    let mut compared = 0;
    for Fixture { name, model, rows, contributions, .. } in fixtures("") {
        let Some(contributions) = contributions else { continue };
        let width = model.forests.features() + 1;
        for (index, (row, theirs)) in rows.iter().zip(&contributions).enumerate() {
            let margins = model.forests.margins(row).expect("the row fits");
            for (output, theirs) in theirs.chunks(width).enumerate() {
                let ours = model.forests.contributions(output, row).expect("the file has covers");
                let sum: f64 = ours.iter().sum();
                let is_wide = !name.starts_with("xgboost");
                let exact = if is_wide { 1e-9 } else { 2e-6 };
                assert!(
                    distance(sum, margins[output]) < exact,
                    "{name}, row {index}: {sum} is not {}",
                    margins[output]
                );
                // XGBoost sums in f32 and, from 3.3, by a quadrature: its own rows add up to within 2.4e-6.
                let tolerance = if is_wide { 1e-9 } else { 1e-5 };
                for (feature, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                    let far = distance(*ours, *theirs);
                    assert!(
                        far < tolerance,
                        "{name}, row {index}, output {output}, feature {feature}: {ours} is not {theirs}"
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 50_000, "{compared}");
}
