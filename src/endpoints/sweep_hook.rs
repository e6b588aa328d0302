//! `POST /hooks/sweep`: deletes what is over from the store, for a scheduler to call where there is little traffic.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::parse_slots;
use crate::retention;

pub(super) async fn post<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let slots = parse_slots(request.query)?;
    let swept = retention::sweep(&request.context.instance, slots).await.map_err(|failure| {
        failure.warn("not_swept", "values that are over could not be deleted");
        Problem::StoreUnavailable
    })?;
    Ok(Response::json(200, &swept))
}
