//! Identities: addresses derived from keys, and the secrets that add a device to an identity.

mod address;
#[cfg(feature = "client")]
mod device;

pub use address::{AddressMismatch, address_belongs_to, check_address, deleted_identity_pseudonyms, derive_address};
#[cfg(feature = "client")]
pub use device::{CONNECTOR_DEVICE_TYPE, Device, DeviceSharedSecret, PublicIdentity, generate_device_password};
