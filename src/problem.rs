//! Every error that a caller can see. `http/problem_response.rs` renders them: as RFC 9457 problem details, or as the
//! Open Inference Protocol has errors.

use crate::limits::{
    Bytes, MAX_BATCH_BYTES, MAX_HEADER_BYTES, MAX_HEADERS, MAX_ITEM_BYTES, MAX_UPSTREAM_BYTES, MAX_URL_BYTES,
};
use crate::quota::RateLimitStatus;
use crate::supabase::MAX_TOKEN_BYTES;
use features::Language;
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
    /// A background prediction is of check-ins that have changed since, or that the caller may not see any more.
    JobOutdated,
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
    /// The answer would be longer than platforms let through.
    AnswerTooLarge,
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
    /// The caller is a person, and this is for operations.
    ForOperations,
    /// A token names a key that the project does not publish, as far as is known.
    UnknownKey {
        /// The seconds after which the keys may be fetched anew.
        retry_after: i64,
    },
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
    /// This instance has as much to do as it can.
    Overloaded,
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

    fn detail(self, language: Language) -> Cow<'static, str> {
        let texts: Texts = match self {
            SourceFailure::Refused => [
                "The database did not accept the token or this service's key.",
                "O banco de dados não aceitou o token ou a chave deste serviço.",
            ],
            SourceFailure::NoTable => [
                "The database has no table check_ins that can be read.",
                "O banco de dados não tem uma tabela check_ins que possa ser lida.",
            ],
            SourceFailure::Malformed => [
                "The database did not answer with this person's check-ins.",
                "O banco de dados não respondeu com os check-ins desta pessoa.",
            ],
            SourceFailure::Oversized => {
                let most = Bytes(MAX_UPSTREAM_BYTES);
                return Cow::Owned(match language {
                    Language::English => format!("The database answered more than {most}."),
                    Language::Portuguese => format!("O banco de dados respondeu mais de {most}."),
                });
            }
            SourceFailure::Slow => [
                "The database did not answer within the time that an answer may take.",
                "O banco de dados não respondeu no tempo que uma resposta pode levar.",
            ],
            SourceFailure::Unreachable => {
                ["The database could not be reached.", "Não foi possível alcançar o banco de dados."]
            }
            SourceFailure::Tls => [
                "No secure connection to the database could be made.",
                "Não foi possível estabelecer uma conexão segura com o banco de dados.",
            ],
            SourceFailure::Denied => [
                "The host does not allow this component to call the database.",
                "O ambiente de hospedagem não permite que este componente chame o banco de dados.",
            ],
            SourceFailure::Failing => ["The database is out of order.", "O banco de dados está fora de serviço."],
        };
        Cow::Borrowed(texts[language as usize])
    }
}

/// One wrong parameter.
#[derive(Debug, PartialEq)]
pub struct FieldError {
    /// The parameter's name, or its place in the body: `checkins[3].hoursSlept`.
    pub field: String,
    /// The rule that it breaks.
    pub message: Text,
}

