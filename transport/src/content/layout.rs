//! Where everything is: a function of the length of the content alone (specification, section 5).

use std::ops::Range;

use super::ContentError;
use super::header::HEADER_LENGTH;

/// Bytes of plaintext in each chunk but the last.
pub const CHUNK_LENGTH: u64 = 1 << 20;

/// Bytes of the authentication tag behind each chunk.
const TAG_LENGTH: u64 = 16;

/// Bytes that a chunk takes in the blob, for each but the last.
pub const SEALED_CHUNK_LENGTH: u64 = CHUNK_LENGTH + TAG_LENGTH;

/// Maximum number of chunks: three full levels of the tree.
pub const MAX_CHUNKS: u64 = 1 << 24;

/// Maximum length of the content in bytes, 16 TiB.
pub const MAX_CONTENT_LENGTH: u64 = MAX_CHUNKS * CHUNK_LENGTH;

/// Bytes of a hash.
pub const HASH_LENGTH: u64 = 32;

/// Hashes in a node of the tree, and maximum number of hashes in its top level.
pub const NODE_HASHES: u64 = 256;

/// The layout of a blob. All ranges within a blob count from its start.
///
/// ```text
/// blob = header ‖ chunk 0 ‖ tag 0 ‖ chunk 1 ‖ tag 1 ‖ … ‖ level 0 of the tree ‖ level 1 ‖ …
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// At most [`MAX_CONTENT_LENGTH`].
    length: u64,
}

/// A chunk's number and whether it is the last one. Both are authenticated with the chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPlace {
    /// The number, from 0.
    pub index: u64,
    /// Whether the content ends with it.
    pub is_last: bool,
}

/// One of the parts that follow each other in a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobPart {
    /// The header.
    Header,
    /// A sealed chunk, by its number.
    Chunk(u64),
    /// The tree.
    Tree,
}

/// Consecutive hashes of one level of the tree, as whole nodes, and where the blob has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreePart {
    pub(super) level: usize,
    /// Numbers of the nodes in their level.
    pub(super) nodes: Range<u64>,
    /// The bytes of the blob.
    pub blob: Range<u64>,
}

impl Layout {
    /// The layout for a content of `length` bytes.
    ///
    /// # Errors
    /// [`ContentError::TooLong`] beyond [`MAX_CONTENT_LENGTH`].
    pub const fn of(length: u64) -> Result<Self, ContentError> {
        if length > MAX_CONTENT_LENGTH { Err(ContentError::TooLong) } else { Ok(Self { length }) }
    }

    /// The layout of a blob of `blob_length` bytes: no two contents of different lengths have blobs of the same length.
    ///
    /// # Errors
    /// [`ContentError::Length`] if no blob has this length.
    pub fn of_blob(blob_length: u64) -> Result<Self, ContentError> {
        // The number of chunks is the smallest with which a blob can be that long.
        let (mut low, mut high) = (1, MAX_CHUNKS);
        while low < high {
            let middle = low.midpoint(high);
            let fits = Self { length: middle * CHUNK_LENGTH }.blob_length() >= blob_length;
            (low, high) = if fits { (low, middle) } else { (middle + 1, high) };
        }
        let full = Self { length: low * CHUNK_LENGTH };
        let missing = full.blob_length().checked_sub(blob_length).ok_or(ContentError::Length)?;
        let layout = Self { length: full.length.checked_sub(missing).ok_or(ContentError::Length)? };
        if layout.blob_length() == blob_length { Ok(layout) } else { Err(ContentError::Length) }
    }

    /// The number of chunks that are complete and not the last, if `available` bytes of a blob that still grows are there and
    /// its length is not known. Bytes behind a chunk may be those of the tree, so the last chunks are not counted.
    #[must_use]
    pub fn chunks_within(available: u64) -> u64 {
        let (mut low, mut high) = (0, MAX_CHUNKS);
        while low < high {
            let middle = low.midpoint(high) + 1;
            let is_certain = Self { length: middle * CHUNK_LENGTH }.blob_length() < available;
            (low, high) = if is_certain { (middle, high) } else { (low, middle - 1) };
        }
        low
    }

    /// Bytes of the content.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Number of chunks: at least one, which is empty if the content is.
    #[must_use]
    pub const fn chunk_count(&self) -> u64 {
        if self.length == 0 { 1 } else { self.length.div_ceil(CHUNK_LENGTH) }
    }

    /// Bytes of the blob.
    #[must_use]
    pub fn blob_length(&self) -> u64 {
        self.tree().end
    }

