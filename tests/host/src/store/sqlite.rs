//! A store in SQLite, in the table and file where Spin keeps its own.
//!
//! To commit takes five times as long as to increment. So increments are committed together, every [`FLUSH_INTERVAL`]:
//! those of the last one are lost if the host is killed. Every other write is in the file when it is answered.
//!
//! Deleted values are overwritten in the file, and leave the write-ahead log within [`FLUSH_INTERVAL`] too.
//!
//! Spin has none of this, nor a write-ahead log, and tells its runtime that each operation may block: another thread
//! takes over what else there is to do. A store that is `like_spin` is as slow.

use super::{Result, incremented};
use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time for which increments wait to be committed. Other processes that write to the file wait as long for this one.
const FLUSH_INTERVAL: Duration = Duration::from_millis(10);

/// One label's rows of the table.
pub(crate) struct Sqlite {
    connection: Arc<Mutex<Connection>>,
    label: String,
    like_spin: bool,
    /// Wakes the thread that commits increments and empties the log.
    flush_request: SyncSender<()>,
    /// Something was deleted that the write-ahead log may still have.
    has_deleted: Arc<AtomicBool>,
}

fn locked(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Commits the transaction of increments, if there is one.
fn commit(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("COMMIT") }
}

/// Commits where nobody waits for the result: an error goes to standard error.
fn commit_or_log(connection: &Mutex<Connection>) {
    if let Err(error) = commit(&locked(connection)) {
        eprintln!("what was counted could not be committed: {error}");
    }
}

/// Commits increments [`FLUSH_INTERVAL`] after each request to, until the store is dropped.
fn run_flushes(connection: &Mutex<Connection>, requests: &Receiver<()>, has_deleted: &AtomicBool) {
    while requests.recv().is_ok() {
        std::thread::sleep(FLUSH_INTERVAL);
        commit_or_log(connection);
        if has_deleted.swap(false, Ordering::Relaxed) && !empty_log(connection) {
            // Another process reads: it is tried again with the next deletion.
            has_deleted.store(true, Ordering::Relaxed);
        }
    }
}

/// Moves the write-ahead log into the file and empties it; returns true if it is empty.
fn empty_log(connection: &Mutex<Connection>) -> bool {
    let is_busy = locked(connection).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    is_busy.is_ok_and(|busy| busy == 0)
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        commit_or_log(&self.connection);
    }
}

