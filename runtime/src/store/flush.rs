//! Group flush: commits that run at the same time share one trip to the disk.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

use super::Result;
use crate::blocking::blocking;

/// Counts writes, and flushes on behalf of everybody who waits.
pub(super) struct GroupFlush {
    tree: sled::Tree,
    /// Whoever has the permit flushes; the others wait and usually find their write flushed already.
    leader: Semaphore,
    written: AtomicU64,
    flushed: AtomicU64,
}

/// Stands for a write that was applied.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

impl GroupFlush {
    pub(super) fn new(tree: sled::Tree) -> Self {
        Self { tree, leader: Semaphore::new(1), written: AtomicU64::new(0), flushed: AtomicU64::new(0) }
    }

    /// Taken after a write was applied and before anybody waits for it.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.written.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Returns when the write is on disk. Dropping the future passes the lead to the next one who waits.
    pub(super) async fn wait_for(&self, ticket: Ticket) -> Result<()> {
        let _lead = self.leader.acquire().await.expect("the semaphore is never closed");
        if self.flushed.load(Ordering::SeqCst) >= ticket.0 {
            return Ok(());
        }
        // Every ticket up to here was taken after its write was applied, so this flush covers it.
        let covered = self.written.load(Ordering::SeqCst);
        // Not `flush_async`: it hands the work to sled's own threads, all of which wake for each piece.
        let tree = self.tree.clone();
        blocking(move || tree.flush()).await?;
        self.flushed.store(covered, Ordering::SeqCst);
        Ok(())
    }
}
