//! The content store of a node: ciphertext chunks of files of format `v2`, or a reference to files of this machine from which the
//! chunks are sealed again. Reads, resumed transfers and other nodes are served from it without the backbone.
//!
//! # Contract
//!
//! - It is a cache. Nothing depends on it: whatever is not here, cannot be read or is not what it was counts as missing, and
//!   is fetched from the backbone. Errors of the disk end up in the log, never in a transfer.
//! - Bytes that are handed out have the hash that the tree under the root demands; a part that has another one is dropped.
//! - The files never have more bytes together than the bound: room is made before something is written. The part that
//!   was used least recently goes first, and what is pinned does not go.
//! - After a power cut everything is as it was at some time before: a part is known only after its bytes were flushed, and
//!   files that nothing names are removed at the next start.
//! - When a file is removed or expires, what is here of its content is removed.
//!
//! # On the disk
//!
//! `content/` in the data directory has segments: files with up to [`CHUNKS_OF_SEGMENT`] chunks of one content, or with nodes of
//! its tree, one after the other. They are ciphertext as the backbone has it, without a header. Their names are random
//! numbers; which contents they belong to is in the node's store, which is sealed. Whoever can read the directory learns how
//! much is stored, and, with the ciphertext of a backbone beside it, which of its files.
//!
//! Files of format `v1` are not stored: nothing less than the whole of one can be verified.
//!
//! # Inside
//!
//! ```text
//! reads ──> State (what is where, a lock for a moment) ──> segment on a blocking thread, or Source, sealed again
//! puts  ──> bounded queue ──> Writer (one task): makes room in State, writes, flushes, commits the records
//! ```

mod open;
mod put;
mod records;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod writer;

use std::io::ErrorKind;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use durable::disk::Disk;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::{debug, info};
use transport::content::{Layout, Root};
use transport::wire::{FileId, Timestamp};

pub(crate) use self::put::{Keeping, UploadedContent};
use self::source::KeptSource;
use self::state::{Number, PinRefusal, Place, State};
use self::writer::Message;
use crate::blocking::blocking;
use crate::chunk_buffers::ChunkBuffers;
use crate::clock::Clock;
use crate::config::ContentStoreConfig;
use crate::store::Store;
use crate::{Error, Result};

/// Name of the directory in the data directory.
pub(crate) const DIRECTORY: &str = "content";
/// What the names of values begin with whose rest is the id of a file that lives without being in the collection of files.
pub(crate) const DIRECT_FILE: &str = "DirectFile/";
/// Chunks in a segment, at most.
pub(crate) const CHUNKS_OF_SEGMENT: usize = 16;
/// Contents of which something can be here. More small ones would cost more in records and files than they spare.
pub(crate) const MAX_CONTENTS: usize = 10_000;
/// Chunks that wait to be written. A download that has more does without storing them.
pub(crate) const MAX_WAITING_CHUNKS: usize = 8;

/// What identifies a content, and how long its file lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownContent {
    pub(crate) file: FileId,
    pub(crate) root: Root,
    pub(crate) layout: Layout,
    pub(crate) expires_at: Timestamp,
}

/// How much a content store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ContentUsage {
    /// Bytes of its files.
    pub bytes: u64,
    /// The most that these may be; 0 if the store is off.
    pub max_size: u64,
    /// Contents of which something is stored.
    pub contents: usize,
    /// Contents that do not make room for others.
    pub pinned: usize,
    /// Contents whose chunks are sealed again from files of this machine.
    pub sources: usize,
}

/// The content store of a node; see the [module](self). Clones share it.
#[derive(Clone)]
pub(crate) struct ContentStore {
    /// None if it is off: then there is nothing, and nothing is stored.
    running: Option<Running>,
}

#[derive(Clone)]
struct Running {
    shared: Arc<Shared>,
    messages: mpsc::UnboundedSender<Message>,
    /// A permit for each chunk that waits.
    waiting: Arc<Semaphore>,
}

