//! The exchange of identities on a connection: the first thing that is said on it (specification, sections 5 and 11).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use swarm::{Connection, OpenError, Role, Stream};
use tokio::sync::oneshot;
use transport::crypto::random;
use transport::peer::{
    Channel, Conversation, Credentials, Disclosure, IDENTITY_PROTOCOL, IdentityExchange, PeerError, PeerId,
};
use transport::wire::Timestamp;

use super::certificate::Certificates;
use super::drive::{Ended, Time, exchange};
use super::removed::IsRemoved;

/// How long the exchange may take on a connection, from its begin on.
pub(super) const EXCHANGE_LIMIT: Duration = Duration::from_secs(15);

/// How long a peer may take to read why it was refused, before the connection is closed.
const REFUSAL_LIMIT: Duration = Duration::from_secs(1);

/// Closes a connection on which the exchange has failed, unless the peer does so first.
pub(super) async fn give_up(connection: &Connection) {
    let _ = tokio::time::timeout(REFUSAL_LIMIT, connection.closed()).await;
    connection.close();
}

/// Why there is no channel on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoChannel {
    /// The other side does not know the protocol. It may be a relay or another service, so the connection stays.
    Unsupported,
    /// The connection was closed before anything was heard on it, as one is that is beyond a limit of the other side.
    Unheard,
    /// The exchange failed, by which the connection ends.
    Failed(PeerError),
}

/// What this node says of itself, and whom it refuses.
pub(super) struct Identification {
    /// Nothing for a node that is a stranger to everybody.
    pub(super) certificates: Option<Certificates>,
    pub(super) disclosure: Disclosure,
    pub(super) is_removed: IsRemoved,
    pub(super) time: Time,
    /// Whether there is a connection on which this node could not prove its identity, although it has one.
    pub(super) was_stranger: AtomicBool,
}

impl Identification {
    /// Whether this node can prove its identity now, but could not on an earlier connection. Says so once.
    pub(super) fn is_stranger_no_more(&self) -> bool {
        let is_certified = |now| self.certificates.as_ref().is_some_and(|own| own.credentials(now).is_some());
        self.was_stranger.load(Ordering::Relaxed)
            && is_certified(self.time.now().time)
            && self.was_stranger.swap(false, Ordering::Relaxed)
    }

    fn credentials(&self, now: Timestamp) -> Option<Credentials> {
        let certificates = self.certificates.as_ref()?;
        let credentials = certificates.credentials(now);
        self.was_stranger.fetch_or(credentials.is_none(), Ordering::Relaxed);
        credentials
    }

    /// Exchanges identities on a connection: opens the stream for it if this node has opened the connection, else waits for
    /// it at `accepted`.
    pub(super) async fn run(
        &self,
        local: PeerId,
        connection: &Connection,
        accepted: oneshot::Receiver<Stream>,
    ) -> Result<Channel, NoChannel> {
        let run = async {
            match connection.role() {
                Role::Dialer => self.initiate([local, connection.peer()], connection).await,
                Role::Listener => self.respond([local, connection.peer()], accepted).await,
            }
        };
        let outcome = tokio::time::timeout(EXCHANGE_LIMIT, run).await;
        let outcome = outcome.unwrap_or(Err(NoChannel::Failed(PeerError::TimedOut)));
        outcome.map(|channel| channel.at(connection.host()))
    }

    /// A stream that is lost before the peer has said anything on it is replaced once.
    async fn initiate(&self, ids: [PeerId; 2], connection: &Connection) -> Result<Channel, NoChannel> {
        match self.initiate_once(ids, connection).await {
            Err(Lost::Unheard) => self.initiate_once(ids, connection).await.map_err(|lost| match lost {
                Lost::Unheard => NoChannel::Unheard,
                Lost::For(reason) => reason,
            }),
            Err(Lost::For(reason)) => Err(reason),
            Ok(channel) => Ok(channel),
        }
    }

    async fn initiate_once(&self, ids: [PeerId; 2], connection: &Connection) -> Result<Channel, Lost> {
        let stream = connection.open(IDENTITY_PROTOCOL).await.map_err(|error| match error {
            OpenError::Unsupported => Lost::For(NoChannel::Unsupported),
            OpenError::TimedOut => Lost::For(NoChannel::Failed(PeerError::TimedOut)),
            _ => Lost::Unheard,
        })?;
        let now = self.time.now();
        let credentials = self.credentials(now.time);
        let side = IdentityExchange::initiator(ids, random::bytes(), credentials, &*self.is_removed);
        let ended = exchange(stream, Conversation::new(side, now.instant), &self.time).await;
        ended.map_err(|ended| match ended {
            Ended { error: PeerError::Cut, was_heard: false } => Lost::Unheard,
            Ended { error, .. } => Lost::For(NoChannel::Failed(error)),
        })
    }

    async fn respond(&self, ids: [PeerId; 2], accepted: oneshot::Receiver<Stream>) -> Result<Channel, NoChannel> {
        let stream = accepted.await.map_err(|_| NoChannel::Failed(PeerError::Cut))?;
        let now = self.time.now();
        let credentials = self.credentials(now.time);
        let proof = credentials.map(|credentials| (credentials, self.disclosure));
        let side = IdentityExchange::responder(ids, random::bytes(), proof, &*self.is_removed);
        let ended = exchange(stream, Conversation::new(side, now.instant), &self.time).await;
        ended.map_err(|ended| NoChannel::Failed(ended.error))
    }
}

enum Lost {
    /// Nobody has answered on the stream.
    Unheard,
    For(NoChannel),
}
