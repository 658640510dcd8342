//! One pass over the ciphertext of a body.

use std::io::{Read, Seek, SeekFrom};

use super::FileError;
use super::layout::Layout;
use crate::crypto::{MAX_STREAM_LENGTH, SecretKey, StreamOpener, TAG_LENGTH};

/// Decrypts piece by piece and verifies the tag at the end.
pub(super) struct Decryption<R> {
    /// Ciphertext, then the tag.
    ciphertext: R,
    /// `None` once the tag has been checked.
    opener: Option<StreamOpener>,
    left: u64,
}

/// The number of plaintext bytes in a body, if its ciphertext has a possible length.
pub(super) fn plaintext_length(layout: &Layout) -> Result<u64, FileError> {
    let encoded = layout.ciphertext.end - layout.ciphertext.start;
    let decoded = encoded / 4 * 3 + (encoded % 4).saturating_sub(1);
    let length = decoded.checked_sub(TAG_LENGTH as u64).ok_or(FileError::Malformed)?;
    if encoded % 4 == 1 || length > MAX_STREAM_LENGTH { Err(FileError::Malformed) } else { Ok(length) }
}

impl<R: Read + Seek> Decryption<R> {
    pub(super) fn start(mut ciphertext: R, layout: &Layout, key: &SecretKey) -> Result<Self, FileError> {
        ciphertext.seek(SeekFrom::Start(0))?;
        let opener = Some(StreamOpener::new(key, &layout.nonce));
        Ok(Self { ciphertext, opener, left: plaintext_length(layout)? })
    }

    /// Remaining bytes of plaintext.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Fills the buffer with the next plaintext and returns its length. On the first pass, the plaintext is authentic only once
    /// the end is reached without an error.
    pub(super) fn next(&mut self, buffer: &mut [u8]) -> Result<usize, FileError> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let piece = &mut buffer[..length];
        let outcome = self.decrypt(piece);
        if outcome.is_err() {
            piece.fill(0);
        }
        outcome.map(|()| length)
    }

    fn decrypt(&mut self, piece: &mut [u8]) -> Result<(), FileError> {
        // `None` only after the tag was checked, when no plaintext remains.
        let Some(opener) = &mut self.opener else { return Ok(()) };
        self.ciphertext.read_exact(piece)?;
        opener.decrypt(piece);
        self.left -= piece.len() as u64;
        if self.left == 0 { self.check_tag() } else { Ok(()) }
    }

    fn check_tag(&mut self) -> Result<(), FileError> {
        let mut tag = [0; TAG_LENGTH];
        self.ciphertext.read_exact(&mut tag)?;
        let opener = self.opener.take().ok_or(FileError::Decryption)?;
        Ok(opener.finish(&tag)?)
    }

    pub(super) fn into_ciphertext(self) -> R {
        self.ciphertext
    }
}
