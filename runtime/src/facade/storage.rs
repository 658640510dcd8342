//! Buckets and the files in them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncRead;
use tracing::instrument;
use transport::wire::FileId;

use super::Node;
use super::files::FilesFacade;
use super::list::{List, Page};
use super::storage_tokens::{ByToken, Examined, TokenUse};
use super::token_rows::readable;
use crate::dto::{Bucket, BucketFile};
use crate::file::VerifiedContent;
use crate::storage::access::{self, Listed};
use crate::storage::{
    Action, BucketRequest, Caller, ContentUse, NewBucketFile, PartRange, StagedContent, StorageError, StorageId,
    StorageResult, UploadedFile, records, upkeep, upload,
};
use crate::store::{Batch, View};
use crate::{Error, Result};

/// How long the deletion of a bucket waits for that of its files.
pub const DELETION_WAIT: Duration = Duration::from_secs(10);
/// Records that are read for one page of a list.
const PAGE: usize = 128;

/// Buckets and their files. Those of another device of the identity are not among them.
#[derive(Clone)]
pub struct StorageFacade {
    pub(super) node: Arc<Node>,
}

/// What an update of a file replaces; what is absent is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileChange {
    /// 1 to 128 characters.
    pub name: Option<String>,
    /// See [`Permissions`](crate::storage::Permissions).
    pub permissions: Option<Vec<String>>,
}

/// How the content of a file is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentRequest {
    /// The file token that came with the request, right or wrong.
    pub token: Option<TokenUse>,
    /// What the content is for.
    pub used_as: ContentUse,
}

/// A file whose content somebody gets.
#[derive(Debug, Clone)]
pub struct BucketContent {
    /// What is known of it.
    pub file: BucketFile,
    /// A strong entity tag with its quotes: it is derived from the hash of the content, which never changes.
    pub etag: String,
    /// The file token by which it is had; none if permissions are enough.
    pub by_token: Option<ByToken>,
    /// What previews are kept by.
    pub(super) hash: preview::ContentHash,
    id: FileId,
}

impl BucketContent {
    /// Bytes of the content.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.file.size_actual
    }
}

