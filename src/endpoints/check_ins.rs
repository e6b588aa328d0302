//! `GET /data/check-ins/{user_id}`: a person's check-ins as this service understands them, which predictions are made
//! from. An answer that is not here was not given, or could not be parsed.

use crate::checkins::{self, CheckInQuery};
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::PredictionRequest;
use crate::retention;
use features::{CheckIn, FIELDS};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

#[derive(Serialize)]
struct Body<'a> {
    user_id: String,
    window_days: u8,
    /// Latest first.
    checkins: Vec<FlatCheckIn<'a>>,
}

/// A check-in with the fields that were answered, flat, as `POST /data/predictions` takes it.
struct FlatCheckIn<'a>(&'a CheckIn);

impl Serialize for FlatCheckIn<'_> {
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

pub(super) async fn get<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let context = request.context;
    let asked = PredictionRequest::parse_check_ins(request.path.get("user_id"), request.query)?;
    context.timing.set_person(Some(asked.user_id));
    let project = context.settings.supabase.as_ref();
    let query = CheckInQuery {
        user_id: asked.user_id,
        window: asked.options.window,
        limit_checkins: 0,
        // The cache has predictions only, so the database is asked each time, and shows the rows that this caller may
        // see.
        credential: context.caller.visibility(&context.settings, asked.user_id)?.credential,
        generation: None,
        deadline: context.deadline,
        trace: context.trace.as_ref(),
    };
    let checkins = context.instance.checkins.fetch(project.map(AsRef::as_ref), &query).await?;
    // The token of one who asks for check-ins alone is kept, too.
    retention::sweep_later(&context.instance);
    context.timing.lap_source(checkins::source(project));
    let window_days = asked.options.window.get();
    let age =
        |checkin: &CheckIn| checkins.first().map(|latest| latest.date.duration_since(checkin.date).as_hours() / 24);
    let in_window = checkins.iter().filter(|checkin| age(checkin) <= Some(window_days.into()));
    let checkins = in_window.map(FlatCheckIn).collect();
    Ok(Response::json(200, &Body { user_id: asked.user_id.to_string(), window_days, checkins }).private())
}
