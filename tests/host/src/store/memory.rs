//! A store in memory, gone when the host stops.

use super::{Result, incremented};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys and values in a map.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<String, Vec<u8>>>);

impl Memory {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        // No operation leaves the map half changed, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.map().get(key).cloned())
    }

    pub(super) fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.map().insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    pub(super) fn delete(&self, key: &str) -> Result<()> {
        self.map().remove(key);
        Ok(())
    }

    pub(super) fn keys(&self) -> Result<Vec<String>> {
        Ok(self.map().keys().cloned().collect())
    }

    pub(super) fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        let mut map = self.map();
        let number = incremented(map.get(key).map(Vec::as_slice), delta)?;
        map.insert(key.to_owned(), number.to_string().into_bytes());
        Ok(number)
    }

    pub(super) fn swap(&self, key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool> {
        let mut map = self.map();
        let same = map.get(key).map(Vec::as_slice) == expected;
        if same {
            map.insert(key.to_owned(), value.to_vec());
        }
        Ok(same)
    }
}
