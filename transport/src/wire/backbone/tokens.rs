//! `/Tokens`.

use serde::{Deserialize, Serialize};

use crate::wire::{Address, ByteText, DeviceId, Timestamp, TokenId};

/// `POST /Tokens`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateToken {
    /// The sealed content; absent for an empty token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ByteText>,
    /// Must lie in the future.
    pub expires_at: Timestamp,
    /// The addressee: the only other identity that may load it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_identity: Option<Address>,
    /// Hash of the password, standard base64 with padding. A text, because [`ByteText`] writes base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// Answer to [`CreateToken`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedToken {
    /// Its identifier.
    pub id: TokenId,
    /// Time of creation.
    pub created_at: Timestamp,
    /// When it expires, if that differs from the request: enlace's backbones limit the lifetime of what guests store. Other
    /// backbones never send this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Answer to `GET /Tokens/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Its identifier.
    pub id: TokenId,
    /// Absent while an anonymous token has no owner.
    pub created_by: Option<Address>,
    /// Absent while an anonymous token has no owner.
    pub created_by_device: Option<DeviceId>,
    /// The addressee: the only other identity that may load it.
    #[serde(default)]
    pub for_identity: Option<Address>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// When it expires for others than its creator.
    pub expires_at: Timestamp,
    /// The sealed content; absent while the token is empty.
    #[serde(default)]
    pub content: Option<ByteText>,
    /// Whether loading it needs a password.
    #[serde(default)]
    pub is_password_protected: bool,
}

/// Answer to `POST /Tokens/{id}/UpdateContent`, which fills an empty token: the token without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdatedToken {
    /// Its identifier.
    pub id: TokenId,
    /// The first one to fill the token becomes its creator.
    pub created_by: Option<Address>,
    /// The creator's device.
    pub created_by_device: Option<DeviceId>,
    /// The addressee: the only other identity that may load it.
    #[serde(default)]
    pub for_identity: Option<Address>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// When it expires for others than its creator.
    pub expires_at: Timestamp,
    /// Whether loading it needs a password.
    #[serde(default)]
    pub is_password_protected: bool,
}
