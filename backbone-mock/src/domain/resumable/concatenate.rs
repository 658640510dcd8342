//! Putting partial uploads together.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use transport::wire::UploadId;

use super::commit::{check_unchanged, put_off, take_back};
use super::progress::Acknowledged;
use super::{
    Account, Caller, Refusal, Role, UploadRecord, UploadRefusal, check_size, key, open, own, read, remove_record,
};
use crate::core::Core;
use crate::domain::Record;
use crate::error::StoreError;
use crate::store::{AppendProgress, BlobAppender, Change, Transaction};

/// Uploads that can be put together at one time.
pub(crate) const MAX_PARTS: usize = 64;

/// Puts complete partial uploads together, in their order and in constant memory. The first one becomes the whole, the others
/// go, in one commit. Whoever asks for it again is answered the same.
///
/// # Errors
/// [`UploadRefusal::Incomplete`], [`UploadRefusal::IsNotPartial`], [`UploadRefusal::TooLarge`], [`UploadRefusal::Locked`]
/// while somebody else appends to the first or puts it together, [`StoreError::Stopped`] if the server stops meanwhile. Then
/// all of them are as they were.
pub(crate) async fn concatenate(
    core: &Core,
    caller: &Caller,
    ids: Vec<UploadId>,
    metadata: String,
) -> Result<UploadRecord, Refusal> {
    let Some((first, others)) = ids.split_first().filter(|_| are_fit(&ids)) else {
        return Err(Refusal::Unreadable(format!("name 1 to {MAX_PARTS} different uploads to put together")));
    };
    let (mut appender, upload) = open(core, caller, first).await?;
    if matches!(&upload.role, Role::Final(parts) if *parts == ids) {
        return Ok(upload);
    }
    let mut parts = vec![part(upload)?];
    for id in others {
        parts.push(part(read(core, caller, id).await?)?);
    }
    check_size(core, size(&parts))?;
    Account::of(core, &caller.address).await?.check_disk(&core.store, size(&parts[1..]))?;
    let whole = put_together(core, caller, &mut *appender, &parts, metadata).await;
    if whole.is_err() {
        take_back(core, caller, &mut *appender, &parts[0]).await;
    }
    whole
}

async fn put_together(
    core: &Core,
    caller: &Caller,
    appender: &mut dyn BlobAppender,
    parts: &[UploadRecord],
    metadata: String,
) -> Result<UploadRecord, Refusal> {
    let progress = copy(core, appender, parts).await?;
    let mut transaction = core.store.begin();
    transaction.lock_records(&parts.iter().map(|part| part.id.as_str()).collect::<Vec<_>>()).await?;
    let whole = merge(core, caller, &mut transaction, parts, &progress, metadata).await?;
    transaction.commit().await?;
    Ok(whole)
}

fn are_fit(ids: &[UploadId]) -> bool {
    ids.len() <= MAX_PARTS && ids.iter().collect::<BTreeSet<_>>().len() == ids.len()
}

/// An upload that can be a part of another one.
fn part(upload: UploadRecord) -> Result<UploadRecord, UploadRefusal> {
    match upload.role {
        Role::Whole | Role::Final(_) => Err(UploadRefusal::IsNotPartial),
        Role::Partial if upload.is_complete() => Ok(upload),
        Role::Partial => Err(UploadRefusal::Incomplete { offset: upload.offset(), length: upload.length }),
    }
}

fn size(parts: &[UploadRecord]) -> u64 {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.offset()))
}

/// Appends the bytes of all others to the first.
async fn copy(core: &Core, appender: &mut dyn BlobAppender, parts: &[UploadRecord]) -> Result<AppendProgress, Refusal> {
    let (first, others) = parts.split_first().ok_or(Refusal::NotFound(Record::Upload))?;
    appender.resume(first.acknowledged.progress(core, &first.blob).await?).await?;
    for part in others {
        let reader = core.store.read_part_of_blob(&part.blob, 0, part.offset()).await?;
        let reader = reader.ok_or(Refusal::NotFound(Record::Upload))?;
        let mut pieces = std::pin::pin!(reader.into_stream());
        while let Some(piece) = pieces.try_next().await.map_err(StoreError::from)? {
            if core.appending.is_closed() {
                return Err(StoreError::Stopped("the server stops".into()).into());
            }
            appender.write(piece).await?;
        }
    }
    let progress = appender.sync().await?;
    if progress.size < size(parts) {
        let missing = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        return Err(StoreError::from(missing).into());
    }
    Ok(progress)
}

/// Turns the first upload into the whole, which has all bytes by now, and removes the others.
async fn merge(
    core: &Core,
    caller: &Caller,
    transaction: &mut Transaction<'_>,
    copied: &[UploadRecord],
    progress: &AppendProgress,
    metadata: String,
) -> Result<UploadRecord, Refusal> {
    let mut parts = Vec::with_capacity(copied.len());
    for before in copied {
        // It may have been deleted meanwhile.
        let current = own(core, caller, transaction.get(&key(&before.id)).await?)?;
        check_unchanged(before, &current)?;
        parts.push(current);
    }
    let account = Account::of(core, &caller.address).await?;
    let before = parts.iter().fold(Change::default(), |sum, part| sum.together(&part.cost()));
    let mut parts = parts.into_iter();
    let mut whole = parts.next().ok_or(Refusal::NotFound(Record::Upload))?;
    for part in parts {
        transaction.release_blob(&part.blob);
        remove_record(transaction, &part);
    }
    whole.acknowledged = Acknowledged::from(progress);
    (whole.length, whole.counted) = (Some(progress.size), progress.size);
    (whole.role, whole.metadata) = (Role::Final(copied.iter().map(|part| part.id.clone()).collect()), metadata);
    put_off(core, &account, transaction, &mut whole)?;
    account.charge(transaction, &whole.cost().together(&before.undone()))?;
    transaction.put(&key(&whole.id), &whole)?;
    Ok(whole)
}
