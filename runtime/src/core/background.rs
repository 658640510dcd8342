//! Work that goes on when whoever began it has gone.

use std::future::Future;
use std::panic;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Tasks of a node. They end at their next await when the node stops or is dropped; the next start completes what was interrupted.
#[derive(Default)]
pub(crate) struct Background {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Background {
    /// Runs work to its end, also if the answer is not awaited. None if the node stops before.
    ///
    /// # Panics
    /// If the work does.
    pub(crate) fn run<T, W>(&self, work: W) -> impl Future<Output = Option<T>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let (stop, work) = (self.stop.clone(), in_scope(Box::pin(work.in_current_span())));
        let task = self.tasks.spawn(async move { stop.run_until_cancelled(work).await });
        async move {
            match task.await {
                Ok(outcome) => outcome,
                Err(error) => error.try_into_panic().map_or(None, |payload| panic::resume_unwind(payload)),
            }
        }
    }

    /// Waits until no work is left.
    #[cfg(test)]
    pub(crate) async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    /// Lets the work end that is there, within some time, and ends the rest. Idempotent.
    pub(crate) async fn finish(&self, within: Duration) {
        self.tasks.close();
        // The rest is ended, whatever it is.
        let _ = tokio::time::timeout(within, self.tasks.wait()).await;
        self.stop().await;
    }

    /// Ends all work and waits for that. Idempotent.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(not(test))]
fn in_scope<F: Future>(work: F) -> F {
    work
}

/// The scope of a test holds for what it begins, too.
#[cfg(test)]
fn in_scope<F: Future>(work: F) -> impl Future<Output = F::Output> {
    use crate::delivery::memory::Holder;
    let holder = Holder::current();
    async move {
        match holder {
            Some(holder) => holder.scope(work).await,
            None => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_goes_on_without_its_caller_and_ends_with_the_node() {
        let background = Background::default();
        let (begin, begun) = oneshot::channel::<()>();
        let (done, outcome) = oneshot::channel();
        drop(background.run(async move {
            begun.await.unwrap();
            done.send(7).unwrap();
        }));
        begin.send(()).unwrap();
        assert_eq!(outcome.await, Ok(7));
        let endless = background.run(std::future::pending::<()>());
        background.stop().await;
        assert_eq!(endless.await, None);
        assert_eq!(background.run(async {}).await, None);
    }
}
