//! Verified chunks of a file of format `v2`, in any order, fetched as they are asked for. In order, the next chunk is fetched
//! while another thread opens the one before. What the content store has is not fetched, and what is fetched goes there.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::task::JoinHandle;
use transport::content::{
    ChunkHash, ContentError, ContentKey, HEADER_LENGTH, Layout, Opener, Root, TreePart, Verifier,
};
use transport::crypto::SecretKey;
use transport::wire::{FileId, Timestamp};

use super::remote::{RemoteBlob, Run};
use super::{Observer, Phase, Progress};
use crate::blocking::joined;
use crate::code::ErrorCode;
use crate::content_store::{Keeping, KnownContent};
use crate::core::Core;
use crate::delivery::claims::Loading;
use crate::peer::{PathLog, Sender};
use crate::{Error, Result};

/// Chunks that are fetched or opened beside the one that is read.
const AHEAD: usize = 2;
/// Chunks that are asked for together after a jump; four times as many for each further request in order.
const FIRST_WINDOW: u64 = 4;
const WINDOW_GROWTH: u64 = 4;

/// Which chunks are going to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// All of them in order: one request.
    InOrder,
    /// Any of them.
    Jumping,
}

/// What identifies a content and opens it.
pub(super) struct ContentId {
    pub(super) id: FileId,
    pub(super) root: Root,
    pub(super) layout: Layout,
    pub(super) key: SecretKey,
    pub(super) expires_at: Timestamp,
}

impl ContentId {
    fn known(&self) -> KnownContent {
        let (file, root, layout, expires_at) = (self.id.clone(), self.root, self.layout, self.expires_at);
        KnownContent { file, root, layout, expires_at }
    }
}

/// A chunk on another thread.
struct Opening {
    index: u64,
    by: By,
    task: JoinHandle<Result<Vec<u8>, ContentError>>,
}

/// Where a sealed chunk is from.
#[derive(Clone, Copy)]
enum By {
    /// The content store, which has compared its hash.
    Store,
    /// Others, all of it this one; or several.
    Sender(Option<Sender>),
}

/// The chunks of a content. Nothing of a chunk is handed out before all of it is authenticated.
pub(super) struct Chunks {
    blob: RemoteBlob,
    root: Root,
    /// Takes what is fetched, if it is kept.
    keeping: Option<Arc<Keeping>>,
    layout: Layout,
    opener: Arc<RwLock<Opener>>,
    run: Option<Run>,
    /// Chunks that are being opened, in their order.
    opening: VecDeque<Opening>,
    /// The chunk to be fetched next.
    next: u64,
    /// Behind the last one that may be fetched.
    end: u64,
    /// Why the chunk `next` could not be fetched, if it was not the one that was asked for.
    failed: Option<Error>,
    /// The chunk that one sender is to send as a whole.
    whole: Option<u64>,
    is_in_order: bool,
    access: Access,
    window: u64,
    progress: Option<(Observer, u64)>,
    loading: Loading,
}

impl Chunks {
    /// Fetches and verifies what is needed before any chunk.
    pub(super) async fn start(
        core: Arc<Core>,
        content: &ContentId,
        chunks: Range<u64>,
        access: Access,
        observer: Option<&Observer>,
    ) -> Result<Self> {
        let layout = content.layout;
        let keeping = core.content_store.keep_download(content.known());
        let loading = Loading::of(core.clone(), content.id.clone());
        let mut blob = RemoteBlob::new(core, content.id.clone(), layout.blob_length());
        let mut run = None;
        let window = if access == Access::InOrder { u64::MAX } else { FIRST_WINDOW };
        let opener = match stored_opener(blob.core(), content).await {
            Some(opener) => opener,
            None => {
                let at_once = chunks.start..chunks.end.min(window);
                let (opener, top) = fetched_opener(&mut blob, content, at_once, &mut run).await?;
                if let Some(keeping) = &keeping {
                    keeping.try_tree(None, &top);
                }
                opener
            }
        };
        let length = layout.sealed(&chunks).map_or(0, |sealed| sealed.end - sealed.start);
        Ok(Self {
            blob,
            root: content.root,
            keeping,
            layout,
            opener: Arc::new(RwLock::new(opener)),
            run,
            opening: VecDeque::new(),
            next: chunks.start,
            end: chunks.end,
            failed: None,
            whole: None,
            is_in_order: false,
            access,
            window,
            progress: observer.map(|observer| (observer.clone(), length)),
            loading,
        })
    }

