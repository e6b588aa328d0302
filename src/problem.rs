//! Every error that a caller can see. `http/problem_response.rs` renders them: as RFC 9457 problem details, or as the
//! Open Inference Protocol has errors.

use crate::limits::{
    Bytes, MAX_BATCH_BYTES, MAX_HEADER_BYTES, MAX_HEADERS, MAX_ITEM_BYTES, MAX_UPSTREAM_BYTES, MAX_URL_BYTES,
};
use crate::quota::RateLimitStatus;
use crate::supabase::MAX_TOKEN_BYTES;
use serde::Serialize;
use std::borrow::Cow;

/// An error, in the caller's terms.
#[derive(Debug, PartialEq)]
pub enum Problem {
    /// Parameters that are malformed or out of range: all of them.
    Invalid(Vec<FieldError>),
    /// There is nothing at the path.
    NoSuchRoute,
    /// The registry has no model of this name and version.
    NoSuchModel,
    /// There is no background prediction of this id that this caller started.
    NoSuchJob,
    /// The instance that made a background prediction is gone.
    JobLost,
    /// The path does not take this method.
    MethodNotAllowed {
        /// The methods that it takes, as the header `allow` lists them.
        allow: String,
    },
    /// The body is longer than may be sent here.
    TooLarge {
        /// The most bytes that may be sent.
        limit: usize,
    },
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The body is compressed in a way that is not supported.
    UnsupportedContentEncoding,
    /// The body did not arrive within the time that an answer may take.
    RequestTimeout,
    /// The body ended before it was complete.
    IncompleteBody,
    /// The path with its query is too long.
    UrlTooLong,
    /// The headers are too many or too long.
    HeadersTooLarge,
    /// A request has no bearer token, where one is needed.
    NoToken,
    /// A token is not this project's, or not meant for this.
    BadToken,
    /// A token was valid, and has expired.
    ExpiredToken,
    /// A token is longer than any that is meant well.
    TokenTooLong,
    /// The caller signed in anonymously, and this deployment does not let such users ask.
    AnonymousUser,
    /// A request has none of this deployment's API keys.
    NoApiKey,
    /// The caller is known, and may not do this.
    Forbidden,
    /// The keys that tokens are checked with are not available.
    KeysUnavailable,
    /// The caller has asked too often.
    TooManyRequests(RateLimitStatus),
    /// The rows to predict could not all be predicted in time.
    OutOfTime,
    /// The database did not give the check-ins.
    Source(SourceFailure),
    /// A webhook has not the secret that it shares with this service.
    BadWebhookSecret,
    /// The store did not take what had to be written.
    StoreUnavailable,
    /// The deployment lacks, or contradicts, something that the request needs.
    NotConfigured {
        /// The variable and its allowed values.
        detail: Cow<'static, str>,
    },
    /// This service is at fault.
    Internal,
}

/// The reason why the database did not give check-ins. Nothing here is the database's own text, which may quote a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SourceFailure {
    /// It did not take the caller's token, or this deployment's key.
    Refused,
    /// There is no table of check-ins.
    NoTable,
    /// It answered something else than rows of this person.
    Malformed,
    /// Its answer is too long.
    Oversized,
    /// It did not answer before the deadline.
    Slow,
    /// There was no connection.
    Unreachable,
    /// There was no secure connection.
    Tls,
    /// The host does not let this component call it.
    Denied,
    /// It answered that it is out of order.
    Failing,
}

impl SourceFailure {
    /// The database is away, and says nothing about the caller or this deployment: an older answer will do.
    pub(crate) fn is_outage(self) -> bool {
        matches!(self, SourceFailure::Slow | SourceFailure::Unreachable | SourceFailure::Tls | SourceFailure::Failing)
    }

    /// The kind of the problem that it becomes.
    pub(crate) fn kind(self) -> ProblemKind {
        match self {
            SourceFailure::Refused => ProblemKind::SourceRefused,
            SourceFailure::NoTable => ProblemKind::SourceWithoutTable,
            SourceFailure::Malformed => ProblemKind::SourceMalformed,
            SourceFailure::Oversized => ProblemKind::SourceOversized,
            SourceFailure::Slow => ProblemKind::SourceSlow,
            SourceFailure::Unreachable => ProblemKind::SourceUnreachable,
            SourceFailure::Tls => ProblemKind::SourceTls,
            SourceFailure::Denied => ProblemKind::SourceNotAllowed,
            SourceFailure::Failing => ProblemKind::SourceFailing,
        }
    }

