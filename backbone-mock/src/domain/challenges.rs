//! Challenges: fresh texts that are signed to prove possession of a key.
//!
//! A challenge can be used once. Only a successful request consumes it, so a refused one can be repeated with it.
//!
//! Challenges that are created without a login are not stored: their [ids](mod@challenge_id) contain everything, and only those that
//! were used are stored, until they expire. Challenges of logged-in devices are stored, because every caller may ask who
//! created them, and count towards the quota of their identity.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use transport::wire::backbone::challenges as wire;
use transport::wire::{Address, ChallengeId, DeviceId, Timestamp};

use super::account::{self, Account};
use super::proof::{IdentityKey, SignedBytes};
use super::{Caller, EXPIRIES, REMOVALS, Record, Refusal, Rule, expiring};
use crate::challenge_id;
use crate::core::Core;
use crate::error::StoreError;
use crate::quota::Metric;
use crate::rates::Operation;
use crate::secrets::new_id;
use crate::store::{Change, Key, STEP, Store, Table, Transaction};
use listener::Source;

const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// How long after its expiry a challenge can still be read.
const READABLE_AFTER_EXPIRY: Duration = Duration::from_secs(60 * 60);

const CHALLENGES: Table<ChallengeRecord> = Table::new("challenge");
/// Challenges without a creator that were used.
const USED: Table<()> = Table::new("challenge-used");

/// A challenge as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChallengeRecord {
    pub(crate) id: ChallengeId,
    pub(crate) expires_at: Timestamp,
    pub(crate) created_by: Option<Address>,
    pub(crate) created_by_device: Option<DeviceId>,
    consumed: bool,
}

impl ChallengeRecord {
    fn of_nobody(id: ChallengeId, expires_at: Timestamp) -> Self {
        Self { id, expires_at, created_by: None, created_by_device: None, consumed: false }
    }

    fn gone_at(&self) -> Timestamp {
        self.expires_at.saturating_add(READABLE_AFTER_EXPIRY)
    }

    /// Whether it cannot be read any more: the next sweep removes it.
    fn is_gone(&self, now: Timestamp) -> bool {
        self.gone_at() <= now
    }

    fn removal(&self) -> Key<()> {
        REMOVALS.key().time(self.gone_at()).text(expiring::CHALLENGE).text(&self.id)
    }
}

/// Creates a challenge.
pub(crate) async fn create(core: &Core, caller: Option<Caller>, source: Source) -> Result<ChallengeRecord, Refusal> {
    let expires_at = core.now().saturating_add(LIFETIME);
    let Some(Caller { address, device }) = caller else {
        core.allowances.take(Operation::Challenge, source)?;
        let (id, expires_at) = challenge_id::issue(&core.key, &core.serials, expires_at);
        return Ok(ChallengeRecord::of_nobody(id, expires_at));
    };
    let account = Account::of(core, &address).await?;
    let challenge = ChallengeRecord {
        id: new_id(),
        expires_at,
        created_by: Some(address),
        created_by_device: Some(device),
        consumed: false,
    };
    let mut transaction = core.store.begin();
    account.charge(&mut transaction, &cost())?;
    transaction.put(&key(&challenge.id), &challenge)?;
    transaction.put(&challenge.removal(), &())?;
    transaction.commit().await?;
    Ok(challenge)
}

/// What a stored challenge adds to usage.
pub(crate) fn cost() -> Change {
    Change::more(Metric::Challenges, 1)
}

/// The key that all stored challenges start with.
pub(crate) fn table() -> Key<ChallengeRecord> {
    CHALLENGES.key()
}

/// Reads a challenge. Every caller may.
pub(crate) async fn read(core: &Core, id: &ChallengeId) -> Result<ChallengeRecord, Refusal> {
    let now = core.now();
    let of_nobody = || Some(ChallengeRecord::of_nobody(id.clone(), challenge_id::expiry(&core.key, id)?));
    core.store
        .get(&key(id))
        .await?
        .or_else(of_nobody)
        .filter(|challenge| now < challenge.expires_at.saturating_add(READABLE_AFTER_EXPIRY))
        .ok_or(Refusal::NotFound(Record::Challenge))
}

