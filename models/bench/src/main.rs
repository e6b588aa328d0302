//! `forest-bench FOLDER` times one row, a thousand rows and one explanation with the models in FOLDER, which `make.py`
//! wrote, and prints a line a figure. Built for Wasm it times this project's forests and `gbdt` there; natively, the
//! libraries too, whose files are named behind the folder. `forest-bench --table FILE` makes one table of such lines.

#[cfg(not(target_family = "wasm"))]
mod libraries;
mod table;

use anyhow::{Context, Result, ensure};
use forest::import::{Forests, Options, read};
use gbdt::decision_tree::{Data, DataVec, VALUE_TYPE_UNKNOWN};
use gbdt::gradient_boost::GBDT;
use std::hint::black_box;
use std::time::Instant;

/// The sizes of model that `make.py` makes.
const SIZES: [&str; 3] = ["small", "medium", "large"];
/// The library that a model file is of, and its ending.
const FILES: [(&str, &str); 5] = [
    ("LightGBM", "lightgbm_SIZE.txt"),
    ("XGBoost", "xgboost_SIZE.json"),
    ("CatBoost", "catboost_SIZE.json"),
    ("scikit-learn", "sklearn_SIZE.onnx"),
    ("gbdt", "gbdt_SIZE.json"),
];

/// Operation that is timed, on one model file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    /// One row a call, over all rows.
    OneRow,
    /// All rows in one call.
    AllRows,
    /// The contributions of one row a call.
    Explain,
}

impl Task {
    const ALL: [Task; 3] = [Task::OneRow, Task::AllRows, Task::Explain];
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
struct Measurement {
    size: &'static str,
    /// The library whose model file it is.
    file: &'static str,
    /// The program that walked it.
    who: String,
    task: Task,
    /// Nanoseconds a row: of all passes over the rows the fastest, which is the one that nothing disturbed.
    nanoseconds: f64,
}

/// The rows that every subject is asked about.
struct Rows {
    features: usize,
    wide: Vec<f64>,
    narrow: Vec<f32>,
}

impl Rows {
    fn read(folder: &str) -> Result<Rows> {
        let text = std::fs::read_to_string(format!("{folder}/rows.csv"))?;
        let cell = |cell: &str| if cell == "nan" { Ok(f64::NAN) } else { cell.parse() };
        let rows: Vec<Vec<f64>> =
            text.lines().map(|line| line.split(',').map(cell).collect()).collect::<Result<_, _>>()?;
        let features = rows.first().context("there are no rows")?.len();
        // Numbers that an f32 is, as the service's features are.
        let narrow: Vec<f32> = rows.concat().into_iter().map(|x| x as f32).collect();
        Ok(Rows { features, wide: narrow.iter().map(|x| f64::from(*x)).collect(), narrow })
    }

