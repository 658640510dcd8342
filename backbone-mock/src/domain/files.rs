//! Files: encrypted bytes that everybody who is logged in and knows the id can read.

use std::collections::HashSet;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use transport::wire::backbone::files::{CreatedFile, FileMetadata};
use transport::wire::{Address, ByteText, DeviceId, FileId, Timestamp};

use super::account::{self, Account};
use super::page::{Page, PageRequest};
use super::{Caller, EXPIRIES, Record, Refusal, expiring};
use crate::core::Core;
use crate::error::StoreError;
use crate::quota::Metric;
use crate::secrets::{new_id, new_ownership_token};
use crate::store::{BlobReader, Change, Entry, Key, PublishedBlob, Rest, Table, Transaction, Written, packed};
use crate::uploads::Reservation;

const MAX_CIPHER_HASH_BYTES: usize = 128;
const MAX_OWNER_SIGNATURE_BYTES: usize = 512;
/// Bytes of the sealed metadata.
pub(crate) const MAX_PROPERTIES_BYTES: usize = 1024 * 1024;

/// Bytes of an upload that need not be counted: the frame of the form, and what is longer in it than stored.
const UPLOAD_FRAME: u64 = 4096;

const FILES: Table<FileRecord> = Table::new("file");
/// Values are the dates of expiry, so that lists need not read the files.
const BY_CREATOR: Table<Timestamp> = Table::new("creator-file");

/// A file as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    pub(crate) id: FileId,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Address,
    pub(crate) created_by_device: DeviceId,
    pub(crate) owner: Address,
    #[serde(with = "packed")]
    pub(crate) owner_signature: ByteText,
    /// Made from the ownership token with the server's key.
    #[serde(with = "packed")]
    pub(crate) ownership_token: ByteText,
    pub(crate) ownership_is_locked: bool,
    pub(crate) claimed_at: Option<Timestamp>,
    pub(crate) cipher_size: u64,
    #[serde(with = "packed")]
    pub(crate) cipher_hash: ByteText,
    pub(crate) expires_at: Timestamp,
    #[serde(with = "packed")]
    pub(crate) encrypted_properties: ByteText,
    pub(crate) blob: String,
}

/// An upload whose bytes are in place.
pub(crate) struct NewFile {
    pub(crate) blob: PublishedBlob,
    pub(crate) written: Written,
    pub(crate) cipher_hash: ByteText,
    pub(crate) owner_signature: ByteText,
    pub(crate) encrypted_properties: ByteText,
    pub(crate) expires_at: Timestamp,
}

/// What its creator says of a file.
pub(crate) struct Sealed {
    pub(crate) cipher_hash: ByteText,
    pub(crate) owner_signature: ByteText,
    pub(crate) encrypted_properties: ByteText,
    pub(crate) expires_at: Timestamp,
}

/// A file that was checked and is not stored yet.
pub(super) struct Prepared<'c> {
    account: Account<'c>,
    file: FileRecord,
    token: String,
}

/// Reserves room for an upload of so many bytes with its frame, or of any size.
///
/// # Errors
/// [`StoreError::Quota`] if there is not so much left, before a byte is sent.
pub(crate) async fn reserve_room(core: &Core, caller: &Caller, length: Option<u64>) -> Result<Reservation, Refusal> {
    let length = length.unwrap_or_else(|| core.config.limits.max_upload_bytes()).saturating_sub(UPLOAD_FRAME);
    let account = Account::of(core, &caller.address).await?;
    let (reservation, under_way) = core.uploads.reserve(account.names(), length);
    account.check_room(&core.store, under_way.map(cost)).await?;
    Ok(reservation)
}

/// Stores a file. The uploader is its creator and its owner.
pub(crate) async fn create(core: &Core, caller: Caller, new: NewFile) -> Result<CreatedFile, Refusal> {
    let NewFile { blob, written, cipher_hash, owner_signature, encrypted_properties, expires_at } = new;
    if cipher_hash.0 != written.sha512 {
        tracing::warn!("the hash of an uploaded file is not the SHA-512 of its bytes");
    }
    let sealed = Sealed { cipher_hash, owner_signature, encrypted_properties, expires_at };
    let prepared = prepare(core, caller, new_id(), (blob.name(), written.size), sealed).await?;
    let mut transaction = core.store.begin();
    transaction.take_blob(blob)?;
    prepared.put(&mut transaction, &Change::default())?;
    transaction.commit().await?;
    Ok(prepared.into_answer())
}

