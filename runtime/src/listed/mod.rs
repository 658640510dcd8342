//! The tokens of a node as rows of one list, of both kinds, which queries filter and order.
//!
//! # Contract
//!
//! - A list shows what is stored when it is asked for: what was acknowledged before is on it. [`Watch`] names what may have changed, and
//!   that is read again before each list, as is what is known and not stored yet. What changes with the time is computed for each list, or
//!   read again when it may have changed.
//! - Rows are in memory from the first list on, at most [`MAX_ROWS`]; of more tokens none is kept, and each list reads the store.
//! - In memory or not, the same queries have the same answer.
//! - A row has no key, no content and no reference.

mod labels;
mod page;
mod row;
mod rows;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use query::SelectionError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use transport::wire::Timestamp;

use crate::core::TokenAccess;
use crate::store::{Name, Store, Touched, Watch, Watched, collection, token_values};
use crate::{Error, Result};

pub(crate) use self::page::Found;
use self::page::Selecting;
pub(crate) use self::row::{BucketFile, Row, RowId, schema};
use self::rows::Rows;
pub use self::search::FileTokenQueries;
#[cfg(test)]
pub(crate) use self::search::MAX_DELETED;
pub(crate) use self::search::Search;

/// Most rows in memory, 600 to 800 bytes each with what finds them: up to some 150 MB.
pub(crate) const MAX_ROWS: usize = 200_000;

/// Searches at a time; more wait. Each takes a thread, for up to a second if its queries are as costly as they can be.
pub(crate) const MAX_SEARCHES: usize = 4;

/// All of which rows are made.
const WATCHED: [Watched; 9] = [
    Watched::Objects(collection::TOKENS),
    Watched::Values(token_values::REVOCATION),
    Watched::Values(token_values::SETTINGS),
    Watched::Values(token_values::FILE_TOKEN),
    Watched::Values(token_values::FILE_TOKEN_ID),
    Watched::Values(token_values::FILE_TOKEN_USES),
    Watched::Values(token_values::FILE_TOKEN_ACCESS),
    Watched::Values(token_values::BUCKET),
    Watched::Values(token_values::BUCKET_FILE),
];

/// Rows in memory, and what they lack.
#[derive(Debug)]
pub(crate) struct Listed {
    watch: Arc<Watch>,
    rows: RwLock<Kept>,
    most: usize,
    places: Arc<Semaphore>,
}

/// What is in memory.
#[derive(Debug)]
enum Kept {
    /// All rows, as they were when the watch was asked last.
    Rows(Box<Rows>),
    /// Nothing: there are too many, or they could not be read.
    Nothing,
}

/// Which rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of both kinds.
    All,
    /// Those on files in buckets.
    BucketFiles,
    /// Those on one file, by the numbers of its bucket and of itself.
    BucketFile(u64, u64),
}

/// Where rows are read from.
pub(crate) trait ReadRows {
    /// Shows all rows of a scope as long as `visit` returns true: those on files in buckets in the order of their numbers, others in any order.
    ///
    /// # Errors
    /// The store cannot be read.
    fn all(&self, of: Scope, visit: &mut dyn FnMut(Row) -> bool) -> Result<()>;

    /// One row; none if there is no such token.
    ///
    /// # Errors
    /// The store cannot be read.
    fn one(&self, id: &RowId) -> Result<Option<Row>>;

    /// The tokens whose rows may change with something that is watched.
    ///
    /// # Errors
    /// The store cannot be read.
    fn touched(&self, name: &Name) -> Result<Vec<RowId>>;

    /// The last uses that are known and not stored yet, by the numbers of tokens on files in buckets.
    fn pending(&self) -> BTreeMap<u64, TokenAccess>;
}

impl Listed {
    /// Nothing is read before the first list.
    pub(crate) fn new(store: &Store) -> Self {
        Self::keeping(store, MAX_ROWS)
    }

    fn keeping(store: &Store, most: usize) -> Self {
        let (rows, places) = (RwLock::new(Kept::Nothing), Arc::new(Semaphore::new(MAX_SEARCHES)));
        Self { watch: store.watch(&WATCHED), rows, most, places }
    }

