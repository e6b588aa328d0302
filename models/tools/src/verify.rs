//! `model verify`: compares a model here with its library's predictions in Python.

use crate::inspect::feature_names;
use crate::table::{Table, match_headers};
use crate::{card_of, find, load};
use anyhow::{Context, Result, ensure};
use clap::Args;
use forest::import::{Forests, Imported, NamedTransform, OwnedForest};
use forest::{Link, Number};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Bytes that the way of a row through the trees may take: a page.
const MAX_BYTES: usize = 6_000;
/// Splits of a tree that are shown.
const MAX_SPLITS: usize = 10;
/// A question for whoever expects labels, which probabilities are most often mistaken for.
const LABELS: &str = ": are they labels, in place of `predict_proba`?";
/// Numbers of rounds that are tried on all rows.
const MAX_CANDIDATES: usize = 20;

/// Compare a model with its library's predictions for some rows.
#[derive(Args)]
pub(crate) struct Verify {
    /// A model file, or a model of the registry by name.
    model: PathBuf,
    /// CSV: one row a line, features in the model's order; a header is optional, empty, nan or NA is missing.
    #[arg(long)]
    data: PathBuf,
    /// CSV: the library's predictions, one row a row of data, one column an output.
    #[arg(long)]
    expected: PathBuf,
    /// Expect margins: `raw_score=True`, `output_margin=True`.
    #[arg(long, conflicts_with = "contrib")]
    raw: bool,
    /// Expect contributions: `pred_contrib=True`, `pred_contribs=True`; outputs one after the other.
    #[arg(long)]
    contrib: bool,
    /// The largest difference that passes: absolute below 1, relative above.
    #[arg(long, default_value_t = 1e-6)]
    tolerance: f64,
    /// Read only the first boosting rounds.
    #[arg(long)]
    rounds: Option<usize>,
    /// Make probabilities of margins so, for an objective of your own: sigmoid, softmax or identity.
    #[arg(long, conflicts_with = "raw")]
    transform: Option<NamedTransform>,
}

