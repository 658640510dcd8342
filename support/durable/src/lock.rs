//! One process per directory.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Error, Result, private};

/// Pause between two attempts to get a lock.
const PAUSE: Duration = Duration::from_millis(20);
/// After this long, whoever waits for a lock is told so.
pub const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// Holds a directory until it is dropped, or until the process ends in any way.
#[derive(Debug)]
pub struct DirectoryLock {
    // The operating system releases the lock when the file is closed.
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory by a lock file with this name. The file stays behind; what counts is whether it is locked.
    ///
    /// # Errors
    /// [`Error::InUse`] names the process that has the directory.
    pub fn take(directory: &Path, name: &str) -> Result<Self> {
        let path = directory.join(name);
        let failed = |error: io::Error| Error::io(&path, &error);
        let mut options = private::file_options();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse { directory: directory.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        note_holder(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }

    /// As [`take`](Self::take), but waits up to `patience` for another process to finish. Blocks the thread.
    ///
    /// `notice` is called once, with the holder's process id, when the wait exceeds [`NOTICE_AFTER`].
    ///
    /// # Errors
    /// [`Error::InUse`] if the directory is still held after `patience`.
    pub fn wait(directory: &Path, name: &str, patience: Duration, notice: impl FnOnce(&str)) -> Result<Self> {
        let began = Instant::now();
        let mut notice = Some(notice);
        loop {
            match Self::take(directory, name) {
                Err(Error::InUse { holder, .. }) if began.elapsed() < patience => {
                    if began.elapsed() >= NOTICE_AFTER
                        && let Some(notice) = notice.take()
                    {
                        notice(&holder);
                    }
                    std::thread::sleep(PAUSE);
                }
                outcome => return outcome,
            }
        }
    }
}

fn note_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // A process id has at most ten digits; the limit keeps a foreign file from being read whole.
    let _ = file.take(32).read_to_string(&mut text);
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { "(unknown)".to_owned() } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_holds_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(directory.path(), "lock").unwrap();
        let refusal = DirectoryLock::take(directory.path(), "lock").unwrap_err().to_string();
        assert!(refusal.contains(&format!("in use by process {}", std::process::id())), "{refusal}");
        assert!(refusal.contains(&directory.path().display().to_string()), "{refusal}");
        drop(first);
        DirectoryLock::take(directory.path(), "lock").unwrap();
    }

    #[test]
    fn a_short_wait_ends_when_the_holder_does() {
        let directory = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(directory.path(), "lock").unwrap();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let holder = std::thread::spawn(move || {
            let _ = released.recv();
            drop(first);
        });
        let mut told = String::new();
        let patience = NOTICE_AFTER * 60;
        // The holder lets go when the one who waits has been told.
        DirectoryLock::wait(directory.path(), "lock", patience, |who| {
            told = who.to_owned();
            release.send(()).unwrap();
        })
        .unwrap();
        holder.join().unwrap();
        assert_eq!(told, std::process::id().to_string());
    }

    #[test]
    fn a_wait_without_patience_is_a_refusal() {
        let directory = tempfile::tempdir().unwrap();
        let _first = DirectoryLock::take(directory.path(), "lock").unwrap();
        let refusal =
            DirectoryLock::wait(directory.path(), "lock", Duration::ZERO, |_| panic!("not told")).unwrap_err();
        assert!(matches!(refusal, Error::InUse { .. }));
    }
}
