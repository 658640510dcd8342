//! What happened, for the API, the command line and tests alike.

use tokio::sync::broadcast;
use transport::wire::{FileId, TokenId};

use crate::dto;

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
    /// Somebody presented a wrong ownership token; claims are refused until it is regenerated.
    FileOwnershipLocked(Box<dto::File>),
    /// Somebody else owns the file now.
    FileOwnershipClaimed(Box<dto::File>),
    /// A token was created, ephemeral or not.
    TokenCreated(Box<dto::Token>),
    /// A peer's token was loaded.
    PeerTokenLoaded(Box<dto::Token>),
    /// A token was removed.
    TokenDeleted(TokenId),
    /// Too many wrong passwords were tried on a token of ours.
    TokenLocked(TokenId),
    /// That many changes by other devices could not be read, because they are damaged or the backbone put them in another
    /// place; they are missing here. The log names them. Each is reported once, and once more after an update of the program.
    DatawalletUnreadable(usize),
    /// A change by another device was refused, because it contradicts what never changes: the backbone put it under the label
    /// of this object, or that device is broken. The object stays as it is.
    DatawalletChangeRefused {
        /// The collection of the object.
        collection: String,
        /// The object.
        id: String,
        /// The property that would have got another value.
        property: &'static str,
    },
    /// The backbone does not have what this device knows to be in the datawallet: it was set back to an older state, or lost
    /// or withholds modifications. The datawallet is read from its start.
    DatawalletBehind,
    /// The datawallet was synchronized.
    DatawalletSynchronized,
}

/// Receives [`Event`]s. A receiver that falls more than 1024 events behind loses the oldest and is told so.
pub type EventReceiver = broadcast::Receiver<Event>;

/// Events kept for slow receivers.
const CAPACITY: usize = 1024;

/// Sends events to whoever listens; nobody listening is fine.
#[derive(Debug, Clone)]
pub(crate) struct EventBus(broadcast::Sender<Event>);

impl EventBus {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(CAPACITY).0)
    }

    pub(crate) fn publish(&self, event: Event) {
        // The only error is that nobody listens.
        let _ = self.0.send(event);
    }

    pub(crate) fn subscribe(&self) -> EventReceiver {
        self.0.subscribe()
    }
}