impl Verify {
    pub(crate) fn run(&self, as_json: bool) -> Result<ExitCode> {
        let mut model = load(&find(&self.model)?, self.rounds)?;
        let card = card_of(&self.model)?;
        if let Some(named) = self.transform.or(card.and_then(|card| card.transform)) {
            model.transform = model.probabilities(Some(named)).map_err(anyhow::Error::msg)?;
        }
        let hint = if model.transform.to_probabilities().is_some() { LABELS } else { "" };
        let mut data = Table::read(&self.data, "")?;
        let mut expected = Table::read(&self.expected, hint)?;
        match_headers(&mut data, &mut expected);
        if !as_json {
            model.warnings.iter().for_each(|warning| println!("warning: {warning}"));
        }
        let features = model.forests.features();
        let width = data.rows.first().map_or(0, Vec::len);
        ensure!(width == features, "{} has {width} columns, the model {features} features", self.data.display());
        if let Some(header) = &data.header {
            self.check_header(&model, header)?;
        }
        ensure!(
            data.rows.len() == expected.rows.len(),
            "{} has {} rows, {} has {}",
            self.data.display(),
            data.rows.len(),
            self.expected.display(),
            expected.rows.len()
        );
        let mut worst = 0.0f64;
        let mut mismatches = 0;
        let mut first: Option<(usize, usize, f64, f64)> = None;
        for (index, (row, expected)) in data.rows.iter().zip(&expected.rows).enumerate() {
            let ours = self.ours(&model, row, expected.len())?;
            ensure!(
                ours.len() == expected.len(),
                "{} has {} columns, the model gives {}{}",
                self.expected.display(),
                expected.len(),
                ours.len(),
                if expected.len() == 1 && !self.raw && !self.contrib { hint } else { "" }
            );
            let mut wrong = false;
            for (column, (ours, theirs)) in ours.iter().zip(expected).enumerate() {
                let far = distance(*ours, *theirs);
                worst = worst.max(far);
                // Not `far > tolerance`: what cannot be compared does not pass.
                if far.is_nan() || far > self.tolerance {
                    wrong = true;
                    first.get_or_insert((index, column, *ours, *theirs));
                }
            }
            mismatches += usize::from(wrong);
        }
        let rows = data.rows.len();
        let rounds_that_agree = first.and_then(|(row, ..)| self.rounds_that_agree(&model, &data, &expected, row));
        if as_json {
            let first = first.map(|(row, column, ours, theirs)| {
                json!({ "row": row + 1, "column": column + 1, "ours": ours, "expected": theirs })
            });
            let report = json!({
                "rows": rows, "mismatches": mismatches, "worst_difference": worst, "tolerance": self.tolerance,
                "first_mismatch": first, "rounds_that_agree": rounds_that_agree, "warnings": model.warnings,
            });
            println!("{report:#}");
        } else {
            println!("{rows} rows compared, worst difference {worst:e}, {mismatches} beyond {:e}", self.tolerance);
            if let Some((row, column, ours, theirs)) = first {
                println!("\nrow {}, column {}: {ours:?} here, {theirs:?} expected", row + 1, column + 1);
                print!("{}", self.explain(&model, &data.rows[row], column));
                if let Some(rounds) = rounds_that_agree {
                    println!(
                        "\nthe first {rounds} rounds agree: --rounds {rounds} uses them, as scikit-learn's wrapper does"
                    );
                }
                let is_label = |x: &f64| x.fract() == 0.0;
                if model.transform.is_probability() && !self.raw && expected.rows.iter().flatten().all(is_label) {
                    println!("\nall that is expected are whole numbers{LABELS}");
                }
            }
        }
        Ok(if mismatches == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Checks the names of columns against the model's. A library may have changed them: LightGBM writes a blank as
    /// `_`, and those at the ends are lost in CSV.
    fn check_header(&self, model: &Imported, header: &[String]) -> Result<()> {
        let features = model.forests.features();
        let is_numbered = |column: usize, name: &String| *name == column.to_string();
        // Columns without names have any, but where they are numbered as LightGBM or pandas number them the order
        // counts.
        let names = match model.feature_names.as_slice() {
            [] if header.iter().all(|name| name.starts_with("Column_")) => {
                (0..features).map(|column| format!("Column_{column}")).collect()
            }
            _ if header.iter().enumerate().all(|(column, name)| is_numbered(column, name)) => return Ok(()),
            names => names.to_vec(),
        };
        let plain = |name: &str| name.trim().replace(' ', "_");
        for (column, (own, named)) in names.iter().zip(header).enumerate() {
            ensure!(
                plain(own) == plain(named),
                "{}: column {} is {named:?}, the model expects {own:?}",
                self.data.display(),
                column + 1
            );
        }
        Ok(())
    }

    /// Returns the margins themselves if those are expected, else the prediction that they make.
    fn of_margins(&self, model: &Imported, margins: Vec<f64>, columns: usize) -> Vec<f64> {
        if self.raw { margins } else { in_columns(model, margins, columns) }
    }

    /// Returns this project's answer for a row, with as many columns as are expected where there are several ways to
    /// give it: probabilities in place of the number of the greatest, and a risk with its complement.
    fn ours(&self, model: &Imported, row: &[f64], columns: usize) -> Result<Vec<f64>> {
        if !self.contrib {
            let margins = model.forests.margins(row).context("the row fits, its width was checked")?;
            return Ok(self.of_margins(model, margins, columns));
        }
        let mut all = Vec::new();
        for output in 0..model.forests.len() {
            let contributions = model.forests.contributions(output, row);
            let Some(contributions) = contributions else {
                let reason = model.forests.cannot_explain().unwrap_or("a number cannot be compared");
                anyhow::bail!("{reason}, so there are no contributions")
            };
            all.extend(contributions);
        }
        Ok(all)
    }

    /// Returns the number of first rounds with which all rows agree, if it is not that of the file.
    fn rounds_that_agree(&self, model: &Imported, data: &Table, expected: &Table, row: usize) -> Option<usize> {
        if self.rounds.is_some() || self.contrib || model.divisor != 1.0 {
            return None;
        }
        let agree = |ours: &[f64], theirs: &[f64]| {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(ours, theirs)| distance(*ours, *theirs) <= self.tolerance)
        };
        let (row, theirs) = (data.rows.get(row)?, expected.rows.get(row)?);
        let mut stages = model.margins_after_rounds(row)?;
        // The last is the file's own number.
        stages.pop();
        let is_candidate = |margins: Vec<f64>| agree(&self.of_margins(model, margins, theirs.len()), theirs);
        let stages =
            stages.into_iter().zip(1..).filter_map(|(margins, rounds)| is_candidate(margins).then_some(rounds));
        stages.take(MAX_CANDIDATES).find(|rounds| {
            let Ok(mut part) = find(&self.model).and_then(|file| load(&file, Some(*rounds))) else { return false };
            part.transform = model.transform;
            data.rows
                .iter()
                .zip(&expected.rows)
                .all(|(row, theirs)| self.ours(&part, row, theirs.len()).is_ok_and(|ours| agree(&ours, theirs)))
        })
    }

    /// Describes the way of a row through every tree of the output that a column is about.
    fn explain(&self, model: &Imported, row: &[f64], column: usize) -> String {
        let output = if self.contrib { column / (row.len() + 1) } else { column.min(model.forests.len() - 1) };
        let names = feature_names(model);
        match &model.forests {
            Forests::F32(forests) => forests.get(output).map(|forest| paths(forest, row, &names)),
            Forests::F64(forests) => forests.get(output).map(|forest| paths(forest, row, &names)),
        }
        .unwrap_or_default()
    }
}

fn paths<T: Number>(forest: &OwnedForest<T>, row: &[f64], names: &[String]) -> String {
    let row: Vec<T> = row.iter().map(|x| T::from_f64(*x)).collect();
    let forest = forest.forest();
    let mut out = format!("  base margin {}\n", forest.parts().base_margin);
    let trees = forest.parts().roots.len();
    for tree in 0..trees {
        if out.len() > MAX_BYTES {
            let _ = writeln!(out, "  and {} more trees", trees - tree);
            break;
        }
        let _ = write!(out, "  tree {tree}:");
        let mut splits = 0;
        forest.visit_path(tree, &row, |_, link| {
            // Numbers with an exponent: the digits of 1e300 are a line of their own.
            let _ = match link {
                Link::Leaf(value) if splits > MAX_SPLITS => {
                    writeln!(out, " and {} more splits, leaf {value:?}", splits - MAX_SPLITS)
                }
                Link::Leaf(value) => writeln!(out, " leaf {value:?}"),
                Link::Split { .. } if splits >= MAX_SPLITS => Ok(()),
                Link::Split { feature, reading, threshold, .. } => {
                    let (value, name) = (row[feature], shortened(&names[feature]));
                    if value.into().is_nan() {
                        write!(out, " {name} missing,")
                    } else if reading.is_set() {
                        write!(out, " {name} = {value:?} by category,")
                    } else {
                        let side = if value.goes_left(threshold) { "left" } else { "right" };
                        write!(out, " {name} = {value:?} {side} of {threshold:?},")
                    }
                }
            };
            splits += usize::from(matches!(link, Link::Split { .. }));
        });
    }
    out
}

/// Returns the beginning of a name that is longer than a line should be.
fn shortened(name: &str) -> String {
    match name.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    }
}

/// Returns the prediction of these margins, in as many columns as are expected if it can be.
fn in_columns(model: &Imported, margins: Vec<f64>, columns: usize) -> Vec<f64> {
    let transform = match model.transform.to_probabilities() {
        Some(probabilities) if columns > 1 => probabilities,
        _ => model.transform,
    };
    let predicted = model.transformed(transform, margins);
    match predicted[..] {
        [risk] if columns == 2 && transform.is_probability() => vec![1.0 - risk, risk],
        _ => predicted,
    }
}

/// Returns the difference: absolute below 1, relative above; 0 for NaN and NaN.
fn distance(ours: f64, theirs: f64) -> f64 {
    if ours == theirs || (ours.is_nan() && theirs.is_nan()) {
        return 0.0;
    }
    (ours - theirs).abs() / theirs.abs().max(1.0)
}
