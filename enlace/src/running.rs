//! The note a serving process leaves in its data directory, so that other commands find it.
//!
//! It counts only while the directory's lock is held by the process that it names: a process that was killed leaves a note
//! that means nothing. A loss of power may take it, like the process that it tells of.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data_dir::{self, DataDir, HOLDERS_NOTE};
use crate::failure::Failure;

/// Longest note that is read, in bytes.
const MAX_FILE_SIZE: u64 = 16 * 1024;

/// The process that serves a data directory, and how to reach it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Running {
    /// Its process id.
    pub(crate) pid: u32,
    /// Where its REST interface is, without a path.
    pub(crate) rest_url: String,
    /// The address that it is bound to; earlier versions do not say.
    #[serde(default)]
    pub(crate) listen: Option<SocketAddr>,
    /// File with the key to it.
    pub(crate) api_key_file: PathBuf,
    /// Its backbone.
    pub(crate) backbone_url: String,
    /// Its device, which the REST interface does not tell.
    pub(crate) device_id: String,
    /// How far in the future new tokens and files may expire there, in seconds, if its backbone says so. The REST interface
    /// does not tell that either.
    #[serde(default)]
    pub(crate) max_lifetime: Option<u64>,
}

impl Running {
    /// Whether its REST interface is on this machine: whatever a note says, the key to it stays here.
    pub(crate) fn is_local(&self) -> bool {
        let address = self.rest_url.strip_prefix("http://").and_then(|rest| rest.parse::<SocketAddr>().ok());
        // Only an address of our own can be bound.
        address.is_some_and(|it| it.ip().is_loopback() || TcpListener::bind((it.ip(), 0)).is_ok())
    }

    /// `{"url", "listen", "apiKeyFile"}`, as the process itself shows it.
    pub(crate) fn json(&self) -> Value {
        json!({ "url": self.rest_url, "listen": self.listen, "apiKeyFile": self.api_key_file.to_string_lossy() })
    }

    /// Leaves the note. The caller holds the directory.
    ///
    /// # Errors
    /// A failure that names the file.
    pub(crate) fn note(&self, dir: &DataDir) -> Result<(), Failure> {
        let text = serde_json::to_vec(self).map_err(|error| Failure::general(error.to_string()))?;
        data_dir::write_private(&dir.join(HOLDERS_NOTE), &text)
    }

    /// Reads the note; `None` if there is none or it cannot be read.
    pub(crate) fn read(dir: &DataDir) -> Option<Self> {
        let text = data_dir::read_private(&dir.join(HOLDERS_NOTE), MAX_FILE_SIZE).ok()??;
        serde_json::from_str(&text).ok()
    }

    /// Removes the note.
    pub(crate) fn forget(dir: &DataDir) {
        dir.forget_holder();
    }

    /// A note for tests.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        Self {
            pid: std::process::id(),
            rest_url: "http://127.0.0.1:4711".to_owned(),
            listen: None,
            api_key_file: "api-key".into(),
            backbone_url: "http://localhost:4710".to_owned(),
            device_id: "DVC".to_owned(),
            max_lifetime: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_leads_nowhere_but_to_this_machine() {
        let at = |url: &str| Running { rest_url: url.to_owned(), ..Running::example() };
        for url in ["http://127.0.0.1:4711", "http://[::1]:4711"] {
            assert!(at(url).is_local(), "{url}");
        }
        for url in
            ["http://192.0.2.1:80", "http://example.org:80", "https://127.0.0.1:1", "http://127.0.0.1@192.0.2.1:80", ""]
        {
            assert!(!at(url).is_local(), "{url}");
        }
    }
}
