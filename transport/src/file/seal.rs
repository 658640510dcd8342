//! Sealing a file in constant memory.

use super::FileError;
use crate::crypto::hash::{Sha512Hash, Sha512Stream};
use crate::crypto::{MAX_STREAM_LENGTH, NONCE_LENGTH, SecretKey, StreamSealer, TAG_LENGTH, random};
use crate::wire::bytes::{append_base64url, to_base64url};

/// Maximum length of the plaintext of a file in bytes.
pub const MAX_PLAINTEXT_LENGTH: u64 = MAX_STREAM_LENGTH;

const HEAD: &str = r#"{"cph":""#;
const BEFORE_NONCE: &str = r#"","alg":3,"nnc":""#;
const TAIL: &str = r#"","@type":"CryptoCipher"}"#;

/// Three bytes become four characters, so pieces are encoded in multiples of three and the rest is kept for the next piece.
const BASE64_GROUP: usize = 3;

/// Number of bytes encrypted at a time; fits the CPU cache, a multiple of [`BASE64_GROUP`].
const PIECE_LENGTH: usize = 24 * 1024;

/// The length in bytes of the body for a plaintext of `plaintext_length` bytes.
#[must_use]
pub const fn sealed_length(plaintext_length: u64) -> u64 {
    let frame = HEAD.len() + BEFORE_NONCE.len() + base64_length(NONCE_LENGTH as u64) as usize + TAIL.len();
    frame as u64 + base64_length(plaintext_length + TAG_LENGTH as u64)
}

pub(super) const fn base64_length(bytes: u64) -> u64 {
    bytes / 3 * 4 + (bytes % 3 * 4).div_ceil(3)
}

/// Turns plaintext into a body, piece by piece. The bytes appended to `out`, in order, are the body.
pub struct Sealer {
    cipher: StreamSealer,
    nonce: [u8; NONCE_LENGTH],
    /// Ciphertext not encoded yet: less than a group between calls.
    pending: Vec<u8>,
    plaintext_hash: Sha512Stream,
    plaintext_length: u64,
    body: Body,
}

/// Hashes and lengths of a sealed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedFile {
    /// SHA-512 of the plaintext; goes into the metadata.
    pub plaintext_hash: Sha512Hash,
    /// Bytes of plaintext; goes into the metadata.
    pub plaintext_length: u64,
    /// SHA-512 of the body; the backbone checks it.
    pub cipher_hash: Sha512Hash,
    /// Bytes of the body.
    pub body_length: u64,
}

impl Sealer {
    /// Starts a body under a fresh content key.
    #[must_use]
    pub fn new(content_key: &SecretKey, out: &mut Vec<u8>) -> Self {
        Self::with_nonce(content_key, random::bytes(), out)
    }

    /// Starts a body with a given nonce, which must never have been used with this key before.
    #[must_use]
    pub fn with_nonce(content_key: &SecretKey, nonce: [u8; NONCE_LENGTH], out: &mut Vec<u8>) -> Self {
        let mut sealer = Self {
            cipher: StreamSealer::new(content_key, &nonce),
            nonce,
            pending: Vec::with_capacity(PIECE_LENGTH + BASE64_GROUP),
            plaintext_hash: Sha512Stream::new(),
            plaintext_length: 0,
            body: Body { hash: Sha512Stream::new(), length: 0 },
        };
        sealer.body.append(out, |out| out.extend_from_slice(HEAD.as_bytes()));
        sealer
    }

    /// Seals the next piece of plaintext, of any length.
    ///
    /// # Errors
    /// [`FileError::TooLarge`] beyond [`MAX_PLAINTEXT_LENGTH`].
    pub fn push(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), FileError> {
        let length = self.plaintext_length.saturating_add(plaintext.len() as u64);
        if length > MAX_PLAINTEXT_LENGTH {
            return Err(FileError::TooLarge);
        }
        self.plaintext_length = length;
        for piece in plaintext.chunks(PIECE_LENGTH) {
            self.plaintext_hash.update(piece);
            let encoded_before = self.pending.len();
            self.pending.extend_from_slice(piece);
            self.cipher.encrypt(&mut self.pending[encoded_before..]);
            let groups = self.pending.len() / BASE64_GROUP * BASE64_GROUP;
            self.body.append(out, |out| append_base64url(&self.pending[..groups], out));
            self.pending.drain(..groups);
        }
        Ok(())
    }

    /// Ends the body.
    #[must_use]
    pub fn finish(self, out: &mut Vec<u8>) -> SealedFile {
        let Self { cipher, nonce, mut pending, plaintext_hash, plaintext_length, mut body } = self;
        pending.extend_from_slice(&cipher.finish());
        let nonce = to_base64url(&nonce);
        body.append(out, |out| {
            append_base64url(&pending, out);
            [BEFORE_NONCE, &nonce, TAIL].iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
        });
        SealedFile {
            plaintext_hash: plaintext_hash.finish_hash(),
            plaintext_length,
            cipher_hash: body.hash.finish_hash(),
            body_length: body.length,
        }
    }
}

/// The state of the body written so far.
struct Body {
    hash: Sha512Stream,
    length: u64,
}

impl Body {
    fn append(&mut self, out: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        append(out);
        self.hash.update(&out[start..]);
        self.length += (out.len() - start) as u64;
    }
}
