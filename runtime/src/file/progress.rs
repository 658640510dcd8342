//! How far a transfer is.

use std::sync::Arc;

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Bytes done in this phase.
    pub bytes: u64,
    /// Bytes to do in this phase, if known.
    pub total: Option<u64>,
}

/// A step of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Plaintext is read, hashed and sealed.
    Sealing,
    /// Ciphertext goes to the backbone.
    Uploading,
    /// Ciphertext comes from the backbone.
    Downloading,
    /// Hashes and the authentication tag are checked.
    Verifying,
}

/// Is told how far a transfer is. Called often: it must be cheap and must not block.
pub type Observer = Arc<dyn Fn(Progress) + Send + Sync>;
