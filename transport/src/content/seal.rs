//! Sealing a content whose length need not be known, from its start to its end (specification, section 8).

use super::key::chunk_buffer;
use super::{CHUNK_LENGTH, ChunkPlace, ContentError, ContentKey, Layout, MAX_CHUNKS, Tree, TreeBuilder};
use crate::crypto::SecretKey;

/// Turns a content into a blob, piece by piece. The bytes appended to `out`, in order, are the blob.
///
/// Keeps one chunk, because whether it is the last is known only when another byte or the end comes, and the hashes of all. To use
/// several threads, or to go on after an interruption, call [`ContentKey::seal_chunk`] and collect the hashes in a
/// [`TreeBuilder`].
pub struct Sealer {
    key: ContentKey,
    /// Plaintext of the chunk that has begun; empty at the start only.
    chunk: Vec<u8>,
    hashes: TreeBuilder,
}

impl Sealer {
    /// Starts a blob. The key must be a fresh one.
    #[must_use]
    pub fn new(file_key: &SecretKey, out: &mut Vec<u8>) -> Self {
        let key = ContentKey::new(file_key);
        out.extend_from_slice(key.header().as_bytes());
        Self { key, chunk: chunk_buffer(), hashes: TreeBuilder::new() }
    }

    /// Seals the next piece of the content, of any length.
    ///
    /// # Errors
    /// [`ContentError::TooLong`] beyond [`MAX_CONTENT_LENGTH`](super::MAX_CONTENT_LENGTH).
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), ContentError> {
        while !piece.is_empty() {
            if self.chunk.len() as u64 == CHUNK_LENGTH {
                self.seal(false, out)?;
            }
            let (head, rest) = piece.split_at(piece.len().min(CHUNK_LENGTH as usize - self.chunk.len()));
            self.chunk.extend_from_slice(head);
            piece = rest;
        }
        Ok(())
    }

    fn seal(&mut self, is_last: bool, out: &mut Vec<u8>) -> Result<(), ContentError> {
        let index = self.hashes.count();
        if !is_last && index + 1 == MAX_CHUNKS {
            return Err(ContentError::TooLong);
        }
        let hash = self.key.seal_chunk(ChunkPlace { index, is_last }, &mut self.chunk)?;
        self.hashes.push(&hash);
        out.extend_from_slice(&self.chunk);
        self.chunk.clear();
        Ok(())
    }

    /// Ends the blob.
    ///
    /// # Errors
    /// None that a caller could cause; the result is that of sealing the last chunk.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Tree, ContentError> {
        let layout = Layout::of(self.hashes.count() * CHUNK_LENGTH + self.chunk.len() as u64)?;
        self.seal(true, out)?;
        let tree = std::mem::take(&mut self.hashes).finish(self.key.header(), &layout)?;
        out.extend_from_slice(tree.as_bytes());
        Ok(tree)
    }
}

/// The plaintext of the chunk that has begun is wiped.
impl Drop for Sealer {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.chunk);
    }
}
