//! `POST /Files`: one ciphertext as a multipart body with a known length, streamed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};

use super::bounds::AnswerBounds;
use super::envelope;
use super::http::{accepted, read_body, within};
use super::{Error, SecretText, Session};
use crate::wire::backbone::files::{CreatedFile, part};
use crate::wire::{Address, ByteText, Timestamp};

const LABEL: &str = "POST /api/v2/Files";
/// Number of bytes read from a file and sent at a time.
const CHUNK: usize = 256 * 1024;

/// A new file, without its content.
#[derive(Debug, Clone)]
pub struct UploadFile {
    /// SHA-512 of the ciphertext.
    pub cipher_hash: ByteText,
    /// The uploader.
    pub owner: Address,
    /// Signature over the plaintext hash, as the UTF-8 bytes of its JSON text.
    pub owner_signature: ByteText,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The sealed metadata, as the UTF-8 bytes of its JSON text.
    pub encrypted_properties: ByteText,
}

/// A ciphertext. It must be readable more than once, because it is sent again if the access token is refused.
#[derive(Debug)]
pub enum UploadContent {
    /// In memory.
    Memory(Bytes),
    /// In a file, from its start, this many bytes.
    File(std::fs::File, u64),
}

/// Called with the number of ciphertext bytes sent so far. Called often, so it must be cheap.
pub type UploadObserver = Arc<dyn Fn(u64) + Send + Sync>;

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
                let mut rest = bytes.clone();
                let chunks = std::iter::from_fn(move || {
                    let length = rest.len().min(CHUNK);
                    (length > 0).then(|| Ok(rest.split_to(length)))
                });
                stream::iter(chunks).left_stream()
            }
            Self::File(file, length) => {
                let rest = Rest { file: Arc::new(file.try_clone()?), from: 0, to: *length };
                stream::try_unfold(rest, Rest::next).right_stream()
            }
        })
    }
}

/// The rest of a file. Reads at explicit offsets: clones of a file handle share one cursor, and a cancelled attempt may still
/// move it.
struct Rest {
    file: Arc<std::fs::File>,
    from: u64,
    to: u64,
}

impl Rest {
    async fn next(mut self) -> std::io::Result<Option<(Bytes, Self)>> {
        let length = self.to.saturating_sub(self.from).min(CHUNK as u64);
        if length == 0 {
            return Ok(None);
        }
        let (file, from) = (self.file.clone(), self.from);
        let reading = tokio::task::spawn_blocking(move || read_at(&file, from, length));
        let chunk = reading.await.map_err(std::io::Error::other)??;
        self.from += chunk.len() as u64;
        Ok(Some((chunk, self)))
    }
}

/// Reads exactly that many bytes.
fn read_at(file: &std::fs::File, mut from: u64, length: u64) -> std::io::Result<Bytes> {
    #[cfg(unix)]
    use std::os::unix::fs::FileExt;
    #[cfg(windows)]
    use std::os::windows::fs::FileExt;
    let mut chunk = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
    let mut rest = chunk.as_mut_slice();
    while !rest.is_empty() {
        #[cfg(unix)]
        let read = file.read_at(rest, from);
        #[cfg(windows)]
        let read = file.seek_read(rest, from);
        match read {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                from += read as u64;
                rest = &mut rest[read..];
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(chunk.into())
}

impl Session {
    /// Uploads a ciphertext.
    ///
    /// If the future is dropped, the backbone may still store the file, under an id that nobody knows.
    ///
    /// # Errors
    /// [`Error::UnreadableContent`] if the content cannot be read, and [`Error`] as for every call.
    pub async fn upload_file(
        &self,
        file: &UploadFile,
        content: &UploadContent,
        observer: Option<UploadObserver>,
    ) -> Result<CreatedFile, Error> {
        let observer = &observer;
        self.authenticated(|token| async move { self.upload_once(file, content, observer.clone(), &token).await }).await
    }

    async fn upload_once(
        &self,
        file: &UploadFile,
        content: &UploadContent,
        observer: Option<UploadObserver>,
        token: &SecretText,
    ) -> Result<CreatedFile, Error> {
        let form = form(file, content, observer).map_err(|error| Error::UnreadableContent(Arc::new(error)))?;
        let http = self.http();
        within(http.transfer_timeout(content.length()), LABEL, async {
            let request =
                http.builder(Method::POST, http.api_url("/Files")).bearer_auth(token.expose()).multipart(form);
            let response = request.send().await.map_err(|error| Error::network(error, LABEL))?;
            let bounds = AnswerBounds::RECORD;
            let body = read_body(accepted(response, LABEL).await?, bounds.bytes, LABEL).await?;
            Ok(envelope::read(&body.bytes, bounds, LABEL)?.value)
        })
        .await
    }
}

/// The parts in the order of the official client. All lengths are known, so the body has a `Content-Length`.
fn form(file: &UploadFile, content: &UploadContent, observer: Option<UploadObserver>) -> std::io::Result<Form> {
    let sent = AtomicU64::new(0);
    let chunks = content.stream()?.inspect(move |chunk| {
        if let (Some(observer), Ok(chunk)) = (&observer, chunk) {
            let length = chunk.len() as u64;
            observer(sent.fetch_add(length, Ordering::Relaxed) + length);
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn concurrent_attempts_do_not_share_a_file_position() {
        let bytes: Vec<u8> = (0..5 * CHUNK + 7).map(|place| u8::try_from(place / CHUNK).unwrap()).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let content = UploadContent::File(file, bytes.len() as u64);
        let mut given_up = Box::pin(content.stream().unwrap());
        let mut second = Box::pin(content.stream().unwrap());
        let mut sent = Vec::new();
        while let Some(chunk) = second.next().await {
            sent.extend_from_slice(&chunk.unwrap());
            given_up.next().await;
        }
        assert!(sent == bytes);
    }

    #[tokio::test]
    async fn a_truncated_file_is_an_error() {
        let content = UploadContent::File(tempfile::tempfile().unwrap(), 1);
        let error = Box::pin(content.stream().unwrap()).next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    }
}
