//! Problems as responses: RFC 9457 problem details, an error of the Open Inference Protocol, or an outcome of FHIR.

use super::headers::FHIR_JSON;
use super::response::Response;
use crate::problem::{FieldError, Problem, SourceFailure};
use features::Language;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Problem details.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    urn: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldBody<'a>>,
}

/// One wrong parameter.
#[derive(Serialize)]
struct FieldBody<'a> {
    field: &'a str,
    message: &'a str,
}

/// An error of the Open Inference Protocol: one sentence.
#[derive(Serialize)]
struct InferenceError {
    error: String,
}

/// An outcome of FHIR R4: what went wrong, or must be known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationOutcome<'a> {
    resource_type: &'static str,
    issue: Vec<Issue<'a>>,
}

#[derive(Serialize)]
struct Issue<'a> {
    severity: &'static str,
    code: &'static str,
    diagnostics: Cow<'a, str>,
    /// The parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<[&'a str; 1]>,
}

impl<'a> OperationOutcome<'a> {
    /// The outcome of an answer that comes with a warning.
    pub(crate) fn warning(text: &'a str) -> OperationOutcome<'a> {
        OperationOutcome::new(vec![Issue {
            severity: "warning",
            code: "transient",
            diagnostics: Cow::Borrowed(text),
            expression: None,
        }])
    }

    fn new(issue: Vec<Issue<'a>>) -> OperationOutcome<'a> {
        OperationOutcome { resource_type: "OperationOutcome", issue }
    }

    fn of_problem(problem: &'a Problem, language: Language) -> OperationOutcome<'a> {
        let issue = |diagnostics, expression| Issue {
            severity: "error",
            code: issue_code(problem.status()),
            diagnostics,
            expression,
        };
        let of_field = |error: &'a FieldError| {
            let text = format!("{} {}", error.field, error.message.of(language));
            issue(text.into(), Some([error.field.as_str()]))
        };
        OperationOutcome::new(match problem {
            Problem::Invalid(errors) => errors.iter().map(of_field).collect(),
            _ => vec![issue(problem.detail(language), None)],
        })
    }
}

/// The code of FHIR's issue types for a status.
fn issue_code(status: u16) -> &'static str {
    match status {
        400 => "invalid",
        401 => "login",
        403 => "forbidden",
        404 => "not-found",
        408 | 504 => "timeout",
        413 | 414 | 431 => "too-long",
        405 | 415 => "not-supported",
        429 => "throttled",
        500 => "exception",
        _ => "transient",
    }
}

/// Renders a problem in the form that a path's callers read, or as FHIR where they asked for that. The Open Inference
/// Protocol is in English.
pub(crate) fn problem_response(problem: &Problem, path: &str, is_fhir: bool, language: Language) -> Response {
    if is_fhir {
        let response = Response::json(problem.status(), &OperationOutcome::of_problem(problem, language));
        let response = response.with_content_type(FHIR_JSON).in_language(language);
        return with_problem_headers(response, problem);
    }
    match path == "/v2" || path.starts_with("/v2/") {
        true => inference_error_response(problem),
        false => problem_details(problem, language),
    }
}

pub(super) fn problem_details(problem: &Problem, language: Language) -> Response {
    let response = with_body(problem, language, |body| Response::json(problem.status(), body));
    let response = response.with_header(CONTENT_TYPE, "application/problem+json").in_language(language);
    with_problem_headers(response, problem)
}

/// Renders a problem as JSON, for an item of a batch or the outcome of a background prediction.
pub(crate) fn problem_json(problem: &Problem, language: Language) -> Box<RawValue> {
    let json = with_body(problem, language, |body| serde_json::value::to_raw_value(body));
    json.unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn with_body<T>(problem: &Problem, language: Language, render: impl FnOnce(&Body<'_>) -> T) -> T {
    let errors = if let Problem::Invalid(errors) = problem { errors.as_slice() } else { &[] };
    let (urn, title, status) = (problem.kind().urn(), problem.title(language), problem.status());
    let errors =
        errors.iter().map(|error| FieldBody { field: &error.field, message: error.message.of(language) }).collect();
    render(&Body { urn, title, status, detail: &problem.detail(language), errors })
}

fn inference_error_response(problem: &Problem) -> Response {
    let error = match problem {
        Problem::Invalid(errors) => {
            let sentence = |error: &FieldError| format!("{} {}", error.field, error.message.of(Language::English));
            errors.iter().map(sentence).collect::<Vec<_>>().join("; ")
        }
        _ => problem.detail(Language::English).into_owned(),
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
        Problem::UnknownKey { retry_after: seconds } => {
            retry_after(challenge(response, "Bearer error=\"invalid_token\""), &seconds.to_string())
        }
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
        Problem::Overloaded => retry_after(response, "1"),
        _ => response,
    }
}
