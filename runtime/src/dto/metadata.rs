//! Notes an application keeps about an identity.

use serde::{Deserialize, Serialize};
use transport::wire::Address;

/// A value stored under an address and an optional key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct IdentityMetadata {
    /// The own address, or a peer's.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub reference: Address,
    /// Several values can be kept for one address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Any JSON but null.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub value: serde_json::Value,
}
