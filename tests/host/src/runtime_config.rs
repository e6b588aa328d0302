//! `runtime-config.toml`, which configures key-value stores: Spin's own types, and `memory`.

use crate::store::{Backend, Fault, Store};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Default, Deserialize)]
struct File {
    #[serde(default)]
    key_value_store: BTreeMap<String, StoreConfig>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "type")]
enum StoreConfig {
    /// SQLite.
    Spin {
        path: Option<PathBuf>,
    },
    Redis {
        url: String,
    },
    Memory {},
}

/// Opens every store that an application may use, by label. `default` is SQLite unless the file says otherwise.
pub(crate) async fn open_stores(
    labels: &[String],
    file: Option<&Path>,
    state_dir: &Path,
    fault: Option<&Fault>,
) -> Result<BTreeMap<String, Arc<Store>>> {
    let config: File = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            toml::from_str(&text).with_context(|| file.display().to_string())?
        }
        None => File::default(),
    };
    let mut stores = BTreeMap::new();
    for label in labels {
        let sqlite = state_dir.join("sqlite_key_value.db");
        let backend = match config.key_value_store.get(label) {
            Some(StoreConfig::Redis { url }) => Backend::redis(url).await?,
            Some(StoreConfig::Memory {}) => Backend::memory(),
            Some(StoreConfig::Spin { path }) => Backend::sqlite(path.as_deref().unwrap_or(&sqlite), label)?,
            None if label == "default" => Backend::sqlite(&sqlite, label)?,
            None => anyhow::bail!("key-value store {label:?} is in the manifest and not in the runtime configuration"),
        };
        stores.insert(label.clone(), Arc::new(Store::new(backend, fault.cloned())));
    }
    Ok(stores)
}
