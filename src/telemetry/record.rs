//! What is found out about a request while it is answered: for `server-timing`, its line in the log, and the metrics.

use super::export::{self, Attribute, Part};
use super::log;
use super::metrics::{
    self, CACHE, DURATIONS, INFERENCE, MISSING, PREDICTIONS, PROBLEMS, REQUESTS, ROWS, STARTED, TIMEOUTS,
};
use super::trace::Trace;
use crate::deadline::Deadline;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::predict::Prediction;
use crate::problem::Problem;
use crate::request::{RequestId, UserId};
use crate::response::Response;
use crate::settings::LogLevel;
use crate::store;
use features::{FEATURES, Row};
use http::Method;
use http::request::Parts;
use serde::{Serialize, Serializer};
use std::fmt::{self, Write};
use std::time::{Duration, Instant};

/// One request.
pub(crate) struct Record {
    start: Instant,
    lap: Instant,
    /// A part that came more than once, as features and inference do for several check-ins, is here once.
    parts: Vec<Part>,
    pub(crate) id: RequestId,
    pub(crate) trace: Option<Trace>,
    method: &'static str,
    /// The path's template.
    route: &'static str,
    deadline: Option<Deadline>,
    /// Where check-ins came from.
    pub(crate) source: Option<&'static str>,
    /// Whom it is about: never written but hashed.
    pub(crate) person: Option<UserId>,
    /// How long each model took.
    inference: Vec<(&'static str, Duration)>,
    /// What went wrong: its kind, and what is said of it.
    problem: Option<(&'static str, &'static str)>,
}

impl Record {
    pub(crate) fn start(request: &Parts) -> Record {
        metrics::add(&STARTED, &[], 1);
        let method = match request.method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::DELETE => "DELETE",
            Method::OPTIONS => "OPTIONS",
            _ => "other",
        };
        let now = Instant::now();
        Record {
            start: now,
            lap: now,
            parts: Vec::new(),
            id: RequestId::of(&request.headers),
            trace: Trace::of(&request.headers),
            method,
            route: "none",
            deadline: None,
            source: None,
            person: None,
            inference: Vec::new(),
            problem: None,
        }
    }

    /// What is found out about a prediction that is made later, which is another step of the same trace.
    pub(crate) fn of_job(&self) -> Record {
        let now = Instant::now();
        Record {
            start: now,
            lap: now,
            parts: Vec::new(),
            id: self.id.clone(),
            trace: self.trace.as_ref().map(Trace::next),
            inference: Vec::new(),
            ..*self
        }
    }

    /// When an answer that may take this long must be on its way.
    pub(crate) fn deadline(&mut self, limit: Duration) -> Deadline {
        let deadline = Deadline::new(self.start, limit);
        self.deadline = Some(deadline);
        deadline
    }

    /// Ends a part: everything since the last one ended.
    pub(crate) fn lap(&mut self, part: &'static str) {
        let now = Instant::now();
        let (began, took) = (self.lap - self.start, now - self.lap);
        self.lap = now;
        match self.parts.iter_mut().find(|(other, ..)| *other == part) {
            Some((.., sum)) => *sum += took,
            None => self.parts.push((part, began, took)),
        }
    }

    pub(crate) fn route(&mut self, name: &'static str) {
        self.route = name;
    }

    pub(crate) fn problem(&mut self, problem: &Problem) {
        let (_, kind, _, detail) = problem.told();
        let kind = kind.rsplit(':').next().unwrap_or(kind);
        self.problem = Some((kind, detail));
        metrics::add(&PROBLEMS, &[kind], 1);
        if let Some(waited_for) = problem.waited_for() {
            metrics::add(&TIMEOUTS, &[waited_for], 1);
        }
    }

