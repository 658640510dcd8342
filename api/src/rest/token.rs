//! A token as it is answered.

use runtime::dto;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::file::Reference;
use crate::dialect::Differences;

/// A token, own or a peer's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    /// Its identifier.
    id: String,
    /// Whether this identity created it.
    is_own: bool,
    /// By whom.
    created_by: String,
    /// With which device.
    created_by_device: String,
    /// What it holds; typed contents keep their `@type`.
    #[schema(value_type = Value)]
    content: Value,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// Until when it can be loaded.
    #[schema(format = DateTime)]
    expires_at: String,
    /// The only identity that may load it.
    #[serde(skip_serializing_if = "Option::is_none")]
    for_identity: Option<String>,
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
    password: String,
    /// Only ever `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_is_pin: Option<bool>,
    /// Where the person will find the password: a name, or a number from 50 to 99.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
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
            id: token.id.to_string(),
            is_own: token.is_own,
            created_by: token.created_by.to_string(),
            created_by_device: token.created_by_device.to_string(),
            content: token.content,
            created_at: token.created_at.to_string(),
            expires_at: token.expires_at.to_string(),
            for_identity: token.for_identity.map(|address| address.to_string()),
            password_protection: token.password_protection.map(Into::into),
            truncated_reference: differences.truncated_reference.then(|| token.reference.truncated.clone()),
            reference: token.reference.into(),
            is_ephemeral: token.is_ephemeral,
        }
    }
}

impl From<dto::PasswordProtection> for PasswordProtection {
    fn from(protection: dto::PasswordProtection) -> Self {
        Self {
            password: protection.password,
            password_is_pin: protection.password_is_pin,
            password_location_indicator: protection.password_location_indicator,
        }
    }
}
