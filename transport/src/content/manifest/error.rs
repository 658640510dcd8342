//! Errors of manifests.

use super::{MAX_ENTRIES, MAX_MANIFEST_LENGTH, PathError, RelativePath};

/// Why a manifest cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A version that came after this program.
    #[error("list of files is in a format that this version cannot read; update the program, and try again")]
    NeedsNewerReader,
    /// The bytes are not a manifest in its only encoding.
    #[error("list of files is malformed")]
    Malformed,
    /// No entries.
    #[error("list of files is empty")]
    Empty,
    /// More than [`MAX_ENTRIES`] entries.
    #[error("more than {MAX_ENTRIES} files and folders; share an archive of them instead")]
    TooManyEntries,
    /// More than [`MAX_MANIFEST_LENGTH`] bytes.
    #[error("list of files is longer than {} MiB; share an archive of them instead", MAX_MANIFEST_LENGTH >> 20)]
    TooLong,
    /// A path breaks a rule.
    #[error("entry {index} of the list of files: {reason}")]
    Path {
        /// Number of the entry, from 0.
        index: usize,
        /// The rule.
        reason: PathError,
    },
    /// A mode or time is out of range.
    #[error("entry {index} of the list of files has an invalid mode or time")]
    Attributes {
        /// Number of the entry, from 0.
        index: usize,
    },
    /// An entry is listed twice, or before one that it follows.
    #[error("entry {index} of the list of files is not in its order")]
    Order {
        /// Number of the entry, from 0.
        index: usize,
    },
    /// Two paths that some file systems take for one.
    #[error("\"{first}\" and \"{second}\" are one and the same on some systems; rename one of them")]
    Collision {
        /// One path.
        first: RelativePath,
        /// The other path.
        second: RelativePath,
    },
    /// Something is listed as being in a file.
    #[error("\"{path}\" is listed as a file and as a folder")]
    FileAsFolder {
        /// The file.
        path: RelativePath,
    },
    /// The sizes do not add up to the length of the content, or exceed the largest content.
    #[error("sizes in the list of files do not add up to the length of the content")]
    Sizes,
}