    /// The plaintext of a chunk. What is fetched ahead is for the chunks behind it.
    ///
    /// # Errors
    /// `cipherMismatch` if the backbone does not have the bytes that were uploaded, and its errors. May be called again then.
    pub(super) async fn chunk(&mut self, index: u64) -> Result<Vec<u8>> {
        loop {
            if self.opening.front().map_or(self.next, |first| first.index) != index {
                self.jump(index);
            }
            let wanted = if self.is_in_order { AHEAD } else { 1 };
            while self.opening.len() < wanted && self.next < self.end && self.failed.is_none() {
                match self.fetch(self.next).await {
                    Ok((sealed, by)) => self.open(sealed, by),
                    Err(error) => self.failed = Some(error),
                }
            }
            let Some(mut opening) = self.opening.pop_front() else {
                let beyond = || altered(self.blob.core(), ContentError::Range);
                return Err(self.failed.take().unwrap_or_else(beyond));
            };
            let opened = joined(&mut opening.task).await;
            self.is_in_order = opened.is_ok();
            match opened {
                Ok(chunk) => {
                    self.were_verified(index..index + 1);
                    return Ok(chunk);
                }
                Err(error) => {
                    let is_again = self.can_be_fetched_again(&opening, error);
                    self.jump(index);
                    if !is_again {
                        return Err(altered(self.blob.core(), error));
                    }
                }
            }
        }
    }

    /// Somebody has these chunks, and they are those of the content.
    pub(super) fn were_verified(&mut self, chunks: Range<u64>) {
        self.loading.has_verified(chunks, self.layout.chunk_count());
    }

    /// Takes back a chunk that was read, for the next ones.
    pub(super) fn give_back(&self, chunk: Vec<u8>) {
        self.blob.buffers().give_back(chunk);
    }

    /// Whether somebody else can send a chunk that was wrong.
    fn can_be_fetched_again(&mut self, wrong: &Opening, error: ContentError) -> bool {
        match wrong.by {
            By::Sender(Some(sender)) => {
                self.run = None;
                self.blob.were_wrong(sender, &error)
            }
            // Who of them sent wrong bytes shows if one sends all.
            By::Sender(None) => self.whole.replace(wrong.index) != Some(wrong.index),
            By::Store => false,
        }
    }

    /// The hash that a sealed chunk has, fetched together with those of the chunks behind it.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub(super) async fn hash(&mut self, index: u64) -> Result<ChunkHash> {
        self.fetch_hashes(index..self.layout.chunk_count()).await?;
        let hash = self.opener.read().unwrap_or_else(PoisonError::into_inner).verifier().chunk(index);
        hash.map_err(|error| self.altered(error))
    }

    /// By which paths bytes have come so far.
    pub(super) fn paths(&self) -> &PathLog {
        self.blob.paths()
    }

    fn jump(&mut self, index: u64) {
        self.opening.clear();
        self.failed = None;
        self.next = index;
        self.is_in_order = false;
        if self.access == Access::Jumping {
            self.window = FIRST_WINDOW;
        }
    }

    fn open(&mut self, mut sealed: Vec<u8>, by: By) {
        let (opener, index) = (self.opener.clone(), self.next);
        let slot = self.keeping.as_ref().filter(|_| matches!(by, By::Sender(_))).and_then(Keeping::slot);
        let task = tokio::task::spawn_blocking(move || {
            let opener = opener.read().unwrap_or_else(PoisonError::into_inner);
            let kept = slot.map(|slot| (slot, sealed.clone()));
            opener.open_chunk(index, &mut sealed)?;
            if let Some((slot, kept)) = kept {
                slot.take(index, kept, &opener.verifier().chunk(index)?);
            }
            Ok(sealed)
        });
        self.opening.push_back(Opening { index, by, task });
        self.next += 1;
    }

    /// A sealed chunk, and where it is from; when it is there, the hashes that verify it are too.
    async fn fetch(&mut self, index: u64) -> Result<(Vec<u8>, By)> {
        if self.first_stored(index) == index {
            self.fetch_hashes(index..index + 1).await?;
            if let Some(sealed) = self.blob.core().content_store.chunk(&self.root, index, self.blob.buffers()).await {
                self.run = None;
                self.report(index);
                return Ok((sealed, By::Store));
            }
        }
        let place = self.layout.sealed_chunk(index).map_err(|error| self.altered(error))?;
        let end = self.end.min(index.saturating_add(self.window)).min(self.first_stored(index + 1));
        self.fetch_hashes(index..end).await?;
        let run_end = self.layout.sealed(&(index..end)).map_err(|error| self.altered(error))?.end;
        if self.run.is_none() && self.is_in_order {
            self.window = self.window.saturating_mul(WINDOW_GROWTH);
        }
        let sealed = match self.whole {
            Some(whole) if whole == index => self.blob.bytes_of_one(place).await?,
            _ => self.blob.bytes(&mut self.run, place, run_end).await?,
        };
        self.loading.arrived(sealed.by.and_then(|by| by.path));
        self.report(index);
        Ok((sealed.bytes, By::Sender(sealed.by)))
    }

    /// The first chunk from this one on that is stored here, or the end.
    fn first_stored(&self, index: u64) -> u64 {
        self.blob.core().content_store.first_stored(&self.root, index..self.end)
    }

    /// Tells that a chunk is here.
    fn report(&self, index: u64) {
        if let Some((observer, total)) = &self.progress {
            let before = total.saturating_sub(self.left_behind(index));
            observer(Progress {
                phase: Phase::Downloading,
                bytes: before,
                total: Some(*total),
                resumed: 0,
                path: self.paths().last(),
            });
        }
    }

    /// Bytes of the sealed chunks behind this one.
    fn left_behind(&self, index: u64) -> u64 {
        self.layout.sealed(&(index + 1..self.end)).map_or(0, |sealed| sealed.end - sealed.start)
    }

    async fn fetch_hashes(&mut self, chunks: Range<u64>) -> Result<()> {
        let missing = {
            let opener = self.opener.read().unwrap_or_else(PoisonError::into_inner);
            // Hashes for the other chunks are asked for only if those of the first are not there.
            match opener.verifier().chunk(chunks.start) {
                Err(ContentError::MissingHashes { .. }) => opener.verifier().missing(&chunks),
                outcome => outcome.map(|_| Vec::new()),
            }
        };
        for part in missing.map_err(|error| self.altered(error))? {
            let stored = self.blob.core().content_store.tree(&self.root, part.blob.clone()).await;
            if stored.is_some_and(|bytes| self.add(&part, &bytes).is_ok()) {
                continue;
            }
            let bytes = loop {
                let fetched = self.blob.bytes_of_one(part.blob.clone()).await?;
                match self.add(&part, &fetched.bytes) {
                    Ok(()) => break fetched.bytes,
                    Err(error) if fetched.by.is_some_and(|by| self.blob.were_wrong(by, &error)) => {}
                    Err(error) => return Err(self.altered(error)),
                }
            };
            if let Some(keeping) = &self.keeping {
                keeping.try_tree(Some(&part), &bytes);
            }
        }
        Ok(())
    }

    fn add(&self, part: &TreePart, bytes: &[u8]) -> Result<(), ContentError> {
        self.opener.write().unwrap_or_else(PoisonError::into_inner).verifier_mut().add(part, bytes)
    }

    fn altered(&self, error: ContentError) -> Error {
        altered(self.blob.core(), error)
    }
}

