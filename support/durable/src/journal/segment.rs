//! Segments: the files of a journal.
//!
//! A segment begins with a header of 64 bytes:
//!
//! ```text
//! "enlacejl"  version(4)  salt(4)  store(16)  number(4)  end of the previous segment(4)  first sequence(8)  zeros(12)
//! CRC-32C of all that(4)
//! ```
//!
//! Frames follow, then preallocated zeros: a flush then writes contents only, and no file size or block allocation.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use super::frame;
use crate::disk::DiskFile;

/// Size of the header in bytes.
pub(crate) const HEADER: u32 = 64;
/// Version of the layout of segments and frames.
pub(crate) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"enlacejl";
const SUFFIX: &str = ".journal";

/// Identifies a store, so that the files of another store are detected.
pub(crate) type StoreId = [u8; 16];

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Random; part of every checksum in the segment.
    pub(crate) salt: u32,
    /// The store that the segment belongs to.
    pub(crate) store: StoreId,
    /// Number of the segment; consecutive.
    pub(crate) number: u32,
    /// Where the frames of the previous segment end.
    pub(crate) previous_end: u32,
    /// Sequence number of its first frame.
    pub(crate) first_sequence: u64,
}

impl Header {
    /// Encodes the header.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER as usize);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        bytes.extend_from_slice(&self.store);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.previous_end.to_le_bytes());
        bytes.extend_from_slice(&self.first_sequence.to_le_bytes());
        bytes.resize(HEADER as usize - 4, 0);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Decodes a header.
    ///
    /// # Errors
    /// Why it is invalid.
    pub(crate) fn decode(bytes: &[u8; HEADER as usize]) -> Result<Self, Unreadable> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let end = HEADER as usize - 4;
        if !bytes.starts_with(MAGIC) || number(end) != crc32c::crc32c(&bytes[..end]) {
            return Err(Unreadable::NoHeader);
        }
        match number(8) {
            VERSION => {}
            newer => return Err(Unreadable::Version(newer)),
        }
        let mut store = StoreId::default();
        store.copy_from_slice(&bytes[16..32]);
        let first_sequence = u64::from(number(40)) | u64::from(number(44)) << 32;
        Ok(Self { salt: number(12), store, number: number(32), previous_end: number(36), first_sequence })
    }
}

/// Why a header cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is incomplete or damaged.
    NoHeader,
    /// It has another version.
    Version(u32),
}

/// The file name of a segment.
pub(crate) fn file_name(number: u32) -> String {
    format!("{number:010}{SUFFIX}")
}

/// The number of the segment with this file name, if it is one.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 10)?.parse().ok()
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its header.
    pub(crate) header: Header,
    pub(crate) file: Box<dyn DiskFile>,
    /// Where its frames end.
    end: AtomicU32,
    /// Where the preallocated zeros end.
    written_ahead: AtomicU32,
}

impl Segment {
    pub(crate) fn new(header: Header, file: Box<dyn DiskFile>, end: u32, written_ahead: u32) -> Self {
        Self { header, file, end: AtomicU32::new(end), written_ahead: AtomicU32::new(written_ahead) }
    }

    pub(crate) fn end(&self) -> u32 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn set_end(&self, end: u32) {
        self.end.store(end, Ordering::Release);
    }

    pub(crate) fn written_ahead(&self) -> u32 {
        self.written_ahead.load(Ordering::Acquire)
    }

    /// Preallocates up to `until`: writes zeros and flushes them.
    ///
    /// # Errors
    /// The operating system's error. Existing frames are unchanged.
    pub(crate) fn write_ahead(&self, until: u32) -> io::Result<()> {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let mut at = self.written_ahead();
        while at < until {
            let count = (until - at).min(ZEROS.len() as u32);
            self.file.write_at(&ZEROS[..count as usize], u64::from(at))?;
            at += count;
        }
        self.file.sync()?;
        self.written_ahead.fetch_max(until, Ordering::AcqRel);
        Ok(())
    }

    /// Reads the frame at `offset`, if a complete one is there that ends at or before `limit`.
    ///
    /// # Errors
    /// The operating system's error.
    pub(crate) fn frame(&self, offset: u32, limit: u32) -> io::Result<Option<Frame>> {
        let room = limit.saturating_sub(offset) as usize;
        if room < frame::HEAD {
            return Ok(None);
        }
        let mut head = [0; frame::HEAD];
        self.file.read_at(&mut head, u64::from(offset))?;
        let Some(length) = frame::body_length(&head) else { return Ok(None) };
        let size = frame::size(length);
        if size > room {
            return Ok(None);
        }
        let mut bytes = vec![0; size];
        self.file.read_at(&mut bytes, u64::from(offset))?;
        let Some((head, body)) = frame::decode(&bytes, self.header.salt) else { return Ok(None) };
        let body_length = body.len();
        bytes.truncate(frame::HEAD + body_length);
        bytes.drain(..frame::HEAD);
        let next = offset + u32::try_from(size).expect("frames are smaller than their segment");
        Ok(Some(Frame { head, body: bytes, next }))
    }
}

/// A frame whose checksum is correct.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) head: frame::Head,
    pub(crate) body: Vec<u8>,
    /// Where the next frame begins.
    pub(crate) next: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_round_trips_and_any_flipped_bit_is_detected() {
        let header = Header { salt: 1, store: [2; 16], number: 3, previous_end: 4, first_sequence: 5 << 40 };
        let bytes: [u8; HEADER as usize] = header.encode().try_into().unwrap();
        assert_eq!(Header::decode(&bytes), Ok(header));
        for place in 0..bytes.len() {
            let mut altered = bytes;
            altered[place] ^= 1;
            assert_eq!(Header::decode(&altered), Err(Unreadable::NoHeader), "byte {place}");
        }
    }

    #[test]
    fn a_header_of_another_version_is_refused_with_that_version() {
        let mut bytes = Header { salt: 1, store: [2; 16], number: 3, previous_end: 4, first_sequence: 5 }.encode();
        bytes[8] = 9;
        let end = bytes.len() - 4;
        let checksum = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Header::decode(&bytes.try_into().unwrap()), Err(Unreadable::Version(9)));
    }

    #[test]
    fn only_file_names_of_segments_have_a_number() {
        assert_eq!(number_of(&file_name(4_000_000_000)), Some(4_000_000_000));
        for other in ["1.journal", "0000000001", "0000000001.journal.old", "000000000x.journal"] {
            assert_eq!(number_of(other), None, "{other}");
        }
    }
}
