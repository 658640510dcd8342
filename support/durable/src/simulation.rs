//! An in-memory disk that fails, fills up, and loses unflushed writes, deterministically from a seed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};
use crate::journal::recovery;
use crate::{Commit, Result};

/// Number of bytes that a disk writes atomically.
pub const SECTOR: usize = 512;

/// A simulated disk. Clones share its contents.
#[derive(Debug, Clone)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    chance: Chance,
    /// Files by number: open files remain when their name is removed.
    files: Vec<Contents>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    capacity: usize,
    /// Number of operations until one fails; `None` if none does.
    fails_in: Option<u32>,
    is_off: bool,
}

#[derive(Debug, Default, Clone)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last flush.
    writes: Vec<(usize, Vec<u8>)>,
}

/// A xorshift random number generator.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Creates a generator from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

impl SimulatedDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64, capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            chance: Chance::new(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            capacity,
            fails_in: None,
            is_off: false,
        })))
    }

    /// A disk with these files on it.
    #[must_use]
    pub fn with_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let disk = Self::new(1, usize::MAX);
        let mut state = disk.state();
        for (name, bytes) in files {
            state.files.push(Contents { now: bytes.clone(), durable: bytes, writes: Vec::new() });
            let number = state.files.len() - 1;
            state.names.insert(name.clone(), number);
            state.durable_names.insert(name, number);
        }
        drop(state);
        disk
    }

    /// Makes one operation fail, after `operations` more have succeeded. It may take effect in part.
    pub fn fail_in(&self, operations: u32) {
        self.state().fails_in = Some(operations);
    }

    /// Cancels a pending [`fail_in`](Self::fail_in).
    pub fn heal(&self) {
        self.state().fails_in = None;
    }

    /// Sets the capacity of the disk in bytes.
    pub fn set_capacity(&self, capacity: usize) {
        self.state().capacity = capacity;
    }

    /// Cuts the power: every later operation on this disk fails. Returns the disk after the cut, with an arbitrary part of the
    /// unflushed sectors and names.
    #[must_use]
    pub fn cut(&self) -> Self {
        let mut state = self.state();
        state.is_off = true;
        let mut chance = state.chance.clone();
        let mut files: Vec<Vec<u8>> = Vec::with_capacity(state.files.len());
        for contents in &state.files {
            files.push(contents.after_cut(&mut chance));
        }
        let mut names = state.durable_names.clone();
        for (name, number) in &state.names {
            if chance.below(2) == 0 {
                names.insert(name.clone(), *number);
            }
        }
        names.retain(|name, _| state.names.contains_key(name) || chance.below(2) == 0);
        let found = Self::with_files(names.into_iter().map(|(name, number)| (name, files[number].clone())));
        let capacity = state.capacity;
        state.chance = chance.clone();
        drop(state);
        let mut after = found.state();
        after.chance = chance;
        after.capacity = capacity;
        drop(after);
        found
    }

    /// Flips one bit of a file that has a name.
    pub fn flip(&self, name: &str, bit: usize) {
        let mut state = self.state();
        let number = state.names[name];
        for bytes in [0, 1] {
            let contents = &mut state.files[number];
            let bytes = if bytes == 0 { &mut contents.now } else { &mut contents.durable };
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn after_cut(&self, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for (offset, write) in &self.writes {
            // Each sector of a write survives independently.
            let mut at = 0;
            while at < write.len() {
                let end = (at + SECTOR - (offset + at) % SECTOR).min(write.len());
                if chance.below(2) == 0 {
                    let (from, to) = (offset + at, offset + end);
                    bytes.resize(bytes.len().max(to), 0);
                    bytes[from..to].copy_from_slice(&write[at..end]);
                }
                at = end;
            }
        }
        bytes
    }
}

impl State {
    /// Counts an operation. Returns whether it fails.
    fn fails(&mut self) -> io::Result<bool> {
        if self.is_off {
            return Err(io::Error::other("the power is off"));
        }
        match &mut self.fails_in {
            Some(0) => {
                self.fails_in = None;
                Ok(true)
            }
            Some(left) => {
                *left -= 1;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    fn used(&self) -> usize {
        self.names.values().map(|number| self.files[*number].now.len()).sum()
    }

    fn number(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn broken() -> io::Error {
    io::Error::other("simulated I/O error")
}

impl Disk for SimulatedDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if state.fails()? {
            return Err(broken());
        }
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.files.push(Contents::default());
        let number = state.files.len() - 1;
        state.names.insert(name.to_owned(), number);
        Ok(Box::new(SimulatedFile { disk: self.clone(), number }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if state.fails()? {
            return Err(broken());
        }
        let number = state.number(name)?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), number }))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.fails()? {
            return Err(broken());
        }
        state.names.remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.fails()? {
            return Err(broken());
        }
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn free_bytes(&self) -> Option<u64> {
        let state = self.state();
        Some(state.capacity.saturating_sub(state.used()) as u64)
    }

    fn path(&self) -> &Path {
        Path::new("simulated")
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    number: usize,
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.fails()? {
            return Err(broken());
        }
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = state.files[self.number].now.get(start..).and_then(|bytes| bytes.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let fails = state.fails()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let grown = (start + bytes.len()).saturating_sub(state.files[self.number].now.len());
        let is_full = state.used() + grown > state.capacity;
        // A failed write may have taken effect in part.
        let done = if fails || is_full { state.chance.below(bytes.len() as u64 + 1) as usize } else { bytes.len() };
        let done = if is_full { done.min(state.files[self.number].now.len().saturating_sub(start)) } else { done };
        let contents = &mut state.files[self.number];
        contents.now.resize(contents.now.len().max(start + done), 0);
        contents.now[start..start + done].copy_from_slice(&bytes[..done]);
        contents.writes.push((start, bytes[..done].to_vec()));
        match (fails, is_full) {
            (true, _) => Err(broken()),
            (false, true) => Err(io::ErrorKind::StorageFull.into()),
            (false, false) => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.fails()? {
            // As on Linux, a failed flush drops the unwritten data, and the next flush succeeds.
            let mut chance = state.chance.clone();
            let contents = &mut state.files[self.number];
            contents.durable = contents.after_cut(&mut chance);
            contents.writes.clear();
            state.chance = chance;
            return Err(broken());
        }
        let contents = &mut state.files[self.number];
        for (offset, write) in contents.writes.drain(..) {
            let end = offset + write.len();
            contents.durable.resize(contents.durable.len().max(end), 0);
            contents.durable[offset..end].copy_from_slice(&write);
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.number].now.len() as u64)
    }
}

/// Opens the journal on a disk and returns its number of commits; `None` if there are no files. For fuzzing: arbitrary files
/// must be read or refused.
///
/// # Errors
/// Like [`crate::Store::open`].
pub fn recover(disk: &SimulatedDisk, store: [u8; 16]) -> Result<Option<u64>> {
    let Some(found) = recovery::find(Arc::new(disk.clone()), store)? else { return Ok(None) };
    let (mut count, from) = (0, found.beginning());
    found.replay(from, |_| {
        count += 1;
        Ok(())
    })?;
    Ok(Some(count))
}

/// The files of a journal with these commits, for fuzzing.
///
/// # Errors
/// None if the commits are in bounds.
pub fn journal_of(commits: &[Commit], store: [u8; 16]) -> Result<Vec<(String, Vec<u8>)>> {
    let disk = SimulatedDisk::new(1, usize::MAX);
    let journal = crate::journal::Journal::create(Arc::new(disk.clone()), store)?;
    for commit in commits {
        let written = journal.reserve(&[commit]).map(|_| journal.write(&[commit]));
        written.expect("there is room").expect("nothing fails");
    }
    let state = disk.state();
    Ok(state.names.iter().map(|(name, number)| (name.clone(), state.files[*number].now.clone())).collect())
}