    fn count(&self) -> usize {
        self.wide.len() / self.features
    }
}

/// Returns the time a row takes: the fastest of passes that take half a second together, after one that warms up.
fn time(rows: usize, mut pass: impl FnMut() -> Result<f64>) -> Result<f64> {
    black_box(pass()?);
    let (start, mut best, mut passes) = (Instant::now(), f64::MAX, 0);
    while passes < 5 || start.elapsed().as_secs_f64() < 0.5 {
        let begin = Instant::now();
        black_box(pass()?);
        best = best.min(begin.elapsed().as_secs_f64() * 1e9 / rows as f64);
        passes += 1;
    }
    Ok(best)
}

/// Times this project's forest and, on its own files, `gbdt`.
fn measure_here(folder: &str, size: &'static str, rows: &Rows) -> Result<Vec<Measurement>> {
    let place = if cfg!(target_family = "wasm") { "Wasm" } else { "native" };
    let mut measured = Vec::new();
    for (file, name) in FILES {
        let path = format!("{folder}/{}", name.replace("SIZE", size));
        let options = Options::default();
        let imported =
            read(&std::fs::read(&path).with_context(|| path.clone())?, &options).with_context(|| path.clone())?;
        let mut add = |who: &str, task, nanoseconds| {
            measured.push(Measurement { size, file, who: format!("{who}, {place}"), task, nanoseconds });
        };
        match &imported.forests {
            Forests::F32(forests) => {
                let forest = forests[0].forest();
                let (one, all) = walked(&forest, &rows.narrow, rows)?;
                add("this forest", Task::OneRow, one);
                add("this forest", Task::AllRows, all);
                if forest.can_explain() {
                    add("this forest", Task::Explain, explained(&forest, &rows.narrow, rows)?);
                }
            }
            Forests::F64(forests) => {
                let forest = forests[0].forest();
                let (one, all) = walked(&forest, &rows.wide, rows)?;
                add("this forest", Task::OneRow, one);
                add("this forest", Task::AllRows, all);
                if forest.can_explain() {
                    add("this forest", Task::Explain, explained(&forest, &rows.wide, rows)?);
                }
                // Numbers that no f32 is: they are held against the f64 thresholds.
                let beyond: Vec<f64> = rows.wide.iter().map(|x| x * (1.0 + 1e-12)).collect();
                let (one, all) = walked(&forest, &beyond, rows)?;
                add("this forest, inputs beyond f32", Task::OneRow, one);
                add("this forest, inputs beyond f32", Task::AllRows, all);
            }
        }
        if file == "gbdt" {
            let model = GBDT::load_model(&path).map_err(|error| anyhow::anyhow!("{path}: {error}"))?;
            let data: DataVec = rows
                .narrow
                .chunks(rows.features)
                .map(|row| {
                    Data::new_test_data(
                        row.iter().map(|&x| if x.is_nan() { VALUE_TYPE_UNKNOWN } else { x }).collect(),
                        None,
                    )
                })
                .collect();
            let Forests::F32(forests) = &imported.forests else { anyhow::bail!("gbdt computes in f32") };
            for (row, theirs) in rows.narrow.chunks(rows.features).zip(model.predict(&data)) {
                ensure!(forests[0].forest().margin(row) == Some(theirs), "{size}: gbdt and this forest disagree");
            }
            let single: Vec<DataVec> = data.iter().map(|row| vec![row.clone()]).collect();
            add(
                "gbdt",
                Task::OneRow,
                time(rows.count(), || Ok(single.iter().map(|row| f64::from(model.predict(row)[0])).sum()))?,
            );
            add("gbdt", Task::AllRows, time(rows.count(), || Ok(f64::from(model.predict(&data)[0])))?);
        }
    }
    Ok(measured)
}

fn walked<T: forest::Number>(forest: &forest::Forest<'_, T>, cells: &[T], rows: &Rows) -> Result<(f64, f64)> {
    let one = time(rows.count(), || {
        let margins = cells.chunks(rows.features).map(|row| forest.margin(row).map(Into::into));
        margins.sum::<Option<f64>>().context("the rows do not fit")
    })?;
    let mut margins = vec![T::ZERO; rows.count()];
    let all = time(rows.count(), || {
        forest.margins(cells, &mut margins).context("the rows do not fit")?;
        Ok(margins[0].into())
    })?;
    Ok((one, all))
}

fn explained<T: forest::Number>(forest: &forest::Forest<'_, T>, cells: &[T], rows: &Rows) -> Result<f64> {
    // A tenth of the rows: an explanation takes a hundred times as long as a margin.
    let some = rows.count() / 10;
    let mut contributions = vec![0.0; rows.features];
    time(some, || {
        for row in cells.chunks(rows.features).take(some) {
            contributions.fill(0.0);
            forest.explain(row, &mut contributions).context("the model has no covers")?;
        }
        Ok(contributions[0])
    })
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, libraries) = match arguments.as_slice() {
        [flag, file] if flag == "--table" => return table::print(&std::fs::read_to_string(file)?),
        [folder, libraries @ ..] => (folder, libraries),
        [] => anyhow::bail!("forest-bench FOLDER [LIB_LIGHTGBM LIBXGBOOST] or forest-bench --table FILE"),
    };
    let rows = Rows::read(folder)?;
    for size in SIZES {
        let mut measured = measure_here(folder, size, &rows)?;
        measured.extend(measure_libraries(libraries, folder, size, &rows)?);
        for Measurement { size, file, who, task, nanoseconds } in measured {
            println!("{size}\t{file}\t{who}\t{task:?}\t{nanoseconds}");
        }
    }
    Ok(())
}

#[cfg(not(target_family = "wasm"))]
fn measure_libraries(libraries: &[String], folder: &str, size: &'static str, rows: &Rows) -> Result<Vec<Measurement>> {
    let [lightgbm, xgboost] = libraries else { return Ok(Vec::new()) };
    let mut measured = libraries::lightgbm(lightgbm, folder, size, rows)?;
    measured.extend(libraries::xgboost(xgboost, folder, size, rows)?);
    measured.extend(libraries::lleaves(folder, size, rows)?);
    Ok(measured)
}

#[cfg(target_family = "wasm")]
fn measure_libraries(_: &[String], _: &str, _: &'static str, _: &Rows) -> Result<Vec<Measurement>> {
    Ok(Vec::new())
}
