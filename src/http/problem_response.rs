//! Problems as responses: RFC 9457 problem details, or an error of the Open Inference Protocol.

use super::response::Response;
use crate::problem::{FieldError, Problem, SourceFailure};
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use serde_json::value::RawValue;

/// Problem details.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    urn: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

/// An error of the Open Inference Protocol: one sentence.
#[derive(Serialize)]
struct InferenceError {
    error: String,
}

/// Renders a problem in the form that a path's callers read.
pub(crate) fn problem_response(problem: &Problem, path: &str) -> Response {
    match path == "/v2" || path.starts_with("/v2/") {
        true => inference_error_response(problem),
        false => Response::from(problem),
    }
}

impl From<&Problem> for Response {
    fn from(problem: &Problem) -> Response {
        let response = with_body(problem, |body| Response::json(problem.status(), body));
        with_problem_headers(response.with_header(CONTENT_TYPE, "application/problem+json"), problem)
    }
}

/// Renders a problem as JSON, for an item of a batch or the outcome of a background prediction.
pub(crate) fn problem_json(problem: &Problem) -> Box<RawValue> {
    with_body(problem, |body| serde_json::value::to_raw_value(body)).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn with_body<T>(problem: &Problem, render: impl FnOnce(&Body<'_>) -> T) -> T {
    let errors = if let Problem::Invalid(errors) = problem { errors.as_slice() } else { &[] };
    let (urn, title, status) = (problem.kind().urn(), problem.title(), problem.status());
    render(&Body { urn, title, status, detail: &problem.detail(), errors })
}

fn inference_error_response(problem: &Problem) -> Response {
    let error = match problem {
        Problem::Invalid(errors) => {
            let sentence = |error: &FieldError| format!("{} {}", error.field, error.message);
            errors.iter().map(sentence).collect::<Vec<_>>().join("; ")
        }
        _ => problem.detail().into_owned(),
    };
    with_problem_headers(Response::json(problem.status(), &InferenceError { error }), problem)
}

/// Adds the headers that some problems have.
fn with_problem_headers(response: Response, problem: &Problem) -> Response {
    let challenge = |response: Response, scheme: &str| response.with_header(WWW_AUTHENTICATE, scheme);
    let retry_after = |response: Response, seconds: &str| response.with_header(RETRY_AFTER, seconds);
    match problem {
        Problem::MethodNotAllowed { allow } => response.with_header(ALLOW, allow),
        Problem::UnsupportedContentEncoding => response.with_header(ACCEPT_ENCODING, "gzip, deflate, identity"),
        Problem::NoToken => challenge(response, "Bearer"),
        // RFC 6750, section 3.
        Problem::BadToken => challenge(response, "Bearer error=\"invalid_token\""),
        Problem::ExpiredToken => {
            challenge(response, "Bearer error=\"invalid_token\", error_description=\"The token has expired\"")
        }
        Problem::TokenTooLong => {
            challenge(response, "Bearer error=\"invalid_token\", error_description=\"The token is too long\"")
        }
        Problem::NoApiKey => challenge(response, "ApiKey header=\"x-api-key\""),
        Problem::BadWebhookSecret => challenge(response, "Webhook-Secret"),
        Problem::KeysUnavailable => retry_after(response, "10"),
        Problem::TooManyRequests(status) => retry_after(response, &status.reset.to_string()),
        Problem::Source(SourceFailure::Unreachable | SourceFailure::Failing) => retry_after(response, "5"),
        Problem::StoreUnavailable => retry_after(response, "2"),
        _ => response,
    }
}
