//! Identities: created once, by whoever holds the key.

use listener::Source;
use serde::{Deserialize, Serialize};
use transport::wire::backbone::challenges as wire;
use transport::wire::backbone::envelope::IsDeleted;
use transport::wire::backbone::identities::{CreatedIdentity, FirstDevice};
use transport::wire::{Address, ByteText, Timestamp};

use super::challenges::SignedChallenge;
use super::devices::{self, DeviceRecord};
use super::proof::IdentityKey;
use super::{Record, Refusal, Rule, idle, language};
use crate::config::OAuthClient;
use crate::core::Core;
use crate::error::StoreError;
use crate::lenient;
use crate::quota::Metric;
use crate::rates::Operation;
use crate::secrets::equal;
use crate::store::{Change, Holder, Key, Store, Table};

const IDENTITIES: Table<IdentityRecord> = Table::new("identity");

/// An identity as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct IdentityRecord {
    pub(crate) address: Address,
    pub(crate) public_key: ByteText,
    pub(crate) created_at: Timestamp,
    pub(crate) client_id: String,
    pub(crate) identity_version: u8,
    pub(crate) status: Status,
    /// About when a device logged in last; kept for clients with [`Terms::idle`](crate::Terms::idle).
    #[serde(default)]
    pub(crate) last_used: Option<Timestamp>,
}

/// Where an identity is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    /// In use.
    Active,
    /// Waits for its deletion.
    ToBeDeleted,
}

/// An identity to be created, with its first device.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewIdentity {
    client_id: String,
    client_secret: String,
    identity_public_key: ByteText,
    device_password: String,
    device_communication_language: Option<String>,
    #[serde(deserialize_with = "lenient::number")]
    identity_version: u8,
    signed_challenge: wire::SignedChallenge,
}

/// Creates an identity with its first device.
pub(crate) async fn create(core: &Core, source: Source, new: NewIdentity) -> Result<CreatedIdentity, Refusal> {
    let client = client(core, &new.client_id, &new.client_secret).ok_or(Rule::UnknownClient)?;
    let key = IdentityKey::parse(&new.identity_public_key.0)
        .ok_or_else(|| Refusal::invalid("identityPublicKey", "not the JSON text of an Ed25519 key"))?;
    if new.device_password.is_empty() {
        return Err(Refusal::invalid("devicePassword", "must not be empty"));
    }
    let challenge = SignedChallenge::parse(new.signed_challenge)?;
    let language = language::parse(new.device_communication_language)?;
    let proof = challenge.verify(&key)?;
    let address = key
        .address(&core.config.did_domain_name)
        .ok_or_else(|| Refusal::invalid("identityPublicKey", "gives no address under the configured domain"))?;
    // Once more under the lock; here it keeps those without a challenge from using up what others may do.
    proof.check(core, core.now()).await?;
    if client.terms.idle.is_some() {
        core.allowances.take(Operation::GuestIdentity, source)?;
        core.store.check_free(client.terms.disk_reserve)?;
    }
    let password = core.hash_password(source, new.device_password.clone()).await?;
    let now = core.now();

    let mut transaction = core.store.begin();
    transaction.lock_records(&[challenge.lock_name(), address.as_str()]).await?;
    proof.spend(core, &mut transaction, &address, now).await?;
    if core.store.contains(&identity_key(&address)).await? {
        return Err(Rule::AddressAlreadyExists.into());
    }
    check_places(core, client).await?;
    if let Some(objection) = core.config.password_policy.objection(&new.device_password) {
        return Err(Refusal::rule(Rule::RegistrationFailed, objection));
    }
    let mut device = DeviceRecord::new(&address, None, password, now);
    device.language = language;
    devices::insert(&mut transaction, &device)?;
    let identity = IdentityRecord {
        address: address.clone(),
        public_key: ByteText(key.as_bytes().to_vec()),
        created_at: now,
        client_id: client.id.clone(),
        identity_version: new.identity_version,
        status: Status::Active,
        last_used: None,
    };
    transaction.put(&identity_key(&address), &identity)?;
    idle::note_use(client, &mut transaction, identity, now)?;
    transaction.charge(Holder::Client(&client.id), &cost(), Some(&client.terms.client));
    transaction.charge(Holder::Identity(&address), &devices::cost(), Some(&client.terms.identity));
    transaction.commit().await.map_err(|error| match error {
        StoreError::Quota(Metric::Identities) => Rule::ClientReachedIdentitiesLimit.into(),
        other => Refusal::from(other),
    })?;
    let device = FirstDevice { id: device.id, username: device.username, created_at: device.created_at };
    Ok(CreatedIdentity { address, created_at: now, device })
}

/// The client with this id and secret.
pub(crate) fn client<'c>(core: &'c Core, id: &str, secret: &str) -> Option<&'c OAuthClient> {
    core.config.clients.iter().find(|client| client.id == id).filter(|client| equal(&client.secret, secret))
}

/// Reads an identity.
pub(crate) async fn read(store: &Store, address: &Address) -> Result<IdentityRecord, Refusal> {
    store.get(&identity_key(address)).await?.ok_or(Refusal::NotFound(Record::Identity))
}

/// Whether the identity behind a login name is gone. Identities cannot be deleted yet, so none is.
pub(crate) fn is_deleted() -> IsDeleted {
    IsDeleted { is_deleted: false, deletion_date: None }
}

/// The key that all identities start with.
pub(crate) fn table() -> Key<IdentityRecord> {
    IDENTITIES.key()
}

/// What an identity counts.
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

/// Refuses before anything else is checked; those who come at the same time are counted by their commits.
async fn check_places(core: &Core, client: &OAuthClient) -> Result<(), Refusal> {
    let taken = core.store.usage(Holder::Client(&client.id)).await?.identities;
    if taken < client.terms.client.identities { Ok(()) } else { Err(Rule::ClientReachedIdentitiesLimit.into()) }
}
