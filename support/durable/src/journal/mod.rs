//! The journal: a commit is acknowledged once it is flushed here, and values stay here.
//!
//! Commits are appended to the last segment as frames and flushed in groups. Complete segments are never written again; the
//! [cleaner](crate::cleaner) moves live entries out of the oldest one and removes it.

pub(crate) mod frame;
pub(crate) mod recovery;
pub(crate) mod segment;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use self::segment::{HEADER, Header, Segment, StoreId};
use crate::commit::Commit;
use crate::disk::Disk;
use crate::room::RESERVED_BYTES;
use crate::{Error, Result};

/// Size of a segment of a small journal.
const MIN_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Size of a segment of a large journal.
const MAX_SEGMENT_BYTES: u64 = 1024 * 1024 * 1024;
/// Approximate number of segments of a large journal. All are kept open.
const SEGMENTS: u64 = 32;
/// Bytes that a new store preallocates.
const FIRST_STEP: u32 = 128 * 1024;
/// Maximum number of bytes that a store preallocates at a time.
const LAST_STEP: u32 = 8 * 1024 * 1024;

/// Maximum size of a group of commits, unless a single commit is larger.
const MAX_GROUP_BYTES: u64 = 4 * 1024 * 1024;
/// Upper bound of the bytes that the index grows by per byte of the journal: up to 5 measured, with short values.
const INDEX_GROWTH: u64 = 8;

/// The position of a frame in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Number of the segment.
    pub(crate) segment: u32,
    /// Offset in the segment, in bytes.
    pub(crate) offset: u32,
    /// Sequence number of the frame that begins there, or will.
    pub(crate) sequence: u64,
}

/// The location of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

/// Why a group could not be written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// There is no space; nothing was written.
    Full,
    /// Another error occurred before anything was written.
    Refused(io::Error),
    /// The state on disk is unknown.
    Failed(io::Error),
}

/// The segments of a store.
#[derive(Debug)]
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    segments: RwLock<BTreeMap<u32, Arc<Segment>>>,
    tail: Mutex<Tail>,
    /// Bytes of all segments up to where their frames end.
    used: AtomicU64,
}

#[derive(Debug)]
struct Tail {
    segment: Arc<Segment>,
    next_sequence: u64,
    /// Bytes to preallocate next time.
    step: u32,
}

impl Journal {
    /// Creates the journal of a new store. Its first segment is durable when this returns.
    ///
    /// # Errors
    /// The operating system's error.
    pub(crate) fn create(disk: Arc<dyn Disk>, store: StoreId) -> Result<Self> {
        let header = Header { salt: random()?, store, number: 1, previous_end: 0, first_sequence: 1 };
        let segment = create_segment(&*disk, header, HEADER + FIRST_STEP).map_err(|error| disk_error(&*disk, error))?;
        let segments = BTreeMap::from([(1, Arc::new(segment))]);
        Ok(Self::with(disk, segments, 1))
    }

    fn with(disk: Arc<dyn Disk>, segments: BTreeMap<u32, Arc<Segment>>, next_sequence: u64) -> Self {
        let segment = segments.last_key_value().expect("a journal has a segment").1.clone();
        let used = segments.values().map(|segment| u64::from(segment.end())).sum();
        let tail = Mutex::new(Tail { segment, next_sequence, step: FIRST_STEP });
        Self { disk, segments: RwLock::new(segments), tail, used: AtomicU64::new(used) }
    }

