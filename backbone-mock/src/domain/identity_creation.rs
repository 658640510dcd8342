//! Creating identities with a proof that the sender has the key.

use listener::Source;
use serde::Deserialize;
use transport::wire::ByteText;
use transport::wire::backbone::challenges as wire;
use transport::wire::backbone::identities::{CreatedIdentity, FirstDevice};

use super::challenges::UnverifiedChallenge;
use super::devices::{self, DeviceRecord};
use super::identities::{IdentityRecord, Status, cost, identity_key, note_use};
use super::proof::IdentityKey;
use super::{Refusal, Rule};
use crate::config::OAuthClient;
use crate::core::Core;
use crate::error::StoreError;
use crate::lenient;
use crate::quota::Metric;
use crate::rates::Operation;
use crate::secrets::equal;
use crate::store::Holder;

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
    let challenge = UnverifiedChallenge::parse(new.signed_challenge)?;
    let language = devices::parse_language(new.device_communication_language)?;
    let proof = challenge.verify(&key)?;
    let address = key
        .address(&core.config.did_domain_name)
        .ok_or_else(|| Refusal::invalid("identityPublicKey", "gives no address under the configured domain"))?;
    // Repeated under the lock. Here it keeps requests without a valid challenge from using up the rate of others.
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
    check_client_quota(core, client).await?;
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
    note_use(client, &mut transaction, identity, now)?;
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

/// Checks the client's quota of identities before anything else. The commit checks it again, for requests at the same time.
async fn check_client_quota(core: &Core, client: &OAuthClient) -> Result<(), Refusal> {
    let taken = core.store.usage(Holder::Client(&client.id)).await?.identities;
    if taken < client.terms.client.identities { Ok(()) } else { Err(Rule::ClientReachedIdentitiesLimit.into()) }
}
