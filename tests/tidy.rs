//! The rules of the source tree, held against its text: floors, one place for responses, no word of Spin in the
//! service, the shape of functions and comments, and lists that must be complete. Nothing is built or run for it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A file imports from lower floors only. Files of one folder may share a floor; among them there is no circle.
const FLOORS: [(u8, &[&str]); 12] = [
    (1, &["deadline", "ids", "json", "limits", "load", "quota", "random", "redis", "sealing", "supabase", "time"]),
    (2, &["predict", "problem"]),
    (
        3,
        &["telemetry", "telemetry/export", "telemetry/log", "telemetry/metrics", "telemetry/timing", "telemetry/trace"],
    ),
    (4, &["platform"]),
    (5, &["checkins", "config", "store"]),
    (6, &["http"]),
    (7, &["access", "jobs", "request", "telemetry/totals"]),
    (8, &["cache", "routes", "telemetry/decision_log", "telemetry/request_log"]),
    (9, &["instance"]),
    (10, &["context", "retention"]),
    (11, &["endpoints"]),
    (12, &["lib"]),
];

/// Files that only tests or the build have.
const NOT_IN_THE_SERVICE: [&str; 4] = ["cache/interleavings", "fake_platform", "fingerprint", "simulation"];

/// Sources by their module's path, without the ending: `access/token`.
type Sources = BTreeMap<String, String>;

/// Reads every file with an ending below a folder.
fn read(folder: &str, ending: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|own| own == ending) {
                let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("below").display().to_string();
                files.insert(name, std::fs::read_to_string(&path).expect("UTF-8"));
            }
        }
    }
    files
}

/// The sources of the service: `src/` without the worlds of `platform/`, which is a crate of its own.
fn service() -> Sources {
    let files = read("src", "rs").into_iter().filter(|(name, _)| !name.starts_with("src/platform/"));
    files
        .map(|(name, text)| (name.trim_start_matches("src/").trim_end_matches(".rs").to_owned(), text))
        .filter(|(name, _)| !NOT_IN_THE_SERVICE.contains(&name.as_str()))
        .collect()
}

/// The code of a file: without its tests and comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The floor of a module: that of its own entry, else of the folder that it is in.
fn floor(module: &str) -> Option<u8> {
    let entry = |name: &str| FLOORS.iter().find(|(_, names)| names.contains(&name)).map(|(floor, _)| *floor);
    entry(module).or_else(|| entry(module.split('/').next()?))
}

/// The paths that the `use` items of a file name, each whole: `crate::store::Store`.
fn imports(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let is_item = rest[..at].rsplit('\n').next().is_some_and(|before| {
            let before = before.trim();
            before.is_empty() || before == "pub" || before.starts_with("pub(")
        });
        rest = &rest[at + 4..];
        if is_item {
            expand("", rest.split(';').next().unwrap_or_default(), &mut paths);
        }
    }
    // Paths that stand in the code itself. `pub(in crate::x)` imports nothing.
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if !code[..at].ends_with("in ") && before.is_none_or(|before| !before.is_alphanumeric() && before != '_') {
            let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            paths.push(code[at..].chars().take_while(|c| is_path(*c)).collect());
        }
    }
    paths
}

/// Expands `a::{b, c::d}` into `a::b` and `a::c::d`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree).trim();
        if !path.is_empty() {
            paths.push(format!("{prefix}{path}"));
        }
        return;
    };
    let prefix = format!("{prefix}{}", tree[..open].trim());
    let inner = tree[open + 1..].trim_end().trim_end_matches('}');
    let (mut depth, mut from) = (0, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, &inner[from..at], paths);
                from = (at + 1).min(inner.len());
            }
            _ => {}
        }
    }
}

