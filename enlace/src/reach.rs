//! The way to a data directory that another process may use: hold it when that process is done, or ask that process.
//!
//! A command that can only serve by itself does not wait; see
//! [`DataDir::hold`](crate::data_dir::DataDir::hold).

use std::time::Duration;

use tokio::time::Instant;

use crate::data_dir::{DataDir, Held};
use crate::failure::Failure;
use crate::output::Output;
use crate::running::Running;

/// Longest wait for another process, which may have a file to fetch.
const TIMEOUT: Duration = Duration::from_secs(60);
/// After this long, a message names the process that is waited for.
const NOTICE_AFTER: Duration = Duration::from_secs(1);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// How a data directory can be reached.
#[derive(Debug)]
pub(crate) enum Reached {
    /// It is ours.
    Held(Held),
    /// A process serves it.
    Served(Running),
}

/// Holds a directory, or finds the process that serves it. Waits for a process that uses it without serving.
///
/// Dropping the future ends the wait.
///
/// # Errors
/// A failure that names the process if it still has the directory after [`TIMEOUT`].
pub(crate) async fn reach(dir: &DataDir, output: Output) -> Result<Reached, Failure> {
    let began = Instant::now();
    let mut is_noticed = false;
    loop {
        let holder = match dir.try_hold()? {
            Ok(held) => return Ok(Reached::Held(held)),
            Err(holder) => holder,
        };
        // It may have begun to serve meanwhile.
        if let Some(running) = Running::read(dir).filter(|running| holder.can_be(running.pid) && running.is_local()) {
            return Ok(Reached::Served(running));
        }
        if began.elapsed() >= TIMEOUT {
            return Err(holder.refusal());
        }
        if began.elapsed() >= NOTICE_AFTER && !is_noticed {
            output.talk(holder.notice());
            is_noticed = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, DataDir) {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path().join("a")).unwrap();
        (root, dir)
    }

    #[tokio::test(start_paused = true)]
    async fn a_directory_is_held_as_soon_as_the_other_process_is_done() {
        let (_root, dir) = fixture();
        let held = dir.hold().unwrap();
        let other = tokio::spawn(async move {
            tokio::time::sleep(TIMEOUT / 2).await;
            drop(held);
        });
        assert!(matches!(reach(&dir, Output::new(true)).await.unwrap(), Reached::Held(_)));
        other.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_begins_to_serve_meanwhile_is_asked() {
        let (_root, dir) = fixture();
        let held = dir.hold().unwrap();
        let serving = dir.clone();
        let other = tokio::spawn(async move {
            tokio::time::sleep(TIMEOUT / 2).await;
            Running { pid: std::process::id(), ..Running::example() }.note(&serving).unwrap();
        });
        assert!(matches!(reach(&dir, Output::new(true)).await.unwrap(), Reached::Served(_)));
        other.await.unwrap();
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_process_that_does_not() {
        let (_root, dir) = fixture();
        let _held = dir.hold().unwrap();
        // Of a process that was killed.
        Running { pid: u32::MAX, ..Running::example() }.note(&dir).unwrap();
        let failure = reach(&dir, Output::new(true)).await.unwrap_err();
        assert!(failure.message.contains(&format!("in use by process {}", std::process::id())), "{failure}");
    }
}
