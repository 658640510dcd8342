//! How far this device is, kept in the store.

use serde::{Deserialize, Serialize};
use transport::crypto::SecretKey;
use transport::crypto::hash::Sha512Hash;
use transport::wire::Timestamp;
use transport::wire::backbone::datawallet::{Modification, NewModification};

use super::unreadable::{PROGRAM, Unreadable};
use crate::store::{Batch, Store};
use crate::{Error, Result};

/// Most modifications in one push.
const MAX_COUNT: usize = 500;
/// Approximate maximum of sealed payload bytes in one push; the backbone accepts bodies of 20 MiB.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Position in the datawallet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Newest index whose payload opened, or that a push of this device was acknowledged for; none before the first one. Later
    /// modifications are requested again. An index without a payload that opens is only a claim of the backbone: if this device
    /// accepted it, a very high one would end synchronization.
    pub(super) index: Option<u64>,
    /// Digest of the modification at the index, to detect that the backbone replaced it; none in stores of version 0.1.
    #[serde(default, rename = "mark")]
    pub(super) digest: Option<Sha512Hash>,
    /// The first modification that could not be read, while it is still requested again.
    #[serde(default)]
    pub(super) missed: Option<Missed>,
    /// Up to this index, modifications that cannot be read are neither requested again nor reported.
    #[serde(default)]
    pub(super) given_up: Option<u64>,
    /// The modifications that could not be read, so that each is reported once.
    #[serde(default)]
    pub(super) unreadable: Unreadable,
    /// Newest index that the backbone listed. The next push continues there; nothing else relies on it.
    #[serde(default)]
    pub(super) listed: Option<u64>,
    /// Up to this index a pull that started before [`index`](Self::index) has applied the log again, while it has not
    /// reached the newer modifications: until then, older states are stored in place of newer ones.
    #[serde(default)]
    pub(super) reread: Option<u64>,
    /// Whether the identity is known to have a datawallet.
    pub(super) datawallet_exists: bool,
    /// The push that is not acknowledged; an answer or the log decides whether the backbone accepted it.
    pub(super) in_flight: Option<InFlight>,
}

/// A modification that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Missed {
    /// Its index.
    pub(super) index: u64,
    /// Number of pulls in which it could not be read.
    pub(super) attempts: u32,
    /// Last index of the log when it was first missed: what is missed up to there is given up together with it.
    #[serde(default)]
    pub(super) upto: u64,
    /// Number of pulls that still read the log from its start because of it: another part of the object that it creates is
    /// missing, and that part may be anywhere before it, listed under another object if the device that sealed it used no
    /// label.
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
    pub(super) fn advance(&mut self, index: u64, digest: Sha512Hash) {
        if self.index.is_none_or(|known| known <= index) {
            (self.index, self.digest) = (Some(index), Some(digest));
        }
    }

    /// Up to this index nothing in the log is new or requested again.
    pub(super) fn settled(&self) -> Option<u64> {
        let settled = match self.missed {
            Some(missed) if missed.from_start > 0 => None,
            Some(missed) => missed.index.checked_sub(1).min(self.index),
            None => self.index,
        };
        // `None`, nothing is settled, is less than any index.
        if self.reread.is_some() { settled.min(self.reread) } else { settled }
    }

    /// Notes up to which index a pull that started after `settled` has applied the log again.
    pub(super) fn note_reread(&mut self, settled: Option<u64>, is_last: bool) {
        let is_reread = settled < self.index && self.listed < self.index && !is_last;
        self.reread = self.listed.filter(|_| is_reread);
    }

    /// Whether a section has only modifications that were given up, unchanged. With any other one, all of it is read: an
    /// object of which a part is damaged must not be treated as complete.
    pub(super) fn is_settled(&self, section: &[Modification]) -> bool {
        let is_given_up = |entry: &Modification| self.given_up.is_some_and(|given_up| entry.index <= given_up);
        section.iter().all(|entry| is_given_up(entry) && self.unreadable.has(entry))
    }

    /// The log is requested after this index, so that the answer has the modification at the position, or later ones instead.
    pub(super) fn asks_behind(&self) -> Option<u64> {
        self.settled().min(self.index.and_then(|index| index.checked_sub(1)))
    }

    /// The position of a device that knows nothing of the log yet.
    pub(super) fn start_over(self) -> Self {
        let unreadable = Unreadable::default();
        Self { index: None, digest: None, missed: None, given_up: None, unreadable, listed: None, reread: None, ..self }
    }

    /// The position while a pull runs. A pull from the start of the log counts even if it never reaches the end.
    pub(super) fn started(mut self) -> Self {
        if let Some(missed) = &mut self.missed {
            missed.from_start = missed.from_start.saturating_sub(1);
        }
        self
    }

    /// The position from which this program continues: what another version of it gave up is requested again.
    pub(super) fn resumed(self) -> Self {
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

/// Seals the oldest changes for the indices from `first_index` on; none if there are none.
pub(super) fn seal_next(store: &Store, key: &SecretKey, first_index: u64) -> Result<Option<InFlight>> {
    let mut modifications = Vec::new();
    let mut journal_end = None;
    let mut bytes = 0;
    for (index, (sequence, change)) in (first_index..).zip(store.unpushed(MAX_COUNT)?) {
        let sealed = change.seal(key, index).map_err(|error| Error::Unknown(error.to_string()))?;
        bytes += sealed.encrypted_payload.as_ref().map_or(0, |payload| payload.0.len() * 4 / 3);
        if bytes > MAX_BYTES && !modifications.is_empty() {
            break;
        }
        modifications.push(sealed);
        journal_end = Some(sequence);
    }
    Ok(journal_end.map(|journal_end| InFlight { first_index, modifications, journal_end }))
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
