//! Approximate rate limits for a store that can only get and set: no atomic increment, no compare-and-swap, reads that
//! may lag. Nothing here does IO; the caller reads a slot before the answer and writes it after.
//!
//! The store has [`SLOTS`] keys, the slots. A caller's hash chooses the slot, whose value is a [`Table`] of callers
//! with the estimated number of their requests in this window and in the last; `judge` decides by them.
//!
//! **Sampling.** Writes are dear, so not every request is counted. With a limit of L requests a window, a caller whose
//! estimate is below L/4 is counted with a probability of 1/k1, as k1 requests; from there on with 1/k2, as k2. See
//! `Sampling`: up to L = 1,023 every request is counted from L/4 on. To count is to write the whole slot, so writers
//! at the same time lose each other's updates. That only undercounts: it errs in the callers' favour, as do a lagging
//! read, a lost write, an unreadable table and a write that the budget does not allow.
//!
//! **Guarantee: nobody who asks for less than half of their limit is ever refused.** The estimate alone does not give
//! it: the samples of L/4 can be k1 too many in each of two windows, and even exact counts of two windows, each less
//! than L/2, can add up to L - 1. So a table has a second pair of counts, the certain ones: a request that is counted
//! adds 1 to them, whatever it adds to the estimate. Each of their ones is a request that was made, in that window, and
//! each lineage of values has it at most once; so they never exceed what the caller asked for. A request is refused
//! only if the estimate is beyond the limit *and* the certain count of this window, with itself, or of the last one is
//! at least L/2. A caller who asks for less than L/2 in each window has no such count.
//!
//! With k2 > 1 (L of 1,024 or more) a near request adds k2 to the certain count, with a probability of 1/k2, and at
//! least 11/16 L are needed. Of fewer than L/2 requests a mean of L/2 at most is counted in steps of at most k2, and
//! L/2 is at least 256 steps. By Chernoff's bound they reach 11/8 of their mean with a probability below
//! exp(-256 * (1.375 ln 1.375 - 0.375)) < 1.1e-7 a window. Probabilities that depend on what was counted before, and
//! writes that are lost, only lower the sum, so the bound holds for them as well.
//!
//! **Budget.** `Pace` holds the writes of a slot to its share of the writes that the application may make. A flood is
//! noticed only as fast as that allows: L/2 certain requests need L/2 writes, or an instance that has seen them itself
//! ([`OwnCounts`]).

use crate::quota::{LimitGroup, METRICS_WRITES, Rate, RateLimitStatus, judge};
use std::collections::HashMap;

/// The number of slots, which are keys of the store.
pub const SLOTS: usize = 4;
/// The most callers in a table.
const MAX_CALLERS: usize = 256;
/// The most callers that an instance remembers.
pub(super) const MAX_OWN: usize = 1024;
/// The first byte of a table. Another is not this format.
const VERSION: u8 = 1;
const HEADER: usize = 1 + 2 * 8 + 20;
const ENTRY: usize = 8 + 1 + 4 + 4 * 4;
/// The longest value of a slot, in bytes.
pub const MAX_BYTES: usize = HEADER + MAX_CALLERS * ENTRY;

/// A caller as the limiter knows them: by a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallerKey {
    /// The slot that counts them, below [`SLOTS`].
    pub slot: usize,
    /// The tag in the slot's table.
    pub tag: u64,
}

impl CallerKey {
    /// Parses a keyed hash: 16 bytes in hexadecimal. The first 8 are the tag, the last one chooses the slot.
    pub fn from_hash(hash: &str) -> Option<CallerKey> {
        let tag = u64::from_str_radix(hash.get(..16)?, 16).ok()?;
        let last = u8::from_str_radix(hash.get(30..32)?, 16).ok()?;
        Some(CallerKey { slot: usize::from(last) % SLOTS, tag })
    }
}

/// Returns the limiter's part of the writes a second that the whole application may make, for one slot: infinite for a
/// budget of 0, which is no bound. The rest is for metrics.
pub fn share_of_slot(budget: u32) -> f64 {
    if budget == 0 {
        return f64::INFINITY;
    }
    f64::from(budget) * (1.0 - 1.0 / f64::from(METRICS_WRITES)) / SLOTS as f64
}