    fn detail(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            SourceFailure::Refused => "The database did not accept the token or this service's key.",
            SourceFailure::NoTable => "The database has no table check_ins that can be read.",
            SourceFailure::Malformed => "The database did not answer with this person's check-ins.",
            SourceFailure::Oversized => {
                return Cow::Owned(format!("The database answered more than {}.", Bytes(MAX_UPSTREAM_BYTES)));
            }
            SourceFailure::Slow => "The database did not answer within the time that an answer may take.",
            SourceFailure::Unreachable => "The database could not be reached.",
            SourceFailure::Tls => "No secure connection to the database could be made.",
            SourceFailure::Denied => "The host does not allow this component to call the database.",
            SourceFailure::Failing => "The database is out of order.",
        })
    }
}

/// One wrong parameter.
#[derive(Debug, PartialEq, Serialize)]
pub struct FieldError {
    /// The parameter's name, or its place in the body: `checkins[3].hoursSlept`.
    pub field: String,
    /// The rule that it breaks.
    pub message: String,
}

/// The type of a problem (RFC 9457, section 3.1.1). Problems of one kind have one status and one title.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ProblemKind {
    InvalidRequest,
    NotFound,
    NoSuchModel,
    NoSuchJob,
    JobLost,
    MethodNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    UnsupportedContentEncoding,
    RequestTimeout,
    IncompleteBody,
    UrlTooLong,
    HeadersTooLarge,
    Unauthorized,
    TokenExpired,
    Forbidden,
    KeysUnavailable,
    TooManyRequests,
    OutOfTime,
    SourceRefused,
    SourceWithoutTable,
    SourceMalformed,
    SourceOversized,
    SourceSlow,
    SourceUnreachable,
    SourceTls,
    SourceNotAllowed,
    SourceFailing,
    StoreUnavailable,
    NotConfigured,
    InternalError,
}

/// A kind's status, the last part of its URN, and its title.
struct Facts {
    status: u16,
    name: &'static str,
    title: &'static str,
}

const fn facts(status: u16, name: &'static str, title: &'static str) -> Facts {
    Facts { status, name, title }
}

impl ProblemKind {
    const fn facts(self) -> Facts {
        const CHECK_INS: &str = "Check-ins not available";
        match self {
            ProblemKind::InvalidRequest => facts(400, "invalid-request", "Invalid request"),
            ProblemKind::NotFound => facts(404, "not-found", "Not found"),
            ProblemKind::NoSuchModel => facts(404, "no-such-model", "No such model"),
            ProblemKind::NoSuchJob => facts(404, "no-such-job", "No such job"),
            ProblemKind::JobLost => facts(503, "job-lost", "Job lost"),
            ProblemKind::MethodNotAllowed => facts(405, "method-not-allowed", "Method not allowed"),
            ProblemKind::TooLarge => facts(413, "too-large", "Too large"),
            ProblemKind::UnsupportedMediaType => facts(415, "unsupported-media-type", "Unsupported media type"),
            ProblemKind::UnsupportedContentEncoding => {
                facts(415, "unsupported-content-encoding", "Unsupported content encoding")
            }
            ProblemKind::RequestTimeout => facts(408, "request-timeout", "Request timeout"),
            ProblemKind::IncompleteBody => facts(400, "broken-off", "Broken off"),
            ProblemKind::UrlTooLong => facts(414, "url-too-long", "URI too long"),
            ProblemKind::HeadersTooLarge => facts(431, "headers-too-large", "Request header fields too large"),
            ProblemKind::Unauthorized => facts(401, "unauthorized", "Unauthorized"),
            ProblemKind::TokenExpired => facts(401, "token-expired", "Unauthorized"),
            ProblemKind::Forbidden => facts(403, "forbidden", "Forbidden"),
            ProblemKind::KeysUnavailable => facts(503, "keys-unavailable", "Keys not available"),
            ProblemKind::TooManyRequests => facts(429, "too-many-requests", "Too many requests"),
            ProblemKind::OutOfTime => facts(504, "out-of-time", "Out of time"),
            ProblemKind::SourceRefused => facts(502, "source-refused", CHECK_INS),
            ProblemKind::SourceWithoutTable => facts(503, "source-without-table", CHECK_INS),
            ProblemKind::SourceMalformed => facts(502, "source-malformed", CHECK_INS),
            ProblemKind::SourceOversized => facts(502, "source-oversized", CHECK_INS),
            ProblemKind::SourceSlow => facts(504, "source-slow", CHECK_INS),
            ProblemKind::SourceUnreachable => facts(503, "source-unreachable", CHECK_INS),
            ProblemKind::SourceTls => facts(502, "source-tls", CHECK_INS),
            ProblemKind::SourceNotAllowed => facts(503, "source-not-allowed", CHECK_INS),
            ProblemKind::SourceFailing => facts(503, "source-failing", CHECK_INS),
            ProblemKind::StoreUnavailable => facts(503, "store-unavailable", "Store unavailable"),
            ProblemKind::NotConfigured => facts(503, "not-configured", "Not configured"),
            ProblemKind::InternalError => facts(500, "internal-error", "Internal error"),
        }
    }

