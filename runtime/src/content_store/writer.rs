//! The only task that changes files and records of the content store, one message after the other.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use durable::disk::DiskFile;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use tracing::{debug, warn};
use transport::content::{ChunkHash, HASH_LENGTH, Layout, NODE_HASHES, Root};
use transport::crypto::{SecretKey, random};
use transport::wire::Timestamp;

use super::records::{self, ContentRecord, SegmentRecord};
use super::source::KeptSource;
use super::state::{Kind, Number, Part, PinRefusal, Removed, Segment, State};
use super::{CHUNKS_OF_SEGMENT, DIRECT_FILE, KnownContent, Shared, UploadedContent};
use crate::blocking::blocking;
use crate::store::{Batch, Store, StoreError, collection};

/// Nodes of the tree in a segment: as many chunks as 64 GiB have.
pub(super) const NODES_OF_SEGMENT: usize = 256;
/// Segments that are written to at the same time.
const MAX_OPEN: usize = 16;
/// A segment that is not full is flushed when there was nothing to do for so long.
const FLUSH_AFTER: Duration = Duration::from_secs(5);
/// How often contents of files that expired are looked for, and times of use are stored.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Bytes of a node of the tree.
const NODE_LENGTH: u64 = NODE_HASHES * HASH_LENGTH;

/// What the writer is asked for.
pub(super) enum Message {
    Chunk {
        target: Target,
        start: u64,
        sealed: Vec<u8>,
        hash: ChunkHash,
        _permit: OwnedSemaphorePermit,
    },
    Tree {
        content: KnownContent,
        start: u64,
        bytes: Vec<u8>,
        _permit: OwnedSemaphorePermit,
    },
    Uploaded(Option<Number>, Box<UploadedContent>),
    Abandon(Number),
    Pin {
        content: KnownContent,
        reply: oneshot::Sender<Result<(), PinRefusal>>,
    },
    Unpin {
        root: Root,
        reply: oneshot::Sender<()>,
    },
    Remove {
        root: Root,
        reply: oneshot::Sender<()>,
    },
    /// A segment that does not have its bytes.
    Drop(Number),
    DropSource(Number),
    Sweep,
    Flush(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
    /// Nothing came for a while.
    Idle,
}

/// Of which content a chunk is.
#[derive(Clone)]
pub(super) enum Target {
    Known(KnownContent),
    /// Of one that is being uploaded and has no root yet.
    Upload(Number),
    /// Of one that was uploaded.
    Taken,
}

/// A segment that can take more parts.
struct Open {
    number: Number,
    file: Box<dyn DiskFile>,
    length: u64,
    parts: usize,
}

/// Why nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// There was no room when it was looked last.
    Full,
    /// Something failed; until the next start.
    Failed,
}

/// Changes of records that are not committed yet.
#[derive(Default)]
struct Pending {
    segments: Vec<Number>,
    sources: Vec<(Number, SecretKey, Vec<u8>)>,
    removed: Removed,
}

/// What follows when a message was handled.
type Reply = Box<dyn FnOnce() + Send>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    open: BTreeMap<(Number, Kind), Open>,
    pending: Pending,
    trouble: Trouble,
}

