//! Buckets and their files as they are stored: named values of the node's store. Nothing of them is in the datawallet, so other
//! devices and published clients see the ordinary files only.
//!
//! ```text
//! StorageState                      numbers, and how much there is
//! StorageBucket/<bucket>            a bucket, by its number
//! StorageBucketId/<id>              the number of a bucket
//! StorageUsage/<bucket>             what its files take
//! StorageGone/<bucket>              a bucket that was deleted, some of whose files are not yet
//! StorageFile/<bucket>/<file>       a file in a bucket, by their numbers
//! StorageFileId/<bucket>/<id>       the number of a file
//! StorageFileOf/<id of the node>    which entry has this ordinary file
//! StorageUpload/<file>              an unfinished upload
//! StoragePart/<file>/<part>         a part of one
//! ```
//!
//! Those of file tokens are described in `token/record.rs`. Numbers are 16 hexadecimal digits, so names are in the order of creation.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use transport::crypto::{SecretKey, compact};
use transport::wire::{ByteText, FileId, Timestamp};

pub(crate) use super::bucket::BucketRecord;
use super::bucket::{MAX_BUCKETS, MAX_FILES_OF_BUCKET};
pub(crate) use super::entry::FileEntry;
use super::{Caller, StorageError, StorageResult, token};
use crate::store::{Batch, Store, StoreError, View, token_values};

type Result<T, E = StoreError> = std::result::Result<T, E>;

const STATE: &str = "StorageState";
pub(crate) const BUCKETS: &str = token_values::BUCKET;
const BUCKET_ID: &str = "StorageBucketId/";
const USAGE: &str = "StorageUsage/";
const GONE: &str = "StorageGone/";
const FILES: &str = token_values::BUCKET_FILE;
const FILE_ID: &str = "StorageFileId/";
const FILE_OF: &str = "StorageFileOf/";
const UPLOAD: &str = "StorageUpload/";
pub(crate) const PARTS: &str = "StoragePart/";

/// What holds for all buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The next bucket or file has this number.
    next: u64,
    buckets: u64,
    /// Unfinished uploads.
    pub(crate) uploads: u64,
    /// Bytes that unfinished uploads have announced.
    pub(crate) upload_bytes: u64,
    /// File tokens.
    #[serde(default)]
    tokens: u64,
}

/// What the files of a bucket take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Files, unfinished ones included.
    pub(crate) files: u64,
    /// Bytes of complete files.
    pub(crate) bytes: u64,
}

/// An unfinished upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub(crate) bucket: u64,
    pub(crate) size: u64,
    /// When its last part came.
    pub(crate) last_at: Timestamp,
    /// A bit for each part that is here.
    received: ByteText,
    /// Who brought its first part. Nobody but those with a key adds parts to an upload that was begun with a key.
    #[serde(default = "with_key")]
    pub(crate) begun_by: Caller,
}

/// Of uploads that were begun before it was stored.
fn with_key() -> Caller {
    Caller::Key
}

/// A part of an unfinished upload that is on disk.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    /// Of its file.
    pub(crate) name: String,
    #[serde(with = "compact")]
    pub(crate) key: SecretKey,
}

impl UploadRecord {
    pub(crate) fn new(bucket: u64, size: u64, now: Timestamp, begun_by: Caller) -> Self {
        Self { bucket, size, last_at: now, received: ByteText(Vec::new()), begun_by }
    }

    /// Whether somebody may add parts.
    pub(crate) fn takes_parts_of(&self, caller: Caller) -> bool {
        caller.is_key() || !self.begun_by.is_key()
    }

    pub(crate) fn has(&self, part: u64) -> bool {
        let byte = usize::try_from(part / 8).ok().and_then(|at| self.received.0.get(at));
        byte.is_some_and(|byte| byte & (1 << (part % 8)) != 0)
    }

    /// How many parts are here.
    pub(crate) fn count(&self) -> u64 {
        self.received.0.iter().map(|byte| u64::from(byte.count_ones())).sum()
    }

    /// How many parts are here before the first one that is missing.
    pub(crate) fn leading(&self) -> u64 {
        (0..).take_while(|part| self.has(*part)).count() as u64
    }

    pub(crate) fn add(&mut self, part: u64, now: Timestamp) {
        let at = usize::try_from(part / 8).expect("the number of parts of a file on this machine fits");
        if self.received.0.len() <= at {
            self.received.0.resize(at + 1, 0);
        }
        self.received.0[at] |= 1 << (part % 8);
        self.last_at = now;
    }
}

fn numbered(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:016x}")
}

