//! The end of a request, and of a background prediction: its metrics, its line in the log, its spans for the host's
//! exporter.

use super::export::{self, Attribute};
use super::log::{self, LogLevel};
use super::metrics::{self, CACHE, DURATIONS, PROBLEMS, REQUESTS, TIMEOUTS, status_label};
use super::timing::{Milliseconds, Timing};
use super::trace::Trace;
use crate::deadline::Deadline;
use crate::http::Response;
use crate::ids::RequestId;
use crate::jobs::JobStatus;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::store::Store;
use features::Language;
use http::Method;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// The request that something was done for.
pub(crate) struct RequestInfo {
    pub(crate) id: RequestId,
    pub(crate) method: &'static str,
    /// The path's template, or `none`.
    pub(crate) route: &'static str,
}

/// A request that was answered.
pub(crate) struct FinishedRequest<'a> {
    pub(crate) info: &'a RequestInfo,
    pub(crate) trace: Option<&'a Trace>,
    pub(crate) timing: &'a Timing,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) problem: Option<&'a Problem>,
    pub(crate) response: &'a Response,
}

/// A background prediction that has ended.
pub(crate) struct FinishedJob<'a> {
    /// The request that started it.
    pub(crate) info: &'a RequestInfo,
    pub(crate) trace: Option<&'a Trace>,
    pub(crate) timing: &'a Timing,
    pub(crate) problem: Option<&'a Problem>,
    pub(crate) status: JobStatus,
}

/// The name of a method in metrics and in the log.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Counts a request, writes its line, and has its spans exported.
pub(crate) fn finish_request<P: Platform>(platform: &P, store: &Store<P>, request: &FinishedRequest<'_>) {
    let now = Instant::now();
    let took = now - request.timing.started_at();
    let status = request.response.status();
    metrics::add(&REQUESTS, &[request.info.route, request.info.method, status_label(status)], 1);
    metrics::observe(&DURATIONS, &[request.info.route], took);
    if let Some(cache) = request.response.cache_status() {
        metrics::add(&CACHE, &[cache.label()], 1);
    }
    count_problem(request.problem);
    write_request_line(store, request, took, now);
    if let Some(trace) = request.trace.filter(|_| P::EXPORTS) {
        let mut attributes = vec![("http.response.status_code", Attribute::Number(status))];
        let cache = request.response.cache_status();
        attributes.extend(cache.map(|cache| ("bipolar_edge.cache", Attribute::Text(cache.label()))));
        let name = format!("{} {}", request.info.method, request.info.route);
        // A caller's own mistake is none of this service's.
        let problem = request.problem.map(|problem| (problem, status >= 500));
        export_spans(platform, (trace, request.info), name, request.timing, attributes, problem);
    }
}

/// Writes the line of a background prediction, and has its spans exported.
pub(crate) fn finish_job<P: Platform>(platform: &P, store: &Store<P>, job: &FinishedJob<'_>) {
    count_problem(job.problem);
    let took = job.timing.elapsed();
    let status = job.status.name();
    let line = JobLine {
        request_id: job.info.id.as_str(),
        trace_id: job.trace.map(|trace| trace.id_for_log(job.timing.people())),
        outcome: status,
        duration_ms: Milliseconds(took),
        upstream_ms: job.timing.upstream().map(Milliseconds),
        decisions: job.timing.decisions(),
        user: job.timing.person().and_then(|person| store.hash_for_log(person)),
        problem: job.problem.map(|problem| problem.kind().name()),
    };
    let text = || format!("a background prediction is {status} after {} ms", Milliseconds(took));
    log::line(LogLevel::Info, "job", &line, text);
    if let Some(trace) = job.trace.filter(|_| P::EXPORTS) {
        let name = "background prediction".to_owned();
        let problem = job.problem.map(|problem| (problem, true));
        export_spans(platform, (trace, job.info), name, job.timing, Vec::new(), problem);
    }
}

