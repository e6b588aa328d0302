//! `GET /data/check-ins/{user_id}`: a person's check-ins as this service understands them, which is what predictions are made from.
//! What an answer lacks was not answered, or could not be read.

use super::Asked;
use crate::checkins;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::PredictionRequest;
use crate::response::Response;
use crate::telemetry::Record;
use features::{CheckIn, FIELDS};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

#[derive(Serialize)]
struct Body<'a> {
    user_id: String,
    window_days: u8,
    /// Latest first.
    checkins: Vec<Told<'a>>,
}

/// A check-in with the fields that were answered, flat, as `POST /data/predictions` takes it.
struct Told<'a>(&'a CheckIn);

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.0.id)?;
        map.serialize_entry("checkin_date", &self.0.date.to_string())?;
        for (field, value) in FIELDS.iter().zip(self.0.values).filter(|(_, value)| !value.is_nan()) {
            map.serialize_entry(field.name, &value)?;
        }
        map.end()
    }
}

pub(super) async fn answer<P: Platform>(
    asked: &Asked<'_, P>,
    user_id: &str,
    query: &str,
    record: &mut Record,
) -> Result<Response, Problem> {
    let request = PredictionRequest::of_check_ins(user_id, query)?;
    record.person = Some(request.user_id);
    let Asked { instance, settings, deadline, .. } = asked;
    // The cache has predictions only, so the database is asked each time, and shows what it shows to this caller.
    let credential = asked.caller.sight(settings, request.user_id)?.credential;
    let checkins =
        checkins::of(instance, settings, &request, credential, None, *deadline, record.trace.as_ref()).await?;
    record.source = Some(if settings.supabase.is_some() { "supabase" } else { "demo" });
    record.lap("source");
    let window_days = request.wanted.window.get();
    let age =
        |checkin: &CheckIn| checkins.first().map(|latest| latest.date.duration_since(checkin.date).as_hours() / 24);
    let in_window = checkins.iter().filter(|checkin| age(checkin) <= Some(window_days.into()));
    let body = Body { user_id: request.user_id.to_string(), window_days, checkins: in_window.map(Told).collect() };
    Ok(Response::json(200, &body).with_header("cache-control", "private, no-store"))
}
