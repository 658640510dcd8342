//! Who may load a held token, and what an attempt counts: the rules of [`transport::access`] over the node's store.

use std::sync::Arc;

use tracing::{debug, info};
use transport::access::{Attempt, ClaimEnd, FailedAttempt, Ledger, MAX_FAILED_ATTEMPTS, Verdict};
use transport::peer::{Caller, Refusal, Via};
use transport::wire::{Address, ClaimId, DeviceId, FileId, Timestamp, TokenId};

use super::record::{Allocator, LedgerRecord, is_withheld};
use super::recorded::Recorded;
use super::{HeldToken, MAX_READERS, recorded};
use crate::Error;
use crate::blocking::joined;
use crate::core::{Core, KeyGuard};
use crate::delivery::{self, Delivery as _, Failure, Sources};
use crate::dto::TokenTransports;
use crate::event::Event;
use crate::logging::short;
use crate::store::{Batch, Store, StoreError, View, collection};
use crate::token::{Ending, Revocation, TokenSettings};

/// A token that a caller may load.
pub(super) struct Granted {
    pub(super) token: HeldToken,
    /// The device that made it.
    pub(super) device: DeviceId,
}

/// The token with this id, if the caller may load it. What the attempt counts is on disk when this returns, here or at the backbone.
pub(super) async fn access(core: &Core, id: &TokenId, caller: &Caller<'_>) -> Result<Granted, Refusal> {
    match recorded(core, id) {
        Ok(Some(found)) => recorded::judge(found, core.account.address(), caller),
        Ok(None) => {
            let token = access_held(core, id, caller).await?;
            Ok(Granted { token, device: core.account.device_id().clone() })
        }
        Err(error) => Err(cannot_judge(id, &error)),
    }
}

async fn access_held(core: &Core, id: &TokenId, caller: &Caller<'_>) -> Result<HeldToken, Refusal> {
    let held = HeldToken::stored(&core.store.view(), id).map_err(|error| cannot_judge(id, &error.into()))?;
    let token = held.ok_or(Refusal::NotFound)?;
    if !token.is_given_by(caller.via()) {
        return Err(not_by_this_path(core, id, caller));
    }
    let is_creator = caller.address() == Some(core.account.address());
    match (token.allocator(), caller.claim()) {
        // Right or wrong, a password is not even looked at.
        (Some(_), None) if !is_creator => Err(Refusal::NotFound),
        (Some(Allocator::Backbone), Some(claim)) => {
            // A use that the caller may not have must not be taken from the backbone, and what this attempt leaves behind here is stored
            // when there is one.
            judged(core, id, caller, Storing::Refusals).await?;
            use_at_backbone(core, id, claim).await?;
            judged(core, id, caller, Storing::All).await
        }
        _ => judged(core, id, caller, Storing::All).await,
    }
}

/// What is told of a token that is not given by the path of the caller. The password is not looked at, so no attempt is counted.
fn not_by_this_path(core: &Core, id: &TokenId, caller: &Caller<'_>) -> Refusal {
    let found = match Found::of(core, id, caller) {
        Ok(Some(found)) => found,
        Ok(None) => return Refusal::NotFound,
        Err(error) => return cannot_judge(id, &error.into()),
    };
    let lacks_claim = found.token.allocator().is_some() && caller.claim().is_none();
    match found.attempt(core, caller, true).judge() {
        Verdict::Show | Verdict::ShowAndAllocate if !lacks_claim => Refusal::OtherPath,
        _ => Refusal::NotFound,
    }
}

/// Has the backbone store that content is sent under a claim, in the name of the creator.
async fn use_at_backbone(core: &Core, id: &TokenId, claim: &ClaimId) -> Result<(), Refusal> {
    if core.held.leases.is_fresh(id, claim) {
        return Ok(());
    }
    let _place = core.held.leases.place().await;
    let counted = delivery::by(core, Sources::Backbone).count_use(id, claim).await;
    match counted {
        Ok(()) => {
            core.held.leases.note(id, claim);
            Ok(())
        }
        Err(failure) => Err(not_counted(id, &failure)),
    }
}

