//! Predictions for people with bipolar disorder, at the edge: the service, without the world that it runs in.
//!
//! The flow of a request, in [`answer`]: [`routes`] finds its row in the table of [`endpoints`], [`access`] the caller
//! and the limit that they have left, the endpoint parses it into types that cannot be wrong ([`request`]), asks the
//! [`cache`], else fetches the person's check-ins ([`checkins`]), turns them into features (the `features` crate) and
//! those into predictions (`predict`), and `http/response.rs` builds the answer. Cache writes happen after the
//! response. The folder `platform/` has the worlds that the service runs in, each a crate.
//!
//! A body is parsed without a host, and every wrong field of it is named at once:
//!
//! ```
//! use bipolar_edge::problem::Problem;
//! use bipolar_edge::request::PostedRequest;
//!
//! let body = br#"{ "checkins": [{ "checkin_date": "2026-01-31", "hoursSlept": 30 }], "window": 7 }"#;
//! let Err(Problem::Invalid(errors)) = PostedRequest::parse(body) else { panic!("two fields are wrong") };
//! let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
//! assert_eq!(fields, ["checkins[0].hoursSlept", "window"]);
//! ```
//!
//! **Architecture invariant:** a file imports from lower floors only; `tests/tidy.rs` has the floors.

pub mod access;
pub mod cache;
pub mod checkins;
mod config;
mod context;
mod deadline;
pub mod endpoints;
#[cfg(test)]
mod fake_platform;
#[cfg(test)]
mod fingerprint;
mod http;
pub mod ids;
mod instance;
pub mod jobs;
mod json;
mod limits;
mod load;
pub mod platform;
mod predict;
pub mod problem;
pub mod quota;
mod random;
mod redis;
pub mod request;
mod retention;
pub mod routes;
mod sealing;
#[cfg(test)]
mod simulation;
mod store;
mod supabase;
pub mod telemetry;
mod time;

pub use crate::http::{Response, decompress};
pub use instance::Instance;

use crate::http::problem_response::problem_response;
use crate::http::{cors, headers};
use ::http::request::Parts;
use ::http::{HeaderMap, Method};
use access::Caller;
use access::rate_limit::{self, Checked};
use config::Settings;
use context::{EndpointRequest, RequestContext};
use deadline::Deadline;
use endpoints::Handler;
use features::Language;
use ids::{DecisionIds, RequestId};
use platform::Platform;
use problem::Problem;
use quota::{LimitGroup, RateLimitPolicy, RateLimitStatus};
use request::PredictionRequest;
use routes::PathMatch;
use std::cell::Cell;
use std::rc::Rc;
use telemetry::metrics::{self, STARTED};
use telemetry::request_log::{FinishedRequest, RequestInfo, finish_request, method_name};
use telemetry::timing::Timing;
use telemetry::trace::Trace;

/// A request while it is answered.
struct Exchange<'a, P: Platform> {
    instance: &'a Rc<Instance<P>>,
    parts: &'a Parts,
    path: Option<PathMatch<'static, 'a, Handler<P>>>,
    info: Rc<RequestInfo>,
    trace: Option<Trace>,
    timing: Rc<Timing>,
    /// The language that the answer is in.
    language: Language,
}

/// The result of the steps from the route to the endpoint, and the facts that the answer carries besides.
struct Outcome {
    result: Result<Response, Problem>,
    deadline: Option<Deadline>,
    policy: Option<RateLimitPolicy>,
    rate_limit: Option<RateLimitStatus>,
}

/// Answers one request. Every answer leaves through here with its id and timing, counted and logged.
pub async fn answer<P: Platform>(instance: &Rc<Instance<P>>, parts: &Parts, body: P::Body) -> Response {
    metrics::add(&STARTED, &[], 1);
    let timing = Rc::new(Timing::start());
    // A request that is too large is counted under no route.
    let path = request::check_size(parts).ok().and_then(|()| endpoints::find(parts.uri.path()));
    let info = Rc::new(RequestInfo {
        id: RequestId::new(),
        method: method_name(&parts.method),
        route: path.as_ref().map_or("none", PathMatch::name),
    });
    let asked = path.as_ref().and_then(|_| request::language(parts.uri.query().unwrap_or("")));
    let language = asked.unwrap_or_else(|| headers::accepted_language(&parts.headers));
    let trace = trace(&instance.platform, &parts.headers);
    let exchange = Exchange { instance, parts, path, info, trace, timing, language };
    let outcome = exchange.respond(body).await;
    exchange.finish(outcome).await
}

