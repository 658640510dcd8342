//! The page of a list, made of rows that are shown one by one.

use std::borrow::Borrow;

use query::{Selection, SelectionError};
use transport::wire::Timestamp;

use super::row::{Row, Seen};
use super::search::Search;
use crate::dto::ListedToken;

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Found {
    rows: Vec<Row>,
    /// How many rows match, up to the ceiling.
    pub(crate) total: u64,
    now: Timestamp,
}

/// A search that is shown rows, which it borrows or owns.
pub(super) struct Selecting<'s, R: Borrow<Row>> {
    pub(super) selection: Selection<'s, Seen<R>>,
    search: &'s Search,
}

impl<'s, R: Borrow<Row>> Selecting<'s, R> {
    /// `cursor` is the row that the cursor names.
    pub(super) fn new(search: &'s Search, cursor: Option<R>) -> Result<Self, SelectionError> {
        let cursor = cursor.map(|row| Seen { row, now: search.now });
        Ok(Self { selection: Selection::in_order_of_creation(&search.list, search.paging, cursor)?, search })
    }

    pub(super) fn offer(&mut self, row: R) -> Result<(), SelectionError> {
        if !self.search.admits(row.borrow()) {
            return Ok(());
        }
        self.selection.offer(self.seen(row))
    }

    pub(super) fn seen(&self, row: R) -> Seen<R> {
        Seen { row, now: self.search.now }
    }

    /// Whether rows that follow in the order of the list change nothing.
    pub(super) fn is_settled(&self) -> bool {
        self.selection.is_settled()
    }

    pub(super) fn finish(self) -> Found {
        let page = self.selection.finish();
        let rows = page.records.into_iter().map(|seen| seen.row.borrow().clone()).collect();
        Found { rows, total: page.total, now: self.search.now }
    }
}

impl Found {
    /// The tokens in the order of the list.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = ListedToken> + '_ {
        self.rows.iter().map(|row| row.to_dto(self.now))
    }

    /// Their ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> + '_ {
        self.rows.iter().map(|row| row.id.as_str())
    }
}
