//! What a node keeps of the contents of files.

use std::sync::Arc;

use transport::wire::FileId;

use super::Node;
use crate::content_store::{ContentUsage, KnownContent};
use crate::file;
use crate::{Error, Result};

/// The content store of a node: chunks of files of format `v2`, which are read from it instead of from the backbone. Nothing is
/// lost without it; see [`Config::content_store`](crate::Config::content_store).
#[derive(Clone)]
pub struct ContentStoreFacade {
    node: Arc<Node>,
}

impl ContentStoreFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// How much it has, after everything that waits was written.
    pub async fn usage(&self) -> ContentUsage {
        self.node.core.content_store.usage().await
    }

    /// Keeps what is stored of a file, now or later, from making room for others. Nothing is fetched by that.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if the file is not known here, [`Error::NotSupported`] for files of format `v1` and if the store is
    /// off, [`Error::InvalidPropertyValue`] if all pinned files together would be larger than the store.
    pub async fn pin_file(&self, id: &FileId) -> Result<()> {
        let content = self.content(id)?;
        self.node.core.content_store.pin(content).await
    }

    /// Ends that.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if the file is not known here, [`Error::NotSupported`] for files of format `v1`.
    pub async fn unpin_file(&self, id: &FileId) -> Result<()> {
        let content = self.content(id)?;
        self.node.core.content_store.unpin(&content.root).await;
        Ok(())
    }

    fn content(&self, id: &FileId) -> Result<KnownContent> {
        let record = file::stored(&self.node.core.store.view(), id)?.ok_or(Error::RecordNotFound("File"))?;
        let content = record.known_content(id);
        content.ok_or_else(|| Error::NotSupported("A file of format v1 is not kept in the content store.".to_owned()))
    }
}
