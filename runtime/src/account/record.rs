//! What is kept about identity and device.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use transport::crypto::{CryptoObject as _, Form, SecretKey, SignatureKeypair, compact};
use transport::identity::{Device, PublicIdentity, device_type, generate_device_password};
use transport::wire::{DeviceId, Timestamp, Username};
use zeroize::Zeroizing;

use crate::store::{Object, Properties, collection};

/// What kind of device a node says it is.
pub(super) const DEVICE_TYPE: u8 = device_type::CONNECTOR;

/// Everything a start without the backbone needs.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct AccountRecord {
    pub(super) identity: PublicIdentity,
    /// Admin devices only.
    #[serde(default, with = "compact::option")]
    pub(super) identity_key: Option<SignatureKeypair>,
    #[serde(with = "compact")]
    pub(super) synchronization_key: SecretKey,
    #[serde(with = "compact")]
    pub(super) secret_base_key: SecretKey,
    /// Where this device starts to count synchronised secrets, so that devices do not collide.
    pub(super) secret_counter_start: u64,
    #[serde(flatten)]
    pub(super) device: DeviceIdentity,
    pub(super) password: Zeroizing<String>,
    #[serde(with = "compact")]
    pub(super) device_key: SignatureKeypair,
}

/// What never changes about a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeviceIdentity {
    /// Its identifier.
    #[serde(rename = "device_id")]
    pub(crate) id: DeviceId,
    /// Its login name.
    pub(crate) username: Username,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// By which device; by itself for the first one.
    pub(crate) created_by_device: DeviceId,
}

impl AccountRecord {
    pub(super) const NAME: &str = "AccountInfo";
}

/// What a device makes for itself before it is known to the backbone.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct NewDevice {
    #[serde(with = "compact")]
    pub(super) key: SignatureKeypair,
    pub(super) password: Zeroizing<String>,
}

impl NewDevice {
    pub(super) fn generate() -> Self {
        Self { key: SignatureKeypair::generate(), password: generate_device_password() }
    }
}

/// Completes the entry that another device made: this one has logged in and has a key of its own.
pub(super) fn describe_onboarded(entry: &mut Properties, record: &AccountRecord, now: Timestamp) {
    entry.remove("initialPassword");
    for (name, value) in [
        ("publicKey", record.device_key.public_key().to_value(Form::Compact)),
        ("operatingSystem", Value::from(std::env::consts::OS)),
        ("type", Value::from(DEVICE_TYPE)),
        ("lastLoginAt", Value::from(now.to_string())),
        ("datawalletVersion", Value::from(crate::sync::DATAWALLET_VERSION)),
        ("isBackupDevice", Value::from(false)),
    ] {
        entry.insert(name.to_owned(), value);
    }
}

/// The entry of a device in the collection `Devices`: its members without the id, which is the object's own.
pub(crate) fn device_object(device: &Device) -> Object {
    let mut properties = Map::new();
    properties.insert("@type".to_owned(), Value::from("Device"));
    if let Value::Object(members) = serde_json::to_value(device).expect("a device has text keys only") {
        properties.extend(members.into_iter().filter(|(name, _)| name != "id"));
    }
    Object::new(collection::DEVICES, device.id.as_str(), properties)
}
