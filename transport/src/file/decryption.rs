//! One pass over the ciphertext of a body.

use std::io::{self, Read, Seek, SeekFrom};

use super::FileError;
use super::layout::Layout;
use crate::crypto::{MAX_STREAM_LENGTH, SecretKey, StreamOpener, TAG_LENGTH};
use crate::wire::bytes::append_from_base64url;

/// Characters of base64url that are decoded at a time: a multiple of four.
const BLOCK_LENGTH: u64 = 32 * 1024;

/// Decrypts block by block and checks the tag after the last one.
pub(super) struct Decryption<R> {
    body: R,
    opener: Option<StreamOpener>,
    encoded_left: u64,
    ciphertext_left: u64,
    encoded: Vec<u8>,
    block: Vec<u8>,
    tag: Vec<u8>,
}

/// The number of plaintext bytes in a body, if its ciphertext has a possible length.
pub(super) fn plaintext_length(layout: &Layout) -> Result<u64, FileError> {
    let encoded = layout.ciphertext.end - layout.ciphertext.start;
    let decoded = encoded / 4 * 3 + (encoded % 4).saturating_sub(1);
    let length = decoded.checked_sub(TAG_LENGTH as u64).ok_or(FileError::Malformed)?;
    if encoded % 4 == 1 || length > MAX_STREAM_LENGTH { Err(FileError::Malformed) } else { Ok(length) }
}

impl<R: Read + Seek> Decryption<R> {
    pub(super) fn start(mut body: R, layout: &Layout, key: &SecretKey) -> Result<Self, FileError> {
        body.seek(SeekFrom::Start(layout.ciphertext.start))?;
        Ok(Self {
            body,
            opener: Some(StreamOpener::new(key, &layout.nonce)),
            encoded_left: layout.ciphertext.end - layout.ciphertext.start,
            ciphertext_left: plaintext_length(layout)?,
            encoded: Vec::new(),
            block: Vec::new(),
            tag: Vec::with_capacity(TAG_LENGTH),
        })
    }

    /// The next plaintext, empty at the end. It is authentic only if the end is reached without an error, on a first
    /// pass; on a second one it already is.
    pub(super) fn next_block(&mut self) -> Result<&[u8], FileError> {
        self.block.clear();
        while self.block.is_empty() && self.encoded_left > 0 {
            self.decode_block()?;
            let opener = self.opener.as_mut().ok_or(FileError::Decryption)?;
            opener.decrypt(&mut self.block);
            if self.encoded_left == 0 {
                self.check_tag()?;
            }
        }
        Ok(&self.block)
    }

    pub(super) fn into_body(self) -> R {
        self.body
    }

    /// Reads ciphertext into the block, and what is behind it into the tag.
    fn decode_block(&mut self) -> Result<(), FileError> {
        let length = self.encoded_left.min(BLOCK_LENGTH);
        self.encoded.clear();
        (&mut self.body).take(length).read_to_end(&mut self.encoded)?;
        if self.encoded.len() as u64 != length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.encoded_left -= length;
        append_from_base64url(&self.encoded, &mut self.block).map_err(|_| FileError::Malformed)?;
        let ciphertext = usize::try_from(self.ciphertext_left).unwrap_or(usize::MAX).min(self.block.len());
        self.ciphertext_left -= ciphertext as u64;
        self.tag.extend(self.block.drain(ciphertext..));
        Ok(())
    }

    fn check_tag(&mut self) -> Result<(), FileError> {
        let opener = self.opener.take().ok_or(FileError::Decryption)?;
        let tag = self.tag.as_slice().try_into().map_err(|_| FileError::Malformed)?;
        Ok(opener.finish(tag)?)
    }
}
