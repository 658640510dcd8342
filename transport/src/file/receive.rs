//! Receiving a body.

use super::FileError;
use super::layout::{Layout, LayoutScanner};
use crate::crypto::hash::{Sha512Hash, Sha512Stream};
use crate::wire::bytes::append_from_base64url;

/// Four characters are three bytes.
const BASE64_GROUP: usize = 4;

/// A body that is being received: hashed, scanned and decoded in one pass while it arrives. Only the ciphertext, three
/// quarters of the body, has to be kept.
#[derive(Default)]
pub struct ReceivingBody {
    hash: Sha512Stream,
    scanner: LayoutScanner,
    decoder: Decoder,
}

impl ReceivingBody {
    /// The state before the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Processes the next piece, and appends its part of ciphertext and tag: at most two bytes more than the piece has.
    pub fn push(&mut self, piece: &[u8], ciphertext: &mut Vec<u8>) {
        let Self { hash, scanner, decoder } = self;
        hash.update(piece);
        scanner.push(piece, |text| decoder.push(text, ciphertext));
    }

    /// Ends the body, and appends the end of the tag. Nothing is verified yet: [`Opener`](super::Opener) does that.
    #[must_use]
    pub fn finish(mut self, ciphertext: &mut Vec<u8>) -> ReceivedBody {
        self.decoder.finish(ciphertext);
        let layout = if self.decoder.failed { Err(FileError::Malformed) } else { self.scanner.finish() };
        ReceivedBody { hash: self.hash.finish_hash(), layout }
    }
}

/// Hash and layout of a received body.
#[derive(Debug)]
pub struct ReceivedBody {
    pub(super) hash: Sha512Hash,
    pub(super) layout: Result<Layout, FileError>,
}

/// Decodes base64url in pieces of any length. Stops at the first error.
#[derive(Default)]
struct Decoder {
    /// The incomplete last group: fewer than four characters between calls.
    partial: Vec<u8>,
    failed: bool,
}

impl Decoder {
    fn push(&mut self, mut text: &[u8], bytes: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            let (head, rest) = text.split_at(text.len().min(BASE64_GROUP - self.partial.len()));
            self.partial.extend_from_slice(head);
            text = rest;
            if self.partial.len() < BASE64_GROUP {
                return;
            }
            self.finish(bytes);
        }
        let (groups, rest) = text.split_at(text.len() / BASE64_GROUP * BASE64_GROUP);
        self.decode(groups, bytes);
        self.partial.extend_from_slice(rest);
    }

    /// Decodes the incomplete last group.
    fn finish(&mut self, bytes: &mut Vec<u8>) {
        let partial = std::mem::take(&mut self.partial);
        self.decode(&partial, bytes);
    }

    fn decode(&mut self, text: &[u8], bytes: &mut Vec<u8>) {
        self.failed = self.failed || append_from_base64url(text, bytes).is_err();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::bytes::{from_base64url, to_base64url};

    fn decode(text: &str, piece: usize) -> Option<Vec<u8>> {
        let (mut decoder, mut bytes) = (Decoder::default(), Vec::new());
        text.as_bytes().chunks(piece).for_each(|piece| decoder.push(piece, &mut bytes));
        decoder.finish(&mut bytes);
        (!decoder.failed).then_some(bytes)
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_decode_like_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            piece in 1_usize..20,
        ) {
            prop_assert_eq!(decode(&to_base64url(&bytes), piece), Some(bytes));
        }

        #[test]
        fn pieces_of_any_length_are_refused_like_the_whole(text in "[A-Da-d=+ ]{0,12}", piece in 1_usize..13) {
            prop_assert_eq!(decode(&text, piece), from_base64url(&text).ok());
        }
    }
}
