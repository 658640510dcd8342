//! Challenges: fresh texts that are signed to prove possession of a key.
//!
//! A challenge serves once. It is consumed by the success it serves, so a refused attempt can be repeated with it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use transport::wire::{Address, ByteText, ChallengeId, DeviceId, Timestamp};

use super::proof::{IdentityKey, SignedBytes};
use super::{Caller, EXPIRIES, Record, Refusal, Rule, expiring};
use crate::core::Core;
use crate::secrets::new_id;
use crate::store::{Key, Table, Transaction};

const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// How long after its expiry a challenge can still be read.
const READABLE_AFTER_EXPIRY: Duration = Duration::from_secs(60 * 60);

const CHALLENGES: Table<ChallengeRecord> = Table::new("challenge");

/// A challenge as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChallengeRecord {
    pub(crate) id: ChallengeId,
    pub(crate) expires_at: Timestamp,
    pub(crate) created_by: Option<Address>,
    pub(crate) created_by_device: Option<DeviceId>,
    consumed: bool,
}

/// Hands out a challenge.
pub(crate) async fn create(core: &Core, caller: Option<Caller>) -> Result<ChallengeRecord, Refusal> {
    let (created_by, created_by_device) = caller.map(|caller| (caller.address, caller.device)).unzip();
    let expires_at = core.now().saturating_add(LIFETIME);
    let challenge = ChallengeRecord { id: new_id(), expires_at, created_by, created_by_device, consumed: false };
    let mut transaction = core.store.begin();
    transaction.put(&key(&challenge.id), &challenge)?;
    transaction.put(&EXPIRIES.key().time(expires_at).text(expiring::CHALLENGE).text(&challenge.id), &())?;
    transaction.commit().await?;
    Ok(challenge)
}

/// Reads a challenge; anybody who is logged in may.
pub(crate) async fn read(core: &Core, id: &ChallengeId) -> Result<ChallengeRecord, Refusal> {
    let now = core.now();
    core.store
        .get(&key(id))
        .await?
        .filter(|challenge| now < challenge.expires_at.saturating_add(READABLE_AFTER_EXPIRY))
        .ok_or(Refusal::NotFound(Record::Challenge))
}

/// Removes a challenge that expired long ago.
pub(crate) fn remove(transaction: &mut Transaction<'_>, id: &ChallengeId) {
    transaction.delete(&key(id));
}

/// A signed challenge whose parts have been understood, but not checked.
pub(crate) struct SignedChallenge {
    text: String,
    id: ChallengeId,
    signature: SignedBytes,
}

/// Proof that the signature fits. Only this can be spent.
pub(crate) struct SignedBy {
    id: ChallengeId,
}

impl SignedChallenge {
    /// Reads the parts.
    pub(crate) fn parse(text: String, signature: &ByteText) -> Result<Self, Refusal> {
        let signature = SignedBytes::parse(&signature.0)
            .ok_or_else(|| Refusal::invalid("signature", "not the JSON text of a signature"))?;
        let id = challenge_id(&text)
            .ok_or_else(|| Refusal::invalid("challenge", "not the JSON text of a challenge with an id"))?;
        Ok(Self { text, id, signature })
    }

    /// The name to lock before the challenge is spent.
    pub(crate) fn lock_name(&self) -> &str {
        self.id.as_str()
    }

    /// Checks the signature.
    pub(crate) fn verify(&self, key: &IdentityKey) -> Result<SignedBy, Refusal> {
        if key.has_signed(&self.text, &self.signature) {
            Ok(SignedBy { id: self.id.clone() })
        } else {
            Err(Rule::InvalidSignature.into())
        }
    }
}

impl SignedBy {
    /// Consumes the challenge, as part of what it is for. A challenge that was made by a logged-in device serves that
    /// device's identity only.
    pub(crate) async fn spend(
        &self,
        transaction: &mut Transaction<'_>,
        identity: &Address,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let mut challenge = transaction
            .get(&key(&self.id))
            .await?
            .filter(|challenge| challenge.created_by.as_ref().is_none_or(|creator| creator == identity))
            .ok_or(Refusal::NotFound(Record::Challenge))?;
        if challenge.consumed || challenge.expires_at <= now {
            return Err(Rule::ChallengeHasExpired.into());
        }
        challenge.consumed = true;
        transaction.put(&key(&self.id), &challenge)?;
        Ok(())
    }
}

fn key(id: &ChallengeId) -> Key<ChallengeRecord> {
    CHALLENGES.key().text(id)
}

/// The `id` in the JSON text of a challenge; the name may be in any case.
fn challenge_id(text: &str) -> Option<ChallengeId> {
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let (_, id) = members.iter().find(|(name, _)| name.eq_ignore_ascii_case("id"))?;
    id.as_str()?.parse().ok()
}