impl StorageFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Creates a bucket. `unique()` as the id makes one.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::BucketExists`], [`StorageError::LimitReached`].
    #[instrument(skip_all)]
    pub async fn create_bucket(&self, id: &str, request: BucketRequest) -> StorageResult<Bucket> {
        let id = StorageId::of_new("bucketId", id)?;
        let (settings, permissions) = request.check(self.node.core.config.storage.max_file_size)?;
        let now = self.node.core.clock.now();
        let create = |view: &View<'_>| {
            if records::bucket(view, id.as_str())?.is_some() {
                return Err(StorageError::BucketExists);
            }
            let (mut batch, mut edit) = (Batch::new(), records::Edit::default());
            let bucket = records::BucketRecord {
                id: id.to_string(),
                number: edit.number(view)?,
                created_at: now,
                updated_at: now,
                permissions: permissions.unwrap_or_default(),
                settings,
            };
            edit.add_bucket(view, &mut batch, &bucket)?;
            edit.finish(view, &mut batch)?;
            Ok((batch, bucket))
        };
        Ok(self.node.core.store.change(create).await?.to_dto(0))
    }

    /// A bucket, disabled or not.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`] for what is not an id, [`StorageError::BucketNotFound`].
    pub fn bucket(&self, id: &str) -> StorageResult<Bucket> {
        let view = self.node.core.store.view();
        let bucket = self.bucket_for(&view, Caller::Key, id)?;
        let usage = records::usage(&view, bucket.number)?;
        Ok(bucket.to_dto(usage.bytes))
    }

    /// All buckets in the order of their creation, page by page.
    #[must_use]
    pub fn buckets(&self) -> List<Bucket> {
        self.list(records::BUCKETS.to_owned(), |_, bucket: records::BucketRecord| Ok(Some(bucket.to_dto(0))))
    }

    /// Replaces a bucket: what is absent from the request returns to its default, permissions excepted, which are kept.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::BucketNotFound`].
    #[instrument(skip_all)]
    pub async fn update_bucket(&self, id: &str, request: BucketRequest) -> StorageResult<Bucket> {
        let id = StorageId::parse("bucketId", id)?;
        let (settings, permissions) = request.check(self.node.core.config.storage.max_file_size)?;
        let now = self.node.core.clock.now();
        let replace = |view: &View<'_>| {
            let before = access::visible(Caller::Key, records::bucket(view, id.as_str())?)?;
            let permissions = permissions.unwrap_or(before.permissions);
            let bucket = records::BucketRecord { settings, permissions, updated_at: now, ..before };
            let mut batch = Batch::new();
            records::Edit::put_bucket(&mut batch, &bucket)?;
            let usage = records::usage(view, bucket.number)?;
            Ok::<_, StorageError>((batch, bucket.to_dto(usage.bytes)))
        };
        self.node.core.store.change(replace).await
    }

    /// Deletes a bucket, and then its files. The bucket is gone at once, and so is every way to its files but that of the ordinary
    /// files. Those are waited for for [`DELETION_WAIT`] at most, and are deleted further then, also after the next start. What cannot be
    /// deleted, because the backbone cannot be reached for instance, stays an ordinary file until the node starts or a bucket is deleted
    /// the next time.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::BucketNotFound`].
    #[instrument(skip_all)]
    pub async fn delete_bucket(&self, id: &str) -> StorageResult<()> {
        let id = StorageId::parse("bucketId", id)?;
        let remove = |view: &View<'_>| {
            let bucket = access::visible(Caller::Key, records::bucket(view, id.as_str())?)?;
            let (mut batch, mut edit) = (Batch::new(), records::Edit::default());
            edit.remove_bucket(view, &mut batch, &bucket)?;
            edit.finish(view, &mut batch)?;
            Ok::<_, StorageError>((batch, ()))
        };
        self.node.core.store.change(remove).await?;
        let deleted = self.node.core.background.run(upkeep::delete_files_of_gone(Arc::downgrade(&self.node)));
        // Whoever does not wait so long finds the bucket gone, and the files go on.
        let _ = tokio::time::timeout(DELETION_WAIT, deleted).await;
        Ok(())
    }

    /// Takes the content of a file, or a part of it, for a bucket; the other fields of the request may come later. It is sealed on the
    /// disk if it has more than some 100 KiB. At most [`MAX_STAGED`](crate::storage::MAX_STAGED) are taken at a time, of guests
    /// [`MAX_STAGED_OF_GUESTS`](crate::storage::MAX_STAGED_OF_GUESTS); more wait, for [`STAGING_WAIT`](crate::storage::STAGING_WAIT).
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::BucketNotFound`], [`StorageError::NotPermitted`],
    /// [`StorageError::FileSizeNotAllowed`], [`StorageError::EmptyFile`], [`StorageError::InvalidPart`] if it has not the bytes of its
    /// range, [`StorageError::Busy`] if no place became free, [`StorageError::Node`].
    pub async fn stage_content(
        &self,
        caller: Caller,
        bucket: &str,
        range: Option<PartRange>,
        content: impl AsyncRead + Send,
    ) -> StorageResult<StagedContent> {
        let bucket = self.bucket_for(&self.node.core.store.view(), caller, bucket)?;
        access::create_file(caller, &bucket)?;
        let most = bucket.settings.maximum_file_size.min(self.node.core.config.storage.max_file_size);
        upload::stage(&self.node.core, caller, content, range, most).await
    }

    /// Makes a file of a content, or adds a part to an upload, which begins with whichever part comes first. A part is on disk when
    /// this returns. The one that was missing makes the file: the answer to it, and to no other one, shows all parts for the first time.
    ///
    /// If the future is dropped, the content still becomes a file or a part, unless it was refused or the node stops.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::InvalidUploadId`], [`StorageError::BucketNotFound`],
    /// [`StorageError::NotPermitted`], [`StorageError::ForeignRoles`], [`StorageError::ExtensionNotAllowed`],
    /// [`StorageError::FileSizeNotAllowed`], in this order; [`StorageError::FileExists`] for what is not a part,
    /// [`StorageError::InvalidPart`] for a part of a file of another size, [`StorageError::LimitReached`], and the backbone's errors.
    #[instrument(skip_all)]
    pub async fn create_bucket_file(
        &self,
        caller: Caller,
        new: NewBucketFile,
        content: StagedContent,
    ) -> StorageResult<UploadedFile> {
        upload::create(&self.node.core, caller, new, content).await
    }

    /// A file in a bucket, finished or not.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::BucketNotFound`], [`StorageError::NotPermitted`],
    /// [`StorageError::FileNotFound`].
    pub fn bucket_file(&self, caller: Caller, bucket: &str, id: &str) -> StorageResult<BucketFile> {
        let view = self.node.core.store.view();
        let id = StorageId::parse("fileId", id)?;
        let bucket = self.bucket_for(&view, caller, bucket)?;
        let file = access::read_file(caller, &bucket, records::file(&view, bucket.number, id.as_str())?)?;
        Ok(shown(&view, &bucket.id, &file)?)
    }

    /// The files in a bucket that the caller may read, in the order of their creation, page by page. Unfinished ones are among them.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::BucketNotFound`], [`StorageError::NotPermitted`].
    pub fn bucket_files(&self, caller: Caller, bucket: &str) -> StorageResult<List<BucketFile>> {
        let bucket = self.bucket_for(&self.node.core.store.view(), caller, bucket)?;
        let listed = access::list_files(caller, &bucket)?;
        let is_listed =
            move |file: &records::FileEntry| listed == Listed::All || file.permissions.allow(Action::Read, caller);
        Ok(self.list(records::files_of(bucket.number), move |view, file: records::FileEntry| {
            if is_listed(&file) { shown(view, &bucket.id, &file).map(Some) } else { Ok(None) }
        }))
    }

    /// The file in a bucket that has an ordinary file of the node as its content.
    ///
    /// # Errors
    /// [`StorageError::Node`] if the store cannot be read.
    pub fn bucket_file_of(&self, file: &FileId) -> StorageResult<Option<BucketFile>> {
        let view = self.node.core.store.view();
        let Some(entry) = records::file_of(&view, file)? else { return Ok(None) };
        let Some(bucket) = records::bucket_at(&view, entry.bucket)? else { return Ok(None) };
        Ok(Some(shown(&view, &bucket.id, &entry)?))
    }

    /// Changes name and permissions of a file. Its ordinary file keeps the name with which it was uploaded.
    ///
    /// # Errors
    /// As [`bucket_file`](Self::bucket_file); [`StorageError::ForeignRoles`].
    #[instrument(skip_all)]
    pub async fn update_bucket_file(
        &self,
        caller: Caller,
        bucket: &str,
        id: &str,
        change: FileChange,
    ) -> StorageResult<BucketFile> {
        let (bucket, id) = (StorageId::parse("bucketId", bucket)?, StorageId::parse("fileId", id)?);
        let change = change.check()?;
        let now = self.node.core.clock.now();
        let update = |view: &View<'_>| {
            let bucket = access::visible(caller, records::bucket(view, bucket.as_str())?)?;
            let found = records::file(view, bucket.number, id.as_str())?;
            let mut file = access::change_file(Action::Update, caller, &bucket, found)?;
            if let Some(permissions) = change.permissions {
                file.permissions = permissions.held_by(caller)?;
            }
            file.name = change.name.unwrap_or(file.name);
            file.updated_at = now;
            let mut batch = Batch::new();
            records::Edit::put_file(&mut batch, &file)?;
            let changed = shown(view, &bucket.id, &file)?;
            Ok::<_, StorageError>((batch, changed))
        };
        self.node.core.store.change(update).await
    }

    /// Deletes a file, its ordinary file included; an unfinished upload is given up.
    ///
    /// # Errors
    /// As [`bucket_file`](Self::bucket_file), and the backbone's errors; then nothing was deleted.
    #[instrument(skip_all)]
    pub async fn delete_bucket_file(&self, caller: Caller, bucket: &str, id: &str) -> StorageResult<()> {
        let file = {
            let view = self.node.core.store.view();
            let id = StorageId::parse("fileId", id)?;
            let bucket = self.bucket_for(&view, caller, bucket)?;
            access::change_file(Action::Delete, caller, &bucket, records::file(&view, bucket.number, id.as_str())?)?
        };
        // Whoever completes it meanwhile is waited for.
        let _guard = self.node.core.bucket_files.hold((file.bucket, file.id.clone())).await;
        let file = records::file(&self.node.core.store.view(), file.bucket, &file.id)?;
        upkeep::remove(&self.node, &file.ok_or(StorageError::FileNotFound)?).await
    }

    /// A file whose content the caller may get, by permissions or by a file token. Before content is sent, or the client is told that
    /// it has it already, [`use_token`](Self::use_token) counts that.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::BucketNotFound`], [`StorageError::TransformationsDisabled`],
    /// [`StorageError::NotPermitted`], [`StorageError::Token`] in its place if a token was presented,
    /// [`StorageError::TokenOfOtherFile`], [`StorageError::FileNotFound`], also for unfinished ones.
    pub fn content(
        &self,
        caller: Caller,
        bucket: &str,
        id: &str,
        request: ContentRequest,
    ) -> StorageResult<BucketContent> {
        let view = self.node.core.store.view();
        let id = StorageId::parse("fileId", id)?;
        let bucket = self.bucket_for(&view, caller, bucket)?;
        let found = records::file(&view, bucket.number, id.as_str())?;
        let now = self.node.core.clock.now();
        let token = request.token.map(|token| token.examine(&view, request.used_as, now)).transpose()?;
        let presented = token.as_ref().map(Examined::presented);
        let access::Granted { file, takes_token } =
            access::content(caller, &bucket, found, presented, request.used_as)?;
        let Some(content) = &file.content else { return Err(StorageError::FileNotFound) };
        let record = crate::file::stored(&view, &content.file)?.ok_or(StorageError::FileNotFound)?;
        let (id, etag, hash) = (content.file.clone(), record.etag(), record.content_hash());
        let by_token = token.filter(|_| takes_token).and_then(Examined::valid);
        Ok(BucketContent { file: file.to_dto(&bucket.id, 0), etag, by_token, hash, id })
    }

    /// The bytes of a content, or some of them. A file of format `v2` costs what the chunks cost that the range touches; one of format
    /// `v1` is fetched and verified as a whole for each range, because nothing less can be verified: it has at most
    /// [`SEEKABLE_ABOVE`](crate::storage::SEEKABLE_ABOVE) bytes, unless it was stored by an earlier version. The content can jump if it is of format `v2`
    /// ([`VerifiedContent::into_seekable`]).
    ///
    /// # Errors
    /// [`StorageError::FileNotFound`] if the ordinary file was removed meanwhile, or is not at the backbone any more; otherwise as
    /// [`FilesFacade::read_range`].
    pub async fn read(&self, content: &BucketContent, range: Option<Range<u64>>) -> StorageResult<VerifiedContent> {
        let files = FilesFacade::new(self.node.clone());
        let download = match range {
            Some(range) => files.read_range(&content.id, range).await,
            None => files.download_file(&content.id, None).await,
        };
        Ok(download.map_err(not_read)?.content)
    }

    pub(super) fn bucket_for(&self, view: &View<'_>, caller: Caller, id: &str) -> StorageResult<records::BucketRecord> {
        let id = StorageId::parse("bucketId", id)?;
        access::visible(caller, records::bucket(view, id.as_str())?)
    }

    /// The values whose names begin with `prefix`, each turned into what users see, or left out. One damaged value does not hide all
    /// others: it is left out, with a warning.
    pub(super) fn list<R, T>(
        &self,
        prefix: String,
        show: impl Fn(&View<'_>, R) -> Result<Option<T>> + Send + 'static,
    ) -> List<T>
    where
        R: serde::de::DeserializeOwned,
        T: Send + 'static,
    {
        let core = self.node.core.clone();
        let mut from = prefix.clone();
        List::new(move || {
            let view = core.store.view();
            let names = view.value_names(&prefix, &from, PAGE)?;
            let mut items = Vec::with_capacity(names.len());
            for name in &names {
                // None if it was removed meanwhile.
                if let Some(record) = readable(name, view.value(name))? {
                    items.extend(show(&view, record)?);
                }
            }
            if let Some(last) = names.last() {
                from = format!("{last}\0");
            }
            Ok(Page { items: Box::new(move || items), has_more: names.len() == PAGE })
        })
    }
}

/// Why the content of a file in a bucket cannot be read.
pub(super) fn not_read(error: Error) -> StorageError {
    match error {
        Error::RecordNotFound(_) | Error::RecordNotFoundAtBackbone(_) => StorageError::FileNotFound,
        error => error.into(),
    }
}

/// A file as it is seen between uploads.
fn shown(view: &View<'_>, bucket: &str, file: &records::FileEntry) -> Result<BucketFile> {
    let uploaded = match &file.content {
        Some(_) => 0,
        None => records::upload(view, file.number)?.map_or(0, |upload| upload.leading()),
    };
    Ok(file.to_dto(bucket, uploaded))
}

/// A change whose values have been checked.
struct CheckedChange {
    name: Option<String>,
    permissions: Option<crate::storage::Permissions>,
}

impl FileChange {
    fn check(self) -> StorageResult<CheckedChange> {
        use crate::storage::{Permissions, PermissionsOf, check_name};
        if let Some(name) = &self.name {
            check_name("name", name)?;
        }
        let permissions = self.permissions.map(|texts| Permissions::parse(&texts, PermissionsOf::File)).transpose()?;
        Ok(CheckedChange { name: self.name, permissions })
    }
}
