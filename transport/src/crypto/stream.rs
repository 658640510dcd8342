//! XChaCha20-Poly1305 piece by piece, equal to the one-shot construction (RFC 8439 section 2.8, empty associated data).
//!
//! The tag comes last, so no plaintext of [`StreamOpener`] may be used before `finish` has succeeded. Callers in
//! this crate process the ciphertext twice: once to verify it, once to read it.

use chacha20::cipher::{StreamCipher, StreamCipherSeek};
use chacha20::{KeyIvInit, XChaCha20};
use poly1305::universal_hash::{KeyInit, UniversalHash};
use poly1305::{Block, Poly1305};
use subtle::ConstantTimeEq;

use super::{CryptoError, NONCE_LENGTH, SecretKey, TAG_LENGTH};

const BLOCK_LENGTH: usize = 16;

/// Maximum number of bytes that one nonce can encrypt: 2^32 - 1 blocks, because block 0 keys the authenticator.
pub(crate) const MAX_STREAM_LENGTH: u64 = ((1 << 32) - 1) * 64;

/// Encrypts.
pub(crate) struct StreamSealer {
    keystream: XChaCha20,
    authenticator: Authenticator,
}

impl StreamSealer {
    pub(crate) fn new(key: &SecretKey, nonce: &[u8; NONCE_LENGTH]) -> Self {
        let (keystream, authenticator) = start(key, nonce);
        Self { keystream, authenticator }
    }

    /// Encrypts the next piece in place. The total must not exceed [`MAX_STREAM_LENGTH`].
    pub(crate) fn encrypt(&mut self, piece: &mut [u8]) {
        self.keystream.apply_keystream(piece);
        self.authenticator.update(piece);
    }

    pub(crate) fn finish(self) -> [u8; TAG_LENGTH] {
        self.authenticator.finish()
    }
}

/// Decrypts.
pub(crate) struct StreamOpener {
    keystream: XChaCha20,
    authenticator: Authenticator,
}

impl StreamOpener {
    pub(crate) fn new(key: &SecretKey, nonce: &[u8; NONCE_LENGTH]) -> Self {
        let (keystream, authenticator) = start(key, nonce);
        Self { keystream, authenticator }
    }

    /// Decrypts the next piece in place; it is not authenticated yet. The total must not exceed
    /// [`MAX_STREAM_LENGTH`].
    pub(crate) fn decrypt(&mut self, piece: &mut [u8]) {
        self.authenticator.update(piece);
        self.keystream.apply_keystream(piece);
    }

    /// Verifies the tag over everything decrypted so far.
    pub(crate) fn finish(self, tag: &[u8; TAG_LENGTH]) -> Result<(), CryptoError> {
        if self.authenticator.finish().ct_eq(tag).into() { Ok(()) } else { Err(CryptoError::Decryption) }
    }
}

/// Block 0 of the keystream keys the authenticator; encryption starts at block 1.
fn start(key: &SecretKey, nonce: &[u8; NONCE_LENGTH]) -> (XChaCha20, Authenticator) {
    let mut keystream = XChaCha20::new(key.expose().into(), nonce.into());
    let mut authenticator_key = zeroize::Zeroizing::new([0; 32]);
    keystream.apply_keystream(authenticator_key.as_mut_slice());
    keystream.seek(64_u32);
    let authenticator = Authenticator {
        state: Poly1305::new((&*authenticator_key).into()),
        partial: [0; BLOCK_LENGTH],
        partial_length: 0,
        length: 0,
    };
    (keystream, authenticator)
}

/// Poly1305 over the ciphertext, which arrives in pieces of any length.
struct Authenticator {
    state: Poly1305,
    /// The start of a block that is not complete yet.
    partial: [u8; BLOCK_LENGTH],
    /// Always less than a block.
    partial_length: usize,
    length: u64,
}

impl Authenticator {
    fn update(&mut self, mut piece: &[u8]) {
        self.length += piece.len() as u64;
        if self.partial_length > 0 {
            let (head, rest) = piece.split_at(piece.len().min(BLOCK_LENGTH - self.partial_length));
            self.partial[self.partial_length..self.partial_length + head.len()].copy_from_slice(head);
            self.partial_length += head.len();
            piece = rest;
            if self.partial_length < BLOCK_LENGTH {
                return;
            }
            self.state.update(&[self.partial.into()]);
        }
        let (blocks, rest) = Block::slice_as_chunks(piece);
        self.state.update(blocks);
        self.partial[..rest.len()].copy_from_slice(rest);
        self.partial_length = rest.len();
    }

    fn finish(mut self) -> [u8; TAG_LENGTH] {
        self.state.update_padded(&self.partial[..self.partial_length]);
        let mut lengths = [0; BLOCK_LENGTH];
        lengths[8..].copy_from_slice(&self.length.to_le_bytes());
        self.state.update(&[lengths.into()]);
        self.state.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_one_shot_ciphertext(
            plaintext in proptest::collection::vec(any::<u8>(), 0..2000),
            piece in 1_usize..200,
        ) {
            let key = SecretKey::from_bytes([7; 32]);
            let nonce = [9; NONCE_LENGTH];
            let expected = key.encrypt_with_nonce(&plaintext, nonce).ciphertext().to_vec();

            let mut sealed = plaintext.clone();
            let mut sealer = StreamSealer::new(&key, &nonce);
            sealed.chunks_mut(piece).for_each(|piece| sealer.encrypt(piece));
            let tag = sealer.finish();
            prop_assert_eq!([sealed.as_slice(), &tag].concat(), expected);

            let mut opener = StreamOpener::new(&key, &nonce);
            sealed.chunks_mut(piece).for_each(|piece| opener.decrypt(piece));
            prop_assert!(opener.finish(&tag).is_ok());
            prop_assert_eq!(sealed, plaintext);
        }
    }
}
