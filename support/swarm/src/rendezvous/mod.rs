//! Being found, and finding others, under a name at the rendezvous servers of the configuration.

mod counters;
mod wire;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use libp2p::core::PeerRecord;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) use self::counters::RendezvousCounters;
pub use self::counters::RendezvousMetrics;
use self::wire::{Message, NAMESPACE_LENGTH, PROTOCOL};
use crate::address::named_peer;
use crate::config::Discovery;
use crate::network::{Network, WeakNetwork};
use crate::servers::Server;
use crate::{Connection, DiscoveredBy, RendezvousState, StartError, Stream, discovery};

/// Namespaces that this peer is registered under at a time.
pub(crate) const NAMESPACES: usize = 16;

/// Peers that one search asks a server for.
const FOUND_PEERS: u64 = 64;

/// The status of a server that has no room.
const UNAVAILABLE: i32 = 400;

/// How long a question to a server may take, once there is a connection.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// How long after a failure, or the end of a connection, the first new registration is made; each further one waits twice as long,
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// up to this. A server closes idle connections, and one that has restarted has forgotten registrations: both look the same.
const LAST_RETRY: Duration = Duration::from_secs(5 * 60);

/// Why nothing was registered or found.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RendezvousError {
    /// The configuration has no rendezvous server.
    #[error("no rendezvous server is configured")]
    NoServer,
    /// The name is empty or longer than 255 bytes.
    #[error("the name to register under is empty or too long")]
    Namespace,
    /// This peer is registered under as many names as it may be.
    #[error("too many names are registered")]
    TooMany,
    /// There is no address that others may be told.
    #[error("this peer has no address that others may be told")]
    NoAddress,
    /// The server refuses.
    #[error("the rendezvous server refuses (status {0})")]
    Refused(i32),
    /// The server does not answer, or not as it should.
    #[error("the rendezvous server does not answer: {0}")]
    Unreachable(String),
    /// The network has ended.
    #[error("the network has ended")]
    Ended,
}

/// The servers, and what is registered there.
pub(crate) struct Rendezvous {
    key: Keypair,
    /// Those of the configuration.
    own: Vec<Server>,
    /// Whether further ones may be named.
    has_later: bool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Servers that were named while the network runs. None of the configuration is among them.
    later: Vec<Server>,
    names: HashMap<String, Name>,
}

/// What is registered.
struct Name {
    ttl: Duration,
    /// The task that keeps the registration at a server; dropping it ends it.
    tasks: HashMap<PeerId, JoinSet<()>>,
}

impl Rendezvous {
    pub(crate) fn new(key: Keypair, discovery: &Discovery) -> Result<Self, StartError> {
        let mut own: Vec<Server> = Vec::new();
        for address in &discovery.rendezvous {
            let peer = named_peer(address).ok_or_else(|| StartError::NoPeer(address.clone()))?;
            match own.iter_mut().find(|server| server.peer == peer) {
                Some(server) => server.addresses.push(address.clone()),
                None => own.push(Server { peer, addresses: vec![address.clone()] }),
            }
        }
        Ok(Self { key, own, has_later: discovery.servers_later, kept: Mutex::default() })
    }

    pub(crate) fn states(&self) -> Vec<RendezvousState> {
        let state = |server: Server| RendezvousState {
            peer: server.peer,
            address: server.addresses.first().cloned().unwrap_or_else(Multiaddr::empty),
            connected: false,
        };
        self.servers().into_iter().map(state).collect()
    }

    /// See [`Network::use_servers`].
    pub(crate) fn replace_later(&self, network: &Network, mut servers: Vec<Server>) {
        servers.retain(|server| self.own.iter().all(|own| own.peer != server.peer));
        let mut kept = self.kept();
        let Kept { later, names } = &mut *kept;
        let before = std::mem::replace(later, servers);
        let is_gone = |peer: &PeerId| before.iter().any(|server| server.peer == *peer && !later.contains(server));
        for (namespace, name) in names {
            name.tasks.retain(|peer, _| !is_gone(peer));
            for server in later.iter() {
                name.tasks
                    .entry(server.peer)
                    .or_insert_with(|| self.registering(network, server, namespace, name.ttl, None));
            }
        }
    }

