//! Creates the identity of a store.
//!
//! The keys are on disk before they are sent to the backbone, so there are three cases after a crash. The backbone did not
//! receive them: the next start uses them. It answered: the next start finds the identity. Its answer was lost: then the
//! user name of the device is unknown, nobody can log in, and the next start creates another identity with new keys. The
//! first one remains at the backbone, empty.

use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use transport::backbone::{self, Client, Session};
use transport::challenge::{Challenge, ChallengeType};
use transport::crypto::{CryptoObject as _, SecretKey, SignatureKeypair, compact};
use transport::datawallet;
use transport::identity::{Device, PublicIdentity, derive_address};
use transport::wire::backbone::identities::{CreateIdentity, CreatedIdentity};

use super::device::{NewDevice, device_object};
use crate::backbone_error::code_of;
use crate::clock::Clock;
use crate::code::ErrorCode;
use crate::config::DeviceProfile;
use crate::core::account::{AccountRecord, DEVICE_TYPE, DeviceIdentity};
use crate::error::ConfigError;
use crate::store::{Batch, Store};
use crate::{Error, Result};

/// Stored by the backbone; it has no meaning yet.
const IDENTITY_VERSION: u8 = 1;
/// Name of a value that exists from before the request to create the identity until the backbone has refused it, or the
/// identity is stored: the backbone may know the new keys.
const REQUESTED: &str = "NewIdentityRequested";

/// The keys of a new identity before the backbone knows it.
#[derive(Serialize, Deserialize)]
struct NewIdentity {
    #[serde(with = "compact")]
    key: SignatureKeypair,
    #[serde(with = "compact")]
    synchronization_key: SecretKey,
    #[serde(with = "compact")]
    secret_base_key: SecretKey,
    device: NewDevice,
}

impl NewIdentity {
    const NAME: &str = "NewIdentity";

    fn generate() -> Self {
        Self {
            key: SignatureKeypair::generate(),
            synchronization_key: SecretKey::generate(),
            secret_base_key: SecretKey::generate(),
            device: NewDevice::generate(),
        }
    }
}

/// Creates an identity and its first device. Its `Device` object is queued as the datawallet's first content.
pub(super) async fn create(
    client: &Client,
    profile: &DeviceProfile,
    store: &Store,
    clock: &dyn Clock,
) -> Result<(AccountRecord, Session)> {
    let (identity, created) = match store.value::<NewIdentity>(NewIdentity::NAME)? {
        Some(identity) => match register(client, &identity, store, clock).await {
            Err(RegistrationError::AddressTaken) => {
                warn!(
                    "an earlier first start was interrupted after the backbone created the identity; creating another one"
                );
                register_fresh(client, store, clock).await?
            }
            outcome => {
                let created = outcome.map_err(RegistrationError::into_error)?;
                (identity, created)
            }
        },
        None => register_fresh(client, store, clock).await?,
    };
    let record = record(identity, &created, client)?;
    let session = first_login(client, &record, store).await?;
    let mut batch = Batch::new();
    batch.put_value(AccountRecord::NAME, &record)?.remove_value(NewIdentity::NAME).remove_value(REQUESTED);
    batch.record_create(device_object(&first_device(&record, profile, clock)));
    store.commit(batch).await?;
    info!(address = %record.identity.address, device = %record.device.id, "identity created");
    Ok((record, session))
}

/// Logs in before anything relies on the user name, which the backbone chose: with a false one nobody could ever log in, and
/// the next start creates another identity. A backbone that cannot be reached has refused nothing.
async fn first_login(client: &Client, record: &AccountRecord, store: &Store) -> Result<Session> {
    let session = client.login(record.credentials());
    match session.log_in().await {
        Err(error @ backbone::Error::NoAuthGrant { .. }) => {
            forget_request(store).await?;
            Err(error.into())
        }
        _ => Ok(session),
    }
}

async fn register_fresh(client: &Client, store: &Store, clock: &dyn Clock) -> Result<(NewIdentity, CreatedIdentity)> {
    let identity = NewIdentity::generate();
    let mut batch = Batch::new();
    batch.put_value(NewIdentity::NAME, &identity)?;
    store.commit(batch).await?;
    let created = register(client, &identity, store, clock).await.map_err(RegistrationError::into_error)?;
    Ok((identity, created))
}

/// Whether a backbone may know an identity of this store although the store does not hold it yet.
pub(super) fn is_requested(store: &Store) -> Result<bool> {
    Ok(store.value::<bool>(REQUESTED)?.is_some())
}

async fn forget_request(store: &Store) -> Result<()> {
    let mut batch = Batch::new();
    batch.remove_value(REQUESTED);
    Ok(store.commit(batch).await?)
}