/// Removes a challenge that expired long ago.
pub(crate) async fn remove(transaction: &mut Transaction<'_>, id: &ChallengeId) -> Result<(), StoreError> {
    let Some(challenge) = transaction.get(&key(id)).await? else { return Ok(()) };
    if let Some(creator) = &challenge.created_by {
        account::release(transaction, creator, cost()).await?;
    }
    delete(transaction, &challenge);
    Ok(())
}

/// Removes unreadable challenges from a store whose records are not counted yet. Earlier versions kept them for a month, and
/// they must not count towards a quota for so long.
pub(crate) async fn remove_uncounted(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let mut from = CHALLENGES.key();
    loop {
        let step = store.scan(&CHALLENGES.key(), &from, STEP).await?;
        let Some(last) = step.last() else { return Ok(()) };
        from = CHALLENGES.key().after(&last.rest);
        let mut transaction = store.begin();
        for challenge in step.iter().map(|entry| &entry.record).filter(|challenge| challenge.is_gone(now)) {
            delete(&mut transaction, challenge);
        }
        transaction.commit().await?;
    }
}

/// Stores a challenge as earlier versions did.
#[cfg(test)]
pub(crate) async fn keep_for_a_month(core: &Core, caller: &Caller, expires_at: Timestamp) {
    let Caller { address, device } = caller.clone();
    let (created_by, created_by_device) = (Some(address), Some(device));
    let challenge = ChallengeRecord { id: new_id(), expires_at, created_by, created_by_device, consumed: false };
    let mut transaction = core.store.begin();
    transaction.put(&key(&challenge.id), &challenge).unwrap();
    transaction.put(&EXPIRIES.key().time(expires_at).text(expiring::CHALLENGE).text(&challenge.id), &()).unwrap();
    transaction.commit().await.unwrap();
}

fn delete(transaction: &mut Transaction<'_>, challenge: &ChallengeRecord) {
    // Earlier versions kept challenges for a month.
    transaction.delete(&EXPIRIES.key().time(challenge.expires_at).text(expiring::CHALLENGE).text(&challenge.id));
    transaction.delete(&challenge.removal());
    transaction.delete(&key(&challenge.id));
}

/// Removes the record of a used challenge that has expired.
pub(crate) fn forget_use(transaction: &mut Transaction<'_>, id: &ChallengeId) {
    transaction.delete(&USED.key().text(id));
}

/// A signed challenge whose signature is not verified yet.
pub(crate) struct UnverifiedChallenge {
    text: String,
    id: ChallengeId,
    signature: SignedBytes,
}

/// Proof that the signature was verified. Only this can be spent.
pub(crate) struct SignedBy {
    id: ChallengeId,
}

impl UnverifiedChallenge {
    /// Parses the text and the signature.
    pub(crate) fn parse(sent: wire::SignedChallenge) -> Result<Self, Refusal> {
        let text = sent.challenge;
        let signature = SignedBytes::parse(&sent.signature.0)
            .ok_or_else(|| Refusal::invalid("signature", "not the JSON text of a signature"))?;
        let id =
            id_in(&text).ok_or_else(|| Refusal::invalid("challenge", "not the JSON text of a challenge with an id"))?;
        Ok(Self { text, id, signature })
    }

    /// The name to lock before the challenge is spent.
    pub(crate) fn lock_name(&self) -> &str {
        self.id.as_str()
    }

    /// Verifies the signature.
    pub(crate) fn verify(&self, key: &IdentityKey) -> Result<SignedBy, Refusal> {
        if key.has_signed(&self.text, &self.signature) {
            Ok(SignedBy { id: self.id.clone() })
        } else {
            Err(Rule::InvalidSignature.into())
        }
    }
}

impl SignedBy {
    /// Checks that the challenge could be spent now, by the identity that it is for.
    ///
    /// # Errors
    /// As [`SignedBy::spend`].
    pub(crate) async fn check(&self, core: &Core, now: Timestamp) -> Result<(), Refusal> {
        let challenge = read(core, &self.id).await?;
        let is_used = challenge.consumed || core.store.contains(&USED.key().text(&self.id)).await?;
        if is_used || challenge.expires_at <= now { Err(Rule::ChallengeHasExpired.into()) } else { Ok(()) }
    }

