//! Terms of tokens beyond the published protocol. Their creator sets, reads and changes them, and revokes tokens.

use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer};
use transport::access::{MAX_FAILED_ATTEMPTS, Uses};
use transport::wire::backbone::token_terms::{MAX_USES, TokenTerms};
use transport::wire::{ByteText, Timestamp, TokenId};

use super::account::Account;
use super::token_uses::{self, UsesRecord};
use super::tokens::{self, NewToken, TokenRecord};
use super::{Caller, Record, Refusal};
use crate::core::Core;
use crate::store::Transaction;

/// Terms of a new token.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NewTerms {
    pub(super) not_before: Option<Timestamp>,
    max_uses: Option<i64>,
    strict_uses: bool,
}

/// A token to be created, with terms.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewTokenWithTerms {
    content: Option<ByteText>,
    expires_at: Timestamp,
    for_identity: Option<String>,
    password: Option<ByteText>,
    not_before: Option<Timestamp>,
    max_uses: Option<i64>,
    strict_uses: Option<bool>,
}

/// What changes of the terms. What is missing stays, `null` ends it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TermsChange {
    expires_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "present")]
    not_before: Option<Option<Timestamp>>,
    #[serde(default, deserialize_with = "present")]
    max_uses: Option<Option<i64>>,
}

impl NewTokenWithTerms {
    /// The token, and its terms beyond the published protocol.
    ///
    /// # Errors
    /// There is no content: an empty token belongs to whoever fills it, and terms would bind another creator.
    pub(crate) fn into_parts(self) -> Result<(NewToken, NewTerms), Refusal> {
        let Self { content, expires_at, for_identity, password, not_before, max_uses, strict_uses } = self;
        let terms = NewTerms { not_before, max_uses, strict_uses: strict_uses.unwrap_or_default() };
        if content.is_none() {
            return Err(Refusal::invalid("content", "is missing; send it with the terms"));
        }
        Ok((NewToken { content, expires_at, for_identity, password }, terms))
    }
}

impl NewTerms {
    /// Checks the terms of a token with this expiry. Returns its uses, if they have terms.
    pub(super) fn check(self, expires_at: Timestamp) -> Result<Option<Uses>, Refusal> {
        check_begin(self.not_before, expires_at)?;
        let limit = limit(self.max_uses)?;
        Ok((limit.is_some() || self.strict_uses).then(|| Uses::new(limit, self.strict_uses)))
    }
}

/// The terms of an own token, and how often it was used.
pub(crate) async fn read(core: &Core, caller: &Caller, id: &TokenId) -> Result<TokenTerms, Refusal> {
    // Under the lock, so that both are of the same change.
    let (transaction, token) = own(core, caller, id).await?;
    let record = token_uses::stored(&transaction, id).await?;
    Ok(to_wire(core, &token, &record))
}

/// Changes the terms of an own token.
pub(crate) async fn change(
    core: &Core,
    caller: &Caller,
    id: &TokenId,
    change: TermsChange,
) -> Result<TokenTerms, Refusal> {
    let (mut transaction, mut token) = own(core, caller, id).await?;
    let mut record = token_uses::load(&mut transaction, id).await?;
    if let Some(expires_at) = change.expires_at {
        transaction.delete(&tokens::expiry_key(&token));
        token.expires_at = allowed_expiry(core, caller, &token, expires_at).await?;
        transaction.put(&tokens::expiry_key(&token), &())?;
    }
    token.not_before = change.not_before.unwrap_or(token.not_before);
    check_begin(token.not_before, token.expires_at)?;
    if let Some(max_uses) = change.max_uses {
        record.uses.set_limit(limit(max_uses)?);
        token.is_counted = record.uses.limit().is_some();
        transaction.put(&token_uses::key(id), &record)?;
    }
    transaction.put(&tokens::key(id), &token)?;
    transaction.commit().await?;
    Ok(to_wire(core, &token, &record))
}

/// Revokes an own token: from now on nobody else can read it. It stays until it would have gone.
pub(crate) async fn revoke(core: &Core, caller: &Caller, id: &TokenId) -> Result<TokenTerms, Refusal> {
    let (mut transaction, mut token) = own(core, caller, id).await?;
    if token.revoked_at.is_none() {
        token.revoked_at = Some(core.now());
        transaction.put(&tokens::key(id), &token)?;
        transaction.commit().await?;
    } else {
        drop(transaction);
    }
    // Uses that were decided before this are on disk now, and none is decided behind it: a rotation takes them off the limit of the next token.
    let record = core.store.get(&token_uses::key(id)).await?.unwrap_or_default();
    Ok(to_wire(core, &token, &record))
}

/// An own token, under its lock. For all others it does not exist.
async fn own<'a>(core: &'a Core, caller: &Caller, id: &TokenId) -> Result<(Transaction<'a>, TokenRecord), Refusal> {
    let (transaction, token) = tokens::locked(core, id).await?;
    if token.is_created_by(caller) { Ok((transaction, token)) } else { Err(Refusal::NotFound(Record::Token)) }
}

