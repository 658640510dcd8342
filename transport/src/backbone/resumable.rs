//! `/api/enlace/v1/Uploads`: uploads that go on after an interruption, in the tus protocol.
//!
//! [`Session::upload_support`] asks whether the backbone can do this. Then [`create_upload`](Session::create_upload),
//! [`append_to_upload`](Session::append_to_upload) for each piece, and [`finish_upload`](Session::finish_upload). After any
//! failure, [`upload_state`](Session::upload_state) says how many bytes the backbone has; they survive its crash.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::bounds::AnswerBounds;
use super::envelope;
use super::http::{accepted, read_body, within};
use super::{Error, SecretText, Session, UploadObserver};
use crate::wire::UploadId;
use crate::wire::backbone::files::CreatedFile;
use crate::wire::backbone::previews;
use crate::wire::backbone::uploads::{self, FinishUpload, header};
use crate::wire::bytes::to_base64;

/// Pieces in which bytes in memory are handed to the network, so that progress can be told.
const PIECE: usize = 256 * 1024;

/// What a backbone offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadSupport {
    /// Bytes of the largest file, if the backbone says so.
    pub max_size: Option<u64>,
    /// Whether partial uploads can be put together.
    pub has_parts: bool,
    /// Whether the length may be told late.
    pub has_deferred_length: bool,
    /// How the bytes of a request can be checked.
    pub checksum: Option<ChecksumAlgorithm>,
    /// Whether others can follow an upload.
    pub has_preview: bool,
}

/// How the bytes of a request are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ChecksumAlgorithm {
    /// BLAKE3, which is several times as fast.
    Blake3,
    /// SHA-256.
    #[default]
    Sha256,
}