/// What the names of all entries of a bucket begin with.
pub(crate) fn files_of(bucket: u64) -> String {
    format!("{}/", numbered(FILES, bucket))
}

fn file_name(bucket: u64, number: u64) -> String {
    numbered(&files_of(bucket), number)
}

fn file_id(bucket: u64, id: &str) -> String {
    format!("{}/{id}", numbered(FILE_ID, bucket))
}

/// What the names of all parts of an upload begin with.
fn parts_of_upload(number: u64) -> String {
    format!("{}/", numbered(PARTS, number))
}

fn part_name(number: u64, part: u64) -> String {
    numbered(&parts_of_upload(number), part)
}

pub(crate) fn bucket(view: &View<'_>, id: &str) -> Result<Option<BucketRecord>> {
    let Some(number) = view.value::<u64>(&format!("{BUCKET_ID}{id}"))? else { return Ok(None) };
    bucket_at(view, number)
}

pub(crate) fn bucket_at(view: &View<'_>, number: u64) -> Result<Option<BucketRecord>> {
    view.value(&numbered(BUCKETS, number))
}

pub(crate) fn usage(view: &View<'_>, bucket: u64) -> Result<Usage> {
    Ok(view.value(&numbered(USAGE, bucket))?.unwrap_or_default())
}

pub(crate) fn file(view: &View<'_>, bucket: u64, id: &str) -> Result<Option<FileEntry>> {
    let Some(number) = view.value::<u64>(&file_id(bucket, id))? else { return Ok(None) };
    view.value(&file_name(bucket, number))
}

pub(crate) fn file_at(view: &View<'_>, bucket: u64, number: u64) -> Result<Option<FileEntry>> {
    view.value(&file_name(bucket, number))
}

/// The entry that has an ordinary file of the node.
pub(crate) fn file_of(view: &View<'_>, id: &FileId) -> Result<Option<FileEntry>> {
    let Some((bucket, number)) = view.value::<(u64, u64)>(&format!("{FILE_OF}{id}"))? else { return Ok(None) };
    view.value(&file_name(bucket, number))
}

pub(crate) fn upload(view: &View<'_>, number: u64) -> Result<Option<UploadRecord>> {
    view.value(&numbered(UPLOAD, number))
}

/// All unfinished uploads with the numbers of their files.
pub(crate) fn uploads(view: &View<'_>) -> Result<Vec<(u64, UploadRecord)>> {
    let number = |name: &str| u64::from_str_radix(name.strip_prefix(UPLOAD)?, 16).ok();
    let read = |(name, upload): (String, _)| Ok((number(&name).ok_or(StoreError::Damaged)?, upload));
    view.values(UPLOAD)?.into_iter().map(read).collect()
}

/// The parts of an upload in their order.
pub(crate) fn parts(view: &View<'_>, number: u64) -> Result<Vec<PartRecord>> {
    Ok(view.values(&parts_of_upload(number))?.into_iter().map(|(_, part)| part).collect())
}

/// Names of the files of all parts.
pub(crate) fn names_of_parts(store: &Store) -> Result<BTreeSet<String>> {
    store.values(PARTS)?.map(|part| part.map(|(_, PartRecord { name, .. })| name)).collect()
}

/// Numbers of buckets that were deleted, some of whose files are not yet.
pub(crate) fn gone(view: &View<'_>) -> Result<Vec<u64>> {
    let names = view.value_names(GONE, GONE, usize::MAX)?;
    let number = |name: &String| u64::from_str_radix(name.strip_prefix(GONE)?, 16).ok();
    names.iter().map(|name| number(name).ok_or(StoreError::Damaged)).collect()
}

/// Changes of buckets and their files, as a part of a batch. `view` is always the state that the batch changes.
#[derive(Default)]
pub(crate) struct Edit {
    state: Option<State>,
    usage: BTreeMap<u64, Usage>,
    /// Buckets that are forgotten already: what their files take is not stored again.
    forgotten: BTreeSet<u64>,
    /// Numbers of files that are removed already.
    removed: BTreeSet<u64>,
    /// Numbers of tokens that are removed although they cannot be read.
    unreadable_tokens: BTreeSet<u64>,
}

impl Edit {
    fn state(&mut self, view: &View<'_>) -> Result<&mut State> {
        let state = match self.state {
            Some(state) => state,
            None => view.value(STATE)?.unwrap_or_default(),
        };
        Ok(self.state.insert(state))
    }

