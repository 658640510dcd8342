//! How far this device is, kept in the store.

use serde::{Deserialize, Serialize};
use transport::crypto::hash::Sha512Hash;
use transport::wire::Timestamp;
use transport::wire::backbone::datawallet::{Modification, NewModification};

use super::unreadable::{PROGRAM, Unreadable};
use crate::Result;
use crate::store::{Batch, Store};

/// Position in the datawallet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Newest index whose payload opened, or that a push of this device was acknowledged for; none before the first one. What
    /// follows it is asked for again. An index that nobody with the key sealed anything for is only the backbone's word: were
    /// it believed, a far-off one would end synchronization.
    pub(super) index: Option<u64>,
    /// What the modification there is known by, so that another one in its place is noticed; none in stores of version 0.1.
    #[serde(default)]
    pub(super) mark: Option<Sha512Hash>,
    /// The first modification that could not be read, while it may still come in a readable form.
    #[serde(default)]
    pub(super) missed: Option<Missed>,
    /// Up to where modifications that cannot be read are not waited for any more, nor reported.
    #[serde(default)]
    pub(super) given_up: Option<u64>,
    /// What could not be read, so that it is reported once.
    #[serde(default)]
    pub(super) unreadable: Unreadable,
    /// Newest index that the backbone named. The next push continues there; nothing else relies on it.
    #[serde(default)]
    pub(super) listed: Option<u64>,
    /// Up to where a pull that began before [`index`](Self::index) has applied the log again, while it has not reached what is newer:
    /// older states are stored in place of newer ones until it does.
    #[serde(default)]
    pub(super) reread: Option<u64>,
    /// Whether the identity is known to have a datawallet.
    pub(super) datawallet_exists: bool,
    /// What is being pushed; its fate is unknown until an answer or the log tells.
    pub(super) in_flight: Option<InFlight>,
}

/// A modification that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Missed {
    /// Its index.
    pub(super) index: u64,
    /// How often it was read in vain.
    pub(super) attempts: u32,
    /// How far the log was read when it was missed first: what is missed up to there is given up together with it.
    #[serde(default)]
    pub(super) upto: u64,
    /// How many pulls are still to read the log from its start for it: it makes an object of which another part is missing, and
    /// that part may be anywhere before it, under another label if the device that sealed it used none.
    #[serde(default)]
    pub(super) from_start: u32,
}

/// Modifications as they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InFlight {
    /// Index the first one was sealed for.
    pub(super) first_index: u64,
    /// In order.
    pub(super) modifications: Vec<NewModification>,
    /// Sequence number of the last one in the store's journal.
    pub(super) journal_end: u64,
}

impl Position {
    const NAME: &str = "SyncPosition";

    pub(super) fn load(store: &Store) -> Result<Self> {
        Ok(store.value(Self::NAME)?.unwrap_or_default())
    }

    pub(super) fn put(&self, batch: &mut Batch) -> Result<()> {
        batch.put_value(Self::NAME, self)?;
        Ok(())
    }

    /// The index that the next modification of this device will get.
    pub(super) fn next_index(&self) -> u64 {
        self.newest().map_or(0, |index| index.saturating_add(1))
    }

    /// As the backbone wants it told: -1 for none.
    pub(super) fn local_index(&self) -> i64 {
        self.newest().and_then(|index| i64::try_from(index).ok()).unwrap_or(-1)
    }

    fn newest(&self) -> Option<u64> {
        self.listed.or(self.index)
    }

    /// Notes a modification that is known to be in the log; older ones than the newest say nothing new.
    pub(super) fn advance(&mut self, index: u64, mark: Sha512Hash) {
        if self.index.is_none_or(|known| known <= index) {
            (self.index, self.mark) = (Some(index), Some(mark));
        }
    }

    /// Up to where nothing in the log is new or worth another attempt.
    pub(super) fn settled(&self) -> Option<u64> {
        let settled = match self.missed {
            Some(missed) if missed.from_start > 0 => None,
            Some(missed) => missed.index.checked_sub(1).min(self.index),
            None => self.index,
        };
        if self.reread.is_some() { settled.min(self.reread) } else { settled }
    }

    /// Notes up to where a pull has applied the log again that began behind `settled`.
    pub(super) fn note_reread(&mut self, settled: Option<u64>, is_last: bool) {
        let is_reread = settled < self.index && self.listed < self.index && !is_last;
        self.reread = self.listed.filter(|_| is_reread);
    }

    /// Whether a stretch has nothing but what was given up, in the same form. With anything else in it, all of it is read: an
    /// object of which a part is damaged must not be taken for complete.
    pub(super) fn is_settled(&self, stretch: &[Modification]) -> bool {
        let is_given_up = |entry: &Modification| self.given_up.is_some_and(|given_up| entry.index <= given_up);
        stretch.iter().all(|entry| is_given_up(entry) && self.unreadable.has(entry))
    }

    /// Behind which index to ask for the log, so that the modification at the position is in the answer, or later ones instead.
    pub(super) fn asks_behind(&self) -> Option<u64> {
        self.settled().min(self.index.and_then(|index| index.checked_sub(1)))
    }

    /// The position of a device that knows nothing of the log yet.
    pub(super) fn start_over(self) -> Self {
        let unreadable = Unreadable::default();
        Self { index: None, mark: None, missed: None, given_up: None, unreadable, listed: None, reread: None, ..self }
    }

    /// The position while a pull is under way. A pull from the start of a log that never reaches its end counts as well.
    pub(super) fn begun(mut self) -> Self {
        if let Some(missed) = &mut self.missed {
            missed.from_start = missed.from_start.saturating_sub(1);
        }
        self
    }

    /// The position as this program goes on from it: what another version of it gave up is missed again.
    pub(super) fn taken_up(self) -> Self {
        let given_up = self.unreadable.first_given_up;
        let is_own = self.unreadable.program.as_deref() == Some(PROGRAM);
        if is_own || self.given_up.is_none() && self.unreadable.is_empty() {
            return self;
        }
        let upto = |index| self.given_up.unwrap_or(index);
        let again = given_up.map(|index| Missed { index, attempts: 0, upto: upto(index), from_start: 0 });
        let missed = [again, self.missed].into_iter().flatten().min_by_key(|missed| missed.index);
        Self { missed, given_up: None, unreadable: Unreadable::of_this_program(), ..self }
    }
}

/// Notes that the identity has a datawallet already: another device made it.
pub(crate) fn expect_datawallet(batch: &mut Batch) -> Result<()> {
    Position { datawallet_exists: true, ..Position::default() }.put(batch)
}

/// When synchronizations ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SyncTimes {
    /// Everything, external events included.
    pub(crate) everything: Option<Timestamp>,
    /// The datawallet alone.
    pub(crate) datawallet: Option<Timestamp>,
}

impl SyncTimes {
    const NAME: &str = "SyncInfo";

    pub(crate) fn load(store: &Store) -> Result<Self> {
        Ok(store.value(Self::NAME)?.unwrap_or_default())
    }

    pub(super) fn put(&self, batch: &mut Batch) -> Result<()> {
        batch.put_value(Self::NAME, self)?;
        Ok(())
    }
}
