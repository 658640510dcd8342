//! Verification of a whole blob while it arrives, without a key (specification, section 10.2).

use std::fmt;

use super::header::Header;
use super::layout::BlobPart;
use super::{ChunkHash, ContentError, Layout, Root, Tree, TreeBuilder};
use crate::crypto::{ContextHash, HashContext};

/// A blob of known length that is being received, hashed in one pass. Keeps the hashes only: 32 bytes for each MiB.
pub struct ReceivingBlob {
    layout: Layout,
    /// Bytes so far.
    position: u64,
    /// The header, as far as it has come: at most 48 bytes.
    header: Vec<u8>,
    /// Over the chunk that has begun.
    chunk: ContextHash,
    hashes: TreeBuilder,
    /// The tree over all chunks, from the last of them on.
    tree: Option<Tree>,
}

impl ReceivingBlob {
    /// The state before the first byte of a blob with this layout.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let chunk = ContextHash::new(HashContext::Chunk);
        Self { layout, position: 0, header: Vec::new(), chunk, hashes: TreeBuilder::new(), tree: None }
    }

    /// Bytes so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Processes the next piece, of any length.
    ///
    /// # Errors
    /// Those of [`Header::parse`]; [`ContentError::Tree`] as soon as a byte of the tree is not that over the chunks;
    /// [`ContentError::Length`] if there are more bytes than the layout says. The blob is not to be continued then.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), ContentError> {
        while !piece.is_empty() {
            let (part, range) = self.layout.part_at(self.position).map_err(|_| ContentError::Length)?;
            let missing = usize::try_from(range.end - self.position).unwrap_or(usize::MAX);
            let (head, rest) = piece.split_at(piece.len().min(missing));
            self.take(part, (self.position - range.start) as usize, head)?;
            self.position += head.len() as u64;
            if self.position == range.end {
                self.end_of(part)?;
            }
            piece = rest;
        }
        Ok(())
    }

    fn take(&mut self, part: BlobPart, start: usize, bytes: &[u8]) -> Result<(), ContentError> {
        match part {
            BlobPart::Header => self.header.extend_from_slice(bytes),
            BlobPart::Chunk(_) => self.chunk.update(bytes),
            BlobPart::Tree => {
                let expected = self.tree.as_ref().and_then(|tree| tree.as_bytes().get(start..start + bytes.len()));
                if expected != Some(bytes) {
                    return Err(ContentError::Tree);
                }
            }
        }
        Ok(())
    }

    fn end_of(&mut self, part: BlobPart) -> Result<(), ContentError> {
        match part {
            BlobPart::Header => {
                Header::parse(&self.header)?;
            }
            BlobPart::Chunk(_) => {
                let hash = std::mem::replace(&mut self.chunk, ContextHash::new(HashContext::Chunk)).finish();
                self.hashes.push(&ChunkHash::from_bytes(hash));
                if self.hashes.count() == self.layout.chunk_count() {
                    let hashes = std::mem::take(&mut self.hashes);
                    self.tree = Some(hashes.finish(&Header::parse(&self.header)?, &self.layout)?);
                }
            }
            BlobPart::Tree => {}
        }
        Ok(())
    }

    /// Ends the blob, and returns its tree.
    ///
    /// # Errors
    /// [`ContentError::Length`] if bytes are missing, [`ContentError::Root`] if the blob does not have the announced root.
    pub fn finish(self, announced: &Root) -> Result<Tree, ContentError> {
        match self.tree {
            Some(tree) if self.position == self.layout.blob_length() => {
                if tree.root() == announced {
                    Ok(tree)
                } else {
                    Err(ContentError::Root)
                }
            }
            _ => Err(ContentError::Length),
        }
    }
}

impl fmt::Debug for ReceivingBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivingBlob")
            .field("layout", &self.layout)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
