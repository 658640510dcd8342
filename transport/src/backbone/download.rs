//! `GET /Files/{id}`: the raw ciphertext or a range of it, streamed and bounded.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, RANGE};

use super::http::{Request, within};
use super::{Error, Session};
use crate::wire::FileId;

/// A running download of a ciphertext. Nothing of it is verified.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    label: String,
    /// Of the first byte.
    offset: u64,
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
        Download::begin(response, request.label(), 0, limit, self.config().timeout)
    }

    /// Starts to download a ciphertext from `offset` on, at most `length` bytes of it. A backbone that knows no ranges sends
    /// everything: [`Download::offset`] says which.
    ///
    /// # Errors
    /// [`Error::UnexpectedStatus`] with 416 if there is nothing at `offset`, [`Error::AnswerTooLarge`] if the backbone
    /// announces more than `limit` bytes, [`Error::Malformed`] if it sends another range, and [`Error`] as for every call.
    pub async fn download_range(&self, id: &FileId, offset: u64, length: u64, limit: u64) -> Result<Download, Error> {
        let last = offset.saturating_add(length.saturating_sub(1));
        let request = Request::get(format!("/Files/{id}")).with_header(RANGE, format!("bytes={offset}-{last}"));
        let (response, label) = (self.streamed(&request).await?, request.label());
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        if is_part && !begins_at(&response, offset) {
            return Err(Error::Malformed { request: label, reason: "it is another range".to_owned() });
        }
        Download::begin(response, label, if is_part { offset } else { 0 }, limit, self.config().timeout)
    }
}

impl Download {
    pub(super) fn begin(
        response: reqwest::Response,
        label: String,
        offset: u64,
        limit: u64,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let download = Self { response, label, offset, received: 0, limit, timeout };
        match download.length() {
            Some(length) if length > limit => Err(download.too_large()),
            _ => Ok(download),
        }
    }

    /// Bytes of the ciphertext before the first one of this download.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of bytes of this download, if the backbone announces it.
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

/// Whether an answer says that its first byte has this offset.
pub(super) fn begins_at(response: &reqwest::Response, offset: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes "));
    range.and_then(|range| range.split_once('-')?.0.parse().ok()) == Some(offset)
}
