//! What the rendezvous server of this process does, counted for its operator.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use libp2p::PeerId;
use libp2p::rendezvous::Namespace;
use libp2p::rendezvous::server::Event;

/// What the rendezvous server of this process does, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RendezvousMetrics {
    /// Registrations that were made and have not ended.
    pub registrations: u64,
    /// Registrations that were made since the start, renewals included.
    pub registrations_accepted: u64,
    /// Registrations that were refused since the start.
    pub registrations_refused: u64,
    /// Lookups that were answered since the start, whether they found anybody or not.
    pub lookups_accepted: u64,
    /// Lookups that were refused since the start.
    pub lookups_refused: u64,
}

#[derive(Debug, Default)]
pub(crate) struct RendezvousCounters {
    /// Those that have not ended: as many as [`RendezvousLimits::registrations`](crate::RendezvousLimits::registrations) at most.
    registered: Mutex<HashSet<(PeerId, Namespace)>>,
    registrations_accepted: AtomicU64,
    registrations_refused: AtomicU64,
    lookups_accepted: AtomicU64,
    lookups_refused: AtomicU64,
}

impl RendezvousCounters {
    pub(crate) fn count(&self, event: Event) {
        let counter = match event {
            // A renewal is told as a registration is.
            Event::PeerRegistered { peer, registration } => {
                self.registered().insert((peer, registration.namespace));
                &self.registrations_accepted
            }
            Event::PeerUnregistered { peer, namespace } => {
                self.registered().remove(&(peer, namespace));
                return;
            }
            Event::RegistrationExpired(registration) => {
                self.registered().remove(&(registration.record.peer_id(), registration.namespace));
                return;
            }
            Event::PeerNotRegistered { .. } => &self.registrations_refused,
            Event::DiscoverServed { .. } => &self.lookups_accepted,
            Event::DiscoverNotServed { .. } => &self.lookups_refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn metrics(&self) -> RendezvousMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RendezvousMetrics {
            registrations: self.registered().len() as u64,
            registrations_accepted: read(&self.registrations_accepted),
            registrations_refused: read(&self.registrations_refused),
            lookups_accepted: read(&self.lookups_accepted),
            lookups_refused: read(&self.lookups_refused),
        }
    }

    fn registered(&self) -> MutexGuard<'_, HashSet<(PeerId, Namespace)>> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