    /// Waits for a place for a search, which is held until the search has ended.
    pub(crate) async fn place(&self) -> OwnedSemaphorePermit {
        self.places.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Reads all rows anew for the next list.
    #[cfg(test)]
    pub(crate) fn forget(&self) {
        self.watch.fall_behind();
    }

    /// Whether the next list reads all rows anew.
    #[cfg(test)]
    pub(crate) fn is_behind(&self) -> bool {
        self.watch.is_behind()
    }

    /// Searches all rows as they are now. Blocks the thread: for a few milliseconds, but the first time for as long as it takes to read
    /// all tokens, and each time if there are more than [`MAX_ROWS`].
    ///
    /// # Errors
    /// [`ListError::Refused`] for a cursor that names no token, and for a list that reaches too far or takes too long; those of reading.
    pub(crate) fn search(&self, source: &impl ReadRows, search: &Search) -> Result<Found, ListError> {
        if let Kept::Rows(rows) = &*self.current(source, search.now)? {
            return Ok(rows.search(search)?);
        }
        self.search_unkept(source, search)
    }

    /// What is in memory, after what may have changed was read.
    fn current(&self, source: &impl ReadRows, now: Timestamp) -> Result<RwLockReadGuard<'_, Kept>> {
        let read = || self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let pending = source.pending();
        let is_behind = match &*read() {
            Kept::Rows(rows) => rows.due(now).next().is_some() || rows.lack(&pending),
            Kept::Nothing => false,
        };
        if is_behind || !self.watch.is_quiet() {
            let mut kept = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = self.refresh(&mut kept, source, now, &pending) {
                self.watch.fall_behind();
                return Err(error);
            }
        }
        Ok(read())
    }

    fn refresh(
        &self,
        kept: &mut Kept,
        source: &impl ReadRows,
        now: Timestamp,
        pending: &BTreeMap<u64, TokenAccess>,
    ) -> Result<()> {
        // Nothing stays unless all that was named is read: lists that waited for this one answer from what it leaves.
        let before = std::mem::replace(kept, Kept::Nothing);
        match (self.watch.take(), before) {
            (Touched::Names(_), Kept::Nothing) => {}
            (Touched::Names(names), Kept::Rows(mut rows)) => {
                let mut ids: BTreeSet<RowId> = rows.due(now).cloned().collect();
                for name in &names {
                    ids.extend(source.touched(name)?);
                }
                for id in ids {
                    match source.one(&id)? {
                        Some(row) => rows.put(row),
                        None => rows.remove(&id),
                    }
                }
                rows.note(pending);
                if rows.len() <= self.most {
                    *kept = Kept::Rows(rows);
                }
            }
            (Touched::Everything, before) => {
                // Before others are read, so that both are never in memory.
                drop(before);
                let mut rows = Box::<Rows>::default();
                source.all(Scope::All, &mut |row| {
                    rows.put(row);
                    rows.len() <= self.most
                })?;
                if rows.len() <= self.most {
                    *kept = Kept::Rows(rows);
                }
            }
        }
        Ok(())
    }

    /// The same over rows that are read now, no more of them than the list needs. If a list that reads all finds that they have become few
    /// enough, the next one keeps them.
    fn search_unkept(&self, source: &impl ReadRows, search: &Search) -> Result<Found, ListError> {
        let cursor = search.cursors().iter().find_map(|id| source.one(id).transpose()).transpose()?;
        let mut selecting = Selecting::new(search, cursor.filter(|row| search.is_of_list(row)))?;
        let (scope, is_in_order) = (search.scope(), search.is_in_order_of_numbers());
        let (mut count, mut offered) = (0, Ok(()));
        source.all(scope, &mut |row| {
            count += 1;
            offered = selecting.offer(row);
            offered.is_ok() && !(is_in_order && selecting.is_settled())
        })?;
        offered?;
        if scope == Scope::All && count <= self.most {
            self.watch.fall_behind();
        }
        Ok(selecting.finish())
    }
}

/// A list cannot be made.
#[derive(Debug)]
pub(crate) enum ListError {
    /// Of what it asks for.
    Refused(SelectionError),
    /// Tokens cannot be read.
    Node(Error),
}

impl From<SelectionError> for ListError {
    fn from(error: SelectionError) -> Self {
        Self::Refused(error)
    }
}

impl From<Error> for ListError {
    fn from(error: Error) -> Self {
        Self::Node(error)
    }
}

impl From<ListError> for Error {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Refused(error) => Self::InvalidPropertyValue(error.to_string()),
            ListError::Node(error) => error,
        }
    }
}

#[cfg(test)]
mod tests;
