//! The protocols that a network speaks, as one behaviour. The code that libp2p derives for it takes long to compile, so it is alone here.

use std::sync::Arc;
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{PeerId, StreamProtocol, autonat, dcutr, identify, kad, mdns, ping, relay, rendezvous};

use crate::address::{named_peer, without_peer};
use crate::config::{Config, Dht, RelayLimits, RendezvousLimits};
use crate::guard::{Allowance, Guarded};
use crate::limits::Refusals;
use crate::state::State;
use crate::streams::{self, Streams};
use crate::{AddressPolicy, StartError, admission};

/// Time between two measurements of the latency, and how long one may take. On Linux the system ends a TCP connection whose peer acknowledges nothing for
/// 20 seconds, so a peer that is gone is noticed after 30 at the latest.
pub(crate) const PING_TIME: Duration = Duration::from_secs(10);

/// Time between two questions for peers in the local network. One is asked at the start, and new peers announce themselves.
const MDNS_INTERVAL: Duration = Duration::from_secs(60);

/// Discoveries that the rendezvous service remembers, so that peers ask for what is new. Each remembers up to all registrations.
const RENDEZVOUS_COOKIES: usize = 64;

/// All protocols. The order matters: what refuses connections comes first, and what knows the connections that were not refused last.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    admission: admission::Behaviour,
    ping: ping::Behaviour,
    identify: Guarded<identify::Behaviour>,
    mdns: Toggle<Guarded<mdns::tokio::Behaviour>>,
    mdns_ipv6: Toggle<Guarded<mdns::tokio::Behaviour>>,
    pub(crate) dht: Toggle<Guarded<kad::Behaviour<MemoryStore>>>,
    relay_client: Toggle<relay::client::Behaviour>,
    relay_server: Toggle<Guarded<relay::Behaviour>>,
    autonat_client: Toggle<Guarded<autonat::v2::client::Behaviour>>,
    autonat_server: Toggle<Guarded<autonat::v2::server::Behaviour>>,
    hole_punching: Toggle<Guarded<dcutr::Behaviour>>,
    rendezvous_server: Toggle<Guarded<rendezvous::server::Behaviour>>,
    streams: streams::Behaviour,
}

impl Behaviour {
    pub(crate) fn new(
        config: &Config,
        key: &Keypair,
        relay_client: Option<relay::client::Behaviour>,
        streams: Arc<Streams>,
        state: &State,
    ) -> Result<Self, StartError> {
        let discovery = &config.discovery;
        let usual = Guard { policy: config.addresses, allowance: Allowance::USUAL, refusals: &state.refusals };
        let rare = Guard { allowance: Allowance::RARE, ..usual };
        // Multicast does not leave the local network, so private addresses may be told there.
        let local = Guard { policy: AddressPolicy { private: true, ..config.addresses }, ..usual };
        let punching = discovery.hole_punching;
        let dht = discovery.dht.as_ref().map(|dht| self::dht(state.local, dht)).transpose()?;
        let mdns = |enable_ipv6| discovery.mdns.then(|| self::mdns(state.local, enable_ipv6)).flatten();
        let (mdns, mdns_ipv6) = (mdns(false), mdns(true));
        state.learn(|known| known.mdns = mdns.is_some() || mdns_ipv6.is_some());
        Ok(Self {
            admission: admission::Behaviour::new(
                config.limits,
                Arc::clone(&state.refusals),
                Arc::clone(&state.registry),
                config.services.relay.is_some(),
            ),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_TIME).with_timeout(PING_TIME)),
            identify: usual.over(identify(key, &config.agent)),
            mdns: local.over_some(mdns),
            mdns_ipv6: local.over_some(mdns_ipv6),
            dht: usual.over_some(dht),
            relay_client: relay_client.into(),
            relay_server: usual.over_some(config.services.relay.map(|limits| relay(state.local, limits))),
            autonat_client: usual.over_some(punching.then(autonat::v2::client::Behaviour::default)),
            autonat_server: rare.over_some(config.services.dial_back.then(autonat::v2::server::Behaviour::default)),
            hole_punching: usual.over_some(punching.then(|| dcutr::Behaviour::new(state.local))),
            rendezvous_server: rare.over_some(config.services.rendezvous.map(self::rendezvous)),
            streams: streams::Behaviour::new(streams, Arc::clone(&state.registry), state.interfaces.clone()),
        })
    }
}

