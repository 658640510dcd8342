//! The relays of the configuration, and the reservations at them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, relay};
use tokio::time::Instant;

use crate::address::{is_quic, named_peer, without_peer};
use crate::servers::Server;
use crate::traffic::Traffic;
use crate::{RelayState, StartError};

/// How long after a reservation was lost or refused the first new attempt is made; each further one waits twice as long,
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// up to this.
const LAST_RETRY: Duration = Duration::from_secs(5 * 60);

/// Keeps track of the reservations; the driver makes them.
#[derive(Debug, Default)]
pub(crate) struct Relays(Vec<Relay>);

#[derive(Debug)]
struct Relay {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    /// Whether it was named while the network runs.
    is_later: bool,
    /// Which address is used.
    current: usize,
    listener: Option<ListenerId>,
    reserved: bool,
    failures: u32,
    error: Option<String>,
    retry: Option<Instant>,
}

impl Relays {
    /// The relays of the configuration, each once however many addresses it has. All are due at once.
    pub(crate) fn new(addresses: &[Multiaddr], now: Instant) -> Result<Self, StartError> {
        let mut relays = Self::default();
        for address in addresses {
            let peer = named_peer(address).ok_or_else(|| StartError::NoPeer(address.clone()))?;
            let address = without_peer(address.clone());
            match relays.0.iter_mut().find(|relay| relay.peer == peer) {
                Some(relay) => relay.addresses.push(address),
                None => relays.0.push(Relay::new(peer, address, now)),
            }
        }
        Ok(relays)
    }

    /// Uses these relays beside those of the configuration, in place of those of an earlier call. Returns the listeners at relays that are no longer used.
    /// Relays of the configuration, and those that are named again, stay as they are.
    pub(crate) fn replace_later(&mut self, servers: &[Server], now: Instant) -> Vec<ListenerId> {
        let named = |relay: &Relay| servers.iter().find(|server| server.peer == relay.peer);
        let unused: Vec<_> = self
            .0
            .extract_if(.., |relay| relay.is_later && named(relay).is_none())
            .filter_map(|relay| relay.listener)
            .collect();
        for server in servers {
            match self.0.iter_mut().find(|relay| relay.peer == server.peer) {
                Some(relay) if relay.is_later && relay.addresses != server.addresses => {
                    relay.addresses.clone_from(&server.addresses);
                    // The old ones may have led nowhere.
                    relay.retry = relay.retry.map(|retry| retry.min(now));
                }
                Some(_) => {}
                None => self.0.push(Relay::of(server, now)),
            }
        }
        unused
    }

    pub(crate) fn states(&self) -> Vec<RelayState> {
        self.0.iter().map(Relay::state).collect()
    }

    /// When something is to be done next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.iter().filter_map(|relay| relay.retry).min()
    }

    /// The relays at which to make a reservation now, with the address to listen on.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(PeerId, Multiaddr)> {
        let due = self.0.iter_mut().filter(|relay| relay.retry.is_some_and(|retry| retry <= now));
        due.map(|relay| {
            relay.retry = None;
            (relay.peer, relay.circuit())
        })
        .collect()
    }

    /// The driver listens at a relay.
    pub(crate) fn listens(&mut self, peer: PeerId, listener: ListenerId) {
        if let Some(relay) = self.of_peer(peer) {
            relay.listener = Some(listener);
        }
    }

    /// A relay has made or renewed a reservation. The new state, if it has changed.
    pub(crate) fn reserved(&mut self, peer: PeerId) -> Option<RelayState> {
        let relay = self.of_peer(peer)?;
        let changed = !relay.reserved;
        relay.reserved = true;
        relay.failures = 0;
        relay.error = None;
        changed.then(|| relay.state())
    }

    /// A listener is gone. The new state, if it was one at a relay.
    pub(crate) fn closed(&mut self, listener: ListenerId, error: Option<String>, now: Instant) -> Option<RelayState> {
        let relay = self.0.iter_mut().find(|relay| relay.listener == Some(listener))?;
        relay.fail(error, now);
        Some(relay.state())
    }

    /// The driver cannot listen at a relay.
    pub(crate) fn failed(&mut self, peer: PeerId, error: String, now: Instant) -> Option<RelayState> {
        let relay = self.of_peer(peer)?;
        relay.fail(Some(error), now);
        Some(relay.state())
    }

    fn of_peer(&mut self, peer: PeerId) -> Option<&mut Relay> {
        self.0.iter_mut().find(|relay| relay.peer == peer)
    }
}

