//! Assertions about refusals.

use std::fmt::Debug;

use runtime::Error;

/// The code of the error that must have happened.
///
/// # Panics
/// If nothing was refused.
#[track_caller]
pub fn refusal<T: Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(error) => error.code().to_owned(),
        Ok(value) => panic!("expected a refusal, got {value:?}"),
    }
}

/// Asserts that something was refused with a text that mentions all of `words`, without regard to letter case.
///
/// # Panics
/// If it was not refused, or in other words.
#[track_caller]
pub fn assert_mentions<T: Debug>(outcome: Result<T, Error>, words: &[&str]) {
    let error = outcome.expect_err("expected a refusal");
    let text = error.to_string().to_lowercase();
    for word in words {
        assert!(text.contains(&word.to_lowercase()), "'{error}' ({}) does not mention '{word}'", error.code());
    }
}
