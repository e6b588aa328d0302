//! Key-value stores: their backends, and the faults that they can be given.

mod memory;
mod redis;
mod sqlite;

use crate::args::duration;
use memory::Memory;
use redis::Redis;
use sqlite::Sqlite;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Result of an operation; the error is a message for the guest.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// One labelled store.
pub(crate) struct Store {
    backend: Backend,
    fault: Option<Fault>,
    /// Number of reads so far, for [`Fault::Traps`].
    reads: AtomicU64,
}

/// Storage behind a store.
pub(crate) enum Backend {
    Memory(Memory),
    Redis(Redis),
    Sqlite(Sqlite),
}

impl Backend {
    pub(crate) fn memory() -> Backend {
        Backend::Memory(Memory::default())
    }

    pub(crate) async fn redis(url: &str) -> anyhow::Result<Backend> {
        Ok(Backend::Redis(Redis::connect(url).await?))
    }

    pub(crate) fn sqlite(file: &Path, label: &str) -> anyhow::Result<Backend> {
        Ok(Backend::Sqlite(Sqlite::open(file, label)?))
    }
}

/// Way in which a store fails on purpose.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Every operation is an error.
    Errors,
    /// Every operation takes this long.
    Slow(Duration),
    /// Writes succeed and are forgotten.
    LosesWrites,
    /// One read in so many ends the instance that reads, as a fault of its own code would.
    Traps(u64),
    /// The file names one of these, or nothing, and is read at each operation.
    FromFile(PathBuf),
}

impl Fault {
    pub(crate) fn parse(text: &str) -> std::result::Result<Fault, String> {
        match text.split_at_checked(1) {
            Some(("@", file)) => return Ok(Fault::FromFile(file.into())),
            _ if text == "errors" => return Ok(Fault::Errors),
            _ if text == "loses-writes" => return Ok(Fault::LosesWrites),
            _ => {}
        }
        if let Some(time) = text.strip_prefix("slow=") {
            return Ok(Fault::Slow(duration(time)?));
        }
        let traps = text.strip_prefix("traps=").and_then(|reads| reads.parse().ok()).filter(|reads| *reads > 0);
        traps.map(Fault::Traps).ok_or_else(|| {
            format!("{text:?} is none of errors, slow=<duration>, loses-writes, traps=<reads> and @<file>")
        })
    }
}

/// Calls an operation of the store's backend.
macro_rules! on_backend {
    ($store:expr, $backend:ident => $operation:expr) => {
        match &$store.backend {
            Backend::Memory($backend) => $operation,
            Backend::Redis($backend) => $operation.await,
            Backend::Sqlite($backend) => $operation,
        }
    };
}

impl Store {
    pub(crate) fn new(backend: Backend, fault: Option<Fault>) -> Store {
        Store { backend, fault, reads: AtomicU64::new(0) }
    }

    /// Counts a read, and tells if the guest that reads is to be ended.
    pub(crate) fn traps(&self) -> bool {
        let Ok(Some(Fault::Traps(reads))) = self.fault() else { return false };
        self.reads.fetch_add(1, Ordering::Relaxed) % reads == reads - 1
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.apply_fault().await?;
        on_backend!(self, backend => backend.get(key))
    }

    pub(crate) async fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        if self.apply_fault().await? == Writes::Lost {
            return Ok(());
        }
        on_backend!(self, backend => backend.set(key, value))
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        if self.apply_fault().await? == Writes::Lost {
            return Ok(());
        }
        on_backend!(self, backend => backend.delete(key))
    }

    pub(crate) async fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.get(key).await?.is_some())
    }

    pub(crate) async fn keys(&self) -> Result<Vec<String>> {
        self.apply_fault().await?;
        on_backend!(self, backend => backend.keys())
    }

    /// Adds to a decimal number (0 where there is none), atomically; returns the sum.
    pub(crate) async fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        if self.apply_fault().await? == Writes::Lost {
            return Ok(delta);
        }
        on_backend!(self, backend => backend.increment(key, delta))
    }

    /// Writes `value` if the key still has `expected`, atomically; tells if it did.
    pub(crate) async fn swap(&self, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool> {
        if self.apply_fault().await? == Writes::Lost {
            return Ok(true);
        }
        on_backend!(self, backend => backend.swap(key, expected, value))
    }

    /// Fails, or waits, as the fault demands; returns the fate of writes.
    async fn apply_fault(&self) -> Result<Writes> {
        match self.fault()? {
            None | Some(Fault::FromFile(_) | Fault::Traps(_)) => Ok(Writes::Kept),
            Some(Fault::Errors) => Err("the store was told to fail".to_owned()),
            Some(Fault::LosesWrites) => Ok(Writes::Lost),
            Some(Fault::Slow(time)) => {
                tokio::time::sleep(time).await;
                Ok(Writes::Kept)
            }
        }
    }

    /// Returns the fault of this moment.
    fn fault(&self) -> Result<Option<Fault>> {
        let Some(Fault::FromFile(file)) = &self.fault else { return Ok(self.fault.clone()) };
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        if text.trim().is_empty() { Ok(None) } else { Fault::parse(text.trim()).map(Some) }
    }
}

/// Fate of a write that succeeds.
#[derive(PartialEq)]
enum Writes {
    Kept,
    Lost,
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
        let store = Store::new(backend, None);
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
    async fn a_store_in_sqlite_behaves_and_labels_do_not_mix() {
        let file = std::env::temp_dir().join(format!("edge-host-{}-store.db", std::process::id()));
        behaves(Backend::sqlite(&file, "one").expect("opens")).await;
        behaves(Backend::sqlite(&file, "two").expect("opens")).await;
        std::fs::remove_file(&file).expect("was there");
    }

    #[test]
    fn faults_are_read() {
        assert_eq!(Fault::parse("slow=200ms"), Ok(Fault::Slow(Duration::from_millis(200))));
        assert_eq!(Fault::parse("@/tmp/fault"), Ok(Fault::FromFile("/tmp/fault".into())));
        assert_eq!(Fault::parse("traps=50"), Ok(Fault::Traps(50)));
        assert!(Fault::parse("traps=0").is_err());
        assert!(Fault::parse("broken").is_err());
        assert!(Fault::parse("").is_err());
    }
}
