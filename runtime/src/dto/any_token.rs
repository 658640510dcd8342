//! Tokens of both kinds, where either may be meant: tokens of the protocol, and those of `/v1`, which this node serves itself.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use transport::wire::TokenId;

use super::{ChangedToken, ListedToken, Token, TokenPath};
use crate::storage::StorageId;

/// The id of a token of either kind. The form tells which one: ids of the protocol begin with `TOK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyTokenId {
    /// Of a token of the protocol.
    E2e(TokenId),
    /// Of a token of `/v1`.
    Node(StorageId),
}

/// The text is no id of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ID of a token: TOK and 17 letters and digits, or 20 digits and lower-case letters for a token of /v1")]
pub struct InvalidTokenId;

impl FromStr for AnyTokenId {
    type Err = InvalidTokenId;

    fn from_str(text: &str) -> Result<Self, InvalidTokenId> {
        let of_protocol = text.parse().ok().map(Self::E2e);
        of_protocol.or_else(|| StorageId::generated(text).map(Self::Node)).ok_or(InvalidTokenId)
    }
}

impl AnyTokenId {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::E2e(id) => id.as_str(),
            Self::Node(id) => id.as_str(),
        }
    }
}

/// A token of either kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AnyToken {
    /// A token of the protocol.
    E2e(Box<Token>),
    /// A token of `/v1`, without its secret: that is for those who may use `/v1`.
    Node(Box<ListedToken>),
}

/// A token of either kind whose terms were changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ChangedAnyToken {
    /// A token of the protocol.
    E2e(Box<ChangedToken>),
    /// A token of `/v1`.
    Node(Box<ChangedFileToken>),
}

/// A token of `/v1` whose terms were changed. Neither the backbone nor peers have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChangedFileToken {
    /// As it is now.
    pub token: ListedToken,
    /// What the change has done at this node, which serves the content itself.
    pub node: TokenPath,
    /// Never offered.
    pub backbone: TokenPath,
    /// Never offered.
    pub peers: TokenPath,
}

impl ChangedFileToken {
    pub(crate) fn new(token: ListedToken, node: TokenPath) -> Self {
        Self { token, node, backbone: TokenPath::NotOffered, peers: TokenPath::NotOffered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_an_id_tells_the_kind_of_its_token() {
        let read = |text: &str| text.parse::<AnyTokenId>();
        assert!(matches!(read("TOK0123456789abcdefg"), Ok(AnyTokenId::E2e(_))));
        assert!(matches!(read("9gbp0r4ij3hy9me0ti5l"), Ok(AnyTokenId::Node(_))));
        let made = StorageId::of_new("tokenId", "unique()").unwrap();
        assert_eq!(read(made.as_str()), Ok(AnyTokenId::Node(made)));
        for text in [
            "",
            "x",
            "TOK",
            "TOK0123456789abcdef",
            "9gbp0r4ij3hy9me0ti5",
            "9gbp0r4ij3hy9me0ti5l0",
            "9gbp0r4ij3hy9me0ti5L",
        ] {
            assert_eq!(read(text), Err(InvalidTokenId), "{text:?}");
        }
    }
}
