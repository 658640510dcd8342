//! Identities, and when they were used last.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use transport::wire::backbone::envelope::IsDeleted;
use transport::wire::{Address, ByteText, Timestamp};

use super::{Record, Refusal};
use crate::config::OAuthClient;
use crate::core::Core;
use crate::error::StoreError;
use crate::quota::Metric;
use crate::store::{Change, Key, Store, Table, Transaction};

const IDENTITIES: Table<IdentityRecord> = Table::new("identity");
/// The last uses of identities: client, time, address.
pub(super) const LAST_USED: Table<()> = Table::new("identity-last-used");
/// Minimum time between two recorded uses of an identity.
const NOTED_EVERY: Duration = Duration::from_secs(60 * 60);

/// An identity as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct IdentityRecord {
    pub(crate) address: Address,
    pub(crate) public_key: ByteText,
    pub(crate) created_at: Timestamp,
    pub(crate) client_id: String,
    pub(crate) identity_version: u8,
    pub(crate) status: Status,
    /// The last recorded login of a device, for clients with [`Terms::idle`](crate::Terms::idle).
    #[serde(default)]
    pub(crate) last_used: Option<Timestamp>,
}

/// The status of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    /// In use.
    Active,
    /// In the grace period before its deletion.
    ToBeDeleted,
}

/// Reads an identity.
pub(crate) async fn read(store: &Store, address: &Address) -> Result<IdentityRecord, Refusal> {
    store.get(&identity_key(address)).await?.ok_or(Refusal::NotFound(Record::Identity))
}

/// Whether the identity of a user name is deleted. Identities cannot be deleted yet, so none is.
pub(crate) fn is_deleted() -> IsDeleted {
    IsDeleted { is_deleted: false, deletion_date: None }
}

/// The key that all identities start with.
pub(crate) fn table() -> Key<IdentityRecord> {
    IDENTITIES.key()
}

/// What an identity adds to usage.
pub(crate) fn cost() -> Change {
    Change::more(Metric::Identities, 1)
}

/// The client that an identity was created with.
pub(crate) async fn client_of(store: &Store, address: &Address) -> Result<Option<String>, StoreError> {
    Ok(store.get(&identity_key(address)).await?.map(|identity| identity.client_id))
}

/// The key of an identity.
pub(crate) fn identity_key(address: &Address) -> Key<IdentityRecord> {
    IDENTITIES.key().text(address)
}

/// Records a use of an identity, if its client removes unused ones.
pub(crate) fn note_use(
    client: &OAuthClient,
    transaction: &mut Transaction<'_>,
    mut identity: IdentityRecord,
    now: Timestamp,
) -> Result<(), StoreError> {
    if client.terms.idle.is_none() {
        return Ok(());
    }
    if let Some(before) = identity.last_used {
        if now < before.saturating_add(NOTED_EVERY) {
            return Ok(());
        }
        transaction.delete(&last_used_key(&identity, before));
    }
    identity.last_used = Some(now);
    transaction.put(&last_used_key(&identity, now), &())?;
    transaction.put(&identity_key(&identity.address), &identity)
}

/// The same by address. The transaction holds the lock of the identity.
pub(crate) async fn note_use_of(
    core: &Core,
    transaction: &mut Transaction<'_>,
    address: &Address,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(identity) = transaction.get(&identity_key(address)).await? else { return Ok(()) };
    match core.config.clients.iter().find(|client| client.id == identity.client_id) {
        Some(client) => note_use(client, transaction, identity, now),
        None => Ok(()),
    }
}

pub(super) fn last_used_key(identity: &IdentityRecord, at: Timestamp) -> Key<()> {
    LAST_USED.key().text(&identity.client_id).time(at).text(&identity.address)
}

/// An identity of this number without devices, stored for tests.
#[cfg(test)]
pub(crate) async fn registered(core: &Core, number: u8, client_id: &str) -> crate::caller::Caller {
    let address: Address = format!("did:e:localhost:dids:{number:022x}").parse().unwrap();
    let identity = IdentityRecord {
        address: address.clone(),
        public_key: ByteText(vec![1; 32]),
        created_at: core.now(),
        client_id: client_id.to_owned(),
        identity_version: 1,
        status: Status::Active,
        last_used: None,
    };
    let mut transaction = core.store.begin();
    transaction.put(&identity_key(&address), &identity).unwrap();
    transaction.commit().await.unwrap();
    crate::caller::Caller { address, device: crate::secrets::new_id() }
}
