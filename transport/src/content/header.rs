//! The first bytes of a blob (specification, section 4).

use std::fmt;

use super::ContentError;

/// Bytes of a header.
pub const HEADER_LENGTH: usize = 48;

const NAME: &[u8; 7] = b"enlace\0";
const VERSION: u8 = 2;
/// Binary logarithm of [`CHUNK_LENGTH`](super::CHUNK_LENGTH).
const CHUNK_LENGTH_LOG2: u8 = 20;
const COMMITMENT: std::ops::Range<usize> = 16..HEADER_LENGTH;

/// Names the format and commits to the key.
///
/// ```text
/// "enlace" 00 ‖ version 02 ‖ log2 of the chunk length 14 ‖ 7 zero bytes ‖ key commitment (32 bytes)
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Header([u8; HEADER_LENGTH]);

impl Header {
    #[cfg(feature = "client")]
    pub(super) fn with(commitment: &[u8; 32]) -> Self {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[..7].copy_from_slice(NAME);
        bytes[7] = VERSION;
        bytes[8] = CHUNK_LENGTH_LOG2;
        bytes[COMMITMENT].copy_from_slice(commitment);
        Self(bytes)
    }

    /// Reads a header, which must be all of `bytes`.
    ///
    /// # Errors
    /// [`ContentError::Header`] if it is not one, [`ContentError::NeedsNewerReader`] if its version, chunk length or reserved
    /// bytes are unknown.
    pub fn parse(bytes: &[u8]) -> Result<Self, ContentError> {
        let bytes: [u8; HEADER_LENGTH] = bytes.try_into().map_err(|_| ContentError::Header)?;
        if !bytes.starts_with(NAME) || bytes[7] < VERSION {
            return Err(ContentError::Header);
        }
        match bytes[7..COMMITMENT.start] {
            [VERSION, CHUNK_LENGTH_LOG2, 0, 0, 0, 0, 0, 0, 0] => Ok(Self(bytes)),
            _ => Err(ContentError::NeedsNewerReader),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; HEADER_LENGTH] {
        &self.0
    }
}

/// The commitment reveals nothing of the key, but tells files with the same key.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Header(v2)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_but_the_commitment_is_fixed() {
        let mut bytes = [7; HEADER_LENGTH];
        bytes[..16].copy_from_slice(b"enlace\0\x02\x14\0\0\0\0\0\0\0");
        assert_eq!(Header::parse(&bytes).unwrap().as_bytes(), &bytes);
        for place in 0..16 {
            for bit in 0..8 {
                let mut altered = bytes;
                altered[place] ^= 1 << bit;
                let expected = match altered[7] {
                    _ if place < 7 => ContentError::Header,
                    0 | 1 => ContentError::Header,
                    _ => ContentError::NeedsNewerReader,
                };
                assert_eq!(Header::parse(&altered), Err(expected), "{place} {bit}");
            }
        }
        assert_eq!(Header::parse(&bytes[1..]), Err(ContentError::Header));
        assert_eq!(Header::parse(&[&bytes[..], &[0]].concat()), Err(ContentError::Header));
    }
}
