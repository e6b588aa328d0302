//! Manifests of guests, and lists of what platforms allow.

use harness::{built, root};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// An allowed host that nobody listens on.
pub(crate) const NOBODY: &str = "http://127.0.0.1:1";

/// Writes the manifest of a guest that `cargo xtask test` builds, in a folder with its state.
pub(crate) fn guest(folder: &TempDir, name: &str, stores: &[&str], allowed: &str) -> PathBuf {
    source(folder, &built(&format!("wasm32-wasip2/release/{name}.wasm")), stores, allowed)
}

/// Writes the manifest of any Wasm file. It has the variable `colour`, and may use these stores and one host.
pub(crate) fn source(folder: &TempDir, wasm: &Path, stores: &[&str], allowed: &str) -> PathBuf {
    let manifest = format!(
        r#"
        spin_manifest_version = 2
        [application]
        name = "guest"
        [variables]
        colour = {{ default = "blue" }}
        [[trigger.http]]
        route = "/..."
        component = "guest"
        [component.guest]
        source = "{}"
        key_value_stores = {stores:?}
        allowed_outbound_hosts = ["{allowed}"]
        variables = {{ colour = "{{{{ colour }}}}" }}
        "#,
        wasm.display()
    );
    let file = folder.path().join("spin.toml");
    std::fs::write(&file, manifest).expect("written");
    file
}

/// Returns what `docs/platforms.toml` says of a platform, for a test to change and to give to the host.
pub(crate) fn platform(name: &str) -> String {
    let platforms = std::fs::read_to_string(root().join("docs/platforms.toml")).expect("the list");
    // Tables from the name to the next table of its kind.
    let table = platforms.split("[[platform]]").find(|table| table.contains(&format!("name = \"{name}\"")));
    format!("[[platform]]{}", table.expect("listed"))
}
