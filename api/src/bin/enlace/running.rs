//! The note a serving process leaves in its data directory, so that other commands find it.
//!
//! It counts only while the directory's lock is held: a process that was killed leaves a note that means nothing.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data_dir::{self, DataDir};
use crate::failure::Failure;

const FILE: &str = "running.json";
/// Longest note that is read, in bytes.
const MAX_FILE_SIZE: usize = 16 * 1024;

/// Who holds a data directory and how to talk to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Running {
    /// Its process id.
    pub(crate) pid: u32,
    /// Where its REST interface is, without a path; absent while it does not serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rest_url: Option<String>,
    /// Where the key to it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Its backbone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backbone_url: Option<String>,
    /// Its device, which the REST interface does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device_id: Option<String>,
}

impl Running {
    /// Where its REST interface is, if that is on this machine: whatever a note says, the key to it stays here.
    pub(crate) fn local_rest_url(&self) -> Option<&str> {
        let url = self.rest_url.as_deref()?;
        let address: SocketAddr = url.strip_prefix("http://")?.parse().ok()?;
        // Only an address of our own can be bound.
        let ours = address.ip().is_loopback() || TcpListener::bind((address.ip(), 0)).is_ok();
        ours.then_some(url)
    }

    /// A process that holds the directory without serving.
    pub(crate) fn this_process() -> Self {
        Self { pid: std::process::id(), rest_url: None, api_key_file: None, backbone_url: None, device_id: None }
    }

    /// Leaves the note. The caller holds the directory.
    ///
    /// # Errors
    /// A failure that names the file.
    pub(crate) fn note(&self, dir: &DataDir) -> Result<(), Failure> {
        let text = serde_json::to_vec(self).map_err(|error| Failure::general(error.to_string()))?;
        data_dir::write_private(&dir.join(FILE), &text)
    }

    /// Reads the note; `None` if there is none or it cannot be read.
    pub(crate) fn read(dir: &DataDir) -> Option<Self> {
        let text = data_dir::read_private(&dir.join(FILE), MAX_FILE_SIZE).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Removes the note.
    pub(crate) fn forget(dir: &DataDir) {
        // Without the lock a left-over note means nothing, so a failure here harms nobody.
        let _ = fs::remove_file(dir.join(FILE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_leads_nowhere_but_to_this_machine() {
        let at = |url: &str| Running { rest_url: Some(url.to_owned()), ..Running::this_process() };
        for url in ["http://127.0.0.1:4711", "http://[::1]:4711"] {
            assert_eq!(at(url).local_rest_url(), Some(url));
        }
        for url in
            ["http://192.0.2.1:80", "http://example.org:80", "https://127.0.0.1:1", "http://127.0.0.1@192.0.2.1:80"]
        {
            assert_eq!(at(url).local_rest_url(), None, "{url}");
        }
    }
}
