//! The keys of the store. A key-value store forgets nothing by itself, and some hold a thousand keys. So each kind of
//! value has a fixed number of *slots* there, and the hash of what a value is about chooses its slot: the store never
//! has more keys than there are slots. Two that share a slot replace each other, so a value says whose it is.
//!
//! Redis forgets what has expired: there a hash is a key of its own.

/// A kind of value that has slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// The predictions about a person, for each window that was asked for.
    Predictions,
    /// The random text that an invalidation of a person writes.
    Generation,
    /// A background prediction.
    Job,
    /// A token that was verified.
    Token,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Predictions, Kind::Generation, Kind::Job, Kind::Token];
    /// The kinds whose values expire, in the order in which they are swept.
    pub(crate) const EXPIRING: [Kind; 3] = [Kind::Predictions, Kind::Job, Kind::Token];

    /// The part of a key before the colon.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Predictions => "predictions",
            Kind::Generation => "generation",
            Kind::Job => "job",
            Kind::Token => "token",
        }
    }
}

/// The slots for generations of a store with few slots for predictions: with all others a default store has fewer than
/// a thousand keys. Their number does not follow `cache_slots`, so that an invalidation holds while that changes.
const FEW_GENERATION_SLOTS: u64 = 448;
/// Those of one with more than [`FEW_CACHE_SLOTS`].
const MANY_GENERATION_SLOTS: u64 = 65_536;
const FEW_CACHE_SLOTS: u64 = 1_000;
/// The slots of a job: it takes the first of these that is free, so that few jobs that run replace each other.
pub(crate) const JOB_PLACES: u64 = 4;
const TOKEN_SLOTS: u64 = 64;
/// There are an eighth as many slots for jobs as for predictions, and no fewer or more than this.
const JOB_SLOTS: std::ops::RangeInclusive<u64> = 48..=8_192;

/// The numbers of slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Layout {
    /// The slots for predictions: 0 if none are kept.
    cache_slots: u64,
}

impl Layout {
    pub(crate) fn new(cache_slots: u32) -> Layout {
        Layout { cache_slots: cache_slots.into() }
    }

    pub(crate) fn slots(self, kind: Kind) -> u64 {
        match kind {
            Kind::Predictions => self.cache_slots,
            Kind::Generation if self.cache_slots <= FEW_CACHE_SLOTS => FEW_GENERATION_SLOTS,
            Kind::Generation => MANY_GENERATION_SLOTS,
            Kind::Job => (self.cache_slots / 8).clamp(*JOB_SLOTS.start(), *JOB_SLOTS.end()),
            Kind::Token => TOKEN_SLOTS,
        }
    }

    /// The key of the slot that a hash in hexadecimal chooses, or of one that stands so many after it.
    pub(crate) fn key(self, kind: Kind, hash: &str, after: u64) -> String {
        let number = hash.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
        self.key_of_slot(kind, number.wrapping_add(after) % self.slots(kind).max(1))
    }

    pub(crate) fn key_of_slot(self, kind: Kind, slot: u64) -> String {
        format!("{}:{slot}", kind.name())
    }

    /// The number of slots whose values expire.
    pub(crate) fn expiring(self) -> u64 {
        Kind::EXPIRING.iter().map(|kind| self.slots(*kind)).sum()
    }

    /// The key of the slot with a number below [`Layout::expiring`].
    pub(crate) fn expiring_key(self, mut number: u64) -> String {
        for kind in Kind::EXPIRING {
            let slots = self.slots(kind);
            if number < slots {
                return self.key_of_slot(kind, number);
            }
            number -= slots;
        }
        self.key_of_slot(Kind::Token, 0)
    }

    /// The number of slots that a value under this key is written for: 0 if it has no slot.
    pub(crate) fn slots_of(self, key: &str) -> u64 {
        kind_of(key).map_or(0, |kind| self.slots(kind))
    }

