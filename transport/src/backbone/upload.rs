//! `POST /Files`: one ciphertext as a multipart body with a known length, streamed.

use std::io::{Seek as _, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use tokio_util::io::ReaderStream;

use super::envelope::{self, MAX_JSON_ANSWER};
use super::http::{accepted, read_body, within};
use super::{Error, SecretText, Session};
use crate::wire::backbone::files::{CreatedFile, part};
use crate::wire::{Address, ByteText, Timestamp};

const LABEL: &str = "POST /api/v2/Files";
/// What is read from a file and handed to the connection at a time.
const CHUNK: usize = 256 * 1024;

/// Everything about a new file but its content.
#[derive(Debug, Clone)]
pub struct UploadFile {
    /// SHA-512 of the ciphertext.
    pub cipher_hash: ByteText,
    /// The uploader.
    pub owner: Address,
    /// Signature over the plaintext hash, as the UTF-8 bytes of its JSON text.
    pub owner_signature: ByteText,
    /// Until when it can be read.
    pub expires_at: Timestamp,
    /// The sealed metadata, as the UTF-8 bytes of its JSON text.
    pub encrypted_properties: ByteText,
}

/// A ciphertext. It can be read more than once, because a refused access token means sending it again.
#[derive(Debug)]
pub enum UploadContent {
    /// In memory.
    Memory(Bytes),
    /// In a file, from its start, this many bytes.
    File(std::fs::File, u64),
}

/// Is told how many bytes of the ciphertext are on their way. Called often: it must be cheap.
pub type UploadProgress = Arc<dyn Fn(u64) + Send + Sync>;

impl UploadContent {
    fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    fn stream(&self) -> std::io::Result<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static> {
        Ok(match self {
            Self::Memory(bytes) => {
                let bytes = bytes.clone();
                let chunks = (0..bytes.len().div_ceil(CHUNK)).map(move |number| {
                    let start = number * CHUNK;
                    Ok(bytes.slice(start..bytes.len().min(start + CHUNK)))
                });
                stream::iter(chunks).left_stream()
            }
            Self::File(file, length) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                let reader = tokio::io::AsyncReadExt::take(tokio::fs::File::from_std(file), *length);
                ReaderStream::with_capacity(reader, CHUNK).right_stream()
            }
        })
    }
}

impl Session {
    /// Uploads a ciphertext.
    ///
    /// Cancelling (dropping the future) leaves at most a file that nobody knows the id of.
    ///
    /// # Errors
    /// [`Error::Content`] if the content cannot be read, and [`Error`] as for every call.
    pub async fn upload_file(
        &self,
        file: &UploadFile,
        content: &UploadContent,
        progress: Option<UploadProgress>,
    ) -> Result<CreatedFile, Error> {
        let progress = &progress;
        self.authenticated(|token| async move { self.upload_once(file, content, progress.clone(), &token).await }).await
    }

    async fn upload_once(
        &self,
        file: &UploadFile,
        content: &UploadContent,
        progress: Option<UploadProgress>,
        token: &SecretText,
    ) -> Result<CreatedFile, Error> {
        let form = form(file, content, progress).map_err(|error| Error::Content(Arc::new(error)))?;
        let http = self.http();
        within(http.transfer_timeout(content.length()), LABEL, async {
            let request =
                http.builder(Method::POST, http.api_url("/Files")).bearer_auth(token.expose()).multipart(form);
            let response = request.send().await.map_err(|error| Error::network(error, LABEL))?;
            let body = read_body(accepted(response, LABEL).await?, MAX_JSON_ANSWER, LABEL).await?;
            Ok(envelope::read(&body, LABEL)?.value)
        })
        .await
    }
}

/// The parts in the order of the official client. All lengths are known, so the body has a `Content-Length`.
fn form(file: &UploadFile, content: &UploadContent, progress: Option<UploadProgress>) -> std::io::Result<Form> {
    let sent = AtomicU64::new(0);
    let chunks = content.stream()?.inspect(move |chunk| {
        if let (Some(progress), Ok(chunk)) = (&progress, chunk) {
            let length = chunk.len() as u64;
            progress(sent.fetch_add(length, Ordering::Relaxed) + length);
        }
    });
    let content = Part::stream_with_length(Body::wrap_stream(chunks), content.length())
        .file_name("cipher.bin")
        .mime_str("application/octet-stream")
        .map_err(std::io::Error::other)?;
    Ok(Form::new()
        .part(part::CONTENT, content)
        .text(part::CIPHER_HASH, file.cipher_hash.to_string())
        .text(part::OWNER, file.owner.to_string())
        .text(part::OWNER_SIGNATURE, file.owner_signature.to_string())
        .text(part::EXPIRES_AT, file.expires_at.to_string())
        .text(part::ENCRYPTED_PROPERTIES, file.encrypted_properties.to_string()))
}
