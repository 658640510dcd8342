//! Counted uses of tokens. A use is a claim, or a read of the published protocol, which counts at once.
//!
//! Many use one token at the same time, so a use [releases the lock of the token early](Transaction::commit_early): the next one is decided by
//! what this one has left, and one flush makes both durable. Nobody is answered by what may be lost: whatever was
//! decided by what others have left, refusals too, waits for a commit. What only shows uses shows those on disk.

use serde::{Deserialize, Serialize};
use transport::access::{UnknownClaim, Uses, Verdict};
use transport::wire::backbone::token_terms::Claim;
use transport::wire::{ByteText, ClaimId, Timestamp, TokenId};

use super::token_reads::{self, Granted};
use super::tokens::{self, Asking, Looked, TokenRecord};
use super::{Record, Refusal, token_ledger};
use crate::core::Core;
use crate::error::StoreError;
use crate::store::{Key, Table, Transaction};

const USES: Table<UsesRecord> = Table::new("token-uses");

/// The uses of a token as they are stored. Most tokens have none.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsesRecord {
    pub(super) uses: Uses,
    /// When content was sent last under a claim, or as a counted use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_read_at: Option<Timestamp>,
}

/// What a token is read for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// To have its content, as in the published protocol: one use at once, if uses have a limit and the reader is neither the
    /// creator nor has read it before.
    Read,
    /// To have its content under a claim.
    Claimed(&'a ClaimId),
    /// To know whether it can be read. Only a wrong password counts.
    Look,
}

impl Purpose<'_> {
    /// Whether a read with this verdict leaves nothing behind. `is_counted` says whether it is one use without a claim.
    pub(super) fn changes_nothing(self, verdict: Verdict, is_counted: bool) -> bool {
        match self {
            Self::Read => verdict == Verdict::Show && !is_counted,
            Self::Look => matches!(verdict, Verdict::Show | Verdict::ShowAndAllocate) && !is_counted,
            Self::Claimed(_) => false,
        }
    }
}

/// Stores what a granted read leaves behind, before it is answered: a use, and an allocation if there `is_room` for one.
pub(super) async fn granted(granted: Granted<'_>, purpose: Purpose<'_>, is_room: bool) -> Result<TokenRecord, Refusal> {
    let Granted { core, mut transaction, token, is_exempt, reader } = granted;
    if let Purpose::Claimed(_) = purpose {
        check_usable(core, &token)?;
    }
    let (is_counted, now) = (token.is_counted && !is_exempt, core.now());
    let used = match purpose {
        Purpose::Look if !is_counted => return Ok(token),
        Purpose::Look => {
            let is_left = stored(&transaction, &token.id).await?.uses.remaining(now) != Some(0);
            return if is_left { Ok(token) } else { Err(not_found()) };
        }
        Purpose::Read if !is_counted => None,
        // The published clients know of no limit: for them the token is gone.
        Purpose::Read => {
            Some(take(&mut transaction, &token.id, now, |uses| uses.take(now).map_err(|_| not_found())).await?)
        }
        Purpose::Claimed(claim) => {
            let read = |uses: &mut Uses| uses.read(claim, now).map(drop).map_err(Refusal::from);
            Some(take(&mut transaction, &token.id, now, read).await?)
        }
    };
    match (used, reader.filter(|_| is_room)) {
        (Some(Err(refusal)), _) => return refused(transaction, refusal).await,
        // Not early: an allocation is not read as uses are.
        (_, Some(reader)) => token_ledger::allocate(core, transaction, &token.id, reader).await?,
        (Some(Ok(())), None) => transaction.commit_early().await?,
        (None, None) => {}
    }
    Ok(token)
}

/// Writes a use under which content is sent, if there is one.
async fn take(
    transaction: &mut Transaction<'_>,
    id: &TokenId,
    now: Timestamp,
    take: impl FnOnce(&mut Uses) -> Result<(), Refusal>,
) -> Result<Result<(), Refusal>, StoreError> {
    let mut record = load(transaction, id).await?;
    let taken = take(&mut record.uses);
    if taken.is_ok() {
        record.last_read_at = Some(now);
        transaction.put(&key(id), &record)?;
    }
    Ok(taken)
}

/// Refuses by what a transaction has read of uses, once that is durable.
async fn refused<T>(transaction: Transaction<'_>, refusal: Refusal) -> Result<T, Refusal> {
    transaction.commit_early().await?;
    Err(refusal)
}

