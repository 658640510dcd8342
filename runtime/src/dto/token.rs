//! Tokens as users see them.

use std::fmt;

use serde::{Deserialize, Serialize};
use transport::wire::{Address, DeviceId, Timestamp, TokenId};

use super::{JsonText, MaxDownloads, Notify, PasswordProtection, Reference, TokenLabel, TokenTransports};

/// A token, own or a peer's.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Its identifier.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: TokenId,
    /// Whether this identity created it.
    pub is_own: bool,
    /// By whom.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub created_by: Address,
    /// With which device.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub created_by_device: DeviceId,
    /// What it holds; typed contents keep their `@type`.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub content: JsonText,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// Until when it can be loaded.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// The only identity that may load it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub for_identity: Option<Address>,
    /// The password that loading it takes, in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_protection: Option<PasswordProtection>,
    /// How to hand it on.
    pub reference: Reference,
    /// Whether it was left out of the store.
    pub is_ephemeral: bool,
    /// When this device has revoked it, for own ones; other devices show it as expired since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub revoked_at: Option<Timestamp>,
    /// A note of this identity, on this device; at most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub label: Option<TokenLabel>,
    /// From when on others can load it, for own ones, as far as this device knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub not_before: Option<Timestamp>,
    /// How often others can load it, for own ones, as far as this device knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub max_downloads: Option<MaxDownloads>,
    /// Whether a use counts as soon as it is begun, for own ones with a limit, as far as this device knows; false if absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_uses: bool,
    /// Of which uses this identity is told, on this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// By which paths others may load it, for own ones, as this device enforces it: some of `direct`, `relay` and `store`; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
    pub transports: Option<TokenTransports>,
}

/// Leaves out what is private: content, password, reference.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .field("is_own", &self.is_own)
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .field("is_ephemeral", &self.is_ephemeral)
            .finish_non_exhaustive()
    }
}
