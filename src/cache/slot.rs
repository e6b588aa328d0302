//! The value of a slot for predictions: whose it is, and the entries of that person by their window, latest written
//! first.
//!
//! ```text
//! 32 bytes   the person's hash in hexadecimal
//! then for each entry
//!  1 byte    the window, in days
//!  4 bytes   the entry's length, little-endian
//!  n bytes   the entry, in JSON
//! ```

/// The longest value: less than any platform allows, with its header and seal.
pub(super) const MAX_BYTES: usize = 255 << 10;
const PERSON_BYTES: usize = 32;
const ENTRY_HEADER_BYTES: usize = 5;

/// The entries of a person, by their window.
#[derive(Debug, PartialEq)]
pub struct Slot<'a> {
    /// The person's hash.
    pub person: &'a str,
    /// Windows and entries.
    pub entries: Vec<(u8, &'a [u8])>,
}

impl<'a> Slot<'a> {
    /// Parses a value, or returns `None` if it is none.
    pub fn parse(bytes: &'a [u8]) -> Option<Slot<'a>> {
        let (person, mut rest) = bytes.split_at_checked(PERSON_BYTES).filter(|_| bytes.len() <= MAX_BYTES)?;
        let mut entries = Vec::new();
        while let Some(([window, length @ ..], after)) = rest.split_first_chunk::<ENTRY_HEADER_BYTES>() {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (entry, after) = after.split_at_checked(length)?;
            entries.push((*window, entry));
            rest = after;
        }
        rest.is_empty().then_some(Slot { person: std::str::from_utf8(person).ok()?, entries })
    }

    /// The entry of a window.
    pub(super) fn entry(&self, window: u8) -> Option<&'a [u8]> {
        self.entries.iter().find(|(other, _)| *other == window).map(|(_, entry)| *entry)
    }

    /// Renders a value of as many of the entries as it has room for, the first ones first.
    pub fn render(person: &str, entries: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = person.as_bytes().to_vec();
        for (window, entry) in entries {
            let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
            if bytes.len() + ENTRY_HEADER_BYTES + entry.len() <= MAX_BYTES {
                bytes.push(*window);
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(entry);
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PERSON: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_there_is_no_room_for_is_left_out() {
        let (short, long) = (vec![1; 100_000], vec![2; MAX_BYTES]);
        let bytes = Slot::render(PERSON, &[(1, &short), (2, &long), (3, &short), (4, &short)]);
        assert!(bytes.len() <= MAX_BYTES);
        let slot = Slot::parse(&bytes).expect("a slot");
        assert_eq!((slot.person, slot.entry(1), slot.entry(2)), (PERSON, Some(&short[..]), None));
        assert_eq!(slot.entries.iter().map(|(window, _)| *window).collect::<Vec<_>>(), [1, 3]);
    }

    proptest! {
        #[test]
        fn a_slot_is_read_as_it_was_written(
            entries in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..50)), 0..6),
        ) {
            let entries: Vec<(u8, &[u8])> = entries.iter().map(|(window, entry)| (*window, entry.as_slice())).collect();
            let bytes = Slot::render(PERSON, &entries);
            prop_assert_eq!(Slot::parse(&bytes), Some(Slot { person: PERSON, entries: entries.clone() }));
            // What was cut off is no slot, but where an entry ends.
            for end in 0..bytes.len() {
                prop_assert!(Slot::parse(&bytes[..end]).is_none_or(|slot| slot.entries.len() < entries.len()));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Slot::parse(&bytes);
        }
    }
}
