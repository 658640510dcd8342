//! An implementation in memory, for tests of rules: nothing is written, and everything ends with the process.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha512};

use super::contract::{
    AppendProgress, Appending, Backend, BlobAppender, BlobReader, BlobWriter, Blobs, Changes, Claim, KeyRange,
    LockSpace, Pending, PublishedBlob, Records, Session, Unclaimed, Written,
};
use super::local::{Guard, LocalNotifications, Locks};
use super::schema;
use crate::error::StoreError;
use crate::secrets::{ServerKey, random_bytes, random_hex};

/// Blobs in one step of a list.
const LISTED: usize = 4;

/// What is kept between two openings.
pub(crate) struct Memory {
    records: Shared<BTreeMap<Vec<u8>, Vec<u8>>>,
    blobs: Shared<BTreeMap<String, Bytes>>,
    key: [u8; 32],
    free: Arc<AtomicU64>,
}

type Shared<T> = Arc<Mutex<T>>;

fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Memory {
    fn default() -> Self {
        let version = (schema::KEY.to_vec(), schema::VERSION.to_be_bytes().to_vec());
        Self {
            records: Arc::new(Mutex::new([version].into())),
            blobs: Arc::default(),
            key: random_bytes(),
            free: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }
}

impl Memory {
    /// Makes it look as if so many bytes were free from now on.
    pub(crate) fn set_free(&self, bytes: u64) {
        self.free.store(bytes, Ordering::Release);
    }

    /// Opens it, once at a time.
    pub(crate) fn open(&self) -> Backend {
        let notifications = Arc::<LocalNotifications>::default();
        let open = Open {
            records: self.records.clone(),
            locks: Locks::new(),
            notifications: notifications.clone(),
            is_closed: AtomicBool::new(false),
            free: self.free.clone(),
        };
        let blobs = MemoryBlobs { blobs: self.blobs.clone(), claimed: Arc::default(), appended: Arc::default() };
        Backend {
            records: Arc::new(MemoryRecords(Arc::new(open))),
            blobs: Arc::new(blobs),
            notifications,
            server_key: ServerKey::from_bytes(self.key),
        }
    }
}

struct MemoryRecords(Arc<Open>);

struct Open {
    records: Shared<BTreeMap<Vec<u8>, Vec<u8>>>,
    locks: Locks,
    notifications: Arc<LocalNotifications>,
    is_closed: AtomicBool,
    free: Arc<AtomicU64>,
}

fn ready<'a, T: Send + 'a>(value: T) -> Pending<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Records for MemoryRecords {
    fn get<'a>(&'a self, key: &'a [u8]) -> Pending<'a, Option<Vec<u8>>> {
        ready(lock(&self.0.records).get(key).cloned())
    }

    fn contains<'a>(&'a self, key: &'a [u8]) -> Pending<'a, bool> {
        ready(lock(&self.0.records).contains_key(key))
    }

    fn scan<'a>(&'a self, range: KeyRange<'a>, limit: usize) -> Pending<'a, Vec<(Vec<u8>, Vec<u8>)>> {
        let records = lock(&self.0.records);
        let found = records.range::<[u8], _>((Included(range.from), Unbounded));
        let found = found.take_while(|(key, _)| key.as_slice() < range.until).take(limit);
        ready(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn keys<'a>(&'a self, range: KeyRange<'a>, limit: usize) -> Pending<'a, Vec<Vec<u8>>> {
        let pairs = self.scan(range, limit);
        Box::pin(async { Ok(pairs.await?.into_iter().map(|(key, _)| key).collect()) })
    }

    fn begin(&self) -> Box<dyn Session> {
        Box::new(MemorySession { open: self.0.clone(), guards: Vec::new() })
    }

    fn check_room(&self, bytes: u64) -> Result<(), StoreError> {
        if bytes <= self.0.free.load(Ordering::Acquire) { Ok(()) } else { Err(StoreError::Full("no space".into())) }
    }

    fn is_healthy(&self) -> bool {
        !self.0.is_closed.load(Ordering::Acquire)
    }

    fn maintain(&self) {}

    fn close(&self) -> Pending<'_, ()> {
        self.0.is_closed.store(true, Ordering::Release);
        ready(())
    }
}

struct MemorySession {
    open: Arc<Open>,
    guards: Vec<Guard>,
}

impl Session for MemorySession {
    fn lock<'a>(&'a mut self, space: LockSpace, names: &'a [&'a str]) -> Pending<'a, ()> {
        Box::pin(async move {
            self.guards.append(&mut self.open.locks.lock(space, names).await);
            Ok(())
        })
    }

    fn latest<'a>(&'a mut self, key: &'a [u8]) -> Pending<'a, Option<Vec<u8>>> {
        ready(lock(&self.open.records).get(key).cloned())
    }

    fn commit(self: Box<Self>, changes: Changes) -> Pending<'static, ()> {
        Box::pin(async move {
            let Changes { writes, updates, mut claims, notifications, releases_early: _ } = changes;
            let mut records = lock(&self.open.records);
            if self.open.is_closed.load(Ordering::Acquire) {
                return Err(StoreError::Stopped("the store is closed".into()));
            }
            let mut changed = writes;
            for (key, update) in updates {
                let value = update(records.get(&key).cloned())?;
                changed.insert(key, value);
            }
            claims.iter_mut().for_each(|claim| claim.keep());
            for (key, value) in changed {
                match value {
                    Some(value) => drop(records.insert(key, value)),
                    None => drop(records.remove(&key)),
                }
            }
            drop(records);
            self.open.notifications.send(&notifications);
            Ok(())
        })
    }
}

