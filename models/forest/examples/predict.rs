//! Reads a LightGBM file, predicts and explains: the README's sample.

use forest::import::{Options, read};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::fs::read("tests/fixtures/lightgbm_3_3_5_binary/model.txt")?;
    let model = read(&file, &Options::default())?;
    println!("{}, {} trees, {} features", model.library_and_version(), model.forests.trees(), model.forests.features());

    // A number a feature, in the model's own order; NaN is a missing one.
    let row = [0.5, -1.0, f64::NAN, 3.0, 0.0, 1.5];
    let probability = model.predict(&row).ok_or("the row does not fit the model")?[0];
    println!("probability {probability:.4}");

    // Of each feature, and last the mean: together they are the margin, before the sigmoid.
    let contributions = model.forests.contributions(0, &row).ok_or("the file has no covers")?;
    println!("contributions {contributions:.3?}");
    Ok(())
}
