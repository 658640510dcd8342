//! Peers that multicast DNS and the distributed hash table find.

use std::collections::HashMap;

use libp2p::core::PeerRecord;
use libp2p::kad::{self, QueryId, QueryResult};
use libp2p::{Multiaddr, PeerId, identify};
use tokio::sync::oneshot;

use crate::address::{self, Scope, named_peer, without_peer};
use crate::behaviour::Behaviour;
use crate::state::State;
use crate::{DiscoveredBy, Event};

/// Searches for peers in the hash table at a time.
pub(crate) const SEARCHES: usize = 64;

/// Addresses of one peer that are kept of what somebody tells.
const ADDRESSES_OF_PEER: usize = 16;

type Answer = oneshot::Sender<Vec<Multiaddr>>;

/// Searches that are not complete.
#[derive(Debug, Default)]
pub(crate) struct Searches(HashMap<QueryId, (PeerId, Vec<Multiaddr>, Answer)>);

impl Searches {
    /// Starts to look for a peer. Without a hash table, or with too many searches, nothing is found.
    pub(crate) fn start(&mut self, behaviour: &mut Behaviour, peer: PeerId, answer: Answer) {
        let Some(dht) = behaviour.dht.as_mut().filter(|_| self.0.len() < SEARCHES) else {
            drop(answer.send(Vec::new()));
            return;
        };
        let query = dht.inner.get_closest_peers(peer);
        self.0.insert(query, (peer, Vec::new(), answer));
    }

    /// Notes what a search has found.
    pub(crate) fn progress(&mut self, state: &State, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed { id, result: QueryResult::GetClosestPeers(result), step, .. } = event
        else {
            return;
        };
        let found = match result {
            Ok(found) => found.peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        let Some((peer, addresses, _)) = self.0.get_mut(&id) else { return };
        for info in found.into_iter().filter(|info| info.peer_id == *peer) {
            addresses.extend(usable(state, *peer, info.addrs));
        }
        if step.last
            && let Some((peer, addresses, answer)) = self.0.remove(&id)
        {
            tell(state, peer, &addresses, DiscoveredBy::Dht);
            drop(answer.send(addresses));
        }
    }
}

/// A peer that speaks the protocol of the hash table becomes part of it, with the addresses that it signed if it did.
pub(crate) fn join(behaviour: &mut Behaviour, state: &State, peer: PeerId, info: identify::Info) {
    let Some(dht) = behaviour.dht.as_mut() else { return };
    let speaks = |protocol| info.protocols.contains(protocol);
    if !dht.inner.protocol_names().iter().any(speaks) {
        return;
    }
    let signed = info.signed_peer_record.and_then(|envelope| PeerRecord::from_signed_envelope(envelope).ok());
    let addresses = match signed.filter(|record| record.peer_id() == peer) {
        Some(record) => record.addresses().to_vec(),
        None => info.listen_addrs,
    };
    for address in usable(state, peer, addresses) {
        dht.inner.add_address(&peer, address);
    }
}

/// Peers of the local network: their addresses may be dialled although they are private.
pub(crate) fn found_locally(state: &State, found: Vec<(PeerId, Multiaddr)>) {
    let mut peers: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
    for (peer, address) in found {
        let local = match Scope::of(&address) {
            Scope::Private => true,
            Scope::Unusable => false,
            _ => address::ip(&address).is_some_and(|ip| state.interfaces.reach(ip)) || state.dialable.permits(&address),
        };
        if local && !address::is_relayed(&address) && state.dialable.exempt(address.clone()) {
            peers.entry(peer).or_default().push(without_peer(address));
        }
    }
    for (peer, addresses) in peers {
        // Before it is told, so that who subscribes and then looks misses nothing.
        state.remember_found(peer, &addresses);
        tell(state, peer, &addresses, DiscoveredBy::Mdns);
    }
}

/// Peers that are no longer in the local network.
pub(crate) fn lost_locally(state: &State, lost: Vec<(PeerId, Multiaddr)>) {
    for (peer, address) in lost {
        state.forget_found(peer, &without_peer(address.clone()));
        state.dialable.forget(address);
    }
}

/// Those addresses of a peer that may be dialled, without the peer at their end.
pub(crate) fn usable(state: &State, peer: PeerId, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let of_peer = addresses.into_iter().filter(|address| named_peer(address).is_none_or(|named| named == peer));
    of_peer.map(without_peer).filter(|address| state.dialable.permits(address)).take(ADDRESSES_OF_PEER).collect()
}

pub(crate) fn tell(state: &State, peer: PeerId, addresses: &[Multiaddr], by: DiscoveredBy) {
    if !addresses.is_empty() {
        state.tell(Event::Discovered { peer, addresses: addresses.to_vec(), by });
    }
}