/// A request that asks to be let through.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The tag of its caller.
    pub tag: u64,
    /// The limit that it counts against.
    pub group: LimitGroup,
    /// That limit.
    pub rate: Rate,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// The requests of the caller that this instance has let through before.
    pub own: Counts,
}

impl Request {
    fn window(&self) -> Window {
        Window::new(self.rate, self.now_ms)
    }
}

/// Numbers of requests in two windows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// The window before.
    pub last: u32,
    /// The window that has not ended.
    pub this: u32,
}

impl Counts {
    /// Returns the counts of window `from` as they are in window `to`.
    fn moved(self, from: u32, to: u32) -> Counts {
        match to.checked_sub(from) {
            Some(0) => self,
            Some(1) => Counts { last: self.this, this: 0 },
            // Long past, or the clock of the instance that wrote it is ahead.
            _ => Counts::default(),
        }
    }

    fn at_least(self, other: Counts) -> Counts {
        Counts { last: self.last.max(other.last), this: self.this.max(other.this) }
    }

    /// The count against the limit, as [`judge`] has it.
    fn used(self, elapsed: f64) -> f64 {
        f64::from(self.last) * (1.0 - elapsed) + f64::from(self.this)
    }
}

/// A window in time: its number since 1970, and how much of it has elapsed, from 0 to 1.
#[derive(Clone, Copy)]
struct Window {
    index: u32,
    elapsed: f64,
}

impl Window {
    fn new(rate: Rate, now_ms: i64) -> Window {
        let length = i64::from(rate.seconds.max(1)) * 1000;
        Window {
            index: u32::try_from(now_ms.div_euclid(length)).unwrap_or(0),
            elapsed: now_ms.rem_euclid(length) as f64 / length as f64,
        }
    }
}

/// The sampling of a limit: a request is counted once in so many, as so many.
struct Sampling {
    /// Below a quarter of the limit.
    far: u32,
    /// From there on.
    near: u32,
    /// The certain count without which nobody is refused.
    needed: u32,
}

impl Sampling {
    fn new(limit: u32) -> Sampling {
        let near = (limit / 512).max(1);
        let needed = if near == 1 { limit.div_ceil(2) } else { limit - limit / 4 - limit / 16 };
        Sampling { far: (limit / 4).clamp(1, 32).max(near), near, needed }
    }
}

/// The value of a slot.
#[derive(Clone, Default)]
pub struct Table {
    /// The limits that the entries were counted for, by group, so that their windows and nearness are known.
    rates: [Option<Rate>; 2],
    pace: Option<Pace>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    tag: u64,
    group: LimitGroup,
    window: u32,
    estimate: Counts,
    certain: Counts,
}

impl Table {
    /// Parses the value of a slot. One that is not a table is an empty one: the store may be shared, and there is
    /// nothing better to do with it than to begin anew.
    pub fn parse(bytes: &[u8]) -> Table {
        Table::try_parse(bytes).unwrap_or_default()
    }

    fn try_parse(bytes: &[u8]) -> Option<Table> {
        let mut reader = Reader(bytes);
        if bytes.len() > MAX_BYTES || reader.take::<1>()? != [VERSION] {
            return None;
        }
        let rates = [reader.rate()?, reader.rate()?];
        let pace = Pace::parse(&mut reader)?;
        let mut entries = Vec::with_capacity(reader.0.len() / ENTRY);
        while !reader.0.is_empty() {
            entries.push(Entry::parse(&mut reader)?);
        }
        let is_whole = entries.iter().all(|entry| rates[entry.group as usize].is_some());
        is_whole.then_some(Table { rates, pace: Some(pace), entries })
    }

    /// Decides about a request. Errors with the status of one that is refused, which must not be counted.
    pub fn status(&self, request: &Request) -> Result<RateLimitStatus, RateLimitStatus> {
        let window = request.window();
        let [estimate, certain] = self.counts(request, window).map(|counts| counts.at_least(request.own));
        let judged = judge(request.rate, estimate.last.into(), i64::from(estimate.this) + 1, window.elapsed);
        let needed = Sampling::new(request.rate.requests).needed;
        let is_certain = certain.last.max(certain.this.saturating_add(1)) >= needed;
        judged.or_else(|status| if is_certain { Err(status) } else { Ok(status) })
    }

