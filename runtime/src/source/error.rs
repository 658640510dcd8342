//! Why files on this machine cannot be a source.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use transport::content::manifest::ManifestError;

use super::shown;

/// What is wrong with a [`Source`](super::Source).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file or folder cannot be read.
    #[error("{} cannot be read", shown(path))]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// A file is not as it was: another one, or changed.
    #[error("{} has changed since it was looked at", shown(path))]
    Changed {
        /// Which one.
        path: PathBuf,
    },
    /// A file that says that it is empty and is not, as in `/proc`.
    #[error("{} does not tell its size", shown(path))]
    Unsized {
        /// Which one.
        path: PathBuf,
    },
    /// The files cannot be together in one content.
    #[error("these files cannot be shared together: {0}")]
    Manifest(#[from] ManifestError),
}

impl SourceError {
    pub(super) fn unreadable(path: &Path, error: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source: Arc::new(error) }
    }
}

impl From<SourceError> for io::Error {
    fn from(error: SourceError) -> Self {
        let kind = match &error {
            SourceError::Unreadable { source, .. } => source.kind(),
            SourceError::Changed { .. } | SourceError::Unsized { .. } | SourceError::Manifest(_) => {
                io::ErrorKind::InvalidData
            }
        };
        Self::new(kind, error)
    }
}