/// Leases a use, or renews it if it was read. Sends nothing, so it leaves no allocation.
pub(crate) async fn claim(
    core: &Core,
    who: Asking<'_>,
    (id, claim): (&TokenId, &ClaimId),
    password: Option<&ByteText>,
) -> Result<Claim, Refusal> {
    token_reads::admit(core, who, password)?;
    let Granted { mut transaction, token, .. } = token_reads::judge(core, who, id, password).await?;
    token_reads::admit_claim(core, who, &token)?;
    check_usable(core, &token)?;
    let mut record = load(&mut transaction, id).await?;
    let lease = match record.uses.claim(claim, core.now()) {
        Ok(lease) => lease,
        Err(refusal) => return refused(transaction, refusal.into()).await,
    };
    transaction.put(&key(id), &record)?;
    transaction.commit_early().await?;
    Ok(Claim { id: claim.clone(), lease_ends_at: lease.ends_at, remaining: lease.remaining })
}

/// Nobody uses a token that is revoked or not valid yet. The creator, which may read it, is no exception: its node claims for those whom it
/// serves.
fn check_usable(core: &Core, token: &TokenRecord) -> Result<(), Refusal> {
    let is_early = token.not_before.is_some_and(|begin| begin > core.now());
    if is_early || token.revoked_at.is_some() { Err(not_found()) } else { Ok(()) }
}

/// Ends a use whose content was verified. Whoever knows the claim may, also after the expiry of the token.
pub(crate) async fn commit(core: &Core, who: Asking<'_>, id: &TokenId, claim: &ClaimId) -> Result<(), Refusal> {
    end(core, who, id, |uses, now| uses.commit(claim, now)).await
}

/// Gives a use back. It counts if content was sent under it.
pub(crate) async fn release(core: &Core, who: Asking<'_>, id: &TokenId, claim: &ClaimId) -> Result<(), Refusal> {
    end(core, who, id, |uses, now| uses.release(claim, now)).await
}

async fn end(
    core: &Core,
    who: Asking<'_>,
    id: &TokenId,
    end: impl FnOnce(&mut Uses, Timestamp) -> Result<(), UnknownClaim>,
) -> Result<(), Refusal> {
    token_reads::admit(core, who, None)?;
    let (mut transaction, Looked { token, is_there }) = tokens::looked_at(core, id).await?;
    if token_reads::attempt(core, &token, who.caller, false, None).is_withheld() || !is_there {
        return Err(not_found());
    }
    let mut record = load(&mut transaction, id).await?;
    let before = record.clone();
    if let Err(UnknownClaim) = end(&mut record.uses, core.now()) {
        // Answered like an unknown token: whoever guesses learns nothing.
        return refused(transaction, not_found()).await;
    }
    if record != before {
        transaction.put(&key(id), &record)?;
    }
    // Also if it had ended before: that may not be durable yet.
    Ok(transaction.commit_early().await?)
}

/// Uses whose receivers have not told that they have everything.
pub(crate) async fn unconfirmed(core: &Core, id: &TokenId) -> Result<u32, StoreError> {
    Ok(core.store.get(&key(id)).await?.map_or(0, |record| record.uses.unconfirmed()))
}

pub(super) fn put_new(transaction: &mut Transaction<'_>, id: &TokenId, uses: Uses) -> Result<(), StoreError> {
    transaction.put(&key(id), &UsesRecord { uses, last_read_at: None })
}

pub(super) fn delete(transaction: &mut Transaction<'_>, id: &TokenId) {
    transaction.delete(&key(id));
}

/// Uses of a token whose lock the transaction holds. It commits before anything is answered by them.
pub(super) async fn load(transaction: &mut Transaction<'_>, id: &TokenId) -> Result<UsesRecord, StoreError> {
    Ok(transaction.latest(&key(id)).await?.unwrap_or_default())
}

/// Uses as they are on disk, of a token whose lock the transaction holds: to show them, which needs no commit. Nothing may be decided by
/// them, because other uses may have been decided since.
pub(super) async fn stored(transaction: &Transaction<'_>, id: &TokenId) -> Result<UsesRecord, StoreError> {
    Ok(transaction.get(&key(id)).await?.unwrap_or_default())
}

pub(super) fn key(id: &TokenId) -> Key<UsesRecord> {
    USES.key().text(id)
}

fn not_found() -> Refusal {
    Refusal::NotFound(Record::Token)
}
