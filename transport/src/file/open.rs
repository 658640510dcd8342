//! Verifying and opening a file.

use std::fmt;
use std::io::{self, Cursor, Read, Seek};

use super::decryption::{Decryption, plaintext_length};
use super::layout::Layout;
use super::receive::{ReceivedBody, ReceivingBody};
use super::{FileError, FileMetadata};
use crate::crypto::hash::{Sha512Hash, Sha512Stream};
use crate::crypto::{SecretKey, StreamOpener, TAG_LENGTH};

/// Number of bytes decrypted and hashed at a time; fits the CPU cache.
const PIECE_LENGTH: usize = 32 * 1024;

/// Verifies bodies against the hash from the backbone and the metadata.
pub struct Opener {
    content_key: SecretKey,
    cipher_hash: Sha512Hash,
    plaintext_hash: Sha512Hash,
    filesize: u64,
}

impl Opener {
    /// Creates an opener for the file with these metadata, whose body has this hash according to the backbone.
    #[must_use]
    pub fn new(metadata: &FileMetadata, cipher_hash: Sha512Hash) -> Self {
        Self {
            content_key: metadata.secret_key.clone(),
            cipher_hash,
            plaintext_hash: metadata.plaintext_hash,
            filesize: metadata.filesize,
        }
    }

    /// Reads a whole body and keeps its ciphertext in memory. For larger files, use [`ReceivingBody`] and
    /// [`Opener::open_received`].
    ///
    /// # Errors
    /// [`FileError`] names the check that failed. No plaintext is returned unless all pass.
    pub fn open(&self, mut body: impl Read) -> Result<VerifiedFile<Cursor<Vec<u8>>>, FileError> {
        let (mut receiving, mut ciphertext) = (ReceivingBody::new(), Vec::new());
        let mut buffer = vec![0; PIECE_LENGTH];
        loop {
            match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => receiving.push(&buffer[..length], &mut ciphertext),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let received = receiving.finish(&mut ciphertext);
        self.open_received(Cursor::new(ciphertext), received)
    }

    /// Opens the result of a [`ReceivingBody`] in constant memory. Reads the ciphertext twice: to verify tag and plaintext
    /// hash, and again while the result is read. It must not change in between, so pass a private file or a buffer.
    ///
    /// Blocks for as long as the first pass takes.
    ///
    /// # Errors
    /// Like [`Opener::open`].
    pub fn open_received<R: Read + Seek>(
        &self,
        mut ciphertext: R,
        received: ReceivedBody,
    ) -> Result<VerifiedFile<R>, FileError> {
        let layout = self.accept(received)?;
        let mut first_pass = Decryption::start(&mut ciphertext, &layout, &self.content_key)?;
        let (mut hash, mut buffer) = (Sha512Stream::new(), vec![0; PIECE_LENGTH]);
        loop {
            match first_pass.next(&mut buffer)? {
                0 => break,
                length => hash.update(&buffer[..length]),
            }
        }
        self.accept_plaintext(hash)?;
        let decryption = Decryption::start(ciphertext, &layout, &self.content_key)?;
        Ok(VerifiedFile { decryption, length: self.filesize })
    }

    /// Like [`open_received`](Self::open_received) for a ciphertext in memory, which is decrypted in place in one pass.
    ///
    /// # Errors
    /// Like [`Opener::open`].
    pub fn open_in_place(&self, mut ciphertext: Vec<u8>, received: ReceivedBody) -> Result<Vec<u8>, FileError> {
        let layout = self.accept(received)?;
        let (content, tag) = ciphertext.split_last_chunk_mut::<TAG_LENGTH>().ok_or(FileError::Malformed)?;
        if content.len() as u64 != self.filesize {
            return Err(FileError::Malformed);
        }
        let mut opener = StreamOpener::new(&self.content_key, &layout.nonce);
        let mut hash = Sha512Stream::new();
        for piece in content.chunks_mut(PIECE_LENGTH) {
            opener.decrypt(piece);
            hash.update(piece);
        }
        opener.finish(tag)?;
        self.accept_plaintext(hash)?;
        ciphertext.truncate(ciphertext.len() - TAG_LENGTH);
        Ok(ciphertext)
    }

    fn accept(&self, received: ReceivedBody) -> Result<Layout, FileError> {
        if received.hash != self.cipher_hash {
            return Err(FileError::CipherMismatch);
        }
        let layout = received.layout?;
        if plaintext_length(&layout)? == self.filesize { Ok(layout) } else { Err(FileError::InvalidMetadata) }
    }

    fn accept_plaintext(&self, hash: Sha512Stream) -> Result<(), FileError> {
        if hash.finish_hash() == self.plaintext_hash { Ok(()) } else { Err(FileError::PlaintextHashMismatch) }
    }
}

/// A verified file. Reading it returns the plaintext.
pub struct VerifiedFile<R> {
    decryption: Decryption<R>,
    length: u64,
}

impl<R> VerifiedFile<R> {
    /// Bytes of plaintext.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl<R: Read + Seek> VerifiedFile<R> {
    /// Bytes of plaintext left to read.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.decryption.left()
    }

    /// The underlying reader of the ciphertext, at an unspecified position.
    #[must_use]
    pub fn into_ciphertext(self) -> R {
        self.decryption.into_ciphertext()
    }
}

/// Fails if the ciphertext was changed or became unreadable after it was verified.
impl<R: Read + Seek> Read for VerifiedFile<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decryption.next(buffer).map_err(|error| match error {
            FileError::Io(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        })
    }
}

impl<R> fmt::Debug for VerifiedFile<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedFile({} bytes)", self.length)
    }
}