fn count_problem(problem: Option<&Problem>) {
    let Some(problem) = problem else { return };
    metrics::add(&PROBLEMS, &[problem.kind().name()], 1);
    if let Some(step) = problem.timed_out_step() {
        metrics::add(&TIMEOUTS, &[step], 1);
    }
}

fn write_request_line<P: Platform>(store: &Store<P>, request: &FinishedRequest<'_>, took: Duration, now: Instant) {
    let FinishedRequest { info, trace, timing, deadline, problem, response } = request;
    let RequestInfo { id, method, route } = info;
    let status = response.status();
    let level = match status {
        500.. => LogLevel::Error,
        // Load balancers and scrapers ask all the time.
        200 if route.starts_with("/health") || *route == "/metrics" => LogLevel::Debug,
        _ => LogLevel::Info,
    };
    if !log::is_enabled(level) {
        return;
    }
    let (cache, kind) = (response.cache_status(), problem.map(|problem| problem.kind().name()));
    let line = RequestLine {
        request_id: id.as_str(),
        trace_id: trace.map(|trace| trace.id_for_log(timing.people())),
        method,
        route,
        status,
        duration_ms: Milliseconds(took),
        inference_ms: DurationMap(timing.inference()),
        cache: cache.map(|cache| cache.label()),
        source: timing.source().map(|source| source.name()),
        upstream_ms: timing.upstream().map(Milliseconds),
        deadline_left_ms: deadline.map(|deadline| Milliseconds(deadline.remaining_at(now))),
        decisions: timing.decisions(),
        user: timing.person().and_then(|person| store.hash_for_log(person)),
        problem: kind,
        // Of the caller's own mistakes the kind says enough.
        detail: problem.filter(|_| status >= 500).map(|problem| problem.detail(Language::English)),
    };
    let text = || {
        let cache = cache.map_or(String::new(), |cache| format!(" {}", cache.label()));
        let problem = kind.map_or(String::new(), |kind| format!(" {kind}"));
        format!("{method} {route} {status}{cache}{problem} {} ms", Milliseconds(took))
    };
    log::line(level, "request", &line, text);
}

/// Has the host export spans. `problem` comes with whether this service is at fault for it.
fn export_spans<P: Platform>(
    platform: &P,
    (trace, info): (&Trace, &RequestInfo),
    name: String,
    timing: &Timing,
    more: Vec<(&'static str, Attribute)>,
    problem: Option<(&Problem, bool)>,
) {
    let mut attributes =
        vec![("http.request.method", Attribute::Text(info.method)), ("http.route", Attribute::Text(info.route))];
    attributes.extend(more);
    attributes.extend(timing.source().map(|source| ("bipolar_edge.source", Attribute::Text(source.name()))));
    attributes.extend(problem.map(|(problem, _)| ("error.type", Attribute::Text(problem.kind().name()))));
    let error = problem
        .filter(|(_, is_at_fault)| *is_at_fault)
        .map(|(problem, _)| problem.detail(Language::English).into_owned());
    let spans = export::spans(trace, name, timing.elapsed(), &timing.parts(), attributes, error);
    let exporter = platform.clone();
    platform.spawn(async move { exporter.export_spans(&spans) });
}

/// A request's line in the log.
#[derive(Serialize)]
struct RequestLine<'a> {
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    method: &'static str,
    route: &'static str,
    status: u16,
    duration_ms: Milliseconds,
    #[serde(skip_serializing_if = "DurationMap::is_empty")]
    inference_ms: DurationMap,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<Milliseconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_left_ms: Option<Milliseconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decisions: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Cow<'static, str>>,
}

/// A background prediction's line in the log.
#[derive(Serialize)]
struct JobLine<'a> {
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    outcome: &'static str,
    duration_ms: Milliseconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<Milliseconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decisions: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
}

struct DurationMap(Vec<(&'static str, Duration)>);

impl DurationMap {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for DurationMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, took)| (name, Milliseconds(*took))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_is_not_answered_has_no_name_of_its_own() {
        let names = [Method::GET, Method::DELETE, Method::PATCH].map(|method| method_name(&method));
        assert_eq!(names, ["GET", "DELETE", "other"]);
    }
}
