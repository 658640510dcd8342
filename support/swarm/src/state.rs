//! What handles of a network see of its driver.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::{Multiaddr, PeerId, ping};
use tokio::sync::broadcast;

use crate::address::{Scope, is_relayed};
use crate::connection::TransportKind;
use crate::interfaces::Interfaces;
use crate::limits::Refusals;
use crate::relays::RelayCounters;
use crate::rendezvous::RendezvousCounters;
use crate::streams::Registry;
use crate::traffic::Traffic;
use crate::transport::Dialable;
use crate::{AddressPolicy, Event, NatStatus, Reachability};

/// Events that a subscriber may fall behind by.
const EVENTS: usize = 256;

/// The most addresses that others are told.
pub(crate) const TOLD_ADDRESSES: usize = 16;

/// The most addresses of this peer that others claim to see and that are remembered.
const OBSERVED_ADDRESSES: usize = 16;

/// The most peers that multicast DNS found and that are remembered, each with [`FOUND_ADDRESSES`]; further ones are told as events only.
const FOUND_PEERS: usize = 256;

/// The most addresses of each of them.
const FOUND_ADDRESSES: usize = 16;

/// Shared by the driver, which writes it, and the handles.
pub(crate) struct State {
    pub(crate) local: PeerId,
    pub(crate) policy: AddressPolicy,
    pub(crate) dialable: Arc<Dialable>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) interfaces: Interfaces,
    pub(crate) relayed: RelayCounters,
    pub(crate) registered: RendezvousCounters,
    /// What streams carry, if this is a relay.
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) events: broadcast::Sender<Event>,
    /// Peers that the configuration names.
    trusted: HashSet<PeerId>,
    /// Peers in the local network.
    found: Mutex<HashMap<PeerId, Vec<Multiaddr>>>,
    addresses: Mutex<Addresses>,
    reachability: Mutex<Reachability>,
}

#[derive(Default)]
struct Addresses {
    listening: Vec<Multiaddr>,
    confirmed: Vec<Multiaddr>,
    /// The newest first.
    observed: Vec<Observed>,
}

/// An address that others claim to see this peer at.
struct Observed {
    address: Multiaddr,
    /// Who was the first to say so.
    by: PeerId,
    /// Where that one is, if it has an IP address.
    host: Option<IpAddr>,
    /// Whether it may be passed on: a second peer at another host, or one of the configuration, says so too. A single stranger could name a victim,
    /// whom others would then dial, and has as many peer ids as it likes.
    credible: bool,
}

impl State {
    pub(crate) fn new(
        local: PeerId,
        policy: AddressPolicy,
        dialable: Dialable,
        trusted: HashSet<PeerId>,
        reachability: Reachability,
    ) -> Self {
        Self {
            local,
            policy,
            dialable: Arc::new(dialable),
            registry: Arc::default(),
            refusals: Arc::default(),
            interfaces: Interfaces::default(),
            relayed: RelayCounters::default(),
            registered: RendezvousCounters::default(),
            traffic: Arc::default(),
            events: broadcast::Sender::new(EVENTS),
            trusted,
            found: Mutex::default(),
            addresses: Mutex::default(),
            reachability: Mutex::new(reachability),
        }
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody may listen.
        drop(self.events.send(event));
    }

    /// Notes the latency, and that the peer is alive. A connection that has answered no ping is checked: the answer may only wait behind data, or TCP may not have noticed that the
    /// peer is gone.
    pub(crate) fn pinged(&self, event: &ping::Event) {
        let Some(connection) = self.registry.get(event.connection) else { return };
        match event.result {
            Ok(latency) => connection.answered(latency),
            Err(ping::Failure::Unsupported) => {}
            Err(_) => self.registry.check(connection),
        }
    }

    /// Peers in the local network that were found and not lost again.
    pub(crate) fn found_locally(&self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        self.found().iter().map(|(peer, addresses)| (*peer, addresses.clone())).collect()
    }

