//! Sealing and opening single chunks (specification, sections 3 and 4).

use subtle::ConstantTimeEq as _;

use super::error::ChunkRefusal;
use super::header::Header;
use super::{CHUNK_LENGTH, ChunkHash, ChunkPlace, ContentError};
use crate::crypto::{ChunkCipher, SecretKey, TAG_LENGTH, key_commitment};

/// What is derived from the key of a file. Wiped from memory when dropped.
///
/// The key of a file seals one content, ever: each chunk has the same nonce each time, so two plaintexts at the same place
/// would reveal each other. Whoever seals a chunk a second time must use [`seal_again`](Self::seal_again).
pub struct ContentKey {
    cipher: ChunkCipher,
    header: Header,
}

impl ContentKey {
    /// Derives from the key of a file, which the metadata carry.
    #[must_use]
    pub fn new(file_key: &SecretKey) -> Self {
        Self { cipher: ChunkCipher::new(file_key), header: Header::with(&key_commitment(file_key)) }
    }

    /// The header of the content, with the commitment to this key.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Checks that a content was sealed with this key. Has to come before any chunk is opened.
    ///
    /// # Errors
    /// [`ContentError::WrongKey`] if it was sealed with another.
    pub fn check(&self, header: &Header) -> Result<(), ContentError> {
        let is_own: bool = self.header.as_bytes().ct_eq(header.as_bytes()).into();
        if is_own { Ok(()) } else { Err(ContentError::WrongKey) }
    }

    /// Seals a chunk in place, appends its tag, and returns its hash. A pure function: chunks may be sealed in any order and in
    /// parallel. A buffer with a capacity of [`SEALED_CHUNK_LENGTH`](super::SEALED_CHUNK_LENGTH) is not reallocated.
    ///
    /// # Errors
    /// [`ContentError::ChunkLength`] unless the chunk has [`CHUNK_LENGTH`] bytes, or 1 to that if it is the last; only chunk 0
    /// may be empty. [`ContentError::TooLong`] beyond [`MAX_CHUNKS`](super::MAX_CHUNKS). The buffer is as before then.
    pub fn seal_chunk(&self, place: ChunkPlace, chunk: &mut Vec<u8>) -> Result<ChunkHash, ContentError> {
        let nonce = place.nonce(chunk.len())?;
        let (tag, hash) = self.cipher.seal(&nonce, chunk);
        chunk.extend_from_slice(&tag);
        Ok(ChunkHash::from_bytes(hash))
    }

    /// Seals a chunk that has been sealed before, from a source that may have changed since.
    ///
    /// # Errors
    /// [`ContentError::SourceChanged`] if the sealed chunk does not have the expected hash: it must never leave the process, so
    /// the buffer is empty then. Like [`seal_chunk`](Self::seal_chunk) else.
    pub fn seal_again(&self, place: ChunkPlace, chunk: &mut Vec<u8>, expected: &ChunkHash) -> Result<(), ContentError> {
        let outcome = match self.seal_chunk(place, chunk) {
            Ok(hash) if hash == *expected => return Ok(()),
            Ok(_) | Err(ContentError::ChunkLength { .. }) => Err(ContentError::SourceChanged { index: place.index }),
            Err(error) => Err(error),
        };
        zeroize::Zeroize::zeroize(chunk);
        outcome
    }

    /// Opens a sealed chunk in place and removes its tag, for a reader that has no root yet because the upload goes on. The header
    /// has to be [checked](Self::check) before. With a root, use [`Opener`](super::Opener).
    ///
    /// # Errors
    /// [`ContentError::ChunkLength`] if no chunk at this place has this length, [`ContentError::Decryption`] if it does not open
    /// there. The buffer is empty then.
    pub fn open_chunk(&self, place: ChunkPlace, sealed: &mut Vec<u8>) -> Result<(), ContentError> {
        self.open(place, sealed, None)
    }

    /// The same for a chunk that must have a hash.
    pub(super) fn open(
        &self,
        place: ChunkPlace,
        sealed: &mut Vec<u8>,
        expected: Option<&ChunkHash>,
    ) -> Result<(), ContentError> {
        let outcome = self.try_open(place, sealed, expected);
        match outcome {
            Ok(()) => sealed.truncate(sealed.len() - TAG_LENGTH),
            Err(_) => sealed.clear(),
        }
        outcome
    }

    fn try_open(&self, place: ChunkPlace, sealed: &mut [u8], expected: Option<&ChunkHash>) -> Result<(), ContentError> {
        let index = place.index;
        let (chunk, tag) = sealed.split_last_chunk_mut::<TAG_LENGTH>().ok_or(ContentError::ChunkLength { index })?;
        let nonce = place.nonce(chunk.len())?;
        let accept = expected.map(|expected| {
            |hash: &[u8; 32]| if hash == expected.as_bytes() { Ok(()) } else { Err(ChunkRefusal::Altered) }
        });
        self.cipher.open(&nonce, chunk, tag, accept).map_err(ContentError::of_chunk(index))
    }
}

/// An empty buffer that takes any chunk, sealed or not, without being reallocated.
#[must_use]
pub fn chunk_buffer() -> Vec<u8> {
    Vec::with_capacity(CHUNK_LENGTH as usize + TAG_LENGTH)
}
