//! The figures as `docs/BENCHMARKS.md` shows them.

use crate::{FILES, Measurement, SIZES, Task};
use anyhow::{Context, Result};

/// Prints one table: microseconds a row and, in brackets, how many times what this forest takes in Wasm on the same
/// file.
pub(crate) fn print(lines: &str) -> Result<()> {
    let measured: Vec<Measurement> =
        lines.lines().map(|line| parse(line).with_context(|| line.to_owned())).collect::<Result<_>>()?;
    println!("\n| model | walked by | 1 row, us | 1,000 rows, us a row | explanation of 1 row, us |");
    println!("| --- | --- | --- | --- | --- |");
    for size in SIZES {
        for (file, _) in FILES {
            let of_file = |figure: &&Measurement| figure.size == size && figure.file == file;
            let mut who: Vec<&str> = Vec::new();
            for figure in measured.iter().filter(of_file) {
                if !who.contains(&figure.who.as_str()) {
                    who.push(&figure.who);
                }
            }
            let find = |who: &str, task| {
                let found = measured.iter().filter(of_file).find(|figure| figure.who == who && figure.task == task);
                found.map(|figure| figure.nanoseconds / 1e3)
            };
            who.sort_by_key(|who| (!who.starts_with("this forest"), !who.ends_with("Wasm")));
            for who in who {
                let cells = Task::ALL.map(|task| match (find(who, task), find("this forest, Wasm", task)) {
                    (Some(own), Some(wasm)) => format!("{} ({:.2})", figures(own), own / wasm),
                    (Some(own), None) => figures(own),
                    (None, _) => String::new(),
                });
                println!("| {size}, {file} | {who} | {} |", cells.join(" | "));
            }
        }
    }
    Ok(())
}

fn parse(line: &str) -> Option<Measurement> {
    let mut cells = line.split('\t');
    let (size, file, who, task) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
    Some(Measurement {
        size: SIZES.into_iter().find(|known| *known == size)?,
        file: FILES.into_iter().find(|(known, _)| *known == file)?.0,
        who: who.to_owned(),
        task: Task::ALL.into_iter().find(|known| format!("{known:?}") == task)?,
        nanoseconds: cells.next()?.parse().ok()?,
    })
}

/// Three figures.
fn figures(microseconds: f64) -> String {
    match microseconds {
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 10.0 => format!("{x:.1}"),
        x => format!("{x:.2}"),
    }
}