/// A text in every language, in the order of [`Language::ALL`].
#[derive(Clone, Debug, PartialEq)]
pub struct Text([Cow<'static, str>; Language::ALL.len()]);

impl Text {
    /// Makes a text from what it is in English and in Portuguese.
    pub(crate) fn new(english: impl Into<Cow<'static, str>>, portuguese: impl Into<Cow<'static, str>>) -> Text {
        Text([english.into(), portuguese.into()])
    }

    /// Returns the text in a language.
    pub fn of(&self, language: Language) -> &str {
        &self.0[language as usize]
    }
}

/// A text for whoever runs or tests the service is in English alone.
impl From<&'static str> for Text {
    fn from(text: &'static str) -> Text {
        Text::new(text, text)
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Text {
        Text::new(text.clone(), text.clone())
    }
}

/// The type of a problem (RFC 9457, section 3.1.1). Problems of one kind have one status and one title.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ProblemKind {
    InvalidRequest,
    NotFound,
    NoSuchModel,
    NoSuchJob,
    JobLost,
    JobOutdated,
    MethodNotAllowed,
    TooLarge,
    AnswerTooLarge,
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
    Overloaded,
    NotConfigured,
    InternalError,
}

/// A text in every language, in the order of [`Language::ALL`].
type Texts = [&'static str; Language::ALL.len()];

/// A kind's status, the last part of its URN, and its title.
struct Facts {
    status: u16,
    name: &'static str,
    title: Texts,
}

const fn facts(status: u16, name: &'static str, title: Texts) -> Facts {
    Facts { status, name, title }
}

impl ProblemKind {
    const fn facts(self) -> Facts {
        const CHECK_INS: Texts = ["Check-ins not available", "Check-ins indisponíveis"];
        match self {
            ProblemKind::InvalidRequest => facts(400, "invalid-request", ["Invalid request", "Requisição inválida"]),
            ProblemKind::NotFound => facts(404, "not-found", ["Not found", "Não encontrado"]),
            ProblemKind::NoSuchModel => facts(404, "no-such-model", ["No such model", "Modelo inexistente"]),
            ProblemKind::NoSuchJob => facts(404, "no-such-job", ["No such job", "Tarefa inexistente"]),
            ProblemKind::JobLost => facts(503, "job-lost", ["Job lost", "Tarefa perdida"]),
            ProblemKind::JobOutdated => facts(503, "job-outdated", ["Job outdated", "Tarefa desatualizada"]),
            ProblemKind::MethodNotAllowed => {
                facts(405, "method-not-allowed", ["Method not allowed", "Método não permitido"])
            }
            ProblemKind::TooLarge => facts(413, "too-large", ["Too large", "Grande demais"]),
            ProblemKind::AnswerTooLarge => {
                facts(413, "answer-too-large", ["Answer too large", "Resposta grande demais"])
            }
            ProblemKind::UnsupportedMediaType => {
                facts(415, "unsupported-media-type", ["Unsupported media type", "Tipo de mídia não suportado"])
            }
            ProblemKind::UnsupportedContentEncoding => facts(
                415,
                "unsupported-content-encoding",
                ["Unsupported content encoding", "Codificação de conteúdo não suportada"],
            ),
            ProblemKind::RequestTimeout => {
                facts(408, "request-timeout", ["Request timeout", "Tempo da requisição esgotado"])
            }
            ProblemKind::IncompleteBody => facts(400, "broken-off", ["Broken off", "Requisição interrompida"]),
            ProblemKind::UrlTooLong => facts(414, "url-too-long", ["URI too long", "URI longa demais"]),
            ProblemKind::HeadersTooLarge => {
                facts(431, "headers-too-large", ["Request header fields too large", "Cabeçalhos grandes demais"])
            }
            ProblemKind::Unauthorized => facts(401, "unauthorized", ["Unauthorized", "Não autorizado"]),
            ProblemKind::TokenExpired => facts(401, "token-expired", ["Unauthorized", "Não autorizado"]),
            ProblemKind::Forbidden => facts(403, "forbidden", ["Forbidden", "Proibido"]),
            ProblemKind::KeysUnavailable => {
                facts(503, "keys-unavailable", ["Keys not available", "Chaves indisponíveis"])
            }
            ProblemKind::TooManyRequests => {
                facts(429, "too-many-requests", ["Too many requests", "Requisições demais"])
            }
            ProblemKind::OutOfTime => facts(504, "out-of-time", ["Out of time", "Tempo esgotado"]),
            ProblemKind::SourceRefused => facts(502, "source-refused", CHECK_INS),
            ProblemKind::SourceWithoutTable => facts(503, "source-without-table", CHECK_INS),
            ProblemKind::SourceMalformed => facts(502, "source-malformed", CHECK_INS),
            ProblemKind::SourceOversized => facts(502, "source-oversized", CHECK_INS),
            ProblemKind::SourceSlow => facts(504, "source-slow", CHECK_INS),
            ProblemKind::SourceUnreachable => facts(503, "source-unreachable", CHECK_INS),
            ProblemKind::SourceTls => facts(502, "source-tls", CHECK_INS),
            ProblemKind::SourceNotAllowed => facts(503, "source-not-allowed", CHECK_INS),
            ProblemKind::SourceFailing => facts(503, "source-failing", CHECK_INS),
            ProblemKind::StoreUnavailable => {
                facts(503, "store-unavailable", ["Store unavailable", "Armazenamento indisponível"])
            }
            ProblemKind::Overloaded => facts(503, "overloaded", ["Overloaded", "Sobrecarregado"]),
            ProblemKind::NotConfigured => facts(503, "not-configured", ["Not configured", "Não configurado"]),
            ProblemKind::InternalError => facts(500, "internal-error", ["Internal error", "Erro interno"]),
        }
    }

    /// The last part of the URN, which is also the label in metrics and in the log.
    pub(crate) const fn name(self) -> &'static str {
        self.facts().name
    }

    pub(crate) const fn status(self) -> u16 {
        self.facts().status
    }

    pub(crate) const fn title(self, language: Language) -> &'static str {
        self.facts().title[language as usize]
    }

    /// The URN that answers carry as `type`.
    pub(crate) fn urn(self) -> String {
        format!("urn:bipolar-edge:problem:{}", self.name())
    }
}

