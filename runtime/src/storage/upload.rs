//! Brings contents into buckets, at once or in parts.
//!
//! # Order
//!
//! 1. The content of a request is staged: sealed on the disk if it is not small. Nothing else of the request needs to be known.
//! 2. A part gets a name that survives a power cut, and then, in one commit, its place in the upload, which begins with the first
//!    commit. Only now it is acknowledged.
//! 3. The part that was missing is not counted before the file is complete: all parts are read one after the other and uploaded as
//!    an ordinary file. The commit that stores this file completes the entry and forgets the parts. If the process is killed before
//!    it, the part is still missing and comes again.
//! 4. The files of the parts are removed. If the process is killed before, the next start does it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::sync::{AcquireError, OwnedSemaphorePermit};
use tracing::{info, warn};
use transport::content::CHUNK_LENGTH;
use transport::wire::Timestamp;

use super::bucket::BucketRecord;
use super::entry::FileEntry;
use super::id::is_unique;
use super::ordinary::make_file;
use super::parts::{self, Published, Staged, Unstaged};
use super::range::{bytes_of, parts_of};
use super::records::{self, Edit, UploadRecord};
use super::{Caller, PartRange, Permissions, PermissionsOf, StorageError, StorageId, StorageResult, access, folder};
use crate::blocking::blocking;
use crate::core::{Core, KeyGuard};
use crate::dto::BucketFile;
use crate::file::unreadable_content;
use crate::file_name::FileName;
use crate::store::{Batch, StoreError, View};
use crate::{Error, Result};

/// Unfinished uploads of a node. For one more, the one makes room whose last part came first, if that was [`UPLOAD_IDLE`] ago. With a
/// key those that guests have begun make room whatever their age, and those begun with a key make room for no guest.
pub const MAX_UPLOADS: u64 = 256;
/// How long after its last part an unfinished upload is kept.
pub const UPLOAD_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long after its last part an unfinished upload may make room for others.
pub const UPLOAD_IDLE: Duration = Duration::from_secs(60 * 60);
/// How long a content waits for a place to be received.
pub const STAGING_WAIT: Duration = Duration::from_secs(30);
/// Contents with more bytes than this, which is one chunk, are stored in format `v2`, so that a range costs no more than its chunks.
pub const SEEKABLE_ABOVE: u64 = CHUNK_LENGTH;
/// Most characters of the name that comes with an upload.
pub const MAX_UPLOADED_NAME: usize = 255;

/// What a request says of a file beside its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewBucketFile {
    /// The bucket.
    pub bucket_id: String,
    /// `unique()` or the id that it is to have.
    pub file_id: String,
    /// The header `X-Appwrite-Id` of a part, which counts more than `file_id`.
    pub upload_id: Option<String>,
    /// Its name; what is before the last slash or backslash is left out.
    pub name: String,
    /// See [`Permissions`]. None if absent.
    pub permissions: Option<Vec<String>>,
    /// Segments, separated by slashes. Empty if absent.
    pub folder: Option<String>,
}

/// A content that has arrived for a bucket, and belongs to no file yet. Nothing of it stays if it is dropped.
pub struct StagedContent {
    staged: Staged,
    range: Option<PartRange>,
    _place: Place,
}

/// A place among the contents that are being received; guests need one among those of guests first.
struct Place {
    _of_guests: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

impl Place {
    async fn wait(core: &Core, caller: Caller) -> StorageResult<Self> {
        let taken = async {
            let of_guests = match caller {
                Caller::Key => None,
                Caller::Guest => Some(core.staging_of_guests.clone().acquire_owned().await?),
            };
            Ok::<_, AcquireError>(Self { _of_guests: of_guests, _of_all: core.staging.clone().acquire_owned().await? })
        };
        let taken = tokio::time::timeout(STAGING_WAIT, taken).await.map_err(|_| StorageError::Busy)?;
        Ok(taken.map_err(|_| Error::Stopped)?)
    }
}

impl std::fmt::Debug for StagedContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StagedContent({} bytes)", self.staged.length())
    }
}

