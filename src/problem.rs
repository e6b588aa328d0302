//! Every error a caller can see, as RFC 9457 problem details.

use crate::access::rate_limit::Standing;
use crate::request::ITEM_LIMIT;
use crate::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

/// What went wrong, in the caller's terms.
#[derive(Debug, PartialEq)]
pub(crate) enum Problem {
    /// Parameters that are malformed or out of range: all of them.
    Invalid(Vec<FieldError>),
    NoSuchRoute,
    NoSuchModel,
    /// No background prediction of this id that this caller started.
    NoSuchJob,
    /// The instance that made a background prediction is gone.
    JobLost,
    MethodNotAllowed {
        allow: &'static str,
    },
    /// The body is longer than may be sent here.
    TooLarge {
        limit: usize,
    },
    /// The body is not said to be JSON.
    NotSaidToBeJson,
    /// The body is compressed in a way that is not read here.
    CompressedBody,
    /// The body did not arrive within the time that an answer may take.
    TooSlow,
    /// The body broke off.
    BrokenOff,
    UrlTooLong,
    HeadersTooLarge,
    /// A request without a bearer token, where one is needed.
    NoToken,
    /// A token that is not this project's, or not meant for this.
    BadToken,
    /// A token that was sound, and is no more.
    ExpiredToken,
    /// A request without one of this deployment's API keys.
    NoApiKey,
    /// The caller is known, and may not do this.
    Forbidden,
    /// The keys that tokens are checked with could not be had.
    KeysUnavailable,
    /// The caller has asked too often.
    TooManyRequests(Standing),
    /// The rows to predict could not all be predicted in time.
    OutOfTime,
    /// Check-ins could not be had from the database.
    Source(SourceFailure),
    /// A webhook without the secret that it shares with this service.
    BadWebhookSecret,
    /// The store did not take what had to be written.
    StoreUnavailable,
    /// The deployment lacks, or contradicts, something that the request needs.
    NotConfigured {
        detail: &'static str,
    },
}

/// Why check-ins could not be had. Nothing here is the database's own text, which may quote a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SourceFailure {
    /// It did not take the caller's token, or this deployment's key.
    Refused,
    /// There is no table of check-ins.
    NoTable,
    /// It answered something else than rows of this person.
    Malformed,
    Oversized,
    /// It did not answer before the deadline.
    Slow,
    Unreachable,
    Tls,
    /// The host does not let this component call it.
    Denied,
    /// It answered that it is out of order.
    Failing,
}

