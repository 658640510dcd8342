//! Locks and notifications for implementations that serve a single process.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::contract::{LockSpace, Notifications, Receiver};
use crate::notifications::Notification;

const STRIPES: usize = 512;

/// A held lock. It is owned, because it outlives its request until the commit has taken effect.
pub(super) type Guard = OwnedMutexGuard<()>;

/// Locks by name, in bounded memory, for each space.
pub(super) struct Locks {
    records: Stripes,
    identities: Stripes,
}

impl Locks {
    pub(super) fn new() -> Self {
        Self { records: Stripes::new(), identities: Stripes::new() }
    }

    /// Locks all `names`. Must not be called while holding locks of the same space.
    pub(super) async fn lock(&self, space: LockSpace, names: &[&str]) -> Vec<Guard> {
        match space {
            LockSpace::Records => self.records.lock(names).await,
            LockSpace::Identities => self.identities.lock(names).await,
        }
    }
}

/// A fixed number of mutexes, to which names are hashed. Names that share one wait for each other, which is correct, because all
/// locks of one step are acquired together in one order.
struct Stripes {
    locks: Vec<Arc<Mutex<()>>>,
    // Seeded per process, so that clients cannot choose names that share a mutex.
    hasher: RandomState,
}

impl Stripes {
    fn new() -> Self {
        Self { locks: (0..STRIPES).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }

    async fn lock(&self, names: &[&str]) -> Vec<Guard> {
        let stripes: BTreeSet<usize> = names.iter().map(|name| self.stripe(name)).collect();
        let mut guards = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            guards.push(self.locks[stripe].clone().lock_owned().await);
        }
        guards
    }

    fn stripe(&self, name: &str) -> usize {
        usize::try_from(self.hasher.hash_one(name) % STRIPES as u64).expect("smaller than the number of stripes")
    }
}

/// Notifications within this process.
#[derive(Default)]
pub(super) struct LocalNotifications(RwLock<Vec<Receiver>>);

impl LocalNotifications {
    /// Sends notifications to all receivers.
    pub(super) fn send(&self, notifications: &[Notification]) {
        let receivers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for notification in notifications {
            receivers.iter().for_each(|receive| receive(notification));
        }
    }
}

impl Notifications for LocalNotifications {
    fn subscribe(&self, receiver: Receiver) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(receiver);
    }
}
