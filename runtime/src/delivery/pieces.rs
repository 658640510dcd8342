//! Uploads to the backbone that go on after a broken connection.

use bytes::{Buf as _, Bytes};
use tracing::{debug, info};
use transport::backbone::{self, BackboneFailure, NewUpload, Session, UploadFile, UploadObserver};
use transport::wire::UploadId;
use transport::wire::backbone::envelope::QUOTA_EXHAUSTED;
use transport::wire::backbone::files::CreatedFile;
use transport::wire::backbone::previews::NewPreview;
use transport::wire::backbone::uploads::{CHECKSUM_MISMATCH, FinishUpload, code};

use super::{Failure, Outgoing, ResumedUpload, Retries, UploadState};
use crate::Error;

/// An upload that the backbone has not made a file of. Unless it can be continued it is removed there when dropped, as far as the
/// backbone can be reached; else it expires.
struct Running {
    session: Session,
    id: UploadId,
    /// Bytes that the backbone has acknowledged.
    offset: u64,
    /// Bytes of the pieces before the next one.
    position: u64,
    /// Whether nothing is removed when this is dropped: it is finished, or can be continued.
    stays: bool,
}

/// Sends all pieces and makes a file of them. While a piece is on its way, the next one is made.
pub(super) async fn upload<O: Outgoing>(
    session: &Session,
    content: &mut O,
    resumed: Option<ResumedUpload>,
    observer: Option<UploadObserver>,
) -> Result<(UploadFile, CreatedFile), Failure> {
    let mut running = resumed.map(|resumed| Running::resumed(session, resumed));
    let outcome = send_all(session, content, &mut running, observer).await;
    if let (Some(running), Err(failure)) = (&mut running, &outcome) {
        running.stays &= super::may_pass(failure.error());
    }
    outcome
}

async fn send_all<O: Outgoing>(
    session: &Session,
    content: &mut O,
    running: &mut Option<Running>,
    observer: Option<UploadObserver>,
) -> Result<(UploadFile, CreatedFile), Failure> {
    let preview = content.preview().map_err(Failure::Failed)?;
    // Those who are shown the upload do not wait for its first piece.
    let mut next = match preview {
        Some(_) => Some(Bytes::new()),
        None => content.piece().await.map_err(Failure::Failed)?,
    };
    let running = match running {
        Some(resumed) => resumed,
        None => running.insert(Running::begin(session, content).await?),
    };
    if let Some(preview) = preview {
        running.show(content, &preview).await;
    }
    while let Some(piece) = next {
        let made = async { content.piece().await.map_err(Failure::Failed) };
        ((), next) = tokio::try_join!(running.append(piece, observer.as_ref()), made)?;
    }
    let file = content.describe().map_err(Failure::Failed)?;
    let created = running.finish(content, &file).await?;
    Ok((file, created))
}

/// What has become of an upload.
pub(super) async fn state(session: &Session, id: &UploadId) -> Result<UploadState, backbone::Error> {
    match retried(|| session.upload_state(id)).await {
        Ok(state) => return Ok(UploadState::Unfinished { acknowledged: state.offset }),
        Err(error) if is_unknown(&error) => {}
        Err(error) => return Err(error),
    }
    let file = id.file_id();
    match retried(|| session.file_metadata(&file)).await {
        Ok(found) => Ok(UploadState::Finished(Box::new(found))),
        Err(error) if is_unknown(&error) => Ok(UploadState::Gone),
        Err(error) => Err(error),
    }
}

/// Removes an upload; if the backbone does not do it now, it expires there.
pub(super) async fn remove(session: &Session, id: &UploadId) {
    if let Err(error) = session.terminate_upload(id).await {
        debug!(%error, "an unfinished upload remains at the backbone until it expires");
    }
}

/// Whether the backbone does not have the record. Answers without a body have no code.
fn is_unknown(error: &backbone::Error) -> bool {
    error.failure() == BackboneFailure::NotFound
}

