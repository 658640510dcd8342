//! The index, a sled database: maps keys, in order, to the journal locations of their values.
//!
//! The journal is authoritative and the index can be rebuilt from it, so no commit waits for the index to be flushed. After
//! the end of its process, sled recovers the state of some earlier commit, and the index records which one. It does not
//! survive a power cut reliably, because it overwrites parts of its files that a flushed state needs, so after a power cut
//! it is rebuilt ([`crate::boot`] detects that).
//!
//! The layout of an index entry:
//!
//! ```text
//! segment(4)  offset(4)  length(4)  CRC-32C of the value(4)  [the value, if it is short]
//! ```

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use crate::journal::{Place, Position};
use crate::{Error, Result};

/// Values up to this many bytes are kept in the index too, which saves reading the journal.
const INLINE_BYTES: usize = 32;
const PLACE_BYTES: usize = 16;
/// Size of sled's page cache in bytes.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// The file in its directory that sled locks.
const LOCKED_FILE: &str = "db";
const RELEASE_ATTEMPTS: u32 = 100;
const RELEASE_PAUSE: Duration = Duration::from_millis(20);
/// Key and tree of the [`State`]. In a tree of its own, where frequent overwrites are cheap.
const STATE: &str = "state";

/// How much of the journal an index covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// All commits before this position are in the index.
    pub(crate) position: Position,
    /// Bytes of the journal that its entries refer to.
    pub(crate) live_bytes: u64,
}

/// An entry of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) place: Place,
    checksum: u32,
    inline: Option<Vec<u8>>,
}

impl Located {
    pub(crate) fn new(place: Place, value: &[u8]) -> Self {
        let inline = (value.len() <= INLINE_BYTES).then(|| value.to_vec());
        Self { place, checksum: crc32c::crc32c(value), inline }
    }

    pub(crate) fn inline(&self) -> Option<&[u8]> {
        self.inline.as_deref()
    }

    /// Whether `value` has the checksum of the stored value.
    pub(crate) fn is(&self, value: &[u8]) -> bool {
        crc32c::crc32c(value) == self.checksum
    }

    /// Size of the entry with this key in the journal, in bytes.
    fn cost(&self, key: &[u8]) -> u64 {
        (crate::commit::ENTRY_HEAD + key.len()) as u64 + u64::from(self.place.length)
    }

    fn encode(&self) -> Vec<u8> {
        let inline = self.inline.as_deref().unwrap_or_default();
        let mut bytes = Vec::with_capacity(PLACE_BYTES + inline.len());
        for number in [self.place.segment, self.place.offset, self.place.length, self.checksum] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(inline);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, inline) = bytes.split_first_chunk::<PLACE_BYTES>()?;
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let place = Place { segment: number(0), offset: number(4), length: number(8) };
        let is_inline = place.length as usize <= INLINE_BYTES;
        (inline.len() == if is_inline { place.length as usize } else { 0 }).then(|| Self {
            place,
            checksum: number(12),
            inline: is_inline.then(|| inline.to_vec()),
        })
    }
}

/// A change to the index.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) key: Vec<u8>,
    /// `None` for a removal.
    pub(crate) located: Option<Located>,
}

/// The index of one store.
///
/// Changes are inserted one by one, because a sled batch would block its other writers for each commit. The gate makes a commit
/// visible atomically. The order makes it recoverable: sled recovers a prefix of the insertions and the state is inserted
/// last, so a recovered state covers everything before it, and changes recovered without their state are applied again.
pub(crate) struct Index {
    entries: sled::Db,
    state: sled::Tree,
    /// Write-locked while a group of commits is applied.
    gate: RwLock<()>,
    path: PathBuf,
}

