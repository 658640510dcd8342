//! Devices of an identity, their passwords, and the secret that adds a new one.

use std::fmt;

use serde::{Deserialize, Serialize};

use zeroize::Zeroizing;

use super::{AddressMismatch, address_belongs_to};
use crate::crypto::random::{below, choice};
use crate::crypto::{SecretKey, SignatureKeypair, SignaturePublicKey, compact, private_key};
use crate::wire::{Address, DeviceId, Timestamp, Username};

const SPECIAL: &[u8] = b"!?-_.:,;#+";
const LOWER: &[u8] = b"abcdefghijkmnpqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
const DIGITS: &[u8] = b"123456789";
const MIN_LENGTH: u32 = 45;
const MAX_LENGTH: u32 = 50;

/// An address and the public key it is derived from.
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
    /// Verifies that the address is derived from the key. Required for values received from a peer.
    ///
    /// # Errors
    /// [`AddressMismatch`] if it does not.
    pub fn check(&self) -> Result<(), AddressMismatch> {
        address_belongs_to(&self.address, &self.public_key)
    }
}

/// Everything a new device needs to join an identity. JSON members sorted by name.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSharedSecret {
    /// When the device was created.
    pub created_at: Timestamp,
    /// The device that created it.
    pub created_by_device: DeviceId,
    /// Description shown to users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Number of devices that the identity had before; selects the device's range of secret counters.
    pub device_index: u64,
    /// The new device.
    pub id: DeviceId,
    /// The identity it joins.
    pub identity: PublicIdentity,
    /// Present if the new device is an admin, which can add devices.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "private_key::option")]
    pub identity_private_key: Option<SignatureKeypair>,
    /// Whether it is a backup device, kept in a recovery kit.
    #[serde(default)]
    pub is_backup_device: bool,
    /// Name of the device, shown to users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The initial password; the device changes it at its first login.
    pub password: Zeroizing<String>,
    /// Name of the profile, shown to users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    /// Key to the secrets in the datawallet.
    #[serde(with = "compact")]
    pub secret_base_key: SecretKey,
    /// Key to the payloads of the datawallet.
    #[serde(with = "compact")]
    pub synchronization_key: SecretKey,
    /// The login name.
    pub username: Username,
}

/// Shows the device and its identity, no secrets.
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
    /// When it was created.
    pub created_at: Timestamp,
    /// The device that created it; itself for the first one.
    pub created_by_device: DeviceId,
    /// Datawallet version of the software on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datawallet_version: Option<u16>,
    /// Description shown to users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its identifier.
    pub id: DeviceId,
    /// Present until its first login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_password: Option<String>,
    /// Whether it holds the identity key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_admin: Option<bool>,
    /// Whether it is a backup device, kept in a recovery kit.
    #[serde(default)]
    pub is_backup_device: bool,
    /// Whether it was removed from the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_offboarded: Option<bool>,
    /// Its last login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_at: Option<Timestamp>,
    /// Name of the device, shown to users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Operating system, shown to users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_system: Option<String>,
    /// Absent until its first login.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "compact::option")]
    pub public_key: Option<SignaturePublicKey>,
    /// 0 unknown, 1 phone, 2 tablet, 3 desktop computer, 4 connector.
    #[serde(rename = "type")]
    pub device_type: u8,
    /// Its login name.
    pub username: Username,
}

/// [`Device::device_type`] of a connector: a node that runs as a service for an application.
pub const CONNECTOR_DEVICE_TYPE: u8 = 4;

/// Omits the initial password.
impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A fresh password of 45 to 50 characters with at least one special character, lower-case letter, upper-case letter
/// and digit, without characters that look alike. Wiped on drop.
#[must_use]
pub fn generate_device_password() -> Zeroizing<String> {
    let kinds = [SPECIAL, LOWER, UPPER, DIGITS];
    let all = kinds.concat();
    let length = (MIN_LENGTH + below(MAX_LENGTH - MIN_LENGTH + 1)) as usize;
    let mut characters = Zeroizing::new(Vec::with_capacity(length));
    characters.extend(kinds.into_iter().map(choice));
    characters.resize_with(length, || choice(&all));
    shuffle(&mut characters);
    Zeroizing::new(characters.iter().copied().map(char::from).collect())
}

/// Fisher-Yates shuffle: every order is equally likely.
fn shuffle(items: &mut [u8]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(u32::try_from(last).unwrap_or(u32::MAX - 1) + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_the_right_length_and_every_kind_of_character_and_differ() {
        let passwords: std::collections::HashSet<_> =
            (0..200).map(|_| generate_device_password().to_string()).collect();
        assert_eq!(passwords.len(), 200);
        for password in passwords {
            assert!((45..=50).contains(&password.len()), "{password}");
            for kind in [SPECIAL, LOWER, UPPER, DIGITS] {
                assert!(password.bytes().any(|byte| kind.contains(&byte)), "{password}");
            }
            assert!(!password.contains(['I', 'O', 'l', 'o', '0', '&']), "{password}");
        }
    }
}
