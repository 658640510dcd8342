//! Assertions about refusals.

use std::fmt::Debug;

use runtime::Error;

/// The code of the expected error.
///
/// # Panics
/// If the outcome is a success.
#[track_caller]
pub fn refusal<T: Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(error) => error.code().to_owned(),
        Ok(value) => panic!("expected a refusal, got {value:?}"),
    }
}

/// Asserts that the outcome is an error whose message contains all of `words`, ignoring case.
///
/// # Panics
/// If it is a success, or a word is missing.
#[track_caller]
pub fn assert_mentions<T: Debug>(outcome: Result<T, Error>, words: &[&str]) {
    let error = outcome.expect_err("expected a refusal");
    let text = error.to_string().to_lowercase();
    for word in words {
        assert!(text.contains(&word.to_lowercase()), "'{error}' ({}) does not mention '{word}'", error.code());
    }
}
