//! What carries connections: TCP, QUIC and memory with their encryption and multiplexing, below a gate that decides what is dialled.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use libp2p::core::Transport;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::dummy::DummyTransport;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, MemoryTransport, TransportError, TransportEvent};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, dns, quic, relay, tcp};

use crate::address::without_peer;
use crate::config::Config;
use crate::connection::OUTGOING_STREAMS;
use crate::large_reads::LargeReads;
use crate::security::{Offer, Security};
use crate::upgrade::Upgrade;
use crate::yamux::Multiplexing;
use crate::{AddressPolicy, Limits, StartError};

/// A transport that yields authenticated and multiplexed connections.
pub(crate) type Carrier = Boxed<(PeerId, StreamMuxerBox)>;

/// How long bytes that were sent over TCP may stay unacknowledged, where the system can limit it (Linux). Else it tries for a quarter of an hour.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNACKNOWLEDGED_TIME: std::time::Duration = std::time::Duration::from_secs(20);

/// The most addresses of the local network that are dialled because multicast DNS found them, although the policy does not permit them.
const FOUND_ADDRESSES: usize = 1024;

/// Inbound streams of one connection that are negotiating at a time; the peer waits with more.
pub(crate) const NEGOTIATING_STREAMS: usize = 32;

/// Streams of a connection that protocols of libp2p have open at a time: each has one or two.
const OWN_STREAMS: usize = 16;

/// The transports of the configuration.
pub(crate) fn carrier(config: &Config, key: &Keypair) -> Result<Carrier, StartError> {
    let by_address = by_address(config, key)?;
    if !needs_names(config) {
        return Ok(in_time(by_address, config));
    }
    match dns::tokio::Transport::system(by_address) {
        Ok(by_name) => Ok(in_time(by_name, config)),
        Err(error) => {
            tracing::warn!(%error, "cannot resolve names: addresses with names are not dialled");
            Ok(in_time(self::by_address(config, key)?, config))
        }
    }
}

/// TLS or Noise, and yamux, over the circuits of relays.
pub(crate) fn relayed(
    circuits: relay::client::Transport,
    key: &Keypair,
    config: &Config,
) -> Result<Carrier, StartError> {
    Ok(in_time(secured(circuits, key, config)?, config))
}

/// Gives up what is not connected in time: each attempt has a place among the pending ones until then.
fn in_time<T>(carrier: T, config: &Config) -> Carrier
where
    T: Transport<Output = (PeerId, StreamMuxerBox)> + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    TransportTimeout::new(carrier, config.handshake_timeout).boxed()
}

fn by_address(config: &Config, key: &Keypair) -> Result<Carrier, StartError> {
    let mut carrier: Carrier = DummyTransport::<(PeerId, StreamMuxerBox)>::new().boxed();
    if config.transports.memory {
        carrier = either(carrier, secured(MemoryTransport::default(), key, config)?);
    }
    if config.transports.tcp {
        let tcp = tcp::tokio::Transport::new(tcp::Config::new()).map(|stream, _| given_up_in_time(stream));
        carrier = either(carrier, secured(tcp, key, config)?);
    }
    if config.transports.quic {
        carrier = either(carrier, quic(key, &config.limits));
    }
    Ok(carrier)
}

/// Has the system end a connection whose peer is gone, so that closing it does not wait for what was sent last.
fn given_up_in_time(stream: tcp::tokio::TcpStream) -> tcp::tokio::TcpStream {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(&stream.0).set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIME)) {
        tracing::debug!(%error, "cannot limit how long TCP waits for acknowledgements");
    }
    stream
}

/// The first one, or the second for addresses that the first does not support.
pub(crate) fn either(first: Carrier, second: Carrier) -> Carrier {
    first.or_transport(second).map(|either, _| either.into_inner()).boxed()
}

/// TLS or Noise, and yamux, over a transport of plain bytes.
pub(crate) fn secured<T>(plain: T, key: &Keypair, config: &Config) -> Result<Carrier, StartError>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: futures_util::AsyncRead + futures_util::AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    let offer = if config.transports.tls { Offer::fastest() } else { Offer::NoiseOnly };
    let security = Security::new(key, offer)?;
    // Yamux ends a connection that has more streams than this, so it is more than two peers that keep the limits ever have.
    let multiplexing = Multiplexing::new(streams_of_connection(&config.limits));
    let plain = plain.map(|connection, _| LargeReads::new(connection));
    let upgrade = Upgrade::new(security, multiplexing);
    Ok(plain.and_then(move |connection, endpoint| upgrade.apply(connection, endpoint)).boxed())
}

fn streams_of_connection(limits: &Limits) -> usize {
    // The other side may accept more than this one.
    let inbound = limits.inbound_streams_per_connection.max(OUTGOING_STREAMS);
    // With 256 KiB each that is 1 GiB.
    (inbound + NEGOTIATING_STREAMS + OUTGOING_STREAMS + OWN_STREAMS).min(4096)
}

fn quic(key: &Keypair, limits: &Limits) -> Carrier {
    let mut config = quic::Config::new(key);
    config.max_concurrent_stream_limit = u32::try_from(streams_of_connection(limits)).unwrap_or(u32::MAX);
    config.max_stream_data = limits.quic_window / 4;
    config.max_connection_data = limits.quic_window;
    quic::tokio::Transport::new(config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed()
}

/// Whether an address that may be dialled has a DNS name; without one the resolver is not even configured.
fn needs_names(config: &Config) -> bool {
    config.addresses.dns || config.discovery.servers_later || own_addresses(config).any(has_name)
}

fn has_name(address: &Multiaddr) -> bool {
    address
        .iter()
        .any(|part| matches!(part, Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)))
}