/// The module that a path leads to from another: the longest beginning of it that is a file.
fn target(sources: &Sources, from: &str, path: &str) -> Option<String> {
    let mut at: Vec<&str> = if from == "lib" { Vec::new() } else { from.split('/').collect() };
    let mut segments = path.split("::").map(str::trim).peekable();
    match segments.peek().copied() {
        Some("crate") => {
            at.clear();
            segments.next();
        }
        Some("super") => {
            while segments.peek() == Some(&"super") {
                at.pop();
                segments.next();
            }
        }
        Some("self") => {
            segments.next();
        }
        // A child of this module, or another crate.
        _ => {}
    }
    let begin = at.len();
    let is_named = path.starts_with("crate") || path.starts_with("super");
    for segment in segments {
        at.push(segment);
        if !sources.contains_key(&at.join("/")) {
            at.pop();
            break;
        }
    }
    let found = if at.is_empty() { "lib".to_owned() } else { at.join("/") };
    (found != from && (is_named || at.len() > begin)).then_some(found)
}

/// Every import between files of the service.
fn edges(sources: &Sources) -> BTreeSet<(String, String)> {
    let mut edges = BTreeSet::new();
    for (name, text) in sources {
        for path in imports(&code(text)) {
            if let Some(to) = target(sources, name, &path) {
                edges.insert((name.clone(), to));
            }
        }
    }
    edges
}

/// The imports that break the floors, each as a sentence.
fn broken_floors(sources: &Sources) -> Vec<String> {
    let unit = |module: &str| module.split('/').next().unwrap_or_default().to_owned();
    let mut broken = Vec::new();
    let edges = edges(sources);
    for (from, to) in &edges {
        match (floor(from), floor(to)) {
            (Some(own), Some(other)) if other < own || (other == own && unit(from) == unit(to)) => {}
            (Some(own), Some(other)) => broken.push(format!("{from} (floor {own}) imports {to} (floor {other})")),
            (None, _) => broken.push(format!("{from} has no floor")),
            (_, None) => broken.push(format!("{to} has no floor")),
        }
    }
    // Files that import nothing more are taken away; those that remain import each other.
    let mut left: BTreeSet<&String> = sources.keys().collect();
    while let Some(leaf) =
        left.iter().find(|name| !edges.iter().any(|(from, to)| from == **name && left.contains(to))).copied()
    {
        left.remove(leaf);
    }
    if !left.is_empty() {
        broken.push(format!("these import each other in a circle: {left:?}"));
    }
    broken
}

#[test]
fn a_file_imports_from_lower_floors_only() {
    let sources = service();
    assert_eq!(broken_floors(&sources), Vec::<String>::new());
    let unplaced: Vec<&String> = sources.keys().filter(|name| floor(name).is_none()).collect();
    assert!(unplaced.is_empty(), "give these a floor: {unplaced:?}");
    let edges = edges(&sources);
    assert!(edges.len() > 150, "the imports of the service are read: {}", edges.len());
}

/// The test above fails when a line is added that breaks a floor.
#[test]
fn an_added_import_is_found() {
    for (file, line, found) in [
        ("store", "use crate::cache::Entry;", "store (floor 5) imports cache (floor 8)"),
        ("problem", "use crate::http::Response;", "problem (floor 2) imports http (floor 6)"),
        ("quota", "use crate::{ids, telemetry::{log, metrics}};", "quota (floor 1) imports ids (floor 1)"),
        ("access/signature", "use super::token::Holder;", "circle"),
        ("telemetry/log", "use super::totals::Totals;", "telemetry/log (floor 3) imports telemetry/totals (floor 7)"),
        ("deadline", "fn f() { crate::time::rfc3339_seconds(x) }", "deadline (floor 1) imports time (floor 1)"),
        ("checkins/demo", "pub(crate) use super::CheckIns;", "circle"),
    ] {
        let mut sources = service();
        let text = sources.get_mut(file).unwrap_or_else(|| panic!("{file} is gone"));
        *text = format!("{line}\n{text}");
        let broken = broken_floors(&sources);
        assert!(broken.iter().any(|sentence| sentence.contains(found)), "{file}: {line}: {broken:?}");
    }
}

