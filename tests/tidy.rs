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

/// Returns the variables of a manifest, each with the comment above it. Variables under one comment share it.
fn commented_variables(manifest: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(manifest).expect("a manifest");
    let section = text.split("[variables]\n").nth(1).and_then(|rest| rest.split("\n[").next()).expect("variables");
    let (mut comment, mut is_comment, mut variables) = (String::new(), false, BTreeMap::new());
    for line in section.lines() {
        if let Some(words) = line.strip_prefix('#') {
            comment = if is_comment { comment + words } else { words.to_owned() };
            is_comment = true;
        } else if let Some((name, _)) = line.split_once(" = ") {
            is_comment = false;
            variables.insert(name.to_owned(), comment.trim().to_owned());
        }
    }
    variables
}

#[test]
fn variables_have_one_comment_in_both_manifests() {
    let variables = commented_variables("spin.toml");
    assert_eq!(variables, commented_variables("spin-4.1.toml"));
    assert!(variables.len() > 30, "{}", variables.len());
    let own: BTreeMap<&String, &String> = variables.iter().map(|(name, comment)| (comment, name)).collect();
    for (name, comment) in &variables {
        assert!(!comment.is_empty(), "{name} has no comment");
        // Variables under one comment begin with one word: rate_limit_predictions, rate_limit_default.
        let kind = |name: &String| name.split('_').next().map(str::to_owned);
        assert_eq!(kind(name), kind(own[comment]), "{name} has the comment of {}", own[comment]);
    }
}

#[test]
fn example_of_an_environment_names_variables_that_there_are() {
    let variables = commented_variables("spin.toml");
    let example = std::fs::read_to_string(".env.example").expect("an example");
    let names = example.split("SPIN_VARIABLE_").skip(1).filter_map(|rest| rest.split('=').next());
    let unknown: Vec<&str> = names.filter(|name| !variables.contains_key(&name.to_lowercase())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let pages: Vec<&str> = example.split_whitespace().filter(|word| word.contains(".md")).collect();
    assert_eq!(pages, ["docs/CONFIGURATION.md."], "where every variable is: headings move, so name the page");
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

/// Returns a section of a page: what stands under a heading, up to the next of its level.
fn section(page: &str, heading: &str) -> String {
    let text = std::fs::read_to_string(page).expect("a page");
    let level = heading.split(' ').next().expect("a level");
    let mut lines = text.lines().skip_while(|line| *line != heading).skip(1).peekable();
    assert!(lines.peek().is_some(), "{page} has no {heading}");
    lines.take_while(|line| !line.starts_with(&format!("{level} "))).map(|line| format!("{line}\n")).collect()
}

/// Returns the rows of the tables in a text, but for their headers.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let mut lines = Vec::new();
    let mut is_body = false;
    for line in text.lines() {
        let is_row = line.starts_with('|');
        if is_body && is_row {
            lines.push(line);
        }
        is_body = is_row && (is_body || line.starts_with("| ---"));
    }
    lines.into_iter().map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn every_kind_of_problem_is_in_the_table_of_errors() {
    let source = std::fs::read_to_string("src/problem.rs").expect("the problems");
    let facts = source.split("facts(").skip(1).filter_map(|rest| {
        let mut parts = rest.split(',').map(str::trim);
        let status = parts.next().filter(|status| status.parse::<u16>().is_ok())?;
        Some((format!("`{}`", parts.next()?.trim_matches('"')), status.to_owned()))
    });
    let facts: BTreeSet<(String, String)> = facts.collect();
    let section = section("docs/API.md", "## Errors");
    let table = rows(&section);
    let listed: Vec<(String, String)> = table.iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), facts);
    assert_eq!(listed.len(), facts.len(), "a kind is listed twice");
    assert!(facts.len() > 30 && table.iter().all(|row| row.len() == 3 && !row[2].is_empty()));
    assert!(listed.is_sorted_by_key(|(_, status)| status), "the table is in the order of the statuses");
}

