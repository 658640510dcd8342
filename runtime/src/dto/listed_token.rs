//! Tokens of both kinds as lists show them: without contents, keys and references.

use serde::{Deserialize, Serialize};
use transport::wire::{Address, FileId, Timestamp};

use super::TokenStatus;

/// How the content of a file gets to whoever has a token for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum TokenDelivery {
    /// Sealed from end to end: receivers load the token and the ciphertext, and open both themselves.
    E2e,
    /// By this node, which opens the file: the tokens of `/v1`.
    Node,
}

impl TokenDelivery {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::E2e => "e2e",
            Self::Node => "node",
        }
    }
}

/// A token on a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ListedToken {
    /// Its identifier.
    pub id: String,
    /// How the content gets to its receivers.
    pub delivery: TokenDelivery,
    /// Whether others can load it, as far as this node knows.
    pub status: TokenStatus,
    /// Whether this identity created it.
    pub is_own: bool,
    /// The file that it is for, if it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub file_id: Option<FileId>,
    /// Bucket and file of `/v1`, joined by a colon, if it is for a file in a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// A note of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When its terms were changed last, as far as this node knows.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
    /// Until when it can be loaded; absent if that does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Timestamp>,
    /// From when on it can be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub not_before: Option<Timestamp>,
    /// How often it can be used; absent if that has no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_downloads: Option<u32>,
    /// Whether a use counts as soon as it is begun; false if absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_uses: bool,
    /// How often it was used, as far as this node knows.
    pub downloads: u64,
    /// How many uses are left; absent if that has no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u32>,
    /// When it was used last, as far as this node knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub accessed_at: Option<Timestamp>,
    /// The only identity that may load it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub for_identity: Option<Address>,
    /// Whether loading it takes a password.
    pub has_password: bool,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub revoked_at: Option<Timestamp>,
}

/// A page of a list of tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ListedTokens {
    /// How many tokens match, whatever the page is: at most 5000; 0 if they were not to be counted.
    pub total: u64,
    /// Those on the page, in the order of the list.
    pub tokens: Vec<ListedToken>,
}