#[test]
fn the_service_does_not_know_its_host() {
    for (name, text) in service() {
        for (number, line) in text.lines().enumerate() {
            let is_word =
                line.contains("Spin") || line.contains("spin-") || line.contains("spin_") || line.contains("SPIN");
            let is_documentation = line.contains("spin.toml") || (name == "platform" && line.contains("knows Spin"));
            assert!(!is_word || is_documentation, "src/{name}.rs:{}: {line}", number + 1);
        }
    }
}

#[test]
fn responses_are_built_in_one_place() {
    for (name, text) in service() {
        let code = code(&text);
        for builder in ["http::Response::", "Response {", "StatusCode::from"] {
            let found = code.lines().find(|line| {
                line.split(builder).next().is_some_and(|before| {
                    line.contains(builder)
                        && !before.ends_with("-> ")
                        && !before.contains("impl ")
                        && !before.chars().next_back().is_some_and(char::is_alphanumeric)
                })
            });
            assert!(name == "http/response" || found.is_none(), "src/{name}.rs builds a response: {found:?}");
        }
    }
}

#[test]
fn every_status_that_is_answered_has_a_label() {
    let sources = service();
    let labels = &sources["telemetry/metrics"];
    let mut statuses = BTreeSet::new();
    for text in sources.values() {
        for mark in ["facts(", "Response::json(", "Response::json_text(", "Response::text(", "Response::empty("] {
            for (at, _) in text.match_indices(mark) {
                let digits: String =
                    text[at + mark.len()..].trim_start().chars().take_while(char::is_ascii_digit).collect();
                statuses.extend(digits.parse::<u16>().ok());
            }
        }
    }
    assert!(statuses.len() > 15, "{statuses:?}");
    for status in statuses {
        assert!(labels.contains(&format!("        {status} => \"{status}\",")), "{status} has no label");
    }
}

#[test]
fn no_function_of_the_service_is_longer_than_sixty_lines() {
    for (name, text) in read("src", "rs") {
        let lines: Vec<&str> = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(&text).lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let words = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            let words =
                words.trim_start_matches("pub(super) ").trim_start_matches("const ").trim_start_matches("async ");
            if !words.starts_with("fn ") || line.trim_end().ends_with(['}', ';']) {
                continue;
            }
            // A function ends with its brace, a declaration without a body with the end of its signature.
            let indent = " ".repeat(indent);
            let is_end = |line: &&str| {
                *line == format!("{indent}}}") || line.starts_with(&format!("{indent})")) && line.ends_with(';')
            };
            let length = lines[start..].iter().position(is_end).map_or(0, |end| end + 1);
            assert!(length <= 60, "{name}:{}: {length} lines: {line}", start + 1);
        }
    }
}

#[test]
fn comments_are_written_as_agreed() {
    let folders = ["src", "models", "tests", "xtask", "bench"];
    for (name, text) in folders.iter().flat_map(|folder| read(folder, "rs")) {
        for (number, line) in text.lines().enumerate() {
            let comment = line.trim_start();
            let is_documentation = comment.starts_with("///") || comment.starts_with("//!");
            let words = comment.trim_start_matches(['/', '!']).trim_start();
            let is_unclear = ["What ", "Whether ", "The same"].iter().any(|begin| words.starts_with(begin));
            let place = format!("{name}:{}", number + 1);
            assert!(!is_documentation || !is_unclear, "{place}: begin with a verb or a noun: {line}");
            assert!(!comment.starts_with("//") || line.chars().count() <= 120, "{place} is too long: {line}");
        }
    }
}

