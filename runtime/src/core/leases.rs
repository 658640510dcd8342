//! Uses of tokens that the backbone has allocated for peers: remembered for a while, so that it is not asked for each range of a content.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use transport::wire::{ClaimId, TokenId};

/// For how long a use that the backbone has allocated is not asked for again. A part of the time of its
/// [lease](transport::access::LEASE), and the longest time for which a token goes on being served that only the backbone knows to be
/// revoked.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// Uses that are remembered. For one more, the oldest one is forgotten: the backbone is asked again.
const MAX_REMEMBERED: usize = 1024;

/// Requests to the backbone for peers at a time. More wait.
const MAX_ASKED: usize = 16;

/// Uses that the backbone has allocated lately.
pub(crate) struct Leases {
    known: Mutex<HashMap<(TokenId, ClaimId), Instant>>,
    asking: Semaphore,
}

impl Default for Leases {
    fn default() -> Self {
        Self { known: Mutex::default(), asking: Semaphore::new(MAX_ASKED) }
    }
}

impl Leases {
    /// A place to ask the backbone for a peer.
    pub(crate) async fn place(&self) -> SemaphorePermit<'_> {
        self.asking.acquire().await.expect("nobody closes it")
    }

    /// Whether the backbone need not be asked again.
    pub(crate) fn is_fresh(&self, id: &TokenId, claim: &ClaimId) -> bool {
        let known = self.known();
        known.get(&(id.clone(), claim.clone())).is_some_and(|since| since.elapsed() < FRESH)
    }

    /// The backbone has allocated a use now.
    pub(crate) fn note(&self, id: &TokenId, claim: &ClaimId) {
        let mut known = self.known();
        known.retain(|_, since| since.elapsed() < FRESH);
        let key = (id.clone(), claim.clone());
        if known.len() >= MAX_REMEMBERED && !known.contains_key(&key) {
            let oldest = known.iter().min_by_key(|(_, since)| **since).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        known.insert(key, Instant::now());
    }

    /// Forgets a use that has ended.
    pub(crate) fn forget(&self, id: &TokenId, claim: &ClaimId) {
        self.known().remove(&(id.clone(), claim.clone()));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(TokenId, ClaimId), Instant>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> TokenId {
        "TOKabcdefghijklmno12".parse().unwrap()
    }

    fn claim(number: usize) -> ClaimId {
        format!("CLM{number:017}").parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_use_is_remembered_for_a_while_and_not_when_it_has_ended() {
        let leases = Leases::default();
        assert!(!leases.is_fresh(&token(), &claim(1)));
        leases.note(&token(), &claim(1));
        leases.note(&token(), &claim(2));
        tokio::time::advance(FRESH - Duration::from_millis(1)).await;
        assert!(leases.is_fresh(&token(), &claim(1)));
        leases.forget(&token(), &claim(2));
        assert!(!leases.is_fresh(&token(), &claim(2)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!leases.is_fresh(&token(), &claim(1)));
        assert!(FRESH < transport::access::LEASE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_use_is_forgotten_beyond_the_bound() {
        let leases = Leases::default();
        for number in 0..=MAX_REMEMBERED {
            leases.note(&token(), &claim(number));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(leases.known().len(), MAX_REMEMBERED);
        assert!(!leases.is_fresh(&token(), &claim(0)));
        assert!(leases.is_fresh(&token(), &claim(1)) && leases.is_fresh(&token(), &claim(MAX_REMEMBERED)));
    }

    #[tokio::test(start_paused = true)]
    async fn more_requests_than_there_are_places_wait() {
        let leases = Leases::default();
        let mut places = Vec::new();
        for _ in 0..MAX_ASKED {
            places.push(leases.place().await);
        }
        assert!(tokio::time::timeout(FRESH, leases.place()).await.is_err());
        places.pop();
        drop(leases.place().await);
    }
}