#[derive(Clone)]
struct MemoryBlobs {
    blobs: Shared<BTreeMap<String, Bytes>>,
    claimed: Shared<HashSet<String>>,
    appended: Shared<HashSet<String>>,
}

impl Blobs for MemoryBlobs {
    fn create(&self) -> Pending<'_, Box<dyn BlobWriter>> {
        ready(Box::new(MemoryWriter { place: self.clone(), bytes: BytesMut::new() }) as Box<dyn BlobWriter>)
    }

    fn open_part<'a>(&'a self, name: &'a str, offset: u64, length: u64) -> Pending<'a, Option<BlobReader>> {
        let part = |bytes: &Bytes| {
            let place = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len());
            bytes.slice(place(offset)..place(offset.saturating_add(length)))
        };
        let bytes = lock(&self.blobs).get(name).map(part);
        ready(bytes.map(|bytes| BlobReader::new(bytes.len() as u64, std::io::Cursor::new(bytes))))
    }

    fn append<'a>(&'a self, name: &'a str) -> Pending<'a, Appending> {
        if !lock(&self.blobs).contains_key(name) {
            return ready(Appending::Missing);
        }
        if !lock(&self.appended).insert(name.to_owned()) {
            return ready(Appending::Busy);
        }
        let (place, name) = (self.clone(), name.to_owned());
        let appender = MemoryAppender { place, name, progress: AppendProgress::default(), written: BytesMut::new() };
        ready(Appending::Open(Box::new(appender)))
    }

    fn delete<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        lock(&self.blobs).remove(name);
        ready(())
    }

    fn unclaimed<'a>(&'a self, after: Option<&'a str>) -> Pending<'a, Unclaimed> {
        let blobs = lock(&self.blobs);
        let behind = after.map_or(Unbounded, Excluded);
        let names: Vec<String> =
            blobs.range::<str, _>((behind, Unbounded)).map(|(name, _)| name.clone()).take(LISTED).collect();
        let next = names.last().filter(|_| names.len() == LISTED).cloned();
        let claimed = lock(&self.claimed);
        ready(Unclaimed { names: names.into_iter().filter(|name| !claimed.contains(name)).collect(), next })
    }
}

struct MemoryWriter {
    place: MemoryBlobs,
    bytes: BytesMut,
}

impl BlobWriter for MemoryWriter {
    fn write(&mut self, bytes: Bytes) -> Pending<'_, ()> {
        self.bytes.extend_from_slice(&bytes);
        ready(())
    }

    fn publish(self: Box<Self>) -> Pending<'static, (PublishedBlob, Written)> {
        let Self { place, bytes } = *self;
        let name = random_hex();
        let written = Written { size: bytes.len() as u64, sha512: Sha512::digest(&bytes).to_vec() };
        lock(&place.claimed).insert(name.clone());
        lock(&place.blobs).insert(name.clone(), bytes.freeze());
        let claim = MemoryClaim { place, name: name.clone(), is_kept: false };
        ready((PublishedBlob::new(name, claim), written))
    }
}

struct MemoryAppender {
    place: MemoryBlobs,
    name: String,
    progress: AppendProgress,
    /// What was not synchronised.
    written: BytesMut,
}

impl BlobAppender for MemoryAppender {
    fn resume(&mut self, behind: AppendProgress) -> Pending<'_, ()> {
        self.written.clear();
        let mut blobs = lock(&self.place.blobs);
        let bytes = blobs.get_mut(&self.name);
        let end = usize::try_from(behind.size).unwrap_or(usize::MAX);
        let Some(bytes) = bytes.filter(|bytes| bytes.len() >= end) else {
            return Box::pin(std::future::ready(Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())));
        };
        bytes.truncate(end);
        self.progress = behind;
        ready(())
    }

    fn write(&mut self, bytes: Bytes) -> Pending<'_, ()> {
        self.progress.add(&bytes);
        self.written.extend_from_slice(&bytes);
        ready(())
    }

    fn sync(&mut self) -> Pending<'_, AppendProgress> {
        // One that was deleted stays away.
        if let Some(bytes) = lock(&self.place.blobs).get_mut(&self.name) {
            *bytes = [&bytes[..], &self.written.split()].concat().into();
        }
        ready(self.progress.clone())
    }
}

impl Drop for MemoryAppender {
    fn drop(&mut self) {
        lock(&self.place.appended).remove(&self.name);
    }
}

struct MemoryClaim {
    place: MemoryBlobs,
    name: String,
    is_kept: bool,
}

impl Claim for MemoryClaim {
    fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for MemoryClaim {
    fn drop(&mut self) {
        if !self.is_kept {
            lock(&self.place.blobs).remove(&self.name);
        }
        lock(&self.place.claimed).remove(&self.name);
    }
}