impl Index {
    /// Opens the index, or creates an empty one.
    ///
    /// # Errors
    /// [`Error::Index`] if it cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let entries = open_when_released(path)?;
        let state = entries.open_tree(STATE).map_err(|error| failure(path, &error))?;
        Ok(Self { entries, state, gate: RwLock::new(()), path: path.to_owned() })
    }

    /// How much of the journal it covers; `None` if it is empty.
    ///
    /// # Errors
    /// [`Error::Index`] if it cannot be read.
    pub(crate) fn state(&self) -> Result<Option<State>> {
        let Some(bytes) = self.state.get(STATE).map_err(|error| self.failed(&error))? else { return Ok(None) };
        decode_state(&bytes).map(Some).ok_or_else(|| self.unreadable())
    }

    /// Looks up a key.
    ///
    /// # Errors
    /// [`Error::Index`] if it cannot be read.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Located>> {
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        self.look_up(key)
    }

    fn look_up(&self, key: &[u8]) -> Result<Option<Located>> {
        match self.entries.get(key).map_err(|error| self.failed(&error))? {
            Some(bytes) => Located::decode(&bytes).map(Some).ok_or_else(|| self.unreadable()),
            None => Ok(None),
        }
    }

    /// Whether it has an entry for a key.
    ///
    /// # Errors
    /// [`Error::Index`] if it cannot be read.
    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool> {
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        self.entries.contains_key(key).map_err(|error| self.failed(&error))
    }

    /// The entries with keys in `from..until`, in order, iterable from either end.
    pub(crate) fn range(
        &self,
        from: Vec<u8>,
        until: Option<Vec<u8>>,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Located)>> + use<'_> {
        let entries = match until {
            Some(until) => self.entries.range(from..until),
            None => self.entries.range(from..),
        };
        entries.map(|entry| {
            let (key, bytes) = entry.map_err(|error| self.failed(&error))?;
            let located = Located::decode(&bytes).ok_or_else(|| self.unreadable())?;
            Ok((key.to_vec(), located))
        })
    }

    /// No commit is applied while the guard is held. Calling [`get`](Self::get) or [`contains`](Self::contains) on the same
    /// thread can deadlock.
    pub(crate) fn close_gate(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies changes in order, then stores the state after them and returns it. A look-up sees all or none of them; a range
    /// may see some.
    ///
    /// # Errors
    /// [`Error::Index`] on failure; some changes may have been applied.
    pub(crate) fn apply(&self, changes: Vec<Change>, position: Position, live_bytes: u64) -> Result<State> {
        let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut live = i128::from(live_bytes);
        for Change { key, located } in changes {
            let before = match &located {
                Some(located) => self.entries.insert(&key, located.encode()),
                None => self.entries.remove(&key),
            };
            let before = before.map_err(|error| self.failed(&error))?.and_then(|bytes| Located::decode(&bytes));
            // A change that is applied again is in the entries, but not in the count of the recovered state.
            let before = before.filter(|before| located.as_ref().is_none_or(|located| located.place != before.place));
            live -= i128::from(before.map_or(0, |before| before.cost(&key)));
            live += i128::from(located.map_or(0, |located| located.cost(&key)));
        }
        let state = State { position, live_bytes: u64::try_from(live).unwrap_or_default() };
        self.state.insert(STATE, encode_state(&state)).map_err(|error| self.failed(&error))?;
        Ok(state)
    }

    /// Writes everything to the operating system's cache (sled's `flush`): it then survives the end of the process, not a power cut.
    ///
    /// # Errors
    /// [`Error::Index`] if writing fails.
    pub(crate) fn flush(&self) -> Result<()> {
        self.entries.flush().map(|_| ()).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &sled::Error) -> Error {
        failure(&self.path, error)
    }

    /// The error for an invalid entry.
    pub(crate) fn unreadable(&self) -> Error {
        Error::Index { path: self.path.clone(), reason: "an entry cannot be read".to_owned() }
    }
}

