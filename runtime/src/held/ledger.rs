//! Who may load a held token, and what an attempt counts: the rules of [`transport::access`] over the node's store.

use std::sync::Arc;

use tracing::{debug, info};
use transport::access::{Attempt, FailedAttempt, Ledger, Verdict};
use transport::peer::{Caller, Refusal};
use transport::wire::{DeviceId, TokenId};

use super::record::LedgerRecord;
use super::recorded::Recorded;
use super::{HeldToken, MAX_READERS, recorded};
use crate::Error;
use crate::blocking::joined;
use crate::core::{Core, KeyGuard};
use crate::event::Event;
use crate::logging::short;
use crate::store::{Batch, Store, StoreError, View};
use crate::token::{Ending, Revocation};

/// A token that a caller may load.
pub(super) struct Granted {
    pub(super) token: HeldToken,
    /// The device that made it.
    pub(super) device: DeviceId,
}

/// The token with this id, if the caller may load it. What the attempt counts is on disk when this returns.
pub(super) async fn access(core: &Core, id: &TokenId, caller: &Caller<'_>) -> Result<Granted, Refusal> {
    let judged = match recorded(core, id) {
        Ok(Some(found)) => Ok(recorded::judge(found, core.account.address(), caller)),
        Ok(None) => {
            judge(core, id, caller).await.map_err(Error::from).map(|judged| judged.map(|token| own(core, token)))
        }
        Err(error) => Err(error),
    };
    judged.unwrap_or_else(|error| {
        debug!(%error, token = short(id), "an attempt to load a token cannot be judged");
        Err(Refusal::Unavailable)
    })
}

fn own(core: &Core, token: HeldToken) -> Granted {
    Granted { token, device: core.account.device_id().clone() }
}

/// A token of another device. One that is held is one of this device, whatever the datawallet says.
fn recorded(core: &Core, id: &TokenId) -> Result<Option<Recorded>, Error> {
    let view = core.store.view();
    if HeldToken::stored(&view, id)?.is_some() { Ok(None) } else { recorded::find(core, &view, id) }
}

/// Whether this device has revoked the token. Each piece of a content that is sent by it asks this.
pub(super) fn is_revoked(core: &Core, id: &TokenId) -> Result<bool, StoreError> {
    Ok(Revocation::stored(&core.store.view(), id)?.is_some())
}

/// Whether peers get the token from this node: from what it holds, or from what the datawallet says of it.
pub(crate) fn is_offered(core: &Core, id: &TokenId) -> crate::Result<bool> {
    if core.config.peers.is_none() {
        return Ok(false);
    }
    let view = core.store.view();
    Ok(HeldToken::stored(&view, id)?.is_some() || recorded::find(core, &view, id)?.is_some())
}

/// Lets others try passwords again.
pub(crate) async fn unlock(core: &Core, id: &TokenId) -> Result<(), StoreError> {
    let guard = core.held.judging.hold(id.clone()).await;
    let reset = |ledger: LedgerRecord| LedgerRecord { failed_attempts: 0, ..ledger };
    Entry { store: core.store.clone(), id: id.clone(), guard }.change(move |_, _, ledger| Ok(reset(ledger))).await?;
    core.held.guesses.forget(id);
    Ok(())
}

async fn judge(core: &Core, id: &TokenId, caller: &Caller<'_>) -> Result<Result<HeldToken, Refusal>, StoreError> {
    // Most reads change nothing and need no lock. Passwords are checked under the lock only, because attempts that are checked
    // at the same time count.
    let Some(found) = Found::of(core, id, caller)? else { return Ok(Err(Refusal::NotFound)) };
    let unlocked = found.attempt(core, caller, found.token.password.is_none());
    if unlocked.judge() == Verdict::Show {
        return Ok(Ok(found.token));
    }
    let guard = core.held.judging.hold(id.clone()).await;
    let Some(found) = Found::of(core, id, caller)? else { return Ok(Err(Refusal::NotFound)) };
    let password_fits = caller.password_fits(id, found.token.password.as_ref());
    let attempt = found.attempt(core, caller, password_fits);
    let verdict = attempt.judge();
    let is_asked = !attempt.is_exempt() && verdict.answers_password(found.token.password.is_some());
    // The same answer to right and wrong ones, so nothing is learned from it.
    if is_asked && core.held.guesses.check(caller, id).is_err() {
        return Ok(Err(Refusal::Busy));
    }
    let entry = Entry { store: core.store.clone(), id: id.clone(), guard };
    let ledger = NodeLedger { core, entry, token: &found.token, caller };
    let outcome = verdict.settle(&attempt, ledger).await?;
    Ok(Refusal::unless_granted(outcome).map(|()| found.token))
}

