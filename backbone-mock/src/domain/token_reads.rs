//! Reading a token: who may, and what attempts count.

use transport::access::{Attempt, Outcome, Verdict};
use transport::wire::backbone::tokens::Token;
use transport::wire::{ByteText, TokenId};

use super::token_ledger::TokenLedger;
use super::token_uses::{self, Purpose};
use super::tokens::{Asking, Looked, TokenRecord, allocation_key, check_password_length, key, looked_at, to_wire};
use super::{Caller, Record, Refusal, Rule};
use crate::caller::Sender;
use crate::core::Core;
use crate::error::StoreError;
use crate::rates::{Guesser, Operation};
use crate::store::Transaction;

/// Returns a token if the sender may read it, and stores what follows from `purpose`.
pub(crate) async fn read(
    core: &Core,
    who: Asking<'_>,
    id: &TokenId,
    password: Option<&ByteText>,
    purpose: Purpose<'_>,
) -> Result<Token, Refusal> {
    admit(core, who, password)?;
    let caller = who.caller;
    // Most reads change nothing and need no lock. Passwords are checked under the lock only, because attempts that are checked
    // at the same time count.
    let Looked { token, is_there } = Looked::at(core.store.get(&key(id)).await?)?;
    let is_allocated = is_allocated(core, caller, id).await?;
    let unlocked = attempt(core, &token, caller, is_allocated, None);
    let is_exempt = unlocked.is_exempt();
    if is_there
        && (token.password.is_none() || is_exempt)
        && purpose.changes_nothing(unlocked.judge(), token.is_counted && !is_exempt)
    {
        return to_wire(core, token).await;
    }
    let granted = judge(core, who, id, password).await?;
    if let Purpose::Claimed(_) = purpose {
        admit_claim(core, who, &granted.token)?;
    }
    let token = match token_uses::granted(granted, purpose, true).await {
        // There is no room for an allocation, so the identity gets the token without one.
        Err(Refusal::Store(StoreError::Quota(_) | StoreError::Full(_))) => {
            token_uses::granted(judge(core, who, id, password).await?, purpose, false).await?
        }
        outcome => outcome?,
    };
    to_wire(core, token).await
}

/// What comes before an attempt to read a token, whatever it is.
pub(super) fn admit(core: &Core, who: Asking<'_>, password: Option<&ByteText>) -> Result<(), Refusal> {
    password.map_or(Ok(()), check_password_length)?;
    if who.caller.is_none() {
        core.allowances.take(Operation::AnonymousRead, who.source)?;
    }
    Ok(())
}

/// What comes before a claim that would be granted. Each is stored, so a login does not allow any number of them. The creator is not
/// counted, because its node claims for those whom it serves.
pub(super) fn admit_claim(core: &Core, who: Asking<'_>, token: &TokenRecord) -> Result<(), Refusal> {
    match who.caller {
        Some(caller) if !token.is_created_by(caller) => {
            Ok(core.allowances.take_claim(Sender::of(who.source, Some(caller)))?)
        }
        _ => Ok(()),
    }
}

/// An attempt to read a token that is granted, under the lock of the token.
pub(super) struct Granted<'a> {
    pub(super) core: &'a Core,
    pub(super) transaction: Transaction<'a>,
    pub(super) token: TokenRecord,
    /// Whether the caller is the creator or has read it before.
    pub(super) is_exempt: bool,
    /// Who reads it for the first time.
    pub(super) reader: Option<&'a Caller>,
}

/// Judges an attempt to read a token, under its lock. What a refusal leaves behind is stored.
pub(super) async fn judge<'a>(
    core: &'a Core,
    who: Asking<'a>,
    id: &TokenId,
    password: Option<&ByteText>,
) -> Result<Granted<'a>, Refusal> {
    let caller = who.caller;
    let (transaction, Looked { token, is_there }) = looked_at(core, id).await?;
    let is_allocated = is_allocated(core, caller, id).await?;
    let attempt = attempt(core, &token, caller, is_allocated, password);
    let is_exempt = attempt.is_exempt();
    let verdict = Some(attempt.judge()).filter(|_| is_there).unwrap_or(Verdict::Hide);
    if !is_exempt {
        check_guesses(core, who.guesser(), &token, verdict)?;
    }
    let reader = match verdict {
        Verdict::Show => None,
        Verdict::ShowAndAllocate => caller,
        Verdict::Hide | Verdict::Locked | Verdict::WrongPassword => {
            let ledger = TokenLedger { core, transaction, token: &token, caller, guesser: who.guesser() };
            return Err(refused(verdict.settle(&attempt, ledger).await?));
        }
    };
    Ok(Granted { core, transaction, token, is_exempt, reader })
}

/// Refuses a password, right or wrong, from a sender who has tried too many wrong ones. Does not count it.
pub(super) fn check_guesses(
    core: &Core,
    guesser: Guesser,
    token: &TokenRecord,
    verdict: Verdict,
) -> Result<(), Refusal> {
    match verdict.answers_password(token.password.is_some()) {
        true => Ok(core.guesses.check(guesser, &token.id)?),
        false => Ok(()),
    }
}

/// The refusal of an attempt that is not granted.
pub(super) fn refused(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Locked => Rule::TooManyFailedPasswordAttempts.into(),
        Outcome::NotFound | Outcome::Granted => Refusal::NotFound(Record::Token),
    }
}

