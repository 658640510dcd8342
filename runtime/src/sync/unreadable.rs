//! The modifications that this device cannot read, remembered so that each is reported once.
//!
//! A modification that cannot be read is reported when it is first listed. It is requested again a few times
//! ([`super::plan::Misses`]) and then given up. Most are before the position of this device by then and never listed again.
//! At the end of the log they are always listed, because the position advances only to payloads that open. There they are
//! not opened again while no other modification follows the position and each is unchanged.
//!
//! Another version of the program may support more, so it reads the log once more from the first modification that was given
//! up. The key of an identity never changes, so there is no newer key to try.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use transport::wire::backbone::datawallet::Modification;

use super::digest::digest_of;

/// The version of this program.
pub(super) const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// Modifications that are remembered, about twenty bytes each. At this number further ones are not reported, and each
/// synchronization tries to open those at the end of the log.
const MAX_SEEN: usize = 1000;

/// What could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unreadable {
    /// The version of the program that could not read them; none while there are none.
    pub(super) program: Option<String>,
    /// The first index that was given up.
    pub(super) first_given_up: Option<u64>,
    /// Fingerprints of those that are still listed, by index. At most [`MAX_SEEN`].
    seen: BTreeMap<u64, u64>,
}

impl Unreadable {
    /// Empty, for this version of the program.
    pub(super) fn of_this_program() -> Self {
        Self { program: Some(PROGRAM.to_owned()), ..Self::default() }
    }

    /// Whether a modification is known to be unreadable and is listed unchanged.
    pub(super) fn has(&self, entry: &Modification) -> bool {
        self.seen.get(&entry.index) == Some(&fingerprint(entry))
    }

    /// Whether the user was told of a modification.
    pub(super) fn is_reported(&self, entry: &Modification) -> bool {
        self.has(entry) || self.seen.len() >= MAX_SEEN
    }

    /// Remembers a modification that could not be read.
    pub(super) fn note(&mut self, entry: &Modification) {
        if self.seen.len() < MAX_SEEN || self.seen.contains_key(&entry.index) {
            self.seen.insert(entry.index, fingerprint(entry));
        }
    }

    /// Forgets those that are not requested again, because they are not after `settled`, and those after `end`, where the
    /// log ends if that is known.
    pub(super) fn prune(&mut self, settled: Option<u64>, end: Option<u64>) {
        let is_in_log = |index: u64| end.is_none_or(|end| index <= end);
        self.seen.retain(|index, _| settled.is_none_or(|settled| *index > settled) && is_in_log(*index));
        self.first_given_up = self.first_given_up.filter(|first| is_in_log(*first));
        self.program = Some(PROGRAM.to_owned()).filter(|_| !self.is_empty());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first_given_up.is_none() && self.seen.is_empty()
    }
}

/// The first bytes of the digest of a modification. A collision only keeps a modification from being opened, which a
/// backbone can achieve for any modification by withholding it.
fn fingerprint(entry: &Modification) -> u64 {
    let digest = digest_of(entry);
    digest.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::plan::tests::found;

    fn entry(index: u64, payload: &str) -> Modification {
        found(index, "DVCabcdefghijklmno12", payload)
    }

    #[test]
    fn a_changed_modification_is_not_known() {
        let mut unreadable = Unreadable::default();
        unreadable.note(&entry(5, "a"));
        assert!(unreadable.has(&entry(5, "a")));
        assert!(!unreadable.has(&entry(5, "b")) && !unreadable.has(&entry(6, "a")));
        unreadable.note(&entry(5, "b"));
        assert!(unreadable.has(&entry(5, "b")) && !unreadable.has(&entry(5, "a")));
    }

    #[test]
    fn max_seen_are_remembered_and_no_more() {
        let mut unreadable = Unreadable::default();
        let count = MAX_SEEN as u64;
        for index in 1..count {
            unreadable.note(&entry(index, "a"));
        }
        assert!(!unreadable.is_reported(&entry(count, "a")));
        unreadable.note(&entry(count, "a"));
        unreadable.note(&entry(count + 1, "a"));
        assert_eq!(unreadable.seen.len(), MAX_SEEN);
        assert!(unreadable.has(&entry(count, "a")) && !unreadable.has(&entry(count + 1, "a")));
        assert!(unreadable.is_reported(&entry(count + 1, "a")), "so events do not repeat");
        unreadable.note(&entry(1, "b"));
        assert!(unreadable.has(&entry(1, "b")), "its place is there already");
    }

    #[test]
    fn what_is_never_listed_again_is_forgotten() {
        let mut unreadable = Unreadable { first_given_up: Some(2), ..Unreadable::default() };
        (2..7).for_each(|index| unreadable.note(&entry(index, "a")));
        unreadable.prune(Some(3), None);
        assert_eq!(unreadable.seen.keys().copied().collect::<Vec<_>>(), [4, 5, 6]);
        unreadable.prune(Some(3), Some(5));
        assert_eq!(unreadable.seen.keys().copied().collect::<Vec<_>>(), [4, 5]);
        assert_eq!((unreadable.first_given_up, unreadable.program.as_deref()), (Some(2), Some(PROGRAM)));
        unreadable.prune(Some(0), Some(1));
        assert_eq!(unreadable, Unreadable::default(), "a log that never had it");
    }
}
