//! Giving a render up between two of its steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::PreviewError;

/// Whether anybody still waits for a render.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

/// Stops the render when it is dropped.
pub(crate) struct StopOnDrop(Stop);

impl Stop {
    pub(crate) fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }

    /// # Errors
    /// [`PreviewError::Cancelled`] if nobody waits.
    pub(crate) fn check(&self) -> Result<(), PreviewError> {
        if self.0.load(Ordering::Relaxed) { Err(PreviewError::Cancelled) } else { Ok(()) }
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}