/// A bound's line in the sources, and its cell in the table of limits.
#[test]
fn limits_of_requests_are_those_of_the_sources() {
    let section = section("docs/API.md", "## Limits");
    let table = rows(&section);
    for (file, line, of, most) in [
        ("limits", "MAX_URL_BYTES: usize = 4 << 10;", "the path with its query", "4 KiB"),
        ("limits", "MAX_HEADERS: usize = 100;", "headers", "100, and 32 KiB in all"),
        ("limits", "MAX_HEADER_BYTES: usize = 32 << 10;", "headers", "100, and 32 KiB in all"),
        ("request/query", "MAX_PARAMETERS: usize = 16;", "parameters in a query", "16"),
        ("limits", "MAX_ITEM_BYTES: usize = 256 << 10;", "a body, and an item of a batch", "256 KiB"),
        ("limits", "MAX_BATCH_BYTES: usize = 4 << 20;", "a batch, and a request of `/v2`", "4 MiB"),
        ("request/posted", "MAX_CHECKINS: usize = 60;", "check-ins in a question", "60"),
        ("endpoints/batch", "MAX_ITEMS: usize = 256;", "questions in a batch", "256"),
        ("endpoints/batch", "MAX_PREDICTED: usize = 1024;", "check-ins of a batch that are predicted at", "1,024"),
    ] {
        let source = std::fs::read_to_string(format!("src/{file}.rs")).expect("a source");
        assert!(source.contains(line), "src/{file}.rs has no {line}: change the table of limits with it");
        assert!(table.iter().any(|row| row[0] == of && row[1] == most), "{of}: {most}");
    }
}

/// Pages whose sentences may be longer still.
const LONG_SENTENCES: [&str; 2] = ["./docs/MODELS.md", "./docs/RELIABILITY.md"];
const MAX_WORDS: usize = 55;

/// Returns the lines of prose of a page with their numbers: without blocks of code, tables and headings, and with `X`
/// for code within a sentence.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        if !is_code && !is_fence && !line.starts_with(['|', '#']) {
            let parts = line.split('`').enumerate();
            lines.push((number + 1, parts.map(|(at, part)| if at % 2 == 0 { part } else { "X" }).collect()));
        }
    }
    lines
}

/// Returns true if a line of prose has more than one sentence. A label in bold letters may stand before it.
fn has_two_sentences(line: &str) -> bool {
    let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches([' ', '.', '-']);
    let labelled = line.strip_prefix("**").and_then(|rest| rest.split_once(".** ")).map(|(_, sentence)| sentence);
    let line = labelled.unwrap_or(line);
    line.match_indices(['.', '!', '?']).any(|(at, _)| {
        let rest = line[at + 1..].trim_start_matches("**").trim_start_matches([')', '"']);
        rest.strip_prefix(' ').is_some_and(|next| next.starts_with(|c: char| c.is_uppercase() || "*[".contains(c)))
    })
}

#[test]
fn a_line_of_a_page_is_one_sentence_that_can_be_read_aloud() {
    assert!(has_two_sentences("It is here. It is there.") && has_two_sentences("- It is (here.) X is there."));
    assert!(
        !has_two_sentences("1. **Here.** It is, e.g. there, in 3.5 of X.") && !has_two_sentences("What? says nobody.")
    );
    for (file, text) in pages() {
        let file = if file.starts_with("docs") { format!("./{file}") } else { file };
        for (number, line) in prose(&text) {
            assert!(!has_two_sentences(&line), "{file}:{number} has two sentences: {line}");
            // A link's address is not read aloud.
            let parts = line.split("](").enumerate();
            let read =
                parts.map(|(at, part)| if at == 0 { part } else { part.split_once(')').map_or("", |(_, rest)| rest) });
            let words = read.collect::<String>().split_whitespace().count();
            let is_exempt = LONG_SENTENCES.contains(&file.as_str());
            assert!(words <= MAX_WORDS || is_exempt, "{file}:{number} has {words} words: {line}");
        }
    }
}

#[test]
fn samples_of_pages_can_be_parsed() {
    let mut count = BTreeMap::<&str, usize>::new();
    for (file, text) in pages() {
        // A block may stand in a list, indented.
        let mut blocks = text.split("```").skip(1).step_by(2);
        for block in &mut blocks {
            let (language, sample) = block.split_once('\n').unwrap_or((block, ""));
            let error = match language {
                // Lines of a log are a value each.
                "json" => {
                    let values = serde_json::Deserializer::from_str(sample).into_iter::<serde_json::Value>();
                    values.filter_map(Result::err).next().map(|error| error.to_string())
                }
                "toml" => sample.parse::<toml::Table>().err().map(|error| error.to_string()),
                "console" | "ini" | "python" | "rust" | "text" | "typescript" | "yaml" => None,
                other => Some(format!("{other:?} is no language of a sample")),
            };
            assert_eq!(error, None, "{file}: {sample}");
            *count
                .entry(["json", "toml"].into_iter().find(|known| *known == language).unwrap_or("others"))
                .or_default() += 1;
        }
    }
    assert!(count["json"] > 6 && count["toml"] > 0, "{count:?}");
}

