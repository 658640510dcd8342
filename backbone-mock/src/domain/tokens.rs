//! Tokens: opaque contents for everybody who knows the id and passes the access rules.

use std::ops::ControlFlow;
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use transport::access::{Attempt, Outcome, Verdict};
use transport::wire::backbone::tokens::{CreatedToken, Token, UpdatedToken};
use transport::wire::{Address, ByteText, DeviceId, Timestamp, TokenId};

use super::account::{self, Account};
use super::page::{Page, PageRequest};
use super::token_ledger::TokenLedger;
use super::token_terms::NewTerms;
use super::token_uses::{self, Purpose};
use super::{Caller, EXPIRIES, REMOVALS, Record, Refusal, Rule, expiring, proof};
use crate::caller::Sender;
use crate::core::Core;
use crate::error::StoreError;
use crate::quota::{Amounts, Metric};
use crate::rates::{self, Guesser, Operation};
use crate::secrets::new_id;
use crate::store::{Change, Content, Holder, Key, Rest, Table, Transaction};
use listener::Source;

/// Maximum bytes of a password. Clients send a hash of it.
const MAX_PASSWORD_BYTES: usize = 200;
/// Maximum lifetime of tokens that are created without a login.
const ANONYMOUS_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How long an empty token without an owner is kept after its expiry. It cannot be filled any more, and anonymous clients create
/// as many as their rate allows.
const ANONYMOUS_RETENTION: Duration = Duration::from_secs(60 * 60);

const TOKENS: Table<TokenRecord> = Table::new("token");
const ALLOCATIONS: Table<Allocation> = Table::new("token-allocation");

/// A token as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    pub(super) id: TokenId,
    pub(crate) created_by: Option<Address>,
    created_by_device: Option<DeviceId>,
    for_identity: Option<Address>,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    content: Option<Content>,
    /// A digest of the password with the server's key.
    password: Option<ByteText>,
    pub(super) failed_attempts: u32,
    /// Since when others than its creator can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_before: Option<Timestamp>,
    /// Since when nobody but its creator can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revoked_at: Option<Timestamp>,
    /// Whether its uses have a limit, so that each read has to look at them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_counted: bool,
}

/// The record that an identity has loaded a token.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Allocation {
    pub(super) device: DeviceId,
    pub(super) at: Timestamp,
}

/// A token to be created.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewToken {
    pub(crate) content: Option<ByteText>,
    pub(crate) expires_at: Timestamp,
    pub(crate) for_identity: Option<String>,
    pub(crate) password: Option<ByteText>,
}

/// The sender of a request for a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// `None` without a login.
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) source: Source,
}

impl Asking<'_> {
    fn guesser(&self) -> Guesser {
        rates::guesser(self.source, self.caller)
    }
}

/// Creates a token. Without a login it has to be empty and short-lived.
pub(crate) async fn create(core: &Core, who: Asking<'_>, new: NewToken) -> Result<CreatedToken, Refusal> {
    create_with(core, who, new, NewTerms::default()).await
}

/// Creates a token with terms beyond the published protocol.
pub(crate) async fn create_with(
    core: &Core,
    who: Asking<'_>,
    new: NewToken,
    terms: NewTerms,
) -> Result<CreatedToken, Refusal> {
    let (now, caller) = (core.now(), who.caller);
    let domain = &core.config.did_domain_name;
    let for_identity = new.for_identity.map(|text| proof::parse_address(&text, "forIdentity", domain)).transpose()?;
    new.password.as_ref().map_or(Ok(()), check_password_length)?;
    check_expiry(new.expires_at, now, caller.is_none())?;
    check_content(new.content.as_ref(), caller.is_none(), core.config.limits.max_content_bytes)?;
    let expires_at = match caller {
        Some(caller) => Account::of(core, &caller.address).await?.allowed_expiry(new.expires_at, now)?,
        None => {
            core.allowances.take(Operation::AnonymousToken, who.source)?;
            new.expires_at
        }
    };
    let uses = terms.check(expires_at)?;

    let mut transaction = core.store.begin();
    let content = match new.content {
        Some(bytes) => Some(core.store.keep(bytes).await?.attach(&mut transaction)?),
        None => None,
    };
    let id: TokenId = new_id();
    let password = new.password.map(|password| core.key.token_password(id.as_str(), &password.0));
    let (created_by, created_by_device) = caller.map(|caller| (caller.address.clone(), caller.device.clone())).unzip();
    let token = TokenRecord {
        id: id.clone(),
        created_by,
        created_by_device,
        for_identity,
        created_at: now,
        expires_at,
        content,
        password,
        failed_attempts: 0,
        not_before: terms.not_before,
        revoked_at: None,
        is_counted: uses.as_ref().is_some_and(|uses| uses.limit().is_some()),
    };
    charge(core, &mut transaction, &token).await?;
    transaction.put(&key(&id), &token)?;
    transaction.put(&expiry_key(&token), &())?;
    if let Some(uses) = uses {
        token_uses::put_new(&mut transaction, &id, uses)?;
    }
    if token.created_by.is_none() {
        transaction.put(&removal_key(&token), &())?;
    }
    transaction.commit().await?;
    Ok(CreatedToken { id, created_at: now, expires_at: Some(expires_at).filter(|time| *time != new.expires_at) })
}

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

