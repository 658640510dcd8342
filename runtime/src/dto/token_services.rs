//! What the backbone of a node enforces and tells of tokens.

use serde::{Deserialize, Serialize};
use transport::wire::backbone::token_terms;

/// What the backbone of a node offers beyond the published protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TokenServices {
    /// Whether it counts uses by claims, so that a use that is interrupted and goes on is one.
    pub claims: bool,
    /// Whether it enforces `maxDownloads` and `notBefore`, tells how a token was used, and changes and revokes tokens.
    pub terms: bool,
}

impl From<Option<token_terms::TokenServices>> for TokenServices {
    fn from(services: Option<token_terms::TokenServices>) -> Self {
        services.map_or_else(Self::default, |services| Self { claims: services.claims, terms: services.terms })
    }
}
