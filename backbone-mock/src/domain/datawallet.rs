//! The datawallet: the append-only log that synchronizes the devices of an identity.
//!
//! Indices start at 0 without gaps, and clients encrypt each entry under the index that they expect it to get. So nothing may be
//! appended between a client's pull and its push: `localIndex`, or the sync run, proves that it knows all entries.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use transport::wire::backbone::datawallet::{
    AssignedModification, Modification, ModificationType, PushedModifications,
};
use transport::wire::bytes::to_base64url;
use transport::wire::{Address, ByteText, DatawalletId, DatawalletModificationId, DeviceId, Timestamp};

use super::account::{self, Account};
use super::page::{Page, PageRequest};
use super::{Caller, Record, Refusal, Rule, sync_runs};
use crate::core::Core;
use crate::error::StoreError;
use crate::lenient::{self, AtMost};
use crate::notifications::{Notification, NotificationName};
use crate::secrets::new_id;
use crate::store::{Change, Content, Key, NewContent, Rest, STEP, Store, Table, Transaction};

/// Maximum entries of one push. The official client pushes all its entries at once, some ten for each file or token; after a
/// long time offline it has thousands.
pub(crate) const MAX_ENTRIES: usize = 10_000;
/// Entries that are appended before other tasks run: some hundred microseconds of work.
const ENTRIES_PER_STEP: usize = 32;
const MAX_OBJECT_IDENTIFIER: usize = 100;
const MAX_COLLECTION: usize = 50;
const MAX_CATEGORY: usize = 50;
/// Entries that compaction reads in one transaction. Each may have a payload of 16 KiB.
const COMPACTION_STEP: usize = 100;

const WALLETS: Table<Wallet> = Table::new("datawallet");
const MODIFICATIONS: Table<ModificationRecord> = Table::new("modification");
/// The entries that lists show: the newest one of each object, type and category.
const SHOWN: Table<()> = Table::new("modification-shown");
/// For each object, type and category the index that is in [`SHOWN`].
const NEWEST: Table<u64> = Table::new("modification-newest");

/// The head of a datawallet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Wallet {
    id: DatawalletId,
    pub(crate) version: u16,
    next_index: u64,
}

impl Wallet {
    /// An empty datawallet.
    pub(crate) fn new(version: u16) -> Self {
        Self { id: new_id(), version, next_index: 0 }
    }

    /// The same datawallet with another version.
    pub(crate) fn with_version(self, version: u16) -> Self {
        Self { version, ..self }
    }

