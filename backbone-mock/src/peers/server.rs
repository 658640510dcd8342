//! Starting the peer of a backbone, and what is told of it.

use std::path::Path;

use durable::private;
use swarm::{AddressPolicy, Multiaddr, Network, Seed, Services, StartError};
use transport::wire::backbone::peer_services::{self, MAX_ADDRESS_LENGTH, MAX_ADDRESSES};
use zeroize::Zeroizing;

pub use swarm::{RelayLimits, RendezvousLimits};

use crate::config::Config;
use crate::error::Error;
use crate::peers::PeerMetrics;
use crate::secrets::random_bytes;

/// The seed of the peer's key, in the data directory. Made once, so that the peer id stays.
const KEY_FILE: &str = "peer.key";
const SEED_BYTES: usize = 32;
/// Connections that are no reservation and no end of a circuit: peers that look up registrations, ask for their address, or
/// come and go.
const SPARE_CONNECTIONS: usize = 128;
/// Bytes that a QUIC connection buffers. What is relayed is passed on at once, so this is less than a receiver of files has.
const QUIC_WINDOW: u32 = 4 * 1024 * 1024;

/// What a backbone does for peers, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerServices {
    /// Multiaddrs to listen on, for example `/ip4/0.0.0.0/tcp/4712`. Port 0 lets the system choose.
    pub listen: Vec<String>,
    /// Multiaddrs that peers are told, in place of those that the process finds at its interfaces: for a backbone behind a NAT
    /// or a firewall that forwards the port, or with a DNS name. At most [`MAX_ADDRESSES`].
    pub announce: Vec<String>,
    /// Bounds of the relay; without them there is none.
    pub relay: Option<RelayLimits>,
    /// Bounds of the rendezvous server; without them there is none.
    pub rendezvous: Option<RendezvousLimits>,
}

impl PeerServices {
    /// Relay and rendezvous server with the default limits.
    #[must_use]
    pub fn new(listen: Vec<String>) -> Self {
        let (relay, rendezvous) = (Some(RelayLimits::default()), Some(RendezvousLimits::default()));
        Self { listen, announce: Vec::new(), relay, rendezvous }
    }

    /// Connections that the limits can need.
    fn connections(&self) -> usize {
        let relayed = self.relay.map_or(0, |relay| {
            relay.reservations.saturating_add(relay.circuits.saturating_mul(2)).saturating_add(SPARE_CONNECTIONS)
        });
        relayed.max(swarm::Limits::default().connections)
    }
}

/// The running peer.
pub(crate) struct PeerServer {
    network: Network,
    policy: AddressPolicy,
    announce: Vec<String>,
    relay: bool,
    rendezvous: bool,
}

impl PeerServer {
    /// Starts what the settings offer to peers, if they offer anything. The caller holds the data directory.
    pub(crate) async fn start(config: &Config) -> Result<Option<Self>, Error> {
        match &config.peers {
            Some(services) => Self::listen(&config.data_dir, services).await.map(Some),
            None => Ok(None),
        }
    }

    async fn listen(data_dir: &Path, services: &PeerServices) -> Result<Self, Error> {
        if services.relay.is_none() && services.rendezvous.is_none() {
            return Err(invalid("peers", "neither a relay nor a rendezvous server is asked for"));
        }
        let (listen, announce) = (addresses("peers.listen", &services.listen)?, announced(services)?);
        if listen.is_empty() {
            return Err(invalid("peers.listen", "there is no address to listen on"));
        }
        let mut config = swarm::Config::new(seed(&data_dir.join(KEY_FILE))?);
        let policy = policy(&listen, &announce);
        config.addresses = policy;
        config.listen = listen;
        config.external = announce;
        config.services = Services { relay: services.relay, rendezvous: services.rendezvous, dial_back: true };
        config.limits.connections = services.connections();
        config.limits.quic_window = QUIC_WINDOW;
        config.limits.quic_memory = services.connections().saturating_mul(QUIC_WINDOW as usize);
        let (network, _) = Network::start(config).await.map_err(not_started)?;
        let server = Self {
            policy,
            announce: services.announce.clone(),
            relay: services.relay.is_some(),
            rendezvous: services.rendezvous.is_some(),
            network,
        };
        tracing::info!(peer = %server.network.local_peer(), addresses = ?server.addresses(), "peers are served");
        Ok(server)
    }

    /// What clients are told.
    pub(crate) fn description(&self) -> peer_services::PeerServices {
        peer_services::PeerServices {
            peer_id: self.network.local_peer().to_string(),
            addresses: self.addresses(),
            relay: self.relay,
            rendezvous: self.rendezvous,
        }
    }

