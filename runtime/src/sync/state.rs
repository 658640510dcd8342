//! How far this device is, kept in the store.

use serde::{Deserialize, Serialize};
use transport::wire::Timestamp;
use transport::wire::backbone::datawallet::NewModification;

use crate::Result;
use crate::store::{Batch, Store};

/// Position in the datawallet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Newest index that was taken over or pushed; none before the first one.
    pub(super) index: Option<u64>,
    /// Whether the identity is known to have a datawallet.
    pub(super) datawallet_exists: bool,
    /// What is being pushed; its fate is unknown until an answer or the log tells.
    pub(super) in_flight: Option<InFlight>,
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
        self.index.map_or(0, |index| index.saturating_add(1))
    }

    /// As the backbone wants it told: -1 for none.
    pub(super) fn local_index(&self) -> i64 {
        self.index.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1)
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
