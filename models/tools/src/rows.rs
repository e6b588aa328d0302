//! `model features`: check-ins into the rows that models are trained on, by the code that serves.

use anyhow::{Context, Result, ensure};
use clap::Args;
use features::{CheckIn, FEATURES, FIELDS, field_index, row};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Turn check-ins into the service's features, as CSV on standard output: one row a check-in, made from it and the
/// history before it.
#[derive(Args)]
pub(crate) struct Features {
    /// CSV with a header: user_id, checkin_date (YYYY-MM-DD) and any fields of a check-in; other columns are ignored;
    /// empty and out-of-range answers are missing.
    #[arg(long)]
    checkins: PathBuf,
    /// Days of history before a check-in that count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=30))]
    window_days: u8,
}

impl Features {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let name = self.checkins.display();
        let mut reader = csv::Reader::from_path(&self.checkins).with_context(|| format!("cannot read {name}"))?;
        let header = reader.headers()?.clone();
        let column = |wanted: &str| header.iter().position(|name| name == wanted);
        let user = column("user_id").with_context(|| format!("{name} has no column user_id"))?;
        let date = column("checkin_date").with_context(|| format!("{name} has no column checkin_date"))?;
        let fields: Vec<(usize, usize)> =
            header.iter().enumerate().filter_map(|(column, name)| Some((column, field_index(name)?))).collect();
        ensure!(!fields.is_empty(), "{name} has no column that is a field of a check-in, such as hoursSlept");

        let mut people: BTreeMap<String, Vec<CheckIn>> = BTreeMap::new();
        for (index, record) in reader.records().enumerate() {
            let record = record.with_context(|| name.to_string())?;
            let text = record.get(date).unwrap_or_default();
            let date = text.parse().with_context(|| format!("{name}, line {}: {text:?} is no date", index + 2))?;
            let mut values = [f32::NAN; FIELDS.len()];
            for &(column, field) in &fields {
                let answer = record.get(column).and_then(|cell| cell.parse::<f32>().ok());
                values[field] =
                    answer.filter(|answer| FIELDS[field].range.contains((*answer).into())).unwrap_or(f32::NAN);
            }
            let person = people.entry(record.get(user).unwrap_or_default().to_owned()).or_default();
            person.push(CheckIn { id: String::new(), date, values });
        }

        let mut out = csv::Writer::from_writer(std::io::stdout().lock());
        out.write_record(["user_id", "checkin_date"].into_iter().chain(FEATURES.iter().map(|feature| feature.name)))?;
        for (user, mut checkins) in people {
            checkins.sort_by_key(|checkin| checkin.date);
            for last in 0..checkins.len() {
                let Some(row) = row(&checkins[..=last], self.window_days) else { continue };
                // The service computes in f32 and hands LightGBM the same number in f64: written as that, it reads back
                // so.
                let cells = row.iter().map(|x| if x.is_nan() { String::new() } else { f64::from(*x).to_string() });
                let head = [user.clone(), checkins[last].date.to_string()];
                out.write_record(head.into_iter().chain(cells))?;
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
