//! Peers that were found in the local network.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use libp2p::{Multiaddr, PeerId};

/// Peers and their addresses, as multicast DNS has found them. The addresses are bounded by those that may be dialled because they were found.
#[derive(Debug, Default)]
pub(crate) struct LocalPeers(Mutex<HashMap<PeerId, Vec<Multiaddr>>>);

impl LocalPeers {
    pub(crate) fn add(&self, peer: PeerId, address: Multiaddr) {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = peers.entry(peer).or_default();
        if !known.contains(&address) {
            known.push(address);
        }
    }

    pub(crate) fn remove(&self, peer: PeerId, address: &Multiaddr) {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.get_mut(&peer) {
            known.retain(|one| one != address);
            if known.is_empty() {
                peers.remove(&peer);
            }
        }
    }

    pub(crate) fn of(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(peer).cloned().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        peers.iter().map(|(peer, addresses)| (*peer, addresses.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_known_as_long_as_one_of_its_addresses() {
        let (peers, peer) = (LocalPeers::default(), PeerId::random());
        let [one, other] = [1, 2].map(|port| format!("/ip4/10.0.0.1/tcp/{port}").parse::<Multiaddr>().unwrap());
        for address in [&one, &other, &one] {
            peers.add(peer, address.clone());
        }
        assert_eq!(peers.of(&peer), [one.clone(), other.clone()]);
        peers.remove(peer, &one);
        assert_eq!(peers.all(), [(peer, vec![other.clone()])]);
        peers.remove(peer, &other);
        peers.remove(peer, &other);
        assert!(peers.all().is_empty());
    }
}
