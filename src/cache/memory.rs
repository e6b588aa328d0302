//! The memory of one instance: values that it has read of the store, as they were there, for a moment.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Values of more bytes together are not remembered: all go, and those that are asked for come back.
const MAX_BYTES: usize = 4 << 20;
/// After an invalidation nothing is remembered for as long as its write and a read that began before it may take.
const QUIET: Duration = Duration::from_secs(3);

/// The values of a slot and of its generation.
type Values = Vec<Option<Vec<u8>>>;

/// Values that were read, by the key of the slot.
#[derive(Default)]
pub(super) struct Memory {
    read: RefCell<Read>,
}

#[derive(Default)]
struct Read {
    bytes: usize,
    invalidated_at: Option<Instant>,
    values: HashMap<String, (Instant, Values)>,
}

impl Memory {
    /// Returns true if the values of a key were read less than so long ago.
    pub(super) fn has(&self, key: &str, keep: Duration) -> bool {
        self.read.borrow().values.get(key).is_some_and(|(at, _)| at.elapsed() < keep)
    }

    /// The values of a key, if they were read less than so long ago.
    pub(super) fn get(&self, key: &str, keep: Duration) -> Option<Values> {
        let read = self.read.borrow();
        read.values.get(key).filter(|(at, _)| at.elapsed() < keep).map(|(_, values)| values.clone())
    }

    /// Remembers the values that were read of a key just now.
    pub(super) fn remember(&self, key: String, values: Values) {
        let bytes: usize = key.len() + size(&values);
        self.forget(&key);
        let mut read = self.read.borrow_mut();
        if read.bytes + bytes > MAX_BYTES {
            *read = Read { invalidated_at: read.invalidated_at, ..Read::default() };
        }
        if bytes <= MAX_BYTES && read.invalidated_at.is_none_or(|at| at.elapsed() > QUIET) {
            read.bytes += bytes;
            read.values.insert(key, (Instant::now(), values));
        }
    }

    /// Forgets the values of a key, whose person is about to be invalidated here.
    pub(super) fn invalidate(&self, key: &str) {
        self.forget(key);
        self.read.borrow_mut().invalidated_at = Some(Instant::now());
    }

    /// Forgets the values of a key.
    pub(super) fn forget(&self, key: &str) {
        let mut read = self.read.borrow_mut();
        if let Some((_, values)) = read.values.remove(key) {
            read.bytes -= key.len() + size(&values);
        }
    }
}

fn size(values: &Values) -> usize {
    values.iter().flatten().map(Vec::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(60);

    #[test]
    fn values_are_remembered_until_they_are_forgotten_or_too_many() {
        let memory = Memory::default();
        let values = |bytes: usize| vec![Some(vec![1; bytes]), None];
        memory.remember("a".to_owned(), values(2));
        assert_eq!(memory.get("a", KEEP), Some(values(2)));
        assert!(memory.get("a", Duration::ZERO).is_none() && memory.get("b", KEEP).is_none());
        memory.remember("a".to_owned(), values(3));
        memory.remember("b".to_owned(), values(MAX_BYTES / 2));
        assert!(memory.has("a", KEEP) && memory.has("b", KEEP));
        memory.forget("b");
        assert!(memory.has("a", KEEP) && !memory.has("b", KEEP));
        assert_eq!(memory.read.borrow().bytes, 4);
        memory.remember("b".to_owned(), values(MAX_BYTES / 2));
        memory.remember("c".to_owned(), values(MAX_BYTES / 2));
        assert!(!memory.has("a", KEEP) && !memory.has("b", KEEP) && memory.has("c", KEEP));
        memory.remember("d".to_owned(), values(MAX_BYTES));
        assert!(!memory.has("d", KEEP), "larger than all");
        memory.invalidate("c");
        memory.remember("c".to_owned(), values(1));
        assert!(!memory.has("c", KEEP), "it may have been read before");
    }
}
