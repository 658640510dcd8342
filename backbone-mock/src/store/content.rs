//! Opaque bytes that belong to a record: small ones inside it, large ones in a blob file.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use transport::wire::ByteText;

use super::{PublishedBlob, Store, Transaction};
use crate::error::StoreError;

/// Larger contents are stored in a blob, because records are not made for large values.
const INLINE_BYTES: usize = 16 * 1024;

/// The location of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Content {
    /// In the record.
    Inline(#[serde(with = "super::packed")] ByteText),
    /// In a blob.
    Blob {
        /// Name of the blob.
        name: String,
        /// Bytes.
        size: u64,
    },
}

impl Content {
    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.0.len() as u64,
            Self::Blob { size, .. } => *size,
        }
    }
}

/// A stored content that no record names yet.
pub(crate) struct NewContent {
    content: Content,
    blob: Option<PublishedBlob>,
}

impl NewContent {
    /// Transfers the content to a transaction.
    pub(crate) fn attach(self, transaction: &mut Transaction<'_>) -> Result<Content, StoreError> {
        if let Some(blob) = self.blob {
            transaction.take_blob(blob)?;
        }
        Ok(self.content)
    }
}

impl Store {
    /// Stores bytes, for a record that is written afterwards.
    pub(crate) async fn keep(&self, bytes: ByteText) -> Result<NewContent, StoreError> {
        if bytes.0.len() <= INLINE_BYTES {
            return Ok(NewContent { content: Content::Inline(bytes), blob: None });
        }
        let mut writer = self.new_blob().await?;
        writer.write(bytes.0.into()).await?;
        let (blob, written) = writer.publish().await?;
        let content = Content::Blob { name: blob.name().to_owned(), size: written.size };
        Ok(NewContent { content, blob: Some(blob) })
    }

    /// Reads a content.
    pub(crate) async fn load(&self, content: &Content) -> Result<ByteText, StoreError> {
        match content {
            Content::Inline(bytes) => Ok(bytes.clone()),
            Content::Blob { name, .. } => {
                let blob = self
                    .read_blob(name)
                    .await?
                    .ok_or_else(|| StoreError::Damaged("the blob of a record is missing".into()))?;
                let mut bytes = Vec::with_capacity(usize::try_from(blob.size()).map_err(io::Error::other)?);
                blob.into_bytes().read_to_end(&mut bytes).await?;
                Ok(ByteText(bytes))
            }
        }
    }
}
