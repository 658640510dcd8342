//! Files on this machine that are uploaded as one content, and that can be read again: to go on after an interruption, or to
//! serve a part of them.

mod error;
mod reader;
mod state;
mod stored;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use transport::crypto::hash::Sha512Stream;

pub use self::error::SourceError;
pub use self::reader::SourceReader;
use self::state::FileState;
pub use transport::content::manifest::{
    Entry, EntryKind, MAX_ENTRIES, Manifest, ManifestError, PathError, RelativePath,
};

/// One file, or several files and folders, as they were when this was made. Holds names and sizes, no bytes and no open file;
/// clones share them.
///
/// Several have a manifest (`docs/content-v2.md`, section 9), with which the content begins.
#[derive(Clone)]
pub struct Source {
    parts: Arc<Parts>,
}

/// A file or folder that is to be part of a [`Source`].
#[derive(Debug, Clone)]
pub struct SourceEntry {
    /// Its place below the folder that a receiver chooses.
    pub path: RelativePath,
    /// The file or folder here.
    pub local: PathBuf,
}

/// What tells whether two sources are the same files in the same state: paths, sizes, times of the last change, and on Unix which
/// file it is. Equal ones have the same content unless somebody hides a change; who relies on it compares hashes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceIdentity([u8; Self::LENGTH]);

struct Parts {
    manifest: Option<(Manifest, Vec<u8>)>,
    /// In the order of their bytes.
    files: Vec<SourceFile>,
    length: u64,
    failure: Mutex<Option<SourceError>>,
}

struct SourceFile {
    path: PathBuf,
    state: FileState,
    /// Its first byte within the content.
    start: u64,
}

impl SourceIdentity {
    /// Length in bytes.
    pub const LENGTH: usize = 64;

    pub(crate) fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl Source {
    /// One file. Blocks while it is looked at.
    ///
    /// # Errors
    /// [`SourceError::Unreadable`] if it is not there or no file.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, SourceError> {
        let file = SourceFile::look_at(path.into(), 0)?;
        let length = file.state.length;
        Ok(Self::of(Parts { manifest: None, files: vec![file], length, failure: Mutex::default() }))
    }

    /// Several files and folders. Blocks while they are looked at. Links are followed, so whoever does not want that leaves them out.
    ///
    /// # Errors
    /// [`SourceError::Unreadable`] for what is not there, or neither a file nor a folder; [`SourceError::Manifest`] for paths that
    /// cannot be together.
    pub fn tree(entries: Vec<SourceEntry>) -> Result<Self, SourceError> {
        let looked_at = entries.into_iter().map(Looked::at).collect::<Result<Vec<_>, _>>()?;
        let manifest = Manifest::new(looked_at.iter().map(|looked| looked.entry.clone()).collect())?;
        let mut files = Vec::with_capacity(looked_at.len());
        for looked in looked_at {
            let place = manifest.find(&looked.entry.path).and_then(|index| manifest.content_of(index));
            if let (EntryKind::File { .. }, Some(place)) = (looked.entry.kind, place) {
                files.push(SourceFile { path: looked.local, state: looked.state, start: place.start });
            }
        }
        // Empty files lie at the start of the next one.
        files.sort_by_key(|file| (file.start, file.state.length));
        let (length, encoded) = (manifest.content_length(), manifest.encode());
        let manifest = Some((manifest, encoded));
        Ok(Self::of(Parts { manifest, files, length, failure: Mutex::default() }))
    }

    fn of(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// Opens each file, so that it is known before anything is sent which one cannot be read. Blocks.
    ///
    /// Files of a [`tree`](Self::tree) must be reached without a link: somebody who can write to one of the folders may have put it
    /// there since they were listed, to have another file sent. Whoever means a link names what it leads to.
    ///
    /// # Errors
    /// [`SourceError::Unreadable`], [`SourceError::Changed`] or [`SourceError::Unsized`] for the first such file.
    pub fn check(&self) -> Result<(), SourceError> {
        self.parts.files.iter().try_for_each(|file| {
            let mut opened = if self.manifest().is_some() { file.open_without_links()? } else { file.open()? };
            let unreadable = |error| SourceError::unreadable(&file.path, error);
            match file.state.length {
                0 if opened.read(&mut [0]).map_err(unreadable)? > 0 => {
                    Err(SourceError::Unsized { path: file.path.clone() })
                }
                _ => Ok(()),
            }
        })
    }

    /// Why reading failed the last time, here or through a clone. What an upload reports may only follow from it, in the words of
    /// whoever was waiting for the bytes.
    #[must_use]
    pub fn failure(&self) -> Option<SourceError> {
        self.parts.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes of the content.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.parts.length
    }

    /// The list of files with which the content begins, if there may be several.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        self.parts.manifest.as_ref().map(|(manifest, _)| manifest)
    }

    /// What tells this source from others.
    #[must_use]
    pub fn identity(&self) -> SourceIdentity {
        let mut hash = Sha512Stream::new();
        let mut part = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(self.parts.head());
        for file in &self.parts.files {
            part(file.path.as_os_str().as_encoded_bytes());
            part(&file.state.to_bytes());
        }
        SourceIdentity(hash.finish())
    }

