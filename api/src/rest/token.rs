//! A token as it is answered.

use runtime::{Address, DeviceId, Timestamp, TokenId, dto};
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::file::Reference;
use crate::connector::Differences;

/// A token, own or a peer's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    /// Its identifier.
    #[schema(value_type = String)]
    id: TokenId,
    /// Whether this identity created it.
    is_own: bool,
    /// By whom.
    #[schema(value_type = String)]
    created_by: Address,
    /// With which device.
    #[schema(value_type = String)]
    created_by_device: DeviceId,
    /// What it holds; typed contents keep their `@type`.
    #[schema(value_type = serde_json::Value)]
    content: dto::JsonText,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Until when it can be loaded.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The only identity that may load it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    for_identity: Option<Address>,
    /// The password that loading it takes, in clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_protection: Option<PasswordProtection>,
    /// `/api/v2` only: the same as in `reference`.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated_reference: Option<String>,
    /// How to hand it on.
    reference: Reference,
    /// Whether it was left out of the store.
    is_ephemeral: bool,
}

/// What loading a token takes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PasswordProtection {
    /// In clear.
    #[schema(value_type = String)]
    password: Zeroizing<String>,
    /// Only ever `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_is_pin: Option<bool>,
    /// Where the person will find the password: a name, or a number from 50 to 99.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    password_location_indicator: Option<dto::PasswordLocation>,
}

impl std::fmt::Debug for PasswordProtection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordProtection").finish_non_exhaustive()
    }
}

impl Token {
    /// A token as a dialect shows it.
    pub(crate) fn new(token: dto::Token, differences: Differences) -> Self {
        Self {
            id: token.id,
            is_own: token.is_own,
            created_by: token.created_by,
            created_by_device: token.created_by_device,
            content: token.content,
            created_at: token.created_at,
            expires_at: token.expires_at,
            for_identity: token.for_identity,
            password_protection: token.password_protection.map(Into::into),
            truncated_reference: differences.truncated_reference.then(|| token.reference.truncated.clone()),
            reference: token.reference.into(),
            is_ephemeral: token.is_ephemeral,
        }
    }
}

impl From<dto::PasswordProtection> for PasswordProtection {
    fn from(mut protection: dto::PasswordProtection) -> Self {
        Self {
            password: Zeroizing::new(std::mem::take(&mut protection.password)),
            password_is_pin: protection.password_is_pin,
            password_location_indicator: protection.password_location_indicator.take(),
        }
    }
}
