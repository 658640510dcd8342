//! Pages of the lists of buckets and files, with queries.

use query::{NullBesideCursor, Paging, Selection};
use tracing::instrument;
use transport::crypto::random;

use super::list::List;
use super::storage::StorageFacade;
use crate::blocking::blocking;
use crate::dto::{Bucket, BucketFile};
use crate::storage::{Caller, Find, Found, Listable, StorageError, StorageResult};

impl StorageFacade {
    /// A page of the list of all buckets, which is in the order of their creation unless queries say otherwise.
    ///
    /// # Errors
    /// [`StorageError::List`] for a cursor that names no bucket, and for a list that reaches too far or takes too long.
    #[instrument(skip_all)]
    pub async fn find_buckets(&self, find: Find<Bucket>) -> StorageResult<Found<Bucket>> {
        let storage = self.clone();
        self.page_of(self.buckets(), find, move |id| storage.bucket(id)).await
    }

    /// The same of the files in a bucket that the caller may read.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::BucketNotFound`], [`StorageError::NotPermitted`], and those of
    /// [`find_buckets`](Self::find_buckets).
    #[instrument(skip_all)]
    pub async fn find_bucket_files(
        &self,
        caller: Caller,
        bucket: &str,
        find: Find<BucketFile>,
    ) -> StorageResult<Found<BucketFile>> {
        let (storage, files, bucket) = (self.clone(), self.bucket_files(caller, bucket)?, bucket.to_owned());
        self.page_of(files, find, move |id| storage.bucket_file(caller, &bucket, id)).await
    }

    /// The page that is asked for. `get` reads the record that a cursor names.
    async fn page_of<T: Listable>(
        &self,
        records: List<T>,
        find: Find<T>,
        get: impl FnOnce(&str) -> StorageResult<T> + Send + 'static,
    ) -> StorageResult<Found<T>> {
        let ceiling = find.is_counted.then_some(self.node.core.config.storage.max_total);
        // All records may have to be looked at.
        blocking(move || page_now(records, &find, ceiling, get)).await
    }
}

fn page_now<T: Listable>(
    mut records: List<T>,
    find: &Find<T>,
    ceiling: Option<u64>,
    get: impl FnOnce(&str) -> StorageResult<T>,
) -> StorageResult<Found<T>> {
    let seed = u64::from_le_bytes(random::bytes());
    let paging = Paging { ceiling, null_beside_cursor: NullBesideCursor::Refuse, seed };
    let list = find.queries.list();
    let cursor = match list.cursor.as_ref().map(|cursor| get(&cursor.id)) {
        None => None,
        Some(Err(error @ StorageError::Node(_))) => return Err(error),
        // There is none, as far as the caller may know.
        Some(found) => found.ok(),
    };
    let mut selection = Selection::in_order_of_creation(list, paging, cursor)?;
    let is_in_order = list.orders.is_empty();
    'pages: while let Some(page) = records.next_page_blocking()? {
        for record in page.into_iter().filter(|record| record.is_found_by(&find.search)) {
            selection.offer(record)?;
            if is_in_order && selection.is_settled() {
                break 'pages;
            }
        }
    }
    let page = selection.finish();
    Ok(Found { records: page.records, total: page.total })
}