    /// The place of a chunk.
    ///
    /// # Errors
    /// [`ContentError::Range`] beyond the last.
    pub fn place(&self, index: u64) -> Result<ChunkPlace, ContentError> {
        let count = self.chunk_count();
        if index < count { Ok(ChunkPlace { index, is_last: index + 1 == count }) } else { Err(ContentError::Range) }
    }

    /// The bytes of the content in a chunk that exists.
    #[must_use]
    pub fn content_of(&self, index: u64) -> Range<u64> {
        let start = index.saturating_mul(CHUNK_LENGTH).min(self.length);
        start..start.saturating_add(CHUNK_LENGTH).min(self.length)
    }

    /// The numbers of the chunks with these bytes of the content; none for an empty range.
    ///
    /// # Errors
    /// [`ContentError::Range`] if the range goes beyond the end.
    pub fn chunks_with(&self, content: &Range<u64>) -> Result<Range<u64>, ContentError> {
        if content.end > self.length || content.start > content.end {
            return Err(ContentError::Range);
        }
        let start = content.start / CHUNK_LENGTH;
        Ok(if content.is_empty() { start..start } else { start..content.end.div_ceil(CHUNK_LENGTH) })
    }

    /// The part of a chunk's plaintext that belongs to a range of the content.
    #[must_use]
    pub fn part_of_chunk(&self, index: u64, content: &Range<u64>) -> Range<usize> {
        let chunk = self.content_of(index);
        let within = |position: u64| position.clamp(chunk.start, chunk.end) - chunk.start;
        within(content.start) as usize..within(content.end) as usize
    }

    /// The bytes of the blob with these sealed chunks, tags included, one after the other.
    ///
    /// # Errors
    /// [`ContentError::Range`] if one does not exist.
    pub fn sealed(&self, chunks: &Range<u64>) -> Result<Range<u64>, ContentError> {
        if chunks.end > self.chunk_count() || chunks.start > chunks.end {
            return Err(ContentError::Range);
        }
        let position = |index: u64| self.tree().start.min(HEADER_LENGTH as u64 + index * SEALED_CHUNK_LENGTH);
        Ok(position(chunks.start)..position(chunks.end))
    }

    /// The bytes of one sealed chunk.
    ///
    /// # Errors
    /// [`ContentError::Range`] if it does not exist.
    pub fn sealed_chunk(&self, index: u64) -> Result<Range<u64>, ContentError> {
        self.sealed(&(index..index.saturating_add(1)))
    }

    /// The part of the blob that has the byte at a position, and all bytes of that part. For whoever continues a transfer there.
    ///
    /// # Errors
    /// [`ContentError::Range`] beyond the end.
    pub fn part_at(&self, position: u64) -> Result<(BlobPart, Range<u64>), ContentError> {
        let (header, tree) = (HEADER_LENGTH as u64, self.tree());
        if position < header {
            return Ok((BlobPart::Header, 0..header));
        }
        if position < tree.start {
            let index = (position - header) / SEALED_CHUNK_LENGTH;
            return Ok((BlobPart::Chunk(index), self.sealed_chunk(index)?));
        }
        if position < tree.end { Ok((BlobPart::Tree, tree)) } else { Err(ContentError::Range) }
    }

    /// The bytes of the blob with the tree.
    #[must_use]
    pub fn tree(&self) -> Range<u64> {
        let start = HEADER_LENGTH as u64 + self.length + self.chunk_count() * TAG_LENGTH;
        start..start + (0..self.levels()).map(|level| self.hashes(level) * HASH_LENGTH).sum::<u64>()
    }

    /// The bytes of the blob with the top level of the tree, at most 8 KiB at its end.
    #[must_use]
    pub fn top(&self) -> Range<u64> {
        let end = self.tree().end;
        end - self.hashes(self.levels() - 1) * HASH_LENGTH..end
    }

    /// The bytes of the blob with the hash of a chunk.
    ///
    /// # Errors
    /// [`ContentError::Range`] if the chunk does not exist.
    pub fn hash_of_chunk(&self, index: u64) -> Result<Range<u64>, ContentError> {
        self.place(index)?;
        let start = self.tree().start + index * HASH_LENGTH;
        Ok(start..start + HASH_LENGTH)
    }

    /// The bytes of the blob with each node of the tree, in their order: at most 8 KiB each, the last of them is the top level.
    pub fn tree_nodes(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let layout = *self;
        (0..layout.levels()).flat_map(move |level| {
            let nodes = layout.hashes(level).div_ceil(NODE_HASHES);
            (0..nodes).map(move |node| layout.tree_part(level, node..node + 1).blob)
        })
    }

