//! Runs work that blocks or computes for long on other threads than those of the async runtime.

use tokio::task::JoinHandle;

/// Runs `work` where blocking is allowed. A panic in it continues in the caller.
///
/// Dropping the future does not stop the work.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(&mut tokio::task::spawn_blocking(work)).await
}

/// Waits for work that was started. A panic in it continues in the caller.
///
/// Cancel-safe: the result stays with the task.
pub(crate) async fn joined<T>(task: &mut JoinHandle<T>) -> T {
    match task.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the async runtime is shutting down, and the caller with it.
            Err(_) => std::future::pending().await,
        },
    }
}