/// What a peer is told if the backbone does not count a use.
fn not_counted(id: &TokenId, failure: &Failure) -> Refusal {
    debug!(error = %failure.error(), token = short(id), "the backbone does not count a use of a token for a peer");
    match failure {
        Failure::NotFound(_) => Refusal::NotFound,
        Failure::NoUseLeft(_) => Refusal::NoUseLeft,
        Failure::TooLarge(_) | Failure::Failed(_) => Refusal::Unavailable,
    }
}

/// Ends a use, at whoever allocates the uses of the token.
pub(super) async fn end_claim(
    core: &Core,
    id: &TokenId,
    (claim, end): (&ClaimId, ClaimEnd),
    caller: &Caller<'_>,
) -> Result<(), Refusal> {
    let found = Found::of(core, id, caller).map_err(|error| cannot_judge(id, &error.into()))?;
    let found = found.ok_or(Refusal::NotFound)?;
    if found.attempt(core, caller, true).is_withheld() {
        return Err(Refusal::NotFound);
    }
    match found.token.allocator() {
        None => Err(Refusal::NotFound),
        Some(Allocator::Backbone) => {
            // Who knows the id of a token can make up claims of it.
            let _place = match core.held.leases.forget(id, claim) {
                true => core.held.leases.place().await,
                false => core.held.leases.place_for_unknown().ok_or(Refusal::Busy)?,
            };
            let ended = delivery::by(core, Sources::Backbone).end_claim(id, claim, end).await;
            ended.map_err(|failure| not_counted(id, &failure))
        }
        Some(Allocator::Node) => {
            let now = caller.now();
            let ended = Entry::changed(&core.store, id, |token, view, batch| {
                let mut uses = HeldToken::uses(view, token.id)?;
                let before = uses.clone();
                let ended = uses.end(claim, end, now);
                if uses != before {
                    HeldToken::put_uses(batch, token.id, &uses)?;
                }
                Ok(ended)
            });
            match ended.await {
                Ok(Some(ended)) => Ok(ended?),
                Ok(None) => Err(Refusal::NotFound),
                Err(error) => Err(cannot_judge(id, &error.into())),
            }
        }
    }
}

fn cannot_judge(id: &TokenId, error: &Error) -> Refusal {
    debug!(%error, token = short(id), "an attempt to load a token cannot be judged");
    Refusal::Unavailable
}

/// A token of another device. One that is held is one of this device, whatever the datawallet says.
fn recorded(core: &Core, id: &TokenId) -> Result<Option<Recorded>, Error> {
    let view = core.store.view();
    if HeldToken::stored(&view, id)?.is_some() { Ok(None) } else { recorded::find(core, &view, id) }
}

/// Whether this device has revoked the token, or it was deleted, or this device gives it by this path no more, or leaves it to another one by now. Each piece of a
/// content that is sent by it asks this. A token whose time is over meanwhile is still given to whoever has begun.
pub(super) fn is_ended(core: &Core, id: &TokenId, file: &FileId, via: Option<Via>) -> Result<bool, StoreError> {
    let view = core.store.view();
    Ok(Revocation::stored(&view, id)?.is_some()
        || is_deleted(&view, id)?
        || is_withheld(&view, file, Some(id), via)?
        || recorded::is_left_to_other_device(core, &view, id)?)
}

/// Whether nothing is known of the token any more. One that made room for others is still among the tokens of the identity.
fn is_deleted(view: &View<'_>, id: &TokenId) -> Result<bool, StoreError> {
    Ok(!HeldToken::is_held(view, id)? && view.record(collection::TOKENS, id.as_str())?.is_none())
}

/// The paths by which a token that is held is given; none if that is all.
pub(crate) fn transports(core: &Core, id: &TokenId) -> Result<Option<TokenTransports>, StoreError> {
    let held = HeldToken::stored(&core.store.view(), id)?;
    Ok(held.map(|held| held.transports).filter(|transports| *transports != TokenTransports::ALL))
}

/// Whether a token and its file are held here only, because no backbone was told of them.
pub(crate) fn is_alone(core: &Core, id: &TokenId) -> Result<bool, StoreError> {
    Ok(HeldToken::stored(&core.store.view(), id)?.is_some_and(|held| held.is_direct))
}