    /// Number of levels of the tree, 1 to 3.
    pub(super) fn levels(&self) -> usize {
        let mut levels = 1;
        while self.hashes(levels - 1) > NODE_HASHES {
            levels += 1;
        }
        levels
    }

    /// Number of hashes in a level; level 0 has those of the chunks.
    pub(super) fn hashes(&self, level: usize) -> u64 {
        (0..level).fold(self.chunk_count(), |count, _| count.div_ceil(NODE_HASHES))
    }

    /// Whole nodes of a level.
    pub(super) fn tree_part(&self, level: usize, nodes: Range<u64>) -> TreePart {
        let start = self.tree().start + (0..level).map(|below| self.hashes(below) * HASH_LENGTH).sum::<u64>();
        let position = |node: u64| start + (node * NODE_HASHES).min(self.hashes(level)) * HASH_LENGTH;
        TreePart { level, blob: position(nodes.start)..position(nodes.end), nodes }
    }
}

impl ChunkPlace {
    /// The nonce: number, marker of the last chunk, and in the last chunk the length of the content; little-endian.
    ///
    /// `length` is that of the chunk's plaintext.
    ///
    /// # Errors
    /// [`ContentError::ChunkLength`] if no chunk at this place has this length.
    #[cfg(feature = "client")]
    pub(super) fn nonce(self, length: usize) -> Result<[u8; crate::crypto::NONCE_LENGTH], ContentError> {
        let Self { index, is_last } = self;
        let length = length as u64;
        let is_possible = match is_last {
            true => length <= CHUNK_LENGTH && (length > 0 || index == 0),
            false => length == CHUNK_LENGTH,
        };
        if index >= MAX_CHUNKS {
            return Err(ContentError::TooLong);
        }
        if !is_possible {
            return Err(ContentError::ChunkLength { index });
        }
        let total = if is_last { index * CHUNK_LENGTH + length } else { 0 };
        let mut nonce = [0; crate::crypto::NONCE_LENGTH];
        nonce[..8].copy_from_slice(&index.to_le_bytes());
        nonce[8] = u8::from(is_last);
        nonce[16..].copy_from_slice(&total.to_le_bytes());
        Ok(nonce)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(length: u64) -> Layout {
        Layout::of(length).unwrap()
    }

    #[test]
    fn lengths_around_a_chunk_have_the_expected_layout() {
        for (length, chunks, blob) in [
            (0, 1, 48 + 16 + 32),
            (1, 1, 48 + 1 + 16 + 32),
            (CHUNK_LENGTH - 1, 1, 48 + CHUNK_LENGTH - 1 + 16 + 32),
            (CHUNK_LENGTH, 1, 48 + CHUNK_LENGTH + 16 + 32),
            (CHUNK_LENGTH + 1, 2, 48 + CHUNK_LENGTH + 1 + 32 + 64),
            (256 * CHUNK_LENGTH, 256, 48 + 256 * (CHUNK_LENGTH + 16 + 32)),
            (256 * CHUNK_LENGTH + 1, 257, 48 + 256 * CHUNK_LENGTH + 1 + 257 * 48 + 64),
        ] {
            let layout = layout(length);
            assert_eq!((layout.chunk_count(), layout.blob_length()), (chunks, blob), "{length}");
        }
    }

    #[test]
    fn the_nodes_of_a_tree_follow_each_other_and_end_with_its_top() {
        for chunks in [1, 256, 257, 512, 256 * 256, 256 * 256 + 1, 256 * 256 + 257] {
            let layout = layout(chunks * CHUNK_LENGTH);
            let nodes: Vec<_> = layout.tree_nodes().collect();
            assert_eq!((nodes[0].start, nodes.last()), (layout.tree().start, Some(&layout.top())), "{chunks}");
            assert!(nodes.windows(2).all(|pair| pair[0].end == pair[1].start), "{chunks}");
            assert!(nodes.iter().all(|node| (1..=NODE_HASHES * HASH_LENGTH).contains(&(node.end - node.start))));
            assert_eq!(nodes.len() as u64, (0..layout.levels()).map(|it| layout.hashes(it).div_ceil(256)).sum::<u64>());
            let last = layout.hash_of_chunk(chunks - 1).unwrap();
            assert_eq!(last.end - layout.tree().start, chunks * HASH_LENGTH);
            assert_eq!(layout.hash_of_chunk(chunks), Err(ContentError::Range));
        }
    }

    #[test]
    fn the_largest_content_has_three_full_levels() {
        let largest = layout(MAX_CONTENT_LENGTH);
        assert_eq!(largest.chunk_count(), MAX_CHUNKS);
        assert_eq!((0..3).map(|level| largest.hashes(level)).collect::<Vec<_>>(), [1 << 24, 1 << 16, 1 << 8]);
        assert_eq!(largest.levels(), 3);
        assert_eq!(Layout::of(MAX_CONTENT_LENGTH + 1), Err(ContentError::TooLong));
        assert_eq!(Layout::of_blob(largest.blob_length()), Ok(largest));
        assert_eq!(Layout::of_blob(largest.blob_length() + 1), Err(ContentError::Length));
        assert_eq!(Layout::of_blob(u64::MAX), Err(ContentError::Length));
        assert_eq!(Layout::chunks_within(u64::MAX), MAX_CHUNKS);
    }

    #[test]
    fn no_blob_is_shorter_than_that_of_nothing() {
        assert_eq!(Layout::of_blob(96), Layout::of(0));
        (0..96).for_each(|length| assert_eq!(Layout::of_blob(length), Err(ContentError::Length)));
    }

    #[test]
    fn some_lengths_are_those_of_no_blob() {
        // One byte more than a full chunk takes a second tag and a second hash.
        let full = layout(CHUNK_LENGTH).blob_length();
        (1..=48).for_each(|more| assert_eq!(Layout::of_blob(full + more), Err(ContentError::Length)));
        assert_eq!(Layout::of_blob(full + 49), Layout::of(CHUNK_LENGTH + 1));
    }

    proptest! {
        #[test]
        fn a_blob_length_names_one_content_length(length in 0..=MAX_CONTENT_LENGTH) {
            prop_assert_eq!(Layout::of_blob(layout(length).blob_length()), Layout::of(length));
        }

        #[test]
        fn what_precedes_the_tree_is_header_and_chunks(length in 0..=MAX_CONTENT_LENGTH) {
            let layout = layout(length);
            let all = layout.sealed(&(0..layout.chunk_count())).unwrap();
            prop_assert_eq!(all, 48..layout.tree().start);
        }

        #[test]
        fn parts_follow_each_other(length in 0..4 * CHUNK_LENGTH) {
            let layout = layout(length);
            let (mut position, mut parts) = (0, Vec::new());
            while let Ok((part, range)) = layout.part_at(position) {
                prop_assert_eq!(layout.part_at(range.end - 1), Ok((part, range.clone())));
                prop_assert_eq!(range.start, position);
                position = range.end;
                parts.push(part);
            }
            prop_assert_eq!((position, parts.len() as u64), (layout.blob_length(), layout.chunk_count() + 2));
            prop_assert_eq!(parts[1], BlobPart::Chunk(0));
        }

        #[test]
        fn chunks_that_are_certain_are_not_the_last(chunks in 1..2000_u64, more in 0..CHUNK_LENGTH, cut in 0..100_000_u64) {
            let layout = layout(chunks * CHUNK_LENGTH + more);
            let certain = Layout::chunks_within(layout.blob_length() - cut);
            prop_assert!(certain < layout.chunk_count());
            prop_assert!(layout.sealed(&(0..certain)).unwrap().end <= layout.blob_length() - cut);
            prop_assert!(certain + 3 >= layout.chunk_count());
        }

        #[test]
        fn parts_of_chunks_make_up_the_range(length in 1..4 * CHUNK_LENGTH, a in 0..1000_u64, b in 0..1000_u64) {
            let (a, b) = (a * length / 1000, b * length / 1000);
            let (layout, range) = (layout(length), a.min(b)..a.max(b));
            let parts = layout.chunks_with(&range).unwrap().map(|index| layout.part_of_chunk(index, &range));
            prop_assert_eq!(parts.map(|part| part.len() as u64).sum::<u64>(), range.end - range.start);
        }
    }

    #[test]
    fn ranges_beyond_the_end_are_refused() {
        let layout = layout(CHUNK_LENGTH + 1);
        assert_eq!(layout.chunks_with(&(0..CHUNK_LENGTH + 1)), Ok(0..2));
        assert_eq!(layout.chunks_with(&(CHUNK_LENGTH..CHUNK_LENGTH)), Ok(1..1));
        assert_eq!(layout.chunks_with(&(0..CHUNK_LENGTH + 2)), Err(ContentError::Range));
        #[expect(clippy::reversed_empty_ranges)]
        let reversed = 2..1;
        assert_eq!(layout.chunks_with(&reversed), Err(ContentError::Range));
        assert_eq!(layout.sealed_chunk(2), Err(ContentError::Range));
        assert_eq!(layout.sealed_chunk(u64::MAX), Err(ContentError::Range));
        assert_eq!(layout.place(2), Err(ContentError::Range));
    }
}
