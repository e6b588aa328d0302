//! The platforms on which each module that `cargo xtask build` makes runs.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use platforms::Platform;
use std::path::{Path, PathBuf};
use xtask::build::{FAST, MODULES, PORTABLE, PREDICTOR, wasm_folder};
use xtask::platforms::{Fit, fit, module_interfaces};

/// All platforms of `docs/platforms.toml`.
const EVERYWHERE: &[&str] = &["spin-3.1", "spin-3.6", "spin-4.0", "spin-4.1", "fermyon-cloud", "akamai-functions"];

/// Each module with the platforms on which it fits, and how.
const EXPECTED: [(&str, Fit, &[&str]); 3] = [
    ("bipolar_edge.wasm", Fit::Runs, EVERYWHERE),
    ("bipolar_edge_spin_4_1.wasm", Fit::Runs, &["spin-4.1"]),
    ("bipolar_edge_predictor.wasm", Fit::Composes, EVERYWHERE),
];

/// Returns the path of a module. Panics if it was not built.
fn built(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let file = wasm_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(target)).join(name);
    assert!(file.is_file(), "{} is not there: run `cargo xtask build`, which builds it", file.display());
    file
}

#[test]
fn each_module_runs_on_the_platforms_that_it_is_made_for() {
    let platforms = platforms::all().expect("the list");
    for (name, expected, on) in &EXPECTED {
        let module = module_interfaces(&built(name)).expect("a component");
        let fits = |platform: &&Platform| fit(&module, platform, &platforms) == *expected;
        let names: Vec<&str> = platforms.iter().filter(fits).map(|platform| platform.name.as_str()).collect();
        assert_eq!(names, *on, "{name}: {module:#?}");
    }
}

/// Returns the cells of a table's line.
fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn readme_says_of_each_platform_if_a_module_runs_there() {
    let readme = include_str!("../../README.md");
    let table: Vec<Vec<&str>> = readme.lines().filter(|line| line.starts_with('|')).map(cells).collect();
    let begin = table.iter().position(|row| row[0] == "module").expect("the table");
    let platforms = platforms::all().expect("the list");
    let titles: Vec<&str> = platforms.iter().map(|platform| platform.title.as_str()).collect();
    assert_eq!(table[begin][1..], titles);
    for (row, ((_, file), manifest)) in
        table[begin + 2..].iter().zip(MODULES.iter().zip(["spin.toml", "spin-4.1.toml"]))
    {
        assert!(row[0].contains(&format!("`{manifest}`")), "{row:?}");
        let module = module_interfaces(&built(file)).expect("a component");
        for (cell, platform) in row[1..].iter().zip(&platforms) {
            let runs = fit(&module, platform, &platforms) == Fit::Runs;
            assert_eq!(["fits", "tried"].contains(cell), runs, "{file} on {}: {cell}", platform.title);
        }
    }
}

/// Every edge location fetches it before it can serve. Whoever adds models may have more: then this says so.
#[test]
fn each_module_as_this_repository_ships_it_has_two_mebibytes_at_most() {
    for (_, file) in MODULES {
        let size = std::fs::metadata(built(file)).expect("a file").len();
        assert!(size <= 2 << 20, "{file} has {size} bytes");
    }
}

#[test]
fn the_predictor_imports_what_the_standard_library_does_and_no_more() {
    let predictor = module_interfaces(&built(PREDICTOR.1)).expect("a component");
    let is_standard = |import: &String| ["wasi:cli/", "wasi:io/"].iter().any(|package| import.starts_with(package));
    assert!(predictor.imports.iter().all(is_standard), "{:?}", predictor.imports);
    assert_eq!(predictor.exports, ["bipolar:edge/predictor@0.1.0"]);
}

/// So the tests of each module with a Redis say that this one interface is enough.
#[test]
fn each_module_reaches_redis_through_one_interface() {
    for (module, expected) in [(PORTABLE, "fermyon:spin/redis@2.0.0"), (FAST, "spin:redis/redis@3.0.0")] {
        let imports = module_interfaces(&built(module.1)).expect("a component").imports;
        let of_redis: Vec<&String> = imports.iter().filter(|import| import.contains("redis")).collect();
        assert_eq!(of_redis, [expected], "{}", module.1);
    }
}

#[test]
fn every_module_that_is_built_is_expected() {
    let built: Vec<&str> = MODULES.into_iter().chain([PREDICTOR]).map(|(_, file)| file).collect();
    assert_eq!(EXPECTED.map(|(name, ..)| name).to_vec(), built);
}