    /// Counts a request that was let through. Returns the bytes to write to the slot, or `None` if this one is not
    /// counted, by chance or because the slot has had its share of writes (as many a second). `random` is a number from
    /// 0 to below 1.
    pub fn count(&self, request: &Request, random: f64, share: f64) -> Option<Vec<u8>> {
        let window = request.window();
        let sampling = Sampling::new(request.rate.requests);
        let [mut estimate, mut certain] = self.counts(request, window);
        estimate = estimate.at_least(request.own);
        if sampling.near == 1 {
            // Of samples only the low ones would be corrected so, and the bound above would no longer hold.
            certain = certain.at_least(request.own);
        }
        let is_near = estimate.used(window.elapsed) >= f64::from(request.rate.requests) / 4.0;
        let weight = if is_near { sampling.near } else { sampling.far };
        let pace = self.pace.filter(|_| share.is_finite());
        let allowed = pace.map_or(1.0, |pace| pace.probability(request.now_ms, share));
        if random * f64::from(weight) >= allowed {
            return None;
        }
        estimate.this = estimate.this.saturating_add(weight);
        certain.this = certain.this.saturating_add(if is_near { sampling.near } else { 1 });
        let mut table = self.clone();
        table.set_rate(request.group, request.rate);
        let Request { tag, group, .. } = *request;
        table.put(Entry { tag, group, window: window.index, estimate, certain }, request.now_ms)?;
        table.pace = Some(Pace::after(self.pace, request.now_ms, share));
        Some(table.to_bytes())
    }

    /// Returns the table without a caller, and the number of counts that they had; `None` if they have none.
    pub fn without(self, tag: u64) -> Option<(Vec<u8>, usize)> {
        self.filtered(|entry, _| entry.tag != tag)
    }

    /// Returns the table without the counts that no limit looks at any more, of one caller or of all, and their number;
    /// `None` if there are none.
    pub fn without_past(self, tag: Option<u64>, now_ms: i64) -> Option<(Vec<u8>, usize)> {
        self.filtered(|entry, rate| {
            let window = rate.map(|rate| Window::new(rate, now_ms).index);
            let is_past = window.is_none_or(|window| entry.window.saturating_add(1) < window);
            !is_past || tag.is_some_and(|tag| entry.tag != tag)
        })
    }

    /// Returns the table with some of its counts, and the number of the others; `None` if these are all.
    fn filtered(mut self, is_kept: impl Fn(&Entry, Option<Rate>) -> bool) -> Option<(Vec<u8>, usize)> {
        let (before, rates) = (self.entries.len(), self.rates);
        self.entries.retain(|entry| is_kept(entry, rates[entry.group as usize]));
        let gone = before - self.entries.len();
        (gone > 0).then(|| (self.to_bytes(), gone))
    }

    /// Returns the estimated and the certain counts of a caller before a request.
    fn counts(&self, request: &Request, window: Window) -> [Counts; 2] {
        let rate = self.rates[request.group as usize];
        let is_known = rate.is_some_and(|rate| rate.seconds == request.rate.seconds);
        let entry = self.position(request.tag, request.group).filter(|_| is_known).map(|found| self.entries[found]);
        entry.map_or_else(Default::default, |entry| {
            [entry.estimate, entry.certain].map(|counts| counts.moved(entry.window, window.index))
        })
    }

    fn position(&self, tag: u64, group: LimitGroup) -> Option<usize> {
        self.entries.iter().position(|entry| entry.tag == tag && entry.group == group)
    }

    /// Sets the limit of a group. Counts of windows of another length are dropped: they say nothing of these.
    fn set_rate(&mut self, group: LimitGroup, rate: Rate) {
        let old = self.rates[group as usize].replace(rate);
        if old.is_none_or(|old| old.seconds != rate.seconds) {
            self.entries.retain(|entry| entry.group != group);
        }
    }

    /// Puts an entry in the place of its caller's old one. In a full table it takes the place of the one that is
    /// farthest from its limit, which one of a past window is first. Returns `None` if all have used half of theirs.
    fn put(&mut self, entry: Entry, now_ms: i64) -> Option<()> {
        if let Some(place) = self.position(entry.tag, entry.group) {
            self.entries[place] = entry;
        } else if self.entries.len() < MAX_CALLERS {
            self.entries.push(entry);
        } else {
            let parts = self.entries.iter().map(|entry| self.part_of_limit(entry, now_ms)).enumerate();
            let (place, part) = parts.min_by(|one, other| one.1.total_cmp(&other.1))?;
            if part >= 0.5 {
                return None;
            }
            self.entries[place] = entry;
        }
        Some(())
    }

