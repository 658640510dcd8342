//! One lock for each of any number of keys.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError, Weak};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Locks by key. A key that nobody holds or waits for takes no memory after the next call.
#[derive(Debug)]
pub(crate) struct KeyedLocks<K>(SyncMutex<HashMap<K, Weak<Mutex<()>>>>);

/// The lock of a key, until it is dropped.
#[derive(Debug)]
pub(crate) struct KeyGuard {
    _guard: OwnedMutexGuard<()>,
}

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        Self(SyncMutex::default())
    }
}

impl<K: Eq + Hash> KeyedLocks<K> {
    /// Waits until nobody else holds the key. Cancel-safe.
    pub(crate) async fn hold(&self, key: K) -> KeyGuard {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| lock.strong_count() > 0);
            let known = locks.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::default();
                locks.insert(key, Arc::downgrade(&lock));
                lock
            })
        };
        KeyGuard { _guard: lock.lock_owned().await }
    }

    /// Whether somebody holds the key or waits for it.
    pub(crate) fn is_held(&self, key: &K) -> bool {
        let locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.get(key).is_some_and(|lock| lock.strong_count() > 0)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_holds_a_key_and_none_are_left() {
        let locks = KeyedLocks::default();
        let first = locks.hold("a").await;
        let second = locks.hold("a");
        tokio::pin!(second);
        assert!((&mut second).now_or_never().is_none());
        let other = locks.hold("b").now_or_never().unwrap();
        assert!(locks.is_held(&"a") && locks.is_held(&"b"));
        drop((first, other));
        drop(second.await);
        assert!(!locks.is_held(&"a"));
        drop(locks.hold("c").await);
        assert_eq!(locks.0.lock().unwrap().len(), 1);
    }
}
