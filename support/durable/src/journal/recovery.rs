//! Opening a journal: removes an interrupted write at the end, and refuses damage.
//!
//! A group of frames is written only after the previous group was flushed, so an interrupted write can leave unreadable
//! frames only in the last group. If a later readable frame records that an unreadable one was on disk, or if the index has
//! its commit, the unreadable frame had been acknowledged: that is damage, and nothing is changed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::segment::{self, Frame, HEADER, Header, Segment, StoreId, Unreadable};
use super::{Journal, Position, frame};
use crate::commit::Commit;
use crate::disk::{Disk, DiskFile};
use crate::{Error, Result};

/// Number of bytes read at a time when searching and clearing.
const CHUNK: usize = 64 * 1024;
/// Maximum size of a segment file: more than the largest segment plus the largest commit.
const MAX_FILE_BYTES: u32 = 0x5000_0000;
/// Maximum difference of sequence numbers within one interrupted write.
const MAX_GROUP: u64 = 1 << 20;

/// A journal whose segments have been listed; its end is not known yet.
#[derive(Debug)]
pub(crate) struct Found {
    disk: Arc<dyn Disk>,
    segments: BTreeMap<u32, Arc<Segment>>,
}

/// Reads the headers of all segments. `None` if there are no segments.
///
/// # Errors
/// [`Error::Damaged`] and [`Error::Newer`] name the file.
pub(crate) fn find(disk: Arc<dyn Disk>, store: StoreId) -> Result<Option<Found>> {
    let failed = |error: io::Error| Error::io(disk.path(), &error);
    let mut numbers: Vec<u32> =
        disk.names().map_err(failed)?.iter().filter_map(|name| segment::number_of(name)).collect();
    numbers.sort_unstable();
    let mut segments = BTreeMap::new();
    for (index, number) in numbers.iter().copied().enumerate() {
        let name = segment::file_name(number);
        let file = disk.open(&name).map_err(|error| Error::io(&disk.path().join(&name), &error))?;
        let size = file.size().map_err(failed)?;
        let size = u32::try_from(size).ok().filter(|size| *size <= MAX_FILE_BYTES);
        let size = size.ok_or_else(|| damage(&*disk, number, u64::from(MAX_FILE_BYTES), "it is too long"))?;
        let mut bytes = [0; HEADER as usize];
        let header = match file.read_at(&mut bytes, 0) {
            Ok(()) => Header::decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Unreadable::NoHeader),
            Err(error) => return Err(failed(error)),
        };
        let damaged = |detail: &str| damage(&*disk, number, 0, detail);
        match header {
            // A power cut interrupted its creation. Frames are written only after the header is flushed, so it has none.
            Err(Unreadable::NoHeader)
                if index > 0 && index + 1 == numbers.len() && is_blank(&*file, size).map_err(failed)? =>
            {
                tracing::warn!(file = name, "removing an incomplete segment");
                disk.remove(&name).and_then(|()| disk.sync_names()).map_err(failed)?;
            }
            Err(Unreadable::NoHeader) => return Err(damaged("its header cannot be read")),
            Err(Unreadable::Version(found)) => {
                return Err(Error::Newer { store: disk.path().to_owned(), found, supported: segment::VERSION });
            }
            Ok(header) if header.store != store => return Err(damaged("it belongs to another store")),
            Ok(header) if header.number != number => return Err(damaged("it has the name of another file")),
            Ok(header) => {
                segments.insert(number, Arc::new(Segment::new(header, file, HEADER, size)));
            }
        }
    }
    settle_ends(&*disk, &segments)?;
    Ok((!segments.is_empty()).then_some(Found { disk, segments }))
}

/// Sets the end of all segments but the last, from the header of the next one.
fn settle_ends(disk: &dyn Disk, segments: &BTreeMap<u32, Arc<Segment>>) -> Result<()> {
    for (segment, next) in segments.values().zip(segments.values().skip(1)) {
        let number = segment.header.number;
        if next.header.number - number != 1 {
            return Err(damage(disk, number + 1, 0, "it is missing"));
        }
        if next.header.previous_end > segment.written_ahead() {
            return Err(damage(disk, number, u64::from(segment.written_ahead()), "it is truncated"));
        }
        segment.set_end(next.header.previous_end);
    }
    Ok(())
}

