//! Finds out at a start what is there, and removes what nothing names.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use durable::disk::{Disk, RealDisk};
use durable::private;
use tokio::sync::{Semaphore, mpsc};
use tracing::{info, warn};

use super::records::{self, SegmentRecord};
use super::state::{Kind, Number, Segment, State};
use super::writer::{NODES_OF_SEGMENT, Writer, run};
use super::{CHUNKS_OF_SEGMENT, ContentStore, DIRECTORY, MAX_WAITING_CHUNKS, Running, Shared, source};
use crate::blocking::blocking;
use crate::clock::Clock;
use crate::config::ContentStoreConfig;
use crate::store::{Batch, Store, StoreError};

/// Why there is no content store.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Directory(#[from] durable::Error),
    #[error("its directory cannot be read")]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ContentStore {
    /// Opens the content store of a data directory. Without settings nothing is looked at; with a bound of 0 what is there is
    /// removed. A node whose content store cannot be opened runs without.
    pub(crate) async fn open(
        config: Option<ContentStoreConfig>,
        data_dir: &Path,
        store: &Arc<Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let Some(config) = config else { return Self::off() };
        let directory = data_dir.join(DIRECTORY);
        if config.max_size == 0 && !directory.exists() {
            return Self::off();
        }
        let disk = blocking(move || private::prepare_directory(&directory).map(|()| RealDisk::new(directory))).await;
        let opened = match disk {
            Ok(disk) => Self::open_on(Arc::new(disk), config, store, clock).await,
            Err(error) => Err(error.into()),
        };
        opened.unwrap_or_else(|error| {
            warn!(%error, "the content store cannot be used; all contents are fetched from the backbone");
            Self::off()
        })
    }

    async fn open_on(
        disk: Arc<dyn Disk>,
        config: ContentStoreConfig,
        store: &Arc<Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let (of_disk, of_store) = (disk.clone(), store.clone());
        let (state, batch) = blocking(move || Loading::new(&*of_disk, &of_store)?.load(config.max_size)).await?;
        store.commit(batch).await?;
        if config.max_size == 0 {
            return Ok(Self::off());
        }
        let (state, sources) = (Mutex::new(state), Mutex::new(source::Recent::default()));
        let shared = Arc::new(Shared { config, disk, store: Arc::downgrade(store), clock, state, sources });
        let (messages, received) = mpsc::unbounded_channel();
        tokio::spawn(run(Writer::new(shared.clone()), received));
        let opened =
            Self { running: Some(Running { shared, messages, waiting: Arc::new(Semaphore::new(MAX_WAITING_CHUNKS)) }) };
        opened.sweep();
        Ok(opened)
    }

    /// As [`open`](Self::open), on another disk.
    #[cfg(test)]
    pub(super) async fn open_in_test(
        disk: Arc<dyn Disk>,
        config: ContentStoreConfig,
        store: &Arc<Store>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::open_on(disk, config, store, clock).await.unwrap()
    }
}

/// What was found, until it fits together.
struct Loading<'a> {
    disk: &'a dyn Disk,
    store: &'a Store,
    /// Files that no record has named yet.
    files: HashSet<String>,
    batch: Batch,
}

impl<'a> Loading<'a> {
    fn new(disk: &'a dyn Disk, store: &'a Store) -> Result<Self, OpenError> {
        let files = disk.names()?.into_iter().collect();
        Ok(Self { disk, store, files, batch: Batch::new() })
    }

    fn load(mut self, max_size: u64) -> Result<(State, Batch), OpenError> {
        let mut state = State::new(max_size);
        let mut segments = self.segments()?;
        let sources: HashSet<Number> = records::sources(self.store)?.into_iter().collect();
        let mut contents = records::contents(self.store)?;
        contents.sort_by_key(|(number, record)| (record.used_at, *number));
        let mut kept = HashSet::new();
        for (number, record) in contents {
            let known = record.known().filter(|known| state.number(&known.root).is_none());
            let Some(known) = known else {
                records::remove_content(&mut self.batch, number);
                continue;
            };
            state.restore(number, known, record.is_pinned, record.used_at);
            for (segment, found) in segments.remove(&number).unwrap_or_default() {
                state.restore_segment(segment, found);
            }
            if record.has_source && sources.contains(&number) {
                state.restore_source(number);
                kept.insert(number);
            }
            if !state.remove_if_empty(number).contents.is_empty() {
                records::remove_content(&mut self.batch, number);
            }
        }
        sources.difference(&kept).for_each(|number| records::remove_source(&mut self.batch, *number));
        for (segment, found) in segments.into_values().flatten() {
            drop(found);
            self.remove_segment(segment);
        }
        self.shrink(&mut state, max_size);
        self.remove_files()?;
        Ok((state, self.batch))
    }

    /// The segments whose files are as long as their records say, by their content.
    fn segments(&mut self) -> Result<HashMap<Number, Vec<(Number, Segment)>>, OpenError> {
        let mut found: HashMap<Number, Vec<(Number, Segment)>> = HashMap::new();
        for (number, SegmentRecord { content, kind, parts }) in records::segments(self.store)? {
            let segment = Segment::new(content, kind, parts);
            let most = if kind == Kind::Chunks { CHUNKS_OF_SEGMENT } else { NODES_OF_SEGMENT };
            let name = records::name_of(number);
            let length = self.disk.open(&name).and_then(|file| file.size()).ok();
            if length == Some(segment.length()) && segment.parts.len() <= most {
                self.files.remove(&name);
                found.entry(content).or_default().push((number, segment));
            } else {
                records::remove_segment(&mut self.batch, number);
            }
        }
        Ok(found)
    }

    fn remove_segment(&mut self, number: Number) {
        records::remove_segment(&mut self.batch, number);
        self.files.insert(records::name_of(number));
    }

    /// Keeps to a bound that may be lower than at the last start.
    fn shrink(&mut self, state: &mut State, max_size: u64) {
        let removed = state.shrink().unwrap_or_else(|| {
            warn!(max_size, "the pinned files no longer fit in the content store; none is pinned any more");
            state.unpin_all();
            state.shrink().unwrap_or_default()
        });
        removed.segments.into_iter().for_each(|segment| self.remove_segment(segment));
        removed.contents.into_iter().for_each(|content| records::remove_content(&mut self.batch, content));
        removed.sources.into_iter().for_each(|content| records::remove_source(&mut self.batch, content));
    }

    fn remove_files(&self) -> Result<(), OpenError> {
        if !self.files.is_empty() {
            info!(files = self.files.len(), "removing files of the content store that belong to nothing");
        }
        self.files.iter().try_for_each(|name| Ok(self.disk.remove(name)?))
    }
}
