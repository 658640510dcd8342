//! A commit: puts and removals that take effect atomically.
//!
//! Its encoding is the body of one journal frame, a sequence of entries:
//!
//! ```text
//! kind(1)  key length(2)  value length(4)  key  value
//! ```
//!
//! Numbers are little-endian. Kind is 1 for a put and 2 for a removal, whose value is empty.

use std::ops::Range;

use crate::{Error, Result};

/// Maximum length of a key in bytes.
pub const MAX_KEY_BYTES: usize = 4096;
/// Maximum size of an encoded commit in bytes.
pub const MAX_COMMIT_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of an entry before its key.
pub(crate) const ENTRY_HEAD: usize = 7;

const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// A set of changes that take effect atomically; the last change added for a key wins.
#[derive(Debug, Default)]
pub struct Commit {
    body: Vec<u8>,
    entries: Vec<Entry>,
    is_moving: bool,
}

/// The location of one change in an encoded commit.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Range<usize>,
    /// `None` for a removal.
    pub(crate) value: Option<Range<usize>>,
}

impl Commit {
    /// An empty commit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores `value` under `key`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the key is empty or longer than [`MAX_KEY_BYTES`], or the commit would exceed
    /// [`MAX_COMMIT_BYTES`]. The commit is then unchanged.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.add(PUT, key, value)
    }

    /// Removes `key`, if it exists.
    ///
    /// # Errors
    /// Like [`put`](Self::put).
    pub fn remove(&mut self, key: &[u8]) -> Result<()> {
        self.add(REMOVE, key, b"")
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its encoded size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body.len()
    }

    /// An empty commit that only moves existing entries, for the cleaner.
    pub(crate) fn moving() -> Self {
        Self { is_moving: true, ..Self::default() }
    }

    /// Whether it does not increase the amount of live data.
    pub(crate) fn makes_room(&self) -> bool {
        self.is_moving || self.entries.iter().all(|entry| entry.value.is_none())
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn add(&mut self, kind: u8, key: &[u8], value: &[u8]) -> Result<()> {
        let key_length = u16::try_from(key.len()).ok().filter(|_| (1..=MAX_KEY_BYTES).contains(&key.len()));
        let key_length = key_length.ok_or(Error::TooLarge { bytes: key.len(), limit: MAX_KEY_BYTES })?;
        let size = self.body.len() + ENTRY_HEAD + key.len() + value.len();
        let value_length = u32::try_from(value.len()).ok().filter(|_| size <= MAX_COMMIT_BYTES);
        let value_length = value_length.ok_or(Error::TooLarge { bytes: size, limit: MAX_COMMIT_BYTES })?;
        self.body.push(kind);
        self.body.extend_from_slice(&key_length.to_le_bytes());
        self.body.extend_from_slice(&value_length.to_le_bytes());
        self.body.extend_from_slice(key);
        let key_end = self.body.len();
        self.body.extend_from_slice(value);
        let value = (kind == PUT).then_some(key_end..self.body.len());
        self.entries.push(Entry { key: key_end - key.len()..key_end, value });
        Ok(())
    }

    /// Decodes a body; `None` if it is invalid.
    pub(crate) fn decode(body: Vec<u8>) -> Option<Self> {
        let mut entries = Vec::new();
        let mut at = 0;
        while at < body.len() {
            let head: &[u8; ENTRY_HEAD] = body.get(at..)?.first_chunk()?;
            let [kind, key_0, key_1, value_0, value_1, value_2, value_3] = *head;
            let key_start = at + ENTRY_HEAD;
            let key_end = key_start + usize::from(u16::from_le_bytes([key_0, key_1]));
            let value_length = u32::from_le_bytes([value_0, value_1, value_2, value_3]);
            let value_end = key_end.checked_add(usize::try_from(value_length).ok()?)?;
            let value = match kind {
                PUT => Some(key_end..value_end),
                REMOVE if value_end == key_end => None,
                _ => return None,
            };
            if value_end > body.len() || !(1..=MAX_KEY_BYTES).contains(&(key_end - key_start)) {
                return None;
            }
            entries.push(Entry { key: key_start..key_end, value });
            at = value_end;
        }
        Some(Self { body, entries, is_moving: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_encoding_is_frozen() {
        let mut commit = Commit::new();
        commit.put(b"key", b"value").unwrap();
        commit.remove(b"k").unwrap();
        assert_eq!(commit.body(), b"\x01\x03\0\x05\0\0\0keyvalue\x02\x01\0\0\0\0\0k");
    }

    #[test]
    fn keys_and_commits_are_bounded() {
        let mut commit = Commit::new();
        commit.put(&[7; MAX_KEY_BYTES], b"").unwrap();
        assert!(matches!(commit.put(&[7; MAX_KEY_BYTES + 1], b""), Err(Error::TooLarge { .. })));
        assert!(matches!(commit.put(b"", b""), Err(Error::TooLarge { .. })));
        let room = MAX_COMMIT_BYTES - commit.size() - ENTRY_HEAD - 1;
        assert!(matches!(commit.put(b"k", &vec![0; room + 1]), Err(Error::TooLarge { .. })));
        commit.put(b"k", &vec![0; room]).unwrap();
        assert_eq!(commit.size(), MAX_COMMIT_BYTES);
    }

    fn changes() -> impl Strategy<Value = Vec<(Vec<u8>, Option<Vec<u8>>)>> {
        let key = prop::collection::vec(any::<u8>(), 1..20);
        let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..50));
        prop::collection::vec((key, value), 0..10)
    }

    proptest! {
        #[test]
        fn commits_round_trip(changes in changes(), cut in any::<prop::sample::Index>()) {
            let mut commit = Commit::new();
            for (key, value) in &changes {
                match value {
                    Some(value) => commit.put(key, value).unwrap(),
                    None => commit.remove(key).unwrap(),
                }
            }
            let decoded = Commit::decode(commit.body().to_vec()).unwrap();
            let read: Vec<_> = decoded.entries().iter().map(|entry| {
                let bytes = |range: &Range<usize>| decoded.body()[range.clone()].to_vec();
                (bytes(&entry.key), entry.value.as_ref().map(bytes))
            }).collect();
            prop_assert_eq!(&read, &changes);
            // A truncated body is refused, unless it ends with an entry.
            let part = commit.body()[..cut.index(commit.size() + 1)].to_vec();
            prop_assert!(Commit::decode(part.clone()).is_none_or(|decoded| decoded.body() == part));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Commit::decode(bytes);
        }
    }
}
