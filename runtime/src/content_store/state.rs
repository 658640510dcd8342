//! What is stored where, how much it is, and what goes first when there is no room. Pure: no files, no records, no clock.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use transport::content::{ChunkHash, HEADER_LENGTH, Layout, Root};
use transport::wire::Timestamp;

use super::{ContentUsage, KnownContent, MAX_CONTENTS};

/// The number of a content or segment, drawn at random.
pub(super) type Number = u64;

/// How exact the stored time of the last use is. A content is written anew only when the time differs by more.
const USE_GRANULARITY: std::time::Duration = std::time::Duration::from_secs(3600);

/// What a segment has parts of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Kind {
    #[serde(rename = "c")]
    Chunks,
    /// They go after the chunks of the same content, which are useless without them.
    #[serde(rename = "t")]
    Tree,
}

/// Consecutive bytes of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// Place in the blob.
    #[serde(rename = "s")]
    pub(super) start: u64,
    #[serde(rename = "l")]
    pub(super) length: u32,
    /// Of the bytes; for a chunk the one in the tree.
    #[serde(rename = "h")]
    hash: [u8; 32],
}

impl Part {
    pub(super) fn new(start: u64, length: u32, hash: &ChunkHash) -> Self {
        Self { start, length, hash: *hash.as_bytes() }
    }

    /// Whether these are its bytes.
    pub(super) fn is(&self, bytes: &[u8]) -> bool {
        *ChunkHash::of(bytes).as_bytes() == self.hash
    }
}

/// Parts that lie one after the other in a file.
pub(super) struct Segment {
    pub(super) content: Number,
    pub(super) kind: Kind,
    pub(super) parts: Vec<Part>,
    used: u64,
}

impl Segment {
    pub(super) fn new(content: Number, kind: Kind, parts: Vec<Part>) -> Self {
        Self { content, kind, parts, used: 0 }
    }

    /// Bytes of its file.
    pub(super) fn length(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.length)).sum()
    }
}

/// A content of which something is here.
pub(super) struct Content {
    /// None while it is being uploaded.
    pub(super) known: Option<KnownContent>,
    pub(super) is_pinned: bool,
    /// Whether chunks can be sealed from files of this machine.
    pub(super) has_source: bool,
    /// Coarse, as it is stored.
    pub(super) used_at: Timestamp,
    /// Whether its record has to be written.
    pub(super) is_changed: bool,
    /// Segment and number within it, by the place in the blob.
    parts: BTreeMap<u64, (Number, usize)>,
    /// Files that have parts of it.
    segments: Vec<Number>,
    used: u64,
}

impl Content {
    fn new(known: Option<KnownContent>, used_at: Timestamp) -> Self {
        let (parts, segments) = (BTreeMap::new(), Vec::new());
        Self { known, is_pinned: false, has_source: false, used_at, is_changed: true, parts, segments, used: 0 }
    }

    /// Bytes that it may take if it is pinned.
    fn full_size(&self) -> u64 {
        let Some(known) = &self.known else { return 0 };
        let tree = known.layout.tree();
        // The header follows from the key, and is not stored.
        tree.end - if self.has_source { tree.start } else { HEADER_LENGTH as u64 }
    }
}

/// Where to read some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: Number,
    /// Of the part within the file.
    pub(super) offset: u64,
    pub(super) part: Part,
    /// Which bytes of the part are wanted.
    pub(super) wanted: Range<usize>,
}

/// What is no longer part of the state, and has to be removed from the disk and the records.
#[derive(Debug, Default)]
pub(super) struct Removed {
    pub(super) segments: Vec<Number>,
    pub(super) contents: Vec<Number>,
    /// Contents whose source is no longer used.
    pub(super) sources: Vec<Number>,
}

/// Why a content cannot be pinned.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PinRefusal {
    /// All that are pinned would need so many bytes.
    TooLarge(u64),
    /// Its file has expired, or too many others are pinned.
    NotKept,
}

/// All contents and segments. Never counts more bytes than its bound.
pub(super) struct State {
    max_size: u64,
    bytes: u64,
    contents: HashMap<Number, Content>,
    roots: HashMap<Root, Number>,
    segments: HashMap<Number, Segment>,
    /// Counts uses.
    uses: u64,
}

impl State {
    pub(super) fn new(max_size: u64) -> Self {
        Self { max_size, bytes: 0, contents: HashMap::new(), roots: HashMap::new(), segments: HashMap::new(), uses: 0 }
    }

