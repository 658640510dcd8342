//! Names one piece of work across programs and logs.
//!
//! Every call to the backbone carries an id. Whoever calls us may have given the work one already; then all calls that
//! the work makes carry that one.

use crate::crypto::random;

/// Longest id that is passed on, in bytes.
const MAX_LENGTH: usize = 128;

tokio::task_local! {
    static CURRENT: String;
}

/// Does some work whose calls to the backbone carry this id. Tasks that the work spawns have ids of their own.
///
/// An id that is empty, longer than 128 bytes or not visible ASCII is not passed on.
pub async fn with_correlation_id<F: Future>(id: String, work: F) -> F::Output {
    let passes = (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if passes { CURRENT.scope(id, work).await } else { work.await }
}

/// The id of the current work, or a fresh one.
pub(super) fn correlation_id() -> String {
    CURRENT
        .try_with(Clone::clone)
        .unwrap_or_else(|_| random::bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect())
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
