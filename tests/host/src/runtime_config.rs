//! `runtime-config.toml`, which configures key-value stores: Spin's own types, and `memory`.

use crate::fault::{Fault, Faults};
use crate::quota::StoreQuota;
use crate::store::{Backend, Store};
use anyhow::{Context, Result, bail, ensure};
use platforms::Platform;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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

/// Settings of an application's stores beside the runtime configuration.
pub(crate) struct StoreSettings<'a> {
    /// Folder of the SQLite store.
    pub(crate) state_dir: &'a Path,
    pub(crate) fault: Option<&'a Fault>,
    /// Time after which other hosts' writes are seen, if not at once.
    pub(crate) replica_lag: Option<Duration>,
    /// SQLite is used as Spin uses it.
    pub(crate) like_spin: bool,
    pub(crate) platform: Option<&'a Platform>,
}

/// Opens every store that an application may use, by label. `default` is SQLite unless the file says otherwise.
pub(crate) async fn open_stores(
    labels: &[String],
    file: Option<&Path>,
    settings: StoreSettings<'_>,
) -> Result<BTreeMap<String, Arc<Store>>> {
    if let Some(platform) = settings.platform {
        check(labels, file, platform)?;
    }
    let config: File = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            toml::from_str(&text).with_context(|| file.display().to_string())?
        }
        None => File::default(),
    };
    let sqlite = |path: &Path, label: &str| match settings.replica_lag {
        Some(lag) => Backend::replica(path, label, lag),
        None => Backend::sqlite(path, label, settings.like_spin),
    };
    let only_sqlite = |label: &str| {
        ensure!(settings.replica_lag.is_none(), "--replica-lag is for stores in SQLite, which {label:?} is not");
        Ok(())
    };
    let quota = settings.platform.map(|platform| Arc::new(StoreQuota::new(&platform.limits)));
    let mut stores = BTreeMap::new();
    for label in labels {
        let default_file = settings.state_dir.join("sqlite_key_value.db");
        let backend = match config.key_value_store.get(label) {
            Some(StoreConfig::Redis { url }) => {
                only_sqlite(label)?;
                Backend::redis(url).await?
            }
            Some(StoreConfig::Memory {}) => {
                only_sqlite(label)?;
                Backend::memory()
            }
            Some(StoreConfig::Spin { path }) => sqlite(path.as_deref().unwrap_or(&default_file), label)?,
            None if label == "default" => sqlite(&default_file, label)?,
            None => bail!("key-value store {label:?} is in the manifest and not in the runtime configuration"),
        };
        let faults = Faults::new(settings.fault.cloned());
        stores.insert(label.clone(), Arc::new(Store::new(backend, faults, quota.clone())));
    }
    Ok(stores)
}

/// Refuses what a platform has no place for.
fn check(labels: &[String], file: Option<&Path>, platform: &Platform) -> Result<()> {
    let Platform { name, limits, .. } = platform;
    ensure!(
        file.is_none() || limits.runtime_config,
        "{name} takes no runtime configuration: leave --runtime-config-file out"
    );
    let Some(stores) = &limits.stores else { return Ok(()) };
    if let Some(label) = labels.iter().find(|label| !stores.contains(label)) {
        bail!("{name} has no key-value store {label:?}, which the manifest asks for, only {}", stores.join(", "));
    }
    Ok(())
}
