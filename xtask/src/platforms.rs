//! Where a module runs: its imports and exports, held against those that `docs/platforms.toml` lists for each platform.

use anyhow::{Context, Result};
use platforms::Platform;
use std::fmt;
use std::path::Path;
use wasmparser::{Parser, Payload};

/// The interfaces of a component, each `namespace:package/interface@version`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Interfaces {
    /// Those that it needs.
    pub imports: Vec<String>,
    /// Those that it has.
    pub exports: Vec<String>,
}

/// How a module and a platform fit together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fit {
    /// The platform serves it.
    Runs,
    /// It has no entry point, and the platform offers all that it imports: it is a dependency of another component.
    Composes,
    /// Imports that the platform does not offer; at least one.
    Lacks(Vec<String>),
    /// The platform offers all its imports and calls none of its entry points.
    NotServed,
}

impl fmt::Display for Fit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fit::Runs => out.write_str("runs"),
            Fit::Composes => out.write_str("can be composed"),
            Fit::Lacks(imports) => {
                write!(out, "lacks {}", imports.first().map_or("", String::as_str))?;
                if imports.len() > 1 { write!(out, " and {} more", imports.len() - 1) } else { Ok(()) }
            }
            Fit::NotServed => out.write_str("serves none of its exports"),
        }
    }
}

/// Reads a component's imports and exports.
pub fn module_interfaces(file: &Path) -> Result<Interfaces> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    interfaces(&bytes).with_context(|| format!("{} is no component", file.display()))
}

/// Reads the imports and exports of a component's bytes. Those of the modules and components inside it are its own
/// affair.
pub(crate) fn interfaces(bytes: &[u8]) -> Result<Interfaces> {
    let mut found = Interfaces::default();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            // The last one ends the component itself.
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    found.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    found.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Returns how a module fits one of the platforms.
///
/// An entry point is an export that a platform serves in some version: a module with one is served or not, and one
/// without is a dependency.
pub fn fit(module: &Interfaces, platform: &Platform, platforms: &[Platform]) -> Fit {
    let lacking = platform.lacking(&module.imports);
    let is_entry = |export: &String| platforms.iter().any(|any| any.calls_a_version_of(export));
    if !lacking.is_empty() {
        Fit::Lacks(lacking)
    } else if !module.exports.iter().any(is_entry) {
        Fit::Composes
    } else if module.exports.iter().any(|export| platform.calls(export)) {
        Fit::Runs
    } else {
        Fit::NotServed
    }
}

/// Returns a table: a row for each platform, a column for each module by its name.
pub fn table(modules: &[(&str, Interfaces)], platforms: &[Platform]) -> String {
    let header = std::iter::once("platform".to_owned()).chain(modules.iter().map(|(name, _)| (*name).to_owned()));
    let mut rows: Vec<Vec<String>> = vec![header.collect()];
    for platform in platforms {
        let fits = modules.iter().map(|(_, interfaces)| fit(interfaces, platform, platforms).to_string());
        rows.push(std::iter::once(platform.title.clone()).chain(fits).collect());
    }
    let widths: Vec<usize> =
        (0..=modules.len()).map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test ends there")]

    use super::{Fit, Interfaces, Platform, fit, interfaces, table};

    fn module(imports: &[&str], exports: &[&str]) -> Interfaces {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Interfaces { imports: owned(imports), exports: owned(exports) }
    }

    fn platform(name: &str) -> Platform {
        Platform::named(name).expect("listed")
    }

    #[test]
    fn a_module_runs_where_all_its_imports_and_one_of_its_exports_are() {
        let all = platforms::all().expect("the list");
        let spin = platform("spin-3.6");
        let store = "wasi:keyvalue/store@0.2.0-draft2";
        let handler = "wasi:http/incoming-handler@0.2.6";
        assert_eq!(fit(&module(&[store], &[handler]), &spin, &all), Fit::Runs);
        assert_eq!(fit(&module(&[store], &["own:part/more@1.0.0", handler]), &spin, &all), Fit::Runs);
        assert_eq!(fit(&module(&[store], &["wasi:http/handler@0.3.0"]), &spin, &all), Fit::NotServed);
        // No platform serves this version, and it is an entry point all the same.
        assert_eq!(fit(&module(&[], &["wasi:http/handler@0.4.0"]), &spin, &all), Fit::NotServed);
        assert_eq!(fit(&module(&[], &["bipolar:edge/predictor@0.1.0"]), &spin, &all), Fit::Composes);
        let newer = ["wasi:cli/stdin@0.3.0", store, "wasi:http/types@0.3.0"];
        let lacks = Fit::Lacks(vec![newer[0].to_owned(), newer[2].to_owned()]);
        assert_eq!(fit(&module(&newer, &[handler]), &spin, &all), lacks);
        assert_eq!(lacks.to_string(), "lacks wasi:cli/stdin@0.3.0 and 1 more");
    }

    #[test]
    fn a_table_has_a_row_for_each_platform() {
        let two = [platform("spin-4.1"), platform("fermyon-cloud")];
        let modules = [
            ("portable.wasm", module(&["wasi:io/poll@0.2.0"], &["wasi:http/incoming-handler@0.2.0"])),
            ("fast.wasm", module(&["wasi:keyvalue/atomics@0.2.0-draft2"], &["wasi:http/handler@0.3.0"])),
        ];
        let expected = "\
platform       portable.wasm  fast.wasm
Spin 4.1       runs           runs
Fermyon Cloud  runs           lacks wasi:keyvalue/atomics@0.2.0-draft2
";
        assert_eq!(table(&modules, &two), expected);
    }

    #[test]
    fn a_file_that_is_no_component_is_refused() {
        let error = interfaces(b"<html>").expect_err("no component").to_string();
        assert!(error.contains("magic header"), "{error}");
        let error = interfaces(b"\0asm\x0d\0\x01").expect_err("cut off").to_string();
        assert!(error.contains("unexpected end"), "{error}");
        assert_eq!(interfaces(b"\0asm\x0d\0\x01\0").expect("an empty component"), Interfaces::default());
    }
}