impl Sqlite {
    pub(super) fn open(file: &Path, label: &str, like_spin: bool) -> anyhow::Result<Sqlite> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let connection = Connection::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.execute_batch(if like_spin {
            "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL"
        } else {
            // A write-ahead log that is not synced at every write: a cache may lose its last writes with the power. Its
            // checkpoints come every 16 MiB, and all wait for them.
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4096;
             PRAGMA secure_delete = ON"
        })?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS spin_key_value (
                store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key)
             )",
        )?;
        let connection = Arc::new(Mutex::new(connection));
        // One request is enough for all increments of a transaction.
        let (flush_request, requests) = sync_channel(1);
        let has_deleted = Arc::<AtomicBool>::default();
        let (own, own_deleted) = (connection.clone(), has_deleted.clone());
        std::thread::spawn(move || run_flushes(&own, &requests, &own_deleted));
        Ok(Sqlite { connection, label: label.to_owned(), like_spin, flush_request, has_deleted })
    }

    /// Works on the connection; a write is not committed where increments are waiting to be.
    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let work = || work(&locked(&self.connection)).map_err(|error| error.to_string());
        if self.like_spin { tokio::task::block_in_place(work) } else { work() }
    }

    /// Works on the connection and commits, increments before it too.
    fn with_commit<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.with(|connection| {
            let output = work(connection)?;
            commit(connection)?;
            Ok(output)
        })
    }

    fn read(&self, connection: &Connection, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        let mut statement =
            connection.prepare_cached("SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2")?;
        statement.query_row(params![self.label, key], |row| row.get(0)).optional()
    }

    fn write(&self, connection: &Connection, key: &str, value: &[u8]) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (store, key) DO UPDATE SET value = ?3",
        )?;
        statement.execute(params![self.label, key, value]).map(drop)
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.with(|connection| self.read(connection, key))
    }

    pub(super) fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.with_commit(|connection| self.write(connection, key, value))
    }

    pub(super) fn delete(&self, key: &str) -> Result<()> {
        self.with_commit(|connection| {
            let mut statement =
                connection.prepare_cached("DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2")?;
            statement.execute(params![self.label, key]).map(drop)
        })?;
        if !self.like_spin {
            self.has_deleted.store(true, Ordering::Relaxed);
            // Full if the thread has a request already.
            let _ = self.flush_request.try_send(());
        }
        Ok(())
    }

    pub(super) fn keys(&self) -> Result<Vec<String>> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT key FROM spin_key_value WHERE store = ?1")?;
            statement.query_map(params![self.label], |row| row.get(0))?.collect()
        })
    }

    /// Increments in a transaction that stays open, so that no other process can come between reading and writing.
    pub(super) fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        self.with(|connection| {
            if connection.is_autocommit() {
                connection.execute_batch("BEGIN IMMEDIATE")?;
                if !self.like_spin {
                    // Full if the thread has a request already; closed only after this store is dropped.
                    let _ = self.flush_request.try_send(());
                }
            }
            let sum = incremented(self.read(connection, key)?.as_deref(), delta);
            if let Ok(sum) = &sum {
                self.write(connection, key, sum.to_string().as_bytes())?;
            }
            if self.like_spin {
                commit(connection)?;
            }
            Ok(sum)
        })?
    }

    pub(super) fn swap(&self, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool> {
        self.with(|connection| {
            commit(connection)?;
            let transaction =
                rusqlite::Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)?;
            let same = self.read(&transaction, key)?.as_deref() == expected;
            if same {
                self.write(&transaction, key, value)?;
            }
            transaction.commit()?;
            Ok(same)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn what_is_deleted_is_in_neither_the_file_nor_the_log() {
        let folder = std::env::temp_dir().join(format!("edge-host-{}-deleted", std::process::id()));
        let file = folder.join("store.db");
        let store = Sqlite::open(&file, "default", false).expect("opens");
        let text = b"what somebody has said of themselves";
        let is_kept = || {
            let files = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
            let holds = |bytes: Vec<u8>| bytes.windows(text.len()).any(|part| part == text);
            files.into_iter().any(|file| holds(std::fs::read(file).unwrap_or_default()))
        };
        let long = text.repeat(1_000);
        for number in 0..20 {
            assert_eq!(store.set(&format!("key {number}"), if number % 2 == 0 { &long } else { text }), Ok(()));
        }
        assert!(is_kept());
        for number in 0..20 {
            assert_eq!(store.delete(&format!("key {number}")), Ok(()));
        }
        let start = Instant::now();
        while is_kept() {
            assert!(start.elapsed() < Duration::from_secs(10), "it stays");
        }
        drop(store);
        std::fs::remove_dir_all(&folder).expect("was there");
    }

    #[test]
    fn increments_reach_the_file_in_a_moment_or_with_any_other_write_or_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("store.db");
        let store = Sqlite::open(&file, "default", false).expect("opens");
        let other_process = Connection::open(&file).expect("opens");
        let in_file = |key: &str| -> Option<String> {
            let query = "SELECT CAST(value AS TEXT) FROM spin_key_value WHERE key = ?1";
            other_process.query_row(query, [key], |row| row.get(0)).optional().expect("read")
        };
        assert_eq!(store.increment("counted", 2), Ok(2));
        assert_eq!(store.set("written", b"1"), Ok(()));
        assert_eq!((in_file("written").as_deref(), in_file("counted").as_deref()), (Some("1"), Some("2")));
        assert_eq!(store.increment("counted", 3), Ok(5));
        let start = Instant::now();
        while in_file("counted").as_deref() != Some("5") {
            assert!(start.elapsed() < Duration::from_secs(10), "nobody commits");
        }
        assert_eq!(store.increment("written", 1), Ok(2));
        assert_eq!(store.delete("counted"), Ok(()));
        assert_eq!((in_file("written").as_deref(), in_file("counted")), (Some("2"), None));
        assert_eq!(store.increment("counted", 4), Ok(4));
        drop(store);
        assert_eq!(in_file("counted").as_deref(), Some("4"));
    }
}
