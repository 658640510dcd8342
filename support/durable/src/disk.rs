//! The file operations of whoever keeps data in files of one directory, as a trait: tests replace the real disk by one that loses
//! unflushed writes.
//!
//! # Contract
//!
//! - Bytes survive a power cut once a [`DiskFile::sync`] that began after they were written has returned. Until then
//!   each of their sectors may or may not survive.
//! - Creating or removing a name is durable once a [`Disk::sync_names`] that began afterwards has returned.
//! - A failed operation may have taken effect in part.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::{private, room};

/// One directory of files.
pub trait Disk: Send + Sync + Debug {
    /// Creates a file that must not exist.
    ///
    /// # Errors
    /// The operating system's error.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// The operating system's error.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// The names of all files, in arbitrary order.
    ///
    /// # Errors
    /// The operating system's error.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Removes a file. Open handles can still read it.
    ///
    /// # Errors
    /// The operating system's error.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes created and removed names durable.
    ///
    /// # Errors
    /// The operating system's error.
    fn sync_names(&self) -> io::Result<()>;

    /// Free space in bytes; `None` if unknown.
    fn free_bytes(&self) -> Option<u64>;

    /// Its path, for messages.
    fn path(&self) -> &Path;
}

/// A file that is open for reading and writing.
pub trait DiskFile: Send + Sync + Debug {
    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the file is too short, otherwise the operating system's error.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all bytes at `offset`.
    ///
    /// # Errors
    /// The operating system's error.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes contents and size durable (`fdatasync`).
    ///
    /// # Errors
    /// The operating system's error. It is then unknown which writes since the last success are on disk.
    fn sync(&self) -> io::Result<()>;

    /// Size in bytes.
    ///
    /// # Errors
    /// The operating system's error.
    fn size(&self) -> io::Result<u64>;
}

/// A directory of the real file system. Its files are created for this user only.
#[derive(Debug)]
pub struct RealDisk(PathBuf);

impl RealDisk {
    /// A directory, which must exist.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self(directory)
    }
}

impl Disk for RealDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = private::file_options().read(true).write(true).create_new(true).open(self.0.join(name))?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().read(true).write(true).open(self.0.join(name))?)))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        private::sync_directory(&self.0)
    }

    fn free_bytes(&self) -> Option<u64> {
        room::free_bytes(&self.0)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, buffer, offset)
    }

    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.0, buffer, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    buffer = &mut buffer[count..];
                    offset += count as u64;
                }
            }
        }
        Ok(())
    }

    #[cfg(windows)]
    fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset)?;
            bytes = &bytes[count..];
            offset += count as u64;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
