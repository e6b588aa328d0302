//! The demo cohort: five synthetic people that the service can show when no database is configured.

use crate::cohort::{DAYS, State, is_simulated, person};
use crate::task::SEED;
use anyhow::{Context, Result};
use features::FIELDS;
use std::fmt::Write as _;
use std::path::Path;

/// Days of history shown.
const SHOWN: usize = 45;

/// Their fixed ids and the state each is in on the last day. A fifth, without check-ins, has no rows to write.
const PEOPLE: [(&str, State); 4] = [
    ("11111111-1111-4111-8111-111111111111", State::Euthymia),
    ("22222222-2222-4222-8222-222222222222", State::Mania),
    ("33333333-3333-4333-8333-333333333333", State::Depression),
    ("44444444-4444-4444-8444-444444444444", State::Mixed),
];

/// Writes one line a check-in: person, id, date, and one answer a field that is simulated, empty where it is missing.
pub fn write(file: &Path) -> Result<()> {
    let names: Vec<&str> = FIELDS.iter().map(|field| field.name).filter(|name| is_simulated(name)).collect();
    let mut out = format!("user_id,id,checkin_date,{}\n", names.join(","));
    let mut next = 10_000; // beyond the numbers of every split
    for (user, state) in PEOPLE {
        // The first who has been in the state for three weeks, and recorded the last day.
        let settled = |index: &u64| {
            let days = person(SEED, *index).days;
            days[DAYS - 21..].iter().all(|day| day.state == state) && days[DAYS - 1].checkin.is_some()
        };
        let index = (next..next + 100_000).find(settled).context("nobody is in that state")?;
        next = index + 1;
        for day in &person(SEED, index).days[DAYS - SHOWN..] {
            let Some(checkin) = &day.checkin else { continue };
            let id = format!("{}-{:04}-{}", &user[..8], checkin.date.year(), checkin.date.strftime("40%m-80%d-"));
            write!(out, "{user},{}{:012},{}", id, index, checkin.date)?;
            let values = FIELDS.iter().zip(checkin.values).filter(|(field, _)| is_simulated(field.name));
            for (_, value) in values {
                if value.is_nan() {
                    out.push(',');
                } else {
                    write!(out, ",{value}")?;
                }
            }
            out.push('\n');
        }
    }
    std::fs::create_dir_all(file.parent().context("the file has a folder")?)?;
    std::fs::write(file, out).with_context(|| file.display().to_string())
}