fn damage(disk: &dyn Disk, segment: u32, offset: u64, detail: &str) -> Error {
    Error::Damaged { file: disk.path().join(segment::file_name(segment)), offset, detail: detail.to_owned() }
}

/// Whether only zeros follow the header.
fn is_blank(file: &dyn DiskFile, size: u32) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK];
    let mut at = HEADER;
    while at < size {
        let count = CHUNK.min((size - at) as usize);
        file.read_at(&mut chunk[..count], u64::from(at))?;
        if chunk[..count].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += count as u32;
    }
    Ok(true)
}

impl Found {
    /// The position of the first frame.
    pub(crate) fn beginning(&self) -> Position {
        let header = self.segments.first_key_value().expect("there is one").1.header;
        Position { segment: header.number, offset: HEADER, sequence: header.first_sequence }
    }

    /// Whether this position lies within the segments of the journal.
    pub(crate) fn has(&self, position: Position) -> bool {
        self.segments.get(&position.segment).is_some_and(|segment| {
            (HEADER..=segment.written_ahead()).contains(&position.offset)
                && segment.header.first_sequence <= position.sequence
        })
    }

    /// Whether a position lies after the end of the last segment.
    pub(crate) fn is_behind(&self, position: Position) -> bool {
        let (last, segment) = self.segments.last_key_value().expect("there is one");
        position.segment > *last || (position.segment == *last && position.offset > segment.written_ahead())
    }

    /// The error for a journal whose end is missing.
    pub(crate) fn cut_off(&self) -> Error {
        let (last, segment) = self.segments.last_key_value().expect("there is one");
        damage(&*self.disk, *last, u64::from(segment.written_ahead()), "acknowledged commits after this are missing")
    }

    /// Calls `visit` with all commits from `from` on, removes the remains of an interrupted write after the last one, and opens
    /// the journal for writing.
    ///
    /// # Errors
    /// [`Error::Damaged`] if an acknowledged commit cannot be read, and the errors of `visit`.
    pub(crate) fn replay(self, from: Position, mut visit: impl FnMut(&Replayed) -> Result<()>) -> Result<Journal> {
        let mut at = from;
        let mut group = None;
        let last = *self.segments.last_key_value().expect("there is one").0;
        let segments: Vec<_> = self.segments.range(from.segment..).map(|(_, segment)| segment.clone()).collect();
        for segment in segments {
            let number = segment.header.number;
            if number != at.segment {
                at = Position { segment: number, offset: HEADER, sequence: at.sequence };
            }
            if segment.header.first_sequence > at.sequence
                || (at.offset == HEADER && segment.header.first_sequence != at.sequence)
            {
                return Err(damage(&*self.disk, number, 0, "frames before it are missing"));
            }
            let limit = if number == last { segment.written_ahead() } else { segment.end() };
            while let Some(frame) = self.next(&segment, at, limit)? {
                let next = Position { segment: number, offset: frame.next, sequence: at.sequence.saturating_add(1) };
                if frame.head.durable.saturating_add(1) == at.sequence {
                    group = Some(at);
                }
                let body_offset = at.offset + frame::HEAD as u32;
                let commit = Commit::decode(frame.body)
                    .ok_or_else(|| damage(&*self.disk, number, u64::from(at.offset), "a commit cannot be read"))?;
                visit(&Replayed { segment: number, body_offset, commit, next })?;
                at = next;
            }
            if number == last {
                let group =
                    group.filter(|group: &Position| group.segment == number).map_or(at.offset, |group| group.offset);
                self.cut(&segment, at, group)?;
            } else if at.offset != segment.end() || self.next(&segment, at, segment.written_ahead())?.is_some() {
                return Err(damage(&*self.disk, number, u64::from(at.offset), "a frame cannot be read"));
            }
        }
        // The process that created or removed a segment may have been killed before it flushed the directory.
        self.disk.sync_names().map_err(|error| Error::io(self.disk.path(), &error))?;
        Ok(Journal::with(self.disk, self.segments, at.sequence))
    }

