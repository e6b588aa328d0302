//! Tables of numbers in CSV.

use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Rows of numbers, all of one width, as pandas and numpy write them. An empty cell and what Python calls missing are
/// NaN, `True` and `False` are 1 and 0. A first row with anything in it that is no number is a header; of the numbers
/// 0, 1, 2, ... another table can say that they are one.
pub(crate) struct Table {
    pub(crate) header: Option<Vec<String>>,
    pub(crate) rows: Vec<Vec<f64>>,
}

impl Table {
    /// Errors name the file, the line and the column, and of a cell that is no number end with the hint.
    pub(crate) fn read(file: &Path, hint: &str) -> Result<Table> {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .delimiter(delimiter(&bytes))
            .from_reader(bytes.as_slice());
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
                    format!("{}, line {line}, column {}: {cell:?} is no number{hint}", file.display(), column + 1)
                })
            });
            table.rows.push(row.collect::<Result<_>>()?);
        }
        ensure!(!table.rows.is_empty(), "{} has no rows", file.display());
        table.drop_index();
        Ok(table)
    }

    /// Drops the column that pandas writes a frame's index into: it has no name, and counts the rows.
    fn drop_index(&mut self) {
        let is_named = |header: &Vec<String>| header.len() < 2 || header.first().is_none_or(|name| !name.is_empty());
        let counts = |(index, row): (usize, &Vec<f64>)| row.first() == Some(&(index as f64));
        if self.header.as_ref().is_none_or(is_named) || !self.rows.iter().enumerate().all(counts) {
            return;
        }
        for row in &mut self.rows {
            row.remove(0);
        }
        if let Some(header) = &mut self.header {
            header.remove(0);
        }
    }

    /// Takes the first row for a header if it is 0, 1, 2, ..., as pandas calls columns without names. Returns true if
    /// it was.
    fn take_numbered_header(&mut self) -> bool {
        let first = self.rows.first().filter(|_| self.header.is_none() && self.rows.len() > 1);
        let Some(first) = first.map(Vec::as_slice) else { return false };
        // Above a frame's index nothing stands.
        let (has_index, names) = match first {
            [above, names @ ..] if above.is_nan() && !names.is_empty() => (true, names),
            names => (false, names),
        };
        let is_numbered = names.iter().enumerate().all(|(column, x)| *x == column as f64);
        if is_numbered {
            let names = (0..names.len()).map(|column| column.to_string());
            self.header = Some(has_index.then(String::new).into_iter().chain(names).collect());
            self.rows.remove(0);
            self.drop_index();
        }
        is_numbered
    }
}

/// Finds numbered headers of two tables that ought to have a row for each row of the other.
pub(crate) fn match_headers(data: &mut Table, expected: &mut Table) {
    if data.rows.len() == expected.rows.len() + 1 {
        data.take_numbered_header();
    } else if expected.rows.len() == data.rows.len() + 1 {
        expected.take_numbered_header();
    } else if data.take_numbered_header() {
        // No rows are left over, so either both had a header or the first row of data only looks like one.
        if !expected.take_numbered_header() {
            let columns = data.header.take().map_or(0, |header| header.len());
            data.rows.insert(0, (0..columns).map(|column| column as f64).collect());
        }
    }
}

/// Returns what stands between the cells of the first line: a comma, or a semicolon or tab where there is none.
fn delimiter(bytes: &[u8]) -> u8 {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let others = [b';', b'\t'].into_iter().filter(|other| line.contains(other) && !line.contains(&b','));
    others.into_iter().next().unwrap_or(b',')
}

fn number(cell: &str) -> Option<f64> {
    match cell {
        "" | "NA" | "<NA>" | "N/A" | "None" | "null" | "NULL" | "NaT" => Some(f64::NAN),
        "True" | "true" | "TRUE" => Some(1.0),
        "False" | "false" | "FALSE" => Some(0.0),
        // Rust reads `nan`, `inf` and their kin whatever their case.
        _ => cell.parse().ok(),
    }
}
