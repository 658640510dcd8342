//! The handle of a network.

use std::sync::{Arc, Weak};
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::address::named_peer;
use crate::config::Config;
use crate::connect::{self, CONNECT_TIME};
use crate::connection::Connection;
use crate::driver::{Command, Driver};
use crate::rendezvous::Rendezvous;
use crate::servers::Server;
use crate::state::State;
use crate::streams::{Inbound, Streams};
use crate::transport::{self, Carrier, Dialable};
use crate::{
    ConnectError, Event, Reachability, Refused, RelayMetrics, RendezvousError, RendezvousMetrics, RendezvousState,
    StartError,
};

/// Commands that wait for the driver.
const COMMANDS: usize = 64;

/// A running network. All clones are the same one.
///
/// Its task ends by [`Network::shutdown`], or when all clones and [`Inbound`] are dropped.
#[derive(Clone)]
pub struct Network {
    state: Arc<State>,
    rendezvous: Arc<Rendezvous>,
    commands: mpsc::Sender<Command>,
    /// Closed when the driver has ended.
    running: watch::Receiver<()>,
}

impl Network {
    /// Starts a network. All listen addresses are bound when this returns.
    ///
    /// # Errors
    ///
    /// [`StartError`], which names the address that cannot be bound, or the value that is invalid. Nothing is left running then.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub async fn start(config: Config) -> Result<(Self, Inbound), StartError> {
        let key = config.seed.keypair().map_err(|_| StartError::Key)?;
        let carrier = transport::carrier(&config, &key)?;
        Self::start_with(config, carrier).await
    }

    /// Starts a network over a transport that the application brings, instead of those that [`Config::transports`] names. The transport has to
    /// authenticate with the key of [`Config::seed`].
    ///
    /// # Errors
    ///
    /// As [`Network::start`].
    ///
    /// # Panics
    ///
    /// As [`Network::start`].
    pub async fn start_with(config: Config, carrier: Carrier) -> Result<(Self, Inbound), StartError> {
        let key = config.seed.keypair().map_err(|_| StartError::Key)?;
        let dialable = Dialable::new(config.addresses, transport::own_addresses(&config).cloned());
        let rendezvous = Arc::new(Rendezvous::new(key.clone(), &config.discovery)?);
        let known = Reachability {
            dht: config.discovery.dht.is_some(),
            rendezvous: rendezvous.states(),
            ..Reachability::default()
        };
        let trusted = transport::own_addresses(&config).filter_map(named_peer).collect();
        let state = State::new(key.public().to_peer_id(), config.addresses, dialable, trusted, known);
        let state = Arc::new(state);
        let (streams, inbound) = Streams::new(&config.accept, config.limits, Arc::clone(&state.refusals))
            .map_err(|name| StartError::Protocol(name.to_owned()))?;
        let (commands, received) = mpsc::channel(COMMANDS);
        let mut driver = Driver::new(&config, &key, carrier, streams, Arc::clone(&state), received)?;
        driver.listen(config.listen).await?;
        let (still_running, running) = watch::channel(());
        tokio::spawn(async move {
            driver.run().await;
            drop(still_running);
        });
        Ok((Self { state, rendezvous, commands, running }, inbound))
    }

    /// The id of this peer.
    #[must_use]
    pub fn local_peer(&self) -> PeerId {
        self.state.local
    }

    /// Addresses that the network listens on, one for each interface, without `/p2p` at their end. Those at relays contain `/p2p-circuit`.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.state.listening()
    }

    /// Addresses at which others reach this peer, or see it: confirmed ones first.
    #[must_use]
    pub fn external_addresses(&self) -> Vec<Multiaddr> {
        self.state.external()
    }

    /// Addresses that others should be told, best first, at most 16: what [`crate::AddressPolicy`] permits.
    #[must_use]
    pub fn dial_addresses(&self) -> Vec<Multiaddr> {
        self.state.told()
    }

    /// Whether others may be told an address, as [`crate::AddressPolicy`] says.
    #[must_use]
    pub fn tells(&self, address: &Multiaddr) -> bool {
        self.state.policy.tells(address)
    }

    /// A connection to a peer: an existing one that is not relayed, else the first that answers of `addresses` and of those at which the peer was
    /// found in the local network, all dialled at once. Relays are tried if no direct address answers within 300 ms. At most 16 addresses are dialled, for at most 10 seconds.
    ///
    /// The addresses count as hints of somebody else: those that [`crate::AddressPolicy`] does not permit are left out.
    /// Cancel-safe: a dial that nobody waits for any more may still lead to a connection, which then closes when it is idle.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn connect(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<Connection, ConnectError> {
        let connected = tokio::time::timeout(CONNECT_TIME, connect::connect(self, peer, addresses));
        connected.await.unwrap_or(Err(ConnectError::TimedOut))
    }

    /// All open connections.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.state.registry.all()
    }

    /// The connection to a peer with the best path, and of those the one with the lowest latency.
    #[must_use]
    pub fn best_connection(&self, peer: &PeerId) -> Option<Connection> {
        let unknown = std::time::Duration::MAX;
        let of_peer = self.connections().into_iter().filter(|connection| connection.peer() == *peer);
        of_peer.min_by_key(|connection| (connection.path(), connection.latency().unwrap_or(unknown)))
    }

    /// Peers in the local network, as multicast DNS has found them, with their addresses. [`Event::Discovered`] tells of those that are found from
    /// now on.
    #[must_use]
    pub fn found_locally(&self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        self.state.found_locally()
    }

    /// What happens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.state.events.subscribe()
    }

    /// Uses these relays and rendezvous servers beside those of the configuration, in place of those of an earlier call. Each address ends in
    /// `/p2p/<peer id>`; others, and more than 16 of a kind, are left out. They are dialled whatever [`crate::AddressPolicy`] permits. Names that are registered
    /// are registered at new servers, too. Needs [`crate::Discovery::servers_later`].
    pub async fn use_servers(&self, relays: Vec<Multiaddr>, rendezvous: Vec<Multiaddr>) {
        let (relays, rendezvous) = (Server::each(relays), Server::each(rendezvous));
        let addresses = relays.iter().chain(&rendezvous).flat_map(|server| &server.addresses);
        self.state.dialable.replace_later(addresses.cloned());
        self.rendezvous.replace_later(self, rendezvous);
        let connections = self.connections();
        let state = |server: RendezvousState| RendezvousState {
            connected: connections.iter().any(|connection| connection.peer() == server.peer),
            ..server
        };
        let states = self.rendezvous.states().into_iter().map(state).collect();
        self.state.learn(|known| known.rendezvous = states);
        // A network that has ended uses none.
        drop(self.commands.send(Command::UseRelays { relays }).await);
    }

    /// What is known about how this peer can be reached.
    #[must_use]
    pub fn reachability(&self) -> Reachability {
        self.state.reachability()
    }

    /// What was refused because of [`crate::Limits`].
    #[must_use]
    pub fn refused(&self) -> Refused {
        self.state.refusals.total()
    }

    /// What the relay service of this process does. All zero without [`crate::Services::relay`].
    #[must_use]
    pub fn relay_metrics(&self) -> RelayMetrics {
        self.state.relayed.metrics(&self.state.traffic)
    }

    /// What the rendezvous server of this process does. All zero without [`crate::Services::rendezvous`].
    #[must_use]
    pub fn rendezvous_metrics(&self) -> RendezvousMetrics {
        self.state.registered.metrics()
    }

    /// Looks for a peer in the distributed hash table: its addresses that may be dialled. Empty if it is not found, there is no table, or too many
    /// searches are running. A search takes at most 20 seconds. Cancel-safe: the search goes on, and its result is an [`Event::Discovered`].
    pub async fn find_peer(&self, peer: PeerId) -> Vec<Multiaddr> {
        let (answer, answered) = oneshot::channel();
        match self.commands.send(Command::Find { peer, answer }).await {
            Ok(()) => answered.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// Registers [`Network::dial_addresses`] under a name at all rendezvous servers of the configuration, for `ttl` (whole seconds), and keeps the
    /// registrations until [`Network::unregister`] or the network ends: they are renewed at half of their time, and made again when a server comes back.
    /// Registering a name again replaces its `ttl`.
    ///
    /// Returns when the first server has confirmed. Cancel-safe: the registration is kept all the same.
    ///
    /// # Errors
    ///
    /// [`RendezvousError`], if no server has confirmed at the first attempt. Further attempts are made all the same, unless no attempt was possible:
    /// [`RendezvousError::NoServer`] without [`crate::Discovery::servers_later`], [`RendezvousError::Namespace`], [`RendezvousError::TooMany`] (16 names).
    pub async fn register(&self, namespace: &str, ttl: Duration) -> Result<(), RendezvousError> {
        self.rendezvous.register(self, namespace, ttl).await
    }

    /// Ends the registrations under a name.
    pub async fn unregister(&self, namespace: &str) {
        self.rendezvous.unregister(self, namespace).await;
    }

    /// The peers that are registered under a name at the rendezvous servers of the configuration, with their addresses that may be dialled, at most 16
    /// each. At most 64 peers of each server. They have signed their addresses, and nothing else is known of them.
    ///
    /// # Errors
    ///
    /// [`RendezvousError`], if no server answers.
    pub async fn discover(&self, namespace: &str) -> Result<Vec<(PeerId, Vec<Multiaddr>)>, RendezvousError> {
        self.rendezvous.discover(self, namespace).await
    }

    /// Closes all connections and listeners, and waits until that is done. May be called again.
    ///
    /// The UDP port of a QUIC connection that was open stays bound for about 3 seconds more, in which QUIC answers late packets.
    pub async fn shutdown(&self) {
        // A driver that has ended needs no command.
        drop(self.commands.send(Command::Shutdown).await);
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// A handle that does not keep the network running.
    pub(crate) fn downgrade(&self) -> WeakNetwork {
        WeakNetwork {
            state: Arc::clone(&self.state),
            rendezvous: Arc::downgrade(&self.rendezvous),
            commands: self.commands.downgrade(),
            running: self.running.clone(),
        }
    }

    pub(crate) fn found(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.found_locally()
            .into_iter()
            .find(|(found, _)| found == peer)
            .map(|(_, addresses)| addresses)
            .unwrap_or_default()
    }

    pub(crate) fn dialable(&self) -> &Dialable {
        &self.state.dialable
    }

    pub(crate) async fn dial(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<Connection, ConnectError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Dial { peer, addresses, answer }).await.map_err(|_| ConnectError::Ended)?;
        answered.await.unwrap_or(Err(ConnectError::Ended))
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("local_peer", &self.local_peer()).finish_non_exhaustive()
    }
}

/// A handle of a network that others keep running.
pub(crate) struct WeakNetwork {
    state: Arc<State>,
    rendezvous: Weak<Rendezvous>,
    commands: mpsc::WeakSender<Command>,
    running: watch::Receiver<()>,
}

impl WeakNetwork {
    pub(crate) fn upgrade(&self) -> Option<Network> {
        Some(Network {
            state: Arc::clone(&self.state),
            rendezvous: self.rendezvous.upgrade()?,
            commands: self.commands.upgrade()?,
            running: self.running.clone(),
        })
    }
}