#[test]
fn every_integration_test_file_is_in_a_list_that_is_run() {
    for binary in ["it", "own_host"] {
        let files = read(&format!("tests/{binary}"), "rs");
        let all: String = files.values().map(|text| format!("{text}\n")).collect();
        assert!(files.contains_key(&format!("tests/{binary}/main.rs")));
        for name in files.keys() {
            let stem = name.trim_end_matches(".rs").rsplit('/').next().expect("a name");
            let stem = if stem == "mod" { name.rsplit('/').nth(1).expect("a folder") } else { stem };
            assert!(stem == "main" || all.contains(&format!("mod {stem};")), "{name} is in no list");
        }
    }
    let others: Vec<String> = read("tests", "rs").into_keys().filter(|name| name.matches('/').count() == 1).collect();
    assert_eq!(others, ["tests/tidy.rs"], "an integration test is a module of tests/it or tests/own_host");
}

#[test]
fn the_manifests_differ_in_their_module_and_its_slots_alone() {
    let manifest = |name: &str| -> toml::Table {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("UTF-8");
        let text = text.replace("cache_slots = { default = \"65536\" }", "cache_slots = { default = \"400\" }");
        text.replace("bipolar_edge_spin_4_1.wasm", "bipolar_edge.wasm").parse().expect("TOML")
    };
    assert_eq!(manifest("spin-4.1.toml"), manifest("spin.toml"));
}

/// The pages that people read, and what is in them.
fn pages() -> Vec<(String, String)> {
    let entries = [".", "docs"].map(|folder| std::fs::read_dir(folder).expect("a folder"));
    let files = entries.into_iter().flatten().map(|entry| entry.expect("a file").path());
    let files = files.filter(|file| file.extension().is_some_and(|ending| ending == "md"));
    files.map(|file| (file.display().to_string(), std::fs::read_to_string(&file).expect("text"))).collect()
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_of_pages_lead_somewhere() {
    let pages = pages();
    let mut broken = Vec::new();
    for (file, text) in &pages {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(' ') || link.is_empty() {
                continue;
            }
            let (path, fragment) = link.split_once('#').map_or((link, None), |(path, fragment)| (path, Some(fragment)));
            let folder = Path::new(file).parent().unwrap_or(Path::new(""));
            let target = if path.is_empty() { Path::new(file).to_path_buf() } else { folder.join(path) };
            let has_heading = fragment.is_none_or(|fragment| {
                let text = std::fs::read_to_string(&target).unwrap_or_default();
                text.lines()
                    .any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#').trim()) == fragment)
            });
            if !target.exists() || !has_heading {
                broken.push(format!("{file}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(pages.len() > 10, "{} pages", pages.len());
}

/// The names in a page that are those of tests: at least four words, of which one may be a variable's or a metric's.
fn named_tests(text: &str) -> Vec<&str> {
    let manifest = include_str!("../spin.toml");
    let is_other = |name: &str| name.starts_with("bipolar_edge_") || manifest.contains(&format!("\n{name} = "));
    let is_name = |name: &&str| {
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') && name.matches('_').count() >= 3
    };
    text.split('`').skip(1).step_by(2).filter(is_name).filter(|name| !is_other(name)).collect()
}

#[test]
fn tests_that_pages_name_are_there() {
    let folders = ["src", "models", "tests", "xtask", "bench"];
    let code: String = folders.iter().flat_map(|folder| read(folder, "rs")).map(|(_, text)| text).collect();
    for page in ["SECURITY.md", "docs/ARCHITECTURE.md", "docs/RELIABILITY.md"] {
        let text = std::fs::read_to_string(page).expect("text");
        let is_missing = |name: &&str| !code.contains(&format!("fn {name}("));
        let missing: Vec<&str> = named_tests(&text).into_iter().filter(is_missing).collect();
        assert!(missing.is_empty(), "{page} names tests that are not there: {missing:?}");
    }
    let security = std::fs::read_to_string("SECURITY.md").expect("text");
    assert!(named_tests(&security).len() > 60, "{:?}", named_tests(&security));
    assert_eq!(named_tests("`a_test_of_one` and `max_checkin_age_days`"), ["a_test_of_one"]);
}

#[test]
fn front_page_is_short() {
    let length = std::fs::metadata("README.md").expect("a README").len();
    assert!(length <= 10_000, "{length} bytes: what is more belongs to a page of docs");
}
