//! The account of this node: one identity, one device of it, and their secrets.
//!
//! The identity is created at the first start ([`create`]) or taken over from another device ([`onboard`]); after that it
//! is loaded from the store, without the backbone. Secrets are kept in the store, which seals every value.
//!
//! All this happens before there is a [`Core`](crate::core::Core), which then holds the [`Account`].

mod create;
mod device;
mod onboard;
#[cfg(test)]
mod tests;

use transport::backbone::{Client, ClientConfig, SecretText};
use transport::identity::DeviceSharedSecret;

use crate::clock::Clock;
use crate::code::ErrorCode;
use crate::config::BackboneConfig;
use crate::core::account::{Account, AccountRecord};
use crate::store::Store;
use crate::{Config, Error, Result};

#[cfg(test)]
pub(crate) use self::device::device_object;

/// Loads the identity if the store has one, or an onboarding or a first start that was interrupted; else onboards with
/// `shared_secret`, or creates the identity.
///
/// # Errors
/// Those of [`load_or_create`] and [`onboard`].
pub(crate) async fn open(
    config: &Config,
    store: &Store,
    clock: &dyn Clock,
    shared_secret: Option<DeviceSharedSecret>,
) -> Result<Account> {
    let begun = store.value::<AccountRecord>(AccountRecord::NAME)?.is_some() || onboard::is_under_way(store)?;
    match shared_secret {
        Some(shared_secret) if !begun => onboard(&config.backbone, store, shared_secret).await,
        _ => load_or_create(config, store, clock).await,
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
pub(crate) async fn load_or_create(config: &Config, store: &Store, clock: &dyn Clock) -> Result<Account> {
    let client = client(&config.backbone)?;
    let record = match store.value(AccountRecord::NAME)? {
        Some(record) => record,
        None => match onboard::resume(&client, store).await? {
            Some(record) => record,
            None if config.allow_identity_creation => {
                let (record, session) = create::create(&client, &config.device, store, clock).await?;
                return Ok(Account::with_session(record, client, session));
            }
            None => return Err(no_identity(clock)),
        },
    };
    Ok(Account::new(record, client))
}

/// Becomes another device of an identity. The store must be empty.
///
/// # Errors
/// [`Error::InvalidPropertyValue`] if the shared secret contradicts itself, and the backbone's errors;
/// [`load_or_create`] continues where this stopped.
pub(crate) async fn onboard(
    config: &BackboneConfig,
    store: &Store,
    shared_secret: DeviceSharedSecret,
) -> Result<Account> {
    let client = client(config)?;
    Ok(Account::new(onboard::begin(&client, store, shared_secret).await?, client))
}

/// A client of a backbone, without login.
pub(crate) fn client(config: &BackboneConfig) -> Result<Client> {
    let client = Client::new(ClientConfig {
        timeout: config.timeout,
        max_redirects: config.max_redirects,
        allow_plain_http: config.allow_plain_http,
        address_hostname: config.address_hostname.clone(),
        host_address: config.host_address,
        max_token_content: config.max_token_content,
        ..ClientConfig::new(&config.base_url, &config.client_id, SecretText::new(config.client_secret.expose()))
    });
    Ok(client?)
}

fn no_identity(clock: &dyn Clock) -> Error {
    Error::Transport {
        code: ErrorCode::NoIdentityFound,
        reason: "No identity found in the store, and creating one is not allowed".to_owned(),
        at: clock.now(),
    }
}
