//! `/Devices`.

use serde::{Deserialize, Serialize};

use super::challenges::SignedChallenge;
use crate::wire::{DeviceId, DevicePushIdentifier, Timestamp, Username};

/// `POST /Devices`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateDevice {
    /// Login password of the new device.
    pub device_password: String,
    /// Challenge signed with the identity key.
    pub signed_challenge: SignedChallenge,
    /// Two-letter language for push texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub communication_language: Option<String>,
    /// At most one backup device may exist.
    #[serde(default)]
    pub is_backup_device: bool,
}

/// Answer to [`CreateDevice`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedDevice {
    /// Its identifier.
    pub id: DeviceId,
    /// Its login name.
    pub username: Username,
    /// Time of creation.
    pub created_at: Timestamp,
    /// The device that created it.
    pub created_by_device: DeviceId,
    /// Whether it is a backup device.
    pub is_backup_device: bool,
}

/// A device as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its identifier.
    pub id: DeviceId,
    /// Its login name.
    pub username: Username,
    /// Time of creation.
    pub created_at: Timestamp,
    /// The device that created it; itself for the first one.
    pub created_by_device: DeviceId,
    /// Absent until its first login.
    pub last_login: Option<LastLogin>,
    /// Two-letter language for push texts.
    pub communication_language: String,
    /// Whether it is a backup device.
    pub is_backup_device: bool,
}

/// The last login of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastLogin {
    /// Time of creation.
    pub time: Timestamp,
}

/// `PUT /Devices/Self/Password`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangePassword {
    /// The current password.
    pub old_password: String,
    /// The new password.
    pub new_password: String,
}

/// Answer to `PUT /Devices/Self/PushNotifications`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushRegistration {
    /// Stable across updates of one device.
    pub device_push_identifier: DevicePushIdentifier,
}
