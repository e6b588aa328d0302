//! `GET /`: for a program the service's name and where its description is, for a browser a page that shows predictions,
//! a person's history, what if, and the models.
//!
//! A page is one file, put together by the build. **Architecture invariant:** it asks this service and nobody else.

use crate::checkins::PEOPLE;
use crate::config::Settings;
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::http::headers::accepts;
use crate::http::response::Asset;
use crate::platform::Platform;
use crate::problem::Problem;
use bipolar_edge_models::MODELS;
use http::header::CONTENT_SECURITY_POLICY;
use serde::Serialize;

const PAGE: Asset = Asset {
    gzip: include_bytes!(concat!(env!("OUT_DIR"), "/PAGE.gz")),
    content_type: "text/html; charset=utf-8",
    tag: env!("PAGE_TAG"),
};

#[derive(Serialize)]
struct Home<'a> {
    service: &'static str,
    version: &'static str,
    notice: &'static str,
    auth_mode: &'static str,
    openapi: &'static str,
    models: Vec<&'static str>,
    demo_people: Vec<DemoPerson>,
    /// Shown before anything is known of a person.
    crisis_resources: &'a [String],
}

#[derive(Serialize)]
struct DemoPerson {
    user_id: &'static str,
    state: &'static str,
}

pub(super) async fn get<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    // Only browsers name HTML among the types that they accept.
    let response = match accepts(request.headers, "accept", &["text/html"], None) {
        true => Response::asset(&PAGE, request.headers)?.with_header(CONTENT_SECURITY_POLICY, env!("PAGE_POLICY")),
        false => describe(&request.context.settings),
    };
    Ok(response.varying_by("accept"))
}

fn describe(settings: &Settings) -> Response {
    // With a database the demo people are nobody.
    let is_demo = settings.supabase.is_none();
    let people = PEOPLE.iter().filter(|_| is_demo).map(|(user_id, state)| DemoPerson { user_id, state });
    let home = Home {
        service: "bipolar-edge",
        version: env!("CARGO_PKG_VERSION"),
        notice: "Models and demo people are synthetic. Not a medical device.",
        auth_mode: settings.auth_mode.name(),
        openapi: "/openapi.json",
        models: MODELS.iter().map(|model| model.version).collect(),
        demo_people: people.collect(),
        crisis_resources: &settings.crisis_resources,
    };
    Response::json(200, &home)
}