    /// Consumes the challenge in the transaction that it authorizes. A challenge that a logged-in device created can only be used
    /// for the identity of that device.
    pub(crate) async fn spend(
        &self,
        core: &Core,
        transaction: &mut Transaction<'_>,
        identity: &Address,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(challenge) = transaction.get(&key(&self.id)).await? else {
            return self.spend_of_nobody(core, transaction, now).await;
        };
        let mut challenge = Some(challenge)
            .filter(|challenge| challenge.created_by.as_ref().is_none_or(|creator| creator == identity))
            .ok_or(Refusal::NotFound(Record::Challenge))?;
        if challenge.consumed || challenge.expires_at <= now {
            return Err(Rule::ChallengeHasExpired.into());
        }
        challenge.consumed = true;
        transaction.put(&key(&self.id), &challenge)?;
        Ok(())
    }

    async fn spend_of_nobody(
        &self,
        core: &Core,
        transaction: &mut Transaction<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let expires_at = challenge_id::expiry(&core.key, &self.id)
            .filter(|expires_at| now < expires_at.saturating_add(READABLE_AFTER_EXPIRY))
            .ok_or(Refusal::NotFound(Record::Challenge))?;
        let used = USED.key().text(&self.id);
        if expires_at <= now || transaction.get(&used).await?.is_some() {
            return Err(Rule::ChallengeHasExpired.into());
        }
        transaction.put(&used, &())?;
        Ok(transaction.put(&REMOVALS.key().time(expires_at).text(expiring::USED_CHALLENGE).text(&self.id), &())?)
    }
}

fn key(id: &ChallengeId) -> Key<ChallengeRecord> {
    CHALLENGES.key().text(id)
}

/// The `id` in the JSON text of a challenge; the name may be in any case.
fn id_in(text: &str) -> Option<ChallengeId> {
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    let (_, id) = members.iter().find(|(name, _)| name.eq_ignore_ascii_case("id"))?;
    id.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    async fn rows(core: &Core) -> usize {
        let keys = core.store.keys(&CHALLENGES.key(), &CHALLENGES.key(), 10).await.unwrap().len();
        let used = core.store.keys(&USED.key(), &USED.key(), 10).await.unwrap().len();
        keys + used + core.store.keys(&REMOVALS.key(), &REMOVALS.key(), 10).await.unwrap().len()
    }

    #[tokio::test]
    async fn only_used_challenges_without_a_login_are_stored_until_they_expire() {
        let core = Core::in_memory(Config::new("")).await;
        let mut challenge = create(&core, None, Source::Loopback).await.unwrap();
        for _ in 0..100 {
            challenge = create(&core, None, Source::Loopback).await.unwrap();
        }
        assert_eq!(rows(&core).await, 0);
        let identity = format!("did:e:localhost:dids:{}", "a".repeat(22)).parse().unwrap();
        let proof = SignedBy { id: challenge.id.clone() };
        let spend = async |now| {
            let mut transaction = core.store.begin();
            let spent = proof.spend(&core, &mut transaction, &identity, now).await;
            transaction.commit().await.unwrap();
            spent
        };
        let expired = |refused| matches!(refused, Err(Refusal::Rule { rule: Rule::ChallengeHasExpired, .. }));
        assert!(expired(spend(challenge.expires_at).await));
        spend(core.now()).await.unwrap();
        assert!(expired(spend(core.now()).await), "it serves once");
        assert_eq!(rows(&core).await, 2);
        forget_use_when(&core, challenge.expires_at).await;
        assert!(expired(spend(challenge.expires_at).await), "what is forgotten has expired");
    }

    async fn forget_use_when(core: &Core, expires_at: Timestamp) {
        let until = REMOVALS.key().time(expires_at.saturating_add(Duration::from_secs(1)));
        let due = core.store.keys_before(&REMOVALS.key(), &REMOVALS.key(), &until, 10).await.unwrap();
        assert_eq!(due.len(), 1, "it can be forgotten as soon as it expires");
        let used = core.store.keys(&USED.key(), &USED.key(), 10).await.unwrap();
        let mut transaction = core.store.begin();
        for rest in used {
            transaction.delete(&USED.key().with_rest(&rest));
        }
        transaction.commit().await.unwrap();
    }
}