    /// The last part of the URN, which is also the label in metrics and in the log.
    pub(crate) const fn name(self) -> &'static str {
        self.facts().name
    }

    pub(crate) const fn status(self) -> u16 {
        self.facts().status
    }

    pub(crate) const fn title(self) -> &'static str {
        self.facts().title
    }

    /// The URN that answers carry as `type`.
    pub(crate) fn urn(self) -> String {
        format!("urn:bipolar-edge:problem:{}", self.name())
    }
}

impl Problem {
    /// An invalid request with one wrong parameter.
    pub(crate) fn invalid(field: &str, message: &str) -> Problem {
        Problem::Invalid(vec![FieldError { field: field.to_owned(), message: message.to_owned() }])
    }

    /// A deployment whose configuration is incomplete or contradicts itself.
    pub(crate) fn not_configured(detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem::NotConfigured { detail: detail.into() }
    }

    pub(crate) fn kind(&self) -> ProblemKind {
        match self {
            Problem::Invalid(_) => ProblemKind::InvalidRequest,
            Problem::NoSuchRoute => ProblemKind::NotFound,
            Problem::NoSuchModel => ProblemKind::NoSuchModel,
            Problem::NoSuchJob => ProblemKind::NoSuchJob,
            Problem::JobLost => ProblemKind::JobLost,
            Problem::MethodNotAllowed { .. } => ProblemKind::MethodNotAllowed,
            Problem::TooLarge { .. } => ProblemKind::TooLarge,
            Problem::UnsupportedMediaType => ProblemKind::UnsupportedMediaType,
            Problem::UnsupportedContentEncoding => ProblemKind::UnsupportedContentEncoding,
            Problem::RequestTimeout => ProblemKind::RequestTimeout,
            Problem::IncompleteBody => ProblemKind::IncompleteBody,
            Problem::UrlTooLong => ProblemKind::UrlTooLong,
            Problem::HeadersTooLarge => ProblemKind::HeadersTooLarge,
            Problem::NoToken
            | Problem::BadToken
            | Problem::TokenTooLong
            | Problem::NoApiKey
            | Problem::BadWebhookSecret => ProblemKind::Unauthorized,
            Problem::ExpiredToken => ProblemKind::TokenExpired,
            Problem::Forbidden | Problem::AnonymousUser => ProblemKind::Forbidden,
            Problem::KeysUnavailable => ProblemKind::KeysUnavailable,
            Problem::TooManyRequests(_) => ProblemKind::TooManyRequests,
            Problem::OutOfTime => ProblemKind::OutOfTime,
            Problem::Source(failure) => failure.kind(),
            Problem::StoreUnavailable => ProblemKind::StoreUnavailable,
            Problem::NotConfigured { .. } => ProblemKind::NotConfigured,
            Problem::Internal => ProblemKind::InternalError,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        self.kind().status()
    }

    pub(crate) fn title(&self) -> &'static str {
        self.kind().title()
    }

