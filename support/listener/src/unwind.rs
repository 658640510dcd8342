//! Handlers that panic: one request fails, the others go on.
//!
//! A layer over HTTP services, as `tower-http` has one, would answer before the headers that every answer carries are added.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// A handler panicked. What it said is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a handler panicked")]
pub struct Panicked;

/// Lets a handler work.
///
/// What it shares with others must bear that it stops anywhere; locks are poisoned as usual.
///
/// # Errors
/// [`Panicked`] if it panics.
pub async fn caught<F: Future>(handler: F) -> Result<F::Output, Panicked> {
    AssertUnwindSafe(handler).catch_unwind().await.map_err(|panic| {
        tracing::error!(panic = text(panic.as_ref()), "a handler panicked");
        Panicked
    })
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_wherever_it_happens() {
        assert_eq!(caught(async { 1 }).await, Ok(1));
        assert_eq!(caught(async { panic!("at once") }).await, Err::<(), _>(Panicked));
        let later = async {
            tokio::task::yield_now().await;
            panic!("number {}", 1)
        };
        assert_eq!(caught(later).await, Err::<(), _>(Panicked));
    }

    #[test]
    fn texts_of_both_kinds_are_logged() {
        let said = |panic: Box<dyn Any + Send>| text(panic.as_ref()).to_owned();
        assert_eq!(said(Box::new("fixed")), "fixed");
        assert_eq!(said(Box::new("made".to_owned())), "made");
        assert_eq!(said(Box::new(1)), "no text");
    }
}
