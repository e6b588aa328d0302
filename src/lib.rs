//! Predictions for people with bipolar disorder, at the edge.
//!
//! The flow of a request: [`route`] finds its endpoint, the endpoint reads it into types that cannot be wrong
//! ([`request`]), asks the [`cache`], else the person's check-ins ([`checkins`]), turns them into features (the
//! `features` crate) and those into predictions ([`predict`]), and [`response`] builds the answer. Cache writes
//! happen after the response. Only [`platform`] knows what runs the component.

// The entry point is in the Wasm module only: natively, where the unit tests run, nothing calls most of this.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code))]

mod cache;
mod checkins;
mod deadline;
mod endpoints;
mod instance;
mod log;
mod platform;
mod predict;
mod problem;
mod request;
mod response;
mod route;
mod settings;

use instance::Instance;
use platform::{Platform, RequestBody};
use request::RequestId;
use response::{Response, Timing};

/// Answers one request. Whatever happens in between, every answer leaves through here with its id and timing.
async fn answer<P: Platform>(
    instance: &Instance<P>,
    request: &http::request::Parts,
    body: impl RequestBody,
) -> Response {
    let mut timing = Timing::start();
    let request_id = RequestId::of(&request.headers);
    let answered = match route::find(&request.method, request.uri.path()) {
        Ok(route) => endpoints::answer(instance, route, request, body, &mut timing).await,
        Err(problem) => Err(problem),
    };
    answered.unwrap_or_else(|problem| problem.into_response()).with_id_and_timing(&request_id, timing)
}