    /// Adds a content that was stored. Those that were used first have to come first.
    pub(super) fn restore(&mut self, number: Number, known: KnownContent, is_pinned: bool, used_at: Timestamp) {
        let mut content = Content::new(Some(known.clone()), used_at);
        (content.is_pinned, content.is_changed) = (is_pinned, false);
        self.roots.insert(known.root, number);
        self.contents.insert(number, content);
        self.use_content(number);
    }

    pub(super) fn contains(&self, number: Number) -> bool {
        self.contents.contains_key(&number) || self.segments.contains_key(&number)
    }

    pub(super) fn number(&self, root: &Root) -> Option<Number> {
        self.roots.get(root).copied()
    }

    pub(super) fn content(&self, number: Number) -> Option<&Content> {
        self.contents.get(&number)
    }

    pub(super) fn segment(&self, number: Number) -> Option<&Segment> {
        self.segments.get(&number)
    }

    pub(super) fn contents(&self) -> impl Iterator<Item = (Number, &Content)> {
        self.contents.iter().map(|(number, content)| (*number, content))
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = (Number, &Segment)> {
        self.segments.iter().map(|(number, segment)| (*number, segment))
    }

    /// Begins a content under a number that is not used. The contents that were used least recently make room if there are too
    /// many; if all of them are pinned, there is no new one.
    pub(super) fn begin(&mut self, number: Number, known: Option<KnownContent>, now: Timestamp) -> Option<Removed> {
        let mut removed = Removed::default();
        while self.contents.len() >= MAX_CONTENTS {
            let idle = self.contents.iter().filter(|(_, content)| !content.is_pinned && content.known.is_some());
            let oldest = idle.min_by_key(|(_, content)| content.used).map(|(number, _)| *number)?;
            removed.extend(self.remove_content(oldest));
        }
        if let Some(known) = &known {
            self.roots.insert(known.root, number);
        }
        self.contents.insert(number, Content::new(known, now));
        self.use_content(number);
        Some(removed)
    }

    /// Says of which content the parts under a number are. Returns whether that is new.
    pub(super) fn complete(&mut self, number: Number, known: KnownContent) -> bool {
        let is_new = !self.roots.contains_key(&known.root);
        if let (true, Some(content)) = (is_new, self.contents.get_mut(&number)) {
            self.roots.insert(known.root, number);
            (content.known, content.is_changed) = (Some(known), true);
        }
        is_new
    }

    pub(super) fn has_part(&self, content: Number, start: u64) -> bool {
        self.contents.get(&content).is_some_and(|content| content.parts.contains_key(&start))
    }

    /// Counts bytes of a content that are going to be written, and says what has to go before. The content itself and the
    /// segment `kept` do not.
    ///
    /// None, and nothing goes, if there cannot be so much room.
    pub(super) fn reserve(&mut self, bytes: u64, content: Option<Number>, kept: Option<Number>) -> Option<Removed> {
        if self.bytes + bytes <= self.max_size {
            self.bytes += bytes;
            return Some(Removed::default());
        }
        let removable: u64 = self.removable(kept).map(|(_, segment)| segment.length()).sum();
        if self.bytes - removable + bytes > self.max_size {
            return None;
        }
        let mut removed = Removed::default();
        while self.bytes + bytes > self.max_size {
            let victim = self.removable(kept).min_by_key(|(number, segment)| (self.last_use(segment), *number));
            let victim = victim.map(|(number, _)| number)?;
            removed.extend(self.remove_segment_but(victim, content));
        }
        self.bytes += bytes;
        Some(removed)
    }

    /// Says what has to go for the bound to hold; none if what is pinned is too much.
    pub(super) fn shrink(&mut self) -> Option<Removed> {
        self.reserve(0, None, None)
    }

    pub(super) fn unpin_all(&mut self) {
        let all: Vec<_> = self.contents.keys().copied().collect();
        all.into_iter().for_each(|number| self.set_pinned(number, false));
    }

    /// The same as [`set_source`](Self::set_source) for what is stored already.
    pub(super) fn restore_source(&mut self, number: Number) {
        if let Some(content) = self.contents.get_mut(&number) {
            content.has_source = true;
        }
    }

    /// Takes back a reservation.
    pub(super) fn release(&mut self, bytes: u64) {
        self.bytes -= bytes;
    }

    fn removable(&self, kept: Option<Number>) -> impl Iterator<Item = (Number, &Segment)> {
        let is_pinned = |segment: &Segment| self.contents.get(&segment.content).is_some_and(|it| it.is_pinned);
        self.segments().filter(move |(number, segment)| Some(*number) != kept && !is_pinned(segment))
    }

    fn last_use(&self, segment: &Segment) -> (u64, Kind) {
        let of_content = || self.contents.get(&segment.content).map_or(0, |content| content.used);
        let used = if segment.kind == Kind::Tree { of_content() } else { segment.used };
        (used, segment.kind)
    }

    /// Adds a segment of a content that exists. Its bytes count as reserved.
    pub(super) fn add_segment(&mut self, number: Number, segment: Segment) {
        let Some(content) = self.contents.get_mut(&segment.content) else { return };
        content.segments.push(number);
        for (index, part) in segment.parts.iter().enumerate() {
            content.parts.insert(part.start, (number, index));
        }
        let of_content = segment.content;
        self.segments.insert(number, segment);
        self.use_segment(number, of_content);
    }

    /// The same for one that is on the disk already.
    pub(super) fn restore_segment(&mut self, number: Number, segment: Segment) {
        self.bytes += segment.length();
        self.add_segment(number, segment);
    }

    /// Adds a part at the end of a segment. Its bytes are reserved.
    pub(super) fn add_part(&mut self, number: Number, part: Part) {
        let Some(segment) = self.segments.get_mut(&number) else { return };
        segment.parts.push(part);
        let (index, of_content) = (segment.parts.len() - 1, segment.content);
        if let Some(content) = self.contents.get_mut(&of_content) {
            content.parts.insert(part.start, (number, index));
        }
        self.use_segment(number, of_content);
    }

    /// Forgets a segment; also its content, if nothing else is known of that.
    pub(super) fn remove_segment(&mut self, number: Number) -> Removed {
        self.remove_segment_but(number, None)
    }

    fn remove_segment_but(&mut self, number: Number, kept: Option<Number>) -> Removed {
        let mut removed = Removed::default();
        let Some(segment) = self.segments.remove(&number) else { return removed };
        self.bytes -= segment.length();
        removed.segments.push(number);
        let Some(content) = self.contents.get_mut(&segment.content) else { return removed };
        content.segments.retain(|other| *other != number);
        content.parts.retain(|_, (other, _)| *other != number);
        if segment.kind == Kind::Tree && content.has_source {
            // Without the hashes nothing shows whether the files have changed.
            (content.has_source, content.is_changed) = (false, true);
            removed.sources.push(segment.content);
        }
        if kept != Some(segment.content) {
            removed.extend(self.remove_if_empty(segment.content));
        }
        removed
    }

    /// Forgets a content of which nothing is here, unless it is pinned or being uploaded.
    pub(super) fn remove_if_empty(&mut self, number: Number) -> Removed {
        let is_idle = |content: &Content| !content.is_pinned && content.known.is_some() && content.segments.is_empty();
        let is_empty = self.contents.get(&number).is_some_and(is_idle);
        if is_empty { self.remove_content(number) } else { Removed::default() }
    }

    pub(super) fn remove_content(&mut self, number: Number) -> Removed {
        let mut removed = Removed::default();
        let Some(content) = self.contents.remove(&number) else { return removed };
        if let Some(known) = &content.known {
            self.roots.remove(&known.root);
        }
        for segment in &content.segments {
            self.bytes -= self.segments.remove(segment).map_or(0, |segment| segment.length());
        }
        removed.segments = content.segments;
        removed.contents.push(number);
        removed
    }

    /// Says whether a content has a source. Returns whether that is new.
    pub(super) fn set_source(&mut self, number: Number, has_source: bool) -> bool {
        let Some(content) = self.contents.get_mut(&number) else { return false };
        let is_new = content.has_source != has_source;
        content.has_source = has_source;
        content.is_changed |= is_new;
        is_new
    }

    /// Protects a content from making room for others. All that are protected have to fit together, and in full: otherwise one
    /// of them could never be complete.
    pub(super) fn pin(&mut self, number: Number) -> Result<(), PinRefusal> {
        let pinned = self.contents.iter().filter(|(other, content)| content.is_pinned || **other == number);
        let needed = pinned.fold(0u64, |sum, (_, content)| sum.saturating_add(content.full_size()));
        if needed > self.max_size {
            return Err(PinRefusal::TooLarge(needed));
        }
        self.set_pinned(number, true);
        Ok(())
    }

    /// Ends that; a content of which nothing is here is forgotten.
    pub(super) fn unpin(&mut self, number: Number) -> Removed {
        self.set_pinned(number, false);
        self.remove_if_empty(number)
    }

    fn set_pinned(&mut self, number: Number, is_pinned: bool) {
        if let Some(content) = self.contents.get_mut(&number) {
            content.is_changed |= content.is_pinned != is_pinned;
            content.is_pinned = is_pinned;
        }
    }

    /// The records to be written: contents that have changed and are known. They count as written.
    pub(super) fn take_changed(&mut self) -> Vec<Number> {
        let changed = self.contents.iter_mut().filter(|(_, content)| content.is_changed && content.known.is_some());
        changed
            .map(|(number, content)| {
                content.is_changed = false;
                *number
            })
            .collect()
    }

    /// Where some bytes of a blob are, if all of them are here. Counts as a use.
    pub(super) fn locate(&mut self, root: &Root, range: &Range<u64>, now: Timestamp) -> Option<Vec<Place>> {
        let number = self.alive(root, now)?;
        let content = self.contents.get(&number)?;
        let (mut places, mut position) = (Vec::new(), range.start);
        while position < range.end {
            let (start, (segment, index)) = content.parts.range(..=position).next_back()?;
            let parts = &self.segments.get(segment)?.parts;
            let part = *parts.get(*index)?;
            let end = start + u64::from(part.length);
            if end <= position {
                return None;
            }
            let offset = parts[..*index].iter().map(|part| u64::from(part.length)).sum();
            let wanted = (position - start) as usize..(end.min(range.end) - start) as usize;
            places.push(Place { segment: *segment, offset, part, wanted });
            position = end;
        }
        for place in &places {
            self.use_segment(place.segment, number);
        }
        self.note_use(number, now);
        Some(places)
    }

    /// The content with this root, unless its file has expired.
    pub(super) fn alive(&self, root: &Root, now: Timestamp) -> Option<Number> {
        let number = self.number(root)?;
        let known = self.contents.get(&number)?.known.as_ref()?;
        (known.expires_at > now).then_some(number)
    }

    /// Whether each part of a content is here.
    pub(super) fn is_whole(&self, root: &Root, now: Timestamp) -> bool {
        let content = self.alive(root, now).and_then(|number| self.contents.get(&number));
        let Some((content, known)) = content.and_then(|content| Some((content, content.known.as_ref()?))) else {
            return false;
        };
        let mut chunks = (0..known.layout.chunk_count()).map(|index| start_of(&known.layout, index));
        chunks.all(|start| start.is_some_and(|start| content.parts.contains_key(&start)))
            && known.layout.tree_nodes().all(|node| content.parts.contains_key(&node.start))
    }

    /// The first of these chunks that is here, or the end.
    pub(super) fn first_stored(&self, root: &Root, chunks: Range<u64>, now: Timestamp) -> u64 {
        let content = self.alive(root, now).and_then(|number| self.contents.get(&number));
        let Some((content, known)) = content.and_then(|content| Some((content, content.known.as_ref()?))) else {
            return chunks.end;
        };
        if content.has_source || chunks.is_empty() {
            return chunks.start;
        }
        let first = start_of(&known.layout, chunks.start)
            .and_then(|start| content.parts.range(start..).next())
            .and_then(|(start, _)| chunk_at(&known.layout, *start));
        first.unwrap_or(chunks.end).min(chunks.end)
    }

    fn note_use(&mut self, number: Number, now: Timestamp) {
        let Some(content) = self.contents.get_mut(&number) else { return };
        if now.saturating_duration_since(content.used_at) >= USE_GRANULARITY {
            (content.used_at, content.is_changed) = (now, true);
        }
    }

    fn use_segment(&mut self, segment: Number, content: Number) {
        self.use_content(content);
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.used = self.uses;
        }
    }

    /// Counts a use.
    pub(super) fn use_content(&mut self, number: Number) {
        self.uses += 1;
        if let Some(content) = self.contents.get_mut(&number) {
            content.used = self.uses;
        }
    }

    pub(super) fn usage(&self) -> ContentUsage {
        let count = |matches: fn(&Content) -> bool| self.contents.values().filter(|content| matches(content)).count();
        ContentUsage {
            bytes: self.bytes,
            max_size: self.max_size,
            contents: self.contents.len(),
            pinned: count(|content| content.is_pinned),
            sources: count(|content| content.has_source),
        }
    }
}

impl Removed {
    pub(super) fn extend(&mut self, other: Self) {
        self.segments.extend(other.segments);
        self.contents.extend(other.contents);
        self.sources.extend(other.sources);
    }
}

/// Where a chunk begins in the blob.
fn start_of(layout: &Layout, chunk: u64) -> Option<u64> {
    layout.sealed_chunk(chunk).ok().map(|place| place.start)
}

/// The chunk that begins at a place in the blob.
fn chunk_at(layout: &Layout, start: u64) -> Option<u64> {
    match layout.part_at(start) {
        Ok((transport::content::BlobPart::Chunk(index), _)) => Some(index),
        _ => None,
    }
}
