//! What every answer is wrapped in, and the answer of the token endpoint, which is not.

use serde::{Deserialize, Serialize};

use crate::wire::Timestamp;

/// `{"result": …}`, with `pagination` only when there is more than one page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// The value itself.
    pub result: T,
    /// Where in a longer list this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
}

/// Position in a list that has several pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pagination {
    /// 1 for the first page.
    pub page_number: u64,
    /// Records per page.
    pub page_size: u64,
    /// Number of pages.
    pub total_pages: u64,
    /// Number of records on all pages.
    pub total_records: u64,
}

/// Code of a record that does not exist, or is not shown to the identity that asks.
pub const RECORD_NOT_FOUND: &str = "error.platform.recordNotFound";
/// Code of an identity or client that stores as much as it may.
pub const QUOTA_EXHAUSTED: &str = "error.platform.quotaExhausted";
/// Code of a sender that asks more often than it may.
pub const TOO_MANY_REQUESTS: &str = "error.platform.tooManyRequests";

/// `{"error": …}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorEnvelope {
    /// What went wrong.
    pub error: ErrorBody,
}

/// The body of an error answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// `ERR` and 17 characters; identifies this one answer.
    #[serde(default)]
    pub id: String,
    /// Stable code, `error.platform.…`.
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Always empty on the original.
    #[serde(default)]
    pub docs: String,
    /// When it happened, as text: the original writes up to seven fractional digits.
    #[serde(default)]
    pub time: String,
    /// Details of some codes, for instance the exhausted quotas.
    #[serde(default)]
    pub data: Option<serde_json::Value>,
}

/// Answer of `POST /connect/token`.
#[derive(Clone, Serialize, Deserialize)]
pub struct AccessToken {
    /// The bearer token.
    pub access_token: String,
    /// `Bearer`.
    #[serde(default)]
    pub token_type: String,
    /// Seconds until it expires.
    pub expires_in: u64,
}

/// Error answer of `POST /connect/token` (RFC 6749 section 5.2).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OAuthError {
    /// `invalid_grant`, `access_denied`, `invalid_client`, …
    pub error: String,
    /// For people.
    #[serde(default)]
    pub error_description: String,
}

/// Answer of `GET /Version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// A text such as `"7"`.
    pub major_version: String,
}

/// Answer of `GET /Identities/IsDeleted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IsDeleted {
    /// Whether the identity is gone or its grace period is over.
    pub is_deleted: bool,
    /// Since when.
    pub deletion_date: Option<Timestamp>,
}
