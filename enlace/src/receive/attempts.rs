//! A password that was mistyped at a prompt is asked for again.

use runtime::Secret;

use crate::failure::Failure;

/// Most passwords that one command tries: the reference locks after too many, and so does the backbone for this machine.
pub(crate) const MAX_ATTEMPTS: usize = 3;

/// Tries with the password, and with others while `again` has one, at most [`MAX_ATTEMPTS`] times in all.
///
/// # Errors
/// That of the last attempt, or that of `again`.
pub(crate) async fn with_attempts<T>(
    mut password: Option<Secret>,
    mut attempt: impl AsyncFnMut(Option<&Secret>) -> Result<T, Failure>,
    mut again: impl AsyncFnMut(&Failure) -> Option<Result<Secret, Failure>>,
) -> Result<T, Failure> {
    for _ in 1..MAX_ATTEMPTS {
        let failure = match attempt(password.as_ref()).await {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        match again(&failure).await {
            Some(other) => password = Some(other?),
            None => return Err(failure),
        }
    }
    attempt(password.as_ref()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Kind;

    async fn tried(passwords: &[&str], right: &str) -> (Result<(), Failure>, usize) {
        let (mut count, mut others) = (0, passwords.iter().skip(1));
        let attempt = async |password: Option<&Secret>| {
            count += 1;
            let is_right = password.is_some_and(|password| password.expose() == right);
            if is_right { Ok(()) } else { Err(Failure::new(Kind::Refused, "wrong")) }
        };
        let again = async |_: &Failure| others.next().map(|other| Ok(Secret::new(*other)));
        let result = with_attempts(passwords.first().map(|first| Secret::new(*first)), attempt, again).await;
        (result, count)
    }

    #[tokio::test]
    async fn a_wrong_password_is_asked_for_again_up_to_the_bound() {
        for (passwords, works, count) in [
            (&["right"][..], true, 1),
            (&["wrong", "right"], true, 2),
            (&["wrong", "wrong", "right"], true, MAX_ATTEMPTS),
            (&["wrong", "wrong", "wrong", "right"], false, MAX_ATTEMPTS),
            (&["wrong"], false, 1),
            (&[], false, 1),
        ] {
            let (result, tries) = tried(passwords, "right").await;
            assert_eq!((result.is_ok(), tries), (works, count), "{passwords:?}");
        }
    }

    #[tokio::test]
    async fn a_prompt_that_fails_ends_it() {
        let attempt = async |_: Option<&Secret>| Err::<(), _>(Failure::new(Kind::Refused, "wrong"));
        let again = async |_: &Failure| Some(Err(Failure::usage("the password is empty")));
        let failure = with_attempts(None, attempt, again).await.unwrap_err();
        assert_eq!(failure.message, "the password is empty");
    }
}
