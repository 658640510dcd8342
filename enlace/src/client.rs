//! The OAuth client as which a node logs in at its backbone.

use std::path::Path;

use runtime::Secret;
use zeroize::Zeroizing;

use crate::data_dir::{self, DataDir};
use crate::failure::Failure;
use crate::{api_key, passwords};

/// Public client of embedded backbones: whoever can reach one on loopback may create an identity and load what it was
/// given a reference to. It opens nothing else, so its secret is none.
pub(crate) const GUEST_ID: &str = "enlace-guest";
/// See [`GUEST_ID`].
pub(crate) const GUEST_SECRET: &str = "enlace-guest";

/// Client of the node that owns an embedded backbone.
const OWNER_ID: &str = "enlace-node";
const SECRET_LENGTH: usize = 40;
/// Its name in a data directory; written after a start that succeeded, never before the store is on disk.
pub(crate) const FILE: &str = "backbone-client";
/// Longest client file that is read, in bytes.
const MAX_FILE_SIZE: u64 = 4096;

/// Id and secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its identifier.
    pub(crate) id: String,
    /// Its secret.
    pub(crate) secret: Secret,
}

impl Client {
    /// The public client.
    pub(crate) fn guest() -> Self {
        Self { id: GUEST_ID.to_owned(), secret: Secret::new(GUEST_SECRET) }
    }

    /// A client of our own for an embedded backbone.
    ///
    /// # Errors
    /// A failure if there is no randomness.
    pub(crate) fn generate() -> Result<Self, Failure> {
        Ok(Self { id: OWNER_ID.to_owned(), secret: Secret::new(api_key::random_text(SECRET_LENGTH)?) })
    }

    /// Reads `ID:SECRET`. `place` says where it was found.
    ///
    /// # Errors
    /// A failure that does not repeat the text.
    pub(crate) fn parse(text: &str, place: &str) -> Result<Self, Failure> {
        match text.split_once(':') {
            Some((id, secret)) if !id.is_empty() && !secret.is_empty() => {
                Ok(Self { id: id.to_owned(), secret: Secret::new(secret) })
            }
            _ => Err(Failure::usage(format!("the OAuth client {place} must have the form ID:SECRET"))),
        }
    }

    /// Reads the first line of a file.
    ///
    /// # Errors
    /// A failure that names the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(passwords::read(path)?.expose(), &format!("in {}", path.display()))
    }

    /// The client of the last start.
    ///
    /// # Errors
    /// A failure that names the file if it is there and cannot be read.
    pub(crate) fn recall(dir: &DataDir) -> Result<Option<Self>, Failure> {
        let path = dir.join(FILE);
        let text = data_dir::read_private(&path, MAX_FILE_SIZE)?;
        text.map(|text| Self::parse(text.trim(), &format!("in {}", path.display()))).transpose()
    }

    /// Keeps the client for the next start, in a file with mode 0600.
    ///
    /// # Errors
    /// A failure that names the file.
    pub(crate) fn keep(&self, dir: &DataDir) -> Result<(), Failure> {
        if Self::recall(dir)?.as_ref() == Some(self) {
            return Ok(());
        }
        let line = Zeroizing::new(format!("{}:{}\n", self.id, self.secret.expose()));
        data_dir::write_private(&dir.join(FILE), line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_and_secret_are_split_at_the_first_colon() {
        let client = Client::parse("id:se:cret", "here").unwrap();
        assert_eq!((client.id.as_str(), client.secret.expose()), ("id", "se:cret"));
        for text in ["", "id", "id:", ":secret"] {
            let message = Client::parse(text, "in c.txt").unwrap_err().message;
            assert!(!message.contains("cret") && message.contains("in c.txt"), "{message}");
        }
    }

    #[test]
    fn what_was_kept_is_recalled() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path().to_owned()).unwrap();
        assert_eq!(Client::recall(&dir).unwrap(), None);
        let client = Client::generate().unwrap();
        client.keep(&dir).unwrap();
        assert_eq!(Client::recall(&dir).unwrap(), Some(client));
    }
}
