//! Lists: what matches in a collection, page by page, in memory that does not depend on how much there is.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;
use transport::wire::Id;

use crate::blocking::joined;
use crate::core::Core;
use crate::logging::short;
use crate::query::Query;
use crate::store::{Record, Walk};
use crate::{Error, Result};

/// A list that is read page by page.
///
/// At most two pages are in memory: the one that was handed out, and the next one, which is read meanwhile. A page is at
/// most 512 records and ends with the record that brings it to 64 KiB.
///
/// A list begins with its first page. What is stored from its beginning to its end is on it exactly once, in the order in
/// which it became known. What is removed meanwhile may be on it; what is added after the beginning is not.
///
/// A list keeps the node's store open until it is dropped.
pub struct List<T> {
    state: State<T>,
}

/// Some of a list, and whether there is more.
pub(crate) struct Page<T> {
    /// Called by whoever gets the page, while the next one is read. Takes a fraction of a millisecond.
    pub(crate) items: Box<dyn FnOnce() -> Vec<T> + Send>,
    pub(crate) has_more: bool,
}

type Source<T> = Box<dyn FnMut() -> Result<Page<T>> + Send>;

enum State<T> {
    Idle(Source<T>),
    Reading(JoinHandle<(Source<T>, Result<Page<T>>)>),
    Ended,
}

impl<T: Send + 'static> List<T> {
    /// A list whose pages `source` reads. It may block.
    pub(crate) fn new(source: impl FnMut() -> Result<Page<T>> + Send + 'static) -> Self {
        Self { state: State::Idle(Box::new(source)) }
    }

    /// The stored objects of a collection that match, each turned into what users see by `show`.
    ///
    /// One damaged record does not hide all others: it is left out, with a warning.
    pub(crate) fn of_objects<I: Id, R: DeserializeOwned>(
        core: Arc<Core>,
        collection: &'static str,
        query: Query,
        show: impl Fn(I, R) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        let show = Arc::new(show);
        let members = query.members();
        let mut walk: Option<Walk> = None;
        Self::new(move || {
            let walk = match &mut walk {
                Some(walk) => walk,
                none => none.insert(core.store.walk_where(collection, &query.required_texts())?),
            };
            let records = core.store.page(walk, &members, |object| query.matches(object))?;
            let show = show.clone();
            let read = move |record: &Record| {
                let (id, properties) = record.read()?;
                show(id, properties)
            };
            let shown = move |record: Record| {
                let leave_out = |error: &Error| {
                    let id = record.id().unwrap_or_default();
                    warn!(collection, id = short(&id), %error, "left out of a list");
                };
                read(&record).inspect_err(leave_out).ok()
            };
            let items = Box::new(move || records.into_iter().filter_map(shown).collect());
            Ok(Page { items, has_more: walk.has_more() })
        })
    }

    /// The next page; none after the last one. A page may be empty, for instance if nothing on it matched.
    ///
    /// Cancel-safe: a page that nobody waited for comes with the next call.
    ///
    /// # Errors
    /// [`crate::Error::Store`] if the store cannot be read. The list has ended then.
    pub async fn next_page(&mut self) -> Result<Option<Vec<T>>> {
        self.read_ahead();
        let State::Reading(task) = &mut self.state else { return Ok(None) };
        let (source, page) = joined(task).await;
        self.state = State::Ended;
        let Page { items, has_more } = page?;
        if has_more {
            self.state = State::Idle(source);
            self.read_ahead();
        }
        Ok(Some(items()))
    }

    /// As [`next_page`](Self::next_page), for a thread that may block. Pages are not read ahead.
    ///
    /// # Errors
    /// As [`next_page`](Self::next_page).
    ///
    /// # Panics
    /// In async code, and outside of the async runtime if [`next_page`](Self::next_page) was called before.
    pub fn next_page_blocking(&mut self) -> Result<Option<Vec<T>>> {
        let mut source = match std::mem::replace(&mut self.state, State::Ended) {
            State::Idle(source) => source,
            State::Ended => return Ok(None),
            other => {
                self.state = other;
                return Handle::current().block_on(self.next_page());
            }
        };
        let Page { items, has_more } = source()?;
        if has_more {
            self.state = State::Idle(source);
        }
        Ok(Some(items()))
    }

    /// Whether there is another page.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !matches!(self.state, State::Ended)
    }

    /// Everything at once. Takes memory for all of it.
    ///
    /// # Errors
    /// [`crate::Error::Store`] if the store cannot be read.
    pub async fn collect(mut self) -> Result<Vec<T>> {
        let mut all = Vec::new();
        while let Some(mut page) = self.next_page().await? {
            all.append(&mut page);
        }
        Ok(all)
    }

    fn read_ahead(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Idle(mut source) => State::Reading(spawn_blocking(move || {
                let page = source();
                (source, page)
            })),
            other => other,
        };
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::store::StoreError;

    /// A list of `pages` pages of one number each, and how many of them were read.
    fn numbered(pages: usize) -> (List<usize>, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let counter = read.clone();
        let list = List::new(move || {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            Ok(Page { items: Box::new(move || vec![number]), has_more: number + 1 < pages })
        });
        (list, read)
    }

    #[tokio::test]
    async fn nothing_is_read_before_it_is_asked_for_and_one_page_ahead_after_that() {
        let (mut list, read) = numbered(100);
        assert_eq!(read.load(Ordering::SeqCst), 0);
        for number in 0..50 {
            assert_eq!(list.next_page().await.unwrap(), Some(vec![number]));
            assert!(read.load(Ordering::SeqCst) <= number + 2);
        }
        assert_eq!(list.collect().await.unwrap(), (50..100).collect::<Vec<_>>());
        assert_eq!(read.load(Ordering::SeqCst), 100);
    }

    #[tokio::test]
    async fn a_thread_that_may_block_reads_no_page_ahead_and_goes_on_where_async_code_was() {
        let (mut list, read) = numbered(3);
        let blocking = |mut list: List<usize>| async {
            tokio::task::spawn_blocking(move || (list.next_page_blocking().unwrap(), list)).await.unwrap()
        };
        let (page, begun) = blocking(list).await;
        assert_eq!((page, read.load(Ordering::SeqCst)), (Some(vec![0]), 1));
        list = begun;
        assert_eq!(list.next_page().await.unwrap(), Some(vec![1]));
        let (page, list) = blocking(list).await;
        assert_eq!(page, Some(vec![2]));
        assert_eq!(blocking(list).await.0, None);
    }

    #[tokio::test]
    async fn a_list_ends_with_its_last_page() {
        let (mut list, read) = numbered(1);
        assert!(list.has_more());
        assert_eq!(list.next_page().await.unwrap(), Some(vec![0]));
        assert!(!list.has_more());
        assert_eq!(list.next_page().await.unwrap(), None);
        assert_eq!(read.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_page_that_nobody_waited_for_is_not_lost() {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let mut number = 0;
        let mut list = List::new(move || {
            released.recv().expect("the test sends once for each page");
            number += 1;
            let items = vec![number];
            Ok(Page { items: Box::new(|| items), has_more: number < 2 })
        });
        assert!(futures_util::FutureExt::now_or_never(list.next_page()).is_none());
        release.send(()).unwrap();
        release.send(()).unwrap();
        assert_eq!(list.collect().await.unwrap(), [1, 2]);
    }

    #[tokio::test]
    async fn an_error_ends_a_list() {
        let mut list: List<u8> = List::new(|| Err(StoreError::Damaged.into()));
        assert!(list.next_page().await.is_err());
        assert_eq!(list.next_page().await.unwrap(), None);
    }
}
