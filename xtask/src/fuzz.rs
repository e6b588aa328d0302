//! `cargo xtask fuzz`: every fuzz target in turn, with the compiler that everything else is built with.
//!
//! A target's corpus in the repository is small: of what a run finds, the inputs that reach the most code with the
//! fewest bytes. The working corpus, which a run begins with too, is under `target/`.

use crate::build::target;
use crate::step::{self, cargo, output};
use anyhow::{Context, Result, anyhow, ensure};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The crates that targets stand in.
const CRATES: [&str; 2] = ["models/forest/fuzz", "tests/fuzz"];
/// The flags that cargo-fuzz builds with, without a sanitizer: edges are counted, overflows and assertions looked at.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                     -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1 -Cdebug-assertions";
/// An input may have so many bytes, take so many seconds, and so many MiB of memory.
const LIMITS: [&str; 3] = ["-max_len=65536", "-timeout=10", "-rss_limit_mb=2048"];
/// The repository keeps inputs of at most so many bytes each, and of a target so many inputs and bytes in all.
const MAX_KEPT_INPUT: u64 = 4 << 10;
const MAX_KEPT_INPUTS: usize = 64;
const MAX_KEPT: u64 = 16 << 10;
/// So many lines of what a target prints are shown where it has found something.
const KEPT_LINES: usize = 40;

/// A fuzz target, and how its run went.
struct Run {
    name: String,
    executions: u64,
    /// Edges of the program that inputs reached.
    coverage: u64,
    /// Inputs and bytes that the repository keeps.
    kept: (usize, u64),
}

/// Runs every target for its part of so many hours, or the one of a name for all of them. Errors with the input if one
/// crashes, hangs or takes too much memory.
pub(crate) fn run(hours: f64, only: Option<&str>) -> Result<()> {
    let mut targets = Vec::new();
    for folder in CRATES.map(Path::new) {
        let names = targets_of(folder)?.into_iter().filter(|name| only.is_none_or(|only| only == name));
        targets.extend(names.map(|name| (folder, name)));
    }
    ensure!(!targets.is_empty(), "there is no such target");
    let seconds = (hours * 3600.0 / targets.len() as f64).max(1.0);
    let mut runs = Vec::new();
    for folder in CRATES.map(Path::new) {
        let of_folder: Vec<&String> = targets.iter().filter(|(own, _)| *own == folder).map(|(_, name)| name).collect();
        if of_folder.is_empty() {
            continue;
        }
        let binaries = build(folder, &of_folder)?;
        let seeds = std::path::absolute(target().join("fuzz/corpus"))?;
        step::run("seeding the corpora", Command::new("bash").arg(folder.join("seed.sh")).arg(&seeds))?;
        for name in of_folder {
            runs.push(run_target(folder, name, &binaries.join(name), Duration::from_secs_f64(seconds))?);
        }
    }
    println!("\ntarget            executions  coverage  kept");
    for Run { name, executions, coverage, kept: (inputs, bytes) } in runs {
        println!("{name:<15} {executions:>12} {coverage:>9}  {inputs} inputs, {bytes} bytes");
    }
    Ok(())
}

