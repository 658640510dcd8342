//! The connections of a node, and what each peer has proven on each of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use swarm::{Connection, ConnectionId, PathKind, Stream};
use tokio::sync::{oneshot, watch};
use transport::peer::{Channel, PeerId};
use transport::wire::Timestamp;

use super::exchange::NoChannel;

/// How the exchange of identities on a connection has ended; `None` while it runs.
pub(super) type Exchanged = Option<Result<Channel, NoChannel>>;

/// A connection. Their number is bounded by [`crate::PeerLimits::connections`].
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) connection: Connection,
    pub(super) connected_at: Timestamp,
    exchanged: watch::Receiver<Exchanged>,
}

impl Entry {
    /// What was proven on it, once that is known.
    pub(super) fn channel(&self) -> Option<Channel> {
        self.exchanged.borrow().as_ref().and_then(|exchanged| exchanged.as_ref().ok().cloned())
    }

    /// Whether the exchange may still lead to a channel, or has.
    pub(super) fn may_serve(&self) -> bool {
        self.connection.is_open() && !matches!(&*self.exchanged.borrow(), Some(Err(_)))
    }

    /// Waits for the end of the exchange, which is bounded. Cancel-safe.
    pub(super) async fn wait(&self) -> Result<Channel, NoChannel> {
        let mut exchanged = self.exchanged.clone();
        let ended = exchanged.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        ended.unwrap_or(Err(NoChannel::Failed(transport::peer::PeerError::Cut)))
    }
}

/// What the exchange on a new connection needs, and where it says how it ended.
pub(super) struct NewConnection {
    pub(super) entry: Entry,
    pub(super) accepted: oneshot::Receiver<Stream>,
    pub(super) exchanged: watch::Sender<Exchanged>,
}

/// All connections.
#[derive(Default)]
pub(super) struct Connections(Mutex<HashMap<ConnectionId, Known>>);

struct Known {
    entry: Entry,
    /// Where the stream goes on which the peer exchanges identities; one for each connection.
    accept: Option<oneshot::Sender<Stream>>,
}

impl Connections {
    /// The entry of a connection, and what its exchange needs if it is a new one.
    pub(super) fn enter(&self, connection: &Connection, now: Timestamp) -> Result<Entry, NewConnection> {
        let mut known = self.known();
        if let Some(known) = known.get(&connection.id()) {
            return Ok(known.entry.clone());
        }
        let ((accept, accepted), (exchanged, ended)) = (oneshot::channel(), watch::channel(None));
        let entry = Entry { connection: connection.clone(), connected_at: now, exchanged: ended };
        known.insert(connection.id(), Known { entry: entry.clone(), accept: Some(accept) });
        Err(NewConnection { entry, accepted, exchanged })
    }

    /// Hands over the stream on which a peer exchanges identities. Any but the first one is reset.
    pub(super) fn accept(&self, connection: ConnectionId, stream: Stream) {
        let accept = self.known().get_mut(&connection).and_then(|known| known.accept.take());
        if let Some(accept) = accept {
            // Nobody waits any more: the stream is reset by being dropped.
            let _ = accept.send(stream);
        }
    }

    /// Forgets a connection that is closed.
    pub(super) fn leave(&self, connection: ConnectionId) {
        self.known().remove(&connection);
    }

    pub(super) fn all(&self) -> Vec<Entry> {
        self.known().values().map(|known| known.entry.clone()).collect()
    }

    /// The best open connection of a peer that has a channel, or else one that may get one.
    pub(super) fn best(&self, peer: &PeerId) -> Option<Entry> {
        let unknown = std::time::Duration::MAX;
        let of_peer = self.all().into_iter().filter(|entry| entry.connection.peer() == *peer && entry.may_serve());
        of_peer.min_by_key(|Entry { connection, exchanged, .. }| {
            let is_running = exchanged.borrow().is_none();
            (is_running, connection.path(), connection.latency().unwrap_or(unknown))
        })
    }

    /// Whether a peer has a connection with a channel by a better path than this one.
    pub(super) fn has_better(&self, than: &Connection) -> bool {
        let path = than.path();
        path != PathKind::Lan
            && self.best(&than.peer()).is_some_and(|best| best.connection.path() < path && best.channel().is_some())
    }

    /// An open connection through a relay to a peer, if there is one with a channel.
    pub(super) fn relayed(&self, peer: &PeerId) -> Option<(Connection, Channel)> {
        let of_peer = self.all().into_iter().filter(|entry| entry.connection.peer() == *peer && entry.may_serve());
        let mut relayed = of_peer.filter(|entry| entry.connection.path() == PathKind::Relayed);
        relayed.find_map(|entry| entry.channel().map(|channel| (entry.connection, channel)))
    }

    /// The best connection of each peer that has a channel.
    pub(super) fn best_of_each(&self) -> Vec<(Entry, Channel)> {
        let mut peers: Vec<PeerId> = self.all().iter().map(|entry| entry.connection.peer()).collect();
        peers.sort_unstable();
        peers.dedup();
        let best = peers.iter().filter_map(|peer| self.best(peer));
        best.filter_map(|entry| entry.channel().map(|channel| (entry, channel))).collect()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ConnectionId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