impl ChecksumAlgorithm {
    /// The fastest comes first.
    const NAMES: [(&'static str, Self); 2] = [("blake3", Self::Blake3), ("sha256", Self::Sha256)];

    /// The value of the header for these bytes.
    fn of(self, bytes: &[u8]) -> String {
        match self {
            Self::Blake3 => format!("blake3 {}", to_base64(blake3::hash(bytes).as_bytes())),
            Self::Sha256 => format!("sha256 {}", to_base64(&Sha256::digest(bytes))),
        }
    }
}

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadState {
    /// Bytes that the backbone has and keeps. The next ones belong behind them.
    pub offset: u64,
    /// Bytes of the whole upload, once it knows.
    pub length: Option<u64>,
}

/// A new upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewUpload {
    /// Bytes of the whole upload, if they are known.
    pub length: Option<u64>,
    /// Whether it becomes a part of another upload.
    pub is_partial: bool,
}

impl Session {
    /// What the backbone offers; `None` if it has no such uploads. Needs no login.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn upload_support(&self) -> Result<Option<UploadSupport>, Error> {
        let label = label(&Method::OPTIONS, uploads::PATH);
        let http = self.http();
        let response = within(http.config().timeout, &label, async {
            let request = http.builder(Method::OPTIONS, http.root_url(uploads::PATH));
            request.send().await.map_err(|error| Error::network(error, &label))
        })
        .await?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            _ => {
                let support = UploadSupport::read(accepted(response, &label).await?.headers());
                if let Some(checksum) = support.and_then(|support| support.checksum) {
                    self.checksum().get_or_init(|| checksum);
                }
                Ok(support)
            }
        }
    }

    /// Creates an upload.
    ///
    /// # Errors
    /// [`Error`]; with the codes of [`uploads::code`] for a file that is too large or too many uploads.
    pub async fn create_upload(&self, new: NewUpload) -> Result<UploadId, Error> {
        let call = Call::new(Method::POST, uploads::PATH.to_owned());
        let response = self
            .call(&call, |request| {
                let request = match new.length {
                    Some(length) => request.header(header::UPLOAD_LENGTH, length),
                    None => request.header(header::UPLOAD_DEFER_LENGTH, 1),
                };
                if new.is_partial { request.header(header::UPLOAD_CONCAT, "partial") } else { request }
            })
            .await?;
        call.location(&response)
    }

    /// Puts complete partial uploads together, in this order. May be called again if the answer was lost. `length` is that of
    /// the whole, which the backbone copies before it answers.
    ///
    /// # Errors
    /// [`Error`]; [`uploads::code::LOCKED`] while the backbone copies for another call.
    pub async fn concatenate_uploads(&self, parts: &[UploadId], length: u64) -> Result<UploadId, Error> {
        let timeout = self.http().transfer_timeout(length);
        let call = Call { timeout: Some(timeout), ..Call::new(Method::POST, uploads::PATH.to_owned()) };
        let mut concat = "final;".to_owned();
        for part in parts {
            let _ = write!(concat, "{}/{part} ", uploads::PATH);
        }
        let response = self.call(&call, |request| request.header(header::UPLOAD_CONCAT, concat.trim_end())).await?;
        call.location(&response)
    }

    /// How far an upload is.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it has expired, was finished or never was.
    pub async fn upload_state(&self, id: &UploadId) -> Result<UploadState, Error> {
        let call = Call::new(Method::HEAD, path(id));
        let response = self.call(&call, |request| request).await?;
        let length = number(response.headers(), header::UPLOAD_LENGTH);
        Ok(UploadState { offset: call.offset(&response)?, length })
    }

    /// Appends bytes behind `offset`, with their checksum: they arrive as they are, or not at all. Returns the new offset. The
    /// checksum is the fastest that [`upload_support`](Self::upload_support) has named, else SHA-256.
    ///
    /// Dropping the future leaves it open whether they arrived.
    ///
    /// # Errors
    /// [`Error`]; with the codes of [`uploads::code`] if the offset is another one, somebody else appends, or the bytes were
    /// damaged on the way.
    pub async fn append_to_upload(
        &self,
        id: &UploadId,
        offset: u64,
        bytes: &Bytes,
        progress: Option<UploadObserver>,
    ) -> Result<u64, Error> {
        let length = bytes.len() as u64;
        let timeout = self.http().transfer_timeout(length);
        let call = Call { timeout: Some(timeout), ..Call::new(Method::PATCH, path(id)) };
        let (hashed, algorithm) = (bytes.clone(), self.checksum().get().copied().unwrap_or_default());
        // Elsewhere, so that whoever makes the next bytes at the same time is not held up.
        let hashing = tokio::task::spawn_blocking(move || algorithm.of(&hashed));
        let checksum = hashing.await.unwrap_or_else(|_| algorithm.of(bytes));
        let response = self
            .call(&call, |request| {
                let told = Told { progress: progress.clone(), sent: 0 };
                append(request, offset)
                    .header(header::UPLOAD_CHECKSUM, &checksum)
                    .header(CONTENT_LENGTH, length)
                    .body(Body::wrap_stream(told.around(in_pieces(bytes.clone()))))
            })
            .await?;
        call.offset(&response)
    }

    /// Appends a stream of `length` bytes behind `offset`. What arrived before a failure is kept: ask
    /// [`upload_state`](Self::upload_state). Returns the new offset.
    ///
    /// The bytes can be sent only once, so a login that the backbone refuses is an error here; the next call logs in again.
    ///
    /// # Errors
    /// As [`append_to_upload`](Self::append_to_upload), and a network error if the stream ends with an error.
    pub async fn append_stream_to_upload<S>(
        &self,
        id: &UploadId,
        offset: u64,
        length: u64,
        content: S,
        progress: Option<UploadObserver>,
    ) -> Result<u64, Error>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let timeout = self.http().transfer_timeout(length);
        let call = Call { timeout: Some(timeout), ..Call::new(Method::PATCH, path(id)) };
        let body = Body::wrap_stream(Told { progress, sent: 0 }.around(content));
        let token = self.access_token().await?;
        let prepare = |request| append(request, offset).header(CONTENT_LENGTH, length).body(body);
        match self.send(&call, &token, prepare).await {
            Ok(response) => call.offset(&response),
            Err(error) => {
                if matches!(error, Error::Unauthorized { .. }) {
                    self.forget_access_token(&token);
                }
                Err(error)
            }
        }
    }

    /// Tells the length of an upload that was created without one.
    ///
    /// # Errors
    /// [`Error`]; [`uploads::code::OFFSET_CONFLICT`] if the upload has not so many bytes.
    pub async fn set_upload_length(&self, id: &UploadId, length: u64) -> Result<(), Error> {
        let call = Call::new(Method::PATCH, path(id));
        let prepare = |request: RequestBuilder| append(request, length).header(header::UPLOAD_LENGTH, length);
        self.call(&call, prepare).await.map(drop)
    }

    /// Makes a file of a complete upload. If the answer is lost, look for the file with [`UploadId::file_id`].
    ///
    /// # Errors
    /// [`Error`]; [`uploads::code::HASH_MISMATCH`] if the bytes do not have the hash.
    pub async fn finish_upload(&self, id: &UploadId, file: &FinishUpload) -> Result<CreatedFile, Error> {
        let call = Call::new(Method::POST, format!("{}{}", path(id), uploads::FILE));
        let response = self.call(&call, |request| request.json(file)).await?;
        let bounds = AnswerBounds::RECORD;
        let body = within(self.http().config().timeout, &call.label, read_body(response, bounds.bytes, &call.label));
        Ok(envelope::read(&body.await?.bytes, bounds, &call.label)?.value)
    }

    /// Removes an upload with its bytes.
    ///
    /// # Errors
    /// [`Error::is_record_not_found`] if it is gone already.
    pub async fn terminate_upload(&self, id: &UploadId) -> Result<(), Error> {
        self.call(&Call::new(Method::DELETE, path(id)), |request| request).await.map(drop)
    }

    /// Makes a call; logs in again once if the backbone refuses the token.
    async fn call(&self, call: &Call, prepare: impl Fn(RequestBuilder) -> RequestBuilder) -> Result<Response, Error> {
        let prepare = &prepare;
        self.authenticated(|token| async move { self.send(call, &token, prepare).await }).await
    }

    async fn send(
        &self,
        call: &Call,
        token: &SecretText,
        prepare: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Error> {
        let http = self.http();
        within(call.timeout.unwrap_or(http.config().timeout), &call.label, async {
            let request = http.builder(call.method.clone(), http.root_url(&call.path));
            let request = request.bearer_auth(token.expose()).header(header::TUS_RESUMABLE, uploads::VERSION);
            let response = prepare(request).send().await.map_err(|error| Error::network(error, &call.label))?;
            accepted(response, &call.label).await
        })
        .await
    }
}

