//! XChaCha20-Poly1305 of one chunk in memory, hashed in the same pass.
//!
//! Cipher, authenticator and hash take turns over pieces of the chunk, so that each finds the piece in the processor's cache.

use zeroize::Zeroize as _;

use super::context_hash::{self, ContextHash, HashContext};
use super::{CryptoError, NONCE_LENGTH, SecretKey, StreamOpener, StreamSealer, TAG_LENGTH};

/// Bytes that are encrypted, authenticated and hashed in turn. Measured: all three together are a twentieth slower in pieces of
/// 16 KiB, which leave BLAKE3 less to do at once.
const PIECE_LENGTH: usize = 128 * 1024;

/// The cipher of the chunks of one file.
pub(crate) struct ChunkCipher(SecretKey);

impl ChunkCipher {
    /// Derives the key of the chunks from the key of the file.
    pub(crate) fn new(file_key: &SecretKey) -> Self {
        Self(SecretKey::from_bytes(context_hash::derive(HashContext::ChunkKey, file_key)))
    }

    /// Encrypts in place, and returns the tag and the hash of ciphertext and tag. A nonce must be used for one plaintext only.
    pub(crate) fn seal(&self, nonce: &[u8; NONCE_LENGTH], chunk: &mut [u8]) -> ([u8; TAG_LENGTH], [u8; 32]) {
        let (mut cipher, mut hash) = (StreamSealer::new(&self.0, nonce), ContextHash::new(HashContext::Chunk));
        for piece in chunk.chunks_mut(PIECE_LENGTH) {
            cipher.encrypt(piece);
            hash.update(piece);
        }
        let tag = cipher.finish();
        hash.update(&tag);
        (tag, hash.finish())
    }

    /// Decrypts in place. Unless `accept` takes the hash of ciphertext and tag and the tag is right, the chunk is wiped.
    pub(crate) fn open<E: From<CryptoError>>(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        chunk: &mut [u8],
        tag: &[u8; TAG_LENGTH],
        accept: Option<impl FnOnce(&[u8; 32]) -> Result<(), E>>,
    ) -> Result<(), E> {
        let mut hash = accept.is_some().then(|| ContextHash::new(HashContext::Chunk));
        let mut cipher = StreamOpener::new(&self.0, nonce);
        for piece in chunk.chunks_mut(PIECE_LENGTH) {
            if let Some(hash) = &mut hash {
                hash.update(piece);
            }
            cipher.decrypt(piece);
        }
        let hash = hash.map(|mut hash| {
            hash.update(tag);
            hash.finish()
        });
        let accepted = accept.zip(hash).map_or(Ok(()), |(accept, hash)| accept(&hash));
        let outcome = accepted.and_then(|()| Ok(cipher.finish(tag)?));
        if outcome.is_err() {
            chunk.zeroize();
        }
        outcome
    }
}

/// A text that only one key has, and from which nothing of the key can be computed.
pub(crate) fn key_commitment(file_key: &SecretKey) -> [u8; 32] {
    context_hash::derive(HashContext::KeyCommitment, file_key)
}
