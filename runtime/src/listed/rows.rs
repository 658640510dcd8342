//! Rows in memory, with what finds them by id, file, label, creation and expiry.

mod label_walks;
mod times;
mod walks;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use slab::Slab;
use transport::wire::Timestamp;

use self::times::{Tree, creation, expiry};
use super::labels::ByLabel;
use super::row::{Row, RowId};
use crate::core::TokenAccess;

/// Where a row is among all rows.
pub(super) type Slot = usize;

/// The rows of a list. Each is once in each of these, if it has what that is about.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Side by side, because a list that no index helps looks at all of them: memory that is read in its order comes many times as fast.
    rows: Slab<Row>,
    by_id: HashMap<RowId, Slot>,
    /// By files of the protocol. Rows share these ids, so that they stay in the cache of the processor while rows are compared.
    by_file: HashMap<Arc<str>, BTreeSet<Slot>>,
    by_label: ByLabel,
    by_creation: Tree,
    by_expiry: Tree,
    /// Those on files in buckets, by their numbers: in the order of creation.
    by_number: BTreeMap<u64, Slot>,
    /// The same by their buckets, files and numbers.
    by_bucket_file: BTreeMap<(u64, u64, u64), Slot>,
    /// Those that change with the time, by when.
    changing: BTreeSet<(Timestamp, RowId)>,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds a row, or replaces the one of the same token.
    pub(super) fn put(&mut self, mut row: Row) {
        self.remove(&row.id);
        let entry = self.rows.vacant_entry();
        let slot = entry.key();
        if let Some(file) = &mut row.file {
            if let Some((shared, _)) = self.by_file.get_key_value(&**file) {
                *file = shared.clone();
            }
            self.by_file.entry(file.clone()).or_default().insert(slot);
        }
        if let Some(of) = &row.bucket_file {
            self.by_number.insert(of.number, slot);
            self.by_bucket_file.insert((of.bucket, of.file, of.number), slot);
        }
        self.by_label.insert(&mut row, slot);
        self.by_creation.insert(creation(&row), slot);
        self.by_expiry.insert(expiry(&row), slot);
        self.changing.extend(change(&row));
        self.by_id.insert(row.id.clone(), slot);
        entry.insert(row);
    }

    pub(super) fn remove(&mut self, id: &RowId) {
        let Some(slot) = self.by_id.remove(id) else { return };
        let row = self.rows.remove(slot);
        self.by_label.remove(&row, slot);
        self.by_creation.remove(&creation(&row));
        self.by_expiry.remove(&expiry(&row));
        if let Some(change) = change(&row) {
            self.changing.remove(&change);
        }
        if let Some(of) = &row.bucket_file {
            self.by_number.remove(&of.number);
            self.by_bucket_file.remove(&(of.bucket, of.file, of.number));
        }
        if let Some(file) = &row.file
            && let Some(slots) = self.by_file.get_mut(file)
        {
            slots.remove(&slot);
            if slots.is_empty() {
                self.by_file.remove(file);
            }
        }
    }

    /// Rows that may not be as they were, although nothing was stored.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = &RowId> {
        self.changing.iter().take_while(move |(at, _)| *at <= now).map(|(_, id)| id)
    }

    /// Whether a row does not show one of these uses.
    pub(super) fn lack(&self, accesses: &BTreeMap<u64, TokenAccess>) -> bool {
        let shows =
            |row: &Row, access: &TokenAccess| row.accessed_at >= Some(access.at) && row.uncounted >= access.uncounted;
        accesses
            .iter()
            .any(|(number, access)| self.by_number.get(number).is_some_and(|slot| !shows(self.at(*slot), access)))
    }

    /// Shows these uses, unless a row already shows later ones: whoever has asked for them may have been overtaken. What is counted of
    /// a token, and when it was used last, never gets less, and no index is about it.
    pub(super) fn note(&mut self, accesses: &BTreeMap<u64, TokenAccess>) {
        for (number, access) in accesses {
            if let Some(slot) = self.by_number.get(number) {
                let row = &mut self.rows[*slot];
                row.accessed_at = row.accessed_at.max(Some(access.at));
                row.uncounted = row.uncounted.max(access.uncounted);
            }
        }
    }

    fn at(&self, slot: Slot) -> &Row {
        &self.rows[slot]
    }
}

fn change(row: &Row) -> Option<(Timestamp, RowId)> {
    row.changes_at.map(|at| (at, row.id.clone()))
}

#[cfg(test)]
mod tests {
    use super::super::row::BucketFile;
    use super::super::tests::row;
    use super::*;
    use crate::storage::Notify;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_unix_milliseconds(milliseconds)
    }

    #[test]
    fn rows_share_the_ids_of_their_files_and_their_labels() {
        let mut rows = Rows::default();
        for number in 0..3 {
            rows.put(Row { file: Some("FIL00000000000000001".into()), label: Some("for Ada".into()), ..row(number) });
        }
        for texts in [|row: &Row| row.file.clone(), |row: &Row| row.label.clone()] {
            let texts: Vec<_> = rows.rows.iter().filter_map(|(_, row)| texts(row)).collect();
            assert_eq!(texts.len(), 3);
            assert!(texts.iter().all(|text| Arc::ptr_eq(text, &texts[0])));
        }
    }

    #[test]
    fn what_is_removed_leaves_nothing() {
        let mut rows = Rows::default();
        let (time, file) = (Some(at(1)), Some("FIL00000000000000001".into()));
        let bucket_file = Some(BucketFile { number: 1, bucket: 2, file: 3, notify: Notify::None });
        let full = Row { file, bucket_file, expires_at: time, changes_at: time, ..row(1) };
        let lengths = |rows: &Rows| {
            let of_times = [rows.by_creation.len(), rows.by_expiry.len(), rows.changing.len()];
            let of_files = [rows.by_file.len(), rows.by_number.len(), rows.by_bucket_file.len()];
            ([rows.rows.len(), rows.by_id.len(), rows.by_label.len()], of_files, of_times)
        };
        rows.put(full.clone());
        assert_eq!(lengths(&rows), ([1; 3], [1; 3], [1, 1, 1]));
        rows.put(Row { file: None, bucket_file: None, expires_at: None, changes_at: None, created_at: at(9), ..full });
        assert_eq!(lengths(&rows), ([1; 3], [0; 3], [1, 1, 0]));
        rows.remove(&row(1).id);
        rows.remove(&row(1).id);
        assert_eq!(lengths(&rows), ([0; 3], [0; 3], [0, 0, 0]));
    }
}
