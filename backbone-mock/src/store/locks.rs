//! Locks by name, in bounded memory.
//!
//! Names are spread over a fixed number of mutexes. Two names may share one; that costs waiting, never correctness,
//! because everything one step needs is taken at once and in one order.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

const STRIPES: usize = 512;

/// A set of locks.
pub(super) struct Stripes {
    locks: Vec<Mutex<()>>,
    // Seeded per process, so that nobody can choose names that fall together.
    hasher: RandomState,
}

impl Stripes {
    pub(super) fn new() -> Self {
        Self { locks: (0..STRIPES).map(|_| Mutex::new(())).collect(), hasher: RandomState::new() }
    }

    /// Locks all `names`. Must not be called while holding locks of the same set.
    pub(super) async fn lock(&self, names: &[&str]) -> Vec<MutexGuard<'_, ()>> {
        let stripes: BTreeSet<usize> = names.iter().map(|name| self.stripe(name)).collect();
        let mut guards = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            guards.push(self.locks[stripe].lock().await);
        }
        guards
    }

    fn stripe(&self, name: &str) -> usize {
        usize::try_from(self.hasher.hash_one(name) % STRIPES as u64).expect("smaller than the number of stripes")
    }
}
