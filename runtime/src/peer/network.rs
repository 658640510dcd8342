//! The network of a node: its connections to peers, and what was proven on each.
//!
//! A [`PeerNetwork`] starts [`swarm::Network`] from the settings of the node and attends to each connection: identities are
//! exchanged on it first, by one task that ends with the connection. What is asked of peers is in [`reads`](super::reads), what
//! peers ask in [`serve`](super::serve).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::future::join_all;
use swarm::{ConnectError, Connection, Event as SwarmEvent, Inbound, Multiaddr, Network, StartError, Stream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use transport::peer::{Channel, Direct, MultiaddrText, PeerError, PeerKey};
use transport::wire::Address;

use super::announce::Announced;
use super::away::Away;
use super::code::{OfferedCode, Offers};
use super::connections::{Connections, Entry, NewConnection};
use super::drive::Time;
use super::error::PeersError;
use super::exchange::{EXCHANGE_LIMIT, Identification, NoChannel, give_up};
use super::hint::{self, HINT_QUEUE};
use super::reads::PeerFailure;
use super::tasks::Tasks;
use super::{Route, settings, view};
use crate::config::{PeerConfig, PeerDisclosure};
use crate::error::ConfigError;
use crate::event::EventBus;
use crate::peer::certificate::{Certificates, DeviceKeys};
use crate::peer::removed::IsRemoved;
use crate::{Result, dto};

/// How long the end of connections is waited for that this node closes.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// After how long a dial is repeated that the peer has refused at once: by then it gives the place of a connection that was used
/// up to now to a new one.
pub(crate) const REDIAL_PAUSE: Duration = swarm::USE_TIME.saturating_add(Duration::from_millis(250));

/// How long both dials may take together: as long as one with its exchange of identities.
const DIAL_LIMIT: Duration = swarm::CONNECT_TIME.saturating_add(EXCHANGE_LIMIT);

/// What a network needs beside its settings.
pub(crate) struct PeerParts {
    /// The key of the peer.
    pub(crate) key: PeerKey,
    /// Whose device this is; nothing for a stranger to everybody.
    pub(crate) device: Option<DeviceKeys>,
    /// Whom it refuses.
    pub(crate) is_removed: IsRemoved,
    /// Dates and deadlines.
    pub(crate) time: Time,
    /// Where it says who comes and goes.
    pub(crate) events: EventBus,
    /// Bytes of JSON of the largest content of a token that is loaded.
    pub(crate) max_token_content: usize,
    /// The transport of an application, in place of TCP and QUIC.
    pub(crate) transport: Option<swarm::custom::Transport>,
}

/// The peers of a node. Cheap to clone; the network ends with the last clone, or by [`shutdown`](Self::shutdown).
#[derive(Clone)]
pub(crate) struct PeerNetwork(Option<Arc<Running>>);

struct Running {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// What the tasks of a network share.
pub(super) struct Shared {
    pub(super) network: Network,
    pub(super) connections: Connections,
    /// Whose tokens are asked for at other devices first.
    pub(super) away: Away,
    pub(super) identification: Identification,
    pub(super) offers: Offers,
    pub(super) config: PeerConfig,
    pub(super) time: Time,
    pub(super) max_token_content: usize,
    /// Notified when a peer says that there is something at the backbone.
    hinted: Notify,
    hints: mpsc::Sender<Address>,
    announced: Announced,
    pub(super) tasks: Tasks,
}

impl PeerNetwork {
    /// None: a node that reaches nobody directly.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// Starts it. All listen addresses are bound when this returns. What peers ask comes out of the second value, which
    /// [`PeerServer`](super::PeerServer) answers.
    ///
    /// # Errors
    /// [`ConfigError::PeerAddress`], [`ConfigError::PeerListen`] and [`ConfigError::PeerNetwork`] name what cannot work.
    pub(crate) async fn start(config: &PeerConfig, parts: PeerParts) -> Result<(Self, Inbound)> {
        let settings = settings::of_network(config, &parts.key)?;
        let started = match parts.transport {
            Some(transport) => Network::start_with(settings, transport).await,
            None => Network::start(settings).await,
        };
        let (network, inbound) = started.map_err(|error| match error {
            StartError::Listen { address, reason } => ConfigError::PeerListen { address: address.to_string(), reason },
            other => ConfigError::PeerNetwork(Arc::new(other)),
        })?;
        let (stop, (hints, hinted)) = (CancellationToken::new(), mpsc::channel(HINT_QUEUE));
        let tasks = Tasks::new(stop.clone());
        let shared = Arc::new(Shared {
            identification: Identification {
                certificates: parts.device.map(Certificates::new),
                disclosure: disclosure(config.disclosure),
                is_removed: parts.is_removed,
                time: parts.time.clone(),
                was_stranger: AtomicBool::new(false),
            },
            offers: Offers::new(network.clone(), parts.time.clone(), tasks.clone()),
            network,
            connections: Connections::default(),
            away: Away::default(),
            config: config.clone(),
            time: parts.time,
            max_token_content: parts.max_token_content,
            hinted: Notify::new(),
            hints,
            announced: Announced::new(parts.events),
            tasks,
        });
        shared.tasks.spawn(shared.clone().watch());
        shared.tasks.spawn(hint::send_all(shared.clone(), hinted));
        Ok((Self(Some(Arc::new(Running { shared, _stop: stop.drop_guard() }))), inbound))
    }

    /// Closes all connections and waits until that is done. Idempotent.
    pub(crate) async fn shutdown(&self) {
        let Some(shared) = self.shared() else { return };
        shared.tasks.stop();
        shared.offers.withdraw_all();
        shared.network.shutdown().await;
        shared.tasks.ended().await;
    }

    /// Where others can reach this node, for the tokens that it makes; `None` if there is nothing to tell.
    pub(crate) fn direct(&self) -> Option<Direct> {
        let shared = self.shared()?;
        Some(view::direct(&shared.network)).filter(Direct::leads_somewhere)
    }

    /// A connection to the peer of a route, on which identities were exchanged: one that is open, else a new one.
    ///
    /// # Errors
    /// [`PeerFailure::Unreachable`] and how the exchange failed.
    pub(crate) async fn channel(&self, route: &Route) -> Result<(Connection, Channel), PeerFailure> {
        let shared = self.shared().ok_or_else(|| PeerFailure::Unreachable("this node has no peers".to_owned()))?;
        shared.clone().channel(&route.direct).await
    }

    /// Connects to a peer.
    ///
    /// # Errors
    /// [`PeersError::Off`], and why there is no channel.
    pub(crate) async fn connect(&self, direct: Direct) -> Result<dto::Peer, PeersError> {
        let shared = self.shared().ok_or(PeersError::Off)?;
        let (connection, _) = shared.clone().channel(&direct).await?;
        let entry = shared.clone().attend(&connection);
        Ok(view::peer(&entry, shared.time.now().time))
    }

    /// Offers a reference under a code.
    ///
    /// # Errors
    /// [`PeersError::Off`], and those of [`Offers::offer`].
    pub(crate) fn offer_code(&self, reference: &str, lifetime: Duration) -> Result<OfferedCode, PeersError> {
        self.shared().ok_or(PeersError::Off)?.offers.offer(reference, lifetime)
    }

    /// Tells the connected devices of an identity that there is something for them at the backbone. Best effort: whom it does
    /// not reach learns of it at the next synchronization.
    pub(crate) fn hint(&self, to: &Address) {
        if let Some(shared) = self.shared() {
            // Those that wait make the same peers synchronize.
            let _ = shared.hints.try_send(to.clone());
        }
    }

    /// Waits until a peer says that there is something at the backbone. Cancel-safe.
    pub(crate) async fn hinted(&self) {
        match self.shared() {
            Some(shared) => shared.hinted.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Closes the connections of devices that are known to be removed by now.
    pub(crate) fn close_removed(&self) {
        let Some(shared) = self.shared() else { return };
        let now = shared.time.now().time;
        for entry in shared.connections.all() {
            let is_removed = entry.channel().is_some_and(|channel| {
                let proven = channel.identity(now);
                proven.is_some_and(|proven| (shared.identification.is_removed)(proven.address(), proven.device_id()))
            });
            if is_removed {
                entry.connection.close();
            }
        }
    }

    /// Closes the connections of a node that can prove its identity now and could not before: identities are exchanged once on each
    /// connection, so peers learn it on the next one. Returns when they are closed, so that the next question opens one.
    pub(crate) async fn identify(&self) {
        let Some(shared) = self.shared() else { return };
        if !shared.identification.is_stranger_no_more() {
            return;
        }
        // Relays, with which there is no channel, stay.
        let to_peers: Vec<Entry> = shared.connections.all().into_iter().filter(Entry::may_serve).collect();
        to_peers.iter().for_each(|entry| entry.connection.close());
        let _ = timeout(CLOSE_LIMIT, join_all(to_peers.iter().map(|entry| entry.connection.closed()))).await;
    }

    /// The connected peers, those with a proven identity first.
    pub(crate) fn peers(&self) -> Vec<dto::Peer> {
        self.shared().map(|shared| view::peers(shared)).unwrap_or_default()
    }

    /// How this node can be reached.
    pub(crate) fn connectivity(&self) -> Option<dto::Connectivity> {
        self.shared().map(|shared| view::connectivity(shared))
    }

    pub(super) fn shared(&self) -> Option<&Arc<Shared>> {
        self.0.as_ref().map(|running| &running.shared)
    }
}

impl Shared {
    /// The entry of a connection. Somebody attends to it from then on.
    pub(super) fn attend(self: Arc<Self>, connection: &Connection) -> Entry {
        match self.connections.enter(connection, self.time.now().time) {
            Ok(entry) => entry,
            Err(new) => {
                let entry = new.entry.clone();
                self.tasks.spawn(self.clone().follow(new));
                entry
            }
        }
    }

    /// Hands over the stream on which the peer exchanges identities.
    pub(super) fn accept_identity(self: Arc<Self>, connection: &Connection, stream: Stream) {
        let connections = &self.clone().connections;
        self.attend(connection);
        connections.accept(connection.id(), stream);
    }

    /// A peer says that there is something at the backbone.
    pub(super) fn note_hint(&self) {
        self.hinted.notify_one();
    }

    /// A connection to a peer, on which identities were exchanged: one that is open, else a new one.
    ///
    /// A peer that closes a new connection at once has no place for it: the others that this one opened carry something, or did so just
    /// now, such as those of processes that were killed. So it is dialled once more a little later. Cancel-safe.
    pub(super) async fn channel(self: Arc<Self>, direct: &Direct) -> Result<(Connection, Channel), PeerFailure> {
        let end = Instant::now() + DIAL_LIMIT;
        let mut outcome = self.clone().channel_once(direct).await;
        if matches!(outcome, Err(NotMade::NoChannel(NoChannel::Unheard))) {
            tracing::debug!(peer = %direct.peer_id, "a peer has closed a new connection at once; it is dialled once more");
            let again = async {
                sleep(REDIAL_PAUSE).await;
                self.channel_once(direct).await
            };
            outcome = timeout_at(end, again).await.unwrap_or(outcome);
        }
        outcome.map_err(PeerFailure::from)
    }

    async fn channel_once(self: Arc<Self>, direct: &Direct) -> Result<(Connection, Channel), NotMade> {
        if let Some(entry) = self.connections.best(&direct.peer_id) {
            match entry.wait().await {
                Ok(channel) => return Ok((entry.connection, channel)),
                // It was dialled for somebody else just now.
                Err(NoChannel::Unheard) => return Err(NoChannel::Unheard.into()),
                Err(_) => {}
            }
        }
        let connection = self.dial(direct).await?;
        let channel = self.attend(&connection).wait().await?;
        Ok((connection, channel))
    }

    /// At the addresses that are told, or else at those in the hash table.
    async fn dial(&self, direct: &Direct) -> Result<Connection, ConnectError> {
        let outcome = self.network.connect(direct.peer_id, to_dial(direct)).await;
        let may_be_elsewhere = matches!(
            outcome,
            Err(ConnectError::NoAddress { .. } | ConnectError::Unreachable { .. } | ConnectError::WrongPeer { .. })
        );
        if !may_be_elsewhere || self.config.dht.is_none() {
            return outcome;
        }
        match self.network.find_peer(direct.peer_id).await {
            found if found.is_empty() => outcome,
            found => self.network.connect(direct.peer_id, found).await,
        }
    }

    /// Exchanges identities on a connection, and follows it to its end.
    async fn follow(self: Arc<Self>, new: NewConnection) {
        let NewConnection { entry, accepted, exchanged } = new;
        let (connection, local) = (&entry.connection, self.network.local_peer());
        let outcome = self.identification.run(local, connection, accepted).await;
        if let Err(reason) = &outcome {
            tracing::debug!(peer = %connection.peer(), ?reason, "no channel with a peer");
        }
        let has_failed = matches!(outcome, Err(NoChannel::Unheard | NoChannel::Failed(_)));
        exchanged.send_replace(Some(outcome));
        self.announced.update(&self, &connection.peer());
        if has_failed {
            give_up(connection).await;
        }
        connection.closed().await;
        self.connections.leave(connection.id());
        self.announced.update(&self, &connection.peer());
    }

    /// Attends to each connection from its begin on.
    async fn watch(self: Arc<Self>) {
        let mut events = self.network.subscribe();
        self.clone().attend_all();
        loop {
            match events.recv().await {
                Ok(SwarmEvent::Connected(connection)) => {
                    self.clone().attend(&connection);
                }
                Ok(SwarmEvent::PathChanged(connection)) => {
                    self.announced.path_changed(&self, &connection.peer(), connection.id());
                }
                Ok(SwarmEvent::Discovered { peer, addresses, .. }) => {
                    tracing::trace!(%peer, count = addresses.len(), "found a peer");
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.clone().attend_all(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn attend_all(self: Arc<Self>) {
        for connection in self.network.connections() {
            self.clone().attend(&connection);
        }
    }
}

/// Why there is no channel to a peer.
enum NotMade {
    NotDialled(ConnectError),
    NoChannel(NoChannel),
}

impl From<ConnectError> for NotMade {
    fn from(error: ConnectError) -> Self {
        Self::NotDialled(error)
    }
}

impl From<NoChannel> for NotMade {
    fn from(none: NoChannel) -> Self {
        Self::NoChannel(none)
    }
}

impl From<NotMade> for PeerFailure {
    fn from(not_made: NotMade) -> Self {
        match not_made {
            NotMade::NotDialled(error) => Self::Unreachable(error.to_string()),
            NotMade::NoChannel(NoChannel::Unsupported) => {
                Self::Unreachable("it is not a node of this program".to_owned())
            }
            NotMade::NoChannel(NoChannel::Unheard) => Self::Exchange(PeerError::Cut),
            NotMade::NoChannel(NoChannel::Failed(error)) => Self::Exchange(error),
        }
    }
}

/// The addresses at which a peer is dialled. Texts that are no addresses are left out: later versions may write others.
fn to_dial(direct: &Direct) -> Vec<Multiaddr> {
    let relayed = |relay: &MultiaddrText| match relay.as_str() {
        text if text.contains("/p2p-circuit") => text.parse(),
        text => format!("{text}/p2p-circuit").parse(),
    };
    let direct_ones = direct.addresses.iter().map(|address| address.as_str().parse());
    direct_ones.chain(direct.relays.iter().map(relayed)).filter_map(Result::ok).collect()
}

fn disclosure(disclosure: PeerDisclosure) -> transport::peer::Disclosure {
    match disclosure {
        PeerDisclosure::Identified => transport::peer::Disclosure::Identified,
        PeerDisclosure::Everyone => transport::peer::Disclosure::Everyone,
    }
}
