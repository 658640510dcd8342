//! Opening a file that nobody vouches for yet.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use super::decryption::{Decryption, plaintext_length};
use super::layout::{Layout, LayoutScanner};
use super::{FileError, FileMetadata};
use crate::crypto::SecretKey;
use crate::crypto::hash::{Sha512Hash, Sha512Stream};

/// Bytes of the body that are read at a time.
const READ_LENGTH: usize = 64 * 1024;

/// A body on its way in: hashed and understood while it arrives, so that it need not be read once more for that.
#[derive(Default)]
pub struct ReceivingBody {
    hash: Sha512Stream,
    scanner: LayoutScanner,
}

impl ReceivingBody {
    /// Before the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.scanner.push(piece);
    }

    /// After the last byte. Nothing is checked yet; [`Opener::open_received`] does.
    #[must_use]
    pub fn finish(self) -> ReceivedBody {
        ReceivedBody { hash: self.hash.finish_hash(), layout: self.scanner.finish() }
    }
}

/// What is known of a body that arrived.
#[derive(Debug)]
pub struct ReceivedBody {
    hash: Sha512Hash,
    layout: Result<Layout, FileError>,
}

/// Checks bodies against what the backbone and the metadata say of them.
pub struct Opener {
    content_key: SecretKey,
    cipher_hash: Sha512Hash,
    plaintext_hash: Sha512Hash,
    filesize: u64,
}

impl Opener {
    /// For the file with these metadata, whose body has this hash according to the backbone.
    #[must_use]
    pub fn new(metadata: &FileMetadata, cipher_hash: Sha512Hash) -> Self {
        Self {
            content_key: metadata.secret_key.clone(),
            cipher_hash,
            plaintext_hash: metadata.plaintext_hash,
            filesize: metadata.filesize,
        }
    }

    /// Goes over the whole body three times, in constant memory: hash and structure, tag and plaintext, and once more
    /// while the result is read. The body must not change in between, so give a private file or a buffer.
    ///
    /// Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`FileError`] says which check failed; no plaintext has left until all have passed.
    pub fn open<R: Read + Seek>(&self, mut body: R) -> Result<VerifiedFile<R>, FileError> {
        let received = read_whole(&mut body)?;
        self.open_received(body, received)
    }

    /// The same for a body that was looked at while it arrived, which saves the first time.
    ///
    /// # Errors
    /// As [`Opener::open`].
    pub fn open_received<R: Read + Seek>(
        &self,
        mut body: R,
        received: ReceivedBody,
    ) -> Result<VerifiedFile<R>, FileError> {
        if received.hash != self.cipher_hash {
            return Err(FileError::CipherMismatch);
        }
        let layout = received.layout?;
        if plaintext_length(&layout)? != self.filesize {
            return Err(FileError::InvalidMetadata);
        }
        self.check_plaintext(&mut body, &layout)?;
        let decryption = Decryption::start(body, &layout, &self.content_key)?;
        Ok(VerifiedFile { decryption, block: Vec::new(), taken: 0, length: self.filesize })
    }

    fn check_plaintext(&self, body: &mut (impl Read + Seek), layout: &Layout) -> Result<(), FileError> {
        let mut decryption = Decryption::start(body, layout, &self.content_key)?;
        let mut hash = Sha512Stream::new();
        loop {
            let block = decryption.next_block()?;
            if block.is_empty() {
                break;
            }
            hash.update(block);
        }
        if hash.finish_hash() == self.plaintext_hash { Ok(()) } else { Err(FileError::PlaintextHashMismatch) }
    }
}

fn read_whole(body: &mut (impl Read + Seek)) -> io::Result<ReceivedBody> {
    body.seek(SeekFrom::Start(0))?;
    let mut receiving = ReceivingBody::new();
    let mut buffer = vec![0; READ_LENGTH];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok(receiving.finish()),
            Ok(length) => receiving.push(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A file that passed every check; reading it gives the plaintext.
pub struct VerifiedFile<R> {
    decryption: Decryption<R>,
    block: Vec<u8>,
    /// How much of the block was read.
    taken: usize,
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
    /// The body it was read from, at an unspecified position.
    #[must_use]
    pub fn into_body(self) -> R {
        self.decryption.into_body()
    }
}

/// Fails if the body was changed or became unreadable since it was verified.
impl<R: Read + Seek> Read for VerifiedFile<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.block.len() {
            self.block.clear();
            self.taken = 0;
            let next = self.decryption.next_block().map_err(|error| match error {
                FileError::Io(error) => error,
                other => io::Error::new(io::ErrorKind::InvalidData, other),
            })?;
            self.block.extend_from_slice(next);
        }
        let length = buffer.len().min(self.block.len() - self.taken);
        buffer[..length].copy_from_slice(&self.block[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

impl<R> fmt::Debug for VerifiedFile<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedFile({} bytes)", self.length)
    }
}
