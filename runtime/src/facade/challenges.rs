//! Challenges: prove an identity, check somebody's proof.

use std::sync::Arc;

use transport::wire::RelationshipId;

use crate::Result;
use crate::dto::{Challenge, ChallengeValidation};
use crate::runtime::Node;

/// Which challenge to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateChallenge {
    /// With the identity key.
    Identity,
    /// With the device key.
    Device,
    /// With the key of this relationship.
    Relationship(RelationshipId),
}

/// A proof somebody presented.
#[derive(Debug, Clone)]
pub struct ValidateChallenge {
    /// The signed JSON text.
    pub challenge_string: String,
    /// base64url of the signature's JSON text.
    pub signature: String,
}

/// Challenges of this node and of its peers.
#[derive(Clone)]
pub struct ChallengesFacade {
    node: Arc<Node>,
}

impl ChallengesFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Fetches a challenge from the backbone and signs it.
    pub async fn create_challenge(&self, request: CreateChallenge) -> Result<Challenge> {
        let _ = (&self.node, request);
        todo!()
    }

    /// Checks a signed challenge of a peer.
    pub async fn validate_challenge(&self, request: ValidateChallenge) -> Result<ChallengeValidation> {
        let _ = request;
        todo!()
    }
}
