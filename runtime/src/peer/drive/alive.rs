//! Notices that a connection is gone although nobody says so: a cable is pulled, an address has changed, a relay was killed.
//!
//! An owner may be slow, and has all the time that its protocol gives it as long as its connection answers.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;
use transport::peer::PeerError;

use super::Ended;

/// After how much silence the connection is checked.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

/// What streams are on.
pub(crate) trait Line: Send + Sync {
    /// Whether the peer answers on it, within a bounded time. If it does not, no stream is opened on it any more.
    fn answers(&self) -> impl Future<Output = bool> + Send;
}

impl Line for swarm::Connection {
    async fn answers(&self) -> bool {
        self.check().await
    }
}

/// The connection does not answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dead;

impl From<Dead> for PeerError {
    fn from(_: Dead) -> Self {
        Self::Cut
    }
}

/// Nothing was heard on the stream that counts, so the same is tried on another connection.
impl From<Dead> for Ended {
    fn from(dead: Dead) -> Self {
        Self { error: dead.into(), was_heard: false }
    }
}

/// Waits for what comes over a line, as long as the line answers. Cancel-safe if `awaited` is.
///
/// # Errors
/// [`Dead`], within [`SILENCE`] and the time of a check.
pub(crate) async fn while_alive<T>(line: &impl Line, awaited: impl Future<Output = T>) -> Result<T, Dead> {
    let mut awaited = pin!(awaited);
    loop {
        if let Ok(outcome) = timeout(SILENCE, awaited.as_mut()).await {
            return Ok(outcome);
        }
        tokio::select! {
            biased;
            outcome = awaited.as_mut() => return Ok(outcome),
            answers = line.answers() => if !answers { return Err(Dead) },
        }
    }
}
