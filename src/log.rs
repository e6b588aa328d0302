//! Lines for operators, on stderr. No user id, check-in, token or key is ever an argument here: a message is
//! fixed text, and `cause` is the name of a kind of error.

/// Something that happened several times.
pub(crate) fn counted(message: &'static str, count: usize) {
    eprintln!("warning: {message}: {count}");
}

/// Something degraded, and the service goes on.
pub(crate) fn warning(message: &'static str, cause: &'static str) {
    eprintln!("warning: {message}: {cause}");
}
