//! The tree of hashes over the sealed chunks (specification, section 6).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::header::Header;
use super::layout::{HASH_LENGTH, NODE_HASHES};
use super::{ContentError, Layout};
use crate::crypto::{ContextHash, HashContext};
use crate::wire::bytes::{ByteTextError, from_base64url, to_base64url};

/// The hash of a sealed chunk or of a node of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkHash([u8; HASH_LENGTH as usize]);

impl ChunkHash {
    /// The hash of a sealed chunk, tag included.
    #[must_use]
    pub fn of(sealed: &[u8]) -> Self {
        Self::in_context(HashContext::Chunk, [sealed])
    }

    /// Wraps the bytes of a hash.
    #[must_use]
    pub fn from_bytes(bytes: [u8; HASH_LENGTH as usize]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; HASH_LENGTH as usize] {
        &self.0
    }

    pub(super) fn of_node(hashes: &[u8]) -> Self {
        Self::in_context(HashContext::Node, [hashes])
    }

    fn in_context<'a>(context: HashContext, parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = ContextHash::new(context);
        parts.into_iter().for_each(|part| hash.update(part));
        Self(hash.finish())
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base64url(&self.0))
    }
}

/// What names a content: the hash over header, length and tree. Its text form is base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Root([u8; Self::LENGTH]);

impl Root {
    /// Length in bytes.
    pub const LENGTH: usize = HASH_LENGTH as usize;

    /// Wraps the bytes of a root.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// `BLAKE3-derive_key(root, header ‖ length as 8 bytes little-endian ‖ top level of the tree)`.
    pub(super) fn of(header: &Header, layout: &Layout, top: &[u8]) -> Self {
        let length = layout.length().to_le_bytes();
        Self(ChunkHash::in_context(HashContext::Root, [header.as_bytes().as_slice(), &length, top]).0)
    }
}

impl FromStr for Root {
    type Err = ByteTextError;

    fn from_str(text: &str) -> Result<Self, ByteTextError> {
        from_base64url(text)?.try_into().map(Self).map_err(|_| ByteTextError)
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base64url(&self.0))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Root {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Collects the hashes of chunks in their order: 32 bytes of memory for each MiB.
#[derive(Clone, Default)]
pub struct TreeBuilder {
    /// The hashes one after the other.
    chunks: Vec<u8>,
}

impl TreeBuilder {
    /// The state before the first chunk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the hash of the next chunk.
    pub fn push(&mut self, chunk: &ChunkHash) {
        self.chunks.extend_from_slice(&chunk.0);
    }

    /// Goes on with hashes that were [kept](Self::as_bytes).
    ///
    /// # Errors
    /// [`ContentError::Tree`] if the bytes are not whole hashes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ContentError> {
        let is_whole = (bytes.len() as u64).is_multiple_of(HASH_LENGTH);
        if is_whole { Ok(Self { chunks: bytes.to_vec() }) } else { Err(ContentError::Tree) }
    }

    /// The hashes so far, one after the other.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.chunks
    }

    /// Number of hashes so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.chunks.len() as u64 / HASH_LENGTH
    }

    /// The tree over a content with this header and layout.
    ///
    /// # Errors
    /// [`ContentError::Length`] unless there is one hash for each chunk of the layout.
    pub fn finish(self, header: &Header, layout: &Layout) -> Result<Tree, ContentError> {
        if self.count() != layout.chunk_count() {
            return Err(ContentError::Length);
        }
        let mut levels = vec![self.chunks];
        for below in 0..layout.levels() - 1 {
            let nodes = levels[below].chunks((NODE_HASHES * HASH_LENGTH) as usize);
            levels.push(nodes.flat_map(|node| ChunkHash::of_node(node).0).collect());
        }
        let root = Root::of(header, layout, &levels[layout.levels() - 1]);
        Ok(Tree { root, layout: *layout, bytes: levels.concat() })
    }
}

/// The whole tree of a content, as the blob ends with it: 32 bytes for each MiB, and 1/256 more.
#[derive(Clone, PartialEq, Eq)]
pub struct Tree {
    root: Root,
    layout: Layout,
    bytes: Vec<u8>,
}

impl Tree {
    /// Reads the tree of a blob, and verifies it.
    ///
    /// # Errors
    /// [`ContentError::Tree`] for another length or if its levels contradict each other, [`ContentError::Root`] for another root.
    pub fn verify(root: &Root, layout: &Layout, header: &Header, bytes: &[u8]) -> Result<Self, ContentError> {
        let place = layout.tree();
        if bytes.len() as u64 != place.end - place.start {
            return Err(ContentError::Tree);
        }
        let chunks = bytes[..(layout.chunk_count() * HASH_LENGTH) as usize].to_vec();
        let tree = TreeBuilder { chunks }.finish(header, layout)?;
        if tree.root != *root {
            // An altered top level, or all else: what is told apart is for whom to ask again.
            let top = layout.top();
            let announced = Root::of(header, layout, &bytes[(top.start - place.start) as usize..]) == *root;
            return Err(if announced { ContentError::Tree } else { ContentError::Root });
        }
        if tree.bytes == bytes { Ok(tree) } else { Err(ContentError::Tree) }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The layout of the content.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The bytes at [`Layout::tree`] of the blob: the levels from the hashes of the chunks upwards.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The hash of a chunk.
    ///
    /// # Errors
    /// [`ContentError::Range`] if it does not exist.
    pub fn chunk(&self, index: u64) -> Result<ChunkHash, ContentError> {
        self.layout.place(index)?;
        let start = (index * HASH_LENGTH) as usize;
        let bytes = self.bytes[start..].first_chunk().ok_or(ContentError::Range)?;
        Ok(ChunkHash(*bytes))
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("root", &self.root).field("layout", &self.layout).finish_non_exhaustive()
    }
}
