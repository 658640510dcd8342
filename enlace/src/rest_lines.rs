//! Answers of a running node that go on: lines of JSON, which come when there is something to tell.

use reqwest::Response;
use serde::de::DeserializeOwned;

use crate::code::Kind;
use crate::failure::Failure;
use crate::rest_client::unreachable_node;

/// Longest line in bytes.
const MAX_LINE: usize = 1024 * 1024;

/// An open answer. What the node does for it ends when this is dropped.
pub(crate) struct Lines {
    response: Response,
    /// What has arrived of the next line.
    begun: Vec<u8>,
}

impl Lines {
    /// Of an answer that has begun.
    pub(crate) fn of(response: Response) -> Self {
        Self { response, begun: Vec::new() }
    }

    /// Waits for the next line. Cancel-safe.
    ///
    /// # Errors
    /// [`Kind::Network`] if the answer ends without one, or with one that this program does not know.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.begun.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|_| unknown());
            }
            if self.begun.len() > MAX_LINE {
                return Err(unknown());
            }
            match self.response.chunk().await.map_err(unreachable_node)? {
                Some(bytes) => self.begun.extend_from_slice(&bytes),
                None => return Err(Failure::new(Kind::Network, "the running node has ended")),
            }
        }
    }
}

fn unknown() -> Failure {
    Failure::new(Kind::Network, "the running node answers with something unknown")
        .hint("use the same version of enlace as the running process")
}
