//! The network as users see it.

use swarm::{Multiaddr, NatStatus, Network, PathKind, RelayState};
use transport::peer::{Direct, MAX_ADDRESSES, MultiaddrText};
use transport::wire::Timestamp;

use super::Path;
use super::connections::Entry;
use super::network::Shared;
use crate::dto;

impl From<PathKind> for Path {
    fn from(kind: PathKind) -> Self {
        match kind {
            PathKind::Lan => Self::Lan,
            PathKind::Direct => Self::Direct,
            PathKind::Punched => Self::Punched,
            PathKind::Relayed => Self::Relayed,
        }
    }
}

/// The peers with a channel, each once, those with a proven identity first, then by their ids.
pub(super) fn peers(shared: &Shared) -> Vec<dto::Peer> {
    let now = shared.time.now().time;
    let (all, best) = (shared.connections.all(), shared.connections.best_of_each());
    let mut peers: Vec<_> = best.iter().map(|(entry, _)| with_all_bytes(peer(entry, now), entry, &all)).collect();
    peers.sort_by_key(|peer| peer.address.is_none());
    peers
}

/// Counts the bytes of all connections with the peer of one.
fn with_all_bytes(peer: dto::Peer, best: &Entry, all: &[Entry]) -> dto::Peer {
    let of_peer = || all.iter().map(|entry| &entry.connection).filter(|one| one.peer() == best.connection.peer());
    let received = of_peer().map(swarm::Connection::received).sum();
    dto::Peer { received, sent: of_peer().map(swarm::Connection::sent).sum(), ..peer }
}

/// A peer by one of its connections.
pub(super) fn peer(entry: &Entry, now: Timestamp) -> dto::Peer {
    let (connection, channel) = (&entry.connection, entry.channel());
    let proven = channel.as_ref().and_then(|channel| channel.identity(now));
    dto::Peer {
        id: connection.peer().to_base58(),
        address: proven.map(|proven| proven.address().clone()),
        device: proven.map(|proven| proven.device_id().clone()),
        path: connection.path().into(),
        transport: connection.transport().as_str().to_owned(),
        remote_address: connection.address().to_string(),
        is_inbound: connection.role() == swarm::Role::Listener,
        latency_milliseconds: connection
            .latency()
            .map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
        received: connection.received(),
        sent: connection.sent(),
        connected_at: entry.connected_at,
    }
}

pub(super) fn connectivity(shared: &Shared) -> dto::Connectivity {
    let (network, reachability) = (&shared.network, shared.network.reachability());
    let certificates = shared.identification.certificates.as_ref();
    let direct = direct(network);
    let relayed = direct.relays.iter().map(|relay| format!("{}/p2p-circuit", relay.as_str()));
    let addresses = direct.addresses.iter().map(|address| address.as_str().to_owned()).chain(relayed);
    dto::Connectivity {
        id: network.local_peer().to_base58(),
        listen: texts(&network.listen_addresses()),
        observed: texts(&network.external_addresses()),
        addresses: addresses.collect(),
        nat: nat(reachability.nat).to_owned(),
        relays: reachability.relays.iter().map(relay).collect(),
        rendezvous: reachability.rendezvous.iter().map(|server| server.address.to_string()).collect(),
        mdns: reachability.mdns,
        dht: reachability.dht,
        certificate_valid_until: certificates.and_then(|certificates| certificates.valid_until(shared.time.now().time)),
        connections: network.connections().len(),
    }
}

/// What others are told: addresses without relays, and relays that hold a reservation.
pub(super) fn direct(network: &Network) -> Direct {
    let told = network.dial_addresses();
    let addresses = told.iter().map(Multiaddr::to_string).filter(|address| !address.contains("/p2p-circuit"));
    let relays = network.reachability().relays.into_iter().filter(|relay| relay.reserved);
    let relays = relays.filter_map(|relay| dialable(network, relay)).map(|relay| relay.to_string());
    Direct {
        peer_id: network.local_peer(),
        addresses: addresses.filter_map(|text| MultiaddrText::new(&text)).take(MAX_ADDRESSES).collect(),
        relays: relays.filter_map(|text| MultiaddrText::new(&text)).take(MAX_ADDRESSES).collect(),
    }
}

/// The address of a relay as others dial it, if they may be told. Names in hints are not looked up by default, so it is the
/// address under which this node is connected to it, if it is.
fn dialable(network: &Network, relay: RelayState) -> Option<Multiaddr> {
    let connected = network.best_connection(&relay.peer).map(|connection| connection.address());
    let connected = connected.and_then(|address| address.with_p2p(relay.peer).ok());
    connected.into_iter().chain([relay.address]).find(|address| network.tells(address))
}

fn relay(relay: &RelayState) -> dto::Relay {
    dto::Relay { address: relay.address.to_string(), is_reserved: relay.reserved }
}

fn nat(status: NatStatus) -> &'static str {
    match status {
        NatStatus::Unknown => "unknown",
        NatStatus::Public => "public",
        NatStatus::Private => "private",
    }
}

fn texts(addresses: &[Multiaddr]) -> Vec<String> {
    addresses.iter().map(Multiaddr::to_string).collect()
}