    /// Reserves space for a group of commits in one segment, and returns how many of them fit: at least one.
    ///
    /// # Errors
    /// [`WriteError::Full`] if there is no space on the disk.
    pub(crate) fn reserve(&self, commits: &[&Commit]) -> std::result::Result<usize, WriteError> {
        // Even if the journal has preallocated enough: each commit also takes space in the index.
        self.check_room_for_index(commits)?;
        let mut tail = self.tail();
        let sizes = || commits.iter().map(|commit| frame::size(commit.size()) as u64);
        let first = sizes().next().unwrap_or_default();
        let limit = self.segment_bytes();
        let mut end = u64::from(tail.segment.end());
        if end + first > limit && tail.segment.end() > HEADER {
            self.rotate(&mut tail, first)?;
            end = u64::from(HEADER);
        }
        let mut needed = 0;
        let fitting = sizes().take_while(|size| {
            let fits = needed == 0 || (end + needed + size <= limit && needed + size <= MAX_GROUP_BYTES);
            needed += if fits { *size } else { 0 };
            fits
        });
        let count = fitting.count();
        let needed_end = u32::try_from(end + needed).expect("segments and commits are bounded");
        self.extend(&mut tail, needed_end)?;
        Ok(count)
    }

    /// Writes a [reserved](Self::reserve) group and flushes it. Returns the location of each commit's body and the position after
    /// the group.
    ///
    /// # Errors
    /// The operating system's error. The state on disk is then unknown, and nothing may be written until recovery.
    pub(crate) fn write(&self, commits: &[&Commit]) -> io::Result<(Vec<Place>, Position)> {
        let mut tail = self.tail();
        let segment = tail.segment.clone();
        let (start, durable) = (segment.end(), tail.next_sequence - 1);
        let mut bytes = Vec::with_capacity(commits.iter().map(|commit| frame::size(commit.size())).sum());
        let mut places = Vec::with_capacity(commits.len());
        for (sequence, commit) in (tail.next_sequence..).zip(commits) {
            let offset = start + u32::try_from(bytes.len() + frame::HEAD).expect("reserved in one segment");
            let length = u32::try_from(commit.size()).expect("commits are bounded");
            places.push(Place { segment: segment.header.number, offset, length });
            frame::encode(&mut bytes, segment.header.salt, frame::Head { sequence, durable }, commit.body());
        }
        segment.file.write_at(&bytes, u64::from(start))?;
        segment.file.sync()?;
        tail.next_sequence += commits.len() as u64;
        let end = start + u32::try_from(bytes.len()).expect("reserved in one segment");
        segment.set_end(end);
        self.used.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok((places, self.position(&tail)))
    }

    /// Reads a value; `None` if its segment was removed.
    ///
    /// # Errors
    /// The operating system's error.
    pub(crate) fn read(&self, place: Place) -> io::Result<Option<Vec<u8>>> {
        let Some(segment) = self.segment(place.segment) else { return Ok(None) };
        let mut bytes = vec![0; place.length as usize];
        segment.file.read_at(&mut bytes, u64::from(place.offset))?;
        Ok(Some(bytes))
    }

