//! Encryption of temporary files that the same process reads back.
//!
//! Each key encrypts one stream and never leaves memory, so nothing that a crash leaves on the disk or in freed blocks can be
//! read. There is no authentication tag: this is only for files that no other user can write to.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use chacha20::cipher::StreamCipher as _;
use chacha20::{KeyIvInit as _, XChaCha20};
use tokio::io::{AsyncRead, ReadBuf};

use super::{CryptoError, NONCE_LENGTH, SecretKey};

/// Encrypts one stream from its start. The key is wiped on drop.
pub struct TransientEncryptor(XChaCha20);

/// Decrypts the stream of its [`TransientEncryptor`] from its start. The key is wiped on drop.
pub struct TransientDecryptor(XChaCha20);

/// An encryptor and its decryptor: XChaCha20 under a random key.
#[must_use]
pub fn transient_cipher() -> (TransientEncryptor, TransientDecryptor) {
    let key = SecretKey::generate();
    // Each key encrypts a single stream, so a constant nonce is safe.
    let start = || XChaCha20::new(key.expose().into(), &[0; NONCE_LENGTH].into());
    (TransientEncryptor(start()), TransientDecryptor(start()))
}

impl TransientEncryptor {
    /// Encrypts the next bytes in place.
    ///
    /// # Errors
    /// [`CryptoError::TooLong`] beyond 256 GiB, where the keystream ends; then nothing is changed.
    pub fn encrypt(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        self.0.try_apply_keystream(bytes).map_err(|_| CryptoError::TooLong)
    }
}

impl TransientDecryptor {
    /// Decrypts the next bytes in place.
    ///
    /// # Errors
    /// [`CryptoError::TooLong`] beyond 256 GiB, where the keystream ends; then nothing is changed.
    pub fn decrypt(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        self.0.try_apply_keystream(bytes).map_err(|_| CryptoError::TooLong)
    }

    /// Decrypts what a reader yields, which has to be at the start of the stream.
    #[must_use]
    pub fn reading<R>(self, encrypted: R) -> TransientReader<R> {
        TransientReader { encrypted, decryptor: self }
    }
}

/// Reads the plaintext of a stream. Beyond 256 GiB it is an error.
#[derive(Debug)]
pub struct TransientReader<R> {
    encrypted: R,
    decryptor: TransientDecryptor,
}

impl<R> TransientReader<R> {
    /// The reader of the encrypted stream, wherever it is.
    pub fn into_inner(self) -> R {
        self.encrypted
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for TransientReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.encrypted).poll_read(context, buffer))?;
        Poll::Ready(self.decryptor.decrypt(&mut buffer.filled_mut()[before..]).map_err(io::Error::other))
    }
}

impl std::fmt::Debug for TransientEncryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TransientEncryptor(…)")
    }
}

impl std::fmt::Debug for TransientDecryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TransientDecryptor(…)")
    }
}

#[cfg(test)]
mod tests {
    use chacha20::cipher::StreamCipherSeek as _;

    use super::super::stream::MAX_STREAM_LENGTH;
    use super::*;

    #[test]
    fn a_stream_decrypts_in_pieces_of_any_length() {
        let (mut encryptor, mut decryptor) = transient_cipher();
        let mut bytes = [7; 1000];
        bytes.chunks_mut(33).for_each(|piece| encryptor.encrypt(piece).unwrap());
        assert!(bytes.windows(8).all(|window| window != [7; 8]));
        bytes.chunks_mut(70).for_each(|piece| decryptor.decrypt(piece).unwrap());
        assert_eq!(bytes, [7; 1000]);
    }

    #[test]
    fn keys_are_wiped_when_they_are_dropped() {
        fn is_wiped<T: zeroize::ZeroizeOnDrop>() {}
        // Compiles only with the `zeroize` feature of the cipher's crate.
        is_wiped::<chacha20::ChaChaCore<chacha20::R20, chacha20::variants::Ietf>>();
    }

    #[test]
    fn each_key_is_used_once() {
        let encrypted = || {
            let mut bytes = [0; 32];
            transient_cipher().0.encrypt(&mut bytes).unwrap();
            bytes
        };
        assert_ne!(encrypted(), encrypted());
    }

    #[test]
    fn the_end_of_the_keystream_is_an_error_before_any_byte_is_changed() {
        let (mut encryptor, _) = transient_cipher();
        encryptor.0.seek(MAX_STREAM_LENGTH - 64);
        encryptor.encrypt(&mut [0; 64]).unwrap();
        assert_eq!(encryptor.encrypt(&mut [0; 129]), Err(CryptoError::TooLong));
    }
}
