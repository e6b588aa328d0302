//! `GET /metrics`: the counts of all instances together, exact with Redis, else estimates.

use crate::context::EndpointRequest;
use crate::http::Response;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::telemetry::metrics::{Format, render};
use http::HeaderMap;

pub(super) async fn get<P: Platform>(request: EndpointRequest<'_, P>) -> Result<Response, Problem> {
    let context = request.context;
    let known = context.instance.totals.read_or_remember(&context.settings).await;
    let format = format(request.headers);
    let text = render(&known.counts, known.sampling, known.is_current, format);
    Ok(Response::text(200, format.content_type(), text))
}

/// The format that a scraper asks for. Prometheus names OpenMetrics among those that it accepts.
fn format(headers: &HeaderMap) -> Format {
    let accepted = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    match accepted.into_iter().any(|value| value.contains("application/openmetrics-text")) {
        true => Format::OpenMetrics,
        false => Format::Prometheus,
    }
}