    /// Returns true if this is the key of a slot whose values expire.
    pub(crate) fn is_expiring(self, key: &str) -> bool {
        let slot = key.split_once(':').and_then(|(_, slot)| slot.parse().ok().filter(|_| is_number(slot)));
        let kind = kind_of(key).filter(|kind| Kind::EXPIRING.contains(kind));
        kind.zip(slot).is_some_and(|(kind, slot): (_, u64)| slot < self.slots(kind))
    }

    /// Returns true if a key may be this service's, now or once.
    pub(crate) fn may_be_own(key: &str) -> bool {
        let name = key.split(':').next().unwrap_or_default();
        kind_of(key).is_some() || ["rate", "claim", "metrics", "key-secret"].contains(&name)
    }

    /// Returns true if a key and its value were this service's once and are no longer read: of an earlier release, or
    /// of a layout with more slots. Those of others who share the store are not.
    pub(crate) fn is_left_over(self, key: &str, value: &[u8]) -> bool {
        let mut parts = key.split(':');
        let name = parts.next().unwrap_or_default();
        match (kind_of(key), parts.next(), parts.next()) {
            // It could let an entry be served that it had invalidated.
            (Some(Kind::Generation), Some(slot), None) if is_number(slot) => false,
            (Some(kind), Some(slot), None) if is_number(slot) => {
                Header::was_written(value) && slot.parse().is_ok_and(|slot: u64| slot >= self.slots(kind))
            }
            (Some(_), Some(hash), _) => is_hash(hash),
            (None, Some("predictions" | "default"), Some(hash)) if name == "rate" => is_hash(hash),
            (None, Some(hash), Some(_)) if name == "claim" => is_hash(hash),
            (None, Some("note"), Some(number)) if name == "metrics" => is_number(number),
            (None, Some("sequence" | "sum"), _) => name == "metrics",
            (None, None, _) => key == "key-secret",
            _ => false,
        }
    }
}

/// The kind of a key: its part before the colon.
fn kind_of(key: &str) -> Option<Kind> {
    let (name, _) = key.split_once(':')?;
    Kind::ALL.into_iter().find(|kind| kind.name() == name)
}

fn is_hash(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The beginning of a value that is sealed for its key: a version, the time at which it is over, and the number of
/// slots that it was written for. Under another number of slots nobody looks for it there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Header {
    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) over_at: i64,
    pub(crate) slots: u64,
}

impl Header {
    pub(crate) const BYTES: usize = 1 + 8 + 8;
    const VERSION: u8 = 3;
    /// The versions that this service has written. All have the time in the same place.
    const VERSIONS: std::ops::RangeInclusive<u8> = 2..=Header::VERSION;
    /// The times that a value can be over at: from 2020 to 2100.
    const TIMES: std::ops::Range<i64> = 1_577_836_800_000..4_102_444_800_000;

    /// Parses the header of a value, or returns `None` if it is not of this release.
    pub(crate) fn parse(value: &[u8]) -> Option<Header> {
        let (header, _) = value.split_first_chunk::<{ Header::BYTES }>()?;
        let (version, rest) = header.split_first()?;
        let (over_at, slots) = rest.split_first_chunk()?;
        let slots = u64::from_le_bytes(slots.try_into().ok()?);
        (*version == Header::VERSION).then_some(Header { over_at: i64::from_le_bytes(*over_at), slots })
    }

    pub(crate) fn to_bytes(self) -> [u8; Header::BYTES] {
        let mut bytes = [Header::VERSION; Header::BYTES];
        bytes[1..9].copy_from_slice(&self.over_at.to_le_bytes());
        bytes[9..].copy_from_slice(&self.slots.to_le_bytes());
        bytes
    }