    /// The content from its first byte to its last. Must be called within a tokio runtime: reading begins at once.
    #[must_use]
    pub fn reader(&self) -> SourceReader {
        SourceReader::new(self.clone())
    }

    /// Some bytes of the content, each time from the files. Blocks.
    ///
    /// Whether a file has changed in a way that neither its size nor its times show, the hash of the sealed chunk tells.
    ///
    /// # Errors
    /// [`SourceError::Changed`] for a file that is not as it was, [`SourceError::Unreadable`] else.
    pub fn read_at(&self, range: Range<u64>, out: &mut Vec<u8>) -> Result<(), SourceError> {
        self.read_range(range, out).map_err(|error| self.parts.failed(error))
    }

    fn read_range(&self, range: Range<u64>, out: &mut Vec<u8>) -> Result<(), SourceError> {
        let mut position = range.start.min(self.length());
        let end = range.end.min(self.length());
        let head = self.parts.head();
        if position < head.len() as u64 {
            let stop = end.min(head.len() as u64);
            out.extend_from_slice(&head[position as usize..stop as usize]);
            position = stop;
        }
        while position < end {
            let Some(file) = self.parts.file_at(position) else { break };
            let mut opened = file.open()?;
            let offset = position - file.start;
            let wanted = (end - position).min(file.state.length - offset);
            let unreadable = |error| SourceError::unreadable(&file.path, error);
            opened.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
            let taken = opened.take(wanted).read_to_end(out).map_err(unreadable)? as u64;
            if taken < wanted {
                return Err(SourceError::Changed { path: file.path.clone() });
            }
            position += taken;
        }
        Ok(())
    }
}

impl Parts {
    fn head(&self) -> &[u8] {
        self.manifest.as_ref().map_or(&[], |(_, encoded)| encoded)
    }

    /// Notes an error and passes it on.
    fn failed(&self, error: SourceError) -> SourceError {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        error
    }

    /// The file with the byte at this position.
    fn file_at(&self, position: u64) -> Option<&SourceFile> {
        let behind = self.files.partition_point(|file| file.start + file.state.length <= position);
        self.files.get(behind)
    }
}

impl SourceFile {
    fn look_at(path: PathBuf, start: u64) -> Result<Self, SourceError> {
        let looked = std::path::absolute(&path).and_then(|path| Ok((std::fs::metadata(&path)?, path)));
        let (metadata, path) = looked.map_err(|error| SourceError::unreadable(&path, error))?;
        if !metadata.is_file() {
            return Err(SourceError::unreadable(
                &path,
                io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"),
            ));
        }
        Ok(Self { path, state: FileState::of(&metadata), start })
    }

    /// Opens the file, if it is as it was. It is looked at before, because to open a pipe waits for whoever writes to it.
    fn open(&self) -> Result<File, SourceError> {
        self.compare(std::fs::metadata(&self.path))?;
        let file = File::open(&self.path).map_err(|error| SourceError::unreadable(&self.path, error))?;
        self.check(&file)?;
        Ok(file)
    }

    /// The same, if no link leads to it.
    fn open_without_links(&self) -> Result<File, SourceError> {
        let file = durable::no_links::open(&self.path).map_err(|error| SourceError::unreadable(&self.path, error))?;
        let file = file.ok_or_else(|| SourceError::Changed { path: self.path.clone() })?;
        self.check(&file)?;
        Ok(file)
    }

    fn check(&self, file: &File) -> Result<(), SourceError> {
        self.compare(file.metadata())
    }

    fn compare(&self, metadata: io::Result<std::fs::Metadata>) -> Result<(), SourceError> {
        let metadata = metadata.map_err(|error| SourceError::unreadable(&self.path, error))?;
        match metadata.is_file() && FileState::of(&metadata) == self.state {
            true => Ok(()),
            false => Err(SourceError::Changed { path: self.path.clone() }),
        }
    }
}

/// An entry with what its directory says.
struct Looked {
    entry: Entry,
    local: PathBuf,
    state: FileState,
}

impl Looked {
    fn at(entry: SourceEntry) -> Result<Self, SourceError> {
        let SourceEntry { path, local } = entry;
        let metadata = std::path::absolute(&local).and_then(|local| Ok((std::fs::metadata(&local)?, local)));
        let (metadata, local) = metadata.map_err(|error| SourceError::unreadable(&local, error))?;
        let state = FileState::of(&metadata);
        let kind = match (metadata.is_file(), metadata.is_dir()) {
            (true, _) => EntryKind::File { size: state.length },
            (_, true) => EntryKind::Folder,
            _ => {
                let reason = io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a folder");
                return Err(SourceError::unreadable(&local, reason));
            }
        };
        let entry =
            Entry { path, kind, mode: state::permissions(&metadata), modified_at: state::modified_at(&metadata) };
        Ok(Self { entry, local, state })
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({} files, {} bytes)", self.parts.files.len(), self.length())
    }
}

/// Where something is, for messages.
fn shown(path: &Path) -> std::path::Display<'_> {
    path.display()
}
