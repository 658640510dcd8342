//! Streams of the application: a behaviour and a handler of connections that lose none.
//!
//! Each inbound stream takes a place of its connection, of its host and of all before it is handed out, and gives them back when it is dropped. The
//! channel to [`Inbound`] has as many places as there may be streams, so handing one out never waits and never fails for lack of room: a stream either
//! reaches [`Inbound::next`], or is reset and counted.

mod accept;
mod handler;
pub(crate) mod hosts;
pub(crate) mod rate;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionEstablished, DialFailure, FromSwarm, ListenFailure};
use libp2p::swarm::{
    CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::{Semaphore, mpsc};

use self::accept::Accept;
use self::handler::{AskedToClose, Handler};
use self::hosts::Hosts;
use crate::address::{ip, is_relayed, relay};
use crate::connection::{Carried, Connection, Role, TransportKind};
use crate::interfaces::Interfaces;
use crate::limits::{Limits, Refusals};
use crate::path::PathKind;
use crate::stream::Stream;

/// A stream that a peer opened.
#[derive(Debug)]
pub struct InboundStream {
    /// The connection that it is on.
    pub connection: Connection,
    /// The protocol that both sides agreed on, one of [`crate::Config::accept`].
    pub protocol: &'static str,
    /// The stream itself.
    pub stream: Stream,
}

/// The streams that peers open. Dropping it resets those that wait, and all that come later.
#[derive(Debug)]
pub struct Inbound(mpsc::Receiver<InboundStream>);

impl Inbound {
    /// The next stream, `None` when the network has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<InboundStream> {
        self.0.recv().await
    }
}

/// Connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<HashMap<ConnectionId, Connection>>);

