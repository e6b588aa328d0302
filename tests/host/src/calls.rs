//! Counts of the host calls that a guest makes, and the file that they are written to.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Host calls of one request's guest.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Calls {
    pub(crate) variables: u64,
    pub(crate) store: StoreCalls,
    pub(crate) redis: RedisCalls,
    /// Outbound HTTP requests.
    pub(crate) http: u64,
}

/// Calls of `fermyon:spin/key-value` and `wasi:keyvalue`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct StoreCalls {
    pub(crate) open: u64,
    pub(crate) get: u64,
    pub(crate) set: u64,
    pub(crate) delete: u64,
    pub(crate) exists: u64,
    pub(crate) increment: u64,
    /// Lists of keys, batches and swaps.
    pub(crate) other: u64,
}

/// Calls of `fermyon:spin/redis`.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RedisCalls {
    pub(crate) open: u64,
    pub(crate) execute: u64,
    pub(crate) other: u64,
}

/// File with one JSON line a request.
pub(crate) struct CallsFile(Mutex<File>);

#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    #[serde(flatten)]
    calls: &'a Calls,
}

impl CallsFile {
    /// Opens a file to append to.
    pub(crate) fn open(file: &Path) -> Result<CallsFile> {
        let opened = File::options().append(true).create(true).open(file);
        Ok(CallsFile(Mutex::new(opened.with_context(|| format!("cannot open {}", file.display()))?)))
    }

    /// Appends the calls of a guest that has ended.
    pub(crate) fn write(&self, path: &str, calls: &Calls) -> Result<()> {
        let mut line = serde_json::to_string(&Line { path, calls })?;
        line.push('\n');
        // One write a line: a reader never sees a part of one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())?;
        Ok(())
    }
}