/// Opens sled, and waits for an earlier instance to release its file: the directory is locked for this process, so that can
/// only be a store that was dropped with commits pending.
fn open_when_released(path: &Path) -> Result<sled::Db> {
    let mut attempts = RELEASE_ATTEMPTS;
    while is_held(path)? {
        if attempts == 0 {
            return Err(Error::InUse { directory: path.to_owned(), holder: "(unknown)".to_owned() });
        }
        attempts -= 1;
        std::thread::sleep(RELEASE_PAUSE);
    }
    let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    config.open().map_err(|error| failure(path, &error))
}

/// Whether an instance of sled has locked its file. sled has no kind of error for that, so the lock is tried before it.
fn is_held(path: &Path) -> Result<bool> {
    let file = path.join(LOCKED_FILE);
    let locked = match File::options().read(true).write(true).open(&file) {
        Ok(opened) => opened.try_lock(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io(&file, &error)),
    };
    match locked {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(Error::io(&file, &error)),
    }
}

fn failure(path: &Path, error: &sled::Error) -> Error {
    match error {
        sled::Error::Io(source)
            if matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) =>
        {
            Error::Full { path: path.to_owned() }
        }
        other => Error::Index { path: path.to_owned(), reason: other.to_string() },
    }
}

fn encode_state(state: &State) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24);
    bytes.extend_from_slice(&state.position.segment.to_le_bytes());
    bytes.extend_from_slice(&state.position.offset.to_le_bytes());
    bytes.extend_from_slice(&state.position.sequence.to_le_bytes());
    bytes.extend_from_slice(&state.live_bytes.to_le_bytes());
    bytes
}

fn decode_state(bytes: &[u8]) -> Option<State> {
    let bytes: &[u8; 24] = bytes.try_into().ok()?;
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let place = word(0);
    let position = Position { segment: place as u32, offset: (place >> 32) as u32, sequence: word(8) };
    Some(State { position, live_bytes: word(16) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn position(sequence: u64) -> Position {
        Position { segment: 1, offset: 64, sequence }
    }

    fn put(key: &[u8], value: &[u8]) -> Change {
        let place = Place { segment: 1, offset: 70, length: value.len() as u32 };
        Change { key: key.to_vec(), located: Some(Located::new(place, value)) }
    }

    #[test]
    fn short_values_are_in_the_index_and_long_ones_are_not() {
        for length in [0, 1, INLINE_BYTES, INLINE_BYTES + 1] {
            let value = vec![7; length];
            let located = Located::new(Place { segment: 1, offset: 2, length: length as u32 }, &value);
            assert_eq!(Located::decode(&located.encode()), Some(located.clone()));
            assert_eq!(located.inline().is_some(), length <= INLINE_BYTES);
            assert!(located.is(&value) && !located.is(b"other"));
        }
    }

    #[test]
    fn an_index_is_held_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_held(directory.path()).unwrap());
        let index = Index::open(directory.path()).unwrap();
        assert!(is_held(directory.path()).unwrap());
        drop(index);
        assert!(!is_held(directory.path()).unwrap());
    }

    #[test]
    fn live_bytes_follow_every_change() {
        let directory = tempfile::tempdir().unwrap();
        let index = Index::open(directory.path()).unwrap();
        assert_eq!(index.state().unwrap(), None);
        let first = index.apply(vec![put(b"a", b"12"), put(b"b", b"1"), put(b"b", b"123")], position(4), 0).unwrap();
        assert_eq!(first.live_bytes, (7 + 1 + 2) + (7 + 1 + 3));
        let remove = |key: &[u8]| Change { key: key.to_vec(), located: None };
        let second =
            index.apply(vec![remove(b"a"), remove(b"none"), put(b"b", b"")], position(5), first.live_bytes).unwrap();
        assert_eq!(second, State { position: position(5), live_bytes: 7 + 1 });
        assert_eq!(index.state().unwrap(), Some(second));
        let keys: Vec<_> = index.range(Vec::new(), None).map(|entry| entry.unwrap().0).collect();
        assert_eq!(keys, [b"b"]);
    }
}