pub(super) fn attempt<'a>(
    core: &Core,
    token: &'a TokenRecord,
    caller: Option<&'a Caller>,
    is_allocated: bool,
    password: Option<&ByteText>,
) -> Attempt<'a> {
    let password_fits = match (&token.password, password) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(stored), Some(given)) => core.key.is_token_password(token.id.as_str(), &given.0, stored),
    };
    Attempt {
        caller: caller.map(|caller| &caller.address),
        creator: token.created_by.as_ref(),
        is_allocated,
        for_identity: token.for_identity.as_ref(),
        password_fits,
        failed_attempts: token.failed_attempts,
        not_before: token.not_before,
        expires_at: token.expires_at,
        is_revoked: token.revoked_at.is_some(),
        now: core.now(),
    }
}

pub(super) async fn is_allocated(core: &Core, caller: Option<&Caller>, id: &TokenId) -> Result<bool, StoreError> {
    match caller {
        Some(caller) => core.store.contains(&allocation_key(id, &caller.address)).await,
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::future::join_all;
    use futures_util::poll;
    use transport::access::MAX_FAILED_ATTEMPTS;

    use listener::Source;
    use transport::wire::Timestamp;

    use super::*;
    use crate::config::Config;
    use crate::secrets::new_id;
    use crate::store::Content;
    use crate::store::WORK;

    const RIGHT: &[u8] = b"right";
    const ANONYMOUS: Asking<'_> = Asking { caller: None, source: Source::Loopback };

    async fn core_with_protected_token() -> (Core, TokenId) {
        let mut config = Config::new("");
        config.limits.wrong_passwords = 0;
        let core = Core::in_memory(config).await;
        let id: TokenId = new_id();
        let token = TokenRecord {
            id: id.clone(),
            created_by: Some(format!("did:e:localhost:dids:{}", "a".repeat(22)).parse().unwrap()),
            created_by_device: Some(new_id()),
            for_identity: None,
            created_at: core.now(),
            expires_at: Timestamp::NEVER,
            content: Some(Content::Inline(ByteText(b"content".to_vec()))),
            password: Some(core.key.token_password(id.as_str(), RIGHT)),
            failed_attempts: 0,
            not_before: None,
            revoked_at: None,
            is_counted: false,
        };
        let mut transaction = core.store.begin();
        transaction.put(&key(&id), &token).unwrap();
        transaction.commit().await.unwrap();
        (core, id)
    }

    #[tokio::test]
    async fn a_token_that_is_not_there_costs_the_reads_of_a_hidden_one_and_is_refused() {
        let (core, hidden) = core_with_protected_token().await;
        let mut transaction = core.store.begin();
        let mut token = transaction.get(&key(&hidden)).await.unwrap().unwrap();
        (token.password, token.revoked_at) = (None, Some(core.now()));
        transaction.put(&key(&hidden), &token).unwrap();
        transaction.commit().await.unwrap();
        let claim = new_id();
        for purpose in [Purpose::Read, Purpose::Look, Purpose::Claimed(&claim)] {
            let mut costs = Vec::new();
            for id in [&hidden, &new_id()] {
                let _ = WORK.take();
                let refusal = read(&core, ANONYMOUS, id, None, purpose).await.unwrap_err();
                assert!(matches!(refusal, Refusal::NotFound(Record::Token)), "{refusal}");
                let read = WORK.take();
                assert!(token_uses::claim(&core, ANONYMOUS, (id, &claim), None).await.is_err());
                let claimed = WORK.take();
                assert!(token_uses::commit(&core, ANONYMOUS, id, &claim).await.is_err());
                costs.push([read, claimed, WORK.take()]);
            }
            assert_eq!(costs[0], costs[1], "{purpose:?}");
            assert!(costs[0].iter().all(|cost| cost.decoded > 0), "{costs:?}");
        }
    }

    #[tokio::test]
    async fn a_password_is_not_checked_while_another_attempt_is_counted() {
        let (core, id) = core_with_protected_token().await;
        let mut others = core.store.begin();
        others.lock_records(&[id.as_str()]).await.unwrap();
        let right = ByteText(RIGHT.to_vec());
        let mut guess = std::pin::pin!(read(&core, ANONYMOUS, &id, Some(&right), Purpose::Read));
        assert!(matches!(poll!(&mut guess), Poll::Pending), "the right password is judged beside the lock");
        let mut token = others.get(&key(&id)).await.unwrap().unwrap();
        token.failed_attempts = MAX_FAILED_ATTEMPTS;
        others.put(&key(&id), &token).unwrap();
        others.commit().await.unwrap();
        let refusal = guess.await.unwrap_err();
        assert!(matches!(refusal, Refusal::Rule { rule: Rule::TooManyFailedPasswordAttempts, .. }), "{refusal}");
    }

    #[tokio::test]
    async fn of_400_parallel_wrong_passwords_exactly_100_are_checked() {
        let (core, id) = core_with_protected_token().await;
        let wrong = ByteText(b"wrong".to_vec());
        let outcomes = join_all((0..400).map(|_| read(&core, ANONYMOUS, &id, Some(&wrong), Purpose::Read))).await;
        let is_locked = |outcome: &Result<Token, Refusal>| {
            matches!(outcome, Err(Refusal::Rule { rule: Rule::TooManyFailedPasswordAttempts, .. }))
        };
        // The hundredth wrong password is checked, and its answer says that the token is locked.
        assert_eq!(outcomes.iter().filter(|outcome| !is_locked(outcome)).count(), 99);
        let stored = core.store.get(&key(&id)).await.unwrap().unwrap();
        assert_eq!(stored.failed_attempts, MAX_FAILED_ATTEMPTS);
    }
}
