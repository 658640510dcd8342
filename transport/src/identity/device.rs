//! Devices of an identity, and the secret that makes a new device one of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use zeroize::Zeroizing;

use super::{AddressMismatch, address_belongs_to};
use crate::crypto::{SecretKey, SignatureKeypair, SignaturePublicKey, compact, private_key};
use crate::wire::{Address, DeviceId, Timestamp, Username};

/// An address and the public key it follows from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicIdentity {
    /// The address.
    pub address: Address,
    /// The identity key.
    #[serde(with = "compact")]
    pub public_key: SignaturePublicKey,
}

impl PublicIdentity {
    /// Checks that the address follows from the key. Whoever reads one from a peer must.
    ///
    /// # Errors
    /// [`AddressMismatch`] if it does not.
    pub fn check(&self) -> Result<(), AddressMismatch> {
        address_belongs_to(&self.address, &self.public_key)
    }
}

/// Everything a new device needs to become part of an identity. JSON members sorted by name.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSharedSecret {
    /// When the device was made.
    pub created_at: Timestamp,
    /// By which device.
    pub created_by_device: DeviceId,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How many devices the identity had at that moment; decides the device's range of secret counters.
    pub device_index: u64,
    /// The new device.
    pub id: DeviceId,
    /// The identity it becomes part of.
    pub identity: PublicIdentity,
    /// Makes the new device an admin, that is one that can add devices.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "private_key::option")]
    pub identity_private_key: Option<SignatureKeypair>,
    /// Whether it waits in a recovery kit.
    #[serde(default)]
    pub is_backup_device: bool,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The initial password; the device changes it at its first login.
    pub password: Zeroizing<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    /// Opens synchronised secrets.
    #[serde(with = "compact")]
    pub secret_base_key: SecretKey,
    /// Opens the datawallet.
    #[serde(with = "compact")]
    pub synchronization_key: SecretKey,
    /// The login name.
    pub username: Username,
}

/// Shows which device of which identity, nothing secret.
impl fmt::Debug for DeviceSharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceSharedSecret")
            .field("id", &self.id)
            .field("address", &self.identity.address)
            .finish_non_exhaustive()
    }
}

/// A device as the datawallet's collection `Devices` describes it, without `@type`. JSON members sorted by name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// When it was made.
    pub created_at: Timestamp,
    /// By which device; by itself for the first one.
    pub created_by_device: DeviceId,
    /// Datawallet version of the software on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datawallet_version: Option<u16>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its identifier.
    pub id: DeviceId,
    /// Present until it logs in for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_password: Option<String>,
    /// Whether it holds the identity key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_admin: Option<bool>,
    /// Whether it waits in a recovery kit.
    #[serde(default)]
    pub is_backup_device: bool,
    /// Whether it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_offboarded: Option<bool>,
    /// When it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_at: Option<Timestamp>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_system: Option<String>,
    /// Absent until it logs in for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "compact::option")]
    pub public_key: Option<SignaturePublicKey>,
    /// See [`device_type`].
    #[serde(rename = "type")]
    pub device_type: u8,
    /// Its login name.
    pub username: Username,
}

/// Known values of [`Device::device_type`].
pub mod device_type {
    /// Not told.
    pub const UNKNOWN: u8 = 0;
    /// A phone.
    pub const PHONE: u8 = 1;
    /// A tablet.
    pub const TABLET: u8 = 2;
    /// A desktop computer.
    pub const DESKTOP: u8 = 3;
    /// A node beside an application.
    pub const CONNECTOR: u8 = 4;
}

/// Leaves the initial password out.
impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
