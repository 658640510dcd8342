//! The changes of pending commits, which are not in the index yet. A commit built on earlier ones has to see them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use crate::commit::Commit;
use crate::queue::Ticket;

/// The latest pending value of each key that pending commits change.
#[derive(Debug, Default)]
pub(crate) struct Overlay(RwLock<BTreeMap<Vec<u8>, Submitted>>);

#[derive(Debug, Clone)]
struct Submitted {
    ticket: Ticket,
    /// `None` for a removal.
    value: Option<Arc<[u8]>>,
}

impl Overlay {
    /// Adds the changes of the commit with this ticket.
    pub(crate) fn add(&self, commit: &Commit, ticket: Ticket) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for entry in commit.entries() {
            let value = entry.value.clone().map(|range| Arc::from(&commit.body()[range]));
            keys.insert(commit.body()[entry.key.clone()].to_vec(), Submitted { ticket, value });
        }
    }

    /// Removes the changes of a commit, except those that a later commit has replaced.
    pub(crate) fn remove(&self, commit: &Commit, ticket: Ticket) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for entry in commit.entries() {
            let key = &commit.body()[entry.key.clone()];
            if keys.get(key).is_some_and(|submitted| submitted.ticket == ticket) {
                keys.remove(key);
            }
        }
    }

    /// The pending value of a key, or `Some(None)` for a pending removal; `None` if no change is pending.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Arc<[u8]>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).map(|submitted| submitted.value.clone())
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// The pending changes to keys in `from..until`.
    pub(crate) fn range(&self, from: &[u8], until: Option<&[u8]>) -> BTreeMap<Vec<u8>, Option<Arc<[u8]>>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let bounds = (Bound::Included(from), until.map_or(Bound::Unbounded, Bound::Excluded));
        keys.range::<[u8], _>(bounds).map(|(key, submitted)| (key.clone(), submitted.value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(changes: &[(&[u8], Option<&[u8]>)]) -> Commit {
        let mut commit = Commit::new();
        for (key, value) in changes {
            match value {
                Some(value) => commit.put(key, value).unwrap(),
                None => commit.remove(key).unwrap(),
            }
        }
        commit
    }

    #[test]
    fn removing_an_earlier_commit_keeps_the_changes_of_a_later_one() {
        let overlay = Overlay::default();
        let (first, second) = (commit(&[(b"a", Some(b"1")), (b"b", Some(b"1"))]), commit(&[(b"a", None)]));
        overlay.add(&first, 1);
        overlay.add(&second, 2);
        overlay.remove(&first, 1);
        assert_eq!(overlay.get(b"a"), Some(None));
        assert_eq!(overlay.get(b"b"), None);
        overlay.remove(&second, 2);
        assert!(!overlay.contains(b"a"));
    }

    #[test]
    fn a_range_excludes_its_end() {
        let overlay = Overlay::default();
        overlay.add(&commit(&[(b"a", Some(b"1")), (b"b", None), (b"c", Some(b"3"))]), 1);
        assert_eq!(overlay.range(b"a", Some(b"c")).into_keys().collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(overlay.range(b"b", None).len(), 2);
    }
}
