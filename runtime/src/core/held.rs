//! What a node needs to answer peers, beside what is on disk.

use std::sync::Arc;

use tokio::sync::Semaphore;
#[cfg(test)]
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
    /// How nodes of tests that have no network say that they can be reached.
    #[cfg(test)]
    reachable: std::sync::OnceLock<Reachable>,
}

#[cfg(test)]
type Reachable = Box<dyn Fn() -> Option<Direct> + Send + Sync>;

impl Default for Held {
    fn default() -> Self {
        let bodies = Arc::new(Semaphore::new(MAX_BODIES));
        Self {
            judging: KeyedLocks::default(),
            bodies,
            #[cfg(test)]
            reachable: std::sync::OnceLock::new(),
        }
    }
}

#[cfg(test)]
impl Held {
    /// Asks this for how the node can be reached, from now on. The first one stays.
    pub(crate) fn reachable_by(&self, direct: impl Fn() -> Option<Direct> + Send + Sync + 'static) {
        assert!(self.reachable.set(Box::new(direct)).is_ok(), "a node is asked in one place");
    }

    pub(super) fn direct(&self) -> Option<Direct> {
        self.reachable.get()?()
    }
}
