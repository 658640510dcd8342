//! The account of a running node: identity, device, their secrets and their session at the backbone.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use transport::backbone::{self, Client, DeviceCredentials, SecretText, Session};
use transport::crypto::{CryptoObject as _, Form, SecretKey, SignatureKeypair, SignaturePublicKey, compact};
use transport::datawallet;
use transport::identity::{CONNECTOR_DEVICE_TYPE, PublicIdentity};
use transport::wire::backbone::quotas;
use transport::wire::backbone::token_terms::TokenServices;
use transport::wire::{Address, DeviceId, Timestamp, Username};
use zeroize::Zeroizing;

use crate::store::Properties;

/// The type of device in the entry of a node.
pub(crate) const DEVICE_TYPE: u8 = CONNECTOR_DEVICE_TYPE;

/// The identity and the device of a running node.
pub(crate) struct Account {
    record: AccountRecord,
    client: Client,
    session: Session,
    /// Until when the backbone is known not to count uses.
    without_claims: Mutex<Option<Instant>>,
}

impl Account {
    /// Logs in with the first call in the name of the device.
    pub(crate) fn new(record: AccountRecord, client: Client) -> Self {
        let session = client.login(record.credentials());
        Self::with_session(record, client, session)
    }

    /// With a session that has logged in already.
    pub(crate) fn with_session(record: AccountRecord, client: Client, session: Session) -> Self {
        Self { record, client, session, without_claims: Mutex::default() }
    }

    /// Address of the identity.
    pub(crate) fn address(&self) -> &Address {
        &self.record.identity.address
    }

    /// Public key of the identity.
    pub(crate) fn public_key(&self) -> &SignaturePublicKey {
        &self.record.identity.public_key
    }

    /// Address and public key of the identity.
    pub(crate) fn identity(&self) -> PublicIdentity {
        self.record.identity.clone()
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

    /// Completes the `Devices` entry that another device created for this one, which now has logged in and has a key of its
    /// own.
    pub(crate) fn describe_onboarded(&self, entry: &mut Properties, now: Timestamp) {
        entry.remove("initialPassword");
        for (name, value) in [
            ("publicKey", self.record.device_key.public_key().to_value(Form::Compact)),
            ("operatingSystem", Value::from(std::env::consts::OS)),
            ("type", Value::from(DEVICE_TYPE)),
            ("lastLoginAt", Value::from(now.to_string())),
            ("datawalletVersion", Value::from(datawallet::SUPPORTED_VERSION)),
            ("isBackupDevice", Value::from(false)),
        ] {
            entry.insert(name.to_owned(), value);
        }
    }

    /// Calls that need no login.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// How far in the future something new may expire, if the backbone says so. One that cannot be asked, or does not know
    /// the question, refuses what is too late by itself.
    pub(crate) async fn max_lifetime(&self) -> Option<Duration> {
        let quotas = tokio::time::timeout(TERMS_TIMEOUT, self.session.quotas()).await.ok()?;
        quotas.ok().and_then(|quotas| quotas::lifetime(&quotas))
    }

    /// Whether the backbone counts uses of tokens by claims. One that does not is asked again after a while, because it may be replaced.
    ///
    /// # Errors
    /// [`backbone::Error`], as for every call.
    pub(crate) async fn counts_uses(&self) -> Result<bool, backbone::Error> {
        if self.without_claims.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|end| Instant::now() < end) {
            return Ok(false);
        }
        let counts = match self.token_services().await {
            Ok(services) => services.is_some_and(|services| services.claims),
            // One that does not know the question may answer it in many ways.
            Err(error) if error.failure().is_refusal() && !error.is_transient() => false,
            Err(error) => return Err(error),
        };
        if !counts {
            let end = Instant::now() + SERVICES_LIFETIME;
            *self.without_claims.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        }
        Ok(counts)
    }

    /// What the backbone does with tokens beyond the published protocol; `None` if nothing. One that says so is asked for claims from then
    /// on, whatever it said before.
    ///
    /// # Errors
    /// [`backbone::Error`], as for every call.
    pub(crate) async fn token_services(&self) -> Result<Option<TokenServices>, backbone::Error> {
        let services = self.session.token_services().await?;
        if services.is_some() {
            *self.without_claims.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(services)
    }

    /// Calls in the name of this device.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }
}

/// How long a backbone that does not count uses is not asked again.
const SERVICES_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// How long the backbone is asked for its terms. Without an answer it refuses later what it does not allow.
const TERMS_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything that a start without the backbone needs.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    pub(crate) identity: PublicIdentity,
    /// Admin devices only.
    #[serde(default, with = "compact::option")]
    pub(crate) identity_key: Option<SignatureKeypair>,
    #[serde(with = "compact")]
    pub(crate) synchronization_key: SecretKey,
    #[serde(with = "compact")]
    pub(crate) secret_base_key: SecretKey,
    /// Where this device starts to count synchronized secrets, so that devices do not collide.
    pub(crate) secret_counter_start: u64,
    #[serde(flatten)]
    pub(crate) device: DeviceIdentity,
    pub(crate) password: Zeroizing<String>,
    #[serde(with = "compact")]
    pub(crate) device_key: SignatureKeypair,
}

/// What never changes about a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeviceIdentity {
    /// Its identifier.
    #[serde(rename = "device_id")]
    pub(crate) id: DeviceId,
    /// Its login name.
    pub(crate) username: Username,
    /// Time of creation.
    pub(crate) created_at: Timestamp,
    /// By which device; by itself for the first one.
    pub(crate) created_by_device: DeviceId,
}

impl AccountRecord {
    /// Name of the value in the store.
    pub(crate) const NAME: &str = "AccountInfo";

    pub(crate) fn credentials(&self) -> DeviceCredentials {
        DeviceCredentials { username: self.device.username.clone(), password: SecretText::new(self.password.as_str()) }
    }
}
