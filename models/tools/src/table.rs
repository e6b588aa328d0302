//! Tables of numbers in CSV.

use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Rows of numbers, all of one width. An empty cell and `nan` are missing (NaN). A first row with anything in it that
/// is no number is a header.
pub(crate) struct Table {
    pub(crate) header: Option<Vec<String>>,
    pub(crate) rows: Vec<Vec<f64>>,
}

impl Table {
    /// Errors name the file, the line and the column.
    pub(crate) fn read(file: &Path) -> Result<Table> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_path(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let mut table = Table { header: None, rows: Vec::new() };
        for (index, record) in reader.records().enumerate() {
            let record = record.with_context(|| file.display().to_string())?;
            let numbers: Vec<Option<f64>> = record.iter().map(number).collect();
            if index == 0 && numbers.iter().any(Option::is_none) {
                table.header = Some(record.iter().map(str::to_owned).collect());
                continue;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let width = table.rows.first().map_or(numbers.len(), Vec::len);
            ensure!(
                numbers.len() == width,
                "{}, line {line}: {} cells, the lines before have {width}",
                file.display(),
                numbers.len()
            );
            let row = numbers.iter().enumerate().map(|(column, number)| {
                let cell = record.get(column).unwrap_or_default();
                number.with_context(|| {
                    format!("{}, line {line}, column {}: {cell:?} is no number", file.display(), column + 1)
                })
            });
            table.rows.push(row.collect::<Result<_>>()?);
        }
        ensure!(!table.rows.is_empty(), "{} has no rows", file.display());
        Ok(table)
    }
}

fn number(cell: &str) -> Option<f64> {
    // Rust reads `nan`, `inf` and their kin whatever their case.
    if cell.is_empty() { Some(f64::NAN) } else { cell.parse().ok() }
}
