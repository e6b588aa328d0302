//! A store in SQLite that several hosts share as regions of the world do: each sees its own writes at once, and the
//! others' when they are old enough, in their order.
//!
//! Writes go to a log beside Spin's table. A region reads the latest entry of the log that it can see, and Spin's table
//! where there is none; what every region can see is moved there. The last writer wins, so increments of two regions
//! can lose one another.

use super::{Result, incremented};
use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Number of regions that this process has opened, which sets those of one process apart.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// One label's rows, as one region sees them.
pub(crate) struct Replica {
    connection: Mutex<Connection>,
    label: String,
    region: String,
    lag: Duration,
}

/// Row of the log that decides a key's value: `NULL` where it deletes the key.
const LATEST: &str = "SELECT value FROM edge_host_log
    WHERE store = ?1 AND key = ?2 AND (region = ?3 OR written_ms <= ?4) ORDER BY id DESC LIMIT 1";

impl Replica {
    pub(super) fn open(file: &Path, label: &str, lag: Duration) -> anyhow::Result<Replica> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let connection = Connection::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             CREATE TABLE IF NOT EXISTS spin_key_value (
                store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key)
             );
             CREATE TABLE IF NOT EXISTS edge_host_log (
                id INTEGER PRIMARY KEY AUTOINCREMENT, store TEXT NOT NULL, key TEXT NOT NULL, value BLOB,
                region TEXT NOT NULL, written_ms INTEGER NOT NULL
             );
             CREATE INDEX IF NOT EXISTS edge_host_log_key ON edge_host_log (store, key, id)",
        )?;
        let region = format!("{}-{}-{}", std::process::id(), now_ms(), OPENED.fetch_add(1, Ordering::Relaxed));
        Ok(Replica { connection: Mutex::new(connection), label: label.to_owned(), region, lag })
    }

    /// Works in a transaction that no other process can come between.
    fn with<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
            self.move_old_entries(&transaction)?;
            let output = work(&transaction)?;
            transaction.commit()?;
            Ok(output)
        };
        run().map_err(|error: rusqlite::Error| error.to_string())
    }

    /// Returns the time up to which other regions' writes can be seen.
    fn horizon(&self) -> i64 {
        now_ms() - i64::try_from(self.lag.as_millis()).unwrap_or(i64::MAX)
    }

    /// Moves entries that every region can see into Spin's table, in their order.
    fn move_old_entries(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        // Up to the first that is too new: a clock that was set back must not change the order.
        let first_new = "(SELECT COALESCE(MIN(id), 9223372036854775807) FROM edge_host_log WHERE written_ms > ?1)";
        let old = format!("FROM edge_host_log WHERE id < {first_new}");
        let mut statement = transaction.prepare_cached(&format!("SELECT store, key, value {old} ORDER BY id"))?;
        let horizon = self.horizon();
        let mut rows = statement.query(params![horizon])?;
        while let Some(row) = rows.next()? {
            let (store, key): (String, String) = (row.get(0)?, row.get(1)?);
            match row.get::<_, Option<Vec<u8>>>(2)? {
                Some(value) => transaction.execute(
                    "INSERT OR REPLACE INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)",
                    params![store, key, value],
                )?,
                None => transaction
                    .execute("DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2", params![store, key])?,
            };
        }
        transaction.execute(&format!("DELETE {old}"), params![horizon]).map(drop)
    }

    fn read(&self, connection: &Connection, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        let parameters = params![self.label, key, self.region, self.horizon()];
        let logged = connection.prepare_cached(LATEST)?.query_row(parameters, |row| row.get(0)).optional()?;
        if let Some(value) = logged {
            return Ok(value);
        }
        let mut statement =
            connection.prepare_cached("SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2")?;
        statement.query_row(params![self.label, key], |row| row.get(0)).optional()
    }

    fn write(&self, connection: &Connection, key: &str, value: Option<&[u8]>) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO edge_host_log (store, key, value, region, written_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        statement.execute(params![self.label, key, value, self.region, now_ms()]).map(drop)
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.with(|transaction| self.read(transaction, key))
    }

    pub(super) fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.with(|transaction| self.write(transaction, key, Some(value)))
    }

    pub(super) fn delete(&self, key: &str) -> Result<()> {
        self.with(|transaction| self.write(transaction, key, None))
    }

    pub(super) fn keys(&self) -> Result<Vec<String>> {
        self.with(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT key FROM spin_key_value WHERE store = ?1 UNION SELECT key FROM edge_host_log WHERE store = ?1",
            )?;
            let known: Vec<String> =
                statement.query_map(params![self.label], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let mut keys = Vec::new();
            for key in known {
                if self.read(transaction, &key)?.is_some() {
                    keys.push(key);
                }
            }
            Ok(keys)
        })
    }

    pub(super) fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        self.with(|transaction| {
            let sum = match incremented(self.read(transaction, key)?.as_deref(), delta) {
                Ok(sum) => sum,
                Err(message) => return Ok(Err(message)),
            };
            self.write(transaction, key, Some(sum.to_string().as_bytes()))?;
            Ok(Ok(sum))
        })?
    }

    pub(super) fn swap(&self, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool> {
        self.with(|transaction| {
            let same = self.read(transaction, key)?.as_deref() == expected;
            if same {
                self.write(transaction, key, Some(value))?;
            }
            Ok(same)
        })
    }
}

/// Returns milliseconds since 1970: the only clock that two processes share.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn wait_until(is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < Duration::from_secs(10), "it never was so");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn regions_see_their_own_writes_at_once_and_others_after_the_lag_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("store.db");
        let open = |ms| Replica::open(&file, "default", Duration::from_millis(ms)).expect("opens");
        // One reads after a time that the other's lag is far from.
        let (near, far) = (open(1_500), open(60_000));
        assert_eq!(near.set("key", b"near"), Ok(()));
        assert_eq!((near.get("key"), far.get("key")), (Ok(Some(b"near".to_vec())), Ok(None)));
        assert_eq!(far.set("key", b"far"), Ok(()));
        assert_eq!(far.set("gone", b"1"), Ok(()));
        assert_eq!(far.get("key"), Ok(Some(b"far".to_vec())));
        assert_eq!(near.get("key"), Ok(Some(b"near".to_vec())), "too new");
        wait_until(|| near.get("key") == Ok(Some(b"far".to_vec())));
        wait_until(|| near.get("gone") == Ok(Some(b"1".to_vec())));
        assert_eq!((far.delete("gone"), far.get("gone")), (Ok(()), Ok(None)));
        assert_eq!(near.get("gone"), Ok(Some(b"1".to_vec())), "too new");
        wait_until(|| near.get("gone") == Ok(None));
        assert_eq!(near.keys(), Ok(vec!["key".to_owned()]));
    }
}