async fn note_request(store: &Store) -> Result<()> {
    let mut batch = Batch::new();
    batch.put_value(REQUESTED, &true)?;
    Ok(store.commit(batch).await?)
}

/// Whether nothing was created: the backbone was not reached, or refused. After a broken connection and most server errors
/// the outcome is unknown.
fn is_refusal(error: &backbone::Error) -> bool {
    use backbone::{Error, NetworkError};
    match error {
        _ if code_of(error).known() == Some(ErrorCode::AddressAlreadyExists) => false,
        Error::Network { kind, .. } => {
            matches!(kind, NetworkError::AddressNotFound | NetworkError::Connect | NetworkError::Tls)
        }
        other => other.failure().is_refusal(),
    }
}

/// Why an identity was not created.
enum RegistrationError {
    /// The backbone has an identity with this key, which only this node has.
    AddressTaken,
    Other(Error),
}

impl RegistrationError {
    fn into_error(self) -> Error {
        match self {
            Self::AddressTaken => {
                Error::Unknown("the backbone already knows an identity with these new keys".to_owned())
            }
            Self::Other(error) => error,
        }
    }
}

async fn register(
    client: &Client,
    identity: &NewIdentity,
    store: &Store,
    clock: &dyn Clock,
) -> Result<CreatedIdentity, RegistrationError> {
    let challenge = client.create_challenge().await.map_err(|error| RegistrationError::Other(error.into()))?;
    let signed = Challenge::new(challenge, ChallengeType::Identity).sign(&identity.key);
    let config = client.config();
    let request = CreateIdentity {
        client_id: config.client_id.clone(),
        client_secret: config.client_secret.expose().to_owned(),
        identity_public_key: identity.key.public_key().to_byte_text(),
        device_password: identity.device.password.to_string(),
        device_communication_language: None,
        identity_version: IDENTITY_VERSION,
        signed_challenge: signed.to_wire(),
    };
    note_request(store).await.map_err(RegistrationError::Other)?;
    let outcome = client.create_identity(&request).await;
    if outcome.as_ref().is_err_and(is_refusal) {
        forget_request(store).await.map_err(RegistrationError::Other)?;
    }
    outcome.map_err(|error| match code_of(&error).known() {
        Some(ErrorCode::AddressAlreadyExists) => RegistrationError::AddressTaken,
        Some(ErrorCode::Unauthorized) => RegistrationError::Other(Error::Transport {
            code: ErrorCode::PlatformClientInvalid,
            reason: "The backbone does not accept this client id and secret".to_owned(),
            at: clock.now(),
        }),
        _ => RegistrationError::Other(error.into()),
    })
}

/// The address must be the one that is derived from the key. The backbone chooses the domain in it, unless the settings name
/// one: a backbone can be reached under other names than its domain, which only it knows.
fn record(identity: NewIdentity, created: &CreatedIdentity, client: &Client) -> Result<AccountRecord> {
    let public_key = identity.key.public_key();
    let theirs = created.address.host();
    let domain = client.config().address_hostname.as_deref().unwrap_or(theirs);
    let expected = derive_address(&public_key, domain)
        .map_err(|source| ConfigError::Domain { domain: domain.to_owned(), source })?;
    if created.address != expected {
        let (wanted, theirs) = (domain.to_owned(), theirs.to_owned());
        return Err(Error::Config(match wanted == theirs {
            true => ConfigError::ForeignAddress(created.address.clone()),
            false => ConfigError::OtherDomain { wanted, theirs },
        }));
    }
    Ok(AccountRecord {
        identity: PublicIdentity { address: expected, public_key },
        identity_key: Some(identity.key),
        synchronization_key: identity.synchronization_key,
        secret_base_key: identity.secret_base_key,
        secret_counter_start: 0,
        device: DeviceIdentity {
            id: created.device.id.clone(),
            username: created.device.username.clone(),
            created_at: created.device.created_at,
            created_by_device: created.device.id.clone(),
        },
        password: identity.device.password,
        device_key: identity.device.key,
    })
}

fn first_device(record: &AccountRecord, profile: &DeviceProfile, clock: &dyn Clock) -> Device {
    let device = &record.device;
    Device {
        created_at: device.created_at,
        created_by_device: device.created_by_device.clone(),
        datawallet_version: Some(datawallet::SUPPORTED_VERSION),
        description: profile.description.clone(),
        id: device.id.clone(),
        initial_password: None,
        is_admin: Some(true),
        is_backup_device: false,
        is_offboarded: None,
        last_login_at: Some(clock.now()),
        name: profile.name.clone(),
        operating_system: Some(std::env::consts::OS.to_owned()),
        public_key: Some(record.device_key.public_key()),
        device_type: DEVICE_TYPE,
        username: device.username.clone(),
    }
}
