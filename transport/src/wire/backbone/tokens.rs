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
    /// The only identity that may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_identity: Option<Address>,
    /// Hash of the password, standard base64 with padding (a text here, because the client writes that flavour).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// Answer to [`CreateToken`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedToken {
    /// Its identifier.
    pub id: TokenId,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be read, only if that is not what was asked for. Backbones of enlace shorten what guests store;
    /// others do not know this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A token as the backbone shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Its identifier.
    pub id: TokenId,
    /// Absent while an anonymous token has no owner.
    pub created_by: Option<Address>,
    /// Absent while an anonymous token has no owner.
    pub created_by_device: Option<DeviceId>,
    /// The only identity that may read it.
    #[serde(default)]
    pub for_identity: Option<Address>,
    /// When.
    pub created_at: Timestamp,
    /// Until when others may read it.
    pub expires_at: Timestamp,
    /// The sealed content; absent while the token is empty.
    #[serde(default)]
    pub content: Option<ByteText>,
    /// Whether a password is asked for.
    #[serde(default)]
    pub is_password_protected: bool,
}

/// `POST /Tokens/{id}/UpdateContent`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateTokenContent {
    /// The sealed content.
    pub new_content: ByteText,
    /// Hash of the password, standard base64 with padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// Answer to [`UpdateTokenContent`]: the token without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdatedToken {
    /// Its identifier.
    pub id: TokenId,
    /// The first one to fill the token becomes its creator.
    pub created_by: Option<Address>,
    /// With which device.
    pub created_by_device: Option<DeviceId>,
    /// The only identity that may read it.
    #[serde(default)]
    pub for_identity: Option<Address>,
    /// When.
    pub created_at: Timestamp,
    /// Until when others may read it.
    pub expires_at: Timestamp,
    /// Whether a password is asked for.
    #[serde(default)]
    pub is_password_protected: bool,
}
