//! Uploads that go on after an interruption: bytes are appended to them in several requests, until a file is made of them.
//!
//! An upload is a record and a blob. The record says how many bytes of the blob are acknowledged; whatever is behind them does
//! not count and is cut off by the next request that appends. It counts on the quota of its owner as the file that it will
//! be. A file is made of it in one commit, in which its record goes and the file's comes, with the same blob.
//!
//! An upload that its owner [shows](show) can be [followed](follow()) by everybody who may read files.

mod append;
mod checksum;
mod commit;
mod concatenate;
mod finish;
mod follow;
mod preview;
mod progress;
mod refusal;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use transport::wire::{Address, Timestamp, UploadId};

use super::account::{self, Account};
use super::{Caller, REMOVALS, Record, Refusal, expiring, files};
use crate::core::Core;
use crate::error::StoreError;
use crate::notifications::Notification;
use crate::secrets::new_id;
use crate::store::{Appending, BlobAppender, Change, Key, Table, Transaction};
pub(crate) use append::{Append, append};
pub(crate) use checksum::{Algorithm, Checksum};
pub(crate) use concatenate::concatenate;
pub(crate) use finish::{Described, finish};
pub(crate) use follow::follow;
pub(crate) use preview::{read as read_preview, show};
use progress::Acknowledged;
pub(crate) use refusal::UploadRefusal;

const UPLOADS: Table<UploadRecord> = Table::new("upload");
/// Which uploads an identity has.
const BY_OWNER: Table<()> = Table::new("owner-upload");

/// An upload as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub(crate) id: UploadId,
    pub(crate) owner: Address,
    pub(crate) expires_at: Timestamp,
    /// Until when further bytes put that off; `None` for not at all, as earlier versions stored it.
    #[serde(default)]
    latest_expiry: Option<Timestamp>,
    /// Bytes of the whole upload, once its sender knows.
    pub(crate) length: Option<u64>,
    pub(crate) role: Role,
    /// What its sender said of it, as it was sent.
    pub(crate) metadata: String,
    blob: String,
    acknowledged: Acknowledged,
    /// Bytes that are counted on the quota.
    counted: u64,
    /// What others see of it, if they may follow it.
    #[serde(default)]
    preview: Option<PreviewMark>,
}

/// What the record of an upload says of its [preview].
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PreviewMark {
    /// Of the sealed metadata.
    bytes: u64,
    /// When the file is going to expire.
    expires_at: Timestamp,
}

/// What an upload is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// To become a file.
    Whole,
    /// To become a part of another upload.
    Partial,
    /// To become a file. It was put together of these.
    Final(Vec<UploadId>),
}

/// An upload to be created.
pub(crate) struct NewUpload {
    /// Bytes, if its sender knows.
    pub(crate) length: Option<u64>,
    pub(crate) is_partial: bool,
    /// At most as long as a header may be.
    pub(crate) metadata: String,
}

impl UploadRecord {
    /// Bytes that are acknowledged: they are there after a loss of power.
    pub(crate) fn offset(&self) -> u64 {
        self.acknowledged.size
    }

    fn is_complete(&self) -> bool {
        self.length == Some(self.offset())
    }

    /// Whether others may follow it now.
    fn is_shown_at(&self, now: Timestamp) -> bool {
        now < self.expires_at && self.preview.as_ref().is_some_and(|preview| now < preview.expires_at)
    }

    fn cost(&self) -> Change {
        let preview = self.preview.as_ref().map_or(0, |preview| preview.bytes);
        let described = (self.metadata.len() as u64).saturating_add(preview);
        files::cost(self.counted.saturating_add(described))
    }
}

/// Creates an upload.
///
/// # Errors
/// [`UploadRefusal::TooLarge`], [`UploadRefusal::TooMany`], [`StoreError::Quota`], and as a full disk if there is no room for
/// the whole.
pub(crate) async fn create(core: &Core, caller: &Caller, new: NewUpload) -> Result<UploadRecord, Refusal> {
    check_size(core, new.length.unwrap_or(0))?;
    let account = Account::of(core, &caller.address).await?;
    account.check_disk(&core.store, new.length.unwrap_or(0))?;
    let (blob, _) = core.store.new_blob().await?.publish().await?;
    let latest = core.now().saturating_add(core.config.limits.upload_lifetime);
    let upload = UploadRecord {
        id: new_id(),
        owner: caller.address.clone(),
        expires_at: account.upload_expiry(latest, core.now()),
        latest_expiry: Some(latest),
        length: new.length,
        role: if new.is_partial { Role::Partial } else { Role::Whole },
        metadata: new.metadata,
        blob: blob.name().to_owned(),
        acknowledged: Acknowledged::default(),
        counted: new.length.unwrap_or(0),
        preview: None,
    };
    let mut transaction = core.store.begin();
    // So that those who create some at the same time do not have too many together.
    transaction.lock_identities(&[&caller.address]).await?;
    check_number(core, &caller.address).await?;
    account.charge(&mut transaction, &upload.cost())?;
    transaction.take_blob(blob)?;
    transaction.put(&key(&upload.id), &upload)?;
    transaction.put(&owner_key(&upload), &())?;
    transaction.put(&removal_key(&upload), &())?;
    transaction.commit().await?;
    Ok(upload)
}