impl Relay {
    fn of(server: &Server, now: Instant) -> Self {
        Self { addresses: server.addresses.clone(), is_later: true, ..Self::new(server.peer, Multiaddr::empty(), now) }
    }

    fn new(peer: PeerId, address: Multiaddr, now: Instant) -> Self {
        Self {
            peer,
            addresses: vec![address],
            is_later: false,
            current: 0,
            listener: None,
            reserved: false,
            failures: 0,
            error: None,
            retry: Some(now),
        }
    }

    /// The one that is used. QUIC comes first: hole punching needs both sides to be seen with the same transport, and only QUIC
    /// works for peers that do not listen.
    fn address(&self) -> Multiaddr {
        let mut addresses: Vec<_> = self.addresses.iter().collect();
        addresses.sort_by_key(|address| !is_quic(address));
        addresses.get(self.current % addresses.len().max(1)).map_or_else(Multiaddr::empty, |address| (*address).clone())
    }

    fn circuit(&self) -> Multiaddr {
        self.address().with(Protocol::P2p(self.peer)).with(Protocol::P2pCircuit)
    }

    fn fail(&mut self, error: Option<String>, now: Instant) {
        self.listener = None;
        self.reserved = false;
        self.error = error.or_else(|| Some("the relay closed the connection".into()));
        self.current = self.current.wrapping_add(1);
        let wait = FIRST_RETRY.saturating_mul(1 << self.failures.min(16)).min(LAST_RETRY);
        self.failures = self.failures.saturating_add(1);
        self.retry = Some(now + wait);
    }

    fn state(&self) -> RelayState {
        RelayState { peer: self.peer, address: self.address(), reserved: self.reserved, error: self.error.clone() }
    }
}

/// What the relay service of this process does, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayMetrics {
    /// Peers that hold a reservation.
    pub reservations: u64,
    /// Reservations that were made since the start, renewals not counted.
    pub reservations_accepted: u64,
    /// Reservations that were refused since the start.
    pub reservations_refused: u64,
    /// Relayed connections that are open.
    pub circuits: u64,
    /// Relayed connections since the start.
    pub circuits_accepted: u64,
    /// Relayed connections that were refused since the start.
    pub circuits_refused: u64,
    /// Bytes that peers sent on streams since the start, of which nearly all are relayed.
    pub received: u64,
    /// Bytes that peers were sent on streams since the start.
    pub sent: u64,
}

#[derive(Debug, Default)]
pub(crate) struct RelayCounters {
    /// Who holds a reservation. Its length is bounded by the number of connections.
    reserved: Mutex<HashSet<PeerId>>,
    reservations_accepted: AtomicU64,
    reservations_refused: AtomicU64,
    circuits_accepted: AtomicU64,
    circuits_ended: AtomicU64,
    circuits_refused: AtomicU64,
}

