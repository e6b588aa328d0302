//! `GET /` for a program: what this is, and where what can be asked is described. A browser gets [`super::page`].

use crate::checkins::PEOPLE;
use crate::response::Response;
use crate::settings::Settings;
use bipolar_edge_models::MODELS;
use serde::Serialize;

#[derive(Serialize)]
struct Home {
    service: &'static str,
    version: &'static str,
    notice: &'static str,
    auth_mode: &'static str,
    openapi: &'static str,
    models: Vec<&'static str>,
    demo_people: Vec<DemoPerson>,
}

#[derive(Serialize)]
struct DemoPerson {
    user_id: &'static str,
    state: &'static str,
}

pub(super) fn answer(settings: &Settings) -> Response {
    // With a database the demo people are nobody.
    let demo = settings.supabase.is_none();
    Response::json(
        200,
        &Home {
            service: "bipolar-edge",
            version: env!("CARGO_PKG_VERSION"),
            notice: "Models and demo people are synthetic. Not a medical device.",
            auth_mode: settings.auth_mode.name(),
            openapi: "/openapi.json",
            models: MODELS.iter().map(|model| model.version).collect(),
            demo_people: PEOPLE.iter().filter(|_| demo).map(|(user_id, state)| DemoPerson { user_id, state }).collect(),
        },
    )
}
