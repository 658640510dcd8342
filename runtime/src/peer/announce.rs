//! Tells the app who is connected and how: each change once, in order.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use swarm::ConnectionId;
use transport::peer::PeerId;

use super::network::Shared;
use super::view;
use crate::event::{Event, EventBus};

/// What the app was told: the connection by which each peer is reached best.
pub(super) struct Announced {
    events: EventBus,
    told: Mutex<HashMap<PeerId, ConnectionId>>,
}

impl Announced {
    pub(super) fn new(events: EventBus) -> Self {
        Self { events, told: Mutex::default() }
    }

    /// Tells what is new about a peer: after an exchange of identities, or after a connection has ended.
    pub(super) fn update(&self, shared: &Shared, peer: &PeerId) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let best = shared.connections.best(peer).filter(|entry| entry.channel().is_some());
        let before = match &best {
            Some(entry) => told.insert(*peer, entry.connection.id()),
            None => told.remove(peer),
        };
        let now = shared.time.now().time;
        match (before, best) {
            (None, Some(entry)) => self.events.publish(Event::PeerConnected(Box::new(view::peer(&entry, now)))),
            (Some(before), Some(entry)) if before != entry.connection.id() => {
                self.events.publish(Event::PeerPathChanged(Box::new(view::peer(&entry, now))));
            }
            (Some(_), None) => self.events.publish(Event::PeerDisconnected { id: peer.to_base58() }),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    /// Tells that the best connection of a peer takes another path, or leads to another address.
    pub(super) fn path_changed(&self, shared: &Shared, peer: &PeerId, connection: ConnectionId) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(peer) == Some(&connection)
            && let Some(entry) = shared.connections.best(peer)
        {
            let peer = view::peer(&entry, shared.time.now().time);
            self.events.publish(Event::PeerPathChanged(Box::new(peer)));
        }
    }
}
