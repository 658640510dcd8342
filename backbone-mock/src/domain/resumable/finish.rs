//! Making a file of an upload.

use transport::wire::UploadId;
use transport::wire::backbone::files::CreatedFile;

use super::commit::check_unchanged;
use super::{Role, UploadRefusal, key, open, own, remove_record};
use crate::core::Core;
use crate::domain::files::{self, Sealed};
use crate::domain::{Caller, Refusal};
use crate::store::Written;
use transport::wire::{ByteText, Timestamp};

/// What its creator says of the file.
pub(crate) struct Described {
    /// Compared with that of the bytes, if it is given.
    pub(crate) cipher_hash: Option<ByteText>,
    pub(crate) owner_signature: ByteText,
    pub(crate) encrypted_properties: ByteText,
    pub(crate) expires_at: Timestamp,
}

/// Makes a file of a complete upload: in one commit the file is there and the upload is gone.
///
/// # Errors
/// [`UploadRefusal::Incomplete`], [`UploadRefusal::IsPartial`], [`UploadRefusal::HashMismatch`], and those of every new file.
/// Then the upload is as it was.
pub(crate) async fn finish(
    core: &Core,
    caller: Caller,
    id: &UploadId,
    described: Described,
) -> Result<CreatedFile, Refusal> {
    // Nobody appends to the blob while it becomes that of a file, nor afterwards.
    let (mut appender, upload) = open(core, &caller, id).await?;
    if upload.role == Role::Partial {
        return Err(UploadRefusal::IsPartial.into());
    }
    if !upload.is_complete() {
        return Err(UploadRefusal::Incomplete { offset: upload.offset(), length: upload.length }.into());
    }
    if upload.offset() == 0 {
        return Err(Refusal::invalid("content", "must have at least 1 byte"));
    }
    let progress = upload.acknowledged.progress(core, &upload.blob).await?;
    // Fails if bytes are missing.
    appender.resume(progress.clone()).await?;
    let Written { size, sha512 } = progress.written();
    if described.cipher_hash.is_some_and(|hash| hash.0 != sha512) {
        return Err(UploadRefusal::HashMismatch.into());
    }
    let sealed = Sealed {
        cipher_hash: ByteText(sha512),
        owner_signature: described.owner_signature,
        encrypted_properties: described.encrypted_properties,
        expires_at: described.expires_at,
    };
    let file = files::prepare(core, caller.clone(), id.file_id(), (&upload.blob, size), sealed).await?;
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str(), id.file_id().as_str()]).await?;
    // It may have been deleted meanwhile.
    let current = own(core, &caller, transaction.get(&key(id)).await?)?;
    check_unchanged(&upload, &current)?;
    let upload = current;
    remove_record(&mut transaction, &upload);
    file.put(&mut transaction, &upload.cost())?;
    transaction.commit().await?;
    Ok(file.into_answer())
}
