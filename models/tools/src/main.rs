//! `cargo xtask model`: a data scientist's tools for a model, before and after it is in the registry.
//!
//! It reads files itself and does not depend on the registry, so that it works when a folder there is wrong.

mod add;
#[path = "../../src/attributes.rs"]
#[allow(dead_code, unreachable_pub, reason = "the questions are the registry's")]
mod attributes;
#[path = "../../src/card.rs"]
#[allow(dead_code, unreachable_pub, reason = "the card is the registry's")]
mod card;
mod check;
mod inspect;
#[path = "../../src/label.rs"]
#[allow(unreachable_pub, reason = "the labels are the registry's")]
mod label;
mod remove;
mod rows;
mod table;
mod verify;

use anyhow::{Context, Result, ensure};
use card::Card;
use clap::{Parser, Subcommand};
use forest::import::{FILE_ENDINGS, Imported, Options, read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Adds, inspects, verifies and removes models, and makes what they are trained on.
#[derive(Parser)]
#[command(bin_name = "cargo xtask model")]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Copy a model file into models/<name>/ and write a card for it.
    Add(add::Add),
    /// Read every file of a folder, and say of each what would become of it.
    Check(check::Check),
    /// Describe a model file.
    Inspect(inspect::Inspect),
    /// Compare a model with its library's predictions for some rows.
    Verify(verify::Verify),
    /// Delete models/<name>/.
    Remove(remove::Remove),
    /// Turn check-ins into the rows that models are trained on.
    Features(rows::Features),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Command::Add(add) => add.run(args.json),
        Command::Check(check) => check.run(args.json),
        Command::Inspect(inspect) => inspect.run(args.json),
        Command::Verify(verify) => verify.run(args.json),
        Command::Remove(remove) => remove.run(args.json),
        Command::Features(features) => features.run(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            if args.json {
                println!("{}", serde_json::json!({ "error": format!("{error:#}") }));
            } else {
                eprintln!("error: {error:#}");
            }
            ExitCode::from(2)
        }
    }
}

/// Returns the registry's folder, relative to the repository's.
fn registry() -> PathBuf {
    std::env::var_os("BIPOLAR_EDGE_REGISTRY").map_or_else(|| PathBuf::from("models"), PathBuf::from)
}

/// Returns a model file, or the one of a model in the registry.
fn find(model: &Path) -> Result<PathBuf> {
    if model.is_file() {
        return Ok(model.to_owned());
    }
    let folder = registry().join(model);
    let files: Vec<PathBuf> = FILE_ENDINGS
        .iter()
        .map(|ending| folder.join(format!("model.{ending}")))
        .filter(|file| file.is_file())
        .collect();
    ensure!(files.len() < 2, "{} has several model files: name one", folder.display());
    files.into_iter().next().with_context(|| {
        format!("{} is neither a file nor a model of one file in {}", model.display(), registry().display())
    })
}

/// Reads and checks the card of a model in the registry; a model file alone has none.
fn card_of(model: &Path) -> Result<Option<Card>> {
    let file = registry().join(model).join("card.toml");
    if model.is_file() || !file.is_file() {
        return Ok(None);
    }
    let card: Card = toml::from_str(&std::fs::read_to_string(&file)?).with_context(|| file.display().to_string())?;
    card.check().with_context(|| file.display().to_string())?;
    Ok(Some(card))
}

/// Reads a model file.
fn load(file: &Path, rounds: Option<usize>) -> Result<Imported> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    read(&bytes, &Options { rounds, covers: None }).with_context(|| file.display().to_string())
}

/// Checks that a name is a folder and nothing else.
fn check_name(name: &str) -> Result<()> {
    let sane = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    ensure!(
        name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(sane) && name.len() <= 64,
        "{name:?} cannot be a model's name: small letters, digits and underscores, a letter first, as in relapse_risk"
    );
    ensure!(
        !["bench", "features", "forest", "src", "tools", "train"].contains(&name),
        "{name:?} is taken by the registry itself"
    );
    Ok(())
}
