//! Tokens: create, load, list, delete.

use std::sync::Arc;

use transport::wire::{Address, Timestamp, TokenId};

use super::transfer::Ownership;
use crate::Result;
use crate::dto::{PasswordProtection, Token};
use crate::runtime::Node;

/// A token with any content.
#[derive(Debug, Clone)]
pub struct CreateOwnToken {
    /// A JSON object; a known `@type` is checked.
    pub content: serde_json::Value,
    /// Must lie in the future.
    pub expires_at: Timestamp,
    /// Whether the token is left out of the store.
    pub ephemeral: bool,
    /// The only identity that may load it.
    pub for_identity: Option<Address>,
    /// What loading it takes.
    pub password_protection: Option<PasswordProtection>,
}

/// A reference to somebody's token.
#[derive(Clone)]
pub struct LoadPeerToken {
    /// Truncated or URL form.
    pub reference: String,
    /// Whether the token is left out of the store.
    pub ephemeral: bool,
    /// For protected tokens; `""` counts as none.
    pub password: Option<String>,
}

/// Everything a node does with tokens.
#[derive(Clone)]
pub struct TokensFacade {
    node: Arc<Node>,
}

impl TokensFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Seals a content and creates a token for it.
    pub async fn create_own_token(&self, request: CreateOwnToken) -> Result<Token> {
        let _ = (&self.node, request);
        todo!()
    }

    /// Loads a token by its reference. A known token is not asked for again.
    pub async fn load_peer_token(&self, request: LoadPeerToken) -> Result<Token> {
        let _ = request;
        todo!()
    }

    /// The stored token with this id.
    pub async fn token(&self, id: &TokenId) -> Result<Token> {
        let _ = id;
        todo!()
    }

    /// Stored tokens that match all parameters, in the order in which they became known.
    pub async fn tokens(&self, ownership: Ownership, parameters: &[(String, String)]) -> Result<Vec<Token>> {
        let _ = (ownership, parameters);
        todo!()
    }

    /// Deletes a token: at the backbone too if it is ours. One that is gone there already counts as deleted.
    pub async fn delete_token(&self, id: &TokenId) -> Result<()> {
        let _ = id;
        todo!()
    }
}
