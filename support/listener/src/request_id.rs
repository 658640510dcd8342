//! The id of a request: in the log, in its failure, and in the headers of its answer if a server has one for it.
//!
//! Ids that clients choose are correlation ids and something else: they may repeat, and hold anything. So the layer that
//! `tower-http` has for request ids, which takes over what a client sends, does not fit.

use std::fmt;

use tracing::{Instrument, Span};

/// Letters and digits that nobody confuses.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of an id: 85 random bits.
const LENGTH: usize = 17;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// Names one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; LENGTH]);

impl RequestId {
    /// An id that no other request has.
    fn random() -> Self {
        let mut bytes = [0; LENGTH];
        // Without randomness the id is constant; the answer matters more than its name.
        let _ = getrandom::fill(&mut bytes);
        Self(bytes.map(|byte| ALPHABET[usize::from(byte) % ALPHABET.len()]))
    }

    /// The id of the request that this task answers, see [`identified`]; another one outside of a request.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.try_with(|id| *id).unwrap_or_else(|_| Self::random())
    }

    /// The name of the failure that a request ends with, at most one: `ERR` and the id.
    #[must_use]
    pub fn of_failure(self) -> String {
        format!("ERR{self}")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{}", char::from(*byte)))
    }
}

/// Gives a request its id and its span in the log, and answers it within both.
pub async fn identified<F: Future>(
    span: impl FnOnce(RequestId) -> Span,
    answer: impl FnOnce(RequestId) -> F,
) -> F::Output {
    let id = RequestId::random();
    CURRENT.scope(id, answer(id).instrument(span(id))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_has_the_id_of_its_request() {
        let answer = |id| async move { (id, RequestId::current()) };
        let (given, seen) = identified(|_| Span::none(), answer).await;
        assert_eq!(given, seen);
        let (text, failure) = (given.to_string(), given.of_failure());
        assert!(text.len() == 17 && !text.contains(['I', 'O', '0', '1']), "{text}");
        assert_eq!(failure, format!("ERR{text}"));
        assert_ne!(RequestId::current(), RequestId::current());
    }
}
