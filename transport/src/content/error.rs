//! Errors of the content format.

#[cfg(feature = "client")]
use crate::crypto::CryptoError;

/// Why content cannot be sealed, verified or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The header, the manifest or the metadata name a format that came after this program.
    #[error("content is in a format that this version cannot read; update the program, and try again")]
    NeedsNewerReader,
    /// The bytes do not begin with the header of the format.
    #[error("content does not begin with the header of format v2")]
    Header,
    /// The content belongs to another key: the key is wrong, or the content is that of another file.
    #[error("content was sealed with another key")]
    WrongKey,
    /// Header, length and top level of the tree do not have the expected root.
    #[error("content is not the announced one: its root differs; download it again")]
    Root,
    /// Part of the tree does not have the hash that its parent names, or has another length than asked for.
    #[error("hashes of the content were altered; download them again")]
    Tree,
    /// The part of the tree that verifies a chunk has not been added.
    #[error("hashes of chunk {index} are missing")]
    MissingHashes {
        /// Number of the chunk.
        index: u64,
    },
    /// A chunk does not have the hash in the tree.
    #[error("chunk {index} was altered; download it again")]
    AlteredChunk {
        /// Number of the chunk.
        index: u64,
    },
    /// A chunk is longer or shorter than a chunk at its place is.
    #[error("chunk {index} has a wrong length")]
    ChunkLength {
        /// Number of the chunk.
        index: u64,
    },
    /// A chunk does not open at its place; why is deliberately not told.
    #[error("chunk {index} could not be decrypted: the key is wrong or the content was altered")]
    Decryption {
        /// Number of the chunk.
        index: u64,
    },
    /// The source of the content is not any more what was sealed.
    #[error("chunk {index} of the source has changed since it was sealed; share it anew")]
    SourceChanged {
        /// Number of the chunk.
        index: u64,
    },
    /// A length that no content can have.
    #[error("no content of format v2 has this length")]
    Length,
    /// The content exceeds [`MAX_CONTENT_LENGTH`](super::MAX_CONTENT_LENGTH).
    #[error("content is larger than 16 TiB")]
    TooLong,
    /// Chunks or bytes beyond the end were asked for.
    #[error("range is beyond the end of the content")]
    Range,
}

#[cfg(feature = "client")]
impl ContentError {
    /// The error of one chunk, with its number.
    pub(super) fn of_chunk(index: u64) -> impl FnOnce(ChunkRefusal) -> Self {
        move |refusal| match refusal {
            ChunkRefusal::Altered => Self::AlteredChunk { index },
            ChunkRefusal::Decryption => Self::Decryption { index },
        }
    }
}

/// What is wrong with a chunk.
#[cfg(feature = "client")]
pub(super) enum ChunkRefusal {
    Altered,
    Decryption,
}

#[cfg(feature = "client")]
impl From<CryptoError> for ChunkRefusal {
    fn from(_: CryptoError) -> Self {
        Self::Decryption
    }
}