impl Problem {
    /// An invalid request with one wrong parameter.
    pub(crate) fn invalid(field: &str, message: impl Into<Text>) -> Problem {
        Problem::Invalid(vec![FieldError { field: field.to_owned(), message: message.into() }])
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
            Problem::JobOutdated => ProblemKind::JobOutdated,
            Problem::MethodNotAllowed { .. } => ProblemKind::MethodNotAllowed,
            Problem::TooLarge { .. } => ProblemKind::TooLarge,
            Problem::AnswerTooLarge => ProblemKind::AnswerTooLarge,
            Problem::UnsupportedMediaType => ProblemKind::UnsupportedMediaType,
            Problem::UnsupportedContentEncoding => ProblemKind::UnsupportedContentEncoding,
            Problem::RequestTimeout => ProblemKind::RequestTimeout,
            Problem::IncompleteBody => ProblemKind::IncompleteBody,
            Problem::UrlTooLong => ProblemKind::UrlTooLong,
            Problem::HeadersTooLarge => ProblemKind::HeadersTooLarge,
            Problem::NoToken
            | Problem::BadToken
            | Problem::TokenTooLong
            | Problem::UnknownKey { .. }
            | Problem::NoApiKey
            | Problem::BadWebhookSecret => ProblemKind::Unauthorized,
            Problem::ExpiredToken => ProblemKind::TokenExpired,
            Problem::Forbidden | Problem::AnonymousUser | Problem::ForOperations => ProblemKind::Forbidden,
            Problem::KeysUnavailable => ProblemKind::KeysUnavailable,
            Problem::TooManyRequests(_) => ProblemKind::TooManyRequests,
            Problem::OutOfTime => ProblemKind::OutOfTime,
            Problem::Source(failure) => failure.kind(),
            Problem::StoreUnavailable => ProblemKind::StoreUnavailable,
            Problem::Overloaded => ProblemKind::Overloaded,
            Problem::NotConfigured { .. } => ProblemKind::NotConfigured,
            Problem::Internal => ProblemKind::InternalError,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        self.kind().status()
    }

