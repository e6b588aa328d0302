//! `GET /metrics`: the counts of all instances together, exact with Redis, else estimates.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::telemetry::metrics::{Format, render};
use http::HeaderMap;

pub(super) async fn get<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let context = request.context;
    let (totals, sampling) = context.instance.totals.read(&context.settings).await.map_err(|failure| {
        failure.warn("metrics_not_read", "counts could not be read from the store");
        // The counts of this instance alone would look like a restart of everything.
        Problem::StoreUnavailable
    })?;
    let format = format(request.headers);
    Ok(Response::text(200, format.content_type(), render(&totals, sampling, format)))
}

/// The format that a scraper asks for. Prometheus names OpenMetrics among those that it accepts.
fn format(headers: &HeaderMap) -> Format {
    let accepted = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    match accepted.into_iter().any(|value| value.contains("application/openmetrics-text")) {
        true => Format::OpenMetrics,
        false => Format::Prometheus,
    }
}