/// What all calls for uploads have.
struct Call {
    method: Method,
    path: String,
    label: String,
    /// Instead of that of the configuration.
    timeout: Option<Duration>,
}

impl Call {
    fn new(method: Method, path: String) -> Self {
        let label = label(&method, &path);
        Self { method, path, label, timeout: None }
    }

    fn offset(&self, response: &Response) -> Result<u64, Error> {
        number(response.headers(), header::UPLOAD_OFFSET).ok_or_else(|| self.malformed("an offset"))
    }

    /// The upload at the end of the URL that the answer names.
    fn location(&self, response: &Response) -> Result<UploadId, Error> {
        let url = text(response.headers(), LOCATION.as_str());
        let id = url.and_then(|url| url.rsplit('/').next()?.parse().ok());
        id.ok_or_else(|| self.malformed("the URL of an upload"))
    }

    fn malformed(&self, missing: &str) -> Error {
        Error::Malformed { request: self.label.clone(), reason: format!("a header with {missing} is missing") }
    }
}

impl UploadSupport {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let list = |name| text(headers, name).unwrap_or_default().split(',').map(str::trim);
        let has = |wanted: &str| list(header::TUS_EXTENSION).any(|extension| extension == wanted);
        if !list(header::TUS_VERSION).any(|version| version == uploads::VERSION) || !has("creation") {
            return None;
        }
        Some(Self {
            max_size: number(headers, header::TUS_MAX_SIZE),
            has_parts: has("concatenation"),
            has_deferred_length: has("creation-defer-length"),
            checksum: ChecksumAlgorithm::NAMES
                .into_iter()
                .find(|(name, _)| has("checksum") && list(header::TUS_CHECKSUM_ALGORITHM).any(|it| it == *name))
                .map(|(_, algorithm)| algorithm),
            has_preview: list(header::ENLACE_EXTENSION).any(|name| name == previews::EXTENSION),
        })
    }
}

/// Tells how much was sent.
struct Told {
    progress: Option<UploadObserver>,
    sent: u64,
}

impl Told {
    fn around<S>(mut self, pieces: S) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        pieces.inspect(move |piece| {
            if let (Some(progress), Ok(piece)) = (&self.progress, piece) {
                self.sent += piece.len() as u64;
                progress(self.sent);
            }
        })
    }
}

fn in_pieces(mut bytes: Bytes) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let pieces = std::iter::from_fn(move || {
        let length = bytes.len().min(PIECE);
        (length > 0).then(|| Ok(bytes.split_to(length)))
    });
    futures_util::stream::iter(pieces)
}

fn append(request: RequestBuilder, offset: u64) -> RequestBuilder {
    request.header(header::UPLOAD_OFFSET, offset).header(CONTENT_TYPE, uploads::CONTENT_TYPE)
}

fn path(id: &UploadId) -> String {
    format!("{}/{id}", uploads::PATH)
}

fn label(method: &Method, path: &str) -> String {
    format!("{method} {path}")
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn number<N: FromStr>(headers: &HeaderMap, name: &str) -> Option<N> {
    text(headers, name)?.parse().ok()
}
