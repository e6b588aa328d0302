//! The Supabase project that check-ins come from, and the credentials that it is asked with.

/// A Supabase project.
pub(crate) struct Project {
    /// Scheme, host and port.
    pub(crate) origin: String,
    /// Names the project to its gateway; what may be read is for the caller's token to decide.
    pub(crate) anon_key: String,
    /// Reads everything, for callers who have no token of the project.
    pub(crate) service_key: Option<String>,
}

/// A caller's bearer token. It has neither `Debug` nor `Display`: it goes into one header and nowhere else.
pub(crate) struct Token(String);

/// Supabase's tokens have about 1 kB.
const MAX_TOKEN_BYTES: usize = 8 << 10;

impl Token {
    /// Parses the value of `authorization` (RFC 6750).
    pub(crate) fn parse(value: &str) -> Option<Token> {
        let (scheme, token) = value.split_once(' ')?;
        let sane = |token: &&str| {
            (1..=MAX_TOKEN_BYTES).contains(&token.len())
                && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b))
        };
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(sane).map(|token| Token(token.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The credential that the database judges by.
#[derive(Clone, Copy)]
pub(crate) enum Credential<'a> {
    /// The caller's own token.
    Token(&'a Token),
    /// This deployment's service key, which sees everything.
    ServiceKey(&'a str),
}
