//! Tokens: opaque contents that whoever knows the id, and is meant, can read.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use transport::wire::backbone::tokens::{Token, UpdatedToken};
use transport::wire::{Address, ByteText, DeviceId, Timestamp, TokenId};

use super::events::{self, Happening, Notice};
use super::page::{Page, PageRequest};
use super::token_access::{Attempt, MAX_FAILED_ATTEMPTS, Verdict};
use super::{Caller, EXPIRIES, Record, Refusal, Rule, address, expiring};
use crate::core::Core;
use crate::error::StoreError;
use crate::notify::News;
use crate::secrets::new_id;
use crate::store::{Content, Key, Table, Transaction, split_text};

/// Bytes of a password, which is a hash by the time it gets here.
const MAX_PASSWORD_BYTES: usize = 200;
/// Tokens made by somebody who is not logged in end before this.
const ANONYMOUS_LIFETIME: Duration = Duration::from_secs(5 * 60);

const TOKENS: Table<TokenRecord> = Table::new("token");
const ALLOCATIONS: Table<Allocation> = Table::new("token-allocation");

/// A token as it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct TokenRecord {
    id: TokenId,
    created_by: Option<Address>,
    created_by_device: Option<DeviceId>,
    for_identity: Option<Address>,
    created_at: Timestamp,
    expires_at: Timestamp,
    content: Option<Content>,
    /// Made from the password with the server's key.
    password: Option<ByteText>,
    failed_attempts: u32,
}

/// That an identity has read a token.
#[derive(Clone, Serialize, Deserialize)]
struct Allocation {
    device: DeviceId,
    at: Timestamp,
}

/// A token to be made.
pub(crate) struct NewToken {
    pub(crate) content: Option<ByteText>,
    pub(crate) expires_at: Timestamp,
    pub(crate) for_identity: Option<String>,
    pub(crate) password: Option<ByteText>,
}

/// Makes a token. Without a login it has to be empty and short-lived.
pub(crate) async fn create(
    core: &Core,
    caller: Option<Caller>,
    new: NewToken,
) -> Result<(TokenId, Timestamp), Refusal> {
    let now = core.now();
    let domain = &core.config.did_domain_name;
    let for_identity = new.for_identity.map(|text| address::parse(&text, "forIdentity", domain)).transpose()?;
    new.password.as_ref().map_or(Ok(()), check_password_length)?;
    check_expiry(new.expires_at, now, caller.is_none())?;
    check_content(new.content.as_ref(), caller.is_none(), core.config.limits.max_content_bytes)?;

    let mut transaction = core.store.begin();
    let content = match new.content {
        Some(bytes) => Some(core.store.keep(bytes).await?.attach(&mut transaction)?),
        None => None,
    };
    let id: TokenId = new_id();
    let password = new.password.map(|password| core.key.token_password(id.as_str(), &password.0));
    let (created_by, created_by_device) = caller.map(|caller| (caller.address, caller.device)).unzip();
    let token = TokenRecord {
        id: id.clone(),
        created_by,
        created_by_device,
        for_identity,
        created_at: now,
        expires_at: new.expires_at,
        content,
        password,
        failed_attempts: 0,
    };
    transaction.put(&key(&id), &token)?;
    transaction.put(&expiry_key(&token), &())?;
    transaction.commit().await?;
    Ok((id, now))
}

/// Shows a token to whoever may read it, and remembers the first time an identity does.
pub(crate) async fn read(
    core: &Core,
    caller: Option<&Caller>,
    id: &TokenId,
    password: Option<&ByteText>,
) -> Result<Token, Refusal> {
    password.map_or(Ok(()), check_password_length)?;
    // Most reads change nothing, so they need no lock.
    let token = existing(core.store.get(&key(id)).await?)?;
    let is_allocated = is_allocated(core, caller, id).await?;
    if attempt(core, &token, caller, is_allocated, password).judge() == Verdict::Show {
        return to_wire(core, token).await;
    }

    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await;
    let token = existing(transaction.get(&key(id)).await?)?;
    let is_allocated = self::is_allocated(core, caller, id).await?;
    match (attempt(core, &token, caller, is_allocated, password).judge(), caller) {
        (Verdict::Show, _) => {}
        (Verdict::ShowAndAllocate, Some(caller)) => {
            let allocation = Allocation { device: caller.device.clone(), at: core.now() };
            transaction.put(&allocation_key(id, &caller.address), &allocation)?;
            transaction.commit().await?;
        }
        (verdict, _) => return Err(refuse(core, transaction, token, verdict).await),
    }
    to_wire(core, token).await
}