    /// Returns true if a value is of this release or of one before.
    fn was_written(value: &[u8]) -> bool {
        value.split_first_chunk::<9>().is_some_and(|([version, over_at @ ..], _)| {
            Header::VERSIONS.contains(version) && Header::TIMES.contains(&i64::from_le_bytes(*over_at))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_store_has_fewer_than_a_thousand_keys() {
        let layout = Layout::new(400);
        // The others are the limits, the metrics, the key set and the sweep.
        assert!(Kind::ALL.iter().map(|kind| layout.slots(*kind)).sum::<u64>() + 4 + 3 < 1_000);
    }

    #[test]
    fn a_hash_has_its_slot_and_those_after_it() {
        let layout = Layout::new(400);
        let hash = "ffffffffffffffff0000000000000000";
        assert_eq!(layout.key(Kind::Predictions, hash, 0), format!("predictions:{}", u64::MAX % 400));
        for after in 0..JOB_PLACES {
            let slot: u64 = layout.key(Kind::Job, hash, after)["job:".len()..].parse().expect("a number");
            assert!(slot < 50);
        }
        let keys: std::collections::BTreeSet<_> = (0..layout.expiring()).map(|at| layout.expiring_key(at)).collect();
        assert_eq!(keys.len() as u64, 400 + 50 + 64);
        assert!(keys.iter().all(|key| layout.is_expiring(key)));
        assert!(
            !["predictions:400", "predictions:+1", "generation:1", "sweep", ""]
                .iter()
                .any(|key| layout.is_expiring(key))
        );
    }

    #[test]
    fn a_generation_has_its_key_whatever_number_of_few_or_many_slots_there_is() {
        let hash = "ffffffffffffffff0000000000000000";
        for [one, other, third] in [[0, 64, 1_000], [1_001, 65_536, 1_000_000]] {
            let keys = [one, other, third].map(|slots| Layout::new(slots).key(Kind::Generation, hash, 0));
            assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written_and_another_is_none() {
        let header = Header { over_at: 1_800_000_000_000, slots: 400 };
        let bytes = header.to_bytes();
        assert_eq!(Header::parse(&bytes), Some(header));
        assert!((0..bytes.len()).all(|end| Header::parse(&bytes[..end]).is_none()));
        for version in (0..=u8::MAX).filter(|version| *version != 3) {
            let mut other = bytes;
            other[0] = version;
            assert_eq!(Header::parse(&other), None);
            assert_eq!(Header::was_written(&other), version == 2);
        }
    }

    #[test]
    fn only_what_was_this_services_is_left_over() {
        let layout = Layout::new(400);
        let hash = "0123456789abcdef0123456789abcdef";
        let value = Header { over_at: 1_800_000_000_000, slots: 1_000 }.to_bytes();
        let over = [
            format!("predictions:{hash}:3:0123"),
            format!("generation:{hash}"),
            format!("job:{hash}"),
            "token:127".to_owned(),
            "predictions:400".to_owned(),
            format!("rate:predictions:{hash}:1"),
            format!("claim:{hash}:2"),
            "metrics:note:1".to_owned(),
            "key-secret".to_owned(),
        ];
        assert!(over.iter().all(|key| layout.is_left_over(key, &value)));
        let kept = [
            "predictions:399",
            "generation:0",
            "generation:448",
            "job:49",
            "token:63",
            "limits:3",
            "metrics",
            "key-set",
            "sweep",
        ];
        let others = [
            "",
            ":",
            "rate",
            "predictions",
            "predictions:mine",
            "job:",
            "another",
            "metrics:mine",
            "claim:x",
            "claim:order:7",
            "rate:default:x",
            "rate:default:x:y",
            "metrics:note:mine",
            "predictions:400:1",
        ];
        assert!(!kept.iter().chain(&others).any(|key| layout.is_left_over(key, &value)));
        // Numbers that are another's have other values.
        for (key, value) in [("job:12345", "{}"), ("token:64", "12345678901"), ("generation:999", "7"), ("job:50", "")]
        {
            assert!(!layout.is_left_over(key, value.as_bytes()), "{key}");
        }
    }
}