    fn usage(&mut self, view: &View<'_>, bucket: u64) -> Result<&mut Usage> {
        let usage = match self.usage.get(&bucket) {
            Some(usage) => *usage,
            None => {
                if bucket_at(view, bucket)?.is_none() && view.value::<()>(&numbered(GONE, bucket))?.is_none() {
                    self.forgotten.insert(bucket);
                }
                usage(view, bucket)?
            }
        };
        Ok(self.usage.entry(bucket).insert_entry(usage).into_mut())
    }

    /// What there is with these changes.
    pub(crate) fn current(&mut self, view: &View<'_>) -> Result<State> {
        self.state(view).copied()
    }

    /// A number that nothing has had before.
    pub(crate) fn number(&mut self, view: &View<'_>) -> Result<u64> {
        let state = self.state(view)?;
        let number = state.next;
        state.next += 1;
        Ok(number)
    }

    /// How many file tokens there are with these changes.
    pub(crate) fn tokens(&mut self, view: &View<'_>) -> Result<u64> {
        Ok(self.state(view)?.tokens)
    }

    /// Counts new file tokens.
    pub(crate) fn add_tokens(&mut self, view: &View<'_>, count: u64) -> Result<()> {
        let state = self.state(view)?;
        state.tokens = state.tokens.saturating_add(count);
        Ok(())
    }

    /// Counts file tokens that are removed.
    pub(crate) fn remove_tokens(&mut self, view: &View<'_>, count: u64) -> Result<()> {
        let state = self.state(view)?;
        state.tokens = state.tokens.saturating_sub(count);
        Ok(())
    }

    /// Removes a token that cannot be read, with the end of the changes.
    pub(crate) fn remove_unreadable_token(&mut self, view: &View<'_>, number: u64) -> Result<()> {
        if self.unreadable_tokens.insert(number) {
            self.remove_tokens(view, 1)?;
        }
        Ok(())
    }

    /// Adds a bucket whose id is not in use.
    pub(crate) fn add_bucket(
        &mut self,
        view: &View<'_>,
        batch: &mut Batch,
        bucket: &BucketRecord,
    ) -> StorageResult<()> {
        let state = self.state(view)?;
        if state.buckets >= MAX_BUCKETS {
            return Err(StorageError::LimitReached(
                "there are 10000 buckets, as many as there can be; delete one first",
            ));
        }
        state.buckets += 1;
        batch.put_value(&format!("{BUCKET_ID}{}", bucket.id), &bucket.number)?;
        Ok(Self::put_bucket(batch, bucket)?)
    }

    pub(crate) fn put_bucket(batch: &mut Batch, bucket: &BucketRecord) -> Result<()> {
        batch.put_value(&numbered(BUCKETS, bucket.number), bucket).map(drop)
    }

    /// Removes a bucket; its files are left, and found by [`gone`].
    pub(crate) fn remove_bucket(&mut self, view: &View<'_>, batch: &mut Batch, bucket: &BucketRecord) -> Result<()> {
        let state = self.state(view)?;
        state.buckets = state.buckets.saturating_sub(1);
        batch.remove_value(&format!("{BUCKET_ID}{}", bucket.id));
        batch.remove_value(&numbered(BUCKETS, bucket.number));
        batch.put_value(&numbered(GONE, bucket.number), &()).map(drop)
    }

    /// Forgets a deleted bucket that has no files any more.
    pub(crate) fn forget_bucket(batch: &mut Batch, number: u64) {
        batch.remove_value(&numbered(GONE, number));
        batch.remove_value(&numbered(USAGE, number));
    }

    /// Adds a file whose id is not in use.
    pub(crate) fn add_file(&mut self, view: &View<'_>, batch: &mut Batch, file: &FileEntry) -> StorageResult<()> {
        let usage = self.usage(view, file.bucket)?;
        if usage.files >= MAX_FILES_OF_BUCKET {
            return Err(StorageError::LimitReached("the bucket has a million files, as many as it can have"));
        }
        usage.files += 1;
        if file.content.is_some() {
            usage.bytes = usage.bytes.saturating_add(file.size);
        }
        batch.put_value(&file_id(file.bucket, &file.id), &file.number)?;
        Ok(Self::put_file(batch, file)?)
    }

    pub(crate) fn put_file(batch: &mut Batch, file: &FileEntry) -> Result<()> {
        if let Some(content) = &file.content {
            batch.put_value(&format!("{FILE_OF}{}", content.file), &(file.bucket, file.number))?;
        }
        batch.put_value(&file_name(file.bucket, file.number), file).map(drop)
    }

