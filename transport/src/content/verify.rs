//! Verification of any part of a blob from its root alone, without a key (specification, section 7).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;

use super::header::Header;
use super::layout::{HASH_LENGTH, NODE_HASHES, TreePart};
use super::{ChunkHash, ContentError, Layout, Root};

/// Maximum number of nodes with hashes of chunks that a verifier keeps, 8 MiB of them: those for 256 GiB of content. The oldest go first.
pub const MAX_KEPT_NODES: usize = 1024;

/// Verifies chunks against a root.
///
/// It is made of the header and the [top](Layout::top) of the tree. The other nodes are added as chunks are [asked for](Self::missing).
pub struct Verifier {
    header: Header,
    layout: Layout,
    /// Hashes one after the other.
    top: Box<[u8]>,
    /// Verified nodes below the top, by level and number. At most [`MAX_KEPT_NODES`] of level 0, and 256 of level 1.
    nodes: HashMap<(usize, u64), Box<[u8]>>,
    /// The nodes of level 0, oldest first.
    oldest: VecDeque<u64>,
}

/// A sealed chunk that has the hash in the tree. The key is not known to be right.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedChunk<'a> {
    /// The number of the chunk.
    pub index: u64,
    /// The chunk with its tag.
    pub sealed: &'a [u8],
}

impl Verifier {
    /// Starts with the first [`HEADER_LENGTH`](super::HEADER_LENGTH) bytes of the blob and those at [`Layout::top`].
    ///
    /// # Errors
    /// Those of [`Header::parse`]; [`ContentError::Root`] if header, length and top level do not have this root.
    pub fn new(root: &Root, layout: Layout, header: &[u8], top: &[u8]) -> Result<Self, ContentError> {
        let header = Header::parse(header)?;
        let place = layout.top();
        if top.len() as u64 != place.end - place.start || Root::of(&header, &layout, top) != *root {
            return Err(ContentError::Root);
        }
        Ok(Self { header, layout, top: top.into(), nodes: HashMap::new(), oldest: VecDeque::new() })
    }

    /// The layout of the content.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The header, which is verified.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What has to be [added](Self::add), in this order, before these chunks can be verified: at most one part for each level
    /// below the top, so at most two. Asks for the hashes of at most [`MAX_KEPT_NODES`] nodes, from the first chunk on.
    ///
    /// # Errors
    /// [`ContentError::Range`] if a chunk does not exist.
    pub fn missing(&self, chunks: &Range<u64>) -> Result<Vec<TreePart>, ContentError> {
        self.layout.sealed(chunks)?;
        let below_top = if chunks.is_empty() { 0..0 } else { 0..self.layout.levels() - 1 };
        Ok(below_top.rev().filter_map(|level| self.missing_at(level, chunks)).collect())
    }

    fn missing_at(&self, level: usize, chunks: &Range<u64>) -> Option<TreePart> {
        let chunks_of_node = (0..=level).fold(1, |chunks, _| chunks * NODE_HASHES);
        let first = chunks.start / chunks_of_node;
        let end = chunks.end.div_ceil(chunks_of_node).min(first + MAX_KEPT_NODES as u64);
        let mut missing = (first..end).filter(|node| !self.nodes.contains_key(&(level, *node)));
        let first = missing.next()?;
        let last = missing.next_back().unwrap_or(first);
        Some(self.layout.tree_part(level, first..last + 1))
    }

    /// Adds the bytes of a part of the tree.
    ///
    /// # Errors
    /// [`ContentError::Tree`] if they are not those of the tree with the root; nothing wrong is kept.
    pub fn add(&mut self, part: &TreePart, bytes: &[u8]) -> Result<(), ContentError> {
        let known = part.level + 1 < self.layout.levels() && part.nodes.start < part.nodes.end;
        if !known || part.blob.end - part.blob.start != bytes.len() as u64 {
            return Err(ContentError::Tree);
        }
        for (node, hashes) in part.nodes.clone().zip(bytes.chunks((NODE_HASHES * HASH_LENGTH) as usize)) {
            if self.hash_at(part.level + 1, node) != Some(ChunkHash::of_node(hashes)) {
                return Err(ContentError::Tree);
            }
            self.keep(part.level, node, hashes);
        }
        Ok(())
    }

    fn keep(&mut self, level: usize, node: u64, hashes: &[u8]) {
        if self.nodes.insert((level, node), hashes.into()).is_some() || level > 0 {
            return;
        }
        self.oldest.push_back(node);
        if self.oldest.len() > MAX_KEPT_NODES
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.nodes.remove(&(0, oldest));
        }
    }

    /// The hash of a chunk, if the parts of the tree that verify it have been added.
    ///
    /// # Errors
    /// [`ContentError::Range`] if the chunk does not exist, [`ContentError::MissingHashes`] if parts of the tree are missing.
    pub fn chunk(&self, index: u64) -> Result<ChunkHash, ContentError> {
        self.layout.place(index)?;
        self.hash_at(0, index).ok_or(ContentError::MissingHashes { index })
    }

    fn hash_at(&self, level: usize, index: u64) -> Option<ChunkHash> {
        let is_top = level + 1 == self.layout.levels();
        let (hashes, place) = match is_top {
            true => (&self.top, index),
            false => (self.nodes.get(&(level, index / NODE_HASHES))?, index % NODE_HASHES),
        };
        let bytes = hashes.get((place * HASH_LENGTH) as usize..)?.first_chunk()?;
        Some(ChunkHash::from_bytes(*bytes))
    }

    /// Verifies a sealed chunk, tag included. For whoever has no key, or passes it on.
    ///
    /// # Errors
    /// Like [`chunk`](Self::chunk); [`ContentError::ChunkLength`] and [`ContentError::AlteredChunk`] if it is not that chunk.
    pub fn verify<'a>(&self, index: u64, sealed: &'a [u8]) -> Result<VerifiedChunk<'a>, ContentError> {
        let expected = self.chunk(index)?;
        let place = self.layout.sealed_chunk(index)?;
        if sealed.len() as u64 != place.end - place.start {
            return Err(ContentError::ChunkLength { index });
        }
        if ChunkHash::of(sealed) != expected {
            return Err(ContentError::AlteredChunk { index });
        }
        Ok(VerifiedChunk { index, sealed })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("layout", &self.layout)
            .field("nodes", &self.nodes.len())
            .finish_non_exhaustive()
    }
}