/// What a content was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedFile {
    /// The file with all parts that are here.
    pub file: BucketFile,
    /// Whether the request added something. Not if the file had been complete before.
    pub is_new: bool,
}

/// Takes a content for a bucket. `most` are the bytes that a file may have.
pub(crate) async fn stage(
    core: &Core,
    caller: Caller,
    content: impl AsyncRead + Send,
    range: Option<PartRange>,
    most: u64,
) -> StorageResult<StagedContent> {
    if range.is_some_and(|range| range.size() > most) {
        return Err(StorageError::FileSizeNotAllowed);
    }
    let place = Place::wait(core, caller).await?;
    let length = range.map(|range| range.bytes()).map(|bytes| bytes.end - bytes.start);
    let staged = Staged::take(parts::directory(&core.config.data_dir), content, length.unwrap_or(most)).await;
    let staged = staged.map_err(|error| match (error, range) {
        (Unstaged::TooLong, None) => StorageError::FileSizeNotAllowed,
        (Unstaged::TooLong, Some(_)) => StorageError::InvalidPart("it has more bytes than its range"),
        (Unstaged::Unreadable(error), _) => unreadable_content(error).into(),
        (Unstaged::Disk(error), _) => disk_error(&error),
    })?;
    match length {
        None if staged.length() == 0 => Err(StorageError::EmptyFile),
        Some(length) if length != staged.length() => {
            Err(StorageError::InvalidPart("it has fewer bytes than its range"))
        }
        _ => Ok(StagedContent { staged, range, _place: place }),
    }
}

fn disk_error(error: &std::io::Error) -> StorageError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::TemporaryFull,
        _ => StoreError::Temporary(error.kind().to_string()),
    }
    .into()
}

/// A file that a request is about, with checked values.
pub(super) struct Draft {
    caller: Caller,
    bucket: BucketRecord,
    id: StorageId,
    pub(super) name: String,
    folder: String,
    permissions: Permissions,
}

impl Draft {
    fn check(core: &Core, caller: Caller, new: NewBucketFile, range: Option<PartRange>) -> StorageResult<Self> {
        let bucket_id = StorageId::parse("bucketId", &new.bucket_id)?;
        let id = match new.upload_id.as_deref().filter(|_| range.is_some()) {
            Some(id) if is_unique(id) => return Err(StorageError::InvalidUploadId),
            Some(id) => StorageId::parse("fileId", id).map_err(|_| StorageError::InvalidUploadId)?,
            None => StorageId::of_new("fileId", &new.file_id)?,
        };
        let name = uploaded_name(&new.name)?;
        let permissions = Permissions::parse(&new.permissions.unwrap_or_default(), PermissionsOf::File)?;
        let folder = folder::stored_form(&new.folder.unwrap_or_default())?;
        let bucket = records::bucket(&core.store.view(), bucket_id.as_str())?;
        let bucket = access::visible(caller, bucket)?;
        access::create_file(caller, &bucket)?;
        let permissions = permissions.held_by(caller)?;
        match bucket.takes_name(&name) {
            true => Ok(Self { caller, bucket, id, name, folder, permissions }),
            false => Err(StorageError::ExtensionNotAllowed),
        }
    }

    /// Its entry, without a content.
    pub(super) fn entry(&self, number: u64, size: u64, now: Timestamp) -> FileEntry {
        FileEntry {
            id: self.id.to_string(),
            number,
            bucket: self.bucket.number,
            created_at: now,
            updated_at: now,
            permissions: self.permissions.clone(),
            name: self.name.clone(),
            folder: self.folder.clone(),
            size,
            content: None,
        }
    }

    fn found(&self, view: &View<'_>) -> Result<Option<FileEntry>, StoreError> {
        records::file(view, self.bucket.number, self.id.as_str())
    }

    fn answer(&self, file: &FileEntry, uploaded: u64, is_new: bool) -> UploadedFile {
        UploadedFile { file: file.to_dto(&self.bucket.id, uploaded), is_new }
    }

