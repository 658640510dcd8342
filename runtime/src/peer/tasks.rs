//! The tasks of a network.

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tasks that end with their network at the latest.
#[derive(Clone)]
pub(super) struct Tasks {
    stop: CancellationToken,
    tracker: TaskTracker,
    executor: Handle,
}

impl Tasks {
    /// None yet; they will run where this is called. `stop` ends them.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { stop, tracker: TaskTracker::new(), executor: Handle::current() }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        let until_stop = async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        };
        self.tracker.spawn_on(until_stop, &self.executor);
    }

    /// Has all of them end.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until all of them have ended.
    pub(super) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
