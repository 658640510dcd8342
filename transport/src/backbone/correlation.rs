//! Correlation ids, which connect the log lines of one operation across programs.
//!
//! Every call to the backbone carries an id. If the operation has one from its caller, all its calls carry that one.

use crate::crypto::random;
use crate::wire::bytes::hex;

/// Maximum length in bytes of an id that is passed on.
const MAX_LENGTH: usize = 128;

tokio::task_local! {
    static CURRENT: String;
}

/// Runs an operation whose calls to the backbone carry this id. Tasks that it spawns have their own ids.
///
/// An id that is empty, longer than 128 bytes or not visible ASCII is not passed on.
pub async fn with_correlation_id<F: Future>(id: String, work: F) -> F::Output {
    let passes = (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if passes { CURRENT.scope(id, work).await } else { work.await }
}

/// The id of the current operation, or a new one.
pub(super) fn correlation_id() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_else(|_| hex(&random::bytes::<8>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_id_of_the_work_is_used_if_it_can_stand_in_a_header() {
        let used = |id: &str| with_correlation_id(id.to_owned(), async { correlation_id() });
        assert_eq!(used("probe-1").await, "probe-1");
        for id in ["", "a b", "a\r\nb", "\u{e9}", &"x".repeat(129)] {
            assert_ne!(used(id).await, id);
        }
        assert_ne!(correlation_id(), correlation_id());
    }
}