    /// The answer about a file that another request has completed: who may not read it learns that there is one, and no more.
    fn answer_completed(&self, file: FileEntry) -> StorageResult<UploadedFile> {
        match access::read_file(self.caller, &self.bucket, Some(file)) {
            Ok(file) => Ok(self.answer(&file, 0, false)),
            Err(_) => Err(StorageError::FileExists),
        }
    }

    /// The unfinished upload of a file, if the caller may add parts.
    fn upload_of(&self, view: &View<'_>, file: &FileEntry) -> StorageResult<UploadRecord> {
        let upload = records::upload(view, file.number)?.ok_or(StoreError::Damaged)?;
        match upload.takes_parts_of(self.caller) {
            true => Ok(upload),
            false => Err(StorageError::FileExists),
        }
    }

    async fn hold(&self, core: &Core) -> KeyGuard {
        core.bucket_files.hold((self.bucket.number, self.id.to_string())).await
    }
}

fn uploaded_name(name: &str) -> StorageResult<String> {
    let invalid = |reason: String| StorageError::argument("file", reason);
    let name: FileName = name.parse().map_err(|_| invalid("the file needs a name".to_owned()))?;
    let name = String::from(name);
    match name.chars().take(MAX_UPLOADED_NAME + 1).count() <= MAX_UPLOADED_NAME {
        true => Ok(name),
        false => Err(invalid(format!("the name of a file has at most {MAX_UPLOADED_NAME} characters"))),
    }
}

/// Makes a file of a content, or adds a part to one.
pub(crate) async fn create(
    core: &Arc<Core>,
    caller: Caller,
    new: NewBucketFile,
    content: StagedContent,
) -> StorageResult<UploadedFile> {
    let StagedContent { staged, range, _place } = content;
    let draft = Draft::check(core, caller, new, range)?;
    let size = range.map_or(staged.length(), PartRange::size);
    if size > draft.bucket.settings.maximum_file_size.min(core.config.storage.max_file_size) {
        return Err(StorageError::FileSizeNotAllowed);
    }
    let admitted = core.clone();
    // Whoever sent it may leave: what is at the backbone would have no record otherwise.
    let made = core.background.run(async move {
        let (core, _place) = (admitted, _place);
        match range {
            Some(range) if parts_of(size) > 1 => part(&core, &draft, staged, range).await,
            _ => whole(&core, &draft, staged, range.is_some()).await,
        }
    });
    made.await.unwrap_or(Err(StorageError::Node(Error::Stopped)))
}

/// A content that comes at once, as the only part of an upload or without any.
async fn whole(core: &Arc<Core>, draft: &Draft, staged: Staged, is_part: bool) -> StorageResult<UploadedFile> {
    let _guard = draft.hold(core).await;
    {
        let view = core.store.view();
        match draft.found(&view)? {
            Some(file) if is_part && file.content.is_some() => return draft.answer_completed(file),
            Some(file) if is_part => {
                draft.upload_of(&view, &file)?;
                return Err(StorageError::InvalidPart("the upload was begun with another size"));
            }
            Some(_) => return Err(StorageError::FileExists),
            None => {}
        }
    }
    let size = staged.length();
    let file = make_file(core, draft, None, size, vec![staged.into_source()]).await?;
    Ok(draft.answer(&file, 0, true))
}

/// What becomes of a part.
enum Admitted {
    /// It is counted; so many are here.
    Added(FileEntry, u64),
    /// It was here already.
    Repeated(FileEntry, u64),
    /// The file is complete.
    Complete(FileEntry),
    /// It is the one that was missing.
    Last(FileEntry),
}

