//! Nodes with a shelf each, and raw peers that say what they like.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use swarm::{AddressPolicy, Connection, Multiaddr, Network, Seed, Stream, Transports};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transport::crypto::random;
use transport::peer::{
    Channel, Conversation, Credentials, Direct, IDENTITY_PROTOCOL, IdentityExchange, Message, MultiaddrText, PeerError,
    PeerId, PeerKey,
};
use transport::wire::Address;

use crate::clock::ManualClock;
use crate::config::{PeerConfig, PeerLimits};
use crate::event::{Event, EventBus, EventReceiver};
use crate::peer::drive::{Ended, Time, exchange};
use crate::peer::testing::{Person, Shelf, clock, nobody_removed};
use crate::peer::{PeerNetwork, PeerParts, PeerServer, Route};

/// A node that shares a shelf.
pub(super) struct TestNode {
    pub(super) person: Person,
    pub(super) peers: PeerNetwork,
    pub(super) shelf: Arc<Shelf>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) events: EventReceiver,
    /// Identities whose devices it refuses.
    pub(super) removed: Arc<Mutex<HashSet<Address>>>,
    pub(super) server: PeerServer,
}

pub(super) fn config_with(limits: PeerLimits) -> PeerConfig {
    PeerConfig { limits, ..PeerConfig::on_this_machine() }
}

impl TestNode {
    pub(super) async fn new(number: u8) -> Self {
        Self::with(Person::new(number), PeerConfig::on_this_machine(), |_| {}).await
    }

    pub(super) async fn with(person: Person, config: PeerConfig, change: impl FnOnce(&mut Shelf)) -> Self {
        Self::start(person, config, true, change).await
    }

    /// A node that proves nothing.
    pub(super) async fn stranger(number: u8) -> Self {
        Self::start(Person::new(number), PeerConfig::on_this_machine(), false, |_| {}).await
    }

    async fn start(person: Person, config: PeerConfig, has_device: bool, change: impl FnOnce(&mut Shelf)) -> Self {
        let (clock, events, removed) = (clock(), EventBus::new(), Arc::<Mutex<HashSet<Address>>>::default());
        let refused = removed.clone();
        let parts = PeerParts {
            key: PeerKey::derive(&person.device_key),
            device: has_device.then(|| person.keys()),
            is_removed: Arc::new(move |address, _| refused.lock().unwrap().contains(address)),
            time: Time::new(clock.clone()),
            events: events.clone(),
            max_token_content: 1000,
            transport: None,
        };
        let received = events.subscribe();
        let (peers, inbound) = PeerNetwork::start(&config, parts).await.unwrap();
        let mut shelf = Shelf::of(&person, 600_000);
        change(&mut shelf);
        let shelf = Arc::new(shelf);
        let server = PeerServer::start(&peers, inbound, shelf.clone());
        Self { person, peers, shelf, clock, events: received, removed, server }
    }

    pub(super) fn peer_id(&self) -> PeerId {
        self.person.peer_id()
    }

    pub(super) fn address(&self) -> Multiaddr {
        self.peers.direct().unwrap().addresses[0].as_str().parse().unwrap()
    }

    /// How others reach it.
    pub(super) fn route(&self) -> Route {
        Route { token: Some(self.shelf.token.id.clone()), ..Route::to(self.peers.direct().unwrap()) }
    }

    /// Its route with other addresses.
    pub(super) fn route_at(&self, addresses: &[&str]) -> Route {
        let addresses = addresses.iter().map(|text| MultiaddrText::new(text).unwrap()).collect();
        Route::to(Direct { addresses, ..self.peers.direct().unwrap() })
    }

    /// Waits for the next event of a kind.
    pub(super) async fn event<T>(&mut self, wanted: impl Fn(Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.events.recv().await.unwrap()) {
                return found;
            }
        }
    }

    pub(super) async fn disconnected(&mut self, peer: PeerId) {
        let gone = |event| matches!(event, Event::PeerDisconnected { id } if id == peer.to_base58()).then_some(());
        self.event(gone).await;
    }
}

/// A peer that follows no protocol by itself.
pub(super) struct RawPeer {
    pub(super) person: Person,
    pub(super) network: Network,
}

impl RawPeer {
    pub(super) async fn new(number: u8) -> Self {
        Self::over(number, Transports::default()).await
    }

    /// Without sockets, so that time can be paused.
    pub(super) async fn in_memory(number: u8) -> Self {
        Self::over(number, Transports { tcp: false, quic: false, memory: true, tls: true }).await
    }

    async fn over(number: u8, transports: Transports) -> Self {
        let person = Person::new(number);
        let seed = PeerKey::derive(&person.device_key).expose_seed();
        let addresses = AddressPolicy { private: true, loopback: true, dns: false };
        let config = swarm::Config { addresses, transports, ..swarm::Config::new(Seed::new(*seed)) };
        let (network, _) = Network::start(config).await.unwrap();
        Self { person, network }
    }

    pub(super) async fn connect(&self, node: &TestNode) -> Connection {
        self.network.connect(node.peer_id(), vec![node.address()]).await.unwrap()
    }

    /// Exchanges identities with these credentials.
    pub(super) async fn identify(
        &self,
        connection: &Connection,
        credentials: Option<Credentials>,
        time: &Time,
    ) -> Result<Channel, Ended> {
        let ids = [self.network.local_peer(), connection.peer()];
        let side = IdentityExchange::initiator(ids, random::bytes(), credentials, nobody_removed);
        let stream = connection.open(IDENTITY_PROTOCOL).await;
        let stream = stream.map_err(|_| Ended { error: PeerError::Cut, was_heard: false })?;
        exchange(stream, Conversation::new(side, time.now().instant), time).await
    }
}

/// Writes bytes and reads a message; `None` if the stream ends before.
pub(super) async fn tell<M: Message>(stream: &mut Stream, bytes: &[u8]) -> Option<M> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()?;
    hear(stream).await
}

pub(super) async fn hear<M: Message>(stream: &mut Stream) -> Option<M> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.ok()?;
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut message).await.ok()?;
    Some(M::decode(&message).unwrap())
}
