//! The only encoding of entries (specification, section 9.1): RFC 8949, section 4.2.1.

use std::io::{self, Write};

use super::{Entry, EntryKind, MAX_ENTRIES, MAX_MANIFEST_LENGTH, MAX_PATH_LENGTH, ManifestError, RelativePath};
use crate::wire::Timestamp;

/// Array of two items.
const HEAD: u8 = 0x82;
const VERSION: u8 = 1;
/// Major types of arrays, and of numbers that follow in their own bytes.
const ARRAY: u8 = 0x80;
const ONE_BYTE: u8 = ARRAY | 24;
const TWO_BYTES: u8 = ARRAY | 25;
const FOUR_BYTES: u8 = ARRAY | 26;

/// Path, size, mode, time in milliseconds since the Unix epoch.
type WireEntry<'a> = (&'a str, Option<u64>, Option<u16>, Option<i64>);
type OwnedWireEntry = (String, Option<u64>, Option<u16>, Option<i64>);

pub(super) fn encode(entries: &[Entry], length: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    write(entries, &mut bytes).expect("memory takes whatever is written to it");
    bytes
}

/// The number of bytes of the encoding.
pub(super) fn length(entries: &[Entry]) -> u64 {
    let mut counter = Counter(0);
    write(entries, &mut counter).expect("a counter takes whatever is written to it");
    counter.0
}

pub(super) fn is_encoding_of(bytes: &[u8], entries: &[Entry]) -> bool {
    let mut expected = Expected(bytes);
    write(entries, &mut expected).is_ok() && expected.0.is_empty()
}

fn write(entries: &[Entry], out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[HEAD, VERSION])?;
    write_array_head(entries.len(), out)?;
    entries.iter().try_for_each(|entry| {
        let size = match entry.kind {
            EntryKind::File { size } => Some(size),
            EntryKind::Folder => None,
        };
        let time = entry.modified_at.map(Timestamp::as_unix_milliseconds);
        let entry: WireEntry<'_> = (entry.path.as_str(), size, entry.mode, time);
        ciborium::into_writer(&entry, &mut *out).map_err(io::Error::other)
    })
}

fn write_array_head(count: usize, out: &mut impl Write) -> io::Result<()> {
    match (u8::try_from(count), u16::try_from(count)) {
        (Ok(count), _) if count < 24 => out.write_all(&[ARRAY | count]),
        (Ok(count), _) => out.write_all(&[ONE_BYTE, count]),
        (_, Ok(count)) => out.write_all(&[&[TWO_BYTES][..], &count.to_be_bytes()].concat()),
        _ => {
            let count = u32::try_from(count).map_err(io::Error::other)?;
            out.write_all(&[&[FOUR_BYTES][..], &count.to_be_bytes()].concat())
        }
    }
}

/// Reads entries. What is not the only encoding of them may be accepted here: see [`is_encoding_of`].
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Entry>, ManifestError> {
    if bytes.len() > MAX_MANIFEST_LENGTH {
        return Err(ManifestError::TooLong);
    }
    let entries = match bytes {
        [HEAD, VERSION, entries @ ..] => entries,
        [HEAD, 2..24, ..] => return Err(ManifestError::NeedsNewerReader),
        _ => return Err(ManifestError::Malformed),
    };
    let (count, mut entries) = read_array_head(entries).ok_or(ManifestError::Malformed)?;
    if count > MAX_ENTRIES {
        return Err(ManifestError::TooManyEntries);
    }
    let mut scratch = vec![0; MAX_PATH_LENGTH];
    (0..count).map(|index| read_entry(index, &mut entries, &mut scratch)).collect()
}

fn read_array_head(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes {
        [ONE_BYTE, count, ref rest @ ..] => Some((count.into(), rest)),
        [TWO_BYTES, a, b, ref rest @ ..] => Some((u16::from_be_bytes([a, b]).into(), rest)),
        [FOUR_BYTES, a, b, c, d, ref rest @ ..] => {
            Some((usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?, rest))
        }
        [head @ ARRAY..ONE_BYTE, ref rest @ ..] => Some(((head - ARRAY).into(), rest)),
        _ => None,
    }
}

fn read_entry(index: usize, entries: &mut &[u8], scratch: &mut [u8]) -> Result<Entry, ManifestError> {
    let (path, size, mode, time): OwnedWireEntry =
        ciborium::de::from_reader_with_buffer(entries, scratch).map_err(|_| ManifestError::Malformed)?;
    let path = RelativePath::new(path).map_err(|reason| ManifestError::Path { index, reason })?;
    let kind = size.map_or(EntryKind::Folder, |size| EntryKind::File { size });
    let modified_at = time.map(Timestamp::from_unix_milliseconds);
    if modified_at.map(Timestamp::as_unix_milliseconds) != time {
        return Err(ManifestError::Attributes { index });
    }
    Ok(Entry { path, kind, mode, modified_at })
}

/// Counts what is written to it.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes only what it holds.
struct Expected<'a>(&'a [u8]);

impl Write for Expected<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
