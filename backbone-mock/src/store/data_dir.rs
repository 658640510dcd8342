//! The data directory: private, and used by one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::blobs::sync_dir;
use crate::error::Error;
use crate::secrets::{ServerKey, random_bytes};

const LOCK_FILE: &str = "lock";
const KEY_FILE: &str = "server.key";

/// A data directory that this process holds.
pub(crate) struct DataDir {
    path: PathBuf,
    // The operating system releases the lock when the file is closed, however the process ends.
    _lock: File,
}

impl DataDir {
    /// Creates the directory if need be, and takes it.
    pub(crate) fn acquire(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::DataDir { dir: path.to_owned(), source };
        create_private_dir(path).map_err(failed)?;
        let mut options = private_file_options();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(path.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse { dir: path.to_owned(), holder: holder(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        note_holder(&mut lock).map_err(failed)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The key of the server that owns this directory, made at first use. It is a file beside the database, so that a
    /// copy of the database alone gives no handle on what was hashed with it.
    pub(crate) fn server_key(&self) -> Result<ServerKey, Error> {
        let path = self.path.join(KEY_FILE);
        let key = match fs::read(&path) {
            Ok(bytes) => bytes.try_into().map_err(|_| io::Error::other("server.key is not 32 bytes long")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => create_key(&path, &self.path),
            Err(error) => Err(error),
        };
        let key = key.map_err(|source| Error::DataDir { dir: self.path.clone(), source })?;
        Ok(ServerKey::from_bytes(key))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn create_key(path: &Path, dir: &Path) -> io::Result<[u8; 32]> {
    let key = random_bytes();
    let unfinished = path.with_extension("new");
    let mut file = private_file_options().write(true).create(true).truncate(true).open(&unfinished)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    sync_dir(dir)?;
    Ok(key)
}

fn note_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    write!(lock, "{}", std::process::id())
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.rewind().and_then(|()| lock.take(20).read_to_string(&mut text));
    if read.is_ok() && !text.trim().is_empty() { text.trim().to_owned() } else { "unknown".to_owned() }
}

/// Creates a directory that only its owner can enter.
pub(super) fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Options that create files only their owner can read.
pub(crate) fn private_file_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Takes everybody else's rights from all files below a directory, as far as that is possible: the database creates
/// its files itself.
pub(super) fn make_private(dir: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_dir = path.is_dir();
            let mode = if is_dir { 0o700 } else { 0o600 };
            // A file that vanishes meanwhile needs no rights.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(mode));
            if is_dir {
                make_private(&path);
            }
        }
    }
    #[cfg(not(unix))]
    let _ = dir;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::acquire(dir.path()).unwrap();
        let error = DataDir::acquire(dir.path()).err().unwrap().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains(&dir.path().display().to_string()), "{error}");
        drop(first);
        assert!(DataDir::acquire(dir.path()).is_ok());
    }
}