/// Checks a file whose bytes are in this blob of this size.
pub(super) async fn prepare<'c>(
    core: &'c Core,
    caller: Caller,
    id: FileId,
    (blob, size): (&str, u64),
    sealed: Sealed,
) -> Result<Prepared<'c>, Refusal> {
    let now = core.now();
    check_length("cipherHash", &sealed.cipher_hash, MAX_CIPHER_HASH_BYTES)?;
    check_length("ownerSignature", &sealed.owner_signature, MAX_OWNER_SIGNATURE_BYTES)?;
    check_properties(&sealed.encrypted_properties)?;
    let account = Account::of(core, &caller.address).await?;
    let expires_at = checked_expiry(&account, sealed.expires_at, now)?;
    let token = new_ownership_token();
    let file = FileRecord {
        ownership_token: core.key.ownership_token(id.as_str(), &token),
        id,
        created_at: now,
        created_by: caller.address.clone(),
        created_by_device: caller.device,
        owner: caller.address,
        owner_signature: sealed.owner_signature,
        ownership_is_locked: false,
        claimed_at: None,
        cipher_size: size,
        cipher_hash: sealed.cipher_hash,
        expires_at,
        encrypted_properties: sealed.encrypted_properties,
        blob: blob.to_owned(),
    };
    Ok(Prepared { account, file, token })
}

/// Refuses sealed metadata that a file cannot have.
pub(super) fn check_properties(sealed: &ByteText) -> Result<(), Refusal> {
    check_length("encryptedProperties", sealed, MAX_PROPERTIES_BYTES)
}

/// When a file expires for which this was asked.
pub(super) fn checked_expiry(account: &Account<'_>, asked: Timestamp, now: Timestamp) -> Result<Timestamp, Refusal> {
    if asked <= now {
        return Err(Refusal::invalid("expiresAt", "must be in the future"));
    }
    account.allowed_expiry(asked, now)
}

impl Prepared<'_> {
    /// Stores the file with a transaction. So much of it was counted before.
    pub(super) fn put(&self, transaction: &mut Transaction<'_>, counted: &Change) -> Result<(), StoreError> {
        self.account.charge(transaction, &self.file.cost().together(&counted.undone()))?;
        transaction.put(&key(&self.file.id), &self.file)?;
        transaction.put(&creator_key(&self.file), &self.file.expires_at)?;
        transaction.put(&expiry_key(&self.file), &())
    }

    /// What its creator is told, once it is stored.
    pub(super) fn into_answer(self) -> CreatedFile {
        let Self { file, token, account: _ } = self;
        CreatedFile {
            id: file.id,
            created_at: file.created_at,
            created_by: file.created_by.clone(),
            created_by_device: file.created_by_device,
            modified_at: Some(file.created_at),
            modified_by: Some(file.created_by),
            deleted_at: None,
            deleted_by: None,
            owner: file.owner,
            owner_signature: file.owner_signature,
            ownership_token: token,
            cipher_size: file.cipher_size,
            cipher_hash: file.cipher_hash,
            expires_at: file.expires_at,
        }
    }
}

/// Reads a file that has not expired.
pub(crate) async fn read(core: &Core, id: &FileId) -> Result<FileRecord, Refusal> {
    readable(core, core.store.get(&key(id)).await?)
}

/// Opens bytes of a file: at most `length` behind the first `offset` ones.
pub(crate) async fn open(core: &Core, file: &FileRecord, offset: u64, length: u64) -> Result<BlobReader, Refusal> {
    // It may have been deleted since it was read.
    let part =
        core.store.read_part_of_blob(&file.blob, offset, length).await?.ok_or(Refusal::NotFound(Record::File))?;
    if part.size() < length.min(file.cipher_size.saturating_sub(offset)) {
        return Err(StoreError::Damaged(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()).into());
    }
    Ok(part)
}

/// The files the caller made that have not expired, or those of them that `ids` names.
pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    ids: Option<&HashSet<FileId>>,
    page: PageRequest,
) -> Result<Page<FileMetadata>, Refusal> {
    let page = match ids {
        None => made_by(core, &caller.address, page).await?,
        Some(ids) => named(core, &caller.address, ids, page).await?,
    };
    let mut files = Vec::with_capacity(page.items.len());
    for id in &page.items {
        files.extend(core.store.get(&key(id)).await?.map(FileRecord::into_metadata));
    }
    Ok(page.with(files))
}

/// Removes a file with its bytes. Its creator and its owner may.
pub(crate) async fn delete(core: &Core, caller: &Caller, id: &FileId) -> Result<(), Refusal> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await?;
    let file = readable(core, transaction.get(&key(id)).await?)?;
    if caller.address != file.created_by && caller.address != file.owner {
        return Err(Refusal::Forbidden);
    }
    remove_record(&mut transaction, &file).await?;
    Ok(transaction.commit().await?)
}