    /// Begins an upload in parts.
    pub(crate) fn add_upload(&mut self, view: &View<'_>, upload: &UploadRecord) -> Result<()> {
        let state = self.state(view)?;
        state.uploads += 1;
        state.upload_bytes = state.upload_bytes.saturating_add(upload.size);
        Ok(())
    }

    pub(crate) fn put_upload(batch: &mut Batch, number: u64, upload: &UploadRecord) -> Result<()> {
        batch.put_value(&numbered(UPLOAD, number), upload).map(drop)
    }

    pub(crate) fn put_part(batch: &mut Batch, number: u64, part: u64, record: &PartRecord) -> Result<()> {
        batch.put_value(&part_name(number, part), record).map(drop)
    }

    /// An upload has all its parts: the entry has its content now, and what was needed for that goes.
    pub(crate) fn complete(&mut self, view: &View<'_>, batch: &mut Batch, file: &FileEntry) -> Result<()> {
        let usage = self.usage(view, file.bucket)?;
        usage.bytes = usage.bytes.saturating_add(file.size);
        self.end_upload(view, batch, file)?;
        Self::put_file(batch, file)
    }

    fn end_upload(&mut self, view: &View<'_>, batch: &mut Batch, file: &FileEntry) -> Result<()> {
        let Some(upload) = upload(view, file.number)? else { return Ok(()) };
        let state = self.state(view)?;
        state.uploads = state.uploads.saturating_sub(1);
        state.upload_bytes = state.upload_bytes.saturating_sub(upload.size);
        batch.remove_value(&numbered(UPLOAD, file.number));
        let parts = parts_of_upload(file.number);
        for name in view.value_names(&parts, &parts, usize::MAX)? {
            batch.remove_value(&name);
        }
        Ok(())
    }

    /// Removes an entry, finished or not, with its tokens.
    pub(crate) fn remove_file(&mut self, view: &View<'_>, batch: &mut Batch, file: &FileEntry) -> Result<()> {
        if !self.removed.insert(file.number) {
            return Ok(());
        }
        token::remove_of_file(view, batch, self, file)?;
        let usage = self.usage(view, file.bucket)?;
        usage.files = usage.files.saturating_sub(1);
        batch.remove_value(&file_id(file.bucket, &file.id));
        batch.remove_value(&file_name(file.bucket, file.number));
        match &file.content {
            Some(content) => {
                usage.bytes = usage.bytes.saturating_sub(file.size);
                batch.remove_value(&format!("{FILE_OF}{}", content.file));
                Ok(())
            }
            None => self.end_upload(view, batch, file),
        }
    }

    /// An ordinary file is removed, by whichever device: so is the entry that has it.
    pub(crate) fn remove_entry_of(&mut self, view: &View<'_>, batch: &mut Batch, id: &FileId) -> Result<()> {
        match file_of(view, id)? {
            Some(file) => self.remove_file(view, batch, &file),
            None => Ok(()),
        }
    }