#[derive(Clone, Copy)]
struct Guard<'a> {
    policy: AddressPolicy,
    allowance: Allowance,
    refusals: &'a Arc<Refusals>,
}

impl Guard<'_> {
    fn over<B>(self, behaviour: B) -> Guarded<B> {
        Guarded::new(behaviour, self.policy, self.allowance, self.refusals)
    }

    fn over_some<B>(self, behaviour: Option<B>) -> Toggle<Guarded<B>> {
        behaviour.map(|behaviour| self.over(behaviour)).into()
    }
}

fn identify(key: &Keypair, agent: &str) -> identify::Behaviour {
    let config = identify::Config::new_with_signed_peer_record("enlace/1".into(), key)
        .with_agent_version(agent.to_owned())
        .with_push_listen_addr_updates(true)
        .with_cache_size(0);
    identify::Behaviour::new(config)
}

/// None where the system does not permit it: then peers are found in other ways.
fn mdns(local: PeerId, enable_ipv6: bool) -> Option<mdns::tokio::Behaviour> {
    let config = mdns::Config { query_interval: MDNS_INTERVAL, enable_ipv6, ..mdns::Config::default() };
    let started = mdns::tokio::Behaviour::new(config, local);
    started.inspect_err(|error| tracing::warn!(%error, "cannot look for peers in the local network")).ok()
}

/// Peers are found by their ids; records of others are not stored.
fn dht(local: PeerId, dht: &Dht) -> Result<kad::Behaviour<MemoryStore>, StartError> {
    let name = dht.protocol.clone();
    let protocol = StreamProtocol::try_from_owned(name.clone()).map_err(|_| StartError::Protocol(name))?;
    let mut config = kad::Config::new(protocol);
    config.set_record_filtering(kad::StoreInserts::FilterBoth).set_query_timeout(Duration::from_secs(20));
    let mut behaviour = kad::Behaviour::with_config(local, MemoryStore::new(local), config);
    behaviour.set_mode(Some(if dht.server { kad::Mode::Server } else { kad::Mode::Client }));
    for address in &dht.bootstrap {
        let peer = named_peer(address).ok_or_else(|| StartError::NoPeer(address.clone()))?;
        behaviour.add_address(&peer, without_peer(address.clone()));
    }
    // Without peers to start from there is nothing to do until some connect.
    drop(behaviour.bootstrap());
    Ok(behaviour)
}

fn relay(local: PeerId, limits: RelayLimits) -> relay::Behaviour {
    let config = relay::Config {
        max_reservations: limits.reservations,
        max_reservations_per_peer: limits.reservations_per_peer,
        reservation_duration: limits.reservation_duration,
        max_circuits: limits.circuits,
        max_circuits_per_peer: limits.circuits_per_peer,
        // libp2p panics beyond.
        max_circuit_duration: limits.duration_per_circuit.min(Duration::from_secs(u32::MAX.into())),
        max_circuit_bytes: limits.bytes_per_circuit.max(1),
        ..relay::Config::default()
    };
    let mut behaviour = relay::Behaviour::new(local, config);
    behaviour.set_status(Some(relay::Status::Enable));
    behaviour
}

fn rendezvous(limits: RendezvousLimits) -> rendezvous::server::Behaviour {
    let config = rendezvous::server::Config::default()
        .with_min_ttl(limits.shortest_ttl.as_secs())
        .with_max_ttl(limits.longest_ttl.as_secs())
        .with_max_registration_per_peer(limits.registrations_per_peer)
        // libp2p lets one more in.
        .with_max_registration_total(limits.registrations.saturating_sub(1))
        .with_max_stored_cookies(RENDEZVOUS_COOKIES);
    rendezvous::server::Behaviour::new(config)
}
