//! What transfers leave in the content store. None of it can fail; what has no room, or comes faster than it can be written, is
//! not kept.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use transport::content::{CHUNK_LENGTH, ChunkHash, HEADER_LENGTH, SEALED_CHUNK_LENGTH, Tree, TreePart};
use transport::crypto::{SecretKey, random};

use super::state::Number;
use super::writer::{Message, Target};
use super::{ContentStore, KnownContent, MAX_WAITING_CHUNKS, Running};
use crate::source::Source;

/// A content that was just uploaded.
pub(crate) struct UploadedContent {
    pub(crate) content: KnownContent,
    pub(crate) key: SecretKey,
    pub(crate) tree: Tree,
    /// Files of this machine with the content, if it was read from such.
    pub(crate) source: Option<Source>,
}

/// Takes the chunks of one transfer.
pub(crate) struct Keeping {
    pub(super) running: Running,
    target: Target,
}

impl ContentStore {
    /// For the chunks of an upload that cannot be read again, if those are to be kept. Dropping it forgets them;
    /// [`uploaded`](Self::uploaded) says what they are.
    pub(crate) fn keep_upload(&self) -> Option<Keeping> {
        self.running.as_ref().filter(|running| running.shared.config.keep_uploads)?;
        self.keep_only_copy()
    }

    /// For the chunks of a content that is nowhere else, unless the store is off. As [`keep_upload`](Self::keep_upload), whatever the
    /// settings say of uploads.
    pub(crate) fn keep_only_copy(&self) -> Option<Keeping> {
        let running = self.running.clone()?;
        Some(Keeping { running, target: Target::Upload(u64::from_le_bytes(random::bytes())) })
    }

    /// For chunks that are fetched and verified, if those are to be kept.
    pub(crate) fn keep_download(&self, content: KnownContent) -> Option<Arc<Keeping>> {
        let running = self.running.clone().filter(|running| running.shared.config.keep_downloads)?;
        Some(Arc::new(Keeping { running, target: Target::Known(content) }))
    }

    /// Keeps what belongs to an uploaded content: its tree, the chunks that `keeping` took, and the reference to its source.
    pub(crate) fn uploaded(&self, content: UploadedContent, keeping: Option<Keeping>) {
        let Some(running) = &self.running else { return };
        let number = keeping.and_then(Keeping::into_upload);
        if number.is_some() || content.source.is_some() {
            running.send(Message::Uploaded(number, Box::new(content)));
        }
    }
}

impl Keeping {
    /// Takes a sealed chunk with this hash. Waits while many others wait to be written.
    pub(crate) async fn chunk(&self, index: u64, sealed: Vec<u8>, hash: &ChunkHash) {
        if let Ok(permit) = self.running.waiting.clone().acquire_owned().await {
            self.send_chunk(index, sealed, hash, permit);
        }
    }

    /// A place for one chunk, unless as many wait to be written as may.
    pub(crate) fn slot(self: &Arc<Self>) -> Option<Slot> {
        let permit = self.running.waiting.clone().try_acquire_owned().ok()?;
        Some(Slot { keeping: self.clone(), permit })
    }

    fn send_chunk(&self, index: u64, sealed: Vec<u8>, hash: &ChunkHash, permit: OwnedSemaphorePermit) {
        let start = HEADER_LENGTH as u64 + index * SEALED_CHUNK_LENGTH;
        self.running.send(Message::Chunk { target: self.target.clone(), start, sealed, hash: *hash, _permit: permit });
    }

    /// Takes verified nodes of the tree: the top, if no part is named.
    pub(crate) fn try_tree(&self, part: Option<&TreePart>, bytes: &[u8]) {
        let Target::Known(content) = &self.target else { return };
        let start = part.map_or(content.layout.top().start, |part| part.blob.start);
        if let Some(permit) = permits(&self.running.waiting, bytes.len()) {
            let (content, bytes) = (content.clone(), bytes.to_vec());
            self.running.send(Message::Tree { content, start, bytes, _permit: permit });
        }
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> Option<KnownContent> {
        match &self.target {
            Target::Known(content) => Some(content.clone()),
            Target::Upload(_) | Target::Taken => None,
        }
    }

    fn into_upload(mut self) -> Option<Number> {
        match std::mem::replace(&mut self.target, Target::Taken) {
            Target::Upload(number) => Some(number),
            Target::Known(_) | Target::Taken => None,
        }
    }
}

/// A place for one chunk among those that wait to be written.
pub(crate) struct Slot {
    keeping: Arc<Keeping>,
    permit: OwnedSemaphorePermit,
}

impl Slot {
    /// Takes a sealed chunk that was verified by this hash.
    pub(crate) fn take(self, index: u64, sealed: Vec<u8>, hash: &ChunkHash) {
        self.keeping.send_chunk(index, sealed, hash, self.permit);
    }
}

/// A permit for each chunk that so many bytes could be.
fn permits(waiting: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let chunks = (bytes as u64).div_ceil(CHUNK_LENGTH).min(MAX_WAITING_CHUNKS as u64);
    waiting.clone().try_acquire_many_owned(u32::try_from(chunks).ok()?).ok()
}

/// An upload that was given up is forgotten.
impl Drop for Keeping {
    fn drop(&mut self) {
        if let Target::Upload(number) = self.target {
            self.running.send(Message::Abandon(number));
        }
    }
}