    /// Remembers where a peer in the local network was found, for who asks later.
    pub(crate) fn remember_found(&self, peer: PeerId, addresses: &[Multiaddr]) {
        let mut found = self.found();
        if found.len() == FOUND_PEERS && !found.contains_key(&peer) {
            return;
        }
        let known = found.entry(peer).or_default();
        for address in addresses {
            if known.len() < FOUND_ADDRESSES && !known.contains(address) {
                known.push(address.clone());
            }
        }
    }

    /// Forgets where a peer in the local network was found.
    pub(crate) fn forget_found(&self, peer: PeerId, address: &Multiaddr) {
        let mut found = self.found();
        if let Some(known) = found.get_mut(&peer) {
            known.retain(|other| other != address);
            if known.is_empty() {
                found.remove(&peer);
            }
        }
    }

    fn found(&self) -> MutexGuard<'_, HashMap<PeerId, Vec<Multiaddr>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn listening(&self) -> Vec<Multiaddr> {
        self.addresses().listening.clone()
    }

    /// Confirmed addresses, then those that others claim to see.
    pub(crate) fn external(&self) -> Vec<Multiaddr> {
        let mut addresses = self.addresses().confirmed.clone();
        for observed in self.reachability().observed {
            push_new(&mut addresses, observed);
        }
        addresses
    }

    /// What others should be told: listeners and confirmed addresses with the local network first, then what others claim to see, relays last.
    pub(crate) fn told(&self) -> Vec<Multiaddr> {
        let (known, mut observed) = self.addresses().tellable();
        let known = known.into_iter().filter(|address| self.policy.tells(address));
        let (relayed, mut direct): (Vec<_>, Vec<_>) = known.partition(is_relayed);
        direct.sort_by_key(rank);
        observed.retain(|address| self.policy.tells(address));
        observed.sort_by_key(rank);
        // Claims of others, however many, displace nothing that this peer knows itself.
        direct.extend(observed);
        first_of(direct, relayed)
    }

    pub(crate) fn listens(&self, address: Multiaddr) {
        push_new(&mut self.addresses().listening, address);
    }

    pub(crate) fn listens_no_longer(&self, address: &Multiaddr) {
        self.addresses().listening.retain(|known| known != address);
    }

    pub(crate) fn confirmed(&self, address: Multiaddr) {
        let mut addresses = self.addresses();
        if addresses.confirmed.len() < OBSERVED_ADDRESSES {
            push_new(&mut addresses.confirmed, address);
        }
    }

    pub(crate) fn expired(&self, address: &Multiaddr) {
        self.addresses().confirmed.retain(|known| known != address);
    }

    pub(crate) fn reachability(&self) -> Reachability {
        self.lock_reachability().clone()
    }

    /// Changes what is known, and tells subscribers if it is something else then.
    pub(crate) fn learn(&self, change: impl FnOnce(&mut Reachability)) {
        let mut known = self.lock_reachability();
        let before = known.clone();
        change(&mut known);
        let changed = (*known != before).then(|| known.clone());
        drop(known);
        if let Some(changed) = changed {
            self.tell(Event::Reachability(changed));
        }
    }

    /// A peer at `host` says that it sees this one at an address. The newest replace the oldest.
    pub(crate) fn observed(&self, address: Multiaddr, by: PeerId, host: Option<IpAddr>) {
        let trusted = self.trusted.contains(&by);
        let mut addresses = self.addresses();
        match addresses.observed.iter_mut().find(|known| known.address == address) {
            Some(known) => known.credible |= trusted || (known.by != by && (host.is_none() || known.host != host)),
            None => {
                addresses.observed.insert(0, Observed { address, by, host, credible: trusted });
                addresses.observed.truncate(OBSERVED_ADDRESSES);
            }
        }
        let observed = addresses.observed.iter().map(|known| known.address.clone()).collect();
        drop(addresses);
        self.learn(|known| known.observed = observed);
    }

    /// What others saw holds no longer.
    pub(crate) fn forget_observed(&self) {
        self.addresses().observed.clear();
        self.learn(|known| {
            known.observed.clear();
            known.nat = NatStatus::Unknown;
        });
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_reachability(&self) -> MutexGuard<'_, Reachability> {
        self.reachability.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Addresses {
    /// What may be of use to others: what this peer knows itself, and what others claim to see. An observed address without a listener is that of an
    /// outgoing connection.
    fn tellable(&self) -> (Vec<Multiaddr>, Vec<Multiaddr>) {
        let kind = |address: &Multiaddr| (is_relayed(address), TransportKind::of(address));
        let listens = |address: &Multiaddr| self.listening.iter().any(|own| kind(own) == kind(address));
        let observed = self.observed.iter().filter(|known| known.credible && listens(&known.address));
        let observed = observed.map(|known| known.address.clone());
        (self.listening.iter().chain(&self.confirmed).cloned().collect(), observed.collect())
    }
}

/// The lower, the earlier an address is told.
fn rank(address: &Multiaddr) -> u8 {
    match Scope::of(address) {
        Scope::Loopback => 2,
        Scope::Private | Scope::Memory => 0,
        _ => 1,
    }
}

fn push_new(addresses: &mut Vec<Multiaddr>, address: Multiaddr) {
    if !addresses.contains(&address) {
        addresses.push(address);
    }
}

/// As many as are told; relays keep a quarter of the places, since they work where nothing else does.
fn first_of(direct: Vec<Multiaddr>, relayed: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let kept = relayed.len().min(TOLD_ADDRESSES / 4);
    let mut told = Vec::new();
    for address in direct {
        if told.len() < TOLD_ADDRESSES - kept {
            push_new(&mut told, address);
        }
    }
    for address in relayed {
        if told.len() < TOLD_ADDRESSES {
            push_new(&mut told, address);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(policy: AddressPolicy) -> State {
        let dialable = Dialable::new(policy, std::iter::empty());
        State::new(PeerId::random(), policy, dialable, HashSet::from([trusted()]), Reachability::default())
    }

    fn trusted() -> PeerId {
        "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp".parse().unwrap()
    }

    fn host(number: u8) -> Option<IpAddr> {
        Some(IpAddr::from([203, 0, 113, number]))
    }

    #[test]
    fn what_others_claim_is_told_behind_what_this_peer_knows() {
        let state = state(AddressPolicy { private: true, loopback: true, dns: false });
        let own: [Multiaddr; 3] = ["/ip4/10.0.0.1/tcp/1", "/ip4/203.0.113.1/tcp/1", "/ip4/127.0.0.1/tcp/1"]
            .map(|address| address.parse().unwrap());
        for port in 0..OBSERVED_ADDRESSES {
            let claimed: Multiaddr = format!("/ip4/10.0.0.9/tcp/{port}").parse().unwrap();
            state.observed(claimed.clone(), PeerId::random(), host(1));
            state.observed(claimed, PeerId::random(), host(2));
        }
        state.listens(own[0].clone());
        state.confirmed(own[1].clone());
        state.listens(own[2].clone());
        let told = state.told();
        assert_eq!(told[..3], own);
        assert_eq!(told.len(), TOLD_ADDRESSES);
    }

    #[test]
    fn private_addresses_are_told_first_and_only_if_permitted() {
        let addresses = ["/ip4/127.0.0.1/tcp/1", "/ip4/203.0.113.1/tcp/1", "/ip4/10.0.0.1/tcp/1"];
        let told = |policy: AddressPolicy| -> Vec<String> {
            let state = state(policy);
            for address in addresses {
                state.listens(address.parse().unwrap());
            }
            state.told().iter().map(ToString::to_string).collect()
        };
        assert_eq!(told(AddressPolicy::default()), ["/ip4/203.0.113.1/tcp/1"]);
        let all = AddressPolicy { private: true, loopback: true, dns: false };
        assert_eq!(told(all), ["/ip4/10.0.0.1/tcp/1", "/ip4/203.0.113.1/tcp/1", "/ip4/127.0.0.1/tcp/1"]);
    }

    #[test]
    fn at_most_sixteen_addresses_are_told_and_relays_keep_their_places() {
        let state = state(AddressPolicy::default());
        for port in 0..40 {
            state.listens(format!("/ip4/203.0.113.1/tcp/{port}").parse().unwrap());
        }
        let circuit = "/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit";
        for port in 0..2 {
            state.listens(format!("/ip4/203.0.113.9/tcp/{port}{circuit}").parse().unwrap());
        }
        let told = state.told();
        assert_eq!(told.len(), TOLD_ADDRESSES);
        assert_eq!(told.iter().filter(|address| is_relayed(address)).count(), 2);
    }

    #[test]
    fn addresses_that_others_claim_are_bounded() {
        let state = state(AddressPolicy::default());
        for port in 0..=OBSERVED_ADDRESSES {
            state.observed(format!("/ip4/203.0.113.1/tcp/{port}").parse().unwrap(), trusted(), None);
            state.confirmed(format!("/ip4/203.0.113.2/tcp/{port}").parse().unwrap());
        }
        assert_eq!(state.reachability().observed.len(), OBSERVED_ADDRESSES);
        assert_eq!(state.external().len(), 2 * OBSERVED_ADDRESSES);
        let newest = format!("/ip4/203.0.113.1/tcp/{OBSERVED_ADDRESSES}").parse().unwrap();
        assert_eq!(state.reachability().observed.first(), Some(&newest));
    }

    #[test]
    fn what_a_single_stranger_claims_is_not_passed_on() {
        let state = state(AddressPolicy::default());
        let address = |port: u16| -> Multiaddr { format!("/ip4/203.0.113.1/tcp/{port}").parse().unwrap() };
        let listening: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        let (first, second) = (PeerId::random(), PeerId::random());
        state.observed(address(1), trusted(), host(1));
        assert!(state.told().is_empty(), "without a listener");
        state.listens(listening);
        assert_eq!(state.told(), [address(1)]);
        state.observed(address(2), first, host(1));
        state.observed(address(2), first, host(1));
        assert_eq!(state.told(), [address(1)]);
        state.observed(address(2), second, host(1));
        assert_eq!(state.told(), [address(1)], "another peer id at the same host");
        state.observed(address(2), second, host(2));
        assert_eq!(state.told(), [address(2), address(1)]);
        state.observed("/ip4/203.0.113.1/udp/1/quic-v1".parse().unwrap(), trusted(), host(1));
        assert_eq!(state.told().len(), 2, "nothing listens with QUIC");
    }

    #[test]
    fn as_many_found_peers_are_remembered_as_the_bounds_say_until_they_are_lost() {
        let state = state(AddressPolicy::default());
        let address = |port: usize| -> Multiaddr { format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap() };
        let first = PeerId::random();
        let addresses: Vec<_> = (0..=FOUND_ADDRESSES).map(address).collect();
        state.remember_found(first, &addresses);
        state.remember_found(first, &addresses);
        assert_eq!(state.found_locally(), [(first, addresses[..FOUND_ADDRESSES].to_vec())]);
        for _ in 0..FOUND_PEERS {
            state.remember_found(PeerId::random(), &[address(1)]);
        }
        assert_eq!(state.found_locally().len(), FOUND_PEERS);
        for address in &addresses {
            state.forget_found(first, address);
        }
        assert!(state.found_locally().iter().all(|(peer, _)| *peer != first));
        assert_eq!(state.found_locally().len(), FOUND_PEERS - 1);
    }
}
