//! The records of the shim.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// Size of a record before its payload: the layout of `struct record` in `shim.c`, in native byte order.
const HEADER: usize = 48;

/// A change or flush. Nodes are inode numbers, which the file system reuses: each [`Record::Create`] begins a new node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A new file or directory under a name.
    Create {
        /// The new node.
        node: u64,
        /// The directory of the name.
        parent: u64,
        /// The name.
        name: OsString,
        /// File type and permissions, as in `st_mode`.
        mode: u32,
    },
    /// A further name of a node.
    Link {
        /// The node.
        node: u64,
        /// The directory of the name.
        parent: u64,
        /// The name.
        name: OsString,
    },
    /// A removed name of a file or directory.
    Unlink {
        /// The directory of the name.
        parent: u64,
        /// The name.
        name: OsString,
    },
    /// A renamed node, which replaces the previous node of the new name.
    Rename {
        /// The node.
        node: u64,
        /// The directory of the old name.
        parent: u64,
        /// The old name.
        name: OsString,
        /// The directory of the new name.
        new_parent: u64,
        /// The new name.
        new_name: OsString,
    },
    /// Written bytes.
    Write {
        /// The file.
        node: u64,
        /// Offset in bytes.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A changed length, shorter or longer.
    Truncate {
        /// The file.
        node: u64,
        /// The length in bytes.
        length: u64,
    },
    /// Changed permissions.
    Mode {
        /// The node.
        node: u64,
        /// As in `st_mode`.
        mode: u32,
    },
    /// The start of a flush.
    SyncBegin {
        /// The node.
        node: u64,
        /// Number that its end has, too.
        number: u64,
        /// The path of the node.
        path: PathBuf,
    },
    /// The end of a successful flush.
    SyncEnd {
        /// The node.
        node: u64,
        /// The number of its start.
        number: u64,
    },
}

/// A trace that cannot be read.
#[derive(Debug)]
pub struct TraceError {
    /// Offset in bytes.
    pub offset: usize,
}

impl std::fmt::Display for TraceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the trace has no complete record at byte {}", self.offset)
    }
}

impl std::error::Error for TraceError {}

/// Records in the order in which they took effect.
#[derive(Debug, Default)]
pub struct Trace(pub Vec<Record>);

impl Trace {
    /// Parses all records.
    ///
    /// # Errors
    /// If there is anything but complete records.
    pub fn parse(bytes: &[u8]) -> Result<Self, TraceError> {
        let mut records = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (record, length) = parse_one(rest).ok_or(TraceError { offset: bytes.len() - rest.len() })?;
            records.push(record);
            rest = &rest[length..];
        }
        Ok(Self(records))
    }

    /// The paths of all files with a successful flush that covers at least one earlier write in this trace, once per flush.
    #[must_use]
    pub fn synchronized_writes(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for (end, record) in self.0.iter().enumerate() {
            let Record::SyncEnd { number, node } = record else { continue };
            let begin =
                self.0[..end].iter().position(|r| matches!(r, Record::SyncBegin { number: n, .. } if n == number));
            let Some(begin) = begin else { continue };
            let is_write = |r: &Record| matches!(r, Record::Write { node: n, .. } if n == node);
            if self.0[..begin].iter().any(is_write)
                && let Record::SyncBegin { path, .. } = &self.0[begin]
            {
                found.push(path.clone());
            }
        }
        found
    }
}

fn parse_one(bytes: &[u8]) -> Option<(Record, usize)> {
    let u32_at = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let length = HEADER + u32_at(4)? as usize;
    let payload = bytes.get(HEADER..length)?;
    let (node, parent, target) = (u64_at(8)?, u64_at(16)?, u64_at(24)?);
    let (offset, size) = (u64_at(32)?, u64_at(40)?);
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let record = match u32_at(0)? {
        1 => Record::Create { node, parent, name: text(payload), mode: u32::try_from(size).ok()? },
        2 => Record::Link { node, parent, name: text(payload) },
        3 => Record::Unlink { parent, name: text(payload) },
        4 => {
            let (old, new) = payload.split_at_checked(usize::try_from(offset).ok()?)?;
            Record::Rename { node, parent, name: text(old), new_parent: target, new_name: text(new) }
        }
        5 => Record::Write { node, offset, bytes: payload.to_vec() },
        6 => Record::Truncate { node, length: size },
        7 => Record::Mode { node, mode: u32::try_from(size).ok()? },
        8 => Record::SyncBegin { node, number: offset, path: text(payload).into() },
        9 => Record::SyncEnd { node, number: offset },
        _ => return None,
    };
    Some((record, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(kind: u32, numbers: [u64; 5], payload: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_ne_bytes(), (payload.len() as u32).to_ne_bytes()].concat();
        numbers.iter().for_each(|number| bytes.extend(number.to_ne_bytes()));
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn each_kind_is_read() {
        let records = [
            encoded(1, [7, 1, 0, 0, 0o100_600], b"a"),
            encoded(4, [7, 1, 2, 1, 0], b"abc"),
            encoded(5, [7, 0, 0, 512, 0], b"bytes"),
            encoded(9, [7, 0, 0, 3, 0], b"/path"),
        ];
        let expected = [
            Record::Create { node: 7, parent: 1, name: "a".into(), mode: 0o100_600 },
            Record::Rename { node: 7, parent: 1, name: "a".into(), new_parent: 2, new_name: "bc".into() },
            Record::Write { node: 7, offset: 512, bytes: b"bytes".to_vec() },
            Record::SyncEnd { node: 7, number: 3 },
        ];
        assert_eq!(Trace::parse(&records.concat()).unwrap().0, expected);
    }

    #[test]
    fn a_trace_with_an_incomplete_record_is_refused() {
        let whole = encoded(5, [7, 0, 0, 0, 0], b"bytes");
        for length in 1..whole.len() {
            assert_eq!(Trace::parse(&whole[..length]).unwrap_err().offset, 0, "{length}");
        }
        let unknown = encoded(10, [0; 5], b"");
        assert_eq!(Trace::parse(&[whole.clone(), unknown].concat()).unwrap_err().offset, whole.len());
    }

    #[test]
    fn only_a_write_before_a_completed_flush_of_its_file_counts() {
        let write = |node| Record::Write { node, offset: 0, bytes: vec![1] };
        let begin = |node| Record::SyncBegin { node, number: node, path: format!("/{node}").into() };
        let end = |node| Record::SyncEnd { node, number: node };
        let found = |records: &[Record]| Trace(records.to_vec()).synchronized_writes();
        assert_eq!(found(&[write(1), begin(1), end(1)]), [PathBuf::from("/1")]);
        for records in [
            vec![begin(1), write(1), end(1)],
            vec![write(1), begin(1)],
            vec![write(1), begin(2), end(2)],
            vec![write(1), end(1)],
        ] {
            assert!(found(&records).is_empty(), "{records:?}");
        }
    }
}
