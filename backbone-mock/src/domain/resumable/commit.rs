//! Commits of how far an upload goes and what of it is counted, and taking back what goes further.
//!
//! The counted bytes are never fewer than those on the disk: room is counted before bytes are written, and is given back after they
//! are cut off.

use super::progress::Acknowledged;
use super::{Account, Caller, Refusal, Role, UploadRecord, UploadRefusal, key, own, removal_key, wake_followers};
use crate::core::Core;
use crate::domain::account;
use crate::error::{StoreError, WithCauses};
use crate::quota::Metric;
use crate::store::{AppendProgress, BlobAppender, Change, Transaction};

/// Commits how far an upload goes. Between two pieces of one request it stays counted as it was, at the end as it is.
pub(super) async fn acknowledge(
    core: &Core,
    caller: &Caller,
    upload: &UploadRecord,
    progress: &AppendProgress,
    is_end: bool,
) -> Result<UploadRecord, Refusal> {
    let change = |current: &mut UploadRecord| {
        current.acknowledged = Acknowledged::from(progress);
        current.length = upload.length;
        let needed = current.length.unwrap_or(progress.size);
        current.counted = if is_end { needed } else { needed.max(current.counted) };
    };
    change_record(core, caller, upload, change).await
}

/// Counts so many bytes, if fewer are counted. Neither the length nor what is acknowledged changes.
pub(super) async fn reserve(
    core: &Core,
    caller: &Caller,
    upload: &mut UploadRecord,
    bytes: u64,
) -> Result<(), Refusal> {
    if bytes > upload.counted {
        upload.counted = change_record(core, caller, upload, |current| current.counted = bytes).await?.counted;
    }
    Ok(())
}

async fn change_record(
    core: &Core,
    caller: &Caller,
    upload: &UploadRecord,
    change: impl FnOnce(&mut UploadRecord),
) -> Result<UploadRecord, Refusal> {
    let account = Account::of(core, &upload.owner).await?;
    let mut transaction = core.store.begin();
    transaction.lock_records(&[upload.id.as_str()]).await?;
    // It may have been deleted meanwhile.
    let mut current = own(core, caller, transaction.get(&key(&upload.id)).await?)?;
    check_unchanged(upload, &current)?;
    let counted = current.counted;
    change(&mut current);
    if current.offset() > upload.offset() {
        put_off(core, &account, &mut transaction, &mut current)?;
        wake_followers(&mut transaction, &current);
    }
    recount(&mut transaction, &account, &current, counted).await?;
    transaction.put(&key(&current.id), &current)?;
    transaction.commit().await?;
    Ok(current)
}

/// Puts off when an upload expires, because it got bytes.
pub(super) fn put_off(
    core: &Core,
    account: &Account<'_>,
    transaction: &mut Transaction<'_>,
    upload: &mut UploadRecord,
) -> Result<(), StoreError> {
    if let Some(latest) = upload.latest_expiry {
        transaction.delete(&removal_key(upload));
        upload.expires_at = account.upload_expiry(latest, core.now());
        transaction.put(&removal_key(upload), &())?;
    }
    Ok(())
}

/// Refuses to go on with an upload that is another one than bytes were written for.
pub(super) fn check_unchanged(before: &UploadRecord, current: &UploadRecord) -> Result<(), UploadRefusal> {
    match &current.role {
        role if *role == before.role && current.offset() == before.offset() => Ok(()),
        Role::Final(_) => Err(UploadRefusal::IsFinal),
        Role::Whole | Role::Partial => Err(UploadRefusal::OffsetConflict { offset: current.offset() }),
    }
}

async fn recount(
    transaction: &mut Transaction<'_>,
    account: &Account<'_>,
    upload: &UploadRecord,
    before: u64,
) -> Result<(), StoreError> {
    match upload.counted.checked_sub(before) {
        Some(more) => account.charge(transaction, &Change::more(Metric::ContentBytes, more)),
        None => {
            let less = Change::more(Metric::ContentBytes, before - upload.counted);
            account::release(transaction, &upload.owner, less).await
        }
    }
}

/// Cuts off what is behind the acknowledged bytes, after a request that was not successful, and gives back what was counted for
/// it. What cannot be taken back stays counted until the next request that appends.
pub(super) async fn take_back(core: &Core, caller: &Caller, appender: &mut dyn BlobAppender, upload: &UploadRecord) {
    if let Err(error) = try_to_take_back(core, caller, appender, upload).await {
        tracing::warn!(upload = %upload.id, error = %WithCauses(&error), "unacknowledged bytes cannot be removed");
    }
}

async fn try_to_take_back(
    core: &Core,
    caller: &Caller,
    appender: &mut dyn BlobAppender,
    upload: &UploadRecord,
) -> Result<(), Refusal> {
    // A commit that failed may have reached the disk, and then it acknowledges these bytes after a restart.
    if !core.store.is_healthy() {
        return Ok(());
    }
    // If it was deleted, its bytes go with it.
    let Some(current) = core.store.get(&key(&upload.id)).await? else { return Ok(()) };
    appender.resume(current.acknowledged.progress(core, &current.blob).await?).await?;
    let needed = current.length.unwrap_or(current.offset());
    if current.counted > needed {
        change_record(core, caller, &current, |current| current.counted = needed).await?;
    }
    Ok(())
}
