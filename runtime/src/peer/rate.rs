//! How often peers may ask.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Instant;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use transport::peer::{PeerId, Refusal};
use transport::wire::Address;

/// Peers, and as many identities, whose requests are counted. Those that have paused make room; without room others wait.
pub(super) const MAX_COUNTED: usize = 4096;

/// The timer of the executor.
#[derive(Clone, Copy)]
struct Timer;

impl Clock for Timer {
    type Instant = Instant;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, Timer, NoOpMiddleware<Instant>>;

/// The requests of each peer and of each proven identity: so neither many devices of an identity nor many connections of a peer
/// may ask more often than one.
pub(super) struct Rates {
    peers: Limiter<PeerId>,
    identities: Limiter<Address>,
}

impl Rates {
    /// So many requests in a second, and as many at once after a pause.
    pub(super) fn new(requests_per_second: u32) -> Self {
        let quota = Quota::per_second(NonZeroU32::new(requests_per_second).unwrap_or(NonZeroU32::MIN));
        Self {
            peers: RateLimiter::new(quota, HashMapStateStore::default(), Timer),
            identities: RateLimiter::new(quota, HashMapStateStore::default(), Timer),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if it is one too many.
    pub(super) fn count(&self, peer: &PeerId, identity: Option<&Address>) -> Result<(), Refusal> {
        count(&self.peers, peer)?;
        identity.map_or(Ok(()), |identity| count(&self.identities, identity))
    }
}

fn count<K: Hash + Eq + Clone>(limiter: &Limiter<K>, key: &K) -> Result<(), Refusal> {
    if limiter.len() >= MAX_COUNTED {
        limiter.retain_recent();
        if limiter.len() >= MAX_COUNTED {
            return Err(Refusal::Busy);
        }
    }
    limiter.check_key(key).map_err(|_| Refusal::Busy)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::peer::testing::Person;

    #[tokio::test(start_paused = true)]
    async fn the_65th_request_in_a_second_is_refused_for_a_peer_and_for_an_identity() {
        let (rates, one, two) = (Rates::new(64), Person::new(1), Person::new(2));
        for _ in 0..64 {
            assert_eq!(rates.count(&one.peer_id(), Some(&one.address())), Ok(()));
        }
        assert_eq!(rates.count(&one.peer_id(), None), Err(Refusal::Busy));
        assert_eq!(rates.count(&two.peer_id(), Some(&one.address())), Err(Refusal::Busy), "another device of it");
        assert_eq!(rates.count(&two.peer_id(), Some(&two.address())), Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(rates.count(&one.peer_id(), Some(&one.address())), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_peers_are_counted_as_the_bound_says_until_they_pause() {
        let rates = Rates::new(1);
        let peer = |number: usize| {
            let seed = transport::crypto::hash::sha256(&number.to_be_bytes());
            transport::peer::PeerKey::derive(&transport::crypto::SignatureKeypair::from_seed(&seed)).peer_id()
        };
        for number in 0..MAX_COUNTED {
            assert_eq!(rates.count(&peer(number), None), Ok(()));
        }
        assert_eq!(rates.count(&peer(MAX_COUNTED), None), Err(Refusal::Busy));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(rates.count(&peer(MAX_COUNTED), None), Ok(()));
    }
}