    /// The index of the newest entry.
    pub(crate) fn newest_index(&self) -> Option<i64> {
        self.next_index.checked_sub(1).and_then(|index| i64::try_from(index).ok())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ModificationRecord {
    id: DatawalletModificationId,
    version: u16,
    object: String,
    category: Option<String>,
    created_at: Timestamp,
    device: DeviceId,
    collection: String,
    kind: ModificationType,
    payload: Option<Content>,
}

/// An entry to be appended.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewModification {
    #[serde(rename = "type", deserialize_with = "lenient::choice")]
    pub(crate) kind: ModificationType,
    pub(crate) object_identifier: String,
    pub(crate) payload_category: Option<String>,
    pub(crate) collection: String,
    pub(crate) encrypted_payload: Option<ByteText>,
    #[serde(deserialize_with = "lenient::number")]
    pub(crate) datawallet_version: u16,
}

/// The entries of one request.
pub(crate) type NewModifications = AtMost<NewModification, MAX_ENTRIES>;

impl NewModification {
    fn check(&self) -> Result<(), Refusal> {
        let category = self.payload_category.as_deref().unwrap_or_default();
        let rules = [
            ("objectIdentifier", self.object_identifier.as_str(), MAX_OBJECT_IDENTIFIER),
            ("collection", self.collection.as_str(), MAX_COLLECTION),
            ("payloadCategory", category, MAX_CATEGORY),
        ];
        match rules.into_iter().find(|(_, text, max)| text.chars().count() > *max) {
            Some((property, _, max)) => Err(Refusal::invalid(property, format!("must have at most {max} characters"))),
            None => Ok(()),
        }
    }
}

/// Entries that passed all checks, with stored payloads.
pub(crate) struct Prepared(Vec<(NewModification, Option<NewContent>)>);

/// Checks entries and stores their payloads. Needs no lock.
pub(crate) async fn prepare(core: &Core, entries: NewModifications) -> Result<Prepared, Refusal> {
    let entries = entries.0;
    entries.iter().try_for_each(NewModification::check)?;
    let mut prepared = Vec::with_capacity(entries.len());
    for (number, mut entry) in entries.into_iter().enumerate() {
        pause_between_steps(number).await;
        let payload = match entry.encrypted_payload.take() {
            Some(bytes) => Some(core.store.keep(bytes).await?),
            None => None,
        };
        prepared.push((entry, payload));
    }
    Ok(Prepared(prepared))
}

/// The version of the caller's datawallet.
pub(crate) async fn version(core: &Core, caller: &Caller) -> Result<u16, Refusal> {
    let wallet = core.store.get(&wallet_key(&caller.address)).await?;
    wallet.map(|wallet| wallet.version).ok_or(Refusal::NotFound(Record::Datawallet))
}

/// Entries with an index above `local_index`, without those that a newer entry replaced.
pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    local_index: i64,
    supported_version: u16,
    page: PageRequest,
) -> Result<Page<Modification>, Refusal> {
    if let Some(wallet) = core.store.get(&wallet_key(&caller.address)).await? {
        check_supported(supported_version, &wallet)?;
    }
    let first = u64::try_from(local_index.saturating_add(1)).unwrap_or(0);
    let page = shown_from(&core.store, &caller.address, first, page).await?;
    let mut modifications = Vec::with_capacity(page.items.len());
    for index in &page.items {
        let key = entry_key(&caller.address, *index);
        let Some(record) = core.store.get(&key).await? else { continue };
        match to_wire(&core.store, *index, record).await {
            Ok(modification) => modifications.push(modification),
            // Compaction removed it between the two steps.
            Err(_) if !core.store.contains(&key).await? => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(page.with(modifications))
}

/// Appends entries of a device that knows all entries up to `local_index`.
pub(crate) async fn push(
    core: &Core,
    caller: &Caller,
    local_index: i64,
    entries: NewModifications,
    supported_version: u16,
) -> Result<PushedModifications, Refusal> {
    if entries.0.is_empty() {
        return Err(Refusal::invalid("modifications", "must not be empty"));
    }
    if supported_version == 0 {
        return Err(Refusal::invalid("X-Supported-Datawallet-Version", "must be greater than 0"));
    }
    let entries = prepare(core, entries).await?;
    let now = core.now();
    let mut transaction = core.store.begin();
    transaction.lock_identities(&[&caller.address]).await?;
    sync_runs::check_before_push(&mut transaction, &caller.address, now).await?;
    let mut wallet = read_wallet(&transaction, &caller.address).await?.ok_or(Refusal::NotFound(Record::Datawallet))?;
    check_supported(supported_version, &wallet)?;
    if let Some(newest) = wallet.newest_index().filter(|newest| *newest != local_index) {
        let detail = format!("local index {local_index}, newest index {newest}");
        return Err(Refusal::rule(Rule::DatawalletNotUpToDate, detail));
    }
    let modifications = append(core, &mut transaction, caller, &mut wallet, entries, now).await?;
    transaction.notify(notification(caller));
    transaction.commit().await?;
    Ok(PushedModifications { new_index: wallet.newest_index().unwrap_or(-1), modifications })
}

/// Appends entries and writes the head. The transaction holds the identity's lock.
pub(crate) async fn append(
    core: &Core,
    transaction: &mut Transaction<'_>,
    caller: &Caller,
    wallet: &mut Wallet,
    entries: Prepared,
    now: Timestamp,
) -> Result<Vec<AssignedModification>, Refusal> {
    if entries.0.iter().any(|(entry, _)| entry.datawallet_version > wallet.version) {
        return Err(Rule::ModificationVersionTooHigh.into());
    }
    let account = Account::of(core, &caller.address).await?;
    let mut assigned = Vec::with_capacity(entries.0.len());
    for (number, (entry, payload)) in entries.0.into_iter().enumerate() {
        pause_between_steps(number).await;
        let index = wallet.next_index;
        wallet.next_index += 1;
        show_instead_of_older(transaction, &caller.address, &entry, index).await?;
        let record = ModificationRecord {
            id: new_id(),
            version: entry.datawallet_version,
            object: entry.object_identifier,
            category: entry.payload_category,
            created_at: now,
            device: caller.device.clone(),
            collection: entry.collection,
            kind: entry.kind,
            payload: payload.map(|payload| payload.attach(transaction)).transpose()?,
        };
        account.charge(transaction, &record.cost())?;
        transaction.put(&entry_key(&caller.address, index), &record)?;
        assigned.push(AssignedModification { id: record.id, index, created_at: now });
    }
    transaction.put(&wallet_key(&caller.address), wallet)?;
    Ok(assigned)
}

/// Reads from memory never yield, so a long list would block its thread.
async fn pause_between_steps(number: usize) {
    if number % ENTRIES_PER_STEP == ENTRIES_PER_STEP - 1 {
        tokio::task::yield_now().await;
    }
}

/// The key that all entries start with.
pub(crate) fn table() -> Key<ModificationRecord> {
    MODIFICATIONS.key()
}

/// The owner of an entry, from the rest of its key after that of [`table`].
pub(crate) fn owner_of(rest: &Rest) -> Option<Address> {
    rest.parts().text()?.parse().ok()
}

/// Reads the head of a datawallet.
pub(crate) async fn read_wallet(
    transaction: &Transaction<'_>,
    address: &Address,
) -> Result<Option<Wallet>, StoreError> {
    transaction.get(&wallet_key(address)).await
}

/// Refuses clients that support older versions only.
pub(crate) fn check_supported(supported: u16, wallet: &Wallet) -> Result<(), Refusal> {
    if supported < wallet.version { Err(Rule::InsufficientDatawalletVersion.into()) } else { Ok(()) }
}

/// The notification to the other devices of the caller that there are new entries.
pub(crate) fn notification(caller: &Caller) -> Notification {
    let name = NotificationName::DatawalletModificationsCreated;
    Notification::to_others(&caller.address, name, &caller.device)
}

/// Removes entries that are older than `before` and that a newer entry replaced. Returns how many.
///
/// Goes from the oldest entry to the first one that is not old enough, in steps. Each step is a transaction of its own, so that
/// the devices of the identity wait for one step at most. After a crash, the next sweep continues.
pub(crate) async fn compact(core: &Core, address: &Address, before: Timestamp) -> Result<usize, StoreError> {
    let prefix = MODIFICATIONS.key().text(address);
    let (mut from, mut removed) = (prefix.clone(), 0);
    loop {
        let mut transaction = core.store.begin();
        transaction.lock_identities(&[address]).await?;
        let step = core.store.scan(&prefix, &from, COMPACTION_STEP).await?;
        let old = step.iter().take_while(|entry| entry.record.created_at < before);
        let mut seen = 0;
        for entry in old {
            seen += 1;
            let Some(index) = entry.rest.parts().number() else { continue };
            if is_replaced(&transaction, address, index, &entry.record).await? {
                remove_entry(&mut transaction, address, index, &entry.record).await?;
                removed += 1;
            }
        }
        transaction.commit().await?;
        match step.last() {
            Some(last) if seen == COMPACTION_STEP => from = prefix.after(&last.rest),
            _ => return Ok(removed),
        }
        tokio::task::yield_now().await;
    }
}

/// Up to [`STEP`] addresses that have a datawallet, in their order, behind the address `after`.
pub(crate) async fn owners(store: &Store, after: Option<&Address>) -> Result<Vec<Address>, StoreError> {
    let prefix = WALLETS.key();
    let from = after.map_or_else(|| prefix.clone(), |address| wallet_key(address).next());
    let keys = store.keys(&prefix, &from, STEP).await?;
    Ok(keys.iter().filter_map(owner_of).collect())
}

/// Whether a newer entry deletes the object, or writes the same category of it again.
///
/// The index of the newest entries contains objects by id only. If the newest one belongs to another collection, the entry is
/// kept although it could be removed: too much is kept, never too little.
async fn is_replaced(
    transaction: &Transaction<'_>,
    address: &Address,
    index: u64,
    entry: &ModificationRecord,
) -> Result<bool, StoreError> {
    use ModificationType::{Create, Delete, Update};
    let category = entry.category.as_deref();
    let writes = [(Create, category), (Update, category)];
    let writes = if entry.is_write() { writes.as_slice() } else { &[] };
    for (kind, category) in [(Delete, None), (Delete, category)].iter().chain(writes) {
        let newest = transaction.get(&newest_key(address, &entry.object, *kind, *category)).await?;
        let Some(newest) = newest.filter(|newest| *newest > index) else { continue };
        let newer = transaction.get(&entry_key(address, newest)).await?;
        if newer.is_some_and(|newer| newer.collection == entry.collection) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl ModificationRecord {
    /// What it adds to usage.
    pub(crate) fn cost(&self) -> Change {
        account::other(self.payload.as_ref().map_or(0, Content::size))
    }

    fn is_write(&self) -> bool {
        matches!(self.kind, ModificationType::Create | ModificationType::Update)
    }
}

async fn show_instead_of_older(
    transaction: &mut Transaction<'_>,
    address: &Address,
    entry: &NewModification,
    index: u64,
) -> Result<(), StoreError> {
    let newest = newest_key(address, &entry.object_identifier, entry.kind, entry.payload_category.as_deref());
    if let Some(older) = transaction.get(&newest).await? {
        transaction.delete(&SHOWN.key().text(address).number(older));
    }
    transaction.put(&newest, &index)?;
    transaction.put(&SHOWN.key().text(address).number(index), &())
}

async fn remove_entry(
    transaction: &mut Transaction<'_>,
    address: &Address,
    index: u64,
    entry: &ModificationRecord,
) -> Result<(), StoreError> {
    let newest = newest_key(address, &entry.object, entry.kind, entry.category.as_deref());
    if transaction.get(&newest).await? == Some(index) {
        transaction.delete(&newest);
    }
    if let Some(payload) = &entry.payload {
        transaction.release(payload);
    }
    account::release(transaction, address, entry.cost()).await?;
    transaction.delete(&SHOWN.key().text(address).number(index));
    transaction.delete(&entry_key(address, index));
    Ok(())
}

/// Removes the datawallet of an identity. The transaction holds the lock of the identity.
pub(crate) async fn remove_all(transaction: &mut Transaction<'_>, address: &Address) -> Result<(), StoreError> {
    let prefix = MODIFICATIONS.key().text(address);
    let mut from = prefix.clone();
    loop {
        let step = transaction.committed().scan(&prefix, &from, COMPACTION_STEP).await?;
        for entry in &step {
            let Some(index) = entry.rest.parts().number() else { continue };
            remove_entry(transaction, address, index, &entry.record).await?;
        }
        match step.last() {
            Some(last) => from = prefix.after(&last.rest),
            None => break,
        }
    }
    let newest = NEWEST.key().text(address);
    let mut rests = Vec::new();
    let visit = |rest: &Rest| {
        rests.push(rest.clone());
        ControlFlow::Continue(())
    };
    transaction.committed().walk_keys(&newest, &newest, visit).await?;
    for rest in rests {
        transaction.delete(&newest.with_rest(&rest));
    }
    transaction.delete(&wallet_key(address));
    Ok(())
}

/// A page of the indices from `first` on that lists show. Reads each of their keys, but no entry.
async fn shown_from(store: &Store, address: &Address, first: u64, page: PageRequest) -> Result<Page<u64>, StoreError> {
    let prefix = SHOWN.key().text(address);
    let mut cut = page.cut();
    let visit = |rest: &Rest| {
        cut.extend(rest.parts().number());
        ControlFlow::Continue(())
    };
    store.walk_keys(&prefix, &prefix.clone().number(first), visit).await?;
    Ok(cut.finish())
}

async fn to_wire(store: &Store, index: u64, record: ModificationRecord) -> Result<Modification, StoreError> {
    let encrypted_payload = match &record.payload {
        Some(payload) => Some(store.load(payload).await?),
        None => None,
    };
    Ok(Modification {
        id: record.id,
        datawallet_version: record.version,
        index,
        object_identifier: record.object,
        payload_category: record.category,
        created_at: record.created_at,
        created_by_device: record.device,
        collection: record.collection,
        kind: record.kind,
        encrypted_payload,
    })
}

fn wallet_key(address: &Address) -> Key<Wallet> {
    WALLETS.key().text(address)
}

fn entry_key(address: &Address, index: u64) -> Key<ModificationRecord> {
    MODIFICATIONS.key().text(address).number(index)
}

/// The texts come from clients, so the key holds a digest of them: of bounded length, and without zero bytes.
fn newest_key(address: &Address, object: &str, kind: ModificationType, category: Option<&str>) -> Key<u64> {
    let text = serde_json::to_vec(&(object, kind, category)).expect("texts can be written as JSON");
    NEWEST.key().text(address).text(to_base64url(&Sha256::digest(text)))
}