impl Registry {
    pub(crate) fn get(&self, id: ConnectionId) -> Option<Connection> {
        self.lock().get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Connection> {
        self.lock().values().filter(|connection| connection.is_open()).cloned().collect()
    }

    pub(crate) fn enter(&self, connection: Connection) {
        self.lock().insert(connection.id(), connection);
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        self.lock().remove(&id);
    }

    /// The open ones of one peer.
    pub(crate) fn of_peer(&self, peer: &PeerId) -> Vec<Connection> {
        self.all().into_iter().filter(|connection| connection.peer() == *peer).collect()
    }

    /// An address of this host is gone: connections from it are closed, and those that may be from it are checked. Else they would be noticed late,
    /// because what is sent to such an address is not refused.
    pub(crate) fn leave(self: &Arc<Self>, gone: IpAddr) {
        for connection in self.all() {
            match connection.local() {
                Some(local) if local == gone => connection.close(),
                Some(_) => {}
                None => self.check(connection),
            }
        }
    }

    /// Has the connections to a relay checked.
    pub(crate) fn check_relay(self: &Arc<Self>, relay: PeerId) {
        for connection in self.of_peer(&relay) {
            self.check(connection);
        }
    }

    /// Has a connection checked that nobody waits for. If it leads to a relay, what goes through that is a sign of life.
    pub(crate) fn check(self: &Arc<Self>, connection: Connection) {
        let registry = Arc::clone(self);
        // It ends within a fixed time, and for each connection there is one at a time.
        drop(tokio::spawn(async move { connection.check_patiently(|| registry.carried_over(&connection)).await }));
    }

    /// What a connection carries, and each of those through the relay that it leads to.
    fn carried_over(&self, connection: &Connection) -> Carried {
        let open = self.all();
        let is_over = |other: &&Connection| relay(&other.address()) == Some(connection.peer());
        Carried::by(open.iter().filter(is_over).chain([connection]))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ConnectionId, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the handlers of all connections share.
pub(crate) struct Streams {
    accept: Accept,
    limits: Limits,
    places: Arc<Semaphore>,
    hosts: Arc<Hosts>,
    inbound: mpsc::Sender<InboundStream>,
    pub(crate) refusals: Arc<Refusals>,
}

impl Streams {
    /// Streams of protocols whose names begin with a slash, else the name that does not.
    pub(crate) fn new(
        accept: &[&'static str],
        limits: Limits,
        refusals: Arc<Refusals>,
    ) -> Result<(Arc<Self>, Inbound), &'static str> {
        let named = |name: &'static str| match StreamProtocol::try_from_owned(name.to_owned()) {
            Ok(protocol) => Ok((protocol, name)),
            Err(_) => Err(name),
        };
        let accept = Accept::new(accept.iter().copied().map(named).collect::<Result<_, _>>()?);
        let most = limits.inbound_streams.min(Semaphore::MAX_PERMITS);
        let (inbound, received) = mpsc::channel(most.max(1));
        let places = Arc::new(Semaphore::new(most));
        let hosts = Arc::new(Hosts::new(&limits));
        Ok((Arc::new(Self { accept, limits, places, hosts, inbound, refusals }), Inbound(received)))
    }

    /// Waits until nobody takes inbound streams any more.
    pub(crate) async fn unwanted(&self) {
        self.inbound.closed().await;
    }
}

/// Gives each connection a [`Handler`], and knows those that are open.
pub(crate) struct Behaviour {
    streams: Arc<Streams>,
    registry: Arc<Registry>,
    interfaces: Interfaces,
    /// Connections that another behaviour may still refuse.
    starting: HashMap<ConnectionId, Connection>,
    closing: VecDeque<(PeerId, ConnectionId)>,
    moved: VecDeque<Connection>,
}

/// A connection has another address at its other end.
#[derive(Debug)]
pub(crate) struct Moved(pub(crate) Connection);

impl Behaviour {
    pub(crate) fn new(streams: Arc<Streams>, registry: Arc<Registry>, interfaces: Interfaces) -> Self {
        Self {
            streams,
            registry,
            interfaces,
            starting: HashMap::new(),
            closing: VecDeque::new(),
            moved: VecDeque::new(),
        }
    }

    fn start(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        role: Role,
        address: &Multiaddr,
        local: Option<IpAddr>,
    ) -> Handler {
        let path = PathKind::classify(address, &self.interfaces);
        let (connection, end) = Connection::new(id, peer, role, address, local, path);
        self.starting.insert(id, connection.clone());
        Handler::new(connection, end, Arc::clone(&self.streams))
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Moved;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // Over a relay the remote address is only the id of the peer.
        // QUIC only tells that it listens on all addresses.
        let own = ip(local).filter(|own| !own.is_unspecified());
        let (address, local) = if is_relayed(local) { (local, None) } else { (remote, own) };
        Ok(self.start(id, peer, Role::Listener, address, local))
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let role = Role::of_dial(role, port, TransportKind::of(remote));
        Ok(self.start(id, peer, role, remote, None))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { connection_id: id, .. }) => {
                if let Some(connection) = self.starting.remove(&id) {
                    self.registry.enter(connection);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id: id, .. }) => {
                self.registry.remove(id);
            }
            FromSwarm::DialFailure(DialFailure { connection_id: id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id: id, .. }) => {
                self.starting.remove(&id);
            }
            FromSwarm::AddressChange(change) => {
                if let Some(connection) = self.registry.get(change.connection_id) {
                    let address = change.new.get_remote_address();
                    connection.set_address(address);
                    connection.set_path(PathKind::classify(address, &self.interfaces));
                    self.moved.push_back(connection);
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, AskedToClose: THandlerOutEvent<Self>) {
        self.closing.push_back((peer, id));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(connection) = self.moved.pop_front() {
            return Poll::Ready(ToSwarm::GenerateEvent(Moved(connection)));
        }
        match self.closing.pop_front() {
            Some((peer_id, id)) => {
                Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(id) })
            }
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, Instant};

    use super::*;
    use crate::connection::{HandlerEnd, PATIENT_CHECK_TIME};

    /// A connection that nobody answers on.
    fn connect(registry: &Registry, number: usize, peer: PeerId, address: &str) -> (Connection, HandlerEnd) {
        let (id, address) = (ConnectionId::new_unchecked(number), address.parse().unwrap());
        let (connection, end) = Connection::new(id, peer, Role::Dialer, &address, None, PathKind::Direct);
        registry.enter(connection.clone());
        (connection, end)
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_through_a_relay_keeps_the_connection_to_it() {
        for carries in [true, false] {
            let (registry, relay) = (Arc::new(Registry::default()), PeerId::random());
            let (connection, _end) = connect(&registry, 1, relay, "/ip4/192.0.2.1/tcp/1");
            let through = format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit");
            let (_other, end) = connect(&registry, 2, PeerId::random(), &through);
            let (ended, _its_end) = connect(&registry, 3, PeerId::random(), &through);
            registry.check_relay(relay);
            tokio::time::sleep(PATIENT_CHECK_TIME - Duration::from_millis(1)).await;
            assert!(connection.is_open());
            end.traffic.add_received(usize::from(carries));
            registry.remove(ended.id());
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert_eq!(connection.is_open(), carries);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_connection_one_check_runs_that_nobody_waits_for() {
        let (registry, relay) = (Arc::new(Registry::default()), PeerId::random());
        let (connection, mut end) = connect(&registry, 1, relay, "/ip4/192.0.2.1/tcp/1");
        for _ in 0..100 {
            registry.check_relay(relay);
            registry.leave("192.0.2.2".parse().unwrap());
        }
        let begin = Instant::now();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(end.requests.try_recv().is_ok() && end.requests.try_recv().is_err());
        tokio::time::sleep_until(begin + PATIENT_CHECK_TIME + Duration::from_millis(1)).await;
        assert!(!connection.is_open());
    }
}
