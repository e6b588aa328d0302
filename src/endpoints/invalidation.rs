//! `DELETE /data/predictions/{user_id}`: predictions about a person are not served again.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::request::PredictionRequest;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Body {
    /// The number of entries that were there and are gone.
    pub(super) invalidated: usize,
}

pub(super) async fn delete<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let user_id = PredictionRequest::parse_person(request.path.get("user_id"), request.query)?.user_id;
    let context = request.context;
    context.caller.check_may_invalidate(user_id)?;
    let invalidated = context.instance.cache.invalidate(&context.settings, user_id).await?;
    Ok(Response::json(200, &Body { invalidated }).private())
}
