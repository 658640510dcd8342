//! The ordinary file of a content in a bucket, which is uploaded as every other one.

use std::sync::{Arc, Mutex, PoisonError};

use preview::sniff::SNIFFED_BYTES;
use tokio::io::AsyncReadExt as _;
use tracing::warn;
use transport::wire::{FileId, Timestamp};

use super::entry::{EntryContent, FileEntry};
use super::parts::{self, Source};
use super::range::parts_of;
use super::records::{self, Edit};
use super::signature::{Signature, SignedReader};
use super::upload::{Draft, SEEKABLE_ABOVE};
use super::{StorageError, StorageResult};
use crate::core::Core;
use crate::event::Event;
use crate::file::{ContentFormat, FileRecord, NewContent, NewFile, unreadable_content};
use crate::file_name;
use crate::logging::short;
use crate::store::{Batch, View};
use crate::{Error, MediaType, Result};

/// Uploads a content as an ordinary file; the commit that stores this also stores the entry.
pub(super) async fn make_file(
    core: &Arc<Core>,
    draft: &Draft,
    begun: Option<FileEntry>,
    size: u64,
    sources: Vec<Source>,
) -> StorageResult<FileEntry> {
    let mut content = Box::pin(parts::reader(sources));
    let mut start = Vec::new();
    (&mut content).take(SNIFFED_BYTES as u64).read_to_end(&mut start).await.map_err(unreadable_content)?;
    let (mimetype, signature) = (MediaType::of_header(Some(preview::sniff(&start, &draft.name))), Signature::default());
    let content = SignedReader { content: std::io::Cursor::new(start).chain(content), signature: signature.clone() };
    let made = Arc::new(Mutex::new(Made::default()));
    let entry = EntryOf {
        made: made.clone(),
        begun: begun.is_some(),
        parts: if begun.is_some() { parts_of(size) } else { 1 },
        entry: begun.unwrap_or_else(|| draft.entry(0, size, core.clock.now())),
        signature,
        mime_type: mimetype.to_string(),
        now: core.clock.now(),
    };
    let new = NewFile {
        content: NewContent::Stream(Box::pin(content)),
        filename: shown_name(&draft.name),
        mimetype: mimetype.into(),
        expires_at: Timestamp::NEVER,
        title: None,
        description: None,
        tags: None,
        beside: Some(Box::new(move |view, batch, id, _: &FileRecord| entry.store(view, batch, id))),
    };
    let is_in_chunks = size > SEEKABLE_ABOVE.min(core.config.max_file_size);
    let format = if is_in_chunks { ContentFormat::V2 } else { ContentFormat::Auto };
    let outcome = new.upload(core, format, None).await;
    let Made { uploaded, refusal, entry } = std::mem::take(&mut *made.lock().unwrap_or_else(PoisonError::into_inner));
    match (outcome, entry) {
        (Ok((id, record)), Some(entry)) => {
            let file = record.into_dto(id, core.base_url())?;
            core.events.publish(Event::FileUploaded(Box::new(file)));
            Ok(entry)
        }
        (outcome, _) => {
            // Without a refusal the commit was submitted, and may have taken effect.
            if let (Some(id), Some(_)) = (uploaded, &refusal) {
                give_up(core, &id).await;
            }
            Err(refusal.unwrap_or_else(|| outcome.err().unwrap_or(Error::Stopped).into()))
        }
    }
}

/// The name of the ordinary file, which file dialogs show.
fn shown_name(name: &str) -> String {
    file_name::shown(name).into_owned()
}

/// Removes at the backbone what could not be stored here.
async fn give_up(core: &Core, id: &FileId) {
    if let Err(error) = core.account.session().delete_file(id).await {
        warn!(file = short(id), %error, "a file without an entry stays at the backbone; nothing here removes it");
    }
}

/// What came of the commit that stores the ordinary file.
#[derive(Default)]
struct Made {
    /// The backbone has this file.
    uploaded: Option<FileId>,
    refusal: Option<StorageError>,
    entry: Option<FileEntry>,
}

/// The entry of a file that is being uploaded.
struct EntryOf {
    made: Arc<Mutex<Made>>,
    /// Whether it is in the store.
    begun: bool,
    entry: FileEntry,
    parts: u64,
    signature: Signature,
    mime_type: String,
    now: Timestamp,
}

impl EntryOf {
    fn store(self, view: &View<'_>, batch: &mut Batch, id: &FileId) -> Result<()> {
        let made = self.made.clone();
        let outcome = self.staged(view, batch, id);
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        made.uploaded = Some(id.clone());
        match outcome {
            Ok(entry) => {
                made.entry = Some(entry);
                Ok(())
            }
            Err(refusal) => {
                made.refusal = Some(refusal);
                Err(Error::RecordNotFound("Bucket"))
            }
        }
    }

    fn staged(self, view: &View<'_>, batch: &mut Batch, id: &FileId) -> StorageResult<FileEntry> {
        if records::bucket_at(view, self.entry.bucket)?.is_none() {
            return Err(StorageError::BucketNotFound);
        }
        let content = EntryContent {
            file: id.clone(),
            signature: self.signature.digits(),
            mime_type: self.mime_type,
            parts: self.parts,
        };
        let mut edit = Edit::default();
        let entry = match self.begun {
            true => {
                // Name and permissions may have changed meanwhile.
                let found = records::file(view, self.entry.bucket, &self.entry.id)?;
                let found = found.filter(|found| found.number == self.entry.number && found.content.is_none());
                let found = found.ok_or(StorageError::FileNotFound)?;
                let entry = FileEntry { content: Some(content), updated_at: self.now, ..found };
                edit.complete(view, batch, &entry)?;
                entry
            }
            false => {
                if records::file(view, self.entry.bucket, &self.entry.id)?.is_some() {
                    return Err(StorageError::FileExists);
                }
                let entry = FileEntry { number: edit.number(view)?, content: Some(content), ..self.entry };
                edit.add_file(view, batch, &entry)?;
                entry
            }
        };
        edit.finish(view, batch)?;
        Ok(entry)
    }
}
