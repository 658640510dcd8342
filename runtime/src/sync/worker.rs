//! The task that synchronizes, and the handle to it.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug_span, warn};

use super::{plan, run};
use crate::core::Core;
use crate::{Error, Result};

/// Requests that are queued for the task; further callers wait for a place in the queue.
const QUEUE: usize = 64;

/// How long a push waits for further changes, so that a burst of changes becomes one push.
const PUSH_DELAY: Duration = Duration::from_millis(50);

/// Asks the background task to synchronize. Dropping it stops the task without waiting.
pub(crate) struct Synchronizer {
    requests: mpsc::Sender<Request>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Request {
    work: Work,
    done: oneshot::Sender<Result<()>>,
}

/// In ascending order; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Push,
    Datawallet,
    Everything,
}

impl Synchronizer {
    /// Starts the task, which begins with a synchronization of the datawallet.
    pub(crate) fn start(core: Arc<Core>) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let worker = Worker { core, queue, stop: stop.clone() };
        let task = tokio::spawn(worker.work().instrument(debug_span!("sync")));
        Self { requests, stop, task: Mutex::new(Some(task)) }
    }

    /// Without a task, for nodes that do not synchronize.
    #[cfg(test)]
    pub(crate) fn idle() -> Self {
        let (requests, _) = mpsc::channel(1);
        Self { requests, stop: CancellationToken::new(), task: Mutex::new(None) }
    }

    /// Synchronizes the datawallet. Callers that wait at the same time share one synchronization.
    pub(crate) async fn datawallet(&self) -> Result<()> {
        self.request(Work::Datawallet).await
    }

    /// Handles external events and synchronizes the datawallet. Callers that wait at the same time share one run.
    pub(crate) async fn everything(&self) -> Result<()> {
        self.request(Work::Everything).await
    }

    /// Stops the task at its next await and waits for its end. The next start completes what was interrupted. Idempotent.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            warn!(%error, "the synchronization task failed");
        }
    }

    async fn request(&self, work: Work) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.requests.send(Request { work, done }).await.map_err(|_| Error::Stopped)?;
        outcome.await.unwrap_or_else(|_| Err(Error::Stopped))
    }
}

impl Drop for Synchronizer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Worker {
    core: Arc<Core>,
    queue: mpsc::Receiver<Request>,
    stop: CancellationToken,
}

/// When the task does something that no caller waits for.
struct Schedule {
    /// The next attempt: the first one, a retry, or a delayed push.
    at: Option<Instant>,
    /// What is attempted then.
    work: Work,
    failures: u32,
}

impl Worker {
    async fn work(mut self) {
        let mut schedule = Schedule { at: Some(Instant::now()), work: Work::Datawallet, failures: 0 };
        loop {
            let Some((work, waiting)) = self.next(&mut schedule).await else { return };
            let stop = self.stop.clone();
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                outcome = self.perform(work) => outcome,
            };
            schedule.note(work, &outcome);
            for done in waiting {
                // The caller may have been cancelled.
                let _ = done.send(outcome.clone());
            }
        }
    }

    /// Waits for work; none when the task has to end. Every branch is cancel-safe.
    async fn next(&mut self, schedule: &mut Schedule) -> Option<(Work, Vec<oneshot::Sender<Result<()>>>)> {
        loop {
            let due = async {
                match schedule.at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A stop takes precedence, then requests, which include what is scheduled.
                biased;
                () = self.stop.cancelled() => return None,
                request = self.queue.recv() => return Some(self.collect(request?)),
                () = due => return Some((schedule.work, Vec::new())),
                () = self.core.peers.hinted() => return Some((Work::Everything, Vec::new())),
                // While an attempt is scheduled, changes wait for it in the journal.
                () = self.core.unpushed.notified(), if schedule.at.is_none() => schedule.schedule_push(),
            }
        }
    }

    /// Combines all queued requests into one piece of work.
    fn collect(&mut self, first: Request) -> (Work, Vec<oneshot::Sender<Result<()>>>) {
        let (mut work, mut waiting) = (first.work, vec![first.done]);
        while let Ok(request) = self.queue.try_recv() {
            work = work.max(request.work);
            waiting.push(request.done);
        }
        (work, waiting)
    }

    fn perform(&self, work: Work) -> impl Future<Output = Result<()>> + Send {
        let core = &*self.core;
        async move {
            match work {
                Work::Push => run::push(core).await,
                Work::Datawallet => run::datawallet(core).await,
                Work::Everything => run::everything(core).await,
            }
        }
    }
}

impl Schedule {
    fn schedule_push(&mut self) {
        (self.at, self.work) = (Some(Instant::now() + PUSH_DELAY), Work::Push);
    }

    fn note(&mut self, work: Work, outcome: &Result<()>) {
        match outcome {
            Ok(()) => (self.at, self.failures) = (None, 0),
            Err(error) => {
                let delay = plan::background_delay(self.failures);
                warn!(?work, %error, code = error.code(), ?delay, "synchronization failed and will be tried again");
                // Not the same work again: whether a failed push was accepted is only known after a pull.
                (self.at, self.work) = (Some(Instant::now() + delay), Work::Datawallet);
                self.failures = self.failures.saturating_add(1);
            }
        }
    }
}
