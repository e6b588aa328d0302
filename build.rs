//! Lays the demo cohort out as static data, from the file that the trainer wrote.

use std::fmt::Write as _;
use std::path::Path;

const FILE: &str = "src/checkins/demo.csv";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={FILE}");
    let text = std::fs::read_to_string(FILE)?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().ok_or("demo.csv is empty")?.split(',').collect();
    let expected = ["user_id", "id", "checkin_date"].into_iter().chain(features::FIELDS.iter().map(|field| field.name));
    if !expected.eq(header.iter().copied()) {
        return Err(format!("{FILE} has other columns than a check-in has fields: run `cargo xtask train`").into());
    }
    let mut out = String::from("static DEMO: &[DemoCheckIn] = &[\n");
    for (number, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let [user, id, date, values @ ..] = cells.as_slice() else {
            return Err(format!("{FILE}, line {}: cut off", number + 2).into());
        };
        let date: jiff::civil::Date = date.parse()?;
        let (year, month, day) = (date.year(), date.month(), date.day());
        write!(out, "({user:?}, {id:?}, Date::constant({year}, {month}, {day}), [")?;
        for value in values {
            if value.is_empty() {
                out.push_str("f32::NAN,");
            } else {
                write!(out, "{:?},", value.parse::<f32>()?)?;
            }
        }
        out.push_str("]),\n");
    }
    out.push_str("];\n");
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("demo.rs"), out)?;
    Ok(())
}