/// Reads an upload of the caller that has not expired.
pub(crate) async fn read(core: &Core, caller: &Caller, id: &UploadId) -> Result<UploadRecord, Refusal> {
    own(core, caller, core.store.get(&key(id)).await?)
}

/// Removes an upload of the caller with its bytes.
pub(crate) async fn terminate(core: &Core, caller: &Caller, id: &UploadId) -> Result<(), Refusal> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await?;
    let upload = own(core, caller, transaction.get(&key(id)).await?)?;
    remove_with_bytes(&mut transaction, &upload).await?;
    Ok(transaction.commit().await?)
}

/// Removes an upload whose time was over then. Since the index was read, bytes may have come that put it off.
pub(crate) async fn remove(
    transaction: &mut Transaction<'_>,
    id: &UploadId,
    expired_at: Timestamp,
) -> Result<(), StoreError> {
    match transaction.get(&key(id)).await? {
        Some(upload) if upload.expires_at <= expired_at => remove_with_bytes(transaction, &upload).await,
        Some(_) | None => Ok(()),
    }
}

async fn remove_with_bytes(transaction: &mut Transaction<'_>, upload: &UploadRecord) -> Result<(), StoreError> {
    account::release(transaction, &upload.owner, upload.cost()).await?;
    transaction.release_blob(&upload.blob);
    remove_record(transaction, upload);
    Ok(())
}

/// Removes what is known of an upload, but neither its bytes nor what is counted.
fn remove_record(transaction: &mut Transaction<'_>, upload: &UploadRecord) {
    transaction.delete(&key(&upload.id));
    transaction.delete(&owner_key(upload));
    transaction.delete(&removal_key(upload));
    preview::remove(transaction, upload);
    wake_followers(transaction, upload);
}

/// Tells those who follow an upload that it has changed, once the transaction has taken effect.
fn wake_followers(transaction: &mut Transaction<'_>, upload: &UploadRecord) {
    if upload.preview.is_some() {
        transaction.notify(Notification::Upload(upload.id.clone()));
    }
}

/// Turns a record that is there, has not expired and is the caller's into an answer; everything else does not exist.
fn own(core: &Core, caller: &Caller, upload: Option<UploadRecord>) -> Result<UploadRecord, Refusal> {
    let is_own = |upload: &UploadRecord| upload.owner == caller.address && core.now() < upload.expires_at;
    upload.filter(is_own).ok_or(Refusal::NotFound(Record::Upload))
}

/// The right to append to an upload, and the upload as it is while nobody else has that right.
async fn open(core: &Core, caller: &Caller, id: &UploadId) -> Result<(Box<dyn BlobAppender>, UploadRecord), Refusal> {
    let upload = read(core, caller, id).await?;
    let appender = match core.store.append_to_blob(&upload.blob).await? {
        Appending::Open(appender) => appender,
        Appending::Busy => return Err(UploadRefusal::Locked.into()),
        Appending::Missing => return Err(Refusal::NotFound(Record::Upload)),
    };
    // The last commit of whoever appended before is decided by now, unless it failed: then what it acknowledges must stay.
    core.store.check_healthy()?;
    // Somebody may have appended to it, or made a file of it, since it was read.
    Ok((appender, read(core, caller, id).await?))
}

fn check_size(core: &Core, bytes: u64) -> Result<(), UploadRefusal> {
    let limit = core.config.limits.max_large_file_bytes;
    if bytes <= limit { Ok(()) } else { Err(UploadRefusal::TooLarge { limit }) }
}

async fn check_number(core: &Core, owner: &Address) -> Result<(), Refusal> {
    let limit = core.config.limits.max_unfinished_uploads;
    let prefix = BY_OWNER.key().text(owner);
    let there = core.store.keys(&prefix, &prefix, limit).await?;
    if there.len() < limit { Ok(()) } else { Err(UploadRefusal::TooMany { limit }.into()) }
}

fn key(id: &UploadId) -> Key<UploadRecord> {
    UPLOADS.key().text(id)
}

fn owner_key(upload: &UploadRecord) -> Key<()> {
    BY_OWNER.key().text(&upload.owner).text(&upload.id)
}

fn removal_key(upload: &UploadRecord) -> Key<()> {
    REMOVALS.key().time(upload.expires_at).text(expiring::UPLOAD).text(&upload.id)
}
