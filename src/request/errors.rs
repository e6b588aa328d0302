//! The errors of a request, collected: a caller is told everything that is wrong at once.

use crate::problem::{FieldError, Problem, Text};

/// The most errors that an answer lists.
const MAX_ERRORS: usize = 100;
/// A field's name may be the caller's own text: little of it is quoted.
const MAX_QUOTED_CHARS: usize = 64;

/// The errors so far.
#[derive(Default)]
pub(super) struct Errors(Vec<FieldError>);

impl Errors {
    /// Returns the value if there is one; else remembers what was wrong with it.
    pub(super) fn keep<T>(&mut self, field: &str, parsed: Result<T, Text>) -> Option<T> {
        parsed.map_err(|message| self.add(field, message)).ok()
    }

    pub(super) fn add(&mut self, field: &str, message: Text) {
        self.0.push(FieldError { field: field.chars().take(MAX_QUOTED_CHARS).collect(), message });
    }

    pub(super) fn append(&mut self, mut errors: Vec<FieldError>) {
        self.0.append(&mut errors);
    }

    /// Returns the value if there are no errors.
    pub(super) fn none_or<T>(mut self, value: T) -> Result<T, Problem> {
        self.0.truncate(MAX_ERRORS);
        if self.0.is_empty() { Ok(value) } else { Err(Problem::Invalid(self.0)) }
    }
}
