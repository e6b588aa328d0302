//! Every error a caller can see, as RFC 9457 problem details.

use crate::request::ITEM_LIMIT;
use crate::response::Response;
use serde::Serialize;

/// What went wrong, in the caller's terms.
#[derive(Debug, PartialEq)]
pub(crate) enum Problem {
    /// Parameters that are malformed or out of range: all of them.
    Invalid(Vec<FieldError>),
    NoSuchRoute,
    NoSuchModel,
    MethodNotAllowed {
        allow: &'static str,
    },
    /// The body is longer than may be sent here.
    TooLarge {
        limit: usize,
    },
    /// The body is not said to be JSON.
    NotSaidToBeJson,
    /// The body did not arrive within the time that an answer may take.
    TooSlow,
    /// The body broke off.
    BrokenOff,
    /// A webhook without the secret that it shares with this service.
    BadWebhookSecret,
    /// The store did not take what had to be written.
    StoreUnavailable,
    /// The deployment lacks, or contradicts, something that the request needs.
    NotConfigured {
        detail: &'static str,
    },
}

/// One wrong parameter.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    /// The answer that tells it.
    pub(crate) fn into_response(self) -> Response {
        let (status, kind, title, detail) = match &self {
            Problem::Invalid(_) => (
                400,
                "urn:bipolar-edge:problem:invalid-request",
                "Invalid request",
                "One or more parameters are malformed or out of range.",
            ),
            Problem::NoSuchRoute => {
                (404, "urn:bipolar-edge:problem:not-found", "Not found", "There is nothing at this path.")
            }
            Problem::NoSuchModel => {
                (404, "urn:bipolar-edge:problem:no-such-model", "No such model", "GET /models lists the models.")
            }
            Problem::MethodNotAllowed { .. } => (
                405,
                "urn:bipolar-edge:problem:method-not-allowed",
                "Method not allowed",
                "The allow header names the methods of this path.",
            ),
            Problem::TooLarge { limit } => (
                413,
                "urn:bipolar-edge:problem:too-large",
                "Too large",
                match *limit {
                    ITEM_LIMIT => "The body, or an item of a batch, may have 256 KiB.",
                    _ => "The body of a batch may have 4 MiB.",
                },
            ),
            Problem::NotSaidToBeJson => (
                415,
                "urn:bipolar-edge:problem:unsupported-media-type",
                "Unsupported media type",
                "The body must be JSON, with content-type: application/json.",
            ),
            Problem::TooSlow => (
                408,
                "urn:bipolar-edge:problem:request-timeout",
                "Request timeout",
                "The body did not arrive within the time that an answer may take.",
            ),
            Problem::BrokenOff => {
                (400, "urn:bipolar-edge:problem:broken-off", "Broken off", "The body ended before it was complete.")
            }
            Problem::BadWebhookSecret => (
                401,
                "urn:bipolar-edge:problem:unauthorized",
                "Unauthorized",
                "The header x-webhook-secret must hold the secret of this deployment.",
            ),
            Problem::StoreUnavailable => (
                503,
                "urn:bipolar-edge:problem:store-unavailable",
                "Store unavailable",
                "The store did not answer, so nothing was invalidated: ask again.",
            ),
            Problem::NotConfigured { detail } => {
                (503, "urn:bipolar-edge:problem:not-configured", "Not configured", *detail)
            }
        };
        let errors = if let Problem::Invalid(errors) = &self { errors.as_slice() } else { &[] };
        let response = Response::json(status, &Body { kind, title, status, detail, errors })
            .with_header("content-type", "application/problem+json");
        match self {
            Problem::MethodNotAllowed { allow } => response.with_header("allow", allow),
            Problem::BadWebhookSecret => response.with_header("www-authenticate", "Webhook-Secret"),
            Problem::StoreUnavailable => response.with_header("retry-after", "2"),
            _ => response,
        }
    }
}