async fn part(core: &Arc<Core>, draft: &Draft, staged: Staged, range: PartRange) -> StorageResult<UploadedFile> {
    if draft.found(&core.store.view())?.is_none() {
        make_room(core, draft.caller, range.size()).await?;
    }
    let directory = parts::directory(&core.config.data_dir);
    let published = blocking(move || staged.publish(&directory)).await.map_err(|error| disk_error(&error))?;
    let now = core.clock.now();
    let most_bytes = core.config.storage.max_unfinished_bytes.max(core.config.storage.max_file_size);
    let admitted = core.store.change(|view| admit(view, draft, range, &published, (now, most_bytes))).await?;
    match admitted {
        Admitted::Added(file, count) | Admitted::Repeated(file, count) => Ok(draft.answer(&file, count, true)),
        Admitted::Complete(file) => draft.answer_completed(file),
        Admitted::Last(file) => complete(core, draft, file.number, range, published).await,
    }
}

fn admit(
    view: &View<'_>,
    draft: &Draft,
    range: PartRange,
    part: &Published,
    (now, most_bytes): (Timestamp, u64),
) -> StorageResult<(Batch, Admitted)> {
    let mut batch = Batch::new();
    if records::bucket_at(view, draft.bucket.number)?.is_none() {
        return Err(StorageError::BucketNotFound);
    }
    let mut edit = Edit::default();
    let (file, mut upload) = match draft.found(view)? {
        Some(file) if file.content.is_some() => return Ok((batch, Admitted::Complete(file))),
        Some(file) => {
            let upload = draft.upload_of(view, &file)?;
            (file, upload)
        }
        None => {
            let state = edit.current(view)?;
            if state.uploads >= MAX_UPLOADS || state.upload_bytes.saturating_add(range.size()) > most_bytes {
                return Err(StorageError::LimitReached(
                    "as many uploads are unfinished as there can be; finish or delete some, or try again later",
                ));
            }
            let file = draft.entry(edit.number(view)?, range.size(), now);
            let upload = UploadRecord::new(file.bucket, file.size, now, draft.caller);
            edit.add_file(view, &mut batch, &file)?;
            edit.add_upload(view, &upload)?;
            (file, upload)
        }
    };
    if upload.size != range.size() {
        return Err(StorageError::InvalidPart("the upload was begun with another size"));
    }
    if upload.has(range.index()) {
        return Ok((Batch::new(), Admitted::Repeated(file, upload.count())));
    }
    if upload.count() + 1 == parts_of(upload.size) {
        return Ok((Batch::new(), Admitted::Last(file)));
    }
    upload.add(range.index(), now);
    Edit::put_upload(&mut batch, file.number, &upload)?;
    Edit::put_part(&mut batch, file.number, range.index(), part.record())?;
    edit.finish(view, &mut batch)?;
    part.keep();
    let count = upload.count();
    Ok((batch, Admitted::Added(file, count)))
}

/// The part that was missing is here.
async fn complete(
    core: &Arc<Core>,
    draft: &Draft,
    number: u64,
    range: PartRange,
    last: Published,
) -> StorageResult<UploadedFile> {
    let _guard = draft.hold(core).await;
    let (file, others) = {
        let view = core.store.view();
        (draft.found(&view)?, records::parts(&view, number)?)
    };
    let file = match file {
        // The same part came twice at the same time.
        Some(file) if file.content.is_some() => return draft.answer_completed(file),
        Some(file) if file.number == number => file,
        // It was deleted meanwhile.
        _ => return Err(StorageError::FileNotFound),
    };
    let directory = parts::directory(&core.config.data_dir);
    let length = |index: u64| bytes_of(index, file.size).end - bytes_of(index, file.size).start;
    let mut recorded = others.iter();
    let mut sources = Vec::with_capacity(others.len() + 1);
    for index in 0..parts_of(file.size) {
        sources.push(match index == range.index() {
            true => last.source(length(index)),
            false => recorded.next().ok_or(StoreError::Damaged)?.source(&directory, length(index)),
        });
    }
    let size = file.size;
    let file = make_file(core, draft, Some(file), size, sources).await?;
    blocking(move || {
        parts::remove(&directory, &others);
        drop(last);
    })
    .await;
    Ok(draft.answer(&file, 0, true))
}