    fn next(&self, segment: &Segment, at: Position, limit: u32) -> Result<Option<Frame>> {
        let frame = segment.frame(at.offset, limit);
        let frame = frame.map_err(|error| Error::io(&self.disk.path().join(segment::file_name(at.segment)), &error))?;
        Ok(frame.filter(|frame| frame.head.sequence == at.sequence))
    }

    /// Ends the last segment at `end`. Its last group of frames begins at `group`.
    fn cut(&self, segment: &Segment, end: Position, group: u32) -> Result<()> {
        let failed = |error: io::Error| Error::io(&self.disk.path().join(segment::file_name(end.segment)), &error);
        if let Some(place) = acknowledged_after(segment, end).map_err(failed)? {
            let detail = format!("a frame cannot be read, but the one at byte {place} says that it was on disk");
            return Err(damage(&*self.disk, end.segment, u64::from(end.offset), &detail));
        }
        segment.set_end(end.offset);
        let cleared = clear(segment, end.offset).map_err(failed)?;
        if cleared > 0 {
            tracing::warn!(
                file = segment::file_name(end.segment),
                offset = end.offset,
                "removed an interrupted write, which had not been acknowledged"
            );
        }
        // The last group may come from the page cache, written but not flushed by a killed process. It becomes visible now, so it
        // must be durable. It is rewritten because after a failed flush, Linux marks cached pages as clean and a flush alone would
        // not write them.
        rewrite(segment, group, end.offset).map_err(failed)?;
        segment.file.sync().map_err(failed)
    }
}

/// A replayed commit.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) segment: u32,
    pub(crate) body_offset: u32,
    pub(crate) commit: Commit,
    /// Where the next frame begins.
    pub(crate) next: Position,
}

/// The offset of a frame after `end` which records that the frame missing at `end` was on disk.
fn acknowledged_after(segment: &Segment, end: Position) -> io::Result<Option<u32>> {
    let limit = segment.written_ahead();
    let mut at = end.offset;
    let mut chunk = vec![0; CHUNK + frame::HEAD];
    while at + (frame::HEAD as u32) < limit {
        let count = chunk.len().min((limit - at) as usize);
        segment.file.read_at(&mut chunk[..count], u64::from(at))?;
        let starts = (0..count - frame::HEAD).step_by(frame::ALIGNMENT).take_while(|start| *start < CHUNK);
        for start in starts {
            let head = chunk[start..].first_chunk().expect("a chunk is longer than a head");
            let frame::Head { sequence, durable } = frame::numbers(head, segment.header.salt);
            let plausible = sequence > end.sequence
                && sequence - end.sequence < MAX_GROUP
                && (end.sequence..sequence).contains(&durable);
            if plausible && segment.frame(at + start as u32, limit)?.is_some() {
                return Ok(Some(at + start as u32));
            }
        }
        at += CHUNK as u32;
    }
    Ok(None)
}

/// Reads a range and writes it back unchanged.
fn rewrite(segment: &Segment, from: u32, until: u32) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut at = from;
    while at < until {
        let count = CHUNK.min((until - at) as usize);
        segment.file.read_at(&mut chunk[..count], u64::from(at))?;
        segment.file.write_at(&chunk[..count], u64::from(at))?;
        at += count as u32;
    }
    Ok(())
}

/// Durably overwrites everything after `end` with zeros. Returns how many chunks were not zero.
fn clear(segment: &Segment, end: u32) -> io::Result<usize> {
    let limit = segment.written_ahead();
    let (mut at, mut cleared) = (end, 0);
    let mut chunk = vec![0; CHUNK];
    while at < limit {
        let count = CHUNK.min((limit - at) as usize);
        segment.file.read_at(&mut chunk[..count], u64::from(at))?;
        if chunk[..count].iter().any(|byte| *byte != 0) {
            segment.file.write_at(&vec![0; count], u64::from(at))?;
            cleared += 1;
        }
        at += count as u32;
    }
    if cleared > 0 {
        segment.file.sync()?;
    }
    Ok(cleared)
}