    fn servers(&self) -> Vec<Server> {
        self.own.iter().chain(&self.kept().later).cloned().collect()
    }

    /// See [`Network::register`].
    pub(crate) async fn register(
        &self,
        network: &Network,
        namespace: &str,
        ttl: Duration,
    ) -> Result<(), RendezvousError> {
        check(namespace)?;
        let mut reports = {
            let mut kept = self.kept();
            let servers: Vec<_> = self.own.iter().chain(&kept.later).collect();
            if servers.is_empty() && !self.has_later {
                return Err(RendezvousError::NoServer);
            }
            if kept.names.len() >= NAMESPACES && !kept.names.contains_key(namespace) {
                return Err(RendezvousError::TooMany);
            }
            let (report, reports) = mpsc::channel(servers.len().max(1));
            let task = |server: &Server| self.registering(network, server, namespace, ttl, Some(report.clone()));
            let tasks = servers.into_iter().map(|server| (server.peer, task(server))).collect();
            kept.names.insert(namespace.to_owned(), Name { ttl, tasks });
            reports
        };
        let mut error = RendezvousError::NoServer;
        while let Some(result) = reports.recv().await {
            match result {
                Ok(()) => return Ok(()),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    /// See [`Network::unregister`].
    pub(crate) async fn unregister(&self, network: &Network, namespace: &str) {
        if self.kept().names.remove(namespace).is_none() {
            return;
        }
        let forget = |server: Server| {
            let connection = network.best_connection(&server.peer);
            async move {
                // A server that is not connected forgets by itself.
                let Some(connection) = connection else { return };
                unregister(&connection, namespace).await;
            }
        };
        join_all(self.servers().into_iter().map(forget)).await;
    }

    /// See [`Network::discover`].
    pub(crate) async fn discover(
        &self,
        network: &Network,
        namespace: &str,
    ) -> Result<Vec<(PeerId, Vec<Multiaddr>)>, RendezvousError> {
        check(namespace)?;
        let ask = async |server: Server| {
            let connection = connect(network, server.peer, server.addresses).await?;
            let answer = ask(&connection, &Message::discover(namespace, FOUND_PEERS)).await?;
            answer.discovered().map_err(|_| unexpected())?.map_err(RendezvousError::Refused)
        };
        let mut error = Some(RendezvousError::NoServer);
        let mut found: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
        for result in join_all(self.servers().into_iter().map(ask)).await {
            match result {
                Ok(records) => {
                    error = None;
                    add(network, &mut found, records);
                }
                Err(failed) => error = error.map(|_| failed),
            }
        }
        match error {
            Some(error) => Err(error),
            None => Ok(found.into_iter().collect()),
        }
    }

    /// A task that keeps a registration at a server.
    fn registering(
        &self,
        network: &Network,
        server: &Server,
        namespace: &str,
        ttl: Duration,
        report: Option<mpsc::Sender<Result<(), RendezvousError>>>,
    ) -> JoinSet<()> {
        let (namespace, key) = (namespace.to_owned(), self.key.clone());
        let at = Registration { peer: server.peer, addresses: server.addresses.clone(), namespace, ttl, key };
        let mut task = JoinSet::new();
        task.spawn(at.keep(network.downgrade(), report));
        task
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registration at one server.
struct Registration {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    namespace: String,
    ttl: Duration,
    key: Keypair,
}

impl Registration {
    /// Registers again and again; what happens first is reported.
    async fn keep(self, network: WeakNetwork, mut report: Option<mpsc::Sender<Result<(), RendezvousError>>>) {
        let mut retries = 0_u32;
        loop {
            // The handle is held only as long as it is used, so that the network ends when all others are gone.
            let result = match network.upgrade() {
                Some(network) => self.register(&network).await,
                None => return,
            };
            if let Some(report) = report.take() {
                drop(report.try_send(result.as_ref().map(|_| ()).map_err(Clone::clone)));
            }
            match result {
                Ok((connection, renewal)) => tokio::select! {
                    () = connection.closed() => {}
                    () = tokio::time::sleep(renewal) => {
                        retries = 0;
                        continue;
                    }
                },
                Err(RendezvousError::Ended) => return,
                Err(error) => tracing::debug!(server = %self.peer, %error, "cannot register"),
            }
            tokio::time::sleep(FIRST_RETRY.saturating_mul(1 << retries.min(16)).min(LAST_RETRY)).await;
            retries = retries.saturating_add(1);
        }
    }

    /// Registers once; the connection that it is at, and when to renew it.
    async fn register(&self, network: &Network) -> Result<(Connection, Duration), RendezvousError> {
        let told = network.dial_addresses();
        if told.is_empty() {
            return Err(RendezvousError::NoAddress);
        }
        let record = PeerRecord::new(&self.key, told).map_err(|_| RendezvousError::NoAddress)?;
        let connection = connect(network, self.peer, self.addresses.clone()).await?;
        let message = Message::register(&self.namespace, record, self.ttl);
        let granted = match registered(&connection, &message).await {
            // A server that is full counts a renewal as one more.
            Err(RendezvousError::Refused(UNAVAILABLE)) => {
                unregister(&connection, &self.namespace).await;
                registered(&connection, &message).await?
            }
            granted => granted?,
        };
        let granted = Duration::from_secs(granted).min(self.ttl);
        Ok((connection, (granted / 2).max(FIRST_RETRY)))
    }
}

fn check(namespace: &str) -> Result<(), RendezvousError> {
    let fits = (1..=NAMESPACE_LENGTH).contains(&namespace.len());
    if fits { Ok(()) } else { Err(RendezvousError::Namespace) }
}

async fn connect(network: &Network, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<Connection, RendezvousError> {
    match network.connect(peer, addresses).await {
        Ok(connection) => Ok(connection),
        Err(crate::ConnectError::Ended) => Err(RendezvousError::Ended),
        Err(error) => Err(RendezvousError::Unreachable(error.to_string())),
    }
}

/// Sends a message and reads the answer.
async fn ask(connection: &Connection, message: &Message) -> Result<Message, RendezvousError> {
    let answer = async {
        let mut stream: Stream = connection.open(PROTOCOL).await.map_err(|error| error.to_string())?;
        message.write(&mut stream).await.map_err(|error| error.to_string())?;
        Message::read(&mut stream).await.map_err(|error| error.to_string())
    };
    match tokio::time::timeout(ANSWER_TIME, answer).await {
        Ok(answer) => answer.map_err(RendezvousError::Unreachable),
        Err(_) => Err(RendezvousError::Unreachable("it takes too long".into())),
    }
}

/// Registers once; how many seconds that lasts.
async fn registered(connection: &Connection, message: &Message) -> Result<u64, RendezvousError> {
    ask(connection, message).await?.registered().map_err(|_| unexpected())?.map_err(RendezvousError::Refused)
}

/// Ends a registration. The server does not answer, and closes the stream when it is done.
async fn unregister(connection: &Connection, namespace: &str) {
    let told = async {
        let mut stream = connection.open(PROTOCOL).await.ok()?;
        Message::unregister(namespace).write(&mut stream).await.ok()?;
        stream.shutdown().await.ok()?;
        stream.read_u8().await.ok()
    };
    drop(tokio::time::timeout(ANSWER_TIME, told).await);
}

fn unexpected() -> RendezvousError {
    RendezvousError::Unreachable("the answer is invalid".into())
}

/// Adds the addresses of peers that may be dialled. This peer finds others only.
fn add(network: &Network, found: &mut HashMap<PeerId, Vec<Multiaddr>>, records: Vec<PeerRecord>) {
    for record in records.into_iter().filter(|record| record.peer_id() != network.local_peer()) {
        let peer = record.peer_id();
        let known = found.entry(peer).or_default();
        for address in discovery::usable(network.state(), peer, record.addresses().to_vec()) {
            if !known.contains(&address) {
                known.push(address);
            }
        }
        discovery::tell(network.state(), peer, known, DiscoveredBy::Rendezvous);
    }
}