#[test]
fn alerts_of_the_page_are_those_of_the_rules() {
    let rules = std::fs::read_to_string("tests/load/alerts.yml").expect("the rules");
    let value = |text: &str, key: &str| {
        text.split_once(key).map(|(_, rest)| rest.lines().next().unwrap_or("").trim().to_owned())
    };
    let expected: Vec<Option<(String, String)>> = rules
        .split("- alert:")
        .skip(1)
        .map(|rule| {
            let (name, severity) = (rule.lines().next()?.trim(), value(rule, "severity:")?);
            let after = value(rule, " for:")?;
            Some((
                format!("`{name}` ({}, after {after})", severity.trim_end_matches([' ', '}'])),
                value(rule, "summary:")?,
            ))
        })
        .collect();
    let section = section("docs/OPERATIONS.md", "## Alerts");
    let listed = rows(&section).into_iter().map(|row| Some((row[0].to_owned(), row[1].to_owned())));
    assert_eq!(listed.collect::<Vec<_>>(), expected);
    assert!(expected.len() > 4 && expected.iter().all(Option::is_some));
}

#[test]
fn a_decision_has_its_context_the_choice_and_what_follows() {
    let page = std::fs::read_to_string("docs/DECISIONS.md").expect("the decisions");
    let decisions: Vec<&str> = page.split("\n## ").skip(1).collect();
    for decision in &decisions {
        let labels = decision.lines().filter_map(|line| line.strip_prefix("- **")?.split(".** ").next());
        let labels: Vec<&str> = labels.collect();
        assert_eq!(labels, ["Context", "Choice", "Consequence"], "{decision}");
    }
    assert!(decisions.len() > 30, "{} decisions", decisions.len());
}

/// zsh, which macOS has, takes a `?` outside of quotes for a pattern of file names.
#[test]
fn addresses_with_a_query_are_quoted_in_commands() {
    for (file, text) in pages() {
        for line in text.split("```console\n").skip(1).flat_map(|rest| rest.split("```").next().unwrap_or("").lines()) {
            let before = line.split('?').next().unwrap_or(line);
            let is_quoted = before.matches('\'').count() % 2 == 1 || before.matches('"').count() % 2 == 1;
            assert!(!(line.contains("curl") && line.contains('?')) || is_quoted, "{file}: {line}");
        }
    }
}

#[test]
fn sample_of_the_forest_reads_what_its_package_has() {
    let readme = std::fs::read_to_string("models/forest/README.md").expect("a README");
    let manifest: toml::Table =
        std::fs::read_to_string("models/forest/Cargo.toml").expect("a manifest").parse().expect("TOML");
    let files: Vec<&str> = readme.split("read(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(!files.is_empty(), "the sample reads a file");
    for file in files {
        let excluded = manifest["package"]["exclude"].as_array().expect("a list");
        let is_in = |folder: &toml::Value| folder.as_str().is_some_and(|folder| Path::new(file).starts_with(folder));
        assert!(Path::new("models/forest").join(file).is_file() && !excluded.iter().any(is_in), "{file}");
    }
}

/// Words of this project's own, and those that readers look for.
const PRIVATE_WORDS: [(&str, &str); 5] = [
    ("service before this one", "Python predecessor"),
    ("takes nothing", "is read-only"),
    (" in hand", " in flight"),
    (" mended", " fixed"),
    ("hat is over", "hat has expired"),
];

#[test]
fn pages_have_the_words_that_readers_look_for() {
    for (file, text) in pages() {
        for (number, line) in prose(&text) {
            let found = PRIVATE_WORDS.iter().find(|(private, _)| line.contains(private));
            assert!(found.is_none(), "{file}:{number}: {found:?}: {line}");
        }
    }
}