    /// A sentence that says what to do about it.
    pub(crate) fn detail(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Problem::Invalid(_) => "One or more parameters are malformed or out of range.",
            Problem::NoSuchRoute => "There is nothing at this path.",
            Problem::NoSuchModel => "GET /models lists the models.",
            Problem::NoSuchJob => "No background prediction of this id was started by this caller, or it has expired.",
            Problem::JobLost => "The prediction was not made in time, or what made it has ended: ask again.",
            Problem::MethodNotAllowed { .. } => "The allow header names the methods of this path.",
            Problem::TooLarge { limit } => return Cow::Owned(too_large(*limit)),
            Problem::UnsupportedMediaType => "The body must be JSON, with content-type: application/json.",
            Problem::UnsupportedContentEncoding => {
                "The body may be sent with content-encoding gzip or deflate, or as it is."
            }
            Problem::RequestTimeout => "The body did not arrive within the time that an answer may take.",
            Problem::IncompleteBody => "The body ended before it was complete.",
            Problem::NoToken => {
                "The header authorization must hold the caller's own token: Bearer, a space and the token."
            }
            Problem::BadToken => "The token is not an access token of this deployment's project.",
            Problem::ExpiredToken => "The token has expired: refresh the session and ask again.",
            Problem::TokenTooLong => return Cow::Owned(format!("A token may have {}.", Bytes(MAX_TOKEN_BYTES))),
            Problem::AnonymousUser => "Whoever signed in anonymously may not ask: sign in with an account.",
            Problem::NoApiKey => "The header x-api-key must hold one of this deployment's API keys.",
            Problem::Forbidden => "Only the person, or the project's own server, may do this.",
            Problem::KeysUnavailable => {
                "The keys that tokens are checked with could not be had from the project: ask again."
            }
            Problem::TooManyRequests(_) => "The header retry-after says in how many seconds to ask again.",
            Problem::UrlTooLong => {
                return Cow::Owned(format!("The path with its query may have {}.", Bytes(MAX_URL_BYTES)));
            }
            Problem::HeadersTooLarge => {
                let bytes = Bytes(MAX_HEADER_BYTES);
                return Cow::Owned(format!("A request may have {MAX_HEADERS} headers of {bytes} in all."));
            }
            Problem::Source(failure) => return failure.detail(),
            Problem::BadWebhookSecret => "The header x-webhook-secret must hold the secret of this deployment.",
            Problem::StoreUnavailable => "The store did not answer, and without it this cannot be done: ask again.",
            Problem::OutOfTime => "There was no time for all of these rows: ask for fewer at a time.",
            Problem::NotConfigured { detail } => return detail.clone(),
            Problem::Internal => "This service is at fault: ask again, and report it if it stays so.",
        })
    }

    /// The step that the deadline interrupted, if that is the problem.
    pub(crate) fn timed_out_step(&self) -> Option<&'static str> {
        match self {
            Problem::RequestTimeout => Some("body"),
            Problem::OutOfTime => Some("rows"),
            Problem::Source(SourceFailure::Slow) => Some("check_ins"),
            _ => None,
        }
    }
}

fn too_large(limit: usize) -> String {
    match limit {
        MAX_ITEM_BYTES => format!("The body, or an item of a batch, may have {}.", Bytes(limit)),
        _ => format!("The body of a batch, or of an inference request, may have {}.", Bytes(MAX_BATCH_BYTES)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_give_limits_as_people_read_them() {
        assert_eq!(
            Problem::TooLarge { limit: MAX_ITEM_BYTES }.detail(),
            "The body, or an item of a batch, may have 256 KiB."
        );
        assert_eq!(
            Problem::TooLarge { limit: MAX_BATCH_BYTES }.detail(),
            "The body of a batch, or of an inference request, may have 4 MiB."
        );
        assert_eq!(Problem::TokenTooLong.detail(), "A token may have 8 KiB.");
        assert_eq!(Problem::UrlTooLong.detail(), "The path with its query may have 4 KiB.");
        assert_eq!(Problem::HeadersTooLarge.detail(), "A request may have 100 headers of 32 KiB in all.");
        let oversized = Problem::Source(SourceFailure::Oversized);
        assert_eq!(oversized.detail(), "The database answered more than 1 MiB.");
        assert_eq!(oversized.kind().urn(), "urn:bipolar-edge:problem:source-oversized");
        assert_eq!((oversized.status(), oversized.title()), (502, "Check-ins not available"));
    }
}
