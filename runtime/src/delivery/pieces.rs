//! Uploads to the backbone that go on after a broken connection.

use bytes::{Buf as _, Bytes};
use tracing::{debug, info};
use transport::backbone::{self, NewUpload, Session, UploadFile, UploadObserver};
use transport::wire::UploadId;
use transport::wire::backbone::envelope::QUOTA_EXHAUSTED;
use transport::wire::backbone::files::CreatedFile;
use transport::wire::backbone::previews::NewPreview;
use transport::wire::backbone::uploads::{CHECKSUM_MISMATCH, FinishUpload, code};

use super::{Failure, Outgoing, Retries};
use crate::Error;

/// An upload that the backbone has not made a file of. Removed there when dropped, as far as the backbone can be reached; else it
/// expires.
struct Running {
    session: Session,
    id: UploadId,
    /// Bytes that the backbone has acknowledged.
    offset: u64,
    is_finished: bool,
}

/// Sends all pieces and makes a file of them. While a piece is on its way, the next one is made.
pub(super) async fn upload<O: Outgoing>(
    session: &Session,
    content: &mut O,
    observer: Option<UploadObserver>,
) -> Result<(UploadFile, CreatedFile), Failure> {
    let preview = content.preview().map_err(Failure::Failed)?;
    // Those who are shown the upload do not wait for its first piece.
    let mut next = match preview {
        Some(_) => Some(Bytes::new()),
        None => content.piece().await.map_err(Failure::Failed)?,
    };
    let new = NewUpload { length: None, is_partial: false };
    let id = retried(|| session.create_upload(new)).await?;
    let mut running = Running { session: session.clone(), id, offset: 0, is_finished: false };
    if let Some(preview) = preview {
        running.show(content, &preview).await;
    }
    while let Some(piece) = next {
        let made = async { content.piece().await.map_err(Failure::Failed) };
        ((), next) = tokio::try_join!(running.append(piece, observer.as_ref()), made)?;
    }
    let file = content.describe().map_err(Failure::Failed)?;
    let created = running.finish(&file).await?;
    Ok((file, created))
}

impl Running {
    /// Shows the upload to others. It goes on without that where the backbone cannot do it.
    async fn show<O: Outgoing>(&self, content: &mut O, preview: &NewPreview) {
        match retried(|| self.session.preview_upload(&self.id, preview)).await {
            Ok(shown) if shown.id == self.id.file_id() => content.shown(shown),
            Ok(_) => info!("the backbone shows another file than the one that is uploaded"),
            Err(error) => info!(%error, "the upload is not shown before it ends"),
        }
    }

    /// Appends a piece, from wherever the backbone has it after a failure.
    async fn append(&mut self, mut piece: Bytes, observer: Option<&UploadObserver>) -> Result<(), Failure> {
        let mut retries = Retries::default();
        while !piece.is_empty() {
            let reached = match self.send(&piece, observer).await {
                Ok(reached) => reached,
                Err(error) => {
                    wait(&mut retries, error).await?;
                    let session = &self.session;
                    retried(|| session.upload_state(&self.id)).await?.offset
                }
            };
            let taken = reached.checked_sub(self.offset).and_then(|taken| usize::try_from(taken).ok());
            let taken = taken.filter(|taken| *taken <= piece.len()).ok_or_else(|| misplaced(self.offset, reached))?;
            if taken > 0 {
                retries.reset();
            }
            piece.advance(taken);
            self.offset = reached;
        }
        Ok(())
    }

    async fn send(&self, piece: &Bytes, observer: Option<&UploadObserver>) -> Result<u64, backbone::Error> {
        let before = self.offset;
        let observer = observer
            .cloned()
            .map(|observer| -> UploadObserver { std::sync::Arc::new(move |sent| observer(before + sent)) });
        let reached = self.session.append_to_upload(&self.id, before, piece, observer).await?;
        if reached > before {
            return Ok(reached);
        }
        let reason = "the upload did not grow".to_owned();
        Err(backbone::Error::Malformed { request: "PATCH".to_owned(), reason })
    }

    async fn finish(&mut self, file: &UploadFile) -> Result<CreatedFile, Failure> {
        let (session, id) = (&self.session, &self.id);
        retried(|| session.set_upload_length(id, self.offset)).await?;
        let request = FinishUpload {
            cipher_hash: Some(file.cipher_hash.clone()),
            owner_signature: Some(file.owner_signature.clone()),
            encrypted_properties: Some(file.encrypted_properties.clone()),
            expires_at: Some(file.expires_at),
        };
        let created = match retried(|| session.finish_upload(id, &request)).await {
            // The answer to an attempt may have been lost.
            Err(error) if error.is_record_not_found() => self.find(file).await?.ok_or(error)?,
            outcome => outcome?,
        };
        self.is_finished = true;
        Ok(created)
    }

    /// The file that the upload has become already.
    async fn find(&self, file: &UploadFile) -> Result<Option<CreatedFile>, Failure> {
        let (session, id) = (&self.session, self.id.file_id());
        let found = match retried(|| session.file_metadata(&id)).await {
            Err(error) if error.is_record_not_found() => return Ok(None),
            outcome => outcome?,
        };
        if found.id != id || found.cipher_hash != file.cipher_hash {
            return Ok(None);
        }
        let ownership_token = retried(|| session.regenerate_ownership_token(&id)).await?.new_ownership_token;
        Ok(Some(CreatedFile {
            id: found.id,
            created_at: found.created_at,
            created_by: found.created_by,
            created_by_device: found.created_by_device,
            modified_at: found.modified_at,
            modified_by: found.modified_by,
            deleted_at: found.deleted_at,
            deleted_by: found.deleted_by,
            owner: found.owner,
            owner_signature: found.owner_signature,
            ownership_token,
            cipher_size: found.cipher_size,
            cipher_hash: found.cipher_hash,
            expires_at: found.expires_at,
        }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_finished {
            return;
        }
        let (session, id) = (self.session.clone(), self.id.clone());
        runtime.spawn(async move {
            // A request that was given up may still hold the upload.
            if let Err(error) = retried(|| session.terminate_upload(&id)).await {
                debug!(%error, "an unfinished upload remains at the backbone until it expires");
            }
        });
    }
}

/// Waits before the next attempt, unless this error ends them.
async fn wait(retries: &mut Retries, error: backbone::Error) -> Result<(), backbone::Error> {
    if !is_passing(&error) || !retries.wait().await {
        return Err(error);
    }
    info!(%error, "an upload is continued");
    Ok(())
}

/// Makes a call that may be made again.
async fn retried<T, F>(mut call: impl FnMut() -> F) -> Result<T, backbone::Error>
where
    F: Future<Output = Result<T, backbone::Error>>,
{
    let mut retries = Retries::default();
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => wait(&mut retries, error).await?,
        }
    }
}

/// Whether another attempt may succeed.
fn is_passing(error: &backbone::Error) -> bool {
    match error {
        backbone::Error::Api { status, code, .. } => {
            [code::OFFSET_CONFLICT, code::LOCKED, code::CHECKSUM_MISMATCH].contains(&code.as_str())
                || (matches!(*status, 408 | 429 | 502..=504 | CHECKSUM_MISMATCH) && code != QUOTA_EXHAUSTED)
        }
        backbone::Error::UnexpectedStatus { status: 408, .. } => true,
        other => other.is_transient(),
    }
}

fn misplaced(acknowledged: u64, reached: u64) -> Failure {
    Failure::Failed(Error::Unknown(format!(
        "the backbone had acknowledged {acknowledged} bytes of the upload and now says {reached}; upload the file anew"
    )))
}
