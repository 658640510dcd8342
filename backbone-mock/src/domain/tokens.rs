//! Tokens: opaque contents for everybody who knows the id and passes the access rules.

use std::ops::ControlFlow;
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use transport::access::Verdict;
use transport::wire::backbone::tokens::{CreatedToken, Token, UpdatedToken};
use transport::wire::{Address, ByteText, DeviceId, Timestamp, TokenId};

use super::account::{self, Account};
use super::page::{Page, PageRequest};
use super::token_ledger::TokenLedger;
use super::token_reads::{attempt, check_guesses, is_allocated, refused};
use super::token_terms::NewTerms;
use super::token_uses;
use super::{Caller, EXPIRIES, REMOVALS, Record, Refusal, Rule, expiring, proof};
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
    pub(super) created_by_device: Option<DeviceId>,
    pub(super) for_identity: Option<Address>,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) content: Option<Content>,
    /// A digest of the password with the server's key.
    pub(super) password: Option<ByteText>,
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
    pub(super) fn guesser(&self) -> Guesser {
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
    pub(super) fn at(token: Option<TokenRecord>) -> Result<Self, StoreError> {
        match token {
            Some(token) => Ok(Self { token, is_there: true }),
            None => Ok(Self { token: table().decode(&NOBODYS)?, is_there: false }),
        }
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

pub(super) async fn to_wire(core: &Core, token: TokenRecord) -> Result<Token, Refusal> {
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

pub(super) fn check_password_length(password: &ByteText) -> Result<(), Refusal> {
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