    /// What was predicted, from which features.
    pub(crate) fn predictions(&mut self, row: Option<&Row>, predictions: &[Prediction<'_>]) {
        if let Some(row) = row {
            metrics::add(&ROWS, &[], 1);
            for (feature, value) in FEATURES.iter().zip(row) {
                if value.is_nan() {
                    metrics::add(&MISSING, &[feature.name], 1);
                }
            }
        }
        for prediction in predictions {
            metrics::add(&PREDICTIONS, &[prediction.kind, prediction.label, prediction.risk_level], 1);
            if prediction.ran_out_of_time() {
                metrics::add(&TIMEOUTS, &["prediction"], 1);
            } else {
                metrics::observe(&INFERENCE, &[prediction.kind], prediction.took);
                match self.inference.iter_mut().find(|(other, _)| *other == prediction.kind) {
                    Some((_, sum)) => *sum += prediction.took,
                    None => self.inference.push((prediction.kind, prediction.took)),
                }
            }
        }
    }

    /// The request is answered: counts it, and writes its line.
    pub(crate) fn end<P>(&self, instance: &Instance<P>, response: &Response) {
        let now = Instant::now();
        let took = now - self.start;
        metrics::add(&REQUESTS, &[self.route, self.method, status(response.status)], 1);
        metrics::observe(&DURATIONS, &[self.route], took);
        let cache = cache(response);
        if let Some(cache) = cache {
            metrics::add(&CACHE, &[cache], 1);
        }
        let level = match response.status {
            500.. => LogLevel::Error,
            // Load balancers and scrapers ask all the time.
            200 if self.route.starts_with("/health") || self.route == "/metrics" => LogLevel::Debug,
            _ => LogLevel::Info,
        };
        if !log::writes(level) {
            return;
        }
        let line = Line {
            request_id: self.id.without(self.person),
            trace_id: self.trace.as_ref().map(|trace| trace.id.as_str()),
            method: self.method,
            route: self.route,
            status: response.status,
            duration_ms: Milliseconds(took),
            inference_ms: PartsOf(&self.inference),
            cache,
            source: self.source,
            upstream_ms: self.upstream(),
            deadline_left_ms: self.deadline.map(|deadline| Milliseconds(deadline.left_from(now))),
            user: self.person.and_then(|person| store::hashed_for_log(instance, person)),
            problem: self.problem.map(|(kind, _)| kind),
            // Of the caller's own mistakes the kind says enough.
            detail: self.problem.map(|(_, detail)| detail).filter(|_| response.status >= 500),
        };
        let text = || {
            let cache = cache.map_or(String::new(), |cache| format!(" {cache}"));
            let problem = self.problem.map_or(String::new(), |(kind, _)| format!(" {kind}"));
            let took = Milliseconds(took);
            format!("{} {} {}{cache}{problem} {took} ms", self.method, self.route, response.status)
        };
        log::line(level, "request", &line, text);
    }

    /// The same of a prediction that was made later.
    pub(crate) fn end_of_job<P>(&self, instance: &Instance<P>, outcome: &'static str) {
        let took = self.start.elapsed();
        let line = JobLine {
            request_id: self.id.without(self.person),
            trace_id: self.trace.as_ref().map(|trace| trace.id.as_str()),
            outcome,
            duration_ms: Milliseconds(took),
            upstream_ms: self.upstream(),
            user: self.person.and_then(|person| store::hashed_for_log(instance, person)),
            problem: self.problem.map(|(kind, _)| kind),
        };
        let text = || format!("a background prediction is {outcome} after {} ms", Milliseconds(took));
        log::line(LogLevel::Info, "job", &line, text);
    }

    /// Has the host export the spans of what ended: a request with its answer, or a prediction that was made later.
    pub(crate) fn export<P: Platform>(&self, instance: &Instance<P>, response: Option<&Response>) {
        let Some(trace) = self.trace.as_ref().filter(|_| P::EXPORTS) else { return };
        let name = match response {
            Some(_) => format!("{} {}", self.method, self.route),
            None => "background prediction".to_owned(),
        };
        let method = ("http.request.method", Attribute::Text(self.method));
        let mut attributes = vec![method, ("http.route", Attribute::Text(self.route))];
        attributes.extend(response.map(|answer| ("http.response.status_code", Attribute::Number(answer.status))));
        attributes.extend(response.and_then(cache).map(|cache| ("bipolar_edge.cache", Attribute::Text(cache))));
        attributes.extend(self.source.map(|source| ("bipolar_edge.source", Attribute::Text(source))));
        attributes.extend(self.problem.map(|(kind, _)| ("error.type", Attribute::Text(kind))));
        // A caller's own mistake is none of this service's.
        let at_fault = response.is_none_or(|answer| answer.status >= 500);
        let error = self.problem.filter(|_| at_fault).map(|(_, detail)| detail);
        let spans = export::spans(trace, name, self.start.elapsed(), &self.parts, attributes, error);
        let platform = instance.platform.clone();
        instance.platform.spawn(async move { platform.export_spans(&spans) });
    }

    /// How long the database was waited for.
    fn upstream(&self) -> Option<Milliseconds> {
        let source = self.parts.iter().find(|(part, ..)| *part == "source");
        source.filter(|_| self.source == Some("supabase")).map(|(.., took)| Milliseconds(*took))
    }

    /// The `server-timing` header.
    pub(crate) fn into_header(self) -> String {
        let mut header = String::with_capacity(128);
        for (part, _, took) in &self.parts {
            let _ = write!(header, "{part};dur={}, ", Milliseconds(*took));
        }
        let _ = write!(header, "total;dur={}", Milliseconds(self.start.elapsed()));
        header
    }
}

/// A request's line in the log.
#[derive(Serialize)]
struct Line<'a> {
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    method: &'static str,
    route: &'static str,
    status: u16,
    duration_ms: Milliseconds,
    #[serde(skip_serializing_if = "PartsOf::is_empty")]
    inference_ms: PartsOf<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<Milliseconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_left_ms: Option<Milliseconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

/// A background prediction's.
#[derive(Serialize)]
struct JobLine<'a> {
    /// Of the request that began it.
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    outcome: &'static str,
    duration_ms: Milliseconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<Milliseconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
}

/// To the microsecond.
#[derive(Clone, Copy)]
struct Milliseconds(Duration);

/// In whole numbers, of which printing takes a tenth of the time.
impl fmt::Display for Milliseconds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) =
            (self.0.as_secs() * 1_000 + u64::from(self.0.subsec_millis()), self.0.subsec_micros() % 1_000);
        write!(out, "{whole}.{rest:03}")
    }
}

impl Serialize for Milliseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_micros() as f64 / 1e3)
    }
}

struct PartsOf<'a>(&'a [(&'static str, Duration)]);

impl PartsOf<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for PartsOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(part, took)| (part, Milliseconds(*took))))
    }
}

/// What the cache had, as a label, if the answer says so.
fn cache(response: &Response) -> Option<&'static str> {
    let (_, cache) = response.headers.iter().find(|(name, _)| *name == "x-cache")?;
    Some(match cache.as_str() {
        "HIT" => "hit",
        "STALE" => "stale",
        "MISS" => "miss",
        _ => "bypass",
    })
}

/// A status as a label. Every status that this service answers with is here.
fn status(status: u16) -> &'static str {
    match status {
        200 => "200",
        202 => "202",
        204 => "204",
        304 => "304",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        408 => "408",
        413 => "413",
        414 => "414",
        415 => "415",
        429 => "429",
        431 => "431",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        _ => "other",
    }
}
