//! When file tokens were used last, until that is on disk.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use transport::wire::Timestamp;

/// What is remembered of the uses of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenAccess {
    /// The last one.
    pub(crate) at: Timestamp,
    /// How many there were that nothing had to be promised for.
    pub(crate) uncounted: u64,
}

/// Uses that are not on disk yet, by the number of the token: no more than there are tokens.
#[derive(Debug, Default)]
pub(crate) struct TokenAccesses(Mutex<BTreeMap<u64, TokenAccess>>);

impl TokenAccesses {
    /// What is not on disk of a token; it counts instead of what is.
    pub(crate) fn pending(&self, number: u64) -> Option<TokenAccess> {
        self.lock().get(&number).copied()
    }

    /// Notes a use. `stored` reads what is on disk, and is asked if nothing is pending. Returns what was known before, and whether this
    /// is the first that is pending of any token.
    ///
    /// As long as the time that is known is not older than `granularity`, it stays.
    pub(crate) fn note<E>(
        &self,
        number: u64,
        at: Timestamp,
        granularity: Duration,
        uncounted: u64,
        stored: impl FnOnce() -> Result<Option<TokenAccess>, E>,
    ) -> Result<(Option<TokenAccess>, bool), E> {
        let mut pending = self.lock();
        let was_empty = pending.is_empty();
        let before = match pending.get(&number) {
            Some(before) => Some(*before),
            None => stored()?,
        };
        let known = before.map_or(0, |before| before.uncounted);
        let recent = before.map(|before| before.at).filter(|before| at < before.saturating_add(granularity));
        let access = TokenAccess { at: recent.unwrap_or(at), uncounted: known.saturating_add(uncounted) };
        if before == Some(access) {
            return Ok((before, false));
        }
        pending.insert(number, access);
        Ok((before, was_empty))
    }

    /// All that is pending.
    pub(crate) fn all(&self) -> BTreeMap<u64, TokenAccess> {
        self.lock().clone()
    }

    /// These are on disk. What was noted since then is still pending.
    pub(crate) fn written(&self, written: &BTreeMap<u64, TokenAccess>) {
        self.lock().retain(|number, access| written.get(number) != Some(access));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, TokenAccess>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn what_is_noted_while_it_is_written_stays_pending() {
        let accesses = TokenAccesses::default();
        let time = Timestamp::from_unix_milliseconds;
        let stored = || Ok::<_, Infallible>(Some(TokenAccess { at: time(1), uncounted: 5 }));
        let (before, was_empty) = accesses.note(7, time(2), Duration::ZERO, 1, stored).unwrap();
        assert_eq!((before.unwrap().at, was_empty), (time(1), true));
        let (_, was_empty) = accesses.note(8, time(2), Duration::ZERO, 0, || Ok::<_, Infallible>(None)).unwrap();
        assert!(!was_empty);
        let written = accesses.all();
        let (before, _) = accesses.note(7, time(3), Duration::ZERO, 1, || Err("not asked")).unwrap();
        assert_eq!(before.unwrap(), TokenAccess { at: time(2), uncounted: 6 });
        accesses.written(&written);
        assert_eq!(accesses.pending(7), Some(TokenAccess { at: time(3), uncounted: 7 }));
        assert_eq!(accesses.pending(8), None);
        accesses.written(&accesses.all());
        assert!(accesses.all().is_empty());
        assert!(accesses.note(7, time(4), Duration::ZERO, 0, || Err::<Option<TokenAccess>, _>("broken")).is_err());
        assert!(accesses.all().is_empty());
    }

    #[test]
    fn a_time_stays_until_it_is_as_old_as_the_granularity() {
        let accesses = TokenAccesses::default();
        let time = Timestamp::from_unix_milliseconds;
        let granularity = Duration::from_millis(10);
        let note = |at: i64, uncounted| {
            let (_, is_first) =
                accesses.note(7, time(at), granularity, uncounted, || Ok::<_, Infallible>(None)).unwrap();
            (accesses.pending(7).unwrap(), is_first)
        };
        let access = |at: i64, uncounted| TokenAccess { at: time(at), uncounted };
        assert_eq!(note(100, 0), (access(100, 0), true));
        assert_eq!(note(109, 0), (access(100, 0), false));
        assert_eq!(note(109, 1), (access(100, 1), false), "uses are counted all the same");
        assert_eq!(note(110, 0), (access(110, 1), false));
        // What is on disk is not written again.
        accesses.written(&accesses.all());
        let stored = || Ok::<_, Infallible>(Some(access(110, 1)));
        let (before, is_first) = accesses.note(7, time(119), granularity, 0, stored).unwrap();
        assert_eq!((before, is_first, accesses.pending(7)), (Some(access(110, 1)), false, None));
    }
}
