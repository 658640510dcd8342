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

/// Requests at a time about claims that are not remembered, beside those. More are refused, so that whoever makes up claims keeps nobody from
/// a use.
const MAX_UNKNOWN: usize = 2;

/// Uses that the backbone has allocated lately.
pub(crate) struct Leases {
    known: Mutex<HashMap<(TokenId, ClaimId), Instant>>,
    asking: Semaphore,
    asking_for_unknown: Semaphore,
}

impl Default for Leases {
    fn default() -> Self {
        let [asking, asking_for_unknown] = [MAX_ASKED, MAX_UNKNOWN].map(Semaphore::new);
        Self { known: Mutex::default(), asking, asking_for_unknown }
    }
}

impl Leases {
    /// A place to ask the backbone for a peer.
    pub(crate) async fn place(&self) -> SemaphorePermit<'_> {
        self.asking.acquire().await.expect("nobody closes it")
    }

    /// A place to ask the backbone about a claim that is not remembered; none if all are taken.
    pub(crate) fn place_for_unknown(&self) -> Option<SemaphorePermit<'_>> {
        self.asking_for_unknown.try_acquire().ok()
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

    /// Forgets a use that has ended. Returns whether it was remembered.
    pub(crate) fn forget(&self, id: &TokenId, claim: &ClaimId) -> bool {
        self.known().remove(&(id.clone(), claim.clone())).is_some()
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
        assert!(leases.forget(&token(), &claim(2)) && !leases.forget(&token(), &claim(2)));
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
        let unknown: Vec<_> = (0..MAX_UNKNOWN).map(|_| leases.place_for_unknown().unwrap()).collect();
        assert!(leases.place_for_unknown().is_none());
        drop(unknown);
        assert!(leases.place_for_unknown().is_some());
        places.pop();
        drop(leases.place().await);
    }
}