    /// Bytes of all segments up to where their frames end.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The oldest segment, if it is complete and was not removed.
    pub(crate) fn oldest_complete(&self) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.first_key_value().filter(|_| segments.len() > 1).map(|(_, segment)| segment.clone())
    }

    /// Durably removes the oldest segment.
    ///
    /// # Errors
    /// The operating system's error.
    pub(crate) fn remove_oldest(&self, number: u32) -> io::Result<()> {
        // Flushed before the next removal: the remaining segments must never have a gap.
        match self.disk.remove(&segment::file_name(number)) {
            // An earlier attempt failed after this step.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome?,
        }
        self.disk.sync_names()?;
        let removed = self.segments.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        self.used.fetch_sub(removed.map_or(0, |segment| u64::from(segment.end())), Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    fn position(&self, tail: &Tail) -> Position {
        Position { segment: tail.segment.header.number, offset: tail.segment.end(), sequence: tail.next_sequence }
    }

    /// Where the next frame will begin.
    pub(crate) fn end(&self) -> Position {
        self.position(&self.tail())
    }

    pub(crate) fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    pub(crate) fn error(&self, segment: u32, error: &io::Error) -> Error {
        Error::io(&self.file(segment), error)
    }

    fn file(&self, segment: u32) -> PathBuf {
        self.disk.path().join(segment::file_name(segment))
    }

    fn segment_bytes(&self) -> u64 {
        (self.used_bytes() / SEGMENTS).clamp(MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES)
    }

    /// Commits that free space may use part of the reserve: otherwise nothing could be removed on a full disk.
    fn check_room_for_index(&self, commits: &[&Commit]) -> std::result::Result<(), WriteError> {
        let Some(free) = self.disk.free_bytes() else { return Ok(()) };
        let makes_room = commits.iter().all(|commit| commit.makes_room());
        let reserved = if makes_room { RESERVED_BYTES / 2 } else { RESERVED_BYTES };
        let bytes: u64 = commits.iter().map(|commit| frame::size(commit.size()) as u64).sum();
        let first = commits.first().map_or(0, |commit| frame::size(commit.size()) as u64);
        let growth = bytes.min(MAX_GROUP_BYTES.max(first)) * INDEX_GROWTH;
        if free >= reserved + if makes_room { 0 } else { growth } { Ok(()) } else { Err(WriteError::Full) }
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.disk.free_bytes().is_none_or(|free| free >= bytes + RESERVED_BYTES)
    }

    /// Creates the next segment, with space for a frame of `first` bytes.
    fn rotate(&self, tail: &mut Tail, first: u64) -> std::result::Result<(), WriteError> {
        let header = Header {
            salt: random().map_err(|_| WriteError::Failed(io::Error::other("the system has no random numbers")))?,
            number: tail.segment.header.number + 1,
            previous_end: tail.segment.end(),
            first_sequence: tail.next_sequence,
            ..tail.segment.header
        };
        let bytes = u64::from(HEADER) + first.max(u64::from(tail.step));
        if !self.has_room(bytes) {
            return Err(WriteError::Full);
        }
        let until = u32::try_from(bytes).expect("commits are bounded");
        match create_segment(&*self.disk, header, until) {
            Ok(segment) => {
                tail.segment = Arc::new(segment);
                let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
                segments.insert(header.number, tail.segment.clone());
                self.used.fetch_add(u64::from(HEADER), Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(self.give_up(header.number, error)),
        }
    }

    /// Removes a segment whose creation failed. Its file must not reappear after a power cut: its header says where the previous
    /// segment ends, which is not true once that one grows.
    fn give_up(&self, number: u32, error: io::Error) -> WriteError {
        let removed = match self.disk.remove(&segment::file_name(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.and_then(|()| self.disk.sync_names()),
        };
        match removed {
            Err(error) => WriteError::Failed(error),
            Ok(()) if is_full(&error) => WriteError::Full,
            Ok(()) => WriteError::Refused(error),
        }
    }

    /// Preallocates the segment up to `needed`.
    fn extend(&self, tail: &mut Tail, needed: u32) -> std::result::Result<(), WriteError> {
        let written_ahead = tail.segment.written_ahead();
        if needed <= written_ahead {
            return Ok(());
        }
        tail.step = tail.step.saturating_mul(2).min(LAST_STEP);
        let limit = u32::try_from(self.segment_bytes()).unwrap_or(u32::MAX);
        let generous = needed.saturating_add(tail.step).min(limit).max(needed);
        // On a nearly full disk, preallocates no more than needed.
        let until = if self.has_room(u64::from(generous - written_ahead)) { generous } else { needed };
        if !self.has_room(u64::from(until - written_ahead)) {
            return Err(WriteError::Full);
        }
        tail.segment.write_ahead(until).map_err(refusal)
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(error: io::Error) -> WriteError {
    if is_full(&error) { WriteError::Full } else { WriteError::Failed(error) }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn create_segment(disk: &dyn Disk, header: Header, until: u32) -> io::Result<Segment> {
    let file = disk.create(&segment::file_name(header.number))?;
    file.write_at(&header.encode(), 0)?;
    let segment = Segment::new(header, file, HEADER, HEADER);
    segment.write_ahead(until)?;
    disk.sync_names()?;
    Ok(segment)
}

fn disk_error(disk: &dyn Disk, error: io::Error) -> Error {
    Error::io(disk.path(), &error)
}

fn random() -> Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|_| Error::Failed { reason: "the system has no random numbers".to_owned() })?;
    Ok(u32::from_ne_bytes(bytes))
}