/// What opens chunks, if the content store has the top of the tree. The header follows from the key.
async fn stored_opener(core: &Core, content: &ContentId) -> Option<Opener> {
    let top = core.content_store.tree(&content.root, content.layout.top()).await?;
    let key = ContentKey::new(&content.key);
    let verifier = Verifier::new(&content.root, content.layout, key.header().as_bytes(), &top).ok()?;
    Opener::new(&content.key, verifier).ok()
}

/// What opens chunks, and the top of the tree. The chunks are to be fetched next, so those that follow the header come with it.
async fn fetched_opener(
    blob: &mut RemoteBlob,
    content: &ContentId,
    chunks: Range<u64>,
    run: &mut Option<Run>,
) -> Result<(Opener, Vec<u8>)> {
    let layout = content.layout;
    let key = ContentKey::new(&content.key);
    loop {
        // The end first: it shows whether the backbone knows ranges.
        let top = blob.bytes_of_one(layout.top()).await?;
        let end = match chunks.start {
            0 if !chunks.is_empty() => {
                let missing = blob.core().content_store.first_stored(&content.root, chunks.clone());
                layout.sealed(&(0..missing)).map_err(|error| altered(blob.core(), error))?.end
            }
            _ => HEADER_LENGTH as u64,
        };
        let head = blob.bytes(run, 0..HEADER_LENGTH as u64, end).await?;
        let opener = Verifier::new(&content.root, layout, &head.bytes, &top.bytes)
            .and_then(|verifier| Opener::new(&content.key, verifier));
        let error = match opener {
            Ok(opener) => return Ok((opener, top.bytes)),
            Err(error) => error,
        };
        *run = None;
        let wrong = if head.bytes == key.header().as_bytes() { top.by } else { head.by };
        if !wrong.is_some_and(|by| blob.were_wrong(by, &error)) {
            return Err(altered(blob.core(), error));
        }
    }
}

fn altered(core: &Core, error: ContentError) -> Error {
    let code = match error {
        ContentError::NeedsNewerReader => ErrorCode::NeedsNewerReader,
        _ => ErrorCode::CipherMismatch,
    };
    core.transport_error(code, error.to_string())
}
