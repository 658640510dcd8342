//! Events of a node.

use tokio::sync::broadcast;
use transport::wire::{Address, FileId, TokenId};

use crate::dto;
use crate::peer::Path;
use crate::storage::{ContentUse, StorageId};

/// Something a node did or learned.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A file of this identity was uploaded.
    FileUploaded(Box<dto::File>),
    /// A peer's file became known.
    PeerFileLoaded(Box<dto::File>),
    /// A file was removed here (and, if it was ours, at the backbone).
    FileDeleted(FileId),
    /// Another identity presented a wrong ownership token; claims are refused until it is regenerated.
    FileOwnershipLocked(Box<dto::File>),
    /// Another identity owns the file now.
    FileOwnershipClaimed(Box<dto::File>),
    /// A token was created, ephemeral or not.
    TokenCreated(Box<dto::Token>),
    /// A peer's token was loaded.
    PeerTokenLoaded(Box<dto::Token>),
    /// All of the content of a file was sent to a peer, in one request or in several, since this node was started. Whether it has arrived only the peer
    /// knows. A use of a token is told once for each identity, or peer without one, that names it; one that names no use is told of each time it was sent
    /// all. Of many transfers at once some are forgotten: of such a one it may be told twice, or not at all.
    FileServed {
        /// The file.
        file: FileId,
        /// The token by which it was asked for, if it was not asked for by its own id.
        token: Option<TokenId>,
        /// The identity that the peer has proven.
        by: Option<Address>,
        /// Bytes of the content: the size of the file.
        bytes: u64,
    },
    /// A file of this machine that is [shared directly](crate::facade::FilesFacade::share_directly) has changed or is gone, so peers get
    /// nothing more of it. It is noticed when somebody asks for it, perhaps several times at the same time.
    SharedFileLost(FileId),
    /// The content of a file in a bucket is sent to somebody who presented a file token, and whose owner wanted to know
    /// ([`Notify`](crate::storage::Notify)).
    FileTokenUsed {
        /// The file token.
        token: StorageId,
        /// The bucket of its file.
        bucket: StorageId,
        /// Its file.
        file: StorageId,
        /// What for.
        used_as: ContentUse,
    },
    /// A token was removed.
    TokenDeleted(TokenId),
    /// An own token has another expiry.
    TokenChanged(Box<dto::Token>),
    /// An own token was used more often than was known before, and this identity wants to be told ([`dto::Notify`]). A node notices it
    /// when it asks the backbone for the terms of the token.
    TokenUsed {
        /// The token.
        token: Box<dto::Token>,
        /// Uses so far, those included that are open.
        uses: u32,
        /// Uses that are left; none without a limit.
        remaining: Option<u32>,
    },
    /// An own token was revoked.
    TokenRevoked(Box<dto::Token>),
    /// An own token was locked after too many wrong passwords.
    TokenLocked(TokenId),
    /// That many changes by other devices could not be read and are missing here, because they are damaged or listed at
    /// another index. The log names them. Each is reported once, and again after an update of the program.
    DatawalletUnreadable(usize),
    /// A change by another device was refused, because it would change an immutable property: the backbone listed it under
    /// this object instead of its own, or that device is faulty. The object is unchanged.
    DatawalletChangeRefused {
        /// The collection of the object.
        collection: String,
        /// The object.
        id: String,
        /// The property that would have got another value.
        property: &'static str,
    },
    /// The backbone lacks modifications that this device has read or pushed: it was restored to an older state, lost them,
    /// or withholds them. The datawallet is read from its start.
    DatawalletBehind,
    /// The datawallet was synchronized.
    DatawalletSynchronized,
    /// A peer is connected, and has proven an identity or is a stranger.
    PeerConnected(Box<dto::Peer>),
    /// The last connection to a peer has ended.
    PeerDisconnected {
        /// Its peer id, in base58.
        id: String,
    },
    /// A peer is reached by another path or at another address than before.
    PeerPathChanged(Box<dto::Peer>),
    /// Bytes of a file were wrong, so they were not used, and the path by which they came is left for this file. If another one
    /// is there, the transfer goes on by it.
    PathDropped {
        /// The file.
        file: FileId,
        /// By which path they came, if it was found out.
        path: Option<Path>,
        /// The peer that sent them, in base58; none if it was a backbone, or if it is not known which one of several devices that a token names
        /// it was, as with a token or metadata that do not open.
        peer: Option<String>,
    },
}

/// Receives [`Event`]s. A receiver that falls more than 1024 events behind loses the oldest and is told so.
pub type EventReceiver = broadcast::Receiver<Event>;

/// Events kept for slow receivers.
const CAPACITY: usize = 1024;

/// Sends events to all receivers, if there are any.
#[derive(Debug, Clone)]
pub(crate) struct EventBus(broadcast::Sender<Event>);

impl EventBus {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(CAPACITY).0)
    }

    pub(crate) fn publish(&self, event: Event) {
        // The only error is that there is no receiver.
        let _ = self.0.send(event);
    }

    pub(crate) fn subscribe(&self) -> EventReceiver {
        self.0.subscribe()
    }
}
