//! The keys of the store. A key-value store forgets nothing by itself, and some hold a thousand keys. So each kind of
//! value has a fixed number of *slots* there, and the hash of what a value is about chooses its slot: the store never
//! has more keys than there are slots. Two that share a slot replace each other, so a value says whose it is. A key
//! says how many slots there are, so that what was written under another number can be found, and is not taken for this
//! one's.
//!
//! Redis forgets what has expired: there a hash is a key of its own.

use crate::limits::CACHE_SLOTS;
use uuid::Uuid;

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

    fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

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
        key_among(kind, self.slots(kind), hash, after)
    }

    fn key_of_slot(self, kind: Kind, slot: u64) -> String {
        format!("{}:{}:{slot}", kind.name(), self.slots(kind))
    }

    /// The keys that a hash chooses under this layout or, where keys are listed, under the others that those are of;
    /// `places` under each.
    pub(crate) fn keys_among(self, listed: Option<&[String]>, kind: Kind, hash: &str, places: u64) -> Vec<String> {
        let numbers = listed.map_or_else(|| vec![self.slots(kind)], |listed| self.others_in(listed, kind));
        let places = |slots: u64| (0..places).map(move |after| key_among(kind, slots, hash, after));
        numbers.into_iter().flat_map(places).collect()
    }

    /// The keys of the generations that a hash chooses for predictions under the other layouts whose keys are listed.
    pub(crate) fn other_generations_in(self, listed: &[String], hash: &str) -> Vec<String> {
        let own = self.key(Kind::Generation, hash, 0);
        let mut keys: Vec<String> = Vec::new();
        for cache_slots in self.others_in(listed, Kind::Predictions) {
            let key = Layout { cache_slots }.key(Kind::Generation, hash, 0);
            if key != own && !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// The other numbers of slots that listed keys say.
    fn others_in(self, listed: &[String], kind: Kind) -> Vec<u64> {
        let mut numbers = Vec::new();
        for (_, slots) in listed.iter().filter_map(|key| parse(key)).filter(|(other, _)| *other == kind) {
            if slots != self.slots(kind) && !numbers.contains(&slots) {
                numbers.push(slots);
            }
        }
        numbers
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

    /// Returns the condition on its value under which a key is left over of another layout, or `None` if it is of this
    /// one, or another's.
    pub(crate) fn left_over(self, key: &str) -> Option<LeftOver> {
        match parse(key) {
            // To delete it could let an entry be served that it had invalidated.
            Some((Kind::Generation, _)) => return None,
            Some((kind, slots)) => return (slots != self.slots(kind)).then_some(LeftOver::IfOver),
            None => {}
        }
        // Keys of earlier releases, which nothing reads any more.
        let parts: Vec<&str> = key.split(':').collect();
        let is_own = match parts[..] {
            ["generation" | "job", hash] if is_hash(hash) => true,
            ["generation", slot] if number(slot).is_some() => return Some(LeftOver::IfGeneration),
            ["predictions" | "job" | "token", slot] if number(slot).is_some() => return Some(LeftOver::IfWritten),
            ["predictions", hash, window, _] => is_hash(hash) && number(window).is_some(),
            ["rate", "predictions" | "default", hash, window] => is_hash(hash) && number(window).is_some(),
            ["claim", hash, _] => is_hash(hash),
            ["metrics", "note", count] => number(count).is_some(),
            ["metrics", "sequence" | "sum", ..] => true,
            _ => key == "key-secret",
        };
        is_own.then_some(LeftOver::WhateverItHas)
    }
}

/// The condition on its value under which a key of another layout is left over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LeftOver {
    WhateverItHas,
    /// This service has written it: others may have such keys.
    IfWritten,
    /// It is the text of a generation.
    IfGeneration,
    /// This service has written it, and it is over: other instances may read it until then.
    IfOver,
}

impl LeftOver {
    pub(crate) fn is_met(self, value: &[u8], now: i64) -> bool {
        match self {
            LeftOver::WhateverItHas => true,
            LeftOver::IfWritten => over_at(value).is_some(),
            LeftOver::IfGeneration => Uuid::try_parse_ascii(value).is_ok(),
            LeftOver::IfOver => over_at(value).is_some_and(|at| at <= now),
        }
    }
}

/// The key of the slot among so many that a hash chooses.
fn key_among(kind: Kind, slots: u64, hash: &str, after: u64) -> String {
    let number = hash.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
    format!("{}:{slots}:{}", kind.name(), number.wrapping_add(after) % slots.max(1))
}

/// Parses a key into its kind and the number of slots that it is one of.
fn parse(key: &str) -> Option<(Kind, u64)> {
    let mut parts = key.split(':');
    let kind = Kind::named(parts.next()?)?;
    let (slots, slot) = (number(parts.next()?)?, number(parts.next()?)?);
    let is_possible = match kind {
        Kind::Predictions => u32::try_from(slots).is_ok_and(|slots| CACHE_SLOTS.contains(&slots)),
        Kind::Generation => [FEW_GENERATION_SLOTS, MANY_GENERATION_SLOTS].contains(&slots),
        Kind::Job => JOB_SLOTS.contains(&slots),
        Kind::Token => slots == TOKEN_SLOTS,
    };
    (is_possible && slot < slots && parts.next().is_none()).then_some((kind, slots))
}

fn is_hash(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The version of a value that is sealed for its key, its first byte. The time at which it is over follows.
pub(crate) const VERSION: u8 = 3;
/// The versions that this service has written. All have the time in the same place.
const VERSIONS: std::ops::RangeInclusive<u8> = 2..=VERSION;
/// The times that a value can be over at, in milliseconds since 1970: from 2020 to 2100.
const TIMES: std::ops::Range<i64> = 1_577_836_800_000..4_102_444_800_000;
/// The version and the time, in milliseconds since 1970-01-01 UTC.
pub(crate) const HEADER_BYTES: usize = 1 + 8;

/// The time at which a value is over, or `None` if this service has not written it.
pub(crate) fn over_at(value: &[u8]) -> Option<i64> {
    let ([version, at @ ..], _) = value.split_first_chunk::<HEADER_BYTES>()?;
    Some(i64::from_le_bytes(*at)).filter(|at| VERSIONS.contains(version) && TIMES.contains(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_store_has_fewer_than_a_thousand_keys() {
        let layout = Layout::new(400);
        // The others are the limits, the metrics, the key set, the sweep and what readiness writes.
        assert!(Kind::ALL.iter().map(|kind| layout.slots(*kind)).sum::<u64>() + 4 + 4 < 1_000);
    }

    #[test]
    fn a_hash_has_its_slot_and_those_after_it() {
        let layout = Layout::new(400);
        let hash = "ffffffffffffffff0000000000000000";
        assert_eq!(layout.key(Kind::Predictions, hash, 0), format!("predictions:400:{}", u64::MAX % 400));
        for after in 0..JOB_PLACES {
            let slot: u64 = layout.key(Kind::Job, hash, after)["job:50:".len()..].parse().expect("a number");
            assert!(slot < 50);
        }
        let keys: std::collections::BTreeSet<_> = (0..layout.expiring()).map(|at| layout.expiring_key(at)).collect();
        assert_eq!(keys.len() as u64, 400 + 50 + 64);
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
    fn a_person_has_keys_under_each_layout_that_a_list_has() {
        let hash = "0123456789abcdef0123456789abcdef";
        let listed = ["predictions:1000:7", "predictions:1000:8", "predictions:400:1", "job:50:1", "predictions:7:6"];
        let listed = listed.map(str::to_owned);
        let predictions = |slots: u32| vec![Layout::new(slots).key(Kind::Predictions, hash, 0)];
        let keys = |listed| Layout::new(400).keys_among(listed, Kind::Predictions, hash, 1);
        assert_eq!((keys(None), keys(Some(&listed))), (predictions(400), predictions(1000)));
        let jobs = |listed| Layout::new(65_536).keys_among(listed, Kind::Job, hash, JOB_PLACES);
        assert_eq!((jobs(None).len(), jobs(Some(&listed)).len()), (4, 4));
        assert!(jobs(None).iter().all(|key| !jobs(Some(&listed)).contains(key)));
        assert_eq!(Layout::new(400).other_generations_in(&listed, hash).len(), 0);
        assert_eq!(Layout::new(65_536).other_generations_in(&listed, hash).len(), 1);
    }

    #[test]
    fn only_what_was_this_services_is_left_over() {
        let layout = Layout::new(400);
        let (now, hash) = (1_800_000_000_000_i64, "0123456789abcdef0123456789abcdef");
        let value = |version: u8, at: i64| [&[version][..], &at.to_le_bytes(), b"sealed"].concat();
        let is_left_over =
            |key: &str, value: &[u8]| layout.left_over(key).is_some_and(|condition| condition.is_met(value, now));
        let over = value(3, now);
        for (key, value) in [
            (format!("predictions:{hash}:3:0123"), b"{}".as_slice()),
            (format!("generation:{hash}"), b"{}"),
            (format!("job:{hash}"), b"{}"),
            ("generation:399".to_owned(), b"11111111-1111-4111-8111-111111111111"),
            (format!("rate:predictions:{hash}:1"), b"1"),
            (format!("claim:{hash}:2"), b"1"),
            ("metrics:note:1".to_owned(), b"{}"),
            ("key-secret".to_owned(), b"1"),
            ("predictions:399".to_owned(), &value_of_version_2()),
            ("token:127".to_owned(), &over),
            ("predictions:1000:999".to_owned(), &over),
            ("job:48:1".to_owned(), &over),
        ] {
            assert!(is_left_over(&key, value), "{key}");
        }
        let kept = ["predictions:400:399", "generation:448:0", "generation:65536:1", "job:50:49", "token:64:63"];
        let singles = ["limits:3", "metrics", "key-set", "sweep"];
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
            "predictions:400:1:1",
            "token:0123456789abcdef0123456789abcdef",
            "job:0123456789ABCDEF0123456789ABCDEF",
            "predictions:1:1",
        ];
        for key in kept.iter().chain(&singles).chain(&others) {
            assert!(!is_left_over(key, &over), "{key}");
        }
        // Of another layout, and not over; and numbers that are another's, which have other values.
        assert!(!is_left_over("predictions:1000:999", &value(3, now + 1)));
        for (key, value) in
            [("job:12345", "{}"), ("token:64", "12345678901"), ("job:100:1", "{\"a\":12345678}"), ("generation:7", "8")]
        {
            assert!(!is_left_over(key, value.as_bytes()), "{key}");
        }
        for other in [value(1, now), value(4, now), value(3, 0), value(3, i64::MAX), value(3, now)[..8].to_vec()] {
            assert_eq!(over_at(&other), None);
        }
    }

    fn value_of_version_2() -> Vec<u8> {
        [&[2][..], &1_900_000_000_000_i64.to_le_bytes(), b"sealed"].concat()
    }
}
