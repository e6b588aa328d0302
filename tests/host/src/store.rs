//! Key-value stores: a backend each, with the faults and limits that it is given.

mod memory;
mod redis;
mod replica;
mod sqlite;

use crate::fault::{Faults, Writes};
use crate::quota::StoreQuota;
use memory::Memory;
use redis::Redis;
use replica::Replica;
use sqlite::Sqlite;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::MutexGuard;

/// Result of an operation; the error is a message for the guest.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// One labelled store.
pub(crate) struct Store {
    backend: Backend,
    pub(crate) faults: Faults,
    /// Limits of the platform, shared with the application's other stores.
    quota: Option<Arc<StoreQuota>>,
}

/// Storage behind a store.
pub(crate) enum Backend {
    Memory(Memory),
    Redis(Redis),
    Replica(Replica),
    Sqlite(Sqlite),
}

impl Backend {
    pub(crate) fn memory() -> Backend {
        Backend::Memory(Memory::default())
    }

    pub(crate) async fn redis(url: &str) -> anyhow::Result<Backend> {
        Ok(Backend::Redis(Redis::connect(url).await?))
    }

    pub(crate) fn sqlite(file: &Path, label: &str, like_spin: bool) -> anyhow::Result<Backend> {
        Ok(Backend::Sqlite(Sqlite::open(file, label, like_spin)?))
    }

    /// Opens a store in SQLite that sees the writes of other hosts after a time.
    pub(crate) fn replica(file: &Path, label: &str, lag: Duration) -> anyhow::Result<Backend> {
        Ok(Backend::Replica(Replica::open(file, label, lag)?))
    }
}

/// Calls an operation of the store's backend.
macro_rules! on_backend {
    ($store:expr, $backend:ident => $operation:expr) => {
        match &$store.backend {
            Backend::Memory($backend) => $operation,
            Backend::Redis($backend) => $operation.await,
            Backend::Replica($backend) => $operation,
            Backend::Sqlite($backend) => $operation,
        }
    };
}

impl Store {
    pub(crate) fn new(backend: Backend, faults: Faults, quota: Option<Arc<StoreQuota>>) -> Store {
        Store { backend, faults, quota }
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.faults.apply().await?;
        self.admit_read(key)?;
        on_backend!(self, backend => backend.get(key))
    }

    pub(crate) async fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        if self.apply_to_write().await? == Writes::Lost {
            return Ok(());
        }
        let _lock = self.admit_write(key, value.len()).await?;
        on_backend!(self, backend => backend.set(key, value))
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        if self.faults.apply().await? == Writes::Lost {
            return Ok(());
        }
        if let Some(quota) = &self.quota {
            quota.check_delete()?;
        }
        on_backend!(self, backend => backend.delete(key))
    }

    pub(crate) async fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.get(key).await?.is_some())
    }

    pub(crate) async fn keys(&self) -> Result<Vec<String>> {
        self.faults.apply().await?;
        self.admit_read("")?;
        on_backend!(self, backend => backend.keys())
    }

    /// Adds to a decimal number (0 where there is none), atomically; returns the sum.
    pub(crate) async fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        if self.apply_to_write().await? == Writes::Lost {
            return Ok(delta);
        }
        let _lock = self.admit_write(key, 0).await?;
        on_backend!(self, backend => backend.increment(key, delta))
    }

    /// Writes `value` if the key still has `expected`, atomically; tells if it did.
    pub(crate) async fn swap(&self, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool> {
        if self.apply_to_write().await? == Writes::Lost {
            return Ok(true);
        }
        let _lock = self.admit_write(key, value.len()).await?;
        on_backend!(self, backend => backend.swap(key, expected, value))
    }

    /// Applies the fault to a write that is no deletion.
    async fn apply_to_write(&self) -> Result<Writes> {
        match self.faults.apply().await? {
            Writes::Refused => Err("the store was told to be full".to_owned()),
            fate => Ok(fate),
        }
    }

    fn admit_read(&self, key: &str) -> Result<()> {
        self.quota.as_ref().map_or(Ok(()), |quota| quota.check_read(key))
    }

    /// Checks a write against the quota; the lock is held until it is done where keys are counted.
    async fn admit_write(&self, key: &str, value_bytes: usize) -> Result<Option<MutexGuard<'_, ()>>> {
        let Some(quota) = &self.quota else { return Ok(None) };
        quota.check_write(key, value_bytes)?;
        let Some(max_keys) = quota.keys else { return Ok(None) };
        let lock = quota.writing.lock().await;
        let is_new = on_backend!(self, backend => backend.get(key))?.is_none();
        if is_new && on_backend!(self, backend => backend.keys())?.len() >= max_keys {
            return Err(format!("quota exceeded: {max_keys} keys"));
        }
        Ok(Some(lock))
    }
}

/// Returns the number after an increment of stored text.
fn incremented(stored: Option<&[u8]>, delta: i64) -> Result<i64> {
    let text = stored.map_or(Ok("0"), std::str::from_utf8).map_err(|_| "the value is not a number".to_owned())?;
    let number: i64 = text.parse().map_err(|_| "the value is not a number".to_owned())?;
    number.checked_add(delta).ok_or_else(|| "the number would overflow".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn behaves(backend: Backend) {
        let store = Store::new(backend, Faults::default(), None);
        assert_eq!(store.get("a").await, Ok(None));
        assert_eq!(store.set("a", b"1").await, Ok(()));
        assert_eq!(store.get("a").await, Ok(Some(b"1".to_vec())));
        assert_eq!(store.increment("a", 4).await, Ok(5));
        assert_eq!(store.increment("b", -2).await, Ok(-2));
        assert_eq!(store.swap("a", Some(b"6"), b"7").await, Ok(false));
        assert_eq!(store.swap("a", Some(b"5"), b"7").await, Ok(true));
        assert_eq!(store.swap("c", None, b"8").await, Ok(true));
        assert_eq!(store.swap("c", None, b"9").await, Ok(false));
        let mut keys = store.keys().await.expect("listed");
        keys.sort();
        assert_eq!(keys, ["a", "b", "c"]);
        assert_eq!(store.exists("c").await, Ok(true));
        assert_eq!(store.delete("c").await, Ok(()));
        assert_eq!(store.exists("c").await, Ok(false));
        assert_eq!(store.set("text", b"one").await, Ok(()));
        assert!(store.increment("text", 1).await.is_err());
        assert_eq!(store.set("large", i64::MAX.to_string().as_bytes()).await, Ok(()));
        assert!(store.increment("large", 1).await.is_err());
        assert_eq!(store.increment("large", -1).await, Ok(i64::MAX - 1));
    }

    #[tokio::test]
    async fn a_store_in_memory_behaves() {
        behaves(Backend::memory()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_with_lag_behaves_to_its_own_region() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("store.db");
        behaves(Backend::replica(&file, "default", Duration::from_secs(60)).expect("opens")).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_in_sqlite_behaves_and_labels_do_not_mix() {
        for like_spin in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("store.db");
            for label in ["one", "two"] {
                behaves(Backend::sqlite(&file, label, like_spin).expect("opens")).await;
            }
        }
    }
}