    /// What its operator watches.
    pub(crate) fn metrics(&self) -> PeerMetrics {
        let (relay, rendezvous) = (self.network.relay_metrics(), self.network.rendezvous_metrics());
        let refused = self.network.refused();
        PeerMetrics {
            connections: self.network.connections().len() as u64,
            refused: refused.connections + refused.streams,
            reservations: relay.reservations,
            reservations_accepted: relay.reservations_accepted,
            reservations_refused: relay.reservations_refused,
            circuits: relay.circuits,
            circuits_accepted: relay.circuits_accepted,
            circuits_refused: relay.circuits_refused,
            received: relay.received,
            sent: relay.sent,
            registrations: rendezvous.registrations,
            registrations_accepted: rendezvous.registrations_accepted,
            registrations_refused: rendezvous.registrations_refused,
            lookups_accepted: rendezvous.lookups_accepted,
            lookups_refused: rendezvous.lookups_refused,
        }
    }

    /// Closes the sockets. Circuits break.
    pub(crate) async fn stop(&self) {
        self.network.shutdown().await;
    }

    /// Where peers reach it, with the peer id at the end.
    fn addresses(&self) -> Vec<String> {
        let texts = if self.announce.is_empty() { self.found() } else { self.announce.clone() };
        let peer = self.network.local_peer();
        texts.into_iter().take(MAX_ADDRESSES).map(|text| format!("{text}/p2p/{peer}")).collect()
    }

    /// What it listens on. Not what peers say that they see of it: that could be anything.
    fn found(&self) -> Vec<String> {
        let (mut found, open) = (self.network.listen_addresses(), AddressPolicy::default());
        found.retain(|address| self.policy.tells(address));
        found.sort_by_key(|address| !open.tells(address));
        // Link-local addresses are of use only with the interface of whoever dials.
        found.iter().map(ToString::to_string).filter(|text| !text.starts_with("/ip6/fe80:")).collect()
    }
}

/// Which addresses are told: those that the operator names and others of their kind. Without such names it is all but those of this
/// machine, because a relay is of use in a private network, too; and those of this machine if it listens on nothing else.
fn policy(listen: &[Multiaddr], announce: &[Multiaddr]) -> AddressPolicy {
    let (public, private) = (AddressPolicy::default(), AddressPolicy { private: true, ..AddressPolicy::default() });
    let is_loopback =
        |address: &Multiaddr| AddressPolicy { loopback: true, ..public }.tells(address) && !public.tells(address);
    let is_private = |address: &Multiaddr| private.tells(address) && !public.tells(address);
    if announce.is_empty() {
        AddressPolicy { loopback: listen.iter().all(is_loopback), ..private }
    } else {
        let (private, loopback) = (announce.iter().any(is_private), announce.iter().any(is_loopback));
        AddressPolicy { private, loopback, dns: false }
    }
}

fn addresses(setting: &'static str, texts: &[String]) -> Result<Vec<Multiaddr>, Error> {
    let address = |text: &String| {
        text.parse().map_err(|_| {
            invalid(
                setting,
                format!("{text:?} is not a multiaddr such as /ip4/0.0.0.0/tcp/4712 or /ip4/0.0.0.0/udp/4712/quic-v1"),
            )
        })
    };
    texts.iter().map(address).collect()
}

fn announced(services: &PeerServices) -> Result<Vec<Multiaddr>, Error> {
    const SETTING: &str = "peers.announce";
    let texts = &services.announce;
    if texts.len() > MAX_ADDRESSES {
        return Err(invalid(SETTING, format!("there are more than {MAX_ADDRESSES} addresses")));
    }
    if let Some(text) = texts.iter().find(|text| text.len() > MAX_ADDRESS_LENGTH - peer_services::MAX_PEER_ID_LENGTH) {
        return Err(invalid(SETTING, format!("{text:?} is too long")));
    }
    if let Some(text) = texts.iter().find(|text| text.contains("/p2p/") || text.contains("/p2p-circuit")) {
        return Err(invalid(SETTING, format!("{text:?} names a peer; give the address alone, the peer id is added")));
    }
    addresses(SETTING, texts)
}

/// The seed, which the first start makes.
fn seed(path: &Path) -> Result<Seed, Error> {
    let bytes = match private::read_file(path, SEED_BYTES as u64)? {
        Some(bytes) => bytes.as_slice().try_into().map_err(|_| Error::UnreadableKey { key: path.to_owned() })?,
        None => {
            let bytes = Zeroizing::new(random_bytes::<SEED_BYTES>());
            private::create_file(path, bytes.as_slice()).map_err(|error| durable::Error::io(path, &error))?;
            *bytes
        }
    };
    Ok(Seed::new(bytes))
}

fn not_started(error: StartError) -> Error {
    match error {
        StartError::Listen { address, reason } => Error::PeerListen { address: address.to_string(), reason },
        other => Error::Peers(other.into()),
    }
}

fn invalid(setting: &'static str, problem: impl Into<String>) -> Error {
    Error::Config { setting, problem: problem.into() }
}