impl SourceFailure {
    /// For the log.
    pub(crate) fn name(self) -> &'static str {
        let kind = self.told().1;
        kind.rsplit(':').next().unwrap_or(kind)
    }

    /// The database is away, and says nothing about the caller or this deployment: an older answer will do.
    pub(crate) fn is_outage(self) -> bool {
        matches!(self, SourceFailure::Slow | SourceFailure::Unreachable | SourceFailure::Tls | SourceFailure::Failing)
    }

    /// Status, kind and detail.
    const fn told(self) -> (u16, &'static str, &'static str) {
        match self {
            SourceFailure::Refused => (
                502,
                "urn:bipolar-edge:problem:source-refused",
                "The database did not accept the token or this service's key.",
            ),
            SourceFailure::NoTable => (
                503,
                "urn:bipolar-edge:problem:source-without-table",
                "The database has no table check_ins that can be read.",
            ),
            SourceFailure::Malformed => (
                502,
                "urn:bipolar-edge:problem:source-malformed",
                "The database did not answer with this person's check-ins.",
            ),
            SourceFailure::Oversized => {
                (502, "urn:bipolar-edge:problem:source-oversized", "The database answered more than 1 MiB.")
            }
            SourceFailure::Slow => (
                504,
                "urn:bipolar-edge:problem:source-slow",
                "The database did not answer within the time that an answer may take.",
            ),
            SourceFailure::Unreachable => {
                (503, "urn:bipolar-edge:problem:source-unreachable", "The database could not be reached.")
            }
            SourceFailure::Tls => {
                (502, "urn:bipolar-edge:problem:source-tls", "No secure connection to the database could be made.")
            }
            SourceFailure::Denied => (
                503,
                "urn:bipolar-edge:problem:source-not-allowed",
                "The host does not allow this component to call the database.",
            ),
            SourceFailure::Failing => (503, "urn:bipolar-edge:problem:source-failing", "The database is out of order."),
        }
    }
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
    /// One thing that is wrong with a request.
    pub(crate) fn invalid(field: &str, message: &str) -> Problem {
        Problem::Invalid(vec![FieldError { field: field.to_owned(), message: message.to_owned() }])
    }

    /// The answer that tells it.
    pub(crate) fn into_response(self) -> Response {
        let (status, kind, title, detail) = self.told();
        let errors = if let Problem::Invalid(errors) = &self { errors.as_slice() } else { &[] };
        let response = Response::json(status, &Body { kind, title, status, detail, errors });
        self.with_headers(response.with_header("content-type", "application/problem+json"))
    }

    /// The same, to be kept as what became of a background prediction.
    pub(crate) fn into_json(self) -> Box<RawValue> {
        let body = String::from_utf8(self.into_response().body).unwrap_or_default();
        // What is no JSON is no body of this module's.
        RawValue::from_string(body).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }

    /// The same as the Open Inference Protocol has it: one sentence.
    pub(crate) fn into_inference_response(self) -> Response {
        #[derive(Serialize)]
        struct Error {
            error: String,
        }
        let (status, _, _, detail) = self.told();
        let error = match &self {
            Problem::Invalid(errors) => {
                let error = |error: &FieldError| format!("{} {}", error.field, error.message);
                errors.iter().map(error).collect::<Vec<_>>().join("; ")
            }
            _ => detail.to_owned(),
        };
        let response = Response::json(status, &Error { error });
        self.with_headers(response)
    }

    /// What the deadline came before, if that is the problem.
    pub(crate) fn waited_for(&self) -> Option<&'static str> {
        match self {
            Problem::TooSlow => Some("body"),
            Problem::OutOfTime => Some("rows"),
            Problem::Source(SourceFailure::Slow) => Some("check_ins"),
            _ => None,
        }
    }

    /// Status, kind, title and detail.
    pub(crate) fn told(&self) -> (u16, &'static str, &'static str, &'static str) {
        match self {
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
            Problem::NoSuchJob => (
                404,
                "urn:bipolar-edge:problem:no-such-job",
                "No such job",
                "No background prediction of this id was started by this caller, or it has expired.",
            ),
            Problem::JobLost => (
                503,
                "urn:bipolar-edge:problem:job-lost",
                "Job lost",
                "The prediction was not made in time, or what made it has ended: ask again.",
            ),
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
                    _ => "The body of a batch, or of an inference request, may have 4 MiB.",
                },
            ),
            Problem::NotSaidToBeJson => (
                415,
                "urn:bipolar-edge:problem:unsupported-media-type",
                "Unsupported media type",
                "The body must be JSON, with content-type: application/json.",
            ),
            Problem::CompressedBody => (
                415,
                "urn:bipolar-edge:problem:unsupported-content-encoding",
                "Unsupported content encoding",
                "The body may be sent with content-encoding gzip or deflate, or as it is.",
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
            Problem::NoToken => (
                401,
                "urn:bipolar-edge:problem:unauthorized",
                "Unauthorized",
                "The header authorization must hold the caller's own token: Bearer, a space and the token.",
            ),
            Problem::BadToken => (
                401,
                "urn:bipolar-edge:problem:unauthorized",
                "Unauthorized",
                "The token is not an access token of this deployment's project.",
            ),
            Problem::ExpiredToken => (
                401,
                "urn:bipolar-edge:problem:token-expired",
                "Unauthorized",
                "The token has expired: refresh the session and ask again.",
            ),
            Problem::NoApiKey => (
                401,
                "urn:bipolar-edge:problem:unauthorized",
                "Unauthorized",
                "The header x-api-key must hold one of this deployment's API keys.",
            ),
            Problem::Forbidden => (
                403,
                "urn:bipolar-edge:problem:forbidden",
                "Forbidden",
                "Only the person, or the project's own server, may do this.",
            ),
            Problem::KeysUnavailable => (
                503,
                "urn:bipolar-edge:problem:keys-unavailable",
                "Keys not available",
                "The keys that tokens are checked with could not be had from the project: ask again.",
            ),
            Problem::TooManyRequests(_) => (
                429,
                "urn:bipolar-edge:problem:too-many-requests",
                "Too many requests",
                "The header retry-after says in how many seconds to ask again.",
            ),
            Problem::UrlTooLong => (
                414,
                "urn:bipolar-edge:problem:url-too-long",
                "URI too long",
                "The path with its query may have 4 KiB.",
            ),
            Problem::HeadersTooLarge => (
                431,
                "urn:bipolar-edge:problem:headers-too-large",
                "Request header fields too large",
                "A request may have 100 headers of 32 KiB in all.",
            ),
            Problem::Source(failure) => {
                let (status, kind, detail) = failure.told();
                (status, kind, "Check-ins not available", detail)
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
                "The store did not answer, and without it this cannot be done: ask again.",
            ),
            Problem::OutOfTime => (
                504,
                "urn:bipolar-edge:problem:out-of-time",
                "Out of time",
                "There was no time for all of these rows: ask for fewer at a time.",
            ),
            Problem::NotConfigured { detail } => {
                (503, "urn:bipolar-edge:problem:not-configured", "Not configured", *detail)
            }
        }
    }

    /// What some of them say in headers too.
    fn with_headers(self, response: Response) -> Response {
        match self {
            Problem::MethodNotAllowed { allow } => response.with_header("allow", allow),
            Problem::CompressedBody => response.with_header("accept-encoding", "gzip, deflate, identity"),
            Problem::NoToken => response.with_header("www-authenticate", "Bearer"),
            // RFC 6750, section 3.
            Problem::BadToken => response.with_header("www-authenticate", "Bearer error=\"invalid_token\""),
            Problem::ExpiredToken => response.with_header(
                "www-authenticate",
                "Bearer error=\"invalid_token\", error_description=\"The token has expired\"",
            ),
            Problem::NoApiKey => response.with_header("www-authenticate", "ApiKey header=\"x-api-key\""),
            Problem::KeysUnavailable => response.with_header("retry-after", "10"),
            Problem::TooManyRequests(standing) => {
                response.with_header("retry-after", standing.reset.to_string()).with_standing(&standing)
            }
            Problem::Source(SourceFailure::Unreachable | SourceFailure::Failing) => {
                response.with_header("retry-after", "5")
            }
            Problem::BadWebhookSecret => response.with_header("www-authenticate", "Webhook-Secret"),
            Problem::StoreUnavailable => response.with_header("retry-after", "2"),
            _ => response,
        }
    }
}
