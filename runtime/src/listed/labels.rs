//! Rows in the order of their labels.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use query::Direction;

use super::row::Row;
use super::rows::Slot;

/// Where the rows with each label are; those without one come first.
#[derive(Debug, Default)]
pub(super) struct ByLabel(BTreeSet<Labelled>);

/// One row, by its label. 24 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labelled {
    label: Option<Arc<str>>,
    slot: u32,
    is_in_bucket: bool,
}

impl Labelled {
    fn new(row: &Row, slot: Slot) -> Self {
        let slot = u32::try_from(slot).expect("there are far fewer rows");
        Self { label: row.label.clone(), slot, is_in_bucket: row.bucket_file.is_some() }
    }

    pub(super) fn slot(&self) -> Slot {
        self.slot as Slot
    }

    /// Whether it is for a token on a file in a bucket.
    pub(super) fn is_in_bucket(&self) -> bool {
        self.is_in_bucket
    }

    pub(super) fn has_label_of(&self, other: &Self) -> bool {
        let is_shared = |one: &Arc<str>, other: &Arc<str>| Arc::ptr_eq(one, other) || one == other;
        match (&self.label, &other.label) {
            (Some(one), Some(other)) => is_shared(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl ByLabel {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a row. Rows share their labels, so that these stay in the cache of the processor, and take memory once.
    pub(super) fn insert(&mut self, row: &mut Row, slot: Slot) {
        let first = Labelled { slot: 0, is_in_bucket: false, ..Labelled::new(row, slot) };
        if let Some(known) = self.0.range(&first..).next().filter(|known| known.has_label_of(&first)) {
            row.label = known.label.clone();
        }
        self.0.insert(Labelled::new(row, slot));
    }

    pub(super) fn remove(&mut self, row: &Row, slot: Slot) {
        self.0.remove(&Labelled::new(row, slot));
    }

    /// All rows, the least labels first or last.
    pub(super) fn in_order(&self, direction: Direction) -> Box<dyn Iterator<Item = &Labelled> + '_> {
        match direction {
            Direction::Ascending => Box::new(self.0.iter()),
            Direction::Descending => Box::new(self.0.iter().rev()),
        }
    }

    /// The rows with the label of this one, and those that follow in a direction; and separately all others.
    pub(super) fn from<'a>(
        &'a self,
        row: &Row,
        direction: Direction,
    ) -> [Box<dyn Iterator<Item = &'a Labelled> + 'a>; 2] {
        let first = Labelled { slot: 0, is_in_bucket: false, ..Labelled::new(row, 0) };
        let last = Labelled { slot: u32::MAX, is_in_bucket: true, label: first.label.clone() };
        match direction {
            Direction::Ascending => [Box::new(self.0.range(&first..)), Box::new(self.0.range(..first))],
            Direction::Descending => {
                let others = (Bound::Excluded(last.clone()), Bound::Unbounded);
                [Box::new(self.0.range(..=last).rev()), Box::new(self.0.range(others))]
            }
        }
    }
}
