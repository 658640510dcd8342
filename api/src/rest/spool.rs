//! The file part of an upload, put aside until all fields are known.
//!
//! Fields may follow the file, and a file must not be uploaded before its fields were checked. Small files stay in
//! memory, larger ones go to a file without a name in the node's own directory: nobody else can open it, and it is gone
//! with its last handle. Its blocks may stay on the disk, so it holds the bytes encrypted, under a key that is in memory
//! only.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::pin::Pin;

use bytes::Bytes;
use runtime::{TransientDecryptor, TransientEncryptor, TransientReader, transient_cipher};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncSeekExt, AsyncWriteExt};

/// Most bytes that stay in memory.
const MAX_IN_MEMORY: usize = 1024 * 1024;

/// Bytes put aside.
pub(crate) enum Spool {
    Memory(Vec<u8>),
    Disk(Box<Encrypted>),
}

/// Bytes put aside in a file without a name.
pub(crate) struct Encrypted {
    file: File,
    encryptor: TransientEncryptor,
    decryptor: TransientDecryptor,
}

impl Spool {
    pub(crate) fn new() -> Self {
        Self::Memory(Vec::new())
    }

    /// Adds bytes; goes to a file in `directory` when they become many.
    ///
    /// # Errors
    /// The system's, for instance a full disk.
    pub(crate) async fn write(&mut self, bytes: &Bytes, directory: &Path) -> io::Result<()> {
        match self {
            Self::Memory(memory) if memory.len() + bytes.len() <= MAX_IN_MEMORY => {
                memory.extend_from_slice(bytes);
                return Ok(());
            }
            Self::Memory(memory) => {
                let mut disk = Encrypted::create(directory)?;
                disk.write(memory, directory).await?;
                *self = Self::Disk(Box::new(disk));
            }
            Self::Disk(_) => {}
        }
        match self {
            Self::Disk(disk) => disk.write(bytes, directory).await,
            Self::Memory(_) => Ok(()),
        }
    }

    /// The bytes from the start.
    ///
    /// # Errors
    /// The system's.
    pub(crate) async fn into_reader(self) -> io::Result<Pin<Box<dyn AsyncRead + Send>>> {
        match self {
            Self::Memory(memory) => Ok(Box::pin(io::Cursor::new(memory))),
            Self::Disk(disk) => Ok(Box::pin(disk.into_reader().await?)),
        }
    }
}

impl Encrypted {
    fn create(directory: &Path) -> io::Result<Self> {
        let file = File::from_std(tempfile::tempfile_in(directory)?);
        let (encryptor, decryptor) = transient_cipher();
        Ok(Self { file, encryptor, decryptor })
    }

    async fn write(&mut self, bytes: &[u8], directory: &Path) -> io::Result<()> {
        durable::check_room(directory, bytes.len())?;
        let mut encrypted = bytes.to_vec();
        self.encryptor.encrypt(&mut encrypted).map_err(io::Error::other)?;
        self.file.write_all(&encrypted).await
    }

    async fn into_reader(mut self) -> io::Result<TransientReader<File>> {
        self.file.flush().await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        Ok(self.decryptor.reading(self.file))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn spooled(bytes: &[u8], directory: &Path) -> Spool {
        let mut spool = Spool::new();
        for chunk in bytes.chunks(100_000) {
            spool.write(&Bytes::copy_from_slice(chunk), directory).await.unwrap();
        }
        spool
    }

    #[tokio::test]
    async fn bytes_come_back_from_memory_and_from_disk_and_leave_no_file() {
        let directory = tempfile::tempdir().unwrap();
        for length in [0, 1, MAX_IN_MEMORY, MAX_IN_MEMORY + 1, 3 * MAX_IN_MEMORY + 7] {
            let bytes: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect();
            let spool = spooled(&bytes, directory.path()).await;
            assert_eq!(matches!(spool, Spool::Disk(_)), length > MAX_IN_MEMORY);
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "no name in the directory");
            let mut read = Vec::new();
            spool.into_reader().await.unwrap().read_to_end(&mut read).await.unwrap();
            assert!(read == bytes, "{length}");
        }
    }

    #[tokio::test]
    async fn no_plaintext_is_on_disk_neither_the_first_bytes_nor_later_ones() {
        const MARKER: &[u8] = b"planted plaintext";
        let directory = tempfile::tempdir().unwrap();
        let bytes = MARKER.repeat(2 * MAX_IN_MEMORY / MARKER.len());
        let Spool::Disk(mut disk) = spooled(&bytes, directory.path()).await else { panic!("not on disk") };
        disk.file.flush().await.unwrap();
        disk.file.seek(SeekFrom::Start(0)).await.unwrap();
        let mut stored = Vec::new();
        disk.file.read_to_end(&mut stored).await.unwrap();
        assert_eq!(stored.len(), bytes.len());
        assert!(!stored.windows(MARKER.len()).any(|window| window == MARKER));
    }
}
