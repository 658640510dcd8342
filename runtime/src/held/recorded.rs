//! Tokens that another device of the identity has made: what the datawallet says of them is enough to answer for them where nothing
//! is counted.
//!
//! A token with a password has one ledger beside that of the backbone, at the device that made it, so other devices do not know it.
//! One with terms of enlace is served by that device only, for the same reason; other devices do not know the terms, but that there are or may
//! be some.
//! Of the others they remember nothing either: who has loaded one may load it again after its expiry there, but not here.

use serde::Deserialize;
use transport::access::{Attempt, Verdict};
use transport::peer::{Caller, Refusal};
use transport::token::TokenContent;
use transport::wire::{Address, DeviceId, TokenId};

use super::HeldToken;
use super::ledger::Granted;
use crate::Result;
use crate::core::Core;
use crate::file;
use crate::store::{StoreError, View, collection};
use crate::token::{Revocation, TokenJson, TokenRecord};

/// Bytes of JSON of the longest content of a token for a file, with many addresses of its node. Others are not read.
pub(super) const MAX_FILE_CONTENT: usize = 32 * 1024;

/// A token of another device, for which this one answers.
pub(super) struct Recorded {
    granted: Granted,
    /// Whether this device has revoked it. One that the other device has revoked is expired here.
    is_revoked: bool,
}

/// The token with this id, if another device has made it for a file of the identity, and nothing of it has to be counted.
pub(super) fn find(core: &Core, view: &View<'_>, id: &TokenId) -> Result<Option<Recorded>> {
    let Some(record) = view.record(collection::TOKENS, id.as_str())? else { return Ok(None) };
    let Some(record) = TokenRecord::read(&record)? else { return Ok(None) };
    let is_of_other_device = record.is_own && record.created_by_device != *core.account.device_id();
    let is_counted = record.password_protection.is_some() || record.has_terms;
    if !is_of_other_device || is_counted || record.content.as_str().len() > MAX_FILE_CONTENT {
        return Ok(None);
    }
    let is_revoked = Revocation::stored(view, id)?.is_some();
    let Ok(content) = TokenContent::from_json(record.content.to_value(), true) else { return Ok(None) };
    let TokenContent::File { file_id, .. } = &content else { return Ok(None) };
    if !file::stored(view, file_id)?.is_some_and(|file| file.is_own) {
        return Ok(None);
    }
    // Who loads it here learns where this node is, and not the one that made it.
    let json = TokenJson::from(&content);
    let json = core.direct().map_or_else(|| json.clone(), |direct| json.reachable_at(&direct.into()));
    let sealed = json.seal(&record.secret_key);
    let token = HeldToken::new(file_id.clone(), (record.created_at, record.expires_at), sealed);
    let token = token.limited(record.for_identity, None);
    Ok(Some(Recorded { granted: Granted { token, device: record.created_by_device }, is_revoked }))
}

/// The members that tell whose terms a token has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    created_by_device: DeviceId,
    #[serde(default)]
    has_terms: bool,
}

/// Whether another device of the identity keeps terms of the token, which this one does not know.
pub(super) fn is_left_to_other_device(core: &Core, view: &View<'_>, id: &TokenId) -> Result<bool, StoreError> {
    let Some(record) = view.record(collection::TOKENS, id.as_str())? else { return Ok(false) };
    let (_, members) = record.read::<TokenId, Members>()?;
    Ok(members.has_terms && members.created_by_device != *core.account.device_id())
}

/// Whether the caller may load it.
pub(super) fn judge(
    Recorded { granted, is_revoked }: Recorded,
    creator: &Address,
    caller: &Caller<'_>,
) -> Result<Granted, Refusal> {
    let attempt = Attempt {
        caller: caller.address(),
        creator: Some(creator),
        is_allocated: false,
        for_identity: granted.token.for_identity.as_ref(),
        password_fits: true,
        failed_attempts: 0,
        expires_at: granted.token.expires_at,
        not_before: None,
        is_revoked,
        now: caller.now(),
    };
    match attempt.judge() {
        Verdict::Show | Verdict::ShowAndAllocate => Ok(granted),
        Verdict::Hide | Verdict::Locked | Verdict::WrongPassword => Err(Refusal::NotFound),
    }
}
