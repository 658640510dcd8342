//! Who this node is: one identity, one device of it, and their secrets.
//!
//! The identity is created at the first start ([`create`]) or taken over from another device ([`onboard`]); after that it
//! is loaded from the store, without the backbone. Secrets are kept in the store, which seals every value.

mod create;
mod onboard;
mod record;
#[cfg(test)]
mod tests;

use transport::backbone::{Client, ClientConfig, DeviceCredentials, SecretText, Session};
use transport::crypto::{SecretKey, SignatureKeypair, SignaturePublicKey};
use transport::identity::DeviceSharedSecret;
use transport::wire::{Address, DeviceId, Timestamp};

use crate::clock::Clock;
use crate::config::BackboneConfig;
use crate::error::TransportError;
use crate::store::{Properties, Store};
use crate::{Config, Error, Result};

use record::AccountRecord;
pub(crate) use record::DeviceIdentity;
#[cfg(test)]
pub(crate) use record::device_object;

/// The identity and the device of a running node.
pub(crate) struct Account {
    record: AccountRecord,
    client: Client,
    session: Session,
}

impl Account {
    /// Loads the identity if the store has one or has begun with one; else takes it over from the device that handed out
    /// `shared_secret`, or creates it.
    ///
    /// # Errors
    /// Those of [`Account::load_or_create`] and [`Account::onboard`].
    pub(crate) async fn open(
        config: &Config,
        store: &Store,
        clock: &dyn Clock,
        shared_secret: Option<DeviceSharedSecret>,
    ) -> Result<Self> {
        let begun = store.value::<AccountRecord>(AccountRecord::NAME)?.is_some() || onboard::is_under_way(store)?;
        match shared_secret {
            Some(shared_secret) if !begun => Self::onboard(&config.backbone, store, shared_secret).await,
            _ => Self::load_or_create(config, store, clock).await,
        }
    }

    /// Whether the store holds an identity, has begun to take one over, or has asked a backbone to create one and was not
    /// refused.
    pub(crate) fn is_begun(store: &Store) -> Result<bool> {
        Ok(store.value::<AccountRecord>(AccountRecord::NAME)?.is_some()
            || onboard::is_under_way(store)?
            || create::is_requested(store)?)
    }

    /// Loads the identity; finishes a first start that was interrupted; creates the identity if there is none and that
    /// is allowed.
    ///
    /// # Errors
    /// `error.transport.general.noIdentityFound` if there is none and none may be created, [`Error::Config`] for settings
    /// that cannot work, and the backbone's errors when it is needed.
    pub(crate) async fn load_or_create(config: &Config, store: &Store, clock: &dyn Clock) -> Result<Self> {
        let client = client(&config.backbone)?;
        let record = match store.value(AccountRecord::NAME)? {
            Some(record) => record,
            None => match onboard::resume(&client, store).await? {
                Some(record) => record,
                None if config.allow_identity_creation => {
                    let (record, session) = create::create(&client, &config.device, store, clock).await?;
                    return Ok(Self { record, client, session });
                }
                None => return Err(no_identity(clock)),
            },
        };
        Ok(Self::new(record, client))
    }

    /// Becomes another device of an identity. The store must be empty.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] if the shared secret contradicts itself, and the backbone's errors;
    /// [`Account::load_or_create`] goes on where this stopped.
    pub(crate) async fn onboard(
        config: &BackboneConfig,
        store: &Store,
        shared_secret: DeviceSharedSecret,
    ) -> Result<Self> {
        let client = client(config)?;
        Ok(Self::new(onboard::begin(&client, store, shared_secret).await?, client))
    }

    fn new(record: AccountRecord, client: Client) -> Self {
        let session = client.login(record.credentials());
        Self { record, client, session }
    }

    /// Address of the identity.
    pub(crate) fn address(&self) -> &Address {
        &self.record.identity.address
    }

    /// Public key of the identity.
    pub(crate) fn public_key(&self) -> &SignaturePublicKey {
        &self.record.identity.public_key
    }

    /// Identity key; admin devices only.
    pub(crate) fn identity_key(&self) -> Option<&SignatureKeypair> {
        self.record.identity_key.as_ref()
    }

    /// This device.
    pub(crate) fn device_id(&self) -> &DeviceId {
        &self.record.device.id
    }

    /// What never changes about this device.
    pub(crate) fn device(&self) -> DeviceIdentity {
        self.record.device.clone()
    }

    /// Signs in the name of this device.
    pub(crate) fn device_key(&self) -> &SignatureKeypair {
        &self.record.device_key
    }

    /// Opens the datawallet.
    pub(crate) fn synchronization_key(&self) -> &SecretKey {
        &self.record.synchronization_key
    }

    /// Completes the `Devices` entry that another device made for this one.
    pub(crate) fn describe_onboarded(&self, entry: &mut Properties, now: Timestamp) {
        record::describe_onboarded(entry, &self.record, now);
    }

    /// Calls that need no login.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Calls in the name of this device.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }
}

fn client(config: &BackboneConfig) -> Result<Client> {
    let client = Client::new(ClientConfig {
        timeout: config.timeout,
        max_redirects: config.max_redirects,
        allow_plain_http: config.allow_plain_http,
        address_hostname: config.address_hostname.clone(),
        host_address: config.host_address,
        max_token_content: config.max_token_content,
        ..ClientConfig::new(&config.base_url, &config.client_id, SecretText::new(config.client_secret.expose()))
    });
    client.map_err(|error| Error::Config(error.to_string()))
}

fn no_identity(clock: &dyn Clock) -> Error {
    Error::Transport {
        kind: TransportError::NoIdentityFound,
        reason: "No identity found in the store, and creating one is not allowed".to_owned(),
        at: clock.now(),
    }
}

impl AccountRecord {
    fn credentials(&self) -> DeviceCredentials {
        DeviceCredentials { username: self.device.username.clone(), password: SecretText::new(self.password.as_str()) }
    }
}