impl RelayCounters {
    pub(crate) fn count(&self, event: &relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id, .. } => drop(self.reserved().insert(*src_peer_id)),
            relay::Event::ReservationTimedOut { src_peer_id } => drop(self.reserved().remove(src_peer_id)),
            // That one is closed is also told of connections without a reservation.
            _ => {}
        }
        let counter = match event {
            relay::Event::ReservationReqAccepted { renewed: false, .. } => &self.reservations_accepted,
            relay::Event::ReservationReqDenied { .. } => &self.reservations_refused,
            relay::Event::CircuitReqAccepted { .. } => &self.circuits_accepted,
            relay::Event::CircuitClosed { .. } => &self.circuits_ended,
            relay::Event::CircuitReqDenied { .. } => &self.circuits_refused,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A peer has no connection any more.
    pub(crate) fn left(&self, peer: &PeerId) {
        self.reserved().remove(peer);
    }

    pub(crate) fn metrics(&self, traffic: &Traffic) -> RelayMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let circuits_accepted = read(&self.circuits_accepted);
        RelayMetrics {
            reservations: self.reserved().len() as u64,
            reservations_accepted: read(&self.reservations_accepted),
            reservations_refused: read(&self.reservations_refused),
            circuits: circuits_accepted.saturating_sub(read(&self.circuits_ended)),
            circuits_accepted,
            circuits_refused: read(&self.circuits_refused),
            received: traffic.received(),
            sent: traffic.sent(),
        }
    }

    fn reserved(&self) -> MutexGuard<'_, HashSet<PeerId>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_lasts_until_it_times_out_or_its_peer_is_gone() {
        let (counters, [one, other, guest]) = (RelayCounters::default(), [(); 3].map(|()| PeerId::random()));
        let reservations = || counters.metrics(&Traffic::default()).reservations;
        for peer in [one, other] {
            for renewed in [false, true] {
                counters.count(&relay::Event::ReservationReqAccepted { src_peer_id: peer, renewed });
            }
        }
        assert_eq!(reservations(), 2);
        counters.left(&guest);
        counters.count(&relay::Event::ReservationClosed { src_peer_id: one });
        assert_eq!(reservations(), 2, "a connection without a reservation was closed");
        counters.left(&one);
        counters.count(&relay::Event::ReservationTimedOut { src_peer_id: other });
        assert_eq!(reservations(), 0);
        assert_eq!(counters.metrics(&Traffic::default()).reservations_accepted, 2);
    }

    fn relay(peer: PeerId, port: u16) -> Multiaddr {
        format!("/ip4/203.0.113.1/tcp/{port}/p2p/{peer}").parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_wait_longer_and_longer_and_take_turns_with_the_addresses() {
        let (peer, start) = (PeerId::random(), Instant::now());
        let mut relays = Relays::new(&[relay(peer, 1), relay(peer, 2)], start).unwrap();
        assert_eq!(relays.states().len(), 1);
        let mut now = start;
        let mut waits = Vec::new();
        for attempt in 0..12 {
            let due = relays.due(now);
            let circuit = format!("/ip4/203.0.113.1/tcp/{}/p2p/{peer}/p2p-circuit", 1 + attempt % 2);
            assert_eq!(due, [(peer, circuit.parse().unwrap())]);
            assert!(relays.due(now).is_empty());
            let listener = ListenerId::next();
            relays.listens(peer, listener);
            assert!(!relays.closed(listener, None, now).unwrap().reserved);
            let next = relays.next().unwrap();
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        relays.due(now);
        assert!(relays.reserved(peer).unwrap().reserved);
        assert_eq!(relays.reserved(peer), None);
        relays.failed(peer, "gone".into(), now);
        assert_eq!(relays.next(), Some(now + FIRST_RETRY));
    }

    #[tokio::test(start_paused = true)]
    async fn relays_that_are_named_later_replace_each_other_and_none_of_the_configuration() {
        let (own, first, second) = (PeerId::random(), PeerId::random(), PeerId::random());
        let now = Instant::now();
        let mut relays = Relays::new(&[relay(own, 1)], now).unwrap();
        relays.due(now);
        let servers = |ports: &[(PeerId, u16)]| Server::each(ports.iter().map(|(peer, port)| relay(*peer, *port)));
        assert!(relays.replace_later(&servers(&[(own, 9), (first, 2)]), now).is_empty());
        let circuit = |peer, port| (peer, relay(peer, port).with(Protocol::P2pCircuit));
        assert_eq!(relays.due(now), [circuit(first, 2)]);
        let listener = ListenerId::next();
        relays.listens(first, listener);
        assert!(relays.replace_later(&servers(&[(first, 2)]), now).is_empty() && relays.due(now).is_empty());
        assert_eq!(relays.replace_later(&servers(&[(second, 3)]), now), [listener]);
        assert_eq!(relays.due(now), [circuit(second, 3)]);
        assert!(relays.closed(listener, None, now).is_none(), "the relay is forgotten");
        relays.failed(second, "gone".into(), now);
        relays.replace_later(&servers(&[(second, 4)]), now);
        assert_eq!(relays.due(now).len(), 1, "another address is tried at once");
        relays.replace_later(&[], now);
        assert_eq!(relays.states().iter().map(|state| state.peer).collect::<Vec<_>>(), [own]);
    }

    #[test]
    fn quic_comes_before_tcp() {
        let (peer, now) = (PeerId::random(), Instant::now());
        let quic: Multiaddr = format!("/ip4/203.0.113.1/udp/1/quic-v1/p2p/{peer}").parse().unwrap();
        let mut relays = Relays::new(&[relay(peer, 1), quic.clone()], now).unwrap();
        assert_eq!(relays.due(now), [(peer, quic.with(Protocol::P2pCircuit))]);
        relays.failed(peer, "blocked".into(), now);
        assert_eq!(relays.due(relays.next().unwrap()), [(peer, relay(peer, 1).with(Protocol::P2pCircuit))]);
    }

    #[test]
    fn a_relay_without_a_peer_id_is_refused() {
        let address: Multiaddr = "/ip4/203.0.113.1/tcp/1".parse().unwrap();
        assert!(
            matches!(Relays::new(std::slice::from_ref(&address), Instant::now()), Err(StartError::NoPeer(named)) if named == address)
        );
    }
}
