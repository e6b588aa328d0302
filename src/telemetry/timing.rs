//! The measurements of a request while it is answered: how long each part took, and the facts that its line in the log
//! has. A leaf: it is passed down, and read once, when the request is finished.

use crate::ids::UserId;
use std::cell::{Cell, RefCell};
use std::fmt::{self, Write};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A part of a request: its name, when it began after the request did, and how long it took.
pub(crate) type Part = (&'static str, Duration, Duration);

/// The place that check-ins came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CheckInSource {
    Demo,
    Request,
    Supabase,
}

impl CheckInSource {
    pub(crate) fn name(self) -> &'static str {
        match self {
            CheckInSource::Demo => "demo",
            CheckInSource::Request => "request",
            CheckInSource::Supabase => "supabase",
        }
    }
}

/// The measurements of one request.
pub(crate) struct Timing {
    start: Instant,
    lap: Cell<Instant>,
    /// A part that comes more than once, as features and inference do for several check-ins, is here once.
    parts: RefCell<Vec<Part>>,
    /// The time that each model took.
    inference: RefCell<Vec<(&'static str, Duration)>>,
    source: Cell<Option<CheckInSource>>,
    /// The person that the request is about: never written but hashed.
    person: Cell<Option<UserId>>,
    /// The person who asks.
    caller: Cell<Option<UserId>>,
    /// The id of the predictions that are answered.
    decisions: Cell<Option<Uuid>>,
}

impl Timing {
    /// Begins to measure.
    pub(crate) fn start() -> Timing {
        Timing::about(None)
    }

    /// Begins to measure work about a person.
    pub(crate) fn about(person: Option<UserId>) -> Timing {
        let now = Instant::now();
        Timing {
            start: now,
            lap: Cell::new(now),
            parts: RefCell::default(),
            inference: RefCell::default(),
            source: Cell::default(),
            person: Cell::new(person),
            caller: Cell::default(),
            decisions: Cell::default(),
        }
    }

    pub(crate) fn started_at(&self) -> Instant {
        self.start
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Ends a part: everything since the last one ended.
    pub(crate) fn lap(&self, part: &'static str) {
        let now = Instant::now();
        let last = self.lap.replace(now);
        let (began, took) = (last - self.start, now - last);
        let mut parts = self.parts.borrow_mut();
        match parts.iter_mut().find(|(other, ..)| *other == part) {
            Some((.., sum)) => *sum += took,
            None => parts.push((part, began, took)),
        }
    }

    /// Ends the part in which check-ins were fetched.
    pub(crate) fn lap_source(&self, source: CheckInSource) {
        self.source.set(Some(source));
        self.lap("source");
    }

    pub(crate) fn set_source(&self, source: CheckInSource) {
        self.source.set(Some(source));
    }

    pub(crate) fn set_person(&self, person: Option<UserId>) {
        self.person.set(person);
    }

    pub(crate) fn set_caller(&self, caller: Option<UserId>) {
        self.caller.set(caller);
    }

    /// The people whose ids the request may carry: the one that it is about, and the one who asks.
    pub(crate) fn people(&self) -> [Option<UserId>; 2] {
        [self.person.get(), self.caller.get()]
    }

    pub(crate) fn set_decisions(&self, id: Uuid) {
        self.decisions.set(Some(id));
    }

    /// The id of the predictions that are answered, made now or before.
    pub(crate) fn decisions(&self) -> Option<String> {
        self.decisions.get().map(|id| id.to_string())
    }

    /// Adds the time that a model took.
    pub(crate) fn add_inference(&self, model: &'static str, took: Duration) {
        let mut inference = self.inference.borrow_mut();
        match inference.iter_mut().find(|(other, _)| *other == model) {
            Some((_, sum)) => *sum += took,
            None => inference.push((model, took)),
        }
    }

    pub(crate) fn source(&self) -> Option<CheckInSource> {
        self.source.get()
    }

    pub(crate) fn person(&self) -> Option<UserId> {
        self.person.get()
    }

    pub(crate) fn parts(&self) -> Vec<Part> {
        self.parts.borrow().clone()
    }

    pub(crate) fn inference(&self) -> Vec<(&'static str, Duration)> {
        self.inference.borrow().clone()
    }

    /// The time that the database took.
    pub(crate) fn upstream(&self) -> Option<Duration> {
        let parts = self.parts.borrow();
        let source = parts.iter().find(|(part, ..)| *part == "source");
        source.filter(|_| self.source.get() == Some(CheckInSource::Supabase)).map(|(.., took)| *took)
    }

    /// Renders the `server-timing` header (the W3C's Server Timing).
    pub(crate) fn render_header(&self) -> String {
        let mut header = String::with_capacity(128);
        for (part, _, took) in &*self.parts.borrow() {
            let _ = write!(header, "{part};dur={}, ", Milliseconds(*took));
        }
        let _ = write!(header, "total;dur={}", Milliseconds(self.elapsed()));
        header
    }
}

/// A duration in milliseconds, to the microsecond.
#[derive(Clone, Copy)]
pub(crate) struct Milliseconds(pub(crate) Duration);

/// Prints whole numbers, which takes a tenth of the time of printing a float.
impl fmt::Display for Milliseconds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.as_secs() * 1_000 + u64::from(self.0.subsec_millis());
        let rest = self.0.subsec_micros() % 1_000;
        write!(out, "{whole}.{rest:03}")
    }
}

impl serde::Serialize for Milliseconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_micros() as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_comes_twice_is_there_once_with_its_sum() {
        let timing = Timing::start();
        for part in ["features", "inference", "features"] {
            timing.lap(part);
        }
        let names: Vec<&str> = timing.parts().iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, ["features", "inference"]);
        assert!(timing.render_header().starts_with("features;dur="));
        assert_eq!(Milliseconds(Duration::from_micros(1_002_030)).to_string(), "1002.030");
    }

    #[test]
    fn only_a_database_is_upstream() {
        let timing = Timing::start();
        timing.lap_source(CheckInSource::Demo);
        assert_eq!(timing.upstream(), None);
        timing.lap_source(CheckInSource::Supabase);
        assert!(timing.upstream().is_some());
    }
}
