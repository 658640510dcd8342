//! The node's own identity, device and synchronization state.

use serde::{Deserialize, Serialize};
use transport::wire::{Address, DeviceId, Timestamp};

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityInfo {
    /// Address of the identity.
    pub address: Address,
    /// base64url of the public key's JSON text.
    pub public_key: String,
}

/// Which device of the identity this node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceInfo {
    /// Its identifier.
    pub id: DeviceId,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// By which device; itself for the first one.
    pub created_by_device: DeviceId,
    /// Login name.
    pub username: String,
    /// Whether it holds the identity key.
    pub is_admin: bool,
    /// base64url of the device public key's JSON text.
    pub public_key: String,
}

/// When the node synchronized last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncInfo {
    /// Everything, external events included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_run: Option<SyncTime>,
    /// The datawallet alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_datawallet_sync: Option<SyncTime>,
}

/// When a synchronization ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncTime {
    /// When.
    pub completed_at: Timestamp,
}
