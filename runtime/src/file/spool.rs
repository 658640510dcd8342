//! Stores a ciphertext in transit: a small one in memory, a larger one in a private file without a name.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use bytes::Bytes;
use transport::backbone::UploadContent;

use crate::Error;
use crate::store::StoreError;

/// Most bytes that are kept in memory.
const MEMORY_LIMIT: usize = 2 * 1024 * 1024;

/// An append-only buffer. Neither dropping it nor a crash leaves anything on the disk.
pub(super) struct Spool {
    directory: PathBuf,
    storage: Storage,
    memory_limit: usize,
}

/// Where the bytes are stored.
pub(super) enum Storage {
    Memory(Vec<u8>),
    /// With the number of bytes.
    File(File, u64),
}

impl Spool {
    /// An empty spool, which creates its file in `directory` if it needs one.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, storage: Storage::Memory(Vec::new()), memory_limit: MEMORY_LIMIT }
    }

    /// For about that many bytes. If they exceed [`MEMORY_LIMIT`], all of them are written to a file.
    pub(super) fn expecting(directory: PathBuf, length: u64) -> Self {
        let expected = usize::try_from(length).unwrap_or(usize::MAX);
        let (capacity, memory_limit) = if expected <= MEMORY_LIMIT { (expected, MEMORY_LIMIT) } else { (0, 0) };
        Self { directory, storage: Storage::Memory(Vec::with_capacity(capacity)), memory_limit }
    }

    /// Whether [`Spool::append`] would touch the disk for that many more bytes.
    pub(super) fn writes_to_disk(&self, more: usize) -> bool {
        match &self.storage {
            Storage::Memory(bytes) => bytes.len() + more > self.memory_limit,
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

    pub(super) fn into_storage(self) -> Storage {
        self.storage
    }
}

/// A temporary file failed: most likely the disk is full.
pub(super) fn temporary_file_error(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::TemporaryFull,
        _ => StoreError::Temporary(without_path(error)),
    }
    .into()
}

/// The reason of the operating system, without the random name of the file, which nobody can find afterwards.
fn without_path(error: &io::Error) -> String {
    if error.get_ref().is_some() { error.kind().to_string() } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};

    use super::*;

    #[test]
    fn the_error_for_a_temporary_file_omits_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("no");
        let error = tempfile::NamedTempFile::new_in(&missing).unwrap_err();
        assert!(error.to_string().contains(".tmp"), "{error}");
        let text = temporary_file_error(&error).to_string();
        assert!(text.contains("not found") && !text.contains(".tmp"), "{text}");
    }

    const PIECE: usize = 100_000;

    /// Whether the pieces went to a file.
    fn spooled(mut spool: Spool, directory: &std::path::Path, pieces: u8) -> bool {
        let mut expected = Vec::new();
        for number in 0..pieces {
            let piece = vec![number; PIECE];
            spool.append(&piece).unwrap();
            expected.extend_from_slice(&piece);
        }
        let (read, is_file) = match spool.into_storage() {
            Storage::Memory(bytes) => (bytes, false),
            Storage::File(mut file, length) => {
                assert_eq!(length, expected.len() as u64);
                let mut read = Vec::new();
                file.rewind().unwrap();
                file.read_to_end(&mut read).unwrap();
                (read, true)
            }
        };
        assert!(read == expected);
        assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);
        is_file
    }

    #[test]
    fn bytes_are_kept_in_memory_and_on_disk_and_no_file_remains() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let most = u8::try_from(MEMORY_LIMIT / PIECE).unwrap();
        for (pieces, in_file) in [(1, false), (most, false), (most + 1, true), (2 * most, true)] {
            assert_eq!(spooled(Spool::new(path.to_owned()), path, pieces), in_file, "{pieces}");
        }
        for (expected, pieces, in_file) in
            [(MEMORY_LIMIT, most, false), (0, most + 1, true), (MEMORY_LIMIT + 1, 1, true), (usize::MAX, 1, true)]
        {
            let spool = Spool::expecting(path.to_owned(), expected as u64);
            assert_eq!(spooled(spool, path, pieces), in_file, "{expected}");
        }
    }
}