/// What readers and the writer share.
struct Shared {
    config: ContentStoreConfig,
    disk: Arc<dyn Disk>,
    /// Weak, because the data directory is free as soon as the node has dropped the store.
    store: Weak<Store>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    sources: Mutex<source::Recent>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ContentStore {
    /// One that has and takes nothing.
    pub(crate) fn off() -> Self {
        Self { running: None }
    }

    /// A sealed chunk, with its tag. Sealed anew if its file is on this machine.
    pub(crate) async fn chunk(&self, root: &Root, index: u64, buffers: &ChunkBuffers) -> Option<Vec<u8>> {
        let running = self.running.as_ref()?;
        let (number, layout, has_source) = running.alive(root)?;
        let place = layout.sealed_chunk(index).ok()?;
        if let Some(sealed) = running.read(root, place).await {
            return Some(sealed);
        }
        if has_source { running.seal_again((number, &layout, root), index, buffers).await } else { None }
    }

    /// Bytes of the tree, by their place in the blob.
    pub(crate) async fn tree(&self, root: &Root, place: Range<u64>) -> Option<Vec<u8>> {
        let running = self.running.as_ref()?;
        let (_, layout, _) = running.alive(root)?;
        let tree = layout.tree();
        let is_within = tree.start <= place.start && place.end <= tree.end;
        if is_within { running.read(root, place).await } else { None }
    }

    /// The first of these chunks that is here, or the end: up to there they can be fetched in one request.
    pub(crate) fn first_stored(&self, root: &Root, chunks: Range<u64>) -> u64 {
        match &self.running {
            Some(running) => running.shared.state().first_stored(root, chunks, running.shared.clock.now()),
            None => chunks.end,
        }
    }

    /// Whether chunks of a content can be sealed again from files of this machine.
    pub(crate) fn has_source(&self, root: &Root) -> bool {
        self.running.as_ref().and_then(|running| running.alive(root)).is_some_and(|(_, _, has_source)| has_source)
    }

    /// Whether all chunks of a content are stored, with the whole tree.
    pub(crate) fn is_whole(&self, root: &Root) -> bool {
        let Some(running) = &self.running else { return false };
        running.shared.state().is_whole(root, running.shared.clock.now())
    }

    /// Bytes that it may have at most; 0 if it is off.
    pub(crate) fn max_size(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.shared.config.max_size)
    }

    /// # Errors
    /// [`Error::NotSupported`] if it is off.
    pub(crate) fn check_is_on(&self) -> Result<()> {
        self.running.as_ref().map(drop).ok_or_else(is_off)
    }

    /// Keeps a content from making room for others. What is not here of it is not fetched by that.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] if all pinned contents together would be larger than the store,
    /// [`Error::NotSupported`] if it is off.
    pub(crate) async fn pin(&self, content: KnownContent) -> Result<()> {
        let running = self.running.as_ref().ok_or_else(is_off)?;
        let max_size = running.shared.config.max_size;
        let refused = |refusal| {
            Error::InvalidPropertyValue(match refusal {
                PinRefusal::TooLarge(needed) => format!(
                    "the pinned files need {needed} bytes, but the content store has at most {max_size}; unpin others, \
                     or raise the setting enlace.contentStore.maxSize"
                ),
                PinRefusal::NotKept => {
                    format!("the file has expired, or {MAX_CONTENTS} others are pinned already")
                }
            })
        };
        let outcome = running.ask(|reply| Message::Pin { content, reply }).await;
        outcome.unwrap_or(Ok(())).map_err(refused)
    }

    /// Ends that.
    pub(crate) async fn unpin(&self, root: &Root) {
        if let Some(running) = &self.running {
            let root = *root;
            running.ask(|reply| Message::Unpin { root, reply }).await;
        }
    }

    /// Removes what is here of a content. It does not come back, not even after a power cut.
    pub(crate) async fn remove(&self, root: &Root) {
        if let Some(running) = &self.running {
            let root = *root;
            running.ask(|reply| Message::Remove { root, reply }).await;
        }
    }

    /// Removes the contents whose files are gone or have expired, in the background.
    pub(crate) fn sweep(&self) {
        if let Some(running) = &self.running {
            running.send(Message::Sweep);
        }
    }

    /// How much is here, after what waits was written and flushed.
    pub(crate) async fn usage(&self) -> ContentUsage {
        let Some(running) = &self.running else { return ContentUsage::default() };
        running.ask(Message::Flush).await;
        running.shared.state().usage()
    }