/// Whether peers get the token from this node: from what it holds, or from what the datawallet says of it.
pub(crate) fn is_offered(core: &Core, id: &TokenId) -> crate::Result<bool> {
    if core.config.peers.is_none() {
        return Ok(false);
    }
    let view = core.store.view();
    match HeldToken::stored(&view, id)? {
        Some(held) => Ok(held.transports.reach_peers()),
        None => Ok(recorded::find(core, &view, id)?.is_some()),
    }
}

/// Whether too many wrong passwords of peers have locked a token here. A backbone that has it counts others for itself.
pub(crate) fn is_locked(core: &Core, id: &TokenId) -> Result<bool, StoreError> {
    Ok(HeldToken::ledger(&core.store.view(), id)?.failed_attempts >= MAX_FAILED_ATTEMPTS)
}

/// Lets others try passwords again. What is shown of the token is the caller's to change: [`TokenSettings::unlocking`].
pub(crate) async fn unlock(core: &Core, id: &TokenId) -> Result<(), StoreError> {
    let reset = |token: Stored<'_>, view: &View<'_>, batch: &mut Batch| {
        let ledger = LedgerRecord { failed_attempts: 0, ..HeldToken::ledger(view, token.id)? };
        HeldToken::put_ledger(batch, token.id, ledger)
    };
    Entry::hold(core, id).await.change(reset).await?;
    core.held.guesses.forget(id);
    Ok(())
}

/// What an attempt stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storing {
    /// What a refusal leaves behind only.
    Refusals,
    /// What a grant leaves behind, too.
    All,
}

async fn judged(core: &Core, id: &TokenId, caller: &Caller<'_>, storing: Storing) -> Result<HeldToken, Refusal> {
    judge(core, id, caller, storing).await.unwrap_or_else(|error| Err(cannot_judge(id, &error.into())))
}

async fn judge(
    core: &Core,
    id: &TokenId,
    caller: &Caller<'_>,
    storing: Storing,
) -> Result<Result<HeldToken, Refusal>, StoreError> {
    // Most reads change nothing and need no lock. Passwords are checked under the lock only, because attempts that are checked
    // at the same time count.
    let Some(found) = Found::of(core, id, caller)? else { return Ok(Err(Refusal::NotFound)) };
    let unlocked = found.attempt(core, caller, found.token.password.is_none());
    if unlocked.judge() == Verdict::Show && found.claim_here(caller).is_none() {
        return Ok(Ok(found.token));
    }
    let entry = Entry::hold(core, id).await;
    let Some(found) = Found::of(core, id, caller)? else { return Ok(Err(Refusal::NotFound)) };
    let password_fits = caller.password_fits(id, found.token.password.as_ref());
    let attempt = found.attempt(core, caller, password_fits);
    let verdict = attempt.judge();
    let is_asked = !attempt.is_exempt() && verdict.answers_password(found.token.password.is_some());
    // The same answer to right and wrong ones, so nothing is learned from it.
    if is_asked && core.held.guesses.check(caller, id).is_err() {
        return Ok(Err(Refusal::Busy));
    }
    let is_granted = matches!(verdict, Verdict::Show | Verdict::ShowAndAllocate);
    if is_granted && storing == Storing::Refusals {
        return Ok(Ok(found.token));
    }
    if let Some(claim) = found.claim_here(caller).filter(|_| is_granted) {
        let reader = caller.address().filter(|_| verdict == Verdict::ShowAndAllocate);
        let used = entry.use_once(claim, reader, caller.now()).await?;
        return Ok(used.map(|()| found.token));
    }
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
            not_before: self.token.not_before,
            expires_at: self.ending.expires_at,
            is_revoked: self.ending.is_revoked,
            now: caller.now(),
        }
    }

    /// The use that the request is, if this node has to count it.
    fn claim_here<'a>(&self, caller: &Caller<'a>) -> Option<&'a ClaimId> {
        caller.claim().filter(|_| self.token.allocator() == Some(Allocator::Node))
    }
}

/// What is stored of attempts to load a token, under the lock of the token.
struct Entry {
    store: Arc<Store>,
    id: TokenId,
    guard: KeyGuard,
}

/// A token that is being changed.
#[derive(Clone, Copy)]
struct Stored<'a> {
    id: &'a TokenId,
    token: &'a HeldToken,
}

impl Entry {
    async fn hold(core: &Core, id: &TokenId) -> Self {
        let guard = core.held.judging.hold(id.clone()).await;
        Self { store: core.store.clone(), id: id.clone(), guard }
    }