/// Another expiry, as far from the creation as that of a new token may be: nobody keeps a token for longer by changing it.
async fn allowed_expiry(
    core: &Core,
    caller: &Caller,
    token: &TokenRecord,
    asked: Timestamp,
) -> Result<Timestamp, Refusal> {
    tokens::check_expiry(asked, core.now(), false)?;
    let account = Account::of(core, &caller.address).await?;
    let problem = "is later than guests may store anything; choose a date nearer to the creation of the token";
    let allowed = account.allowed_expiry(asked, token.created_at);
    let allowed = allowed.map_err(|_| Refusal::invalid("expiresAt", problem))?;
    if allowed > core.now() { Ok(allowed) } else { Err(Refusal::invalid("expiresAt", problem)) }
}

fn check_begin(not_before: Option<Timestamp>, expires_at: Timestamp) -> Result<(), Refusal> {
    if not_before.is_some_and(|begin| begin >= expires_at) {
        return Err(Refusal::invalid("notBefore", "must be before the expiry"));
    }
    Ok(())
}

fn limit(max_uses: Option<i64>) -> Result<Option<NonZeroU32>, Refusal> {
    let Some(max_uses) = max_uses else { return Ok(None) };
    let limit = u32::try_from(max_uses).ok().filter(|limit| *limit <= MAX_USES).and_then(NonZeroU32::new);
    limit
        .map(Some)
        .ok_or_else(|| Refusal::invalid("maxUses", format!("must be from 1 to {MAX_USES}, or absent for no limit")))
}

fn to_wire(core: &Core, token: &TokenRecord, record: &UsesRecord) -> TokenTerms {
    let (now, uses) = (core.now(), &record.uses);
    TokenTerms {
        expires_at: token.expires_at,
        not_before: token.not_before,
        max_uses: uses.limit().map(NonZeroU32::get),
        strict_uses: uses.is_strict(),
        committed_uses: uses.committed(now),
        leased_uses: uses.leased(now),
        failed_attempts: token.failed_attempts,
        is_locked: token.failed_attempts >= MAX_FAILED_ATTEMPTS,
        revoked_at: token.revoked_at,
        last_read_at: record.last_read_at,
    }
}

/// Reads a member that is there, be it `null`; for `deserialize_with`, beside `default` for what is missing.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use listener::Source;

    use super::super::identities::registered;
    use super::super::token_reads;
    use super::super::token_uses::Purpose;
    use super::super::tokens::Asking;
    use super::*;
    use crate::config::Config;
    use crate::error::StoreError;

    /// A token with one use.
    async fn token(core: &Core, creator: &Caller) -> TokenId {
        let content = Some(ByteText(b"content".to_vec()));
        let new = NewToken { content, expires_at: Timestamp::NEVER, for_identity: None, password: None };
        let terms = NewTerms { max_uses: Some(1), ..NewTerms::default() };
        let who = Asking { caller: Some(creator), source: Source::Loopback };
        tokens::create_with(core, who, new, terms).await.unwrap().id
    }

    #[tokio::test]
    async fn what_stores_nothing_is_answered_although_nothing_can_be_stored() {
        let core = Core::in_memory(Config::new("").with_client("client", "secret")).await;
        let creator = registered(&core, 1, "client").await;
        let [valid, revoked] = [token(&core, &creator).await, token(&core, &creator).await];
        let before = revoke(&core, &creator, &revoked).await.unwrap();
        core.store.close().await.unwrap();
        assert_eq!(read(&core, &creator, &valid).await.unwrap().max_uses, Some(1));
        assert_eq!(revoke(&core, &creator, &revoked).await.unwrap().revoked_at, before.revoked_at);
        let stopped = revoke(&core, &creator, &valid).await;
        assert!(matches!(stopped, Err(Refusal::Store(StoreError::Stopped(_)))));
        let anybody = Asking { caller: None, source: Source::Loopback };
        assert!(token_reads::read(&core, anybody, &valid, None, Purpose::Look).await.is_ok());
        let stopped = token_reads::read(&core, anybody, &valid, None, Purpose::Read).await;
        assert!(matches!(stopped, Err(Refusal::Store(StoreError::Stopped(_)))));
    }

    #[tokio::test]
    async fn a_revocation_tells_the_uses_that_were_still_being_stored_when_it_came() {
        let dir = tempfile::tempdir().unwrap();
        let core = Core::open(Config::new(dir.path()).with_client("client", "secret")).await.unwrap();
        let creator = registered(&core, 1, "client").await;
        let id = token(&core, &creator).await;
        let anybody = Asking { caller: None, source: Source::Loopback };
        let reading = token_reads::read(&core, anybody, &id, None, Purpose::Read);
        let (read, revoked) = tokio::join!(reading, revoke(&core, &creator, &id));
        read.unwrap();
        let revoked = revoked.unwrap();
        assert_eq!(revoked.committed_uses + revoked.leased_uses, 1);
    }
}
