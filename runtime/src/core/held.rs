//! What a node needs to answer peers, beside what is on disk.

use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;
use transport::peer::Direct;
use transport::wire::TokenId;

use super::KeyedLocks;

/// Bodies of files of format `v1` that are served at the same time, from memory or from temporary files.
pub(crate) const MAX_BODIES: usize = 4;

/// What the holding of tokens needs beside the store.
pub(crate) struct Held {
    /// Tokens of which an attempt is being judged that may count.
    pub(crate) judging: KeyedLocks<TokenId>,
    /// Bodies of files of format `v1` that are being served.
    pub(crate) bodies: Arc<Semaphore>,
    /// How this node can be reached, once it has a network.
    reachable: OnceLock<Reachable>,
}

/// Says how a node can be reached now; nothing if it cannot.
type Reachable = Box<dyn Fn() -> Option<Direct> + Send + Sync>;

impl Default for Held {
    fn default() -> Self {
        let bodies = Arc::new(Semaphore::new(MAX_BODIES));
        Self { judging: KeyedLocks::default(), bodies, reachable: OnceLock::new() }
    }
}

impl Held {
    /// Asks this for how the node can be reached, from now on. The first one stays.
    pub(crate) fn reachable_by(&self, direct: impl Fn() -> Option<Direct> + Send + Sync + 'static) {
        // A node has one network, which lives as long as the node.
        let _ = self.reachable.set(Box::new(direct));
    }

    /// How this node can be reached; nothing without a network, or without an address that may be told.
    pub(crate) fn direct(&self) -> Option<Direct> {
        let direct = self.reachable.get()?()?;
        let is_told = !direct.addresses.is_empty() || !direct.relays.is_empty();
        is_told.then_some(direct)
    }
}
