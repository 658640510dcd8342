//! Seals chunks again from files of this machine.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;

use transport::content::{ChunkHash, ContentError, ContentKey, Layout};
use transport::crypto::SecretKey;
use zeroize::Zeroizing;

use super::state::Number;
use crate::source::{Source, SourceError};

/// Sources that are kept in memory. Each has the names of all its files.
const RECENT: usize = 4;

/// Why a chunk cannot be sealed again.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealAgainError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl SealAgainError {
    /// Whether another attempt is of no use.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Source(SourceError::Unreadable { source, .. }) => matches!(
                source.kind(),
                ErrorKind::NotFound
                    | ErrorKind::PermissionDenied
                    | ErrorKind::NotADirectory
                    | ErrorKind::IsADirectory
                    | ErrorKind::InvalidInput
            ),
            Self::Source(_) | Self::Content(_) => true,
        }
    }
}

/// A source, and the key by which it was sealed.
pub(super) struct KeptSource {
    source: Source,
    key: ContentKey,
}

impl KeptSource {
    pub(super) fn new(source: Source, key: &SecretKey) -> Self {
        Self { source, key: ContentKey::new(key) }
    }

    /// The sealed chunk, which has this hash, in an empty buffer. Blocks.
    ///
    /// # Errors
    /// Those of a file that is gone or has changed: no byte of it leaves.
    pub(super) fn seal(&self, index: u64, hash: &[u8], buffer: Vec<u8>) -> Result<Vec<u8>, SealAgainError> {
        let layout = Layout::of(self.source.length())?;
        let place = layout.place(index)?;
        let hash = hash.first_chunk().ok_or(ContentError::Range)?;
        let mut chunk = Zeroizing::new(buffer);
        self.source.read_at(layout.content_of(index), &mut chunk)?;
        self.key.seal_again(place, &mut chunk, &ChunkHash::from_bytes(*hash))?;
        // Ciphertext from here on.
        Ok(std::mem::take(&mut *chunk))
    }
}

/// The sources that were used last.
#[derive(Default)]
pub(super) struct Recent(VecDeque<(Number, Arc<KeptSource>)>);

impl Recent {
    pub(super) fn get(&self, number: Number) -> Option<Arc<KeptSource>> {
        self.0.iter().find(|(other, _)| *other == number).map(|(_, kept)| kept.clone())
    }

    pub(super) fn put(&mut self, number: Number, kept: Arc<KeptSource>) {
        self.remove(number);
        self.0.truncate(RECENT - 1);
        self.0.push_front((number, kept));
    }

    pub(super) fn remove(&mut self, number: Number) {
        self.0.retain(|(other, _)| *other != number);
    }
}
