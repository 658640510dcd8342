//! Challenges: prove an identity, check somebody's proof.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use transport::challenge::{Challenge, ChallengeSigned, ChallengeType};
use transport::crypto::{CryptoObject as _, Signature, SignaturePublicKey};
use transport::identity::PublicIdentity;
use transport::wire::{Address, RelationshipId};

use super::Node;
use crate::code::ErrorCode;
use crate::dto::{self, ChallengeValidation};
use crate::store::{Object, collection};
use crate::{Error, Result};

/// Which challenge to sign.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "challengeType", content = "relationship")]
pub enum CreateChallenge {
    /// With the identity key.
    Identity,
    /// With the device key.
    Device,
    /// With the key of this relationship.
    Relationship(RelationshipId),
}

/// A proof somebody presented.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
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
    ///
    /// # Errors
    /// `error.runtime.recordNotFound` for an unknown relationship,
    /// `error.transport.challenges.challengeTypeRequiresActiveRelationship` for one that is not active,
    /// [`Error::NotSupported`] if this device does not hold the key, and the backbone's errors.
    pub async fn create_challenge(&self, request: CreateChallenge) -> Result<dto::Challenge> {
        let account = &self.node.core.account;
        let (kind, key) = match request {
            CreateChallenge::Identity => (ChallengeType::Identity, account.identity_key().ok_or_else(no_identity_key)?),
            CreateChallenge::Device => (ChallengeType::Device, account.device_key()),
            CreateChallenge::Relationship(id) => return Err(self.relationship_key(&id)?),
        };
        let challenge = Challenge::new(account.session().create_challenge().await?, kind);
        let signed = challenge.sign(key);
        Ok(dto::Challenge {
            id: challenge.id,
            expires_at: challenge.expires_at,
            created_by: challenge.created_by,
            created_by_device: challenge.created_by_device,
            kind,
            signature: signed.signature().to_base64(),
            challenge_string: signed.text().to_owned(),
        })
    }

    /// Checks a signed challenge of a peer. Expired, unknown and wrongly signed ones are not valid, which is no error.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] if signature or text cannot be read, `error.transport.recordNotFound` if there is no
    /// active relationship to the creator, [`Error::NotSupported`] for types other than Identity, and the backbone's
    /// errors.
    pub async fn validate_challenge(&self, request: ValidateChallenge) -> Result<ChallengeValidation> {
        let signature = Signature::from_base64(&request.signature).map_err(|_| invalid("signature"))?;
        let challenge = Challenge::from_text(&request.challenge_string).map_err(|_| invalid("challengeString"))?;
        let Some(creator) = &challenge.created_by else { return Ok(NOT_VALID) };
        let relationship = self.active_relationship(creator)?.ok_or_else(|| self.no_relationship())?;
        if challenge.kind != ChallengeType::Identity {
            let kind = challenge.kind;
            return Err(Error::NotSupported(format!(
                "Validating challenges of the type '{kind:?}' is not yet supported."
            )));
        }
        let signed = ChallengeSigned::from_parts(request.challenge_string, signature);
        if signed.verify(&relationship.peer_key, self.node.core.clock.now()).is_err() {
            return Ok(NOT_VALID);
        }
        match self.node.core.account.session().challenge(&challenge.id).await {
            Ok(known) if known.created_by.as_ref() == Some(creator) => {
                let corresponding_relationship = Some(relationship.description);
                Ok(ChallengeValidation { is_valid: true, corresponding_relationship })
            }
            Ok(_) => Ok(NOT_VALID),
            Err(error) if error.is_record_not_found() => Ok(NOT_VALID),
            Err(error) => Err(error.into()),
        }
    }

    /// Why no challenge can be signed for a relationship. The keys of relationships come with relationships themselves.
    fn relationship_key(&self, id: &RelationshipId) -> Result<Error> {
        let Some(relationship) = self.node.core.store.object(collection::RELATIONSHIPS, id.as_str())? else {
            return Ok(Error::RecordNotFound("Relationship"));
        };
        if is_active(&relationship) {
            return Ok(Error::NotSupported("Challenges of the type 'Relationship' are not yet supported.".to_owned()));
        }
        Ok(Error::Transport {
            code: ErrorCode::ChallengeTypeRequiresActiveRelationship,
            reason: "The challenge type Relationship requires an active Relationship.".to_owned(),
            at: self.node.core.clock.now(),
        })
    }

    /// The newest active relationship to a peer, as another device of the identity left it in the datawallet.
    fn active_relationship(&self, peer: &Address) -> Result<Option<Relationship>> {
        let mut newest = None;
        for object in self.node.core.store.objects(collection::RELATIONSHIPS)? {
            let object = object?;
            if is_active(&object) && has_peer(&object, peer) {
                newest = Relationship::of(&object);
            }
        }
        Ok(newest)
    }

    fn no_relationship(&self) -> Error {
        Error::Transport {
            code: ErrorCode::TransportRecordNotFound,
            reason: "'Relationship' not found.".to_owned(),
            at: self.node.core.clock.now(),
        }
    }
}

const NOT_VALID: ChallengeValidation = ChallengeValidation { is_valid: false, corresponding_relationship: None };

/// What validation needs of a relationship.
struct Relationship {
    peer_key: SignaturePublicKey,
    description: serde_json::Value,
}

impl Relationship {
    /// None if the peer's address does not follow from the key.
    fn of(object: &Object) -> Option<Self> {
        let peer: PublicIdentity = serde_json::from_value(object.properties.get("peer")?.clone()).ok()?;
        peer.check().ok()?;
        let description = json!({
            "id": object.id,
            "templateId": object.properties.get("templateId"),
            "status": "Active",
            "peer": peer.address,
            "peerIdentity": { "address": peer.address, "publicKey": peer.public_key.to_base64() },
            "auditLog": object.properties.get("auditLog"),
        });
        Some(Self { peer_key: peer.public_key, description })
    }
}

fn is_active(relationship: &Object) -> bool {
    relationship.properties.get("status").is_some_and(|status| status == "Active")
}

fn has_peer(relationship: &Object, address: &Address) -> bool {
    let peer = relationship.properties.get("peer").and_then(|peer| peer.get("address"));
    peer.is_some_and(|peer| peer == address.as_str())
}

fn invalid(member: &str) -> Error {
    Error::InvalidPropertyValue(format!("The {member} is invalid."))
}

fn no_identity_key() -> Error {
    Error::NotSupported("This device does not hold the identity key; ask an admin device of the identity.".to_owned())
}
