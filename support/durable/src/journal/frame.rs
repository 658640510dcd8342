//! Frames: the encoding of commits in a segment.
//!
//! ```text
//! length(4)  checksum(4)  sequence(8)  durable(8)  body  zeros up to a multiple of 8
//! ```
//!
//! Numbers are little-endian. `length` is the length of the body. `checksum` is the CRC-32C of the segment's salt, `length`,
//! and everything from `sequence` to the end of the body. `sequence` numbers the frames of the store. `durable` is the
//! sequence number of the last frame known to be on disk when this one was written: if that frame cannot be read, it is
//! damaged, not an interrupted write. `durable` is XORed with a mask derived from the salt. Otherwise a crafted body could
//! look like a frame at every offset, and the search for frames would compute a checksum for each.

/// Size of the head before the body, in bytes.
pub(crate) const HEAD: usize = 24;
/// Frames begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;

const CHECKED: usize = 8;

/// The numbers in the head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Sequence number of this frame.
    pub(crate) sequence: u64,
    /// Sequence number of the last frame known to be on disk when this one was written.
    pub(crate) durable: u64,
}

/// Size of a frame with a body of this length, in bytes.
pub(crate) fn size(body_length: usize) -> usize {
    (HEAD + body_length).next_multiple_of(ALIGNMENT)
}

/// Appends a frame to `bytes`.
pub(crate) fn encode(bytes: &mut Vec<u8>, salt: u32, head: Head, body: &[u8]) {
    let start = bytes.len();
    let length = u32::try_from(body.len()).expect("commits are bounded");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&head.sequence.to_le_bytes());
    bytes.extend_from_slice(&(head.durable ^ mask(salt)).to_le_bytes());
    bytes.extend_from_slice(body);
    let checksum = checksum(salt, length, &bytes[start + CHECKED..]);
    bytes[start + 4..start + CHECKED].copy_from_slice(&checksum.to_le_bytes());
    bytes.resize(start + size(body.len()), 0);
}

/// The length of the body according to a head, if it is in bounds. The checksum is not verified.
pub(crate) fn body_length(head: &[u8; HEAD]) -> Option<usize> {
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    usize::try_from(length).ok().filter(|length| (1..=crate::commit::MAX_COMMIT_BYTES).contains(length))
}

/// Decodes the frame at the start of `bytes`; `None` if it is incomplete or its checksum is wrong.
pub(crate) fn decode(bytes: &[u8], salt: u32) -> Option<(Head, &[u8])> {
    let head: &[u8; HEAD] = bytes.first_chunk()?;
    let length = body_length(head)?;
    let checked = bytes.get(CHECKED..HEAD + length)?;
    let expected = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if checksum(salt, u32::try_from(length).ok()?, checked) != expected {
        return None;
    }
    Some((numbers(head, salt), &checked[HEAD - CHECKED..]))
}

/// The numbers in a head, whose checksum is not verified.
pub(crate) fn numbers(head: &[u8; HEAD], salt: u32) -> Head {
    let [.., s0, s1, s2, s3, s4, s5, s6, s7, d0, d1, d2, d3, d4, d5, d6, d7] = *head;
    let sequence = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    Head { sequence, durable: u64::from_le_bytes([d0, d1, d2, d3, d4, d5, d6, d7]) ^ mask(salt) }
}

/// The mask of `durable`. It differs in all bytes from segment to segment.
fn mask(salt: u32) -> u64 {
    u64::from(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn checksum(salt: u32, length: u32, checked: &[u8]) -> u32 {
    let seeded = crc32c::crc32c_append(salt, &length.to_le_bytes());
    crc32c::crc32c_append(seeded, checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: Head = Head { sequence: 9, durable: 7 };

    fn encoded(body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, 5, FRAME, body);
        bytes
    }

    #[test]
    fn the_layout_is_frozen() {
        let bytes = encoded(b"body");
        assert_eq!(bytes.len(), size(4));
        assert_eq!(bytes[..4], 4u32.to_le_bytes());
        assert_eq!(bytes[4..8], 0xc516_a9c3_u32.to_le_bytes());
        assert_eq!(bytes[8..], *b"\x09\0\0\0\0\0\0\0\x6e\x6c\x74\x7c\x9f\x60\x15\x17body\0\0\0\0");
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let bytes = encoded(b"some body");
        for bit in 0..(HEAD + 9) * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&altered, 5), None, "bit {bit}");
        }
        for cut in 0..HEAD + 9 {
            assert_eq!(decode(&bytes[..cut], 5), None, "cut at {cut}");
        }
        assert_eq!(decode(&bytes, 6), None, "a frame of another segment");
    }

    proptest! {
        #[test]
        fn frames_round_trip(
            sequence in any::<u64>(), durable in any::<u64>(), salt in any::<u32>(),
            body in prop::collection::vec(any::<u8>(), 1..200),
        ) {
            let mut bytes = b"12345678".to_vec();
            encode(&mut bytes, salt, Head { sequence, durable }, &body);
            prop_assert_eq!(bytes.len() % ALIGNMENT, 0);
            prop_assert_eq!(decode(&bytes[8..], salt), Some((Head { sequence, durable }, body.as_slice())));
        }
    }
}
