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

/// The most bytes of a token: Supabase's have about 1 kB.
pub(crate) const MAX_TOKEN_BYTES: usize = 8 << 10;

/// The reason why a request has no token that could be one.
#[derive(Debug, PartialEq)]
pub(crate) enum NoToken {
    Missing,
    TooLong,
}

/// The hosts that are this machine, as a URL names them.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Returns true if an origin is of this machine.
pub(crate) fn is_local(origin: &str) -> bool {
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    let mut rests = LOCAL_HOSTS.iter().filter_map(|host| authority.strip_prefix(host));
    rests.any(|rest| rest.is_empty() || rest.starts_with(':'))
}

impl Token {
    /// Parses the value of `authorization` (RFC 6750).
    pub(crate) fn parse(value: &str) -> Result<Token, NoToken> {
        let (scheme, token) = value.split_once(' ').ok_or(NoToken::Missing)?;
        let token = token.trim();
        let is_sane = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
        if token.is_empty() || !is_sane || !scheme.eq_ignore_ascii_case("bearer") {
            return Err(NoToken::Missing);
        }
        if token.len() > MAX_TOKEN_BYTES { Err(NoToken::TooLong) } else { Ok(Token(token.to_owned())) }
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