    /// Returns the part of its limit that an entry has used.
    fn part_of_limit(&self, entry: &Entry, now_ms: i64) -> f64 {
        self.rates[entry.group as usize].map_or(0.0, |rate| {
            let window = Window::new(rate, now_ms);
            entry.estimate.moved(entry.window, window.index).used(window.elapsed) / f64::from(rate.requests)
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.entries.len() * ENTRY);
        out.push(VERSION);
        for rate in self.rates {
            let (requests, seconds) = rate.map_or((0, 0), |rate| (rate.requests, rate.seconds));
            write_numbers(&mut out, &[requests, seconds]);
        }
        self.pace.unwrap_or_default().write(&mut out);
        for entry in &self.entries {
            out.extend_from_slice(&entry.tag.to_le_bytes());
            out.push(entry.group as u8);
            let Entry { estimate, certain, .. } = entry;
            write_numbers(&mut out, &[entry.window, estimate.last, estimate.this, certain.last, certain.this]);
        }
        out
    }
}

impl Entry {
    fn parse(reader: &mut Reader<'_>) -> Option<Entry> {
        let tag = u64::from_le_bytes(reader.take()?);
        let group = match reader.take::<1>()? {
            [0] => LimitGroup::Predictions,
            [1] => LimitGroup::Default,
            _ => return None,
        };
        let window = reader.number()?;
        let mut counts = || Some(Counts { last: reader.number()?, this: reader.number()? });
        Some(Entry { tag, group, window, estimate: counts()?, certain: counts()? })
    }
}

/// The pace of a slot's writes: the probability with which a request that is to be counted is written, so that the slot
/// has its share of writes a second, and no more.
///
/// To count the writes of this second is not enough. Requests that read the same value do not see each other's writes,
/// so with a thousand requests a second and reads that lag by a second, a thousand find that nobody has written lately.
/// All that such a request can see is the age of the last write: the lag of the store, and the gap before that moment,
/// which is short if writes are many. So a slot keeps the shortest age seen, for the lag, and the mean of how much
/// longer ages are, for the gap between writes. The level rises while gaps are shorter than the share allows, and the
/// probability falls exponentially with it, as in timers that keep receivers of a multicast from answering all at once.
/// The longer nobody wrote, the more it rises again.
///
/// Writes of one caller at even intervals look like many with a lag of that interval. Some are left out for it until
/// the intervals are uneven: this errs in the caller's favour.
#[derive(Clone, Copy, Default)]
struct Pace {
    written_ms: i64,
    /// The shortest age seen; [`Pace::NO_LAG`] before there were two writes.
    lag_ms: u32,
    /// The mean gap between writes, in microseconds.
    gap_us: u32,
    /// The level, in thousandths.
    level: u32,
}

impl Pace {
    const NO_LAG: u32 = u32::MAX;
    /// The level up to which all are written: a few quick writes say little.
    const FREE_LEVEL: f64 = 3.0;
    /// Writes are held to the share with a probability of e^-17: no flood is larger than that.
    const MAX_LEVEL: f64 = 20.0;
    /// The most that one write raises the level by.
    const MAX_STEP: f64 = 4.0;
    /// The part of the share that is aimed at, since writes come in bursts. It is less where reads lag: of the values
    /// that are written meanwhile, those with the lowest level have the most successors, which pulls the level down.
    const AIM: f64 = 0.6;
    /// The longest gap that counts: an hour without requests is no reason to forget the minute before it.
    const MAX_GAP_MS: f64 = 10_000.0;

    fn age(self, now_ms: i64) -> f64 {
        now_ms.saturating_sub(self.written_ms).max(0) as f64
    }

    /// The gap, in milliseconds, before the last write that could be seen, and by how much it lowers the level. A write
    /// is seen after the lag, so a level that fell faster would be too low for all who ask meanwhile.
    fn gap(self, now_ms: i64, share: f64) -> (f64, f64) {
        let lag = f64::from(self.lag_ms);
        let gap = (self.age(now_ms) - lag).max(0.0);
        (gap, gap / lag.max(4_000.0 / share))
    }

