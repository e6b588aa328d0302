//! SQLite, in the table and file where Spin keeps its own.

use super::{Result, incremented};
use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

pub(crate) struct Sqlite {
    connection: Mutex<Connection>,
    label: String,
}

impl Sqlite {
    pub(super) fn open(file: &Path, label: &str) -> anyhow::Result<Sqlite> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let connection = Connection::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        // A write-ahead log that is not synced at every write: a cache may lose its last writes with the power.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             CREATE TABLE IF NOT EXISTS spin_key_value (
                store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key)
             )",
        )?;
        Ok(Sqlite { connection: Mutex::new(connection), label: label.to_owned() })
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection).map_err(|error| error.to_string())
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
        self.with(|connection| self.write(connection, key, value))
    }

    pub(super) fn delete(&self, key: &str) -> Result<()> {
        self.with(|connection| {
            let mut statement =
                connection.prepare_cached("DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2")?;
            statement.execute(params![self.label, key]).map(drop)
        })
    }

    pub(super) fn keys(&self) -> Result<Vec<String>> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached("SELECT key FROM spin_key_value WHERE store = ?1")?;
            statement.query_map(params![self.label], |row| row.get(0))?.collect()
        })
    }

    /// Reads, decides and writes in one transaction that no other process can come between.
    fn exchange<T>(
        &self,
        key: &str,
        decide: impl FnOnce(Option<Vec<u8>>) -> Result<(T, Option<Vec<u8>>)>,
    ) -> Result<T> {
        let mut refused = None;
        let done = self.with(|connection| {
            let transaction =
                rusqlite::Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)?;
            let decided = decide(self.read(&transaction, key)?);
            let (output, value) = match decided {
                Ok(decided) => decided,
                Err(error) => {
                    refused = Some(error);
                    return Ok(None);
                }
            };
            if let Some(value) = value {
                self.write(&transaction, key, &value)?;
            }
            transaction.commit()?;
            Ok(Some(output))
        })?;
        done.ok_or_else(|| refused.unwrap_or_default())
    }

    /// In one statement, which takes a third of the time of a transaction that reads and writes. It changes nothing where the
    /// value is no number or the sum would be none, and those are then told apart.
    pub(super) fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        let sum = self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, CAST(CAST(?3 AS TEXT) AS BLOB))
                 ON CONFLICT (store, key) DO UPDATE
                 SET value = CAST(CAST(CAST(CAST(value AS TEXT) AS INTEGER) + ?3 AS TEXT) AS BLOB)
                 WHERE CAST(CAST(CAST(value AS TEXT) AS INTEGER) AS TEXT) = CAST(value AS TEXT)
                 AND typeof(CAST(CAST(value AS TEXT) AS INTEGER) + ?3) = 'integer'
                 RETURNING CAST(CAST(value AS TEXT) AS INTEGER)",
            )?;
            statement.query_row(params![self.label, key, delta], |row| row.get(0)).optional()
        })?;
        match sum {
            Some(sum) => Ok(sum),
            None => incremented(self.get(key)?.as_deref(), delta),
        }
    }

    pub(super) fn swap(&self, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool> {
        self.exchange(key, |stored| {
            let same = stored.as_deref() == expected;
            Ok((same, same.then(|| value.to_vec())))
        })
    }
}