    /// Writes what waits, and ends the background work. Idempotent.
    pub(crate) async fn close(&self) {
        if let Some(running) = &self.running {
            running.ask(Message::Stop).await;
        }
    }
}

fn is_off() -> Error {
    Error::NotSupported("The content store is switched off; set enlace.contentStore.maxSize.".to_owned())
}

impl Running {
    fn send(&self, message: Message) {
        // The writer may have been stopped: then there is nothing to do any more.
        let _ = self.messages.send(message);
    }

    /// Waits for an answer of the writer; none if it was stopped.
    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.send(message(reply));
        answer.await.ok()
    }

    /// A content whose file has not expired.
    fn alive(&self, root: &Root) -> Option<(Number, Layout, bool)> {
        let state = self.shared.state();
        let number = state.alive(root, self.shared.clock.now())?;
        let content = state.content(number)?;
        Some((number, content.known.as_ref()?.layout, content.has_source))
    }

    /// Verified bytes of a blob, if all of them are stored.
    async fn read(&self, root: &Root, place: Range<u64>) -> Option<Vec<u8>> {
        let places = self.shared.state().locate(root, &place, self.shared.clock.now())?;
        let disk = self.shared.disk.clone();
        match blocking(move || read(&*disk, places)).await {
            Ok(bytes) => Some(bytes),
            Err(Unread::Damaged(segment)) => {
                info!("a part of the content store is damaged or missing, and is dropped");
                self.send(Message::Drop(segment));
                None
            }
            Err(Unread::Failed(error)) => {
                debug!(%error, "the content store cannot be read");
                None
            }
        }
    }

    async fn seal_again(
        &self,
        (number, layout, root): (Number, &Layout, &Root),
        index: u64,
        buffers: &ChunkBuffers,
    ) -> Option<Vec<u8>> {
        let hash = self.read(root, layout.hash_of_chunk(index).ok()?).await?;
        let kept = self.source(number, layout.length()).await?;
        let buffer = buffers.take();
        match blocking(move || kept.seal(index, &hash, buffer)).await {
            Ok(sealed) => Some(sealed),
            Err(error) => {
                if !error.is_lasting() {
                    debug!(%error, "a shared file cannot be read");
                    return None;
                }
                info!(%error, "a shared file is not what it was; it is not read any more, and its chunks are fetched from the backbone if that has them");
                self.shared.state().set_source(number, false);
                self.send(Message::DropSource(number));
                None
            }
        }
    }

    /// A source, read from its record unless it was used lately.
    async fn source(&self, number: Number, length: u64) -> Option<Arc<KeptSource>> {
        let recent = || self.shared.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = recent().get(number) {
            return Some(kept);
        }
        let store = self.shared.store.upgrade()?;
        let found = blocking(move || records::source(&store, number, length)).await;
        let found = found.unwrap_or_else(|error| {
            debug!(%error, "a source cannot be read");
            None
        });
        let Some((source, key)) = found else {
            self.send(Message::DropSource(number));
            return None;
        };
        let kept = Arc::new(KeptSource::new(source, &key));
        recent().put(number, kept.clone());
        Some(kept)
    }
}

/// Why bytes are not there.
enum Unread {
    /// This segment does not have them.
    Damaged(Number),
    /// It may have them: there were too many open files, for instance.
    Failed(std::io::Error),
}

/// The bytes at these places. Blocks.
fn read(disk: &dyn Disk, places: Vec<Place>) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::with_capacity(places.iter().map(|place| place.wanted.len()).sum());
    for Place { segment, offset, part, wanted } in places {
        let mut found = vec![0; part.length as usize];
        let file = disk.open(&records::name_of(segment));
        match file.and_then(|file| file.read_at(&mut found, offset)) {
            Ok(()) if part.is(&found) => {}
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {
                return Err(Unread::Failed(error));
            }
            Ok(()) | Err(_) => return Err(Unread::Damaged(segment)),
        }
        match wanted.len() == found.len() && bytes.is_empty() {
            true => bytes = found,
            false => bytes.extend_from_slice(&found[wanted]),
        }
    }
    Ok(bytes)
}
