//! A ciphertext on its way: small ones in memory, larger ones in a private file that has no name.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write as _};
use std::path::PathBuf;

use bytes::Bytes;
use transport::backbone::UploadContent;

use crate::Error;

/// Most bytes that are kept in memory.
const MEMORY_LIMIT: usize = 1024 * 1024;

/// Takes bytes at its end. Dropping it leaves nothing behind, and neither does a crash.
pub(super) struct Spool {
    directory: PathBuf,
    storage: Storage,
}

enum Storage {
    Memory(Vec<u8>),
    File(File, u64),
}

impl Spool {
    /// `directory` is where a file would be made.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, storage: Storage::Memory(Vec::new()) }
    }

    /// Whether [`Spool::append`] would touch the disk for that many more bytes.
    pub(super) fn writes_to_disk(&self, more: usize) -> bool {
        match &self.storage {
            Storage::Memory(bytes) => bytes.len() + more > MEMORY_LIMIT,
            Storage::File(..) => true,
        }
    }

    pub(super) fn append(&mut self, more: &[u8]) -> io::Result<()> {
        if self.writes_to_disk(more.len()) {
            durable::check_room(&self.directory, more.len() + MEMORY_LIMIT)?;
            self.spill()?;
        }
        match &mut self.storage {
            Storage::Memory(bytes) => bytes.extend_from_slice(more),
            Storage::File(file, length) => {
                file.write_all(more)?;
                *length += more.len() as u64;
            }
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        if let Storage::Memory(bytes) = &self.storage {
            let mut file = tempfile::tempfile_in(&self.directory)?;
            file.write_all(bytes)?;
            self.storage = Storage::File(file, bytes.len() as u64);
        }
        Ok(())
    }

    pub(super) fn into_upload(self) -> UploadContent {
        match self.storage {
            Storage::Memory(bytes) => UploadContent::Memory(Bytes::from(bytes)),
            Storage::File(file, length) => UploadContent::File(file, length),
        }
    }

    pub(super) fn into_reader(self) -> SpoolReader {
        match self.storage {
            Storage::Memory(bytes) => SpoolReader::Memory(Cursor::new(bytes)),
            Storage::File(file, _) => SpoolReader::File(file),
        }
    }
}

/// A temporary file failed: most likely the disk is full.
pub(super) fn temporary_file_error(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::StorageFull(
            "the disk with the temporary files of the data directory is full; free some space and try again".to_owned(),
        ),
        _ => Error::Store(format!(
            "a temporary file in the data directory cannot be used: {error}; check the disk and the permissions"
        )),
    }
}

/// Reads what was spooled; seek to the start first.
pub(super) enum SpoolReader {
    Memory(Cursor<Vec<u8>>),
    File(File),
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

impl Seek for SpoolReader {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Memory(bytes) => bytes.seek(position),
            Self::File(file) => file.seek(position),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_memory_and_on_disk_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        for pieces in [1, 3, 20] {
            let mut spool = Spool::new(directory.path().to_owned());
            let mut expected = Vec::new();
            for number in 0..pieces {
                let piece = vec![number; 100_000];
                spool.append(&piece).unwrap();
                expected.extend_from_slice(&piece);
            }
            assert_eq!(matches!(spool.storage, Storage::File(..)), expected.len() > MEMORY_LIMIT);
            let mut reader = spool.into_reader();
            reader.seek(SeekFrom::Start(0)).unwrap();
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert_eq!(read, expected);
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        }
    }
}