/// The names of a crate's targets.
fn targets_of(folder: &Path) -> Result<Vec<String>> {
    let files = fs::read_dir(folder.join("fuzz_targets")).with_context(|| format!("no {}", folder.display()))?;
    let names = files.flatten().filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

/// Builds targets, and returns the folder that they are in.
fn build(folder: &Path, names: &[&String]) -> Result<PathBuf> {
    let version = output("rustc", &["-vV"]).context("rustc -vV fails")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    // Each crate has its own: they build the same libraries with other features.
    let built = folder.to_string_lossy().replace('/', "-");
    let built = std::path::absolute(target().join("fuzz").join(built))?;
    let mut cargo = cargo();
    // Coverage is counted by a pass of LLVM's that stable compilers have behind this variable.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS).current_dir(folder);
    cargo.args(["build", "--release", "--locked", "--target", host, "--target-dir"]).arg(&built);
    cargo.args(names.iter().flat_map(|name| ["--bin", name.as_str()]));
    step::run(&format!("building the targets of {}", folder.display()), &mut cargo)?;
    Ok(built.join(host).join("release"))
}

fn run_target(folder: &Path, name: &str, binary: &Path, time: Duration) -> Result<Run> {
    let kept = std::path::absolute(folder.join("corpus").join(name))?;
    let working = std::path::absolute(target().join("fuzz/corpus").join(name))?;
    let crashes = std::path::absolute(target().join("fuzz/crashes"))?;
    for folder in [&kept, &working, &crashes] {
        fs::create_dir_all(folder)?;
    }
    println!("==> fuzzing {name} for {} s", time.as_secs());
    let mut fuzz = Command::new(binary);
    fuzz.args([&working, &kept]).args(LIMITS).arg("-print_final_stats=1");
    fuzz.arg(format!("-max_total_time={}", time.as_secs().max(1)));
    fuzz.arg(format!("-artifact_prefix={}/{name}-", crashes.display()));
    let mut fuzz = fuzz.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let fuzz = fuzz.as_mut().map_err(|error| anyhow!("cannot run {}: {error}", binary.display()))?;
    let printed = fuzz.stderr.take().map_or_else(String::new, |printed| last_lines(BufReader::new(printed)));
    ensure!(fuzz.wait()?.success(), "{name} found something, see {}:\n{printed}", crashes.display());
    let (executions, coverage) = (executions(&printed), coverage(&printed));
    let kept = keep_the_best(binary, &working, &kept)?;
    Ok(Run { name: name.to_owned(), executions, coverage, kept })
}

/// The last lines of what a target prints, and the last before those that says its coverage. A target that sends
/// requests has the service's log in it, which for hours is more than memory holds.
fn last_lines(printed: impl BufRead) -> String {
    let (mut lines, mut covered) = (VecDeque::new(), None);
    for line in printed.split(b'\n').map_while(Result::ok) {
        lines.push_back(String::from_utf8_lossy(&line).into_owned());
        if lines.len() > KEPT_LINES {
            covered = lines.pop_front().filter(|line| coverage(line) > 0).or(covered);
        }
    }
    covered.into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

/// Puts into the repository's corpus what reaches the most with the fewest bytes; returns how many inputs and bytes
/// those are.
fn keep_the_best(binary: &Path, working: &Path, kept: &Path) -> Result<(usize, u64)> {
    let merged = working.with_extension("merged");
    if merged.exists() {
        fs::remove_dir_all(&merged)?;
    }
    fs::create_dir_all(&merged)?;
    let mut merge = Command::new(binary);
    // A set that reaches every edge once; how often is not asked.
    merge.args(["-set_cover_merge=1", "-use_counters=0"]).arg(format!("-max_len={MAX_KEPT_INPUT}")).args([
        &merged,
        &working.to_owned(),
        &kept.to_owned(),
    ]);
    let output = merge.stdout(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}: {}", binary.display(), String::from_utf8_lossy(&output.stderr));
    let mut inputs = Vec::new();
    for file in fs::read_dir(&merged)?.flatten() {
        inputs.push((file.metadata()?.len(), file.path()));
    }
    inputs.sort();
    fs::remove_dir_all(kept)?;
    fs::create_dir_all(kept)?;
    let (mut count, mut bytes) = (0, 0);
    for (length, file) in inputs {
        if bytes + length <= MAX_KEPT && count < MAX_KEPT_INPUTS {
            fs::copy(&file, kept.join(file.file_name().unwrap_or(OsStr::new("input"))))?;
            (count, bytes) = (count + 1, bytes + length);
        }
    }
    Ok((count, bytes))
}

/// The number of executions that libFuzzer says at its end.
fn executions(printed: &str) -> u64 {
    let said = printed.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    said.and_then(|said| said.trim().parse().ok()).unwrap_or(0)
}

/// The coverage that libFuzzer said last: `#12 NEW cov: 345 ft: 678 ...`.
fn coverage(printed: &str) -> u64 {
    let said = printed.lines().rev().find_map(|line| line.split_once(" cov: ")?.1.split(' ').next()?.parse().ok());
    said.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_prints_is_read() {
        let printed = "#2\tINITED cov: 11 ft: 12 corp: 1/1b\n#9\tNEW    cov: 345 ft: 678 corp: 2/3b\n\
                       Done 1000 runs\nstat::number_of_executed_units: 1000\nstat::average_exec_per_sec:     500\n";
        assert_eq!((executions(printed), coverage(printed)), (1000, 345));
        assert_eq!((executions(""), coverage("")), (0, 0));
        let long = format!("#2\tINITED cov: 11 ft: 12\n{}last\n", "a line of a log\n".repeat(1000));
        let kept = last_lines(long.as_bytes());
        assert!(kept.lines().count() == KEPT_LINES + 1 && kept.ends_with("\nlast"), "{kept}");
        assert_eq!(coverage(&kept), 11);
    }
}