/// The trace that a request is part of. With a host that exports telemetry every request is part of one.
fn trace<P: Platform>(platform: &P, headers: &HeaderMap) -> Option<Trace> {
    let given = Trace::from_headers(headers);
    match P::EXPORTS {
        true => Some(platform.parent_span().or(given).unwrap_or_else(Trace::root)),
        false => given,
    }
}

impl<P: Platform> Exchange<'_, P> {
    /// Finds the route, the caller and the limit, and has the endpoint answer.
    async fn respond(&self, body: P::Body) -> Outcome {
        let mut outcome = Outcome { result: Err(Problem::Internal), deadline: None, policy: None, rate_limit: None };
        outcome.result = self.try_respond(body, &mut outcome).await;
        outcome
    }

    async fn try_respond(&self, body: P::Body, outcome: &mut Outcome) -> Result<Response, Problem> {
        request::check_size(self.parts)?;
        let Parts { method, headers, uri, .. } = self.parts;
        let path = self.path.as_ref().ok_or(Problem::NoSuchRoute)?;
        if method == Method::OPTIONS {
            return Ok(cors::options_response(&path.allow()));
        }
        let route = path.route(method)?;
        if let Handler::Unconfigured(answer) = route.handler {
            return Ok(answer());
        }
        // Health checks and webhooks, which have no limit, are answered whatever there is to do.
        let _share = match route.limit {
            Some(_) => Some(self.instance.load.take_request().ok_or(Problem::Overloaded)?),
            None => None,
        };
        let settings = self.instance.settings().await?;
        let due = Deadline::new(self.timing.started_at(), settings.inference_timeout);
        outcome.deadline = Some(due);
        let caller = self.instance.access.authenticate(&settings, route.guard, headers, due).await;
        self.timing.set_caller(caller.as_ref().ok().and_then(Caller::person));
        self.timing.lap("access");
        let query = uri.query().unwrap_or("");
        let asked = if let Handler::Cached(question, _) = route.handler {
            Some(question(&path.parameters, query))
        } else {
            None
        };
        let keys = caller
            .as_ref()
            .ok()
            .zip(asked.as_ref())
            .and_then(|(caller, asked)| self.cache_keys(&settings, caller, asked.as_ref().ok()?));
        let counted_as = if caller.is_ok() { route.limit } else { Some(LimitGroup::Default) };
        outcome.policy = counted_as.and_then(|group| rate_limit::policy(&settings, group));
        let checked = self.check_limit(&settings, route.limit, caller.as_ref(), keys).await?;
        outcome.rate_limit = checked.status;
        self.timing.lap("limit");
        let context = RequestContext {
            instance: self.instance.clone(),
            settings,
            caller: Rc::new(caller?),
            deadline: due,
            language: self.language,
            trace: self.trace.clone(),
            timing: self.timing.clone(),
            info: self.info.clone(),
            decisions: DecisionIds::default(),
            read_along: Cell::new(checked.read_along),
        };
        let path = path.parameters.clone();
        let request = EndpointRequest { context: &context, headers, path, query, body };
        match (&route.handler, asked) {
            (Handler::Cached(_, handler), Some(asked)) => handler(request, asked?).await,
            (Handler::Configured(handler), _) => handler(request).await,
            // Answered above.
            _ => Err(Problem::Internal),
        }
    }

    /// The keys of the cache that a question will look up, for the limit to be asked for together with them.
    fn cache_keys(&self, settings: &Settings, caller: &Caller, asked: &PredictionRequest) -> Option<[String; 2]> {
        let is_whole = caller.visibility(settings, asked.user_id).is_ok_and(|visibility| visibility.is_whole);
        if is_whole { self.instance.cache.keys_to_read(settings, asked) } else { None }
    }

    /// Counts the request against the caller's limit, and reads these keys along with it.
    async fn check_limit(
        &self,
        settings: &Settings,
        limit: Option<LimitGroup>,
        caller: Result<&Caller, &Problem>,
        keys: Option<[String; 2]>,
    ) -> Result<Checked, Problem> {
        let limiter = &self.instance.rate_limiter;
        match (caller, limit) {
            (Ok(caller), Some(group)) => limiter.check(settings, group, caller.identity(), keys).await,
            // A deployment's own fault is nobody's request too many.
            (Ok(_), None) | (Err(Problem::NotConfigured { .. }), _) => Ok(Checked::default()),
            // Whoever is not let in is counted by the address that they ask from.
            (Err(_), limit) => {
                let address = self.instance.access.address_identity(settings, &self.parts.headers);
                let checked = limiter.check(settings, LimitGroup::Default, &address, None).await?;
                Ok(Checked { status: checked.status.filter(|_| limit.is_some()), ..checked })
            }
        }
    }

    /// Completes the answer, counts and logs it.
    async fn finish(&self, outcome: Outcome) -> Response {
        let Exchange { instance, parts, info, timing, .. } = self;
        let Outcome { result, deadline, policy, rate_limit } = outcome;
        let has_fhir = endpoints::has_fhir(info.route, &parts.method);
        let (mut response, problem) = match result {
            Ok(response) => (response, None),
            Err(problem) => {
                let is_fhir = has_fhir && headers::prefers_fhir(&parts.headers);
                (problem_response(&problem, parts.uri.path(), is_fhir, self.language), Some(problem))
            }
        };
        if has_fhir {
            response = response.varying_by("accept");
        }
        let refused = if let Some(Problem::TooManyRequests(status)) = &problem { Some(*status) } else { None };
        if let Some((policy, status)) = policy.zip(refused.or(rate_limit)) {
            response = response.with_rate_limit_status(policy, &status);
        }
        // A load balancer that asks whether the process lives needs no configuration read for it.
        let is_unconfigured = parts.uri.path() == "/health/live";
        let settings = if is_unconfigured { None } else { instance.settings().await.ok() };
        if let Some(settings) = &settings {
            let is_https = headers::is_forwarded_https(&parts.headers) || instance.platform.is_https(&parts.headers);
            response = cors::allow_origin(response, settings, &parts.method, &parts.headers)
                .with_security_headers(is_https, settings.is_unprotected());
        }
        let response = response.compressed(&parts.headers);
        timing.lap("compression");
        let (trace, problem, response_ref) = (self.trace.as_ref(), problem.as_ref(), &response);
        let finished = FinishedRequest { info, trace, timing, deadline, problem, response: response_ref };
        finish_request(&instance.platform, &instance.store, &finished);
        instance.totals.schedule_flush(settings);
        let response = response.with_id_and_timing(&info.id, timing);
        if parts.method == Method::HEAD { response.without_body() } else { response }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_platform::Fake;
    use futures::executor::block_on;

    #[test]
    fn one_request_too_many_is_refused_while_health_and_webhooks_are_answered() {
        let fake = Fake::with_variable("webhook_secret", "a secret of the database's webhook");
        let instance = Rc::new(Instance::new(fake));
        let send = |method: &str, path: &str, body: &str| {
            let request = ::http::Request::builder().method(method).uri(path);
            let request = request.header("x-webhook-secret", "a secret of the database's webhook");
            let (parts, ()) = request.header("content-type", "application/json").body(()).expect("valid").into_parts();
            block_on(answer(&instance, &parts, body.as_bytes().to_vec())).into_http()
        };
        let predictions = "/data/predictions/33333333-3333-4333-8333-333333333333";
        let mut in_flight: Vec<_> = std::iter::from_fn(|| instance.load.take_request()).collect();
        assert_eq!(in_flight.len(), 128);
        let refused = send("GET", predictions, "");
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers().get("retry-after").map(|value| value.as_bytes()), Some(&b"1"[..]));
        assert_eq!(send("GET", "/health/live", "").status(), 200);
        assert_eq!(send("GET", "/health/ready", "").status(), 200);
        let changed = r#"{"table":"check_ins","record":{"user_id":"33333333-3333-4333-8333-333333333333"}}"#;
        assert_eq!(send("POST", "/hooks/check-ins", changed).status(), 200);
        in_flight.pop();
        assert_eq!(send("GET", predictions, "").status(), 200);
    }
}
