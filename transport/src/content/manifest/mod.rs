//! Several files and folders as one content (specification, section 9).
//!
//! ```text
//! content  = manifest ‖ bytes of the first file ‖ bytes of the second file ‖ …
//! manifest = [1, [[path, size or null, mode or null, time or null], …]]      in deterministic CBOR
//! ```
//!
//! The length of the manifest stands in the metadata. Where each file begins follows from the sizes before it, so entries can neither
//! overlap nor leave gaps.

mod collisions;
mod encoding;
mod error;
mod path;

use std::ops::Range;

pub use error::ManifestError;
pub use path::{MAX_DEPTH, MAX_NAME_LENGTH, MAX_PATH_LENGTH, PathError, RelativePath};

use super::MAX_CONTENT_LENGTH;
use crate::wire::Timestamp;

/// Maximum number of entries.
pub const MAX_ENTRIES: usize = 100_000;

/// Maximum length of a manifest in bytes: 160 for each of the most entries.
pub const MAX_MANIFEST_LENGTH: usize = 16 << 20;

/// The highest mode: permissions only. What changes whose rights a program has does not travel.
pub const MAX_MODE: u16 = 0o777;

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it belongs below the folder that the receiver chooses.
    pub path: RelativePath,
    /// What it is.
    pub kind: EntryKind,
    /// Permissions as on Unix, at most [`MAX_MODE`].
    pub mode: Option<u16>,
    /// When it was last changed.
    pub modified_at: Option<Timestamp>,
}

/// What an entry is. There are no links: see the specification, section 9.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File {
        /// Its bytes.
        size: u64,
    },
    /// A folder. Only those need an entry that are empty, or whose mode or time matters.
    Folder,
}

/// The entries of a content, in their order, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<Entry>,
    /// Where the bytes of each entry begin within the content.
    starts: Vec<u64>,
    /// Bytes of the encoding.
    length: u64,
    content_length: u64,
}

impl Manifest {
    /// Puts entries in their order and checks them.
    ///
    /// # Errors
    /// [`ManifestError`] names the rule that they break. The numbers in it count in the order of the manifest.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, ManifestError> {
        entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Self::of_sorted(entries)
    }

    /// Reads the manifest at the head of a content of `content_length` bytes.
    ///
    /// # Errors
    /// [`ManifestError`] names what is wrong.
    pub fn decode(bytes: &[u8], content_length: u64) -> Result<Self, ManifestError> {
        let manifest = Self::decode_ahead(bytes)?;
        if manifest.content_length == content_length { Ok(manifest) } else { Err(ManifestError::Sizes) }
    }

    /// Reads the manifest of a content whose length is not known yet: it must be [`content_length`](Self::content_length).
    ///
    /// # Errors
    /// [`ManifestError`] names what is wrong.
    pub fn decode_ahead(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest = Self::of_sorted(encoding::decode(bytes)?)?;
        if encoding::is_encoding_of(bytes, &manifest.entries) { Ok(manifest) } else { Err(ManifestError::Malformed) }
    }

    fn of_sorted(entries: Vec<Entry>) -> Result<Self, ManifestError> {
        check(&entries)?;
        collisions::check(&entries)?;
        let length = encoding::length(&entries);
        if length > MAX_MANIFEST_LENGTH as u64 {
            return Err(ManifestError::TooLong);
        }
        let (mut starts, mut end) = (Vec::with_capacity(entries.len()), length);
        for entry in &entries {
            starts.push(end);
            end = end.checked_add(entry.size()).ok_or(ManifestError::Sizes)?;
        }
        let is_possible = end <= MAX_CONTENT_LENGTH;
        if is_possible { Ok(Self { entries, starts, length, content_length: end }) } else { Err(ManifestError::Sizes) }
    }

    /// The encoding, [`length`](Self::length) bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encoding::encode(&self.entries, self.length)
    }

    /// Bytes of the encoding, with which the content begins.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of the content: the manifest and all files.
    #[must_use]
    pub fn content_length(&self) -> u64 {
        self.content_length
    }

    /// The entries in their order, which is that of their bytes in the content.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Number of the entry with a path.
    #[must_use]
    pub fn find(&self, path: &RelativePath) -> Option<usize> {
        self.entries.binary_search_by(|entry| entry.path.cmp(path)).ok()
    }

    /// The bytes of the content that are those of an entry; none for a folder.
    #[must_use]
    pub fn content_of(&self, index: usize) -> Option<Range<u64>> {
        let (start, entry) = (*self.starts.get(index)?, self.entries.get(index)?);
        Some(start..start + entry.size())
    }
}

impl Entry {
    /// Bytes of content: 0 for a folder.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self.kind {
            EntryKind::File { size } => size,
            EntryKind::Folder => 0,
        }
    }
}

/// Checks what concerns one entry, and the order.
fn check(entries: &[Entry]) -> Result<(), ManifestError> {
    if entries.is_empty() {
        return Err(ManifestError::Empty);
    }
    if entries.len() > MAX_ENTRIES {
        return Err(ManifestError::TooManyEntries);
    }
    if let Some(index) = entries.iter().position(|entry| entry.mode.is_some_and(|mode| mode > MAX_MODE)) {
        return Err(ManifestError::Attributes { index });
    }
    match entries.windows(2).position(|pair| pair[0].path >= pair[1].path) {
        Some(index) => Err(ManifestError::Order { index: index + 1 }),
        None => Ok(()),
    }
}
