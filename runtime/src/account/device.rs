//! A device in the making, and how other devices see it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use transport::crypto::{SignatureKeypair, compact};
use transport::identity::{Device, generate_device_password};
use zeroize::Zeroizing;

use crate::store::{Object, collection};

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

/// The entry of a device in the collection `Devices`: its members without the id, which is the object's own.
pub(crate) fn device_object(device: &Device) -> Object {
    let mut properties = Map::new();
    properties.insert("@type".to_owned(), Value::from("Device"));
    if let Value::Object(members) = serde_json::to_value(device).expect("a device has text keys only") {
        properties.extend(members.into_iter().filter(|(name, _)| name != "id"));
    }
    Object::new(collection::DEVICES, device.id.as_str(), properties)
}
