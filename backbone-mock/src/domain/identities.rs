//! Identities: created once, by whoever holds the key.

use listener::Source;
use serde::{Deserialize, Serialize};
use transport::wire::backbone::envelope::IsDeleted;
use transport::wire::backbone::identities::{CreatedIdentity, FirstDevice};
use transport::wire::{Address, ByteText, Timestamp};

use super::challenges::SignedChallenge;
use super::devices::{self, DeviceRecord};
use super::proof::IdentityKey;
use super::{Record, Refusal, Rule, language};
use crate::config::OAuthClient;
use crate::core::Core;
use crate::secrets::equal;
use crate::store::{Key, Store, Table, Transaction};

const IDENTITIES: Table<IdentityRecord> = Table::new("identity");
const CREATED_BY_CLIENT: Table<u64> = Table::new("client-identities");

/// An identity as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct IdentityRecord {
    pub(crate) address: Address,
    pub(crate) public_key: ByteText,
    pub(crate) created_at: Timestamp,
    pub(crate) client_id: String,
    pub(crate) identity_version: u8,
    pub(crate) status: Status,
}

/// Where an identity is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    /// In use.
    Active,
    /// Waits for its deletion.
    ToBeDeleted,
}

/// A request for an identity that has been understood, but not checked.
pub(crate) struct NewIdentity {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) public_key: ByteText,
    pub(crate) password: String,
    pub(crate) language: Option<String>,
    pub(crate) identity_version: u8,
    pub(crate) challenge: String,
    pub(crate) signature: ByteText,
}

/// Creates an identity with its first device.
pub(crate) async fn create(core: &Core, source: Source, new: NewIdentity) -> Result<CreatedIdentity, Refusal> {
    let client = client(core, &new.client_id, &new.client_secret).ok_or(Rule::UnknownClient)?;
    let key = IdentityKey::parse(&new.public_key.0)
        .ok_or_else(|| Refusal::invalid("identityPublicKey", "not the JSON text of an Ed25519 key"))?;
    if new.password.is_empty() {
        return Err(Refusal::invalid("devicePassword", "must not be empty"));
    }
    let challenge = SignedChallenge::parse(new.challenge, &new.signature)?;
    let language = language::parse(new.language)?;
    let proof = challenge.verify(&key)?;
    let address = key
        .address(&core.config.did_domain_name)
        .ok_or_else(|| Refusal::invalid("identityPublicKey", "gives no address under the configured domain"))?;
    let password = core.hash_password(source, new.password.clone()).await?;
    let now = core.now();

    let mut transaction = core.store.begin();
    let client_lock = client_lock(client);
    transaction.lock_records(&[challenge.lock_name(), address.as_str(), &client_lock]).await;
    proof.spend(&mut transaction, &address, now).await?;
    if core.store.contains(&identity_key(&address)).await? {
        return Err(Rule::AddressAlreadyExists.into());
    }
    count_identity(&mut transaction, client).await?;
    if let Some(objection) = core.config.password_policy.objection(&new.password) {
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
    };
    transaction.put(&identity_key(&address), &identity)?;
    transaction.commit().await?;
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

fn identity_key(address: &Address) -> Key<IdentityRecord> {
    IDENTITIES.key().text(address)
}

fn client_lock(client: &OAuthClient) -> String {
    // Without a limit nothing is counted, so creations need not wait for each other.
    if client.max_identities.is_some() { format!("client {}", client.id) } else { String::new() }
}

async fn count_identity(transaction: &mut Transaction<'_>, client: &OAuthClient) -> Result<(), Refusal> {
    let Some(limit) = client.max_identities else { return Ok(()) };
    let key = CREATED_BY_CLIENT.key().text(&client.id);
    let count = transaction.get(&key).await?.unwrap_or(0);
    if count >= limit {
        return Err(Rule::ClientReachedIdentitiesLimit.into());
    }
    Ok(transaction.put(&key, &(count + 1))?)
}
