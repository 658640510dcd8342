//! Previews: what its sender tells of a file before its upload has ended, so that others may follow the upload.

use serde::{Deserialize, Serialize};
use transport::wire::backbone::previews::{CreatedPreview, FilePreview, NewPreview, PreviewState};
use transport::wire::{ByteText, FileId, Timestamp, UploadId};

use super::{Account, Caller, PreviewMark, Refusal, Role, UploadRecord, UploadRefusal, key, own};
use crate::core::Core;
use crate::domain::files::{self, FileRecord};
use crate::store::{Key, Table, Transaction, packed};

/// Beside the record of the upload, which is written with every acknowledgement.
const PREVIEWS: Table<PreviewRecord> = Table::new("preview");

/// A preview as it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct PreviewRecord {
    created_at: Timestamp,
    #[serde(with = "packed")]
    encrypted_properties: ByteText,
}

/// What others see of a file.
pub(super) enum Shown {
    Growing(Box<UploadRecord>),
    Complete(Box<FileRecord>),
}

/// Shows an unfinished upload of the caller to everybody who may read files, or changes what is shown of it.
///
/// # Errors
/// [`UploadRefusal::NotPreviewable`], and as for every new file if its properties or its expiry are not taken.
pub(crate) async fn show(
    core: &Core,
    caller: &Caller,
    id: &UploadId,
    new: NewPreview,
) -> Result<CreatedPreview, Refusal> {
    let now = core.now();
    files::check_properties(&new.encrypted_properties)?;
    let account = Account::of(core, &caller.address).await?;
    let expires_at = files::checked_expiry(&account, new.expires_at, now)?;
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await?;
    let mut upload = own(core, caller, transaction.get(&key(id)).await?)?;
    if upload.role != Role::Whole {
        return Err(UploadRefusal::NotPreviewable.into());
    }
    let created_at = transaction.get(&preview_key(id)).await?.map_or(now, |before| before.created_at);
    let before = upload.cost();
    upload.preview = Some(PreviewMark { bytes: new.encrypted_properties.0.len() as u64, expires_at });
    account.charge(&mut transaction, &upload.cost().together(&before.undone()))?;
    let preview = PreviewRecord { created_at, encrypted_properties: new.encrypted_properties };
    transaction.put(&preview_key(id), &preview)?;
    transaction.put(&key(id), &upload)?;
    transaction.commit().await?;
    Ok(CreatedPreview { id: id.file_id(), expires_at })
}

/// What everybody who is logged in may know of a file whose upload is shown or has ended.
pub(crate) async fn read(core: &Core, id: &FileId) -> Result<FilePreview, Refusal> {
    match shown(core, id).await? {
        Shown::Growing(upload) => {
            match core.store.get(&preview_key(&upload.id)).await? {
                Some(preview) => Ok(growing(*upload, preview)),
                // It has ended meanwhile.
                None => Ok(complete(files::read(core, id).await?)),
            }
        }
        Shown::Complete(file) => Ok(complete(*file)),
    }
}

/// What is shown of a file.
///
/// # Errors
/// [`Refusal::NotFound`] if there is neither such a file nor such an upload, or the upload is not shown.
pub(super) async fn shown(core: &Core, id: &FileId) -> Result<Shown, Refusal> {
    // The upload first: it becomes a file in one commit, so one of the two is found.
    let upload = core.store.get(&key(&UploadId::of_file(id))).await?;
    if let Some(upload) = upload.filter(|upload| upload.is_shown_at(core.now())) {
        return Ok(Shown::Growing(Box::new(upload)));
    }
    Ok(Shown::Complete(Box::new(files::read(core, id).await?)))
}

/// Removes what is shown, with the upload.
pub(super) fn remove(transaction: &mut Transaction<'_>, upload: &UploadRecord) {
    if upload.preview.is_some() {
        transaction.delete(&preview_key(&upload.id));
    }
}

fn growing(upload: UploadRecord, preview: PreviewRecord) -> FilePreview {
    FilePreview {
        id: upload.id.file_id(),
        state: PreviewState::Growing,
        created_at: preview.created_at,
        offset: upload.offset(),
        expires_at: upload.preview.map_or(upload.expires_at, |preview| preview.expires_at),
        length: upload.length,
        owner: upload.owner,
        encrypted_properties: preview.encrypted_properties,
    }
}

fn complete(file: FileRecord) -> FilePreview {
    FilePreview {
        id: file.id,
        state: PreviewState::Complete,
        owner: file.owner,
        created_at: file.created_at,
        expires_at: file.expires_at,
        offset: file.cipher_size,
        length: Some(file.cipher_size),
        encrypted_properties: file.encrypted_properties,
    }
}

fn preview_key(id: &UploadId) -> Key<PreviewRecord> {
    PREVIEWS.key().text(id)
}
