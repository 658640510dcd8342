//! The part of a file that a request carries: `Content-Range: bytes FIRST-LAST/SIZE`.

use std::ops::Range;

use super::{StorageError, StorageResult};

/// Bytes of every part but the last one. What has at most as many bytes comes in one request.
pub const PART_LENGTH: u64 = 5 * 1024 * 1024;
/// Longer headers are not read.
const MAX_HEADER: usize = 128;

/// A part of a file: everything from one multiple of [`PART_LENGTH`] to the next, or to the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartRange {
    index: u64,
    size: u64,
}

impl PartRange {
    /// Reads the header. A last byte that is the size of the file counts as the one before, as clients have come to expect.
    ///
    /// # Errors
    /// [`StorageError::InvalidContentRange`].
    pub fn parse(header: &str) -> StorageResult<Self> {
        let unreadable = StorageError::InvalidContentRange("it has the form bytes FIRST-LAST/SIZE");
        let parts = (header.len() <= MAX_HEADER).then(|| read(header)).flatten();
        let (first, last, size) = parts.ok_or(unreadable)?;
        Self::new(first, last, size).map_err(StorageError::InvalidContentRange)
    }

    fn new(first: u64, last: u64, size: u64) -> Result<Self, &'static str> {
        if first > last || last > size || first >= size {
            return Err("the first byte is behind the last one, or the last one behind the end of the file");
        }
        let part = Self { index: first / PART_LENGTH, size };
        let bytes = part.bytes();
        let last = last.min(size - 1);
        match bytes.start == first && bytes.end - 1 == last {
            true => Ok(part),
            false => Err("parts begin at multiples of 5242880 bytes and have as many, but for the last one"),
        }
    }

    /// Number of the part, from 0 on.
    #[must_use]
    pub fn index(self) -> u64 {
        self.index
    }

    /// Bytes of the whole file.
    #[must_use]
    pub fn size(self) -> u64 {
        self.size
    }

    /// Which bytes of the file it has.
    #[must_use]
    pub fn bytes(self) -> Range<u64> {
        bytes_of(self.index, self.size)
    }
}

/// How many parts a file of this size has.
#[must_use]
pub fn parts_of(size: u64) -> u64 {
    size.div_ceil(PART_LENGTH).max(1)
}

/// The bytes of one part of a file.
pub(crate) fn bytes_of(index: u64, size: u64) -> Range<u64> {
    let start = index * PART_LENGTH;
    start..size.min(start.saturating_add(PART_LENGTH))
}

fn read(header: &str) -> Option<(u64, u64, u64)> {
    let (unit, rest) = header.trim().split_once([' ', '='])?;
    let (range, size) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    unit.eq_ignore_ascii_case("bytes").then_some(())?;
    Some((number(first)?, number(last)?, number(size)?))
}

fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const P: u64 = PART_LENGTH;

    fn parse(first: u64, last: u64, size: u64) -> Option<(u64, Range<u64>)> {
        PartRange::parse(&format!("bytes {first}-{last}/{size}")).ok().map(|part| (part.index(), part.bytes()))
    }

    #[test]
    fn parts_are_read_by_their_first_and_last_byte() {
        for (first, last, size, expected) in [
            (0, P - 1, 2 * P, Some((0, 0..P))),
            (P, 2 * P - 1, 2 * P, Some((1, P..2 * P))),
            (P, P, P + 1, Some((1, P..P + 1))),
            (P, P + 1, P + 1, Some((1, P..P + 1))),
            (0, 0, 1, Some((0, 0..1))),
            (0, 99, 100, Some((0, 0..100))),
            // No multiple of the length of a part, too long, too short.
            (1, P, 2 * P, None),
            (0, P, 3 * P, None),
            (0, P - 2, 2 * P, None),
            (0, 9, 2 * P, None),
            (P, 2 * P, 3 * P, None),
            // Backwards, behind the end.
            (5, 4, 10, None),
            (0, 11, 10, None),
            (10, 10, 10, None),
            (0, 0, 0, None),
        ] {
            assert_eq!(parse(first, last, size), expected, "{first}-{last}/{size}");
        }
    }

    #[test]
    fn what_is_not_a_range_is_refused() {
        for header in [
            "",
            "bytes",
            "bytes 0-9",
            "bytes 0-9/",
            "bytes 0-9/*",
            "bytes */10",
            "bytes -9/10",
            "bytes 0-/10",
            "items 0-9/10",
            "bytes 0-9/10/10",
            "bytes +0-9/10",
            "bytes 0 - 9/10",
            "bytes 0-9/99999999999999999999",
            "bytes 0-9-9/10",
        ] {
            assert!(matches!(PartRange::parse(header), Err(StorageError::InvalidContentRange(_))), "{header:?}");
        }
        assert!(PartRange::parse(&format!("bytes 0-9/10{}", " ".repeat(MAX_HEADER))).is_err());
        assert!(PartRange::parse("BYTES 0-9/10").is_ok() && PartRange::parse("bytes=0-9/10").is_ok());
    }

    proptest! {
        #[test]
        fn parts_cover_a_file_without_overlap(size in 1..u64::MAX / 2, at in any::<prop::sample::Index>()) {
            let count = parts_of(size);
            let index = at.index(usize::try_from(count).unwrap()) as u64;
            let bytes = bytes_of(index, size);
            prop_assert!(!bytes.is_empty());
            prop_assert_eq!(parse(bytes.start, bytes.end - 1, size), Some((index, bytes.clone())));
            match index + 1 == count {
                true => prop_assert_eq!(bytes.end, size),
                false => prop_assert_eq!(bytes.end, bytes_of(index + 1, size).start),
            }
        }

        #[test]
        fn any_header_is_read_or_refused(header in any::<String>(), [a, b, c] in any::<[u64; 3]>()) {
            let _ = PartRange::parse(&header);
            if let Some((index, bytes)) = parse(a, b, c) {
                prop_assert!(bytes.end <= c && index < parts_of(c));
            }
        }
    }
}