    pub(crate) fn title(&self, language: Language) -> &'static str {
        self.kind().title(language)
    }

    /// A sentence that says what to do about it. What a deployment lacks is said in English: it is for whoever runs it.
    pub(crate) fn detail(&self, language: Language) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Problem::TooLarge { limit } => return Cow::Owned(too_large(*limit, language)),
            Problem::UrlTooLong => return Cow::Owned(url_too_long(language)),
            Problem::HeadersTooLarge => return Cow::Owned(headers_too_large(language)),
            Problem::Source(failure) => return failure.detail(language),
            Problem::TokenTooLong => return Cow::Owned(token_too_long(language)),
            Problem::NotConfigured { detail } => return detail.clone(),
            other => other.texts()[language as usize],
        })
    }

    /// The sentence of a problem that has one without numbers.
    fn texts(&self) -> Texts {
        match self {
            Problem::Invalid(_) => [
                "One or more parameters are malformed or out of range.",
                "Um ou mais parâmetros estão malformados ou fora do intervalo.",
            ],
            Problem::NoSuchRoute => ["There is nothing at this path.", "Não há nada neste caminho."],
            Problem::NoSuchModel => ["GET /models lists the models.", "GET /models lista os modelos."],
            Problem::NoSuchJob => [
                "No background prediction of this id was started by this caller, or it has expired.",
                "Nenhuma previsão em segundo plano com este id foi iniciada por quem fez a requisição, ou ela expirou.",
            ],
            Problem::JobLost => [
                "The prediction was not made in time, or what made it has ended: try again.",
                "A previsão não foi feita a tempo, ou quem a fazia terminou: tente novamente.",
            ],
            Problem::JobOutdated => [
                "The check-ins, or what this caller may see of them, have changed since it was made: try again.",
                "Os check-ins, ou o que quem fez a requisição pode ver deles, mudaram desde então: tente novamente.",
            ],
            Problem::Overloaded => [
                "There is too much to do at the moment: the header retry-after says when to try again.",
                "O serviço está sobrecarregado no momento: o cabeçalho retry-after diz quando tentar novamente.",
            ],
            Problem::MethodNotAllowed { .. } => {
                ["The allow header names the methods of this path.", "O cabeçalho allow diz os métodos deste caminho."]
            }
            Problem::AnswerTooLarge => [
                "The answers before this one are as much as one answer can hold: ask for it in a batch of its own.",
                "As respostas anteriores já são tudo o que cabe em uma resposta: peça esta em outro lote.",
            ],
            Problem::UnsupportedMediaType => [
                "The body must be JSON, with content-type: application/json.",
                "O corpo deve ser JSON, com content-type: application/json.",
            ],
            Problem::UnsupportedContentEncoding => [
                "The body may be sent with content-encoding gzip or deflate, or as it is.",
                "O corpo pode ser enviado com content-encoding gzip ou deflate, ou como está.",
            ],
            Problem::RequestTimeout => [
                "The body did not arrive within the time that an answer may take.",
                "O corpo não chegou no tempo que uma resposta pode levar.",
            ],
            Problem::IncompleteBody => {
                ["The body ended before it was complete.", "O corpo terminou antes de estar completo."]
            }
            Problem::StoreUnavailable => [
                "The store did not answer, and without it this cannot be done: try again.",
                "O armazenamento não respondeu, e sem ele isto não pode ser feito: tente novamente.",
            ],
            Problem::OutOfTime => [
                "There was no time for all of these rows: ask for fewer at a time.",
                "Não houve tempo para todas estas linhas: peça menos de cada vez.",
            ],
            other => other.texts_of_callers(),
        }
    }

    /// The sentences about who asks and how often; for what has a text of its own, that this service is at fault.
    fn texts_of_callers(&self) -> Texts {
        match self {
            Problem::NoToken => [
                "The header authorization must hold the caller's own token: Bearer, a space and the token.",
                "O cabeçalho authorization deve ter o token de quem fez a requisição: Bearer, um espaço e o token.",
            ],
            Problem::BadToken => [
                "The token is not an access token of this deployment's project.",
                "O token não é um token de acesso do projeto desta instalação.",
            ],
            Problem::ExpiredToken => [
                "The token has expired: refresh the session and try again.",
                "O token expirou: renove a sessão e tente novamente.",
            ],
            Problem::AnonymousUser => [
                "Whoever signed in anonymously may not ask: sign in with an account.",
                "Quem entrou anonimamente não pode consultar: entre com uma conta.",
            ],
            Problem::NoApiKey => [
                "The header x-api-key must hold one of this deployment's API keys.",
                "O cabeçalho x-api-key deve ter uma das chaves de API desta instalação.",
            ],
            Problem::Forbidden => [
                "Only the person, or the project's own server, may do this.",
                "Só a própria pessoa, ou o servidor do projeto, pode fazer isto.",
            ],
            Problem::ForOperations => [
                "This is for operations: operations_token opens it, the project's service role, or an API key.",
                "Isto é para a operação: abre com operations_token, a service role do projeto ou uma chave de API.",
            ],
            Problem::UnknownKey { .. } => [
                "The token names a key that the project did not publish a moment ago: retry-after says when to try again.",
                "O token nomeia uma chave que o projeto não publicava há pouco: retry-after diz quando tentar novamente.",
            ],
            Problem::KeysUnavailable => [
                "The keys that tokens are checked with could not be had from the project: try again.",
                "Não foi possível obter do projeto as chaves que verificam os tokens: tente novamente.",
            ],
            Problem::TooManyRequests(_) => [
                "The header retry-after says in how many seconds to try again.",
                "O cabeçalho retry-after diz em quantos segundos tentar novamente.",
            ],
            Problem::BadWebhookSecret => [
                "The header x-webhook-secret must hold the secret of this deployment.",
                "O cabeçalho x-webhook-secret deve ter o segredo desta instalação.",
            ],
            _ => [
                "This service is at fault: try again, and report it if it stays so.",
                "O erro é deste serviço: tente novamente e, se persistir, informe-nos.",
            ],
        }
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

fn too_large(limit: usize, language: Language) -> String {
    match (limit, language) {
        (MAX_ITEM_BYTES, Language::English) => {
            format!("The body, or an item of a batch, may have at most {}.", Bytes(limit))
        }
        (MAX_ITEM_BYTES, Language::Portuguese) => {
            format!("O corpo, ou um item de um lote, pode ter no máximo {}.", Bytes(limit))
        }
        (_, Language::English) => {
            format!("The body of a batch, or of an inference request, may have at most {}.", Bytes(MAX_BATCH_BYTES))
        }
        (_, Language::Portuguese) => {
            format!(
                "O corpo de um lote, ou de uma requisição de inferência, pode ter no máximo {}.",
                Bytes(MAX_BATCH_BYTES)
            )
        }
    }
}

fn token_too_long(language: Language) -> String {
    let bytes = Bytes(MAX_TOKEN_BYTES);
    match language {
        Language::English => format!("A token may have at most {bytes}."),
        Language::Portuguese => format!("Um token pode ter no máximo {bytes}."),
    }
}

fn url_too_long(language: Language) -> String {
    let bytes = Bytes(MAX_URL_BYTES);
    match language {
        Language::English => format!("The path with its query may have at most {bytes}."),
        Language::Portuguese => format!("O caminho com sua consulta pode ter no máximo {bytes}."),
    }
}

fn headers_too_large(language: Language) -> String {
    let bytes = Bytes(MAX_HEADER_BYTES);
    match language {
        Language::English => format!("A request may have {MAX_HEADERS} headers of {bytes} in all."),
        Language::Portuguese => format!("Uma requisição pode ter {MAX_HEADERS} cabeçalhos, com {bytes} ao todo."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_give_limits_as_people_read_them() {
        assert_eq!(
            Problem::TooLarge { limit: MAX_ITEM_BYTES }.detail(Language::English),
            "The body, or an item of a batch, may have at most 256 KiB."
        );
        assert_eq!(
            Problem::TooLarge { limit: MAX_BATCH_BYTES }.detail(Language::English),
            "The body of a batch, or of an inference request, may have at most 4 MiB."
        );
        assert_eq!(Problem::TokenTooLong.detail(Language::English), "A token may have at most 8 KiB.");
        assert_eq!(Problem::UrlTooLong.detail(Language::English), "The path with its query may have at most 4 KiB.");
        assert_eq!(
            Problem::HeadersTooLarge.detail(Language::English),
            "A request may have 100 headers of 32 KiB in all."
        );
        let oversized = Problem::Source(SourceFailure::Oversized);
        assert_eq!(oversized.detail(Language::English), "The database answered more than 1 MiB.");
        assert_eq!(oversized.kind().urn(), "urn:bipolar-edge:problem:source-oversized");
        assert_eq!((oversized.status(), oversized.title(Language::English)), (502, "Check-ins not available"));
    }

    #[test]
    fn every_problem_is_said_in_both_languages() {
        let status = RateLimitStatus { limit: 1, remaining: 0, reset: 1 };
        for problem in [
            Problem::Invalid(Vec::new()),
            Problem::NoSuchRoute,
            Problem::NoSuchModel,
            Problem::NoSuchJob,
            Problem::JobLost,
            Problem::JobOutdated,
            Problem::MethodNotAllowed { allow: String::new() },
            Problem::TooLarge { limit: MAX_ITEM_BYTES },
            Problem::TooLarge { limit: MAX_BATCH_BYTES },
            Problem::AnswerTooLarge,
            Problem::UnsupportedMediaType,
            Problem::UnsupportedContentEncoding,
            Problem::RequestTimeout,
            Problem::IncompleteBody,
            Problem::UrlTooLong,
            Problem::HeadersTooLarge,
            Problem::NoToken,
            Problem::BadToken,
            Problem::ExpiredToken,
            Problem::TokenTooLong,
            Problem::AnonymousUser,
            Problem::NoApiKey,
            Problem::Forbidden,
            Problem::ForOperations,
            Problem::UnknownKey { retry_after: 1 },
            Problem::KeysUnavailable,
            Problem::TooManyRequests(status),
            Problem::OutOfTime,
            Problem::Source(SourceFailure::Refused),
            Problem::Source(SourceFailure::NoTable),
            Problem::Source(SourceFailure::Malformed),
            Problem::Source(SourceFailure::Oversized),
            Problem::Source(SourceFailure::Slow),
            Problem::Source(SourceFailure::Unreachable),
            Problem::Source(SourceFailure::Tls),
            Problem::Source(SourceFailure::Denied),
            Problem::Source(SourceFailure::Failing),
            Problem::BadWebhookSecret,
            Problem::StoreUnavailable,
            Problem::Overloaded,
            Problem::Internal,
        ] {
            let [english, portuguese] = Language::ALL
                .map(|language| [problem.title(language).to_owned(), problem.detail(language).into_owned()]);
            for (english, portuguese) in english.iter().zip(&portuguese) {
                assert!(
                    !english.is_empty() && !portuguese.is_empty() && english != portuguese,
                    "{problem:?}: {english}"
                );
            }
        }
    }
}