/// A token, under its lock.
pub(super) async fn locked<'a>(core: &'a Core, id: &TokenId) -> Result<(Transaction<'a>, TokenRecord), Refusal> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await?;
    let token = existing(transaction.get(&key(id)).await?)?;
    Ok((transaction, token))
}

/// The same for an attempt that must not tell by its time whether there is such a token.
pub(super) async fn looked_at<'a>(core: &'a Core, id: &TokenId) -> Result<(Transaction<'a>, Looked), Refusal> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await?;
    let looked = Looked::at(transaction.get(&key(id)).await?)?;
    Ok((transaction, looked))
}

/// A token, or one in the place of a token that is not there: an attempt on it takes the work of one on a token that is hidden.
pub(super) struct Looked {
    pub(super) token: TokenRecord,
    /// Whether it is the one that was asked for. Otherwise it is refused, whatever it says.
    pub(super) is_there: bool,
}

/// A revoked token of nobody, as it would be stored.
static NOBODYS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let address = format!("did:e:localhost:dids:{}", "0".repeat(22));
    let token = TokenRecord {
        id: new_id(),
        created_by: Some(address.parse().expect("an address has this form")),
        created_by_device: Some(new_id()),
        for_identity: None,
        created_at: Timestamp::MIN,
        expires_at: Timestamp::NEVER,
        content: Some(Content::Inline(ByteText(vec![0; TYPICAL_CONTENT]))),
        password: None,
        failed_attempts: 0,
        not_before: None,
        revoked_at: Some(Timestamp::MIN),
        is_counted: false,
    };
    table().encode(&token).expect("a record can be encoded")
});

/// Bytes of the sealed content of a token for a file.
const TYPICAL_CONTENT: usize = 256;

impl Looked {
    fn at(token: Option<TokenRecord>) -> Result<Self, StoreError> {
        match token {
            Some(token) => Ok(Self { token, is_there: true }),
            None => Ok(Self { token: table().decode(&NOBODYS)?, is_there: false }),
        }
    }
}

/// Refuses a password, right or wrong, from a sender who has tried too many wrong ones. Does not count it.
fn check_guesses(core: &Core, guesser: Guesser, token: &TokenRecord, verdict: Verdict) -> Result<(), Refusal> {
    match verdict.answers_password(token.password.is_some()) {
        true => Ok(core.guesses.check(guesser, &token.id)?),
        false => Ok(()),
    }
}

