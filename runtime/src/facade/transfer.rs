//! What several facades' requests and answers share.

use std::pin::Pin;
use std::sync::Arc;

use tokio::io::AsyncRead;

/// Which records a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ownership {
    /// Own and peers'.
    #[default]
    Any,
    /// Own only.
    Own,
    /// Peers' only.
    Peer,
}

/// Parameters of a list in the connectors' filter language, decoded, in the order they were given.
pub type Parameters = Vec<(String, String)>;

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

/// Plaintext whose hashes and authentication tag have all been checked. Reading decrypts it once more on the fly.
pub struct VerifiedContent {
    reader: Pin<Box<dyn AsyncRead + Send + Sync>>,
    length: u64,
}

impl VerifiedContent {
    pub(crate) fn new(reader: impl AsyncRead + Send + Sync + 'static, length: u64) -> Self {
        Self { reader: Box::pin(reader), length }
    }

    /// Plaintext bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The plaintext as a reader.
    #[must_use]
    pub fn into_reader(self) -> Pin<Box<dyn AsyncRead + Send + Sync>> {
        self.reader
    }
}

impl std::fmt::Debug for VerifiedContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifiedContent({} bytes)", self.length)
    }
}
