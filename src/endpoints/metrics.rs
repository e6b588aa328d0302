//! `GET /metrics`: what was counted, in all instances together.

use super::Asked;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::response::Response;
use crate::telemetry::metrics::{Format, render};
use crate::telemetry::{log, totals};
use http::HeaderMap;

pub(super) async fn answer<P: Platform>(asked: &Asked<'_, P>) -> Result<Response, Problem> {
    let totals = totals::read(asked.instance).await.map_err(|failure| {
        if let Some(cause) = failure.name() {
            log::warning("metrics_not_read", "counts could not be read from the store", cause);
        }
        // What this instance alone has counted would look like a restart of everything.
        Problem::StoreUnavailable
    })?;
    let format = format(asked.headers);
    Ok(Response::text(200, format.content_type(), render(&totals, format)))
}

/// What a scraper asks for. Prometheus names OpenMetrics among what it takes.
fn format(headers: &HeaderMap) -> Format {
    let accepted = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    match accepted.into_iter().any(|value| value.contains("application/openmetrics-text")) {
        true => Format::OpenMetrics,
        false => Format::Prometheus,
    }
}