/// The tokens among `ids` that the caller created or has loaded before. The size of a request limits their number.
pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    ids: &[TokenId],
    page: PageRequest,
) -> Result<Page<Token>, Refusal> {
    let mut visible = Vec::new();
    for id in ids {
        let Some(token) = core.store.get(&key(id)).await? else { continue };
        let is_allocated = is_allocated(core, Some(caller), id).await?;
        if attempt(core, &token, Some(caller), is_allocated, None).is_exempt() {
            visible.push((token.created_at, token.id));
        }
    }
    visible.sort();
    visible.dedup();
    let mut cut = page.cut();
    cut.extend(visible);
    let page = cut.finish();
    let mut tokens = Vec::with_capacity(page.items.len());
    for (_, id) in &page.items {
        let Some(token) = core.store.get(&key(id)).await? else { continue };
        match to_wire(core, token).await {
            Ok(token) => tokens.push(token),
            Err(Refusal::NotFound(_)) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(page.with(tokens))
}

/// Removes a token. Only its creator may.
pub(crate) async fn delete(core: &Core, caller: &Caller, id: &TokenId) -> Result<(), Refusal> {
    let (mut transaction, token) = locked(core, id).await?;
    check_creator(core, &token, caller)?;
    remove_record(&mut transaction, &token).await?;
    Ok(transaction.commit().await?)
}

/// Fills an empty token. The caller becomes its creator.
pub(crate) async fn update_content(
    core: &Core,
    (caller, source): (&Caller, Source),
    id: &TokenId,
    content: ByteText,
    password: Option<&ByteText>,
) -> Result<UpdatedToken, Refusal> {
    password.map_or(Ok(()), check_password_length)?;
    let max = core.config.limits.max_content_bytes;
    if content.0.is_empty() || content.0.len() as u64 > max {
        return Err(Refusal::invalid("newContent", format!("must have 1 to {max} bytes")));
    }
    let content = core.store.keep(content).await?;

    let (mut transaction, mut token) = locked(core, id).await?;
    let attempt = attempt(core, &token, Some(caller), false, password);
    let verdict = attempt.judge_update();
    let guesser = rates::guesser(source, Some(caller));
    check_guesses(core, guesser, &token, verdict)?;
    if verdict != Verdict::Show {
        let ledger = TokenLedger { core, transaction, token: &token, caller: Some(caller), guesser };
        return Err(refused(verdict.settle(&attempt, ledger).await?));
    }
    if token.content.is_some() {
        return Err(Rule::ContentAlreadyExists.into());
    }
    Account::of(core, &caller.address).await?.check_expiry(token.expires_at, core.now())?;
    release(&mut transaction, &token).await?;
    token.content = Some(content.attach(&mut transaction)?);
    token.created_by = Some(caller.address.clone());
    token.created_by_device = Some(caller.device.clone());
    charge(core, &mut transaction, &token).await?;
    transaction.put(&key(id), &token)?;
    transaction.commit().await?;
    Ok(UpdatedToken {
        id: token.id,
        created_by: token.created_by,
        created_by_device: token.created_by_device,
        for_identity: token.for_identity,
        created_at: token.created_at,
        expires_at: token.expires_at,
        is_password_protected: token.password.is_some(),
    })
}

/// Unlocks a token. Only its creator may.
pub(crate) async fn unlock(core: &Core, caller: &Caller, id: &TokenId) -> Result<(), Refusal> {
    let token = existing(core.store.get(&key(id)).await?)?;
    check_creator(core, &token, caller)?;
    match reset_failed_attempts(core, id).await? {
        true => Ok(()),
        false => Err(Refusal::NotFound(Record::Token)),
    }
}

/// Unlocks a token. Returns whether there is such a token.
pub(crate) async fn reset_failed_attempts(core: &Core, id: &TokenId) -> Result<bool, StoreError> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await?;
    let Some(mut token) = transaction.get(&key(id)).await? else { return Ok(false) };
    token.failed_attempts = 0;
    transaction.put(&key(id), &token)?;
    transaction.commit().await?;
    core.guesses.forget(id);
    Ok(true)
}

/// Removes a token that expired long ago, with everything that belongs to it. Not if it expires at another time meanwhile.
pub(crate) async fn remove(
    transaction: &mut Transaction<'_>,
    id: &TokenId,
    expired_at: Timestamp,
) -> Result<(), StoreError> {
    match transaction.get(&key(id)).await? {
        Some(token) if token.expires_at == expired_at => remove_record(transaction, &token).await,
        _ => Ok(()),
    }
}

/// Removes an empty token that was not filled in time.
pub(crate) async fn remove_empty(transaction: &mut Transaction<'_>, id: &TokenId) -> Result<(), StoreError> {
    match transaction.get(&key(id)).await? {
        Some(token) if token.created_by.is_none() => remove_record(transaction, &token).await,
        _ => Ok(()),
    }
}

/// The key that all tokens start with.
pub(crate) fn table() -> Key<TokenRecord> {
    TOKENS.key()
}

/// The key that all allocations start with.
pub(crate) fn allocations() -> Key<Allocation> {
    ALLOCATIONS.key()
}

/// The identity of an allocation, from the rest of its key after that of [`allocations`].
pub(crate) fn reader(rest: &Rest) -> Option<Address> {
    let mut parts = rest.parts();
    parts.text()?;
    parts.text()?.parse().ok()
}

impl TokenRecord {
    pub(super) fn is_created_by(&self, caller: &Caller) -> bool {
        self.created_by.as_ref() == Some(&caller.address)
    }

    /// What it adds to usage.
    pub(crate) fn cost(&self) -> Change {
        account::content(Metric::Tokens, self.content.as_ref().map_or(0, Content::size))
    }
}

/// Adds a token to the usage of its creator, or of tokens without an owner.
async fn charge(core: &Core, transaction: &mut Transaction<'_>, token: &TokenRecord) -> Result<(), Refusal> {
    match &token.created_by {
        Some(creator) => Ok(Account::of(core, creator).await?.charge(transaction, &token.cost())?),
        None => {
            let quota = Amounts { tokens: core.config.limits.max_anonymous_tokens, ..Amounts::UNLIMITED };
            transaction.charge(Holder::Nobody, &token.cost(), Some(&quota));
            Ok(())
        }
    }
}

async fn release(transaction: &mut Transaction<'_>, token: &TokenRecord) -> Result<(), StoreError> {
    match &token.created_by {
        Some(creator) => account::release(transaction, creator, token.cost()).await,
        None => {
            transaction.charge(Holder::Nobody, &token.cost().undone(), None);
            transaction.delete(&removal_key(token));
            Ok(())
        }
    }
}

async fn remove_record(transaction: &mut Transaction<'_>, token: &TokenRecord) -> Result<(), StoreError> {
    let allocations = ALLOCATIONS.key().text(&token.id);
    let mut readers = Vec::new();
    let visit = |rest: &Rest| {
        readers.extend(rest.parts().text().map(str::to_owned));
        ControlFlow::Continue(())
    };
    transaction.committed().walk_keys(&allocations, &allocations, visit).await?;
    // In one commit, because a token without some of its allocations would behave differently.
    for address in readers {
        if let Ok(reader) = address.parse() {
            account::release(transaction, &reader, account::other(0)).await?;
        }
        transaction.delete(&ALLOCATIONS.key().text(&token.id).text(address));
    }
    release(transaction, token).await?;
    if let Some(content) = &token.content {
        transaction.release(content);
    }
    transaction.delete(&expiry_key(token));
    token_uses::delete(transaction, &token.id);
    transaction.delete(&key(&token.id));
    Ok(())
}

/// Refuses everybody but the creator. Others learn only of tokens that they could read that these exist.
fn check_creator(core: &Core, token: &TokenRecord, caller: &Caller) -> Result<(), Refusal> {
    if token.is_created_by(caller) {
        Ok(())
    } else if attempt(core, token, Some(caller), false, None).is_withheld() {
        Err(Refusal::NotFound(Record::Token))
    } else {
        Err(Refusal::Forbidden)
    }
}

/// The refusal of an attempt that is not granted.
fn refused(outcome: Outcome) -> Refusal {
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

async fn is_allocated(core: &Core, caller: Option<&Caller>, id: &TokenId) -> Result<bool, StoreError> {
    match caller {
        Some(caller) => core.store.contains(&allocation_key(id, &caller.address)).await,
        None => Ok(false),
    }
}

async fn to_wire(core: &Core, token: TokenRecord) -> Result<Token, Refusal> {
    let content = match &token.content {
        Some(content) => match core.store.load(content).await {
            Ok(bytes) => Some(bytes),
            // Deleted between the two steps.
            Err(_) if !core.store.contains(&key(&token.id)).await? => return Err(Refusal::NotFound(Record::Token)),
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    Ok(Token {
        id: token.id,
        created_by: token.created_by,
        created_by_device: token.created_by_device,
        for_identity: token.for_identity,
        created_at: token.created_at,
        expires_at: token.expires_at,
        content,
        is_password_protected: token.password.is_some(),
    })
}

fn check_password_length(password: &ByteText) -> Result<(), Refusal> {
    if (1..=MAX_PASSWORD_BYTES).contains(&password.0.len()) {
        Ok(())
    } else {
        Err(Refusal::invalid("password", format!("must have 1 to {MAX_PASSWORD_BYTES} bytes")))
    }
}

pub(super) fn check_expiry(expires_at: Timestamp, now: Timestamp, is_anonymous: bool) -> Result<(), Refusal> {
    if expires_at <= now {
        return Err(Refusal::invalid("expiresAt", "must be in the future"));
    }
    if is_anonymous && expires_at >= now.saturating_add(ANONYMOUS_LIFETIME) {
        return Err(Refusal::invalid("expiresAt", "must be less than 5 minutes from now without a login"));
    }
    Ok(())
}

fn check_content(content: Option<&ByteText>, is_anonymous: bool, max: u64) -> Result<(), Refusal> {
    match content {
        Some(_) if is_anonymous => Err(Refusal::invalid("content", "must be absent without a login")),
        Some(content) if content.0.len() as u64 > max => {
            Err(Refusal::invalid("content", format!("must have at most {max} bytes")))
        }
        _ => Ok(()),
    }
}

pub(super) fn existing(token: Option<TokenRecord>) -> Result<TokenRecord, Refusal> {
    token.ok_or(Refusal::NotFound(Record::Token))
}

pub(super) fn key(id: &TokenId) -> Key<TokenRecord> {
    TOKENS.key().text(id)
}

pub(super) fn allocation_key(id: &TokenId, address: &Address) -> Key<Allocation> {
    ALLOCATIONS.key().text(id).text(address)
}

fn removal_key(token: &TokenRecord) -> Key<()> {
    let gone_at = token.expires_at.saturating_add(ANONYMOUS_RETENTION);
    REMOVALS.key().time(gone_at).text(expiring::EMPTY_TOKEN).text(&token.id)
}

pub(super) fn expiry_key(token: &TokenRecord) -> Key<()> {
    EXPIRIES.key().time(token.expires_at).text(expiring::TOKEN).text(&token.id)
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::future::join_all;
    use futures_util::poll;
    use transport::access::MAX_FAILED_ATTEMPTS;

    use super::*;
    use crate::config::Config;
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