    fn probability(self, now_ms: i64, share: f64) -> f64 {
        if self.lag_ms == Pace::NO_LAG {
            return 1.0;
        }
        let (_, fall) = self.gap(now_ms, share);
        (Pace::FREE_LEVEL + fall - f64::from(self.level) / 1e3).exp().min(1.0)
    }

    /// Returns the pace after a write.
    fn after(pace: Option<Pace>, now_ms: i64, share: f64) -> Pace {
        let first_gap_us = (0.5e6 / share) as u32;
        let Some(old) = pace else {
            return Pace { written_ms: now_ms, lag_ms: Pace::NO_LAG, gap_us: first_gap_us, level: 0 };
        };
        let age = old.age(now_ms).min(f64::from(Pace::NO_LAG - 1));
        if old.lag_ms == Pace::NO_LAG {
            return Pace { written_ms: now_ms, lag_ms: age as u32, ..old };
        }
        let (gap, fall) = old.gap(now_ms, share);
        let mean_gap_us = f64::from(old.gap_us) * 0.7 + gap.min(Pace::MAX_GAP_MS) * 300.0;
        // A long gap lowers the level by its fall alone. A step down besides is too much where reads lag: the level
        // then swings, and each swing is a burst. A gap that is slightly too short is little evidence, one of a tenth
        // is much.
        let aim = Pace::AIM / (1.0 + share * f64::from(old.lag_ms) / 4_000.0);
        let excess = -(aim * share * mean_gap_us.max(1.0) / 1e6).ln().min(0.0);
        let step = (0.3 * excess + 1.4 * (excess - 2.0).max(0.0)).min(Pace::MAX_STEP);
        let level = f64::from(old.level) / 1e3 + step - fall;
        // The lag may have become longer, or the shortest age have been a chance.
        let lag = f64::from(old.lag_ms).min(age) + gap / 8.0;
        Pace {
            written_ms: now_ms,
            lag_ms: lag.min(Pace::MAX_GAP_MS) as u32,
            gap_us: mean_gap_us as u32,
            level: (level.clamp(0.0, Pace::MAX_LEVEL) * 1e3) as u32,
        }
    }

    fn parse(reader: &mut Reader<'_>) -> Option<Pace> {
        let written_ms = i64::from_le_bytes(reader.take()?);
        let pace = Pace { written_ms, lag_ms: reader.number()?, gap_us: reader.number()?, level: reader.number()? };
        (f64::from(pace.level) <= Pace::MAX_LEVEL * 1e3).then_some(pace)
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.written_ms.to_le_bytes());
        write_numbers(out, &[self.lag_ms, self.gap_us, self.level]);
    }
}

/// Requests that one instance has let through, so that one that is reused limits a flood that the store counts too
/// slowly.
#[derive(Default)]
pub struct OwnCounts {
    counts: HashMap<(u64, u8), OwnCount>,
    /// The counts of all callers together that are not remembered, by group. Only requests that nobody else counts are
    /// among them.
    shared: [OwnCount; 2],
    swept_ms: i64,
}

#[derive(Default)]
struct OwnCount {
    window: u32,
    counts: Counts,
    /// The end of the window after, from which on the counts are of no use.
    until_ms: i64,
}

impl OwnCounts {
    /// Returns the requests of a caller that were let through.
    pub fn get(&self, tag: u64, group: LimitGroup, rate: Rate, now_ms: i64) -> Counts {
        let now = Window::new(rate, now_ms);
        self.counts.get(&(tag, group as u8)).map_or_else(Counts::default, |own| own.counts.moved(own.window, now.index))
    }

    /// Returns the requests of a caller that were let through or, of one that there is no more room for, those of all
    /// such callers.
    pub fn get_or_shared(&self, tag: u64, group: LimitGroup, rate: Rate, now_ms: i64) -> Counts {
        if self.is_remembered(tag, group) {
            return self.get(tag, group, rate, now_ms);
        }
        let OwnCount { window, counts, .. } = &self.shared[group as usize];
        counts.moved(*window, Window::new(rate, now_ms).index)
    }

    /// Returns true if a caller has counts of their own, or there is room for them.
    fn is_remembered(&self, tag: u64, group: LimitGroup) -> bool {
        self.counts.len() < MAX_OWN || self.counts.contains_key(&(tag, group as u8))
    }

    /// Forgets a caller.
    pub fn forget(&mut self, tag: u64) {
        self.counts.retain(|(other, _), _| *other != tag);
    }

