//! The node's own identity, device and synchronization state.

use serde::{Deserialize, Serialize};
use transport::wire::{Address, DeviceId, Timestamp};

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct IdentityInfo {
    /// Address of the identity.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "did:e:localhost:dids:9ec15938cbc900b5513efb"))]
    pub address: Address,
    /// base64url of the public key's JSON text.
    pub public_key: String,
}

/// Which device of the identity this node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceInfo {
    /// Its identifier.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: DeviceId,
    /// Name that its owner gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Description that its owner gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// By which device; itself for the first one.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SyncTime {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub completed_at: Timestamp,
}
