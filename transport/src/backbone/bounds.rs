//! Bounds on the size of answers, and on the memory that concurrent large answers take.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::file::MAX_SEALED_METADATA_LENGTH;
use crate::wire::json_budget::JsonBudget;

/// Maximum nesting of an answer; the decoder has the same bound.
const MAX_DEPTH: usize = 127;
/// Bytes of an answer besides its one large text: ids, dates, hashes, pagination, member names.
const FRAME: usize = 64 * 1024;
/// Answers up to this size are not counted: the number of connections bounds them.
pub(super) const UNCOUNTED: usize = FRAME;
/// Total bytes of larger answers that all clients of the process may read or decode at the same time.
const MAX_IN_FLIGHT: usize = 64 * 1024 * 1024;
/// Bytes per permit.
const PERMIT: usize = 1024;

static IN_FLIGHT: Semaphore = Semaphore::const_new(MAX_IN_FLIGHT / PERMIT);

/// Bounds of one kind of successful JSON answer. Checked before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AnswerBounds {
    pub(super) bytes: usize,
    nodes: usize,
}

impl AnswerBounds {
    /// One record of a known shape: the largest has some 40 members.
    pub(super) const RECORD: Self = Self { bytes: FRAME, nodes: 1024 };
    /// A file's metadata, sealed by its uploader: a mebibyte, which base64 enlarges by a third.
    pub(super) const FILE_METADATA: Self = Self { bytes: FRAME + base64(MAX_SEALED_METADATA_LENGTH), nodes: 1024 };
    /// Indices of pushed modifications: at most some thousand, of 100 bytes each.
    pub(super) const ASSIGNMENTS: Self = Self { bytes: 1024 * 1024, nodes: 64 * 1024 };
    /// A page of a list: up to 200 records at the published backbone, with 10 MiB each in theory and some KiB in practice.
    pub(super) const PAGE: Self = Self { bytes: 32 * 1024 * 1024, nodes: 64 * 1024 };

    /// A token with a content of at most `plaintext` bytes, which is base64 inside JSON inside base64.
    pub(super) const fn token(plaintext: usize) -> Self {
        let wanted = FRAME.saturating_add(base64(base64(plaintext)));
        Self { bytes: if wanted < Self::PAGE.bytes { wanted } else { Self::PAGE.bytes }, nodes: 1024 }
    }

    pub(super) fn json(self) -> JsonBudget {
        JsonBudget { max_nodes: self.nodes, max_depth: MAX_DEPTH }
    }
}

/// Length of the base64 text of this many bytes, rounded up to a full group.
const fn base64(bytes: usize) -> usize {
    (bytes / 3).saturating_mul(4).saturating_add(4)
}

/// Waits, in order of arrival, until this many bytes may be in memory besides those of other answers.
///
/// This cannot deadlock: a call that holds a share never waits for a second one, and no answer is larger than all shares
/// together. So every answer gets its share, or its call times out.
pub(super) async fn share(bytes: usize) -> SemaphorePermit<'static> {
    share_of(&IN_FLIGHT, bytes).await
}

async fn share_of(budget: &Semaphore, bytes: usize) -> SemaphorePermit<'_> {
    let permits = bytes.div_ceil(PERMIT).min(MAX_IN_FLIGHT / PERMIT);
    let permits = u32::try_from(permits).expect("the budget has some thousand permits");
    budget.acquire_many(permits).await.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn no_answer_is_larger_than_the_budget_for_all() {
        for bounds in [
            AnswerBounds::RECORD,
            AnswerBounds::FILE_METADATA,
            AnswerBounds::ASSIGNMENTS,
            AnswerBounds::PAGE,
            AnswerBounds::token(0),
            AnswerBounds::token(10 * 1024 * 1024),
            AnswerBounds::token(usize::MAX),
        ] {
            assert!(bounds.bytes <= MAX_IN_FLIGHT, "{bounds:?}");
        }
        assert!(AnswerBounds::token(1000).bytes > AnswerBounds::RECORD.bytes + 1000 * 16 / 9);
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_for_its_turn() {
        let budget = Semaphore::new(MAX_IN_FLIGHT / PERMIT);
        let first = share_of(&budget, MAX_IN_FLIGHT - PERMIT).await;
        let mut second = Box::pin(share_of(&budget, PERMIT + 1));
        assert!(second.as_mut().now_or_never().is_none(), "a byte too many");
        assert!(share_of(&budget, 1).now_or_never().is_none(), "nobody overtakes");
        drop(first);
        drop(second.await);
        drop(share_of(&budget, usize::MAX).await);
        assert_eq!(budget.available_permits(), MAX_IN_FLIGHT / PERMIT);
    }
}
