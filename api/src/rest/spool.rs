//! The file part of an upload, put aside until all fields are known.
//!
//! Fields may follow the file, and a file must not be uploaded before its fields were checked. Small files stay in
//! memory, larger ones go to a file without a name in the node's own directory: nobody else can open it, and it is gone
//! with its last handle.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::pin::Pin;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncSeekExt, AsyncWriteExt};

/// Most bytes that stay in memory.
const MAX_IN_MEMORY: usize = 1024 * 1024;

/// Bytes put aside.
pub(crate) enum Spool {
    Memory(Vec<u8>),
    Disk(File),
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
                durable::check_room(directory, memory.len())?;
                let mut file = File::from_std(tempfile::tempfile_in(directory)?);
                file.write_all(memory).await?;
                *self = Self::Disk(file);
            }
            Self::Disk(_) => {}
        }
        match self {
            Self::Disk(file) => {
                durable::check_room(directory, bytes.len())?;
                file.write_all(bytes).await
            }
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
            Self::Disk(mut file) => {
                file.flush().await?;
                file.seek(SeekFrom::Start(0)).await?;
                Ok(Box::pin(file))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn bytes_come_back_from_memory_and_from_disk_and_leave_no_file() {
        let directory = tempfile::tempdir().unwrap();
        for length in [0, 1, MAX_IN_MEMORY, MAX_IN_MEMORY + 1, 3 * MAX_IN_MEMORY + 7] {
            let bytes: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect();
            let mut spool = Spool::new();
            for chunk in bytes.chunks(100_000) {
                spool.write(&Bytes::copy_from_slice(chunk), directory.path()).await.unwrap();
            }
            assert_eq!(matches!(spool, Spool::Disk(_)), length > MAX_IN_MEMORY);
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "no name in the directory");
            let mut read = Vec::new();
            spool.into_reader().await.unwrap().read_to_end(&mut read).await.unwrap();
            assert!(read == bytes, "{length}");
        }
    }
}