    /// Changes what is stored; nothing and `None` if the token was removed meanwhile. The lock is held until that is on disk, also if
    /// the caller has gone: otherwise the next attempt would be judged by what was before.
    async fn change<T: Send + 'static>(
        self,
        change: impl FnOnce(Stored<'_>, &View<'_>, &mut Batch) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let mut stored = tokio::spawn(async move {
            let outcome = Self::changed(&self.store, &self.id, change).await;
            drop(self.guard);
            outcome
        });
        joined(&mut stored).await
    }

    /// The same for uses, and for who has loaded the token by them. Each change of these reads what those before it leave: so the lock
    /// ends here, and those who use one token at the same time wait for one flush. Until then a new reader is judged as one who is not known.
    async fn change_uses<T>(
        self,
        change: impl FnOnce(Stored<'_>, &View<'_>, &mut Batch) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let Self { store, id, guard } = self;
        drop(guard);
        Self::changed(&store, &id, change).await
    }

    async fn changed<T>(
        store: &Store,
        id: &TokenId,
        change: impl FnOnce(Stored<'_>, &View<'_>, &mut Batch) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let build = |view: &View<'_>| {
            let mut batch = Batch::new();
            let token = HeldToken::stored(view, id)?;
            let changed = token.map(|token| change(Stored { id, token: &token }, view, &mut batch));
            Ok::<_, StoreError>((batch, changed.transpose()?))
        };
        store.change(build).await
    }

    /// Stores that content is sent under a claim, and who has loaded the token by it, in one commit. Without a use left it stores nothing,
    /// nor for the next range of a content that is being read.
    async fn use_once(
        self,
        claim: &ClaimId,
        reader: Option<&Address>,
        now: Timestamp,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let use_once = |token: Stored<'_>, view: &View<'_>, batch: &mut Batch| {
            let mut uses = HeldToken::uses(view, token.id)?;
            if !uses.is_read_lately(claim, now) {
                if let Err(error) = uses.read(claim, now) {
                    return Ok(Err(error));
                }
                HeldToken::put_uses(batch, token.id, &uses)?;
            }
            reader.map_or(Ok(()), |reader| allocate(token, view, batch, reader)).map(Ok)
        };
        let used = self.change_uses(use_once).await?;
        Ok(used.map_or(Err(Refusal::NotFound), |used| Ok(used?)))
    }
}

/// Remembers a reader, unless another use of it already does. One for whom there is no room gets the token without that.
fn allocate(
    Stored { id, token }: Stored<'_>,
    view: &View<'_>,
    batch: &mut Batch,
    reader: &Address,
) -> Result<(), StoreError> {
    let ledger = HeldToken::ledger(view, id)?;
    if ledger.readers >= MAX_READERS || token.is_read_by(view, id, reader)? {
        return Ok(());
    }
    token.put_reader(batch, id, reader)?;
    HeldToken::put_ledger(batch, id, LedgerRecord { readers: ledger.readers + 1, ..ledger })
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

    /// Nor does a full disk keep an identity from the token.
    async fn allocate(self) -> Result<(), StoreError> {
        let Some(reader) = self.caller.address().cloned() else { return Ok(()) };
        match self.entry.change(move |token, view, batch| allocate(token, view, batch, &reader)).await {
            Err(error) if error.is_full() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn count(self, failed: FailedAttempt) -> Result<(), StoreError> {
        let (core, id, has_password) = (self.core, self.entry.id.clone(), self.token.password.is_some());
        debug_assert!(has_password, "only passwords can be wrong");
        core.held.guesses.note_wrong(self.caller, &id);
        let count = move |token: Stored<'_>, view: &View<'_>, batch: &mut Batch| {
            let ledger = LedgerRecord { failed_attempts: failed.number, ..HeldToken::ledger(view, token.id)? };
            HeldToken::put_ledger(batch, token.id, ledger)?;
            match failed.locks() {
                true => TokenSettings::lock_for_peers(batch, view, token.id, true),
                false => Ok(()),
            }
        };
        self.entry.change(count).await?;
        if failed.locks() {
            info!(token = short(&id), "too many wrong passwords of peers have locked a token");
            core.events.publish(Event::TokenLocked(id));
        }
        Ok(())
    }
}
