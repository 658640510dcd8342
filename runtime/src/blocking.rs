//! Work that keeps a processor or the disk busy, away from the threads that serve everybody else.

/// Runs `work` where blocking is allowed. A panic in it continues in the caller.
///
/// Dropping the future does not stop the work.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the async runtime is going down, and the caller with it.
            Err(_) => std::future::pending().await,
        },
    }
}