    /// Ends the changes.
    pub(crate) fn finish(self, view: &View<'_>, batch: &mut Batch) -> Result<()> {
        if !self.unreadable_tokens.is_empty() {
            token::remove_unreadable(view, batch, &self.unreadable_tokens)?;
        }
        if let Some(state) = self.state {
            batch.put_value(STATE, &state)?;
        }
        for (bucket, usage) in self.usage {
            if !self.forgotten.contains(&bucket) {
                batch.put_value(&numbered(USAGE, bucket), &usage)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bucket::tests::settings;
    use super::super::{BucketRequest, Permissions};
    use super::*;
    use crate::store::StoreKeySource;

    fn bucket(number: u64) -> BucketRecord {
        BucketRecord {
            id: number.to_string(),
            number,
            created_at: Timestamp::NEVER,
            updated_at: Timestamp::NEVER,
            permissions: Permissions::default(),
            settings: settings(BucketRequest::named("b")),
        }
    }

    fn entry(number: u64) -> FileEntry {
        FileEntry {
            id: number.to_string(),
            number,
            bucket: 7,
            created_at: Timestamp::NEVER,
            updated_at: Timestamp::NEVER,
            permissions: Permissions::default(),
            name: "a".to_owned(),
            folder: String::new(),
            size: 1,
            content: None,
        }
    }

    async fn edit(store: &Store, change: impl FnOnce(&mut Edit, &View<'_>, &mut Batch) -> StorageResult<()>) -> bool {
        let build = |view: &View<'_>| {
            let (mut edit, mut batch) = (Edit::default(), Batch::new());
            change(&mut edit, view, &mut batch)?;
            edit.finish(view, &mut batch)?;
            Ok::<_, StorageError>((batch, ()))
        };
        match store.change(build).await {
            Ok(()) => true,
            Err(StorageError::LimitReached(_)) => false,
            Err(other) => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn buckets_and_files_are_taken_up_to_their_bounds() {
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKeySource::File(directory.path().join("store.key"));
        let store = Store::open_in(directory.path(), &key, true).unwrap();
        let mut batch = Batch::new();
        batch.put_value(STATE, &State { buckets: MAX_BUCKETS - 1, ..State::default() }).unwrap();
        Edit::put_bucket(&mut batch, &bucket(7)).unwrap();
        batch.put_value(&numbered(USAGE, 7), &Usage { files: MAX_FILES_OF_BUCKET - 1, bytes: 0 }).unwrap();
        store.commit(batch).await.unwrap();
        for (number, is_taken) in [(1, true), (2, false)] {
            assert_eq!(edit(&store, |edit, view, batch| edit.add_bucket(view, batch, &bucket(number))).await, is_taken);
            assert_eq!(edit(&store, |edit, view, batch| edit.add_file(view, batch, &entry(number))).await, is_taken);
        }
        edit(&store, |edit, view, batch| Ok(edit.remove_bucket(view, batch, &bucket(1))?)).await;
        assert!(edit(&store, |edit, view, batch| edit.add_bucket(view, batch, &bucket(2))).await);
        // One that is removed twice in a batch counts once.
        let twice = |edit: &mut Edit, view: &View<'_>, batch: &mut Batch| {
            edit.remove_file(view, batch, &entry(1))?;
            Ok(edit.remove_file(view, batch, &entry(1))?)
        };
        edit(&store, twice).await;
        assert_eq!(usage(&store.view(), 7).unwrap().files, MAX_FILES_OF_BUCKET - 1);
        assert!(edit(&store, |edit, view, batch| edit.add_file(view, batch, &entry(2))).await);
    }

    #[tokio::test]
    async fn usage_is_kept_as_long_as_the_bucket_or_what_is_left_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKeySource::File(directory.path().join("store.key"));
        let store = Store::open_in(directory.path(), &key, true).unwrap();
        edit(&store, |edit, view, batch| edit.add_bucket(view, batch, &bucket(7))).await;
        for number in [1, 2] {
            edit(&store, |edit, view, batch| edit.add_file(view, batch, &entry(number))).await;
        }
        edit(&store, |edit, view, batch| Ok(edit.remove_bucket(view, batch, &bucket(7))?)).await;
        edit(&store, |edit, view, batch| Ok(edit.remove_file(view, batch, &entry(1))?)).await;
        assert_eq!(usage(&store.view(), 7).unwrap().files, 1);
        let mut batch = Batch::new();
        Edit::forget_bucket(&mut batch, 7);
        store.commit(batch).await.unwrap();
        edit(&store, |edit, view, batch| Ok(edit.remove_file(view, batch, &entry(2))?)).await;
        assert_eq!(store.value::<Usage>(&numbered(USAGE, 7)).unwrap(), None);
    }

    #[tokio::test]
    async fn an_upload_without_its_beginner_was_begun_with_a_key() {
        #[derive(Serialize)]
        struct Before {
            bucket: u64,
            size: u64,
            last_at: Timestamp,
            received: ByteText,
        }
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKeySource::File(directory.path().join("store.key"));
        let store = Store::open_in(directory.path(), &key, true).unwrap();
        let before = Before { bucket: 1, size: 2, last_at: Timestamp::NEVER, received: ByteText(vec![1]) };
        let mut batch = Batch::new();
        batch.put_value(&numbered(UPLOAD, 3), &before).unwrap();
        store.commit(batch).await.unwrap();
        let upload = upload(&store.view(), 3).unwrap().unwrap();
        assert_eq!((upload.begun_by, upload.count()), (Caller::Key, 1));
    }

    proptest! {
        #[test]
        fn parts_count_once_in_whatever_order_they_come(order in prop::collection::vec(0..70_u64, 0..200)) {
            let mut upload = UploadRecord::new(1, 0, Timestamp::NEVER, Caller::Key);
            let mut seen = std::collections::BTreeSet::new();
            for part in order {
                upload.add(part, Timestamp::NEVER);
                seen.insert(part);
                prop_assert_eq!(upload.count(), seen.len() as u64);
                let leading = (0..).take_while(|part| seen.contains(part)).count() as u64;
                prop_assert_eq!(upload.leading(), leading);
            }
            for part in 0..80 {
                prop_assert_eq!(upload.has(part), seen.contains(&part));
            }
        }
    }
}
