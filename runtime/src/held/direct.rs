//! Shares that no backbone knows: file and token are held here only. The content stays where it is on this machine; one that came as a
//! stream is in the content store, until the node ends at the latest.

use std::num::NonZeroU32;
use std::sync::Arc;

use tracing::{info, warn};
use transport::access::{MAX_FAILED_ATTEMPTS, Uses};
use transport::content::Tree;
use transport::crypto::random;
use transport::wire::backbone::token_terms::TokenTerms;
use transport::wire::{FileId, Id, TokenId};

use super::record::direct_file;
use super::{Edit, HeldToken};
use crate::content_store::{DIRECT_FILE, Keeping, KnownContent, UploadedContent};
use crate::core::Core;
use crate::file::{FileRecord, NO_ROOM};
use crate::logging::short;
use crate::source::Source;
use crate::store::{Batch, StoreError, View};
use crate::{Error, Result};

/// Shares whose content is looked for at a time.
const CHECKED_AT_ONCE: usize = 1000;

/// An id in the form of those that backbones give out.
pub(crate) fn local_id<I: Id>() -> I {
    const CHARACTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let text = format!("{}{}", I::PREFIX, random::text(CHARACTERS, 17));
    text.parse().unwrap_or_else(|_| unreachable!("a prefix and 17 letters or digits are an id"))
}

/// A file that is sealed where it is, or into the content store, and the token that shares it.
pub(crate) struct NewShare {
    pub(crate) id: FileId,
    pub(crate) file: FileRecord,
    pub(crate) tree: Tree,
    pub(crate) source: Option<Source>,
    pub(crate) keeping: Option<Keeping>,
    pub(crate) token: HeldToken,
    /// Those of the token, if they are counted.
    pub(crate) uses: Uses,
}

impl NewShare {
    /// Holds it under the id of its token from now on. If that fails, nothing of it remains.
    pub(crate) async fn begin(self, core: &Arc<Core>, token: &TokenId) -> Result<()> {
        let known = self.file.known_content(&self.id).ok_or(StoreError::Damaged)?;
        let held = self.token.clone().shared_directly();
        let build = |view: &View<'_>| {
            let mut batch = Batch::new();
            let mut edit = Edit::of(view, &mut batch)?;
            edit.add(token, &held, core.clock.now())?;
            if held.is_counted {
                edit.allocate_uses(token, &self.uses)?;
            }
            edit.add_direct_file(&self.id, &self.file)?;
            edit.finish()?;
            Ok::<_, StoreError>((batch, ()))
        };
        core.store.change(build).await?;
        // The content store looks for the file, so that comes first.
        if let Err(error) = self.keep_content(core, known).await {
            remove(core, token).await?;
            return Err(error);
        }
        info!(token = short(token), "a file is shared directly");
        Ok(())
    }

    async fn keep_content(self, core: &Core, content: KnownContent) -> Result<()> {
        let (root, has_source) = (content.root, self.source.is_some());
        let uploaded = UploadedContent {
            content: content.clone(),
            key: self.file.cipher_key,
            tree: self.tree,
            source: self.source,
        };
        core.content_store.uploaded(uploaded, self.keeping);
        core.content_store.pin(content).await?;
        let (is_there, no_room) = match has_source {
            true => (core.content_store.has_source(&root), NO_ROOM_FOR_HASHES),
            false => (core.content_store.is_whole(&root), NO_ROOM),
        };
        if is_there { Ok(()) } else { Err(Error::InvalidPropertyValue(no_room.to_owned())) }
    }
}

const NO_ROOM_FOR_HASHES: &str =
    "the content store has no room for the hashes of the file; raise the setting enlace.contentStore.maxSize";

/// The terms of a share, and how often it was used; none if there is no such share.
pub(crate) fn terms(core: &Core, token: &TokenId) -> Result<Option<TokenTerms>> {
    let (view, now) = (core.store.view(), core.clock.now());
    let Some(held) = HeldToken::stored(&view, token)?.filter(|held| held.is_direct) else { return Ok(None) };
    let uses = if held.is_counted { HeldToken::uses(&view, token)? } else { Uses::default() };
    let failed_attempts = HeldToken::ledger(&view, token)?.failed_attempts;
    Ok(Some(TokenTerms {
        expires_at: held.expires_at,
        not_before: held.not_before,
        max_uses: uses.limit().map(NonZeroU32::get),
        strict_uses: uses.is_strict(),
        committed_uses: uses.committed(now),
        leased_uses: uses.leased(now),
        failed_attempts,
        is_locked: failed_attempts >= MAX_FAILED_ATTEMPTS,
        revoked_at: None,
        last_read_at: None,
    }))
}

/// Ends a share. Returns whether there was such a one.
pub(crate) async fn stop(core: &Core, token: &TokenId) -> Result<bool> {
    match HeldToken::stored(&core.store.view(), token)? {
        Some(held) if held.is_direct => remove(core, token).await.map(|()| true),
        _ => Ok(false),
    }
}

async fn remove(core: &Core, token: &TokenId) -> Result<()> {
    let build = |view: &View<'_>| {
        let file = HeldToken::stored(view, token)?.map(|held| held.file);
        let record = file.map(|file| direct_file(view, &file)).transpose()?.flatten();
        let mut batch = Batch::new();
        let mut edit = Edit::of(view, &mut batch)?;
        edit.remove(token)?;
        edit.finish()?;
        Ok::<_, StoreError>((batch, record.and_then(|record| record.root)))
    };
    if let Some(root) = core.store.change(build).await? {
        core.content_store.remove(&root).await;
    }
    Ok(())
}

/// Ends the shares whose content is not to be had any more, because a file has changed, because they did not begin completely, or
/// because they came as a stream. The node starts; its content store is on.
pub(super) async fn end_lost(core: &Core) -> Result<()> {
    let mut from = DIRECT_FILE.to_owned();
    loop {
        let names = core.store.view().value_names(DIRECT_FILE, &from, CHECKED_AT_ONCE)?;
        let Some(last) = names.last() else { return Ok(()) };
        from = format!("{last}\0");
        for name in &names {
            let id: FileId = name[DIRECT_FILE.len()..].parse().map_err(|_| StoreError::Damaged)?;
            let root = direct_file(&core.store.view(), &id)?.and_then(|record| record.root);
            if root.is_none_or(|root| !core.content_store.has_source(&root)) {
                warn!(file = short(&id), "a file that was shared directly is gone or has changed; its share ends");
                let build = |view: &View<'_>| {
                    let mut batch = Batch::new();
                    let mut edit = Edit::of(view, &mut batch)?;
                    edit.remove_of(&id)?;
                    edit.finish()?;
                    batch.remove_value(name);
                    Ok::<_, StoreError>((batch, ()))
                };
                core.store.change(build).await?;
            }
        }
    }
}
