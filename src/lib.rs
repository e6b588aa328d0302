//! Predictions for people with bipolar disorder, at the edge.
//!
//! The flow of a request: [`route`] finds its endpoint, [`access`] who asks and how often they may, the endpoint reads it into types that cannot be wrong
//! ([`request`]), asks the [`cache`], else the person's check-ins ([`checkins`]), turns them into features (the
//! `features` crate) and those into predictions ([`predict`]), and [`response`] builds the answer. Cache writes
//! happen after the response. Only [`platform`] knows what runs the component.

// The entry point is in the Wasm module only: natively, where the unit tests run, nothing calls most of this.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code))]

mod access;
mod cache;
mod checkins;
mod compression;
mod cors;
mod deadline;
mod endpoints;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod instance;
mod jobs;
mod platform;
mod predict;
mod problem;
mod request;
mod response;
mod route;
mod settings;
mod store;
mod telemetry;

use access::rate_limit;
use http::Method;
use http::request::Parts;
use instance::Instance;
use platform::{Platform, RequestBody};
use problem::Problem;
use response::Response;
use std::rc::Rc;
use telemetry::trace::Trace;
use telemetry::{Record, totals};

/// Answers one request. Whatever happens in between, every answer leaves through here with its id and timing, counted and logged.
async fn answer<P: Platform>(instance: &Rc<Instance<P>>, request: &Parts, body: impl RequestBody) -> Response {
    let mut record = Record::start(request);
    if P::EXPORTS {
        let trace = instance.platform.outer_step().or(record.trace.take());
        record.trace = Some(trace.unwrap_or_else(Trace::begin));
    }
    let response = respond(instance, request, body, &mut record).await;
    let response = response.unwrap_or_else(|problem| told(problem, request.uri.path(), &mut record));
    let response = match instance.settings().await {
        Ok(settings) => {
            let response = cors::allow(response, &settings, &request.method, &request.headers);
            response.of_deployment(&settings, &request.headers)
        }
        Err(_) => response,
    };
    let response = compression::compress(response, &request.headers);
    record.lap("compression");
    record.end(instance, &response);
    record.export(instance, Some(&response));
    totals::tell_later(instance);
    let response = response.with_id_and_timing(record);
    if request.method == Method::HEAD { response.without_body() } else { response }
}

/// Limits, route, access, endpoint.
async fn respond<P: Platform>(
    instance: &Rc<Instance<P>>,
    request: &Parts,
    body: impl RequestBody,
    record: &mut Record,
) -> Result<Response, Problem> {
    request::within_limits(request)?;
    let path = request.uri.path();
    if let Some(name) = route::name(path) {
        record.route(name);
    }
    if request.method == Method::OPTIONS {
        return cors::options(path).ok_or(Problem::NoSuchRoute);
    }
    let route = route::find(&request.method, path)?;
    if route == route::Route::Live {
        // The process answers, whatever its configuration.
        return Ok(endpoints::live());
    }
    let settings = instance.settings().await?;
    let deadline = record.deadline(settings.inference_timeout);
    let caller = access::caller(instance, &settings, route.guard(), &request.headers, deadline).await;
    record.lap("access");
    let standing = match route.class() {
        None => None,
        Some(class) => match &caller {
            Ok(caller) => rate_limit::count(instance, &settings, class, caller.identity()).await?,
            // Whoever is not let in is counted by where they ask from.
            Err(_) => {
                let address = access::address(&settings, &request.headers);
                rate_limit::count(instance, &settings, rate_limit::Class::Other, &address).await?
            }
        },
    };
    record.lap("limit");
    let answered = match caller {
        Ok(caller) => {
            let caller = Rc::new(caller);
            endpoints::answer(instance, &settings, route, request, body, &caller, deadline, record).await
        }
        Err(problem) => Err(problem),
    };
    if let Err(Problem::BadWebhookSecret) = &answered {
        // The database calls as often as it has to; whoever guesses does not.
        let address = access::address(&settings, &request.headers);
        rate_limit::count(instance, &settings, rate_limit::Class::Other, &address).await?;
    }
    let response = answered.unwrap_or_else(|problem| told(problem, path, record));
    Ok(match &standing {
        Some(standing) => response.with_standing(standing),
        None => response,
    })
}

/// A problem, in the form that a path's callers read.
fn told(problem: Problem, path: &str, record: &mut Record) -> Response {
    record.problem(&problem);
    match path == "/v2" || path.starts_with("/v2/") {
        true => problem.into_inference_response(),
        false => problem.into_response(),
    }
}
