//! Onboarding: this node becomes another device of an existing identity.
//!
//! The device's own key and new password are on disk before they are sent to the backbone. After a crash the next start
//! finishes the onboarding: it knows both passwords, whether or not the backbone changed the password.

use serde::{Deserialize, Serialize};
use tracing::info;
use transport::backbone::{self, Client, DeviceCredentials, SecretText};
use transport::identity::DeviceSharedSecret;

use super::device::NewDevice;
use crate::core::account::{AccountRecord, DeviceIdentity};
use crate::store::{Batch, Store};
use crate::{Error, Result};

/// Each device has a range of its own for numbered secrets, so that devices never use the same number.
const SECRETS_PER_DEVICE: u64 = 1_000_000;

/// An onboarding that is not finished.
#[derive(Serialize, Deserialize)]
struct Onboarding {
    shared_secret: DeviceSharedSecret,
    device: NewDevice,
}

impl Onboarding {
    const NAME: &str = "Onboarding";
}

/// Becomes a device that another device of the identity has registered. The store must be empty.
///
/// # Errors
/// [`Error::InvalidPropertyValue`] if the shared secret contradicts itself, and the backbone's errors; the next start
/// continues where this one stopped.
pub(super) async fn begin(client: &Client, store: &Store, shared_secret: DeviceSharedSecret) -> Result<AccountRecord> {
    shared_secret.identity.check().map_err(|error| Error::InvalidPropertyValue(error.to_string()))?;
    let onboarding = Onboarding { shared_secret, device: NewDevice::generate() };
    let mut batch = Batch::new();
    batch.put_value(Onboarding::NAME, &onboarding)?;
    store.commit(batch).await?;
    finish(client, store, onboarding).await
}

/// Whether an onboarding was started and not finished.
pub(super) fn is_under_way(store: &Store) -> Result<bool> {
    Ok(store.value::<Onboarding>(Onboarding::NAME)?.is_some())
}

/// Finishes an onboarding that was interrupted, if there is one.
pub(super) async fn resume(client: &Client, store: &Store) -> Result<Option<AccountRecord>> {
    match store.value(Onboarding::NAME)? {
        Some(onboarding) => finish(client, store, onboarding).await.map(Some),
        None => Ok(None),
    }
}

async fn finish(client: &Client, store: &Store, onboarding: Onboarding) -> Result<AccountRecord> {
    change_password(client, &onboarding).await?;
    let Onboarding { shared_secret, device } = onboarding;
    let record = AccountRecord {
        identity: shared_secret.identity,
        identity_key: shared_secret.identity_private_key,
        synchronization_key: shared_secret.synchronization_key,
        secret_base_key: shared_secret.secret_base_key,
        secret_counter_start: shared_secret.device_index.saturating_mul(SECRETS_PER_DEVICE),
        device: DeviceIdentity {
            id: shared_secret.id,
            username: shared_secret.username,
            created_at: shared_secret.created_at,
            created_by_device: shared_secret.created_by_device,
        },
        password: device.password,
        device_key: device.key,
    };
    let mut batch = Batch::new();
    batch.put_value(AccountRecord::NAME, &record)?.remove_value(Onboarding::NAME);
    crate::sync::expect_datawallet(&mut batch)?;
    store.commit(batch).await?;
    info!(address = %record.identity.address, device = %record.device.id, "device onboarded");
    Ok(record)
}

async fn change_password(client: &Client, onboarding: &Onboarding) -> Result<()> {
    let credentials = |password: &str| DeviceCredentials {
        username: onboarding.shared_secret.username.clone(),
        password: SecretText::new(password),
    };
    let session = client.login(credentials(&onboarding.shared_secret.password));
    match session.change_password(SecretText::new(onboarding.device.password.as_str())).await {
        // An earlier attempt may have succeeded although its answer was lost.
        Err(backbone::Error::NoAuthGrant { .. }) => {
            Ok(client.login(credentials(&onboarding.device.password)).log_in().await?)
        }
        outcome => Ok(outcome?),
    }
}
