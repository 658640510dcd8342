//! Frames: messages on a stream, each behind its length (specification, section 3).
//!
//! ```text
//! frame = be32(length of the message) ‖ message
//! ```

use std::fmt;

/// Bytes of the length in front of a message.
pub const LENGTH_PREFIX: usize = 4;

/// How far the memory for a message is ahead of what has arrived of it, in bytes.
const STEP: usize = 4096;

/// A message of a protocol, in its only encoding.
pub trait Message: Sized {
    /// Bytes of the longest message. What is longer is refused before memory is taken for it.
    const MAX_LENGTH: usize;

    /// The encoding, without the length in front of it.
    fn encode(&self) -> Vec<u8>;

    /// Reads what may be an encoding. [`decode`](Self::decode) makes sure that it is the only one.
    ///
    /// # Errors
    /// [`FrameError`] if it is not a message of the protocol.
    fn read(bytes: &[u8]) -> Result<Self, FrameError>;

    /// Reads a message, which must be all of `bytes`.
    ///
    /// # Errors
    /// [`FrameError`] if it is too long, not a message of the protocol, or encoded in another way than
    /// [`encode`](Self::encode) does.
    fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        if bytes.len() > Self::MAX_LENGTH {
            return Err(FrameError::TooLong);
        }
        let message = Self::read(bytes)?;
        if message.encode() == bytes { Ok(message) } else { Err(FrameError::Malformed) }
    }

    /// Whether the other side would read it, for a message made of what comes from elsewhere.
    fn is_within_bounds(&self) -> bool {
        Self::decode(&self.encode()).is_ok()
    }

    /// The message with its length in front of it.
    fn to_frame(&self) -> Vec<u8> {
        let message = self.encode();
        debug_assert!(message.len() <= Self::MAX_LENGTH, "what is sent is within the bound");
        let length = u32::try_from(message.len()).expect("bounds of messages are far below 4 GiB");
        [&length.to_be_bytes()[..], &message].concat()
    }
}

/// Why bytes are not a frame of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The message is longer than the protocol allows.
    #[error("message of the peer is longer than its protocol allows")]
    TooLong,
    /// The message is not one of the protocol, or not in its only encoding.
    #[error("message of the peer is malformed")]
    Malformed,
}

/// Collects one message from bytes that arrive in pieces. Takes at most twice the bytes that have arrived and never more than the
/// bound, whatever length is announced.
pub struct FrameReader {
    bound: usize,
    length: [u8; LENGTH_PREFIX],
    length_read: usize,
    message: Vec<u8>,
}

impl FrameReader {
    /// Waits for a message of at most `bound` bytes.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { bound, length: [0; LENGTH_PREFIX], length_read: 0, message: Vec::new() }
    }

    /// How many bytes it wants next; 0 once the message is complete.
    #[must_use]
    pub fn wants(&self) -> usize {
        match LENGTH_PREFIX - self.length_read {
            0 => self.announced() - self.message.len(),
            missing => missing,
        }
    }

    /// Takes bytes up to the end of the message, returns how many.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] as soon as a length beyond the bound is announced.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<usize, FrameError> {
        let given = bytes.len();
        while !bytes.is_empty() && self.wants() > 0 {
            let (taken, rest) = bytes.split_at(bytes.len().min(self.wants()));
            bytes = rest;
            if self.length_read < LENGTH_PREFIX {
                self.length[self.length_read..][..taken.len()].copy_from_slice(taken);
                self.length_read += taken.len();
                self.check_length()?;
            } else {
                self.reserve(taken.len());
                self.message.extend_from_slice(taken);
            }
        }
        Ok(given - bytes.len())
    }

    /// The message, once it is complete. The reader then waits for the next one.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        if self.length_read < LENGTH_PREFIX || self.wants() > 0 {
            return None;
        }
        self.length_read = 0;
        Some(std::mem::take(&mut self.message))
    }

    /// Bytes of memory that it holds for the message.
    #[must_use]
    pub fn held(&self) -> usize {
        self.message.capacity()
    }

    fn announced(&self) -> usize {
        usize::try_from(u32::from_be_bytes(self.length)).unwrap_or(usize::MAX)
    }

    fn check_length(&self) -> Result<(), FrameError> {
        match self.length_read == LENGTH_PREFIX && self.announced() > self.bound {
            true => Err(FrameError::TooLong),
            false => Ok(()),
        }
    }

    fn reserve(&mut self, more: usize) {
        let needed = self.message.len() + more;
        if needed > self.message.capacity() {
            let target = needed.max(2 * self.message.len()).max(STEP).min(self.announced());
            self.message.reserve_exact(target - self.message.len());
        }
    }
}

/// Shows progress, no content.
impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").field("wants", &self.wants()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: u32, message: &[u8]) -> Vec<u8> {
        [&length.to_be_bytes()[..], message].concat()
    }

    #[test]
    fn the_longest_message_is_read_and_a_longer_one_is_refused_at_its_length() {
        let mut reader = FrameReader::new(5);
        assert_eq!(reader.receive(&frame(5, b"hello world")), Ok(9));
        assert_eq!((reader.wants(), reader.take()), (0, Some(b"hello".to_vec())));
        let mut reader = FrameReader::new(5);
        assert_eq!(reader.receive(&[0, 0, 0]), Ok(3));
        assert_eq!(reader.receive(&[6]), Err(FrameError::TooLong));
        assert_eq!(reader.held(), 0);
    }

    #[test]
    fn memory_follows_what_has_arrived() {
        let bound = 1 << 20;
        let mut reader = FrameReader::new(bound);
        reader.receive(&frame(bound as u32, &[])).unwrap();
        assert_eq!(reader.held(), 0);
        for arrived in 1..=bound / 1000 {
            reader.receive(&[0; 1000]).unwrap();
            assert!(reader.held() <= (2 * 1000 * arrived).max(STEP).min(bound), "{} at {arrived}", reader.held());
        }
        reader.receive(&vec![0; bound]).unwrap();
        assert_eq!((reader.held(), reader.take().unwrap().len()), (bound, bound));
    }

    #[test]
    fn an_empty_message_is_a_message() {
        let mut reader = FrameReader::new(0);
        assert_eq!(reader.take(), None);
        assert_eq!(reader.receive(&frame(0, b"x")), Ok(4));
        assert_eq!((reader.take(), reader.wants()), (Some(Vec::new()), LENGTH_PREFIX));
    }
}
