//! Has the disk store a file while the rest of it is written, so that little is left to wait for at the end.

use std::fs::File;
use std::io::{self, Write};
use std::thread::{self, JoinHandle};

/// Bytes that are written before the disk is asked to store them. Few enough to be stored soon, and enough that asking costs little.
const STORED_AT_ONCE: u64 = 64 << 20;

/// A file that is written from its position on. What is written is on the disk once it is [finished](Self::finish), not before.
pub(super) struct Storing {
    file: File,
    /// Bytes that were written since the disk was last asked.
    unstored: u64,
    earlier: Earlier,
    begin: fn(&File) -> io::Result<Thread>,
}

/// A thread that stores what was written before it began.
type Thread = JoinHandle<io::Result<()>>;

/// What is being stored meanwhile. The handle of the file that this has is closed when it is dropped.
#[derive(Default)]
struct Earlier(Option<Thread>);

impl Storing {
    pub(super) fn new(file: File) -> Self {
        Self { file, unstored: 0, earlier: Earlier::default(), begin }
    }

    /// Gives the file this length, for one that had more bytes behind what is written. Blocks.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    /// Waits until all is stored. Blocks.
    ///
    /// # Errors
    /// Why something of it is not, whenever that was noticed: the system says it once.
    pub(super) fn finish(mut self) -> io::Result<File> {
        self.earlier.wait()?;
        self.file.sync_all()?;
        Ok(self.file)
    }

    /// Has another thread store what is written, unless there is little of it or the disk still stores what came before. If the system gives no
    /// thread or no handle for that, it is stored with what follows, or at the end.
    ///
    /// # Errors
    /// Why what came before is not stored.
    fn store(&mut self) -> io::Result<()> {
        if self.unstored < STORED_AT_ONCE || self.earlier.is_running() {
            return Ok(());
        }
        self.earlier.wait()?;
        let begun = (self.begin)(&self.file);
        self.earlier = Earlier(begun.inspect_err(|error| tracing::debug!(%error, "a file is stored later")).ok());
        self.unstored = 0;
        Ok(())
    }
}

fn begin(file: &File) -> io::Result<Thread> {
    let file = file.try_clone()?;
    thread::Builder::new().name("storing".to_owned()).spawn(move || file.sync_data())
}

impl Earlier {
    fn is_running(&self) -> bool {
        self.0.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn wait(&mut self) -> io::Result<()> {
        let Some(thread) = self.0.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that stores a file has panicked")))
    }
}

impl Drop for Earlier {
    fn drop(&mut self) {
        // Whoever drops it has given up the file, or has its error already.
        let _ = self.wait();
    }
}

impl Write for Storing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.store()?;
        let written = self.file.write(bytes)?;
        self.unstored += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const PIECE: usize = 1 << 20;

    fn with(begin: fn(&File) -> io::Result<Thread>) -> Storing {
        Storing { file: tempfile::tempfile().unwrap(), unstored: 0, earlier: Earlier::default(), begin }
    }

    #[test]
    fn the_disk_is_asked_at_the_bound_and_all_bytes_are_there() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        fn counted(file: &File) -> io::Result<Thread> {
            ASKED.fetch_add(1, Ordering::SeqCst);
            begin(file)
        }
        let mut storing = with(counted);
        for number in 0..STORED_AT_ONCE as usize / PIECE {
            storing.write_all(&vec![number as u8; PIECE]).unwrap();
        }
        assert!(storing.earlier.0.is_none(), "the bound is reached, and nobody waits for the end yet");
        storing.write_all(b"x").unwrap();
        assert!(storing.earlier.0.is_some());
        assert_eq!(storing.unstored, 1);
        let mut file = storing.finish().unwrap();
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, STORED_AT_ONCE + 1);
        assert!(bytes.chunks(PIECE).enumerate().all(|(number, piece)| piece.len() == 1 || piece[0] == number as u8));
    }

    #[test]
    fn what_the_disk_could_not_store_is_an_error_at_the_latest_at_the_end() {
        fn broken(_: &File) -> io::Result<Thread> {
            Ok(thread::spawn(|| Err(io::ErrorKind::StorageFull.into())))
        }
        let storing = || Storing { unstored: STORED_AT_ONCE, ..with(broken) };
        let mut ending = storing();
        ending.write_all(b"x").unwrap();
        assert_eq!(ending.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
        let mut going_on = storing();
        going_on.write_all(b"x").unwrap();
        while going_on.earlier.is_running() {
            thread::yield_now();
        }
        going_on.unstored = STORED_AT_ONCE;
        assert_eq!(going_on.write_all(b"y").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn without_a_thread_all_is_stored_at_the_end() {
        fn refused(_: &File) -> io::Result<Thread> {
            Err(io::ErrorKind::WouldBlock.into())
        }
        let mut storing = with(refused);
        for piece in [b"x", b"y"] {
            storing.unstored = STORED_AT_ONCE;
            storing.write_all(piece).unwrap();
            assert_eq!(storing.unstored, 1, "it is tried again after as many bytes");
        }
        let mut file = storing.finish().unwrap();
        file.rewind().unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "xy");
    }
}
