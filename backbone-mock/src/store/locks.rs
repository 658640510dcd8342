//! Locks by name, in bounded memory.
//!
//! Names are spread over a fixed number of mutexes. Two names may share one; that costs waiting, never correctness,
//! because everything one step needs is taken at once and in one order.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

const STRIPES: usize = 512;

/// A lock that is held. Not tied to the store, because it outlives the request that took it: until its commit took effect.
pub(super) type Guard = OwnedMutexGuard<()>;

/// A set of locks.
pub(super) struct Stripes {
    locks: Vec<Arc<Mutex<()>>>,
    // Seeded per process, so that nobody can choose names that fall together.
    hasher: RandomState,
}

impl Stripes {
    pub(super) fn new() -> Self {
        Self { locks: (0..STRIPES).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }

    /// Locks all `names`. Must not be called while holding locks of the same set.
    pub(super) async fn lock(&self, names: &[&str]) -> Vec<Guard> {
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