    /// Adds a request that is let through, and that nobody else counts if it `is_alone`. An instance that remembers too
    /// many callers forgets those of past windows once a second, and remembers no other while it is full.
    pub fn add(&mut self, request: &Request, is_alone: bool) {
        let Request { tag, group, rate, now_ms, .. } = *request;
        let key = (tag, group as u8);
        let is_full = self.counts.len() >= MAX_OWN;
        if is_full && now_ms.saturating_sub(self.swept_ms) >= 1_000 {
            self.counts.retain(|_, own| own.until_ms > now_ms);
            self.swept_ms = now_ms;
        }
        let is_remembered = self.is_remembered(tag, group);
        if !is_remembered && !is_alone {
            return;
        }
        let window = request.window().index;
        let mut counts = self.get_or_shared(tag, group, rate, now_ms);
        counts.this = counts.this.saturating_add(1);
        let until_ms = (i64::from(window) + 2) * i64::from(rate.seconds) * 1_000;
        let own = OwnCount { window, counts, until_ms };
        match is_remembered {
            true => drop(self.counts.insert(key, own)),
            false => self.shared[group as usize] = own,
        }
    }
}

fn write_numbers(out: &mut Vec<u8>, numbers: &[u32]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// The bytes of a table that were not yet read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// Reads a limit, `None` in the inner option if there was none.
    fn rate(&mut self) -> Option<Option<Rate>> {
        let (requests, seconds) = (self.number()?, self.number()?);
        Some((requests > 0 && seconds > 0).then_some(Rate { requests, seconds }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const PREDICTIONS: LimitGroup = LimitGroup::Predictions;
    /// A share that no test uses up.
    const MUCH: f64 = 1e9;
    /// The begin of a minute.
    const START: i64 = 1_800_000_000_000;

    fn minute(requests: u32) -> Rate {
        Rate { requests, seconds: 60 }
    }

    fn request(tag: u64, rate: Rate, now_ms: i64) -> Request {
        Request { tag, group: PREDICTIONS, rate, now_ms, own: Counts::default() }
    }

    /// A slot without lag or other writers.
    #[derive(Default)]
    struct Slot(Vec<u8>);

    impl Slot {
        /// Asks and counts. Returns the status, and true if the slot was written.
        fn ask(
            &mut self,
            request: &Request,
            random: f64,
            share: f64,
        ) -> (Result<RateLimitStatus, RateLimitStatus>, bool) {
            let table = Table::parse(&self.0);
            let status = table.status(request);
            let written = if status.is_ok() { table.count(request, random, share) } else { None };
            let is_written = written.is_some();
            self.0 = written.unwrap_or_else(|| std::mem::take(&mut self.0));
            (status, is_written)
        }
    }

    #[test]
    fn a_small_limit_is_exact_for_a_caller_who_asks_one_after_the_other() {
        for limit in 1..=4 {
            for gap_ms in [0, 1, 10, 1_000] {
                let mut slot = Slot::default();
                for asked in 1..=10 {
                    let now = START + gap_ms * i64::from(asked);
                    let (status, _) = slot.ask(&request(7, minute(limit), now), 0.99, share_of_slot(40));
                    assert_eq!(status.is_ok(), asked <= limit, "request {asked} of {limit}, {gap_ms} ms apart");
                    assert_eq!(status.unwrap_or_else(|status| status).remaining, limit.saturating_sub(asked));
                }
            }
        }
    }

    #[test]
    fn windows_slide_and_are_forgotten() {
        let mut slot = Slot::default();
        let rate = minute(4);
        let mut is_let_through =
            |seconds: i64| slot.ask(&request(7, rate, START + seconds * 1_000), 0.0, MUCH).0.is_ok();
        assert_eq!([50, 51, 52, 53, 54].map(&mut is_let_through), [true, true, true, true, false]);
        // Three quarters of the four, then half of them, and one more.
        assert_eq!([74, 75, 76, 90, 91].map(&mut is_let_through), [false, true, false, true, false]);
        // The window before last is nothing.
        assert_eq!([180, 181, 182, 183, 184].map(&mut is_let_through), [true, true, true, true, false]);
    }

    #[test]
    fn far_from_the_limit_few_are_counted_and_near_it_all() {
        let (mut slot, mut random) = (Slot::default(), Xorshift(1));
        let mut writes = 0;
        (0..5).for_each(|_| assert!(slot.ask(&request(7, minute(600), START), 0.0, MUCH).1));
        assert_eq!(known(&slot, START), [5 * 32, 5], "as 32 requests, of which one is certain");
        while slot.ask(&request(7, minute(600), START), random.next(), MUCH).1 {
            writes += 1;
        }
        assert_eq!((writes, known(&slot, START)), (440, [600, 445]));
    }

    #[test]
    fn groups_and_limits_of_another_length_are_apart() {
        let mut slot = Slot::default();
        let ask = |slot: &mut Slot, group, rate| slot.ask(&Request { group, ..request(7, rate, START) }, 0.0, MUCH).0;
        assert!(ask(&mut slot, PREDICTIONS, minute(1)).is_ok());
        assert!(ask(&mut slot, PREDICTIONS, minute(1)).is_err());
        assert!(ask(&mut slot, LimitGroup::Default, minute(1)).is_ok());
        assert!(ask(&mut slot, PREDICTIONS, Rate { requests: 1, seconds: 3_600 }).is_ok());
        assert!(ask(&mut slot, LimitGroup::Default, minute(1)).is_err(), "the other group is as it was");
        assert_eq!(Table::parse(&slot.0).entries.len(), 2);
    }

    #[test]
    fn a_full_table_forgets_those_who_are_farthest_from_their_limit() {
        let (mut slot, rate) = (Slot::default(), minute(4));
        // One of a past window, one near the limit, and 254 others.
        assert!(slot.ask(&request(0, rate, START - 120_000), 0.0, MUCH).1);
        (0..3).for_each(|_| assert!(slot.ask(&request(1, rate, START), 0.0, MUCH).1));
        (2..256).for_each(|tag| assert!(slot.ask(&request(tag, rate, START), 0.0, MUCH).1));
        assert_eq!(slot.0.len(), MAX_BYTES);
        assert!(slot.ask(&request(1_000, rate, START), 0.0, MUCH).1);
        let tags = |slot: &Slot| Table::parse(&slot.0).entries.iter().map(|entry| entry.tag).collect::<Vec<_>>();
        assert!(tags(&slot).contains(&1_000) && !tags(&slot).contains(&0), "the past goes first");
        assert!(slot.ask(&request(1_001, rate, START), 0.0, MUCH).1);
        assert!(tags(&slot).contains(&1_001) && tags(&slot).contains(&1));
        // Once all are near their limits, nobody gives way.
        for tag in tags(&slot) {
            (0..2).for_each(|_| _ = slot.ask(&request(tag, rate, START), 0.0, MUCH));
        }
        assert!(!slot.ask(&request(1_002, rate, START), 0.0, MUCH).1);
        assert_eq!(slot.0.len(), MAX_BYTES);
        const { assert!(MAX_BYTES < 16_384) };
    }

    #[test]
    fn writes_keep_to_the_budget_however_many_ask_and_see_each_other_late() {
        let share = share_of_slot(40);
        for (a_second, lag_ms) in [(20, 5), (200, 5), (2_000, 5), (1_000, 200), (300, 1_000), (1_000, 2_000)] {
            let (mut random, mut written) = (Xorshift(5), 0);
            let (mut seen, mut unseen) = (None, VecDeque::new());
            // The first half minute is for learning the lag.
            for asked in 0..a_second * 90 {
                let now = START + asked * 1_000 / a_second;
                while unseen.front().is_some_and(|(written_ms, _)| *written_ms <= now - lag_ms) {
                    seen = unseen.pop_front().map(|(_, pace)| pace);
                }
                if random.next() < seen.map_or(1.0, |pace: Pace| pace.probability(now, share)) {
                    unseen.push_back((now, Pace::after(seen, now, share)));
                    written += i32::from(asked >= a_second * 30);
                }
            }
            let a_second_written = f64::from(written) / 60.0;
            assert!(a_second_written <= share, "{a_second_written} at {a_second} requests/s, {lag_ms} ms");
            assert!(a_second_written >= share / 10.0, "{a_second_written} at {a_second} requests/s, {lag_ms} ms");
        }
        let (mut slot, mut random) = (Slot::default(), Xorshift(1));
        let mut is_written = |tick: i64| slot.ask(&request(7, minute(600), START + tick * 10), random.next(), share).1;
        let written = (0..1_000).filter(|tick| is_written(*tick)).count();
        assert!((30..=100).contains(&written), "{written} of a flood in 10 s");
    }

    #[test]
    fn a_reused_instance_limits_what_the_store_does_not_count() {
        let (mut own, rate, table) = (OwnCounts::default(), minute(60), Table::default());
        for asked in 1..=100 {
            let counts = own.get(7, PREDICTIONS, rate, START);
            let request = Request { own: counts, ..request(7, rate, START) };
            assert_eq!(table.status(&request).is_ok(), asked <= 60);
            if table.status(&request).is_ok() {
                own.add(&request, false);
            }
        }
        assert_eq!(own.get(7, PREDICTIONS, rate, START + 60_000), Counts { last: 60, this: 0 });
        (0..5_000).for_each(|tag| own.add(&request(tag, rate, START + 1_000), false));
        assert_eq!(own.counts.len(), MAX_OWN);
        own.add(&request(9_000, rate, START + 120_000), false);
        assert_eq!(own.counts.len(), 1, "past windows are forgotten");
    }

    #[test]
    fn a_hash_is_parsed_or_refused() {
        let key = CallerKey::from_hash("00000000000000ff0000000000000007");
        assert_eq!(key, Some(CallerKey { slot: 3, tag: 255 }));
        for wrong in
            ["", "00000000000000ff", "00000000000000fg0000000000000007", "\u{e9}0000000000000000000000000000000"]
        {
            assert_eq!(CallerKey::from_hash(wrong), None, "{wrong}");
        }
    }

    /// The estimated and the certain count of this window.
    fn known(slot: &Slot, now_ms: i64) -> [u32; 2] {
        let table = Table::parse(&slot.0);
        let request = request(7, minute(600), now_ms);
        table.counts(&request, request.window()).map(|counts| counts.this)
    }

    /// Numbers from 0 to below 1.
    struct Xorshift(u64);

    impl Xorshift {
        fn next(&mut self) -> f64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    proptest! {
        /// However chance falls, and whichever value a read finds.
        #[test]
        fn nobody_who_asks_for_less_than_half_is_refused(
            limit in 1_u32..1_024,
            begin in 0_i64..60_000,
            gaps in prop::collection::vec(0_i64..40_000, 1..600),
            luck in 0.0_f64..1.0,
            lag in 0_usize..5,
            seed in 1_u64..,
        ) {
            let (mut random, mut now) = (Xorshift(seed), START + begin);
            let (mut versions, mut asked) = (vec![Vec::new()], Vec::new());
            for gap in gaps {
                now += gap / i64::from(limit);
                let in_minute = asked.iter().filter(|&&at| at > now - 60_000).count();
                if 2 * (in_minute + 1) >= limit as usize {
                    now += 30_000;
                    continue;
                }
                asked.push(now);
                let table = Table::parse(&versions[versions.len().saturating_sub(lag + 1)]);
                let request = request(7, minute(limit), now);
                prop_assert!(table.status(&request).is_ok());
                versions.extend(table.count(&request, random.next() * luck, MUCH));
            }
        }

        #[test]
        fn hostile_bytes_are_an_empty_table_or_one_that_works(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            cut in 0_usize..100,
            now_ms in any::<i64>(),
            requests in 1_u32..,
        ) {
            let mut slot = Slot::default();
            (0..3).for_each(|tag| _ = slot.ask(&request(tag, minute(4), START), 0.0, MUCH));
            let cut = cut.min(slot.0.len());
            let mut mixed = slot.0[..cut].to_vec();
            mixed.extend_from_slice(&bytes);
            let mut changed = slot.0.clone();
            changed.iter_mut().skip(1 + cut % 60).zip(&bytes).for_each(|(own, other)| *own = *other);
            for bytes in [bytes, mixed, changed] {
                let table = Table::parse(&bytes);
                for rate in [minute(requests), minute(4), Rate { requests, seconds: 86_400 }] {
                    let request = request(2, rate, now_ms);
                    let _ = table.status(&request);
                    let written = table.count(&request, 0.0, 9.0).unwrap_or_default();
                    prop_assert!(written.len() <= MAX_BYTES);
                    prop_assert_eq!(Table::parse(&written).to_bytes().len(), written.len().max(HEADER));
                }
            }
        }
    }
}
