//! What a node needs to answer peers, beside what is on disk.

use transport::access::WRONG_PASSWORDS;
#[cfg(test)]
use transport::peer::Direct;
use transport::wire::TokenId;

use super::KeyedLocks;
use super::guesses::Guesses;
use super::leases::Leases;
use super::transfers::Transfers;
use crate::config::PeerConfig;

/// What the holding of tokens needs beside the store.
pub(crate) struct Held {
    /// Tokens of which an attempt is being judged that may count.
    pub(crate) judging: KeyedLocks<TokenId>,
    /// Tokens whose terms are being changed, here and at the backbone.
    pub(crate) changing: KeyedLocks<TokenId>,
    /// Tokens that are being replaced by others.
    pub(crate) rotating: KeyedLocks<TokenId>,
    /// Wrong passwords of peers.
    pub(crate) guesses: Guesses,
    /// Uses that the backbone has allocated for peers.
    pub(crate) leases: Leases,
    /// What of contents was sent to peers.
    pub(crate) transfers: Transfers,
    /// How nodes of tests that have no network say that they can be reached.
    #[cfg(test)]
    reachable: std::sync::OnceLock<Reachable>,
}

#[cfg(test)]
type Reachable = Box<dyn Fn() -> Option<Direct> + Send + Sync>;

impl Held {
    pub(super) fn of(peers: Option<&PeerConfig>) -> Self {
        Self {
            judging: KeyedLocks::default(),
            changing: KeyedLocks::default(),
            rotating: KeyedLocks::default(),
            leases: Leases::default(),
            transfers: Transfers::default(),
            guesses: Guesses::new(peers.map_or(WRONG_PASSWORDS, |peers| peers.limits.wrong_passwords)),
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