/// Those of the tokens in `ids` that the caller made or has read before. There are no more of them than fit into a request.
pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    ids: &[TokenId],
    page: PageRequest,
) -> Result<Page<Token>, Refusal> {
    let mut visible = Vec::new();
    for id in ids {
        let Some(token) = core.store.get(&key(id)).await? else { continue };
        if token.created_by.as_ref() == Some(&caller.address) || is_allocated(core, Some(caller), id).await? {
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
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await;
    let token = existing(transaction.get(&key(id)).await?)?;
    if token.created_by.as_ref() != Some(&caller.address) {
        return Err(Refusal::Forbidden);
    }
    remove_record(&mut transaction, &token).await?;
    Ok(transaction.commit().await?)
}

/// Fills an empty token. The caller becomes its creator.
pub(crate) async fn update_content(
    core: &Core,
    caller: &Caller,
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

    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await;
    let mut token = existing(transaction.get(&key(id)).await?)?;
    match attempt(core, &token, Some(caller), false, password).judge_update() {
        Verdict::Show => {}
        verdict => return Err(refuse(core, transaction, token, verdict).await),
    }
    if token.content.is_some() {
        return Err(Rule::ContentAlreadyExists.into());
    }
    token.content = Some(content.attach(&mut transaction)?);
    token.created_by = Some(caller.address.clone());
    token.created_by_device = Some(caller.device.clone());
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

/// Unlocks a token. Returns whether there is such a token.
pub(crate) async fn reset_failed_attempts(core: &Core, id: &TokenId) -> Result<bool, StoreError> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await;
    let Some(mut token) = transaction.get(&key(id)).await? else { return Ok(false) };
    token.failed_attempts = 0;
    transaction.put(&key(id), &token)?;
    transaction.commit().await?;
    Ok(true)
}

/// Removes a token that expired long ago, with everything that belongs to it.
pub(crate) async fn remove(transaction: &mut Transaction<'_>, id: &TokenId) -> Result<(), StoreError> {
    match transaction.get(&key(id)).await? {
        Some(token) => remove_record(transaction, &token).await,
        None => Ok(()),
    }
}

async fn remove_record(transaction: &mut Transaction<'_>, token: &TokenRecord) -> Result<(), StoreError> {
    let allocations = ALLOCATIONS.key().text(&token.id);
    let mut readers = Vec::new();
    let visit = |rest: &[u8]| {
        readers.extend(split_text(rest).map(|(address, _)| address.to_owned()));
        ControlFlow::Continue(())
    };
    transaction.committed().walk_keys(&allocations, &allocations, visit).await?;
    // All at once, because a token without some of its readers would be another token. Each has logged in to be one.
    for address in readers {
        transaction.delete(&ALLOCATIONS.key().text(&token.id).text(address));
    }
    if let Some(content) = &token.content {
        transaction.release(content);
    }
    transaction.delete(&expiry_key(token));
    transaction.delete(&key(&token.id));
    Ok(())
}

/// Turns a verdict into its answer, and counts a wrong password.
async fn refuse(core: &Core, mut transaction: Transaction<'_>, mut token: TokenRecord, verdict: Verdict) -> Refusal {
    match verdict {
        Verdict::Locked => Rule::TooManyFailedPasswordAttempts.into(),
        Verdict::WrongPassword => {
            token.failed_attempts += 1;
            let is_locked_now = token.failed_attempts == MAX_FAILED_ATTEMPTS;
            let counted = async {
                let mut notices = Vec::new();
                if let Some(creator) = token.created_by.as_ref().filter(|_| is_locked_now) {
                    transaction.lock_identities(&[creator]).await;
                    let locked = Happening::TokenLocked(token.id.clone());
                    notices.push(events::append(&mut transaction, creator, &locked, core.now()).await?);
                    notices.push(Notice::to_all(creator, News::TokenLocked));
                }
                transaction.put(&key(&token.id), &token)?;
                core.commit(transaction, notices).await
            };
            match counted.await {
                Err(error) => error.into(),
                Ok(()) if is_locked_now => Rule::TooManyFailedPasswordAttempts.into(),
                Ok(()) => Refusal::NotFound(Record::Token),
            }
        }
        Verdict::Hide | Verdict::Show | Verdict::ShowAndAllocate => Refusal::NotFound(Record::Token),
    }
}

fn attempt<'a>(
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
        expires_at: token.expires_at,
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

fn check_expiry(expires_at: Timestamp, now: Timestamp, is_anonymous: bool) -> Result<(), Refusal> {
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

fn existing(token: Option<TokenRecord>) -> Result<TokenRecord, Refusal> {
    token.ok_or(Refusal::NotFound(Record::Token))
}

fn key(id: &TokenId) -> Key<TokenRecord> {
    TOKENS.key().text(id)
}

fn allocation_key(id: &TokenId, address: &Address) -> Key<Allocation> {
    ALLOCATIONS.key().text(id).text(address)
}

fn expiry_key(token: &TokenRecord) -> Key<()> {
    EXPIRIES.key().time(token.expires_at).text(expiring::TOKEN).text(&token.id)
}