/// Removes a file that expired long ago.
pub(crate) async fn remove(transaction: &mut Transaction<'_>, id: &FileId) -> Result<(), StoreError> {
    if let Some(file) = transaction.get(&key(id)).await? {
        remove_record(transaction, &file).await?;
    }
    Ok(())
}

/// Turns a record that is there and has not expired into an answer; everything else does not exist.
pub(crate) fn readable(core: &Core, file: Option<FileRecord>) -> Result<FileRecord, Refusal> {
    file.filter(|file| core.now() < file.expires_at).ok_or(Refusal::NotFound(Record::File))
}

/// The key of a file.
pub(crate) fn key(id: &FileId) -> Key<FileRecord> {
    FILES.key().text(id)
}

/// What a file of so many sealed bytes counts.
pub(crate) fn cost(sealed_bytes: u64) -> Change {
    account::content(Metric::Files, sealed_bytes)
}

impl FileRecord {
    /// What it counts on the quota of its creator, whoever owns it later.
    pub(crate) fn cost(&self) -> Change {
        cost(self.cipher_size.saturating_add(self.encrypted_properties.0.len() as u64))
    }

    /// What everybody who is logged in may know.
    pub(crate) fn into_metadata(self) -> FileMetadata {
        FileMetadata {
            id: self.id,
            created_at: self.created_at,
            modified_at: Some(self.created_at),
            modified_by: Some(self.created_by.clone()),
            modified_by_device: Some(self.created_by_device.clone()),
            created_by: self.created_by,
            created_by_device: self.created_by_device,
            deleted_at: None,
            deleted_by: None,
            deleted_by_device: None,
            owner: self.owner,
            owner_signature: self.owner_signature,
            ownership_is_locked: self.ownership_is_locked,
            cipher_size: self.cipher_size,
            cipher_hash: self.cipher_hash,
            expires_at: self.expires_at,
            encrypted_properties: self.encrypted_properties,
        }
    }
}

/// The key that all files start with.
pub(crate) fn table() -> Key<FileRecord> {
    FILES.key()
}

async fn remove_record(transaction: &mut Transaction<'_>, file: &FileRecord) -> Result<(), StoreError> {
    account::release(transaction, &file.created_by, file.cost()).await?;
    transaction.release_blob(&file.blob);
    transaction.delete(&creator_key(file));
    transaction.delete(&expiry_key(file));
    transaction.delete(&key(&file.id));
    Ok(())
}

/// A page of the files that an identity made. Takes a look at each of them in the index, but reads none.
async fn made_by(core: &Core, creator: &Address, page: PageRequest) -> Result<Page<FileId>, StoreError> {
    let now = core.now();
    let mut page = page.cut();
    let visit = |entry: &Entry<Timestamp>| {
        if now < entry.record {
            page.extend(id_in_creator_key(&entry.rest));
        }
        ControlFlow::Continue(())
    };
    core.store.walk(&BY_CREATOR.key().text(creator), visit).await?;
    Ok(page.finish())
}

/// A page of those files that an identity made and `ids` names. There are no more of them than fit into a request.
async fn named(
    core: &Core,
    creator: &Address,
    ids: &HashSet<FileId>,
    page: PageRequest,
) -> Result<Page<FileId>, StoreError> {
    let now = core.now();
    let mut found = Vec::new();
    for id in ids {
        let file = core.store.get(&key(id)).await?.filter(|file| file.created_by == *creator && now < file.expires_at);
        found.extend(file.map(|file| (file.created_at, file.id)));
    }
    found.sort();
    let mut page = page.cut();
    page.extend(found.into_iter().map(|(_, id)| id));
    Ok(page.finish())
}

fn check_length(property: &'static str, bytes: &ByteText, max: usize) -> Result<(), Refusal> {
    if (1..=max).contains(&bytes.0.len()) {
        Ok(())
    } else {
        Err(Refusal::invalid(property, format!("must have 1 to {max} bytes")))
    }
}

fn creator_key(file: &FileRecord) -> Key<Timestamp> {
    BY_CREATOR.key().text(&file.created_by).time(file.created_at).text(&file.id)
}

fn id_in_creator_key(rest: &Rest) -> Option<FileId> {
    let mut parts = rest.parts();
    parts.time()?;
    parts.text()?.parse().ok()
}

fn expiry_key(file: &FileRecord) -> Key<()> {
    EXPIRIES.key().time(file.expires_at).text(expiring::FILE).text(&file.id)
}