/// A token and what is known of who asks for it.
struct Found {
    token: HeldToken,
    ledger: LedgerRecord,
    ending: Ending,
    is_allocated: bool,
}

impl Found {
    fn of(core: &Core, id: &TokenId, caller: &Caller<'_>) -> Result<Option<Self>, StoreError> {
        let view = core.store.view();
        let Some(token) = HeldToken::stored(&view, id)? else { return Ok(None) };
        let is_allocated = match caller.address() {
            Some(reader) => token.is_read_by(&view, id, reader)?,
            None => false,
        };
        let ending = Ending::of(&view, id, token.expires_at, caller.now())?;
        Ok(Some(Self { ledger: HeldToken::ledger(&view, id)?, token, ending, is_allocated }))
    }

    fn attempt<'a>(&'a self, core: &'a Core, caller: &Caller<'a>, password_fits: bool) -> Attempt<'a> {
        Attempt {
            caller: caller.address(),
            creator: Some(core.account.address()),
            is_allocated: self.is_allocated,
            for_identity: self.token.for_identity.as_ref(),
            password_fits,
            failed_attempts: self.ledger.failed_attempts,
            not_before: None,
            expires_at: self.ending.expires_at,
            is_revoked: self.ending.is_revoked,
            now: caller.now(),
        }
    }
}

/// The place of a ledger in the store, under the lock of its token.
struct Entry {
    store: Arc<Store>,
    id: TokenId,
    guard: KeyGuard,
}

impl Entry {
    /// Replaces a ledger; not if the token was removed meanwhile. The lock is held until that is on disk, also if the caller has gone:
    /// otherwise the next attempt would be judged by what was before.
    async fn change(
        self,
        change: impl FnOnce(&HeldToken, &mut Batch, LedgerRecord) -> Result<LedgerRecord, StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let mut stored = tokio::spawn(async move {
            let Self { store, id, guard } = self;
            let build = |view: &View<'_>| {
                let mut batch = Batch::new();
                if let Some(token) = HeldToken::stored(view, &id)? {
                    let ledger = change(&token, &mut batch, HeldToken::ledger(view, &id)?)?;
                    HeldToken::put_ledger(&mut batch, &id, ledger)?;
                }
                Ok::<_, StoreError>((batch, ()))
            };
            let outcome = store.change(build).await;
            drop(guard);
            outcome
        });
        joined(&mut stored).await
    }
}

/// One attempt to load a token.
struct NodeLedger<'a> {
    core: &'a Core,
    entry: Entry,
    token: &'a HeldToken,
    caller: &'a Caller<'a>,
}

impl Ledger for NodeLedger<'_> {
    type Error = StoreError;

    /// An identity for which there is no room gets the token without an allocation.
    async fn allocate(self) -> Result<(), StoreError> {
        let Some(reader) = self.caller.address().cloned() else { return Ok(()) };
        let id = self.entry.id.clone();
        let allocate = move |token: &HeldToken, batch: &mut Batch, ledger: LedgerRecord| {
            if ledger.readers >= MAX_READERS {
                return Ok(ledger);
            }
            token.put_reader(batch, &id, &reader)?;
            Ok(LedgerRecord { readers: ledger.readers + 1, ..ledger })
        };
        match self.entry.change(allocate).await {
            Err(error) if error.is_full() => Ok(()),
            outcome => outcome,
        }
    }

    async fn count(self, failed: FailedAttempt) -> Result<(), StoreError> {
        let (core, id, has_password) = (self.core, self.entry.id.clone(), self.token.password.is_some());
        debug_assert!(has_password, "only passwords can be wrong");
        core.held.guesses.note_wrong(self.caller, &id);
        self.entry.change(move |_, _, ledger| Ok(LedgerRecord { failed_attempts: failed.number, ..ledger })).await?;
        if failed.locks() {
            info!(token = short(&id), "too many wrong passwords of peers have locked a token");
            core.events.publish(Event::TokenLocked(id));
        }
        Ok(())
    }
}
