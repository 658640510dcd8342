//! `GET /Files/{id}`: the raw ciphertext, streamed and bounded.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};

use super::http::{Request, within};
use super::{Error, Session};
use crate::wire::FileId;

/// A running download of a ciphertext. Nothing of it is verified.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    label: String,
    received: u64,
    limit: u64,
    timeout: Duration,
}

impl Session {
    /// Starts to download a ciphertext of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::AnswerTooLarge`] if the backbone announces more, and [`Error`] as for every call.
    pub async fn download_file(&self, id: &FileId, limit: u64) -> Result<Download, Error> {
        let request = Request::get(format!("/Files/{id}"));
        let response = self.streamed(&request).await?;
        let timeout = self.config().timeout;
        let download = Download { response, label: request.label(), received: 0, limit, timeout };
        match download.length() {
            Some(length) if length > limit => Err(download.too_large()),
            _ => Ok(download),
        }
    }
}

impl Download {
    /// Length of the ciphertext in bytes, if the backbone announces it.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The next bytes; `None` at the end. Cancel-safe: no bytes are lost.
    ///
    /// # Errors
    /// [`Error::AnswerTooLarge`] beyond the limit, a time-out if nothing arrives for the time-out of a call, and network errors,
    /// also for an answer that ends early.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let Self { response, label, .. } = self;
        let next = async { response.chunk().await.map_err(|error| Error::network(error, label)) };
        let Some(chunk) = within(self.timeout, label, next).await? else { return Ok(None) };
        self.received += chunk.len() as u64;
        if self.received > self.limit { Err(self.too_large()) } else { Ok(Some(chunk)) }
    }

    /// The rest as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        stream::unfold(Some(self), |download| async {
            let mut download = download?;
            match download.chunk().await {
                Ok(None) => None,
                Ok(Some(chunk)) => Some((Ok(chunk), Some(download))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    fn too_large(&self) -> Error {
        Error::AnswerTooLarge { request: self.label.clone(), limit: self.limit, unit: "bytes" }
    }
}