/// Addresses that the configuration says to dial.
pub(crate) fn own_addresses(config: &Config) -> impl Iterator<Item = &Multiaddr> {
    let discovery = &config.discovery;
    let bootstrap = discovery.dht.iter().flat_map(|dht| &dht.bootstrap);
    discovery.relays.iter().chain(&discovery.rendezvous).chain(bootstrap)
}

/// Decides what is dialled, whoever of the protocols wants it: a peer cannot make this one scan its network.
#[derive(Debug)]
pub(crate) struct Dialable {
    policy: AddressPolicy,
    own: HashSet<Multiaddr>,
    /// Servers that were named while the network runs.
    later: RwLock<HashSet<Multiaddr>>,
    /// What others in the local network announced, and how many of them the same.
    found: RwLock<HashMap<Multiaddr, usize>>,
}

impl Dialable {
    pub(crate) fn new(policy: AddressPolicy, own: impl Iterator<Item = Multiaddr>) -> Self {
        Self { policy, own: own.map(without_peer).collect(), later: RwLock::default(), found: RwLock::default() }
    }

    pub(crate) fn permits(&self, address: &Multiaddr) -> bool {
        let first_hop = without_peer(address.iter().take_while(|part| *part != Protocol::P2pCircuit).collect());
        self.policy.dials(address)
            || self.own.contains(&first_hop)
            || self.later.read().unwrap_or_else(PoisonError::into_inner).contains(&first_hop)
            || self.found.read().unwrap_or_else(PoisonError::into_inner).contains_key(&first_hop)
    }

    /// Permits addresses of servers in place of those of an earlier call.
    pub(crate) fn replace_later(&self, addresses: impl Iterator<Item = Multiaddr>) {
        *self.later.write().unwrap_or_else(PoisonError::into_inner) = addresses.map(without_peer).collect();
    }

    /// Permits an address that was found; whether there was room for it.
    pub(crate) fn exempt(&self, address: Multiaddr) -> bool {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        let room = found.len() < FOUND_ADDRESSES;
        match found.entry(without_peer(address)) {
            Entry::Occupied(mut count) => *count.get_mut() += 1,
            Entry::Vacant(entry) if room => drop(entry.insert(1)),
            Entry::Vacant(_) => return false,
        }
        true
    }

    /// Takes back what [`Dialable::exempt`] permitted.
    pub(crate) fn forget(&self, address: Multiaddr) {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = found.entry(without_peer(address)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// A transport that dials only what is permitted.
pub(crate) struct Gate {
    inner: Carrier,
    dialable: Arc<Dialable>,
}

impl Gate {
    pub(crate) fn new(inner: Carrier, dialable: Arc<Dialable>) -> Self {
        Self { inner, dialable }
    }
}

impl Transport for Gate {
    type Output = <Carrier as Transport>::Output;
    type Error = <Carrier as Transport>::Error;
    type ListenerUpgrade = <Carrier as Transport>::ListenerUpgrade;
    type Dial = <Carrier as Transport>::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Self::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Self::Error>> {
        if !self.dialable.permits(&address) {
            let refusal =
                io::Error::new(io::ErrorKind::PermissionDenied, "the address policy does not permit this address");
            return Err(TransportError::Other(refusal));
        }
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_is_dialled_against_the_policy() {
        let relay = "/ip4/192.168.0.1/tcp/9/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        let address = |text: &str| -> Multiaddr { text.parse().unwrap() };
        let dialable = Dialable::new(AddressPolicy::default(), [address(relay)].into_iter());
        assert!(dialable.permits(&address(relay)));
        assert!(dialable.permits(&address("/ip4/192.168.0.1/tcp/9")));
        assert!(dialable.permits(&address(&format!("{relay}/p2p-circuit"))));
        assert!(!dialable.permits(&address("/ip4/192.168.0.1/tcp/10")));
        assert!(dialable.permits(&address("/ip4/203.0.113.1/tcp/10")));
        assert!(dialable.exempt(address("/ip4/192.168.0.2/tcp/10")));
        assert!(dialable.permits(&address("/ip4/192.168.0.2/tcp/10")));
        dialable.forget(address("/ip4/192.168.0.2/tcp/10"));
        assert!(!dialable.permits(&address("/ip4/192.168.0.2/tcp/10")));
    }

    #[test]
    fn what_one_peer_announces_and_withdraws_does_not_take_it_from_others() {
        let address: Multiaddr = "/ip4/192.168.0.1/tcp/9".parse().unwrap();
        let own = Dialable::new(AddressPolicy::default(), [address.clone()].into_iter());
        let found = Dialable::new(AddressPolicy::default(), std::iter::empty());
        assert!(found.exempt(address.clone()));
        for dialable in [own, found] {
            assert!(dialable.exempt(address.clone()));
            dialable.forget(address.clone());
            assert!(dialable.permits(&address));
        }
    }

    #[test]
    fn exemptions_are_bounded() {
        let dialable = Dialable::new(AddressPolicy::default(), std::iter::empty());
        let address = |port: usize| -> Multiaddr { format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap() };
        for port in 0..FOUND_ADDRESSES {
            assert!(dialable.exempt(address(port)));
        }
        assert!(!dialable.exempt(address(FOUND_ADDRESSES)));
        assert!(!dialable.permits(&address(FOUND_ADDRESSES)));
    }
}
