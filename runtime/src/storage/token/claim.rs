//! Counted uses of file tokens.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use transport::access::{LEASE, Uses};
use transport::backbone::new_claim_id;
use transport::wire::{ClaimId, Timestamp};

use super::judge::{Facts, TokenRefusal, judge};
use super::record::{self, Named, TokenRecord};
use super::secret::PresentedToken;
use crate::core::Core;
use crate::storage::id::is_id;
use crate::storage::{StorageError, StorageId, StorageResult};
use crate::store::{Batch, View};

/// How long content can be had under a claim after it has begun to count. A URL with a claim in a history or a log is worth nothing then.
pub const READABLE_FOR: Duration = LEASE;

/// A use of a token: whoever knows it can go on with the use, together with the secret of the token. Its text is the id of the token
/// and the random id of the claim, separated by a period.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenClaimId {
    token: String,
    claim: ClaimId,
}

/// A use that is leased.
#[derive(Debug, Clone)]
pub struct TokenClaim {
    /// Under which content is asked for.
    pub id: TokenClaimId,
    /// The token.
    pub token: StorageId,
    /// The bucket of its file.
    pub bucket: StorageId,
    /// Its file.
    pub file: StorageId,
    /// Until when the use is leased. Each read under it renews that.
    pub lease_ends_at: Timestamp,
    /// Uses that are left for others; none without a limit.
    pub remaining: Option<u32>,
}

/// How a request for content is counted, if the uses of its token are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counting {
    /// It sends no content, so it is not.
    Nothing,
    /// It does not say.
    Unclaimed,
    /// As one use, whatever becomes of it once content is sent.
    Once,
    /// As a part of this use.
    Under(TokenClaimId),
}

impl TokenClaimId {
    /// A new claim, which nobody can guess.
    pub(crate) fn new(token: &str) -> Self {
        Self { token: token.to_owned(), claim: new_claim_id() }
    }

    /// The token that it is of.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn claim(&self) -> &ClaimId {
        &self.claim
    }
}

impl fmt::Display for TokenClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.token, self.claim)
    }
}

impl fmt::Debug for TokenClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClaimId").field("token", &self.token).finish_non_exhaustive()
    }
}

impl FromStr for TokenClaimId {
    type Err = StorageError;

    fn from_str(text: &str) -> StorageResult<Self> {
        let read = || {
            let (token, claim) = text.rsplit_once('.')?;
            Some(Self { token: Some(token).filter(|token| is_id(token))?.to_owned(), claim: claim.parse().ok()? })
        };
        read().ok_or_else(|| StorageError::argument("claim", "Value must be the id of a claim"))
    }
}

/// Leases a use of a token for whoever presents it.
pub(crate) async fn claim(core: &Core, presented: &PresentedToken) -> StorageResult<TokenClaim> {
    let now = core.clock.now();
    let lease = |view: &View<'_>| {
        let Named { token: found, secret_fits, mut uses } = record::presented(view, presented)?;
        let facts = Facts {
            terms: found.as_ref().map(|token| &token.terms),
            is_revoked: found.as_ref().is_some_and(|token| token.revoked_at.is_some()),
            secret_fits,
            endpoint: None,
            counting: &Counting::Once,
            uses: &uses,
            now,
        };
        if let Err(refusal) = judge(&facts) {
            return refused(refusal);
        }
        let token = found.ok_or(TokenRefusal::Invalid)?;
        let id = TokenClaimId::new(&token.id);
        let lease = match uses.claim(id.claim(), now) {
            Ok(lease) => lease,
            Err(none_left) => return refused(none_left.into()),
        };
        let mut batch = Batch::new();
        record::put_uses(&mut batch, &token, &uses)?;
        let claim = TokenClaim {
            id,
            token: StorageId::stored(&token.id),
            bucket: StorageId::stored(&token.bucket_id),
            file: StorageId::stored(&token.file_id),
            lease_ends_at: lease.ends_at,
            remaining: lease.remaining,
        };
        Ok::<_, StorageError>((batch, Ok(claim)))
    };
    Ok(core.store.change(lease).await??)
}

/// What a refusal stores, which is nothing. One that follows from uses waits until these are on disk, because they could be lost.
fn refused<T>(refusal: TokenRefusal) -> StorageResult<(Batch, Result<T, TokenRefusal>)> {
    match refusal {
        TokenRefusal::Exhausted | TokenRefusal::TooManyClaims | TokenRefusal::UnknownClaim => {
            Ok((Batch::new(), Err(refusal)))
        }
        other => Err(other.into()),
    }
}