/// Works until it is stopped, or the node is gone.
pub(super) async fn run(mut writer: Writer, mut messages: mpsc::UnboundedReceiver<Message>) {
    let mut next_sweep = Instant::now() + SWEEP_EVERY;
    loop {
        let idle_at = if writer.open.is_empty() { next_sweep } else { next_sweep.min(Instant::now() + FLUSH_AFTER) };
        let message = match tokio::time::timeout_at(idle_at, messages.recv()).await {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(_) if Instant::now() >= next_sweep => Message::Sweep,
            Err(_) => Message::Idle,
        };
        if matches!(message, Message::Sweep) {
            next_sweep = Instant::now() + SWEEP_EVERY;
        }
        // Holds the data directory while something is written to it.
        let Some(store) = writer.shared.store.upgrade() else { return };
        let is_last = matches!(message, Message::Stop(_));
        let of_store = store.clone();
        let (back, reply) = blocking(move || {
            let reply = writer.handle(message, &of_store);
            (writer, reply)
        })
        .await;
        writer = back;
        writer.commit(&store).await;
        drop(store);
        if is_last {
            drop(writer);
            reply.into_iter().for_each(|reply| reply());
            return;
        }
        reply.into_iter().for_each(|reply| reply());
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: BTreeMap::new(), pending: Pending::default(), trouble: Trouble::None }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Blocks. What is returned is called when the records are committed.
    fn handle(&mut self, message: Message, store: &Store) -> Option<Reply> {
        fn replies<T: Send + 'static>(reply: oneshot::Sender<T>, outcome: T) -> Option<Reply> {
            Some(Box::new(move || drop(reply.send(outcome))))
        }
        match message {
            Message::Chunk { target, start, sealed, hash, _permit } => self.chunk(store, target, start, &sealed, &hash),
            Message::Tree { content, start, bytes, _permit } => self.tree(store, content, start, &bytes),
            Message::Uploaded(number, uploaded) => self.uploaded(store, number, *uploaded),
            Message::Abandon(number) => self.remove_content(number),
            Message::Pin { content, reply } => return replies(reply, self.pin(store, content)),
            Message::Unpin { root, reply } => {
                self.unpin(&root);
                return replies(reply, ());
            }
            Message::Remove { root, reply } => {
                let number = self.state().number(&root);
                number.into_iter().for_each(|number| self.remove_content(number));
                return replies(reply, ());
            }
            Message::Drop(segment) => {
                let removed = self.state().remove_segment(segment);
                self.discard(removed);
            }
            Message::DropSource(number) => self.drop_source(number),
            Message::Sweep => self.sweep(store),
            Message::Idle => self.flush(),
            Message::Flush(reply) | Message::Stop(reply) => {
                self.flush();
                return replies(reply, ());
            }
        }
        None
    }

    fn chunk(&mut self, store: &Store, target: Target, start: u64, sealed: &[u8], hash: &ChunkHash) {
        // Only what has the hash of the tree may be handed out to others.
        if ChunkHash::of(sealed) != *hash {
            return;
        }
        let number = match target {
            Target::Known(content) => self.content_of(store, content),
            Target::Upload(number) => self.upload(number),
            Target::Taken => None,
        };
        if let Some(number) = number {
            self.put(number, Kind::Chunks, start, sealed, hash);
            self.forget_if_empty(number);
        }
    }

    fn tree(&mut self, store: &Store, content: KnownContent, start: u64, bytes: &[u8]) {
        let Some(number) = self.content_of(store, content) else { return };
        for (place, node) in (start..).step_by(NODE_LENGTH as usize).zip(bytes.chunks(NODE_LENGTH as usize)) {
            self.put(number, Kind::Tree, place, node, &ChunkHash::of(node));
        }
        self.forget_if_empty(number);
    }

    fn uploaded(&mut self, store: &Store, number: Option<Number>, uploaded: UploadedContent) {
        let UploadedContent { content, key, tree, source } = uploaded;
        let known = number.filter(|number| self.state().contains(*number));
        let number = match known {
            Some(number) if self.state().complete(number, content.clone()) => Some(number),
            // It was stored under its root meanwhile, which only a content that is uploaded a second time can be.
            Some(number) => {
                self.remove_content(number);
                self.content_of(store, content.clone())
            }
            None => self.content_of(store, content.clone()),
        };
        let Some(number) = number else { return };
        let is_whole = self.whole_tree(number, &content.layout, tree.as_bytes());
        if let (true, Some(source)) = (is_whole, source) {
            self.keep_source(number, source, key);
        }
        self.flush_content(number);
        self.forget_if_empty(number);
    }

    /// Writes all nodes of a tree. Returns whether all of them are there then.
    fn whole_tree(&mut self, number: Number, layout: &Layout, tree: &[u8]) -> bool {
        if tree.len() as u64 > self.shared.config.max_size {
            return false;
        }
        let (start, nodes) = (layout.tree().start, layout.tree_nodes().collect::<Vec<_>>());
        for node in &nodes {
            let bytes = &tree[(node.start - start) as usize..(node.end - start) as usize];
            self.put(number, Kind::Tree, node.start, bytes, &ChunkHash::of(bytes));
        }
        let state = self.state();
        nodes.iter().all(|node| state.has_part(number, node.start))
    }

    fn keep_source(&mut self, number: Number, source: crate::source::Source, key: SecretKey) {
        let Some(bytes) = source.to_bytes(records::MAX_SOURCE_BYTES) else {
            debug!("no reference to the shared files is kept: their names are too long together");
            return;
        };
        let kept = Arc::new(KeptSource::new(source, &key));
        self.sources(|recent| recent.put(number, kept));
        self.pending.sources.push((number, key, bytes));
        self.state().set_source(number, true);
    }

    fn pin(&mut self, store: &Store, content: KnownContent) -> Result<(), PinRefusal> {
        let Some(number) = self.content_of(store, content) else { return Err(PinRefusal::NotKept) };
        let outcome = self.state().pin(number);
        self.forget_if_empty(number);
        outcome
    }

    fn unpin(&mut self, root: &Root) {
        let Some(number) = self.state().number(root) else { return };
        let removed = self.state().unpin(number);
        self.discard(removed);
    }

    fn remove_content(&mut self, number: Number) {
        let removed = self.state().remove_content(number);
        self.discard(removed);
    }

    fn forget_if_empty(&mut self, number: Number) {
        let removed = self.state().remove_if_empty(number);
        self.discard(removed);
    }

    fn drop_source(&mut self, number: Number) {
        // Readers have stopped to use it already.
        self.state().set_source(number, false);
        self.discard(Removed { sources: vec![number], ..Removed::default() });
    }

    /// The number of a content, which may be new. A file that was removed during a transfer gets none.
    fn content_of(&mut self, store: &Store, content: KnownContent) -> Option<Number> {
        if let Some(known) = self.state().number(&content.root) {
            return Some(known);
        }
        let is_alive = is_alive(store, &content, self.shared.clock.now());
        if is_alive { self.begin(self.unused(), Some(content)) } else { None }
    }

    fn upload(&mut self, number: Number) -> Option<Number> {
        let is_known = self.state().contains(number);
        if is_known { Some(number) } else { self.begin(number, None) }
    }

    fn begin(&mut self, number: Number, content: Option<KnownContent>) -> Option<Number> {
        let now = self.shared.clock.now();
        let removed = self.state().begin(number, content, now)?;
        self.discard(removed);
        Some(number)
    }

    fn unused(&self) -> Number {
        loop {
            let number = u64::from_le_bytes(random::bytes());
            if !self.state().contains(number) {
                return number;
            }
        }
    }

    /// Writes a part, unless it is there. Returns whether it is then.
    fn put(&mut self, content: Number, kind: Kind, start: u64, bytes: &[u8], hash: &ChunkHash) -> bool {
        let Ok(length) = u32::try_from(bytes.len()) else { return false };
        if self.state().has_part(content, start) {
            return true;
        }
        if self.trouble == Trouble::Failed {
            return false;
        }
        if let Err(error) = durable::check_room(self.shared.disk.path(), bytes.len()) {
            self.note(&error);
            return false;
        }
        if !self.make_room(content, kind, u64::from(length)) {
            return false;
        }
        match self.append(content, kind, bytes) {
            Ok(segment) => {
                self.state().add_part(segment, Part::new(start, length, hash));
                self.flush_if_full((content, kind));
                true
            }
            Err(error) => {
                self.state().release(u64::from(length));
                self.give_up((content, kind));
                self.note(&error);
                false
            }
        }
    }

    /// Reserves bytes, and removes what has to go for them.
    fn make_room(&mut self, content: Number, kind: Kind, bytes: u64) -> bool {
        let kept = self.open.get(&(content, kind)).map(|open| open.number);
        let mut removed = self.state().reserve(bytes, Some(content), kept);
        if let (None, Some(_)) = (&removed, kept) {
            // The rest of this segment may go, but only as a whole.
            self.close((content, kind));
            removed = self.state().reserve(bytes, Some(content), None);
        }
        let Some(removed) = removed else { return false };
        self.discard(removed);
        if self.trouble == Trouble::Failed {
            self.state().release(bytes);
            return false;
        }
        true
    }

    /// Writes bytes at the end of an open segment, and returns its number.
    fn append(&mut self, content: Number, kind: Kind, bytes: &[u8]) -> io::Result<Number> {
        if !self.open.contains_key(&(content, kind)) {
            if self.open.len() >= MAX_OPEN {
                self.flush();
            }
            let number = self.unused();
            let file = self.shared.disk.create(&records::name_of(number))?;
            self.state().add_segment(number, Segment::new(content, kind, Vec::new()));
            self.open.insert((content, kind), Open { number, file, length: 0, parts: 0 });
        }
        let open = self.open.get_mut(&(content, kind)).ok_or(io::ErrorKind::NotFound)?;
        open.file.write_at(bytes, open.length)?;
        open.length += bytes.len() as u64;
        open.parts += 1;
        self.trouble = Trouble::None;
        Ok(open.number)
    }

    /// Removes a segment to which a write failed: what it has is not known.
    fn give_up(&mut self, place: (Number, Kind)) {
        let Some(open) = self.open.remove(&place) else { return };
        let removed = self.state().remove_segment(open.number);
        self.discard(removed);
    }

    fn note(&mut self, error: &io::Error) {
        let trouble = if error.kind() == io::ErrorKind::StorageFull { Trouble::Full } else { Trouble::Failed };
        if trouble != self.trouble {
            match trouble {
                Trouble::Full => warn!("the disk is full; the content store takes nothing until there is room"),
                _ => warn!(%error, "the content store cannot be written; it takes nothing until the next start"),
            }
        }
        self.trouble = trouble;
    }

    fn flush(&mut self) {
        let all: Vec<_> = self.open.keys().copied().collect();
        all.into_iter().for_each(|place| self.close(place));
    }

    fn flush_content(&mut self, number: Number) {
        self.close((number, Kind::Chunks));
        self.close((number, Kind::Tree));
        // Those that were full before it was known what they are.
        let segments = self.state();
        let of_content = segments.segments().filter(|(_, segment)| segment.content == number);
        let of_content: Vec<_> = of_content.map(|(segment, _)| segment).collect();
        drop(segments);
        self.pending.segments.extend(of_content);
    }

    fn flush_if_full(&mut self, place: (Number, Kind)) {
        let most = if place.1 == Kind::Chunks { CHUNKS_OF_SEGMENT } else { NODES_OF_SEGMENT };
        if self.open.get(&place).is_some_and(|open| open.parts >= most) {
            self.close(place);
        }
    }

    /// Flushes a segment. Its record follows; nothing is added to it any more.
    fn close(&mut self, place: (Number, Kind)) {
        let Some(open) = self.open.remove(&place) else { return };
        match open.file.sync().and_then(|()| self.shared.disk.sync_names()) {
            Ok(()) => self.pending.segments.push(open.number),
            Err(error) => {
                let removed = self.state().remove_segment(open.number);
                self.discard(removed);
                self.note(&error);
            }
        }
    }

    /// Removes files, and remembers to remove records.
    fn discard(&mut self, removed: Removed) {
        for segment in &removed.segments {
            self.open.retain(|_, open| open.number != *segment);
            match self.shared.disk.remove(&records::name_of(*segment)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    // Its bytes are still on the disk and not counted any more.
                    warn!(%error, "a file of the content store cannot be removed; it takes nothing until the next start");
                    self.trouble = Trouble::Failed;
                }
                _ => {}
            }
        }
        for number in removed.contents.iter().chain(&removed.sources) {
            self.sources(|recent| recent.remove(*number));
            self.pending.sources.retain(|(other, _, _)| other != number);
        }
        self.pending.removed.extend(removed);
    }

    fn sources(&self, change: impl FnOnce(&mut super::source::Recent)) {
        change(&mut self.shared.sources.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Removes contents whose files are not known any more or have expired.
    fn sweep(&mut self, store: &Store) {
        self.flush();
        let now = self.shared.clock.now();
        let known: Vec<_> = {
            let state = self.state();
            state.contents().filter_map(|(number, content)| Some((number, content.known.clone()?))).collect()
        };
        for (number, content) in known {
            if !is_alive(store, &content, now) {
                self.remove_content(number);
            }
        }
    }

    /// Writes the records of what was changed.
    async fn commit(&mut self, store: &Store) {
        let outcome = match self.batch() {
            Ok(Some(batch)) => store.commit(batch).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            // What has no record is removed at the next start.
            debug!(%error, "the records of the content store cannot be written");
        }
    }

    fn batch(&mut self) -> Result<Option<Batch>, StoreError> {
        let Pending { segments, sources, removed } = std::mem::take(&mut self.pending);
        let mut batch = Batch::new();
        let mut state = self.shared.state();
        for number in segments {
            // One of a content that has no name yet is written when it has one.
            let named = |segment: &&Segment| state.content(segment.content).is_some_and(|it| it.known.is_some());
            if let Some(segment) = state.segment(number).filter(named) {
                let record =
                    SegmentRecord { content: segment.content, kind: segment.kind, parts: segment.parts.clone() };
                records::put_segment(&mut batch, number, &record)?;
            }
        }
        for (number, key, source) in sources {
            records::put_source(&mut batch, number, &key, source)?;
        }
        for number in state.take_changed() {
            let Some(content) = state.content(number) else { continue };
            let Some(known) = &content.known else { continue };
            let record = ContentRecord::new(known, content.is_pinned, content.used_at, content.has_source);
            records::put_content(&mut batch, number, &record)?;
        }
        removed.segments.iter().for_each(|number| records::remove_segment(&mut batch, *number));
        removed.contents.iter().for_each(|number| records::remove_content(&mut batch, *number));
        removed.sources.iter().for_each(|number| records::remove_source(&mut batch, *number));
        Ok(Some(batch).filter(|batch| !batch.is_empty()))
    }
}

/// Whether the file of a content is known, and has not expired.
fn is_alive(store: &Store, content: &KnownContent, now: Timestamp) -> bool {
    match store.object(collection::FILES, content.file.as_str()) {
        Ok(Some(file)) => {
            let expiry = file.properties.get("expiresAt").and_then(|text| text.as_str()?.parse::<Timestamp>().ok());
            expiry.is_none_or(|expiry| expiry > now) && content.expires_at > now
        }
        Ok(None) => {
            let direct = store.value::<serde::de::IgnoredAny>(&format!("{DIRECT_FILE}{}", content.file));
            direct.map_or(true, |found| found.is_some() && content.expires_at > now)
        }
        Err(_) => true,
    }
}
