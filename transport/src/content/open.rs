//! Opening chunks in any order, verified from the root (specification, section 7).

use super::{ContentError, ContentKey, Verifier};
use crate::crypto::SecretKey;

/// Opens chunks of one content.
///
/// A pure function of each chunk, so chunks may be opened in any order and in parallel. Nothing is released that does not have
/// both the hash in the tree and a right tag.
pub struct Opener {
    key: ContentKey,
    verifier: Verifier,
}

impl Opener {
    /// Combines a verifier with the key of the file.
    ///
    /// # Errors
    /// [`ContentError::WrongKey`] if the content was sealed with another key.
    pub fn new(file_key: &SecretKey, verifier: Verifier) -> Result<Self, ContentError> {
        let key = ContentKey::new(file_key);
        key.check(verifier.header())?;
        Ok(Self { key, verifier })
    }

    /// The verifier.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The verifier, to add parts of the tree.
    #[must_use]
    pub fn verifier_mut(&mut self) -> &mut Verifier {
        &mut self.verifier
    }

    /// Opens a sealed chunk in place and removes its tag.
    ///
    /// # Errors
    /// Those of [`Verifier::verify`] and [`ContentError::Decryption`]. The buffer is empty then.
    pub fn open_chunk(&self, index: u64, sealed: &mut Vec<u8>) -> Result<(), ContentError> {
        match self.expected(index, sealed.len()) {
            Ok((place, expected)) => self.key.open(place, sealed, Some(&expected)),
            Err(error) => {
                sealed.clear();
                Err(error)
            }
        }
    }

    fn expected(&self, index: u64, length: usize) -> Result<(super::ChunkPlace, super::ChunkHash), ContentError> {
        let layout = self.verifier.layout();
        let (expected, sealed) = (self.verifier.chunk(index)?, layout.sealed_chunk(index)?);
        let has_length = length as u64 == sealed.end - sealed.start;
        if has_length { Ok((layout.place(index)?, expected)) } else { Err(ContentError::ChunkLength { index }) }
    }
}