/// Gives up uploads whose time is over, and as many others as make room for one of `size` bytes, if they rest. 0 is for none.
async fn make_room(core: &Core, caller: Caller, size: u64) -> StorageResult<()> {
    let now = core.clock.now();
    let most_bytes = core.config.storage.max_unfinished_bytes.max(core.config.storage.max_file_size);
    let mut uploads = records::uploads(&core.store.view())?;
    uploads.sort_by_key(|(_, upload)| upload.last_at);
    let mut count = uploads.len() as u64 + u64::from(size > 0);
    let mut bytes = uploads.iter().map(|(_, upload)| upload.size).fold(size, u64::saturating_add);
    for (number, upload) in uploads {
        let age = now.saturating_duration_since(upload.last_at);
        let may_go = match (caller, upload.begun_by) {
            (Caller::Key, Caller::Guest) => true,
            (Caller::Guest, Caller::Key) => false,
            _ => age >= UPLOAD_IDLE,
        };
        let is_in_the_way = may_go && (count > MAX_UPLOADS || bytes > most_bytes);
        if age < UPLOAD_LIFETIME && !is_in_the_way {
            continue;
        }
        info!("an unfinished upload to a bucket is given up");
        give_up_upload(core, number, &upload).await?;
        (count, bytes) = (count - 1, bytes.saturating_sub(upload.size));
    }
    Ok(())
}

/// Gives up an upload, unless a part has come since it was looked at.
async fn give_up_upload(core: &Core, number: u64, seen: &UploadRecord) -> StorageResult<()> {
    let Some(file) = records::file_at(&core.store.view(), seen.bucket, number)? else { return Ok(()) };
    // Whoever completes it meanwhile is waited for.
    let _guard = core.bucket_files.hold((seen.bucket, file.id.clone())).await;
    let rests = |view: &View<'_>| Ok(records::upload(view, number)?.is_some_and(|found| found.last_at == seen.last_at));
    remove_entry_if(core, &file, rests).await
}

/// Removes an entry if it is still there and unfinished or without an ordinary file, with the parts of its upload.
pub(crate) async fn remove_entry(core: &Core, file: &FileEntry) -> StorageResult<()> {
    remove_entry_if(core, file, |_| Ok(true)).await
}

/// The same, if the condition holds in the state that is changed.
async fn remove_entry_if(
    core: &Core,
    file: &FileEntry,
    condition: impl FnOnce(&View<'_>) -> Result<bool, StoreError>,
) -> StorageResult<()> {
    let remove = |view: &View<'_>| {
        let mut batch = Batch::new();
        let found = records::file_at(view, file.bucket, file.number)?.filter(|found| found.content == file.content);
        let Some(file) = found else { return Ok((batch, Vec::new())) };
        if !condition(view)? {
            return Ok((batch, Vec::new()));
        }
        let parts = records::parts(view, file.number)?;
        let mut edit = Edit::default();
        edit.remove_file(view, &mut batch, &file)?;
        edit.finish(view, &mut batch)?;
        Ok::<_, StorageError>((batch, parts))
    };
    let parts = core.store.change(remove).await?;
    let directory = parts::directory(&core.config.data_dir);
    blocking(move || parts::remove(&directory, &parts)).await;
    Ok(())
}

/// Gives up uploads whose time is over.
pub(super) async fn give_up_expired(core: &Core) -> StorageResult<()> {
    make_room(core, Caller::Key, 0).await
}

/// Gives up uploads whose time is over, and removes files of parts that are in no upload. The node starts.
pub(crate) async fn clean_up(core: &Arc<Core>) -> Result<()> {
    give_up_expired(core).await.map_err(|error| match error {
        StorageError::Node(error) => error,
        other => Error::Unknown(other.to_string()),
    })?;
    let core = core.clone();
    blocking(move || {
        let known = records::names_of_parts(&core.store)?;
        let directory = parts::directory(&core.config.data_dir);
        if let Err(error) = parts::remove_others(&directory, |name| known.contains(name)) {
            warn!(%error, "files of interrupted uploads to buckets cannot be removed");
        }
        Ok(())
    })
    .await
}
