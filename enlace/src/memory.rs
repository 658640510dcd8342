//! What a data directory remembers between starts: its backbone and its ports.
//!
//! References carry the backbone's address, so an embedded backbone has to come back at the same port.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data_dir::{self, DataDir};
use crate::failure::Failure;
use crate::listen_address::PeerPorts;

/// Its name in a data directory; written after a start that succeeded, never before the store is on disk.
pub(crate) const FILE: &str = "start.json";
/// Longest file that is read, in bytes.
const MAX_FILE_SIZE: u64 = 64 * 1024;

/// Remembered facts; all absent before the first start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Memory {
    /// Port of the embedded backbone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backbone_port: Option<u16>,
    /// Port of the REST interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rest_port: Option<u16>,
    /// The backbone of the identity, if it is not the embedded one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backbone_url: Option<String>,
    /// Ports where peers connect: references and tokens carry them.
    #[serde(skip_serializing_if = "PeerPorts::is_empty")]
    pub(crate) peer_ports: PeerPorts,
}

impl Memory {
    /// Whether the embedded backbone is that of the identity.
    pub(crate) fn lives_at_embedded_backbone(&self) -> bool {
        self.backbone_url.is_none() && self.backbone_port.is_some()
    }

    /// What the directory remembers.
    ///
    /// # Errors
    /// A failure that names the file if it is there and cannot be read.
    pub(crate) fn recall(dir: &DataDir) -> Result<Self, Failure> {
        let path = dir.join(FILE);
        let Some(text) = data_dir::read_private(&path, MAX_FILE_SIZE)? else { return Ok(Self::default()) };
        parse(&path, &text)
    }

    /// Remembers.
    ///
    /// # Errors
    /// A failure that names the file.
    pub(crate) fn keep(&self, dir: &DataDir) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| Failure::general(error.to_string()))?;
        data_dir::write_private(&dir.join(FILE), &text)
    }
}

/// Reads the content of a file of this form.
///
/// # Errors
/// A failure that names the file.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Memory, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::local(format!("{} is damaged: {error}", path.display()))
            .hint("restore it from a backup; it records the backbone of the identity and the ports")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_recalled_and_nothing_is_nothing() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path().to_owned()).unwrap();
        assert_eq!(Memory::recall(&dir).unwrap(), Memory::default());
        let memory = Memory {
            backbone_port: Some(4710),
            peer_ports: PeerPorts::from([("ip4/tcp".to_owned(), 4712)]),
            ..Memory::default()
        };
        memory.keep(&dir).unwrap();
        assert_eq!(Memory::recall(&dir).unwrap(), memory);
        std::fs::write(dir.join(FILE), "{").unwrap();
        assert!(Memory::recall(&dir).unwrap_err().message.contains("is damaged"));
    }
}