/// Ends a use: it counts. Again, it changes nothing.
pub(crate) async fn commit(core: &Core, claim: &TokenClaimId) -> StorageResult<()> {
    let now = core.clock.now();
    let end = |view: &View<'_>| {
        let token = record::find(view, claim.token())?.filter(|token| token.revoked_at.is_none());
        let token = token.ok_or(StorageError::ClaimNotFound)?;
        let mut uses = record::uses_of(view, &token)?;
        uses.commit(claim.claim(), now).map_err(|_| StorageError::ClaimNotFound)?;
        let mut batch = Batch::new();
        record::put_uses(&mut batch, &token, &uses)?;
        Ok::<_, StorageError>((batch, ()))
    };
    core.store.change(end).await
}

/// Whether content can be had under a claim of a token with a limit. An id that nobody was given uses nothing: it may stand in a URL, and whatever looks
/// at that must not use up the token. Nor is anything had under a claim that has counted for [`READABLE_FOR`].
pub(crate) fn check_claim(uses: &Uses, claim: &TokenClaimId, now: Timestamp) -> Result<(), TokenRefusal> {
    if !uses.knows(claim.claim(), now) {
        return Err(TokenRefusal::UnknownClaim);
    }
    let since = uses.counts_since(claim.claim(), now);
    let is_over = since.is_some_and(|since| since.saturating_add(READABLE_FOR) <= now);
    if is_over { Err(TokenRefusal::Exhausted) } else { Ok(()) }
}

/// Reserves the use that a request for content is, unless nothing has to be counted durably. It is on disk when this returns. Says whether
/// the request is the first one of the use.
pub(crate) async fn pay(core: &Core, token: &TokenRecord, counting: &Counting) -> StorageResult<bool> {
    match counting {
        // Nothing is stored for these: they neither wait for what others store, nor end with a disk that takes nothing more.
        Counting::Nothing => current(&core.store.view(), token).map(|_| false),
        Counting::Unclaimed => match current(&core.store.view(), token)?.terms.max_downloads {
            Some(_) => Err(TokenRefusal::ClaimRequired.into()),
            None => Ok(false),
        },
        Counting::Once => reserve(core, token, |uses, now| Ok(uses.take(now).map(|()| true)?)).await,
        Counting::Under(claim) => reserve(core, token, |uses, now| use_under(uses, claim, now)).await,
    }
}

/// A request under a claim. Says whether it is the first one.
fn use_under(uses: &mut Uses, claim: &TokenClaimId, now: Timestamp) -> Result<bool, TokenRefusal> {
    if uses.limit().is_some() {
        check_claim(uses, claim, now)?;
    }
    let is_first = !uses.was_read(claim.claim());
    let _ = uses.read(claim.claim(), now)?;
    Ok(is_first)
}

/// The token as it is stored, unless its secret was replaced, or it was revoked or deleted meanwhile.
pub(crate) fn current(view: &View<'_>, token: &TokenRecord) -> StorageResult<TokenRecord> {
    let is_same = |stored: &TokenRecord| stored.generation == token.generation && stored.revoked_at.is_none();
    Ok(record::at(view, token.number)?.filter(is_same).ok_or(TokenRefusal::Invalid)?)
}

/// Stores a use of a token. Says whether the request is the first one of it.
async fn reserve(
    core: &Core,
    token: &TokenRecord,
    count: impl FnOnce(&mut Uses, Timestamp) -> Result<bool, TokenRefusal>,
) -> StorageResult<bool> {
    let now = core.clock.now();
    let reserve = |view: &View<'_>| {
        let token = current(view, token)?;
        let mut uses = record::uses_of(view, &token)?;
        let is_first = match count(&mut uses, now) {
            Ok(is_first) => is_first,
            Err(refusal) => return refused(refusal),
        };
        let mut batch = Batch::new();
        record::put_uses(&mut batch, &token, &uses)?;
        Ok::<_, StorageError>((batch, Ok(is_first)))
    };
    Ok(core.store.change(reserve).await??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_names_its_token_and_is_not_printed() {
        let claim = TokenClaimId::new("a.b");
        assert_eq!(claim.token(), "a.b");
        assert_eq!(claim.to_string().parse::<TokenClaimId>().unwrap(), claim);
        assert!(!format!("{claim:?}").contains(&claim.claim().to_string()));
        for text in ["", ".", "a.", "a", "auto", ".CLM00000000000000000", "a.CLM0", "a/b.CLM00000000000000000"] {
            assert!(text.parse::<TokenClaimId>().is_err(), "{text}");
        }
    }
}
