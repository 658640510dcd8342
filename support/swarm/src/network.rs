//! The handle of a network.

use std::sync::Arc;

use libp2p::core::Transport as _;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::config::Config;
use crate::connect::{self, CONNECT_TIME};
use crate::connection::Connection;
use crate::driver::{Command, Driver};
use crate::state::State;
use crate::streams::{Inbound, Streams};
use crate::transport::{self, Carrier, Dialable, Gate};
use crate::{ConnectError, Event, Reachability, Refused, StartError};

/// Commands that wait for the driver.
const COMMANDS: usize = 64;

/// A running network. All clones are the same one.
///
/// Its task ends by [`Network::shutdown`], or when all clones and [`Inbound`] are dropped.
#[derive(Clone)]
pub struct Network {
    state: Arc<State>,
    commands: mpsc::Sender<Command>,
    /// Closed when the driver has ended.
    running: watch::Receiver<()>,
}

impl Network {
    /// Starts a network. All listen addresses are bound when this returns.
    ///
    /// # Errors
    ///
    /// [`StartError`], which names the address that cannot be bound, or the part that cannot start. Nothing is left running then.
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
        let state =
            Arc::new(State::new(key.public().to_peer_id(), config.addresses, dialable, Reachability::default()));
        let (streams, inbound) = Streams::new(&config.accept, config.limits, Arc::clone(&state.refusals))
            .map_err(|name| StartError::Protocol(name.to_owned()))?;
        let gate = Gate::new(carrier, Arc::clone(&state.dialable)).boxed();
        let (commands, received) = mpsc::channel(COMMANDS);
        let mut driver = Driver::new(&config, &key, gate, streams, Arc::clone(&state), received);
        driver.listen(config.listen).await?;
        let (still_running, running) = watch::channel(());
        tokio::spawn(async move {
            driver.run().await;
            drop(still_running);
        });
        Ok((Self { state, commands, running }, inbound))
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

    /// A connection to a peer: an existing one that is not relayed, else the first of `addresses` that answers, all dialled at once. Relays are tried
    /// if no direct address answers within 300 ms. At most 16 addresses are dialled, for at most 10 seconds.
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

    /// What happens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.state.events.subscribe()
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

    /// Closes all connections and listeners, and waits until that is done. May be called again.
    pub async fn shutdown(&self) {
        // A driver that has ended needs no command.
        drop(self.commands.send(Command::Shutdown).await);
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
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