impl Running {
    async fn begin<O: Outgoing>(session: &Session, content: &mut O) -> Result<Self, Failure> {
        let new = NewUpload { length: None, is_partial: false };
        let id = retried(|| session.create_upload(new)).await?;
        let mut this = Self { session: session.clone(), id, offset: 0, position: 0, stays: false };
        this.stays = content.begun(&this.id).await.map_err(Failure::Failed)?;
        Ok(this)
    }

    fn resumed(session: &Session, resumed: ResumedUpload) -> Self {
        let ResumedUpload { id, acknowledged } = resumed;
        Self { session: session.clone(), id, offset: acknowledged, position: 0, stays: true }
    }

    /// Shows the upload to others. It goes on without that where the backbone cannot do it.
    async fn show<O: Outgoing>(&self, content: &mut O, preview: &NewPreview) {
        match retried(|| self.session.preview_upload(&self.id, preview)).await {
            Ok(shown) if shown.id == self.id.file_id() => content.shown(shown),
            Ok(_) => info!("the backbone shows another file than the one that is uploaded"),
            Err(error) => info!(%error, "the upload is not shown before it ends"),
        }
    }

    /// Appends what the backbone does not have of a piece, from wherever it has it after a failure.
    async fn append(&mut self, mut piece: Bytes, observer: Option<&UploadObserver>) -> Result<(), Failure> {
        let mut retries = Retries::default();
        let end = self.position + piece.len() as u64;
        let known = self.offset.saturating_sub(self.position).min(piece.len() as u64);
        piece.advance(usize::try_from(known).unwrap_or(usize::MAX));
        self.position = end;
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

    async fn finish<O: Outgoing>(&mut self, content: &mut O, file: &UploadFile) -> Result<CreatedFile, Failure> {
        let (session, id, length) = (&self.session, &self.id, self.offset);
        let request = FinishUpload {
            cipher_hash: Some(file.cipher_hash.clone()),
            owner_signature: Some(file.owner_signature.clone()),
            encrypted_properties: Some(file.encrypted_properties.clone()),
            expires_at: Some(file.expires_at),
        };
        let finished = async {
            retried(|| session.set_upload_length(id, length)).await?;
            retried(|| session.finish_upload(id, &request)).await
        };
        let created = match finished.await {
            // The answer to an attempt, or to one of an earlier run, may have been lost.
            Err(error) if error.is_record_not_found() => self.find(content, file).await?.ok_or(error)?,
            outcome => outcome?,
        };
        self.stays = true;
        Ok(created)
    }

    /// The file that the upload has become already.
    async fn find<O: Outgoing>(&self, content: &mut O, file: &UploadFile) -> Result<Option<CreatedFile>, Failure> {
        let (session, id) = (&self.session, self.id.file_id());
        let found = match retried(|| session.file_metadata(&id)).await {
            Err(error) if error.is_record_not_found() => return Ok(None),
            outcome => outcome?,
        };
        let is_described = found.encrypted_properties == file.encrypted_properties || content.is_described_by(&found);
        if found.id != id || found.cipher_hash != file.cipher_hash || !is_described {
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
        if self.stays {
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

/// Whether the upload may succeed if it is continued later: also what needs somebody to act, as long as it is not the upload itself
/// that is refused. One that exceeds the quota is removed, because it takes a part of it.
pub(super) fn may_pass(error: &backbone::Error) -> bool {
    let is_quota = matches!(error, backbone::Error::Api { code, .. } if code == QUOTA_EXHAUSTED);
    is_passing(error)
        || !is_quota
            && !matches!(
                error.failure(),
                BackboneFailure::Forbidden
                    | BackboneFailure::Refused
                    | BackboneFailure::NotFound
                    | BackboneFailure::Conflict
                    | BackboneFailure::TooLarge
            )
}

fn misplaced(acknowledged: u64, reached: u64) -> Failure {
    Failure::Failed(Error::Unknown(format!(
        "the backbone had acknowledged {acknowledged} bytes of the upload and now says {reached}; upload the file anew"
    )))
}
