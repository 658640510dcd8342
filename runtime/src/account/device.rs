//! A new device, and its entry in the datawallet.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use transport::crypto::{SignatureKeypair, compact};
use transport::identity::{Device, generate_device_password};
use zeroize::Zeroizing;

use crate::store::{Object, collection};

/// Key and password that a device generates before the backbone knows it.
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

/// The entry of a device in the collection `Devices`: its members without the id, which is the object's own.
pub(crate) fn device_object(device: &Device) -> Object {
    let mut properties = Map::new();
    properties.insert("@type".to_owned(), Value::from("Device"));
    if let Value::Object(members) = serde_json::to_value(device).expect("a device has text keys only") {
        properties.extend(members.into_iter().filter(|(name, _)| name != "id"));
    }
    Object::new(collection::DEVICES, device.id.as_str(), properties)
}
