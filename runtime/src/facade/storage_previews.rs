//! Previews of files in buckets.

use bytes::Bytes;
use preview::{Answer, Icon, Output, Parameters, Pool};
use tokio::io::AsyncReadExt as _;
use tracing::instrument;

use super::storage::{BucketContent, StorageFacade, not_read};
use crate::file::of_reader;
use crate::storage::{Caller, StorageResult};

/// A preview that somebody may get, before it is rendered.
#[derive(Debug, Clone)]
pub struct WantedPreview {
    content: BucketContent,
    /// With an output format.
    parameters: Parameters,
}

impl WantedPreview {
    /// The preview of a content that was opened for one ([`ContentUse::Preview`](crate::storage::ContentUse::Preview)). Without an output
    /// format in `parameters` the name of the file decides, or its type ([`Output::for_file`]).
    #[must_use]
    pub fn new(content: BucketContent, parameters: Parameters) -> Self {
        let parameters = parameters.for_file(&content.file.name, &content.file.mime_type);
        Self { content, parameters }
    }

    /// The content that it is made of.
    #[must_use]
    pub fn content(&self) -> &BucketContent {
        &self.content
    }

    /// An entity tag with its quotes, known without rendering. It is weak, since another version of this program may write the same picture in
    /// other bytes.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("W/{}-{}\"", self.content.etag.trim_end_matches('"'), self.parameters.canonical())
    }

    /// The media type of the preview.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        self.parameters.output().unwrap_or(Output::Jpeg).media_type()
    }
}

impl StorageFacade {
    /// Renders a preview, or finds it among those that are kept. These are kept by the hash of the content and by the parameters, so another
    /// content under the same id has another preview; who may get one is decided before, by [`content`](Self::content).
    ///
    /// A file that is not an image, or is one of more than 20 MB, has an icon as its preview. Renders are limited: by size
    /// ([`preview::limits`]), and in number, time and memory ([`preview::pool`]). The bytes of the answer count in that memory until the last part of
    /// them is dropped. Callers without a key leave a place to render, places to wait and memory to
    /// those with one, who wait for none of them.
    ///
    /// # Errors
    /// [`StorageError::Preview`](crate::storage::StorageError::Preview) for an image that cannot be decoded or is too large, for a preview
    /// that would be, and if all places or the memory for results are taken or time is over; otherwise as [`read`](Self::read).
    #[instrument(skip_all)]
    pub async fn preview(&self, caller: Caller, wanted: &WantedPreview) -> StorageResult<Answer> {
        let WantedPreview { content, parameters, .. } = wanted;
        let pool = self.pool(caller);
        let answer = match Icon::instead_of(&content.file.mime_type, content.length(), pool.limits()) {
            Some(icon) => pool.icon(icon, parameters).await,
            None => {
                let (storage, content) = (self.clone(), content.clone());
                let hash = content.hash;
                pool.image(hash, parameters, move || async move { storage.whole(&content).await }).await
            }
        };
        Ok(answer?)
    }

    fn pool(&self, caller: Caller) -> Pool {
        let pool = &self.node.core.previews;
        if caller.is_key() { pool.clone() } else { pool.for_strangers() }
    }

    /// All bytes of a content, which is not larger than what previews are made of.
    async fn whole(&self, content: &BucketContent) -> StorageResult<Bytes> {
        let mut bytes = Vec::with_capacity(usize::try_from(content.length()).unwrap_or_default());
        let read = self.read(content, None).await?.into_reader().read_to_end(&mut bytes).await;
        read.map_err(|error| not_read(of_reader(error)))?;
        Ok(bytes.into())
    }
}
