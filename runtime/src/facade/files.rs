//! Files: upload, list, share by token, load, download.

use std::pin::Pin;
use std::sync::Arc;

use tokio::io::AsyncRead;
use transport::wire::{Address, FileId, Timestamp};

use super::transfer::{Observer, Ownership, VerifiedContent};
use crate::Result;
use crate::dto::{File, PasswordProtection, Token};
use crate::runtime::Node;

/// A file on its way to the backbone.
pub struct UploadOwnFile {
    /// The plaintext; read once.
    pub content: Pin<Box<dyn AsyncRead + Send>>,
    /// Cut down to its last path segment.
    pub filename: String,
    /// Media type without parameters.
    pub mimetype: String,
    /// `9999-12-31T00:00:00.000Z` if absent; must lie in the future.
    pub expires_at: Option<Timestamp>,
    /// For people.
    pub title: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Free or controlled tags.
    pub tags: Option<Vec<String>>,
    /// Is told how far it is.
    pub observer: Option<Observer>,
}

/// A reference to a file, or to a token that holds one.
#[derive(Clone)]
pub struct LoadFile {
    /// Truncated or URL form.
    pub reference: String,
    /// For protected tokens; `""` counts as none.
    pub password: Option<String>,
}

/// How a file is to be shared.
#[derive(Debug, Clone, Default)]
pub struct CreateTokenForFile {
    /// The file's own expiry if absent; must lie in the future.
    pub expires_at: Option<Timestamp>,
    /// Whether the token is left out of the store. The REST routes default to `true`.
    pub ephemeral: bool,
    /// The only identity that may load it.
    pub for_identity: Option<Address>,
    /// What loading it takes.
    pub password_protection: Option<PasswordProtection>,
}

/// A file with its verified bytes.
#[derive(Debug)]
pub struct Download {
    /// What is known of it.
    pub file: File,
    /// Its bytes.
    pub content: VerifiedContent,
}

/// Everything a node does with files.
#[derive(Clone)]
pub struct FilesFacade {
    node: Arc<Node>,
}

impl FilesFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Seals a file, uploads it and remembers it.
    pub async fn upload_own_file(&self, request: UploadOwnFile) -> Result<File> {
        let _ = (&self.node, request);
        todo!()
    }

    /// The file with this id.
    pub async fn file(&self, id: &FileId) -> Result<File> {
        let _ = id;
        todo!()
    }

    /// Files that match all parameters, in the order in which they became known.
    pub async fn files(&self, ownership: Ownership, parameters: &[(String, String)]) -> Result<Vec<File>> {
        let _ = (ownership, parameters);
        todo!()
    }

    /// Loads a file by its reference, or by the reference of a token that holds one. A known file is not asked for again.
    pub async fn get_or_load_file(&self, request: LoadFile) -> Result<File> {
        let _ = request;
        todo!()
    }

    /// Fetches a file's bytes and verifies them before the first one is handed out.
    pub async fn download_file(&self, id: &FileId, observer: Option<Observer>) -> Result<Download> {
        let _ = (id, observer);
        todo!()
    }

    /// Creates a token by which others load the file.
    pub async fn create_token_for_file(&self, id: &FileId, request: CreateTokenForFile) -> Result<Token> {
        let _ = (id, request);
        todo!()
    }

    /// Deletes a file: at the backbone too if it is ours.
    pub async fn delete_file(&self, id: &FileId) -> Result<()> {
        let _ = id;
        todo!()
    }

    /// Replaces the ownership token and clears the lock.
    pub async fn regenerate_file_ownership_token(&self, id: &FileId) -> Result<File> {
        let _ = id;
        todo!()
    }
}
