//! Group commit: one task flushes, everybody whose write it covers goes on.
//!
//! A request waits for a flush that *started* after its write. While one flush runs, further writes gather for the next,
//! so the number of flushes follows the speed of the disk and not the number of requests.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::error::StoreError;

/// Owns the flush task.
pub(super) struct Flusher {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    /// Writes that were applied. Held while one is, so that nobody who has seen it can miss it in the count.
    applied: Mutex<u64>,
    /// How many of them are on disk.
    durable: watch::Sender<Progress>,
    wanted: Notify,
    stop: Notify,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    durable: u64,
    broken: bool,
}

impl Flusher {
    /// Starts the task. It holds the database open until [`Flusher::stop`].
    pub(super) fn start(database: sled::Db) -> Self {
        let shared = Arc::new(Shared {
            applied: Mutex::new(0),
            durable: watch::Sender::new(Progress::default()),
            wanted: Notify::new(),
            stop: Notify::new(),
        });
        let task = tokio::spawn(run(shared.clone(), database));
        Self { shared, task: Mutex::new(Some(task)) }
    }

    /// Applies and counts a write. After one that failed, on a full disk for instance, sled refuses everything, so the
    /// store counts as broken.
    pub(super) fn apply(&self, write: impl FnOnce() -> sled::Result<()>) -> sled::Result<()> {
        let mut applied = self.shared.applied();
        if let Err(error) = write() {
            tracing::error!(%error, "write failed, nothing is acknowledged any more");
            self.shared.durable.send_modify(|progress| progress.broken = true);
            return Err(error);
        }
        *applied += 1;
        Ok(())
    }

    /// Waits until every write that anybody can have seen is on disk.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        let target = *self.shared.applied();
        let mut progress = self.shared.durable.subscribe();
        if !reached(*progress.borrow(), target) {
            self.shared.wanted.notify_one();
        }
        let result = progress.wait_for(|progress| reached(*progress, target)).await;
        match result.map(|progress| progress.broken) {
            Ok(false) => Ok(()),
            Ok(true) | Err(_) => Err(StoreError::Broken),
        }
    }

    pub(super) fn is_healthy(&self) -> bool {
        !self.shared.durable.borrow().broken
    }

    /// Ends the task and closes its handle to the database.
    pub(super) async fn stop(&self) {
        self.shared.stop.notify_one();
        let task = self.task.lock().expect("no code panics while it holds the lock").take();
        if let Some(task) = task {
            // The task ends by itself; an error could only be its panic, which has been reported already.
            let _ = task.await;
        }
    }
}

impl Shared {
    fn applied(&self) -> MutexGuard<'_, u64> {
        self.applied.lock().expect("no code panics while it holds the lock")
    }
}

/// A flusher that is dropped without [`Flusher::stop`] takes its task along.
impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
    }
}

fn reached(progress: Progress, target: u64) -> bool {
    progress.broken || progress.durable >= target
}

async fn run(shared: Arc<Shared>, database: sled::Db) {
    loop {
        tokio::select! {
            () = shared.wanted.notified() => {}
            () = shared.stop.notified() => break,
        }
        let target = *shared.applied();
        if reached(*shared.durable.borrow(), target) {
            continue;
        }
        let handle = database.clone();
        let flushed = tokio::task::spawn_blocking(move || handle.flush()).await;
        let broken = match flushed {
            Ok(Ok(_)) => false,
            Ok(Err(error)) => {
                tracing::error!(%error, "flush failed, nothing is acknowledged any more");
                true
            }
            Err(_) => true,
        };
        shared.durable.send_modify(|progress| {
            progress.broken |= broken;
            if !broken {
                progress.durable = target;
            }
        });
    }
    // Closing the database writes to disk.
    let _ = tokio::task::spawn_blocking(move || drop(database)).await;
}
