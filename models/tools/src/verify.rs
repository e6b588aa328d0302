//! `model verify`: compares a model here with its library's predictions in Python.

use crate::inspect::feature_names;
use crate::table::Table;
use crate::{check_card, find, load};
use anyhow::{Result, ensure};
use clap::Args;
use forest::import::{Forests, Imported, OwnedForest};
use forest::{Link, Number};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compare a model with its library's predictions for some rows.
#[derive(Args)]
pub(crate) struct Verify {
    /// A model file, or a model of the registry by name.
    model: PathBuf,
    /// CSV: one row a line, features in the model's order; a header is optional, empty or nan is missing.
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
}

impl Verify {
    pub(crate) fn run(&self, as_json: bool) -> Result<ExitCode> {
        let model = load(&find(&self.model)?, self.rounds)?;
        check_card(&self.model)?;
        let data = Table::read(&self.data)?;
        let expected = Table::read(&self.expected)?;
        let features = model.forests.features();
        let width = data.rows.first().map_or(0, Vec::len);
        ensure!(width == features, "{} has {width} columns, the model {features} features", self.data.display());
        if let Some(header) = &data.header {
            // Columns without names have any, but where they are numbered as LightGBM numbers them the order counts.
            let names = match model.feature_names.as_slice() {
                [] if header.iter().all(|name| name.starts_with("Column_")) => {
                    (0..features).map(|column| format!("Column_{column}")).collect()
                }
                names => names.to_vec(),
            };
            for (column, (own, named)) in names.iter().zip(header).enumerate() {
                ensure!(
                    own == named,
                    "{}: column {} is {named:?}, the model expects {own:?}",
                    self.data.display(),
                    column + 1
                );
            }
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
            let ours = self.ours(&model, row)?;
            ensure!(
                ours.len() == expected.len(),
                "{} has {} columns, the model gives {}",
                self.expected.display(),
                expected.len(),
                ours.len()
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
        if as_json {
            let first = first.map(|(row, column, ours, theirs)| {
                json!({ "row": row + 1, "column": column + 1, "ours": ours, "expected": theirs })
            });
            let report = json!({
                "rows": rows, "mismatches": mismatches, "worst_difference": worst, "tolerance": self.tolerance,
                "first_mismatch": first,
            });
            println!("{report:#}");
        } else {
            println!("{rows} rows compared, worst difference {worst:e}, {mismatches} beyond {:e}", self.tolerance);
            if let Some((row, column, ours, theirs)) = first {
                println!("\nrow {}, column {}: {ours:?} here, {theirs:?} expected", row + 1, column + 1);
                print!("{}", self.explain(&model, &data.rows[row], column));
            }
        }
        Ok(if mismatches == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn ours(&self, model: &Imported, row: &[f64]) -> Result<Vec<f64>> {
        let fits = "the row fits, its width was checked";
        if !self.contrib {
            let answer = if self.raw { model.forests.margins(row) } else { model.predict(row) };
            return answer.ok_or_else(|| anyhow::anyhow!(fits));
        }
        let mut all = Vec::new();
        for output in 0..model.forests.len() {
            let contributions = model.forests.contributions(output, row);
            let Some(contributions) = contributions else {
                anyhow::bail!("the file has no covers, so there are no contributions")
            };
            all.extend(contributions);
        }
        Ok(all)
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
    for tree in 0..forest.parts().roots.len() {
        let _ = write!(out, "  tree {tree}:");
        forest.visit_path(tree, &row, |_, link| {
            let _ = match link {
                Link::Leaf(value) => writeln!(out, " leaf {value}"),
                Link::Split { feature, reading, threshold, .. } => {
                    let (value, name) = (row[feature], &names[feature]);
                    if value.into().is_nan() {
                        write!(out, " {name} missing,")
                    } else if reading.is_set() {
                        write!(out, " {name} = {value} by category,")
                    } else {
                        let side = if value.goes_left(threshold) { "left" } else { "right" };
                        write!(out, " {name} = {value} {side} of {threshold},")
                    }
                }
            };
        });
    }
    out
}

/// Returns the difference: absolute below 1, relative above; 0 for NaN and NaN.
fn distance(ours: f64, theirs: f64) -> f64 {
    if ours == theirs || (ours.is_nan() && theirs.is_nan()) {
        return 0.0;
    }
    (ours - theirs).abs() / theirs.abs().max(1.0)
}
