//! What the protocols between peers ask of this node: [`Holder`] over what is held and over own files.

use std::ops::Range;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use tracing::debug;
use transport::access::ClaimEnd;
use transport::peer::{Caller, Content, FileTarget, Format, HeldContent, Holder, Refusal, Via};
use transport::wire::backbone::files::FileMetadata;
use transport::wire::backbone::tokens::Token;
use transport::wire::{Address, ClaimId, FileId, TokenId};

use super::elsewhere::is_limited_elsewhere;
use super::ledger::Granted;
use super::{ledger, record};
use crate::Error;
use crate::core::{Core, Transfer};
use crate::event::Event;
use crate::file::{self, Bodies, Ciphertext, Elsewhere, FileRecord, Unopened};
use crate::logging::short;

/// Answers peers for a node, as long as the node is there.
#[derive(Clone)]
pub(crate) struct NodeHolder {
    core: Weak<Core>,
    bodies: Arc<Bodies>,
}

impl NodeHolder {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self { core: Arc::downgrade(core), bodies: Arc::default() }
    }

    fn core(&self) -> Result<Arc<Core>, Refusal> {
        self.core.upgrade().ok_or(Refusal::Unavailable)
    }
}

impl Holder for NodeHolder {
    type Content = ServedContent;

    async fn token(&self, id: &TokenId, caller: Caller<'_>) -> Result<Token, Refusal> {
        let core = self.core()?;
        let Granted { token: held, device } = ledger::access(&core, id, &caller).await?;
        Ok(Token {
            id: id.clone(),
            created_by: Some(core.account.address().clone()),
            created_by_device: Some(device),
            for_identity: held.for_identity,
            created_at: held.created_at,
            expires_at: held.expires_at,
            content: Some(held.content),
            is_password_protected: held.password.is_some(),
        })
    }

    async fn metadata(&self, target: &FileTarget, caller: Caller<'_>) -> Result<FileMetadata, Refusal> {
        let core = self.core()?;
        let found = Found::of(&core, target, &caller).await?;
        let shown = file::shown(&core, &found.id, &found.record).await;
        shown.map_err(|error| refusal(&found.id, &error))
    }

    async fn content(&self, target: &FileTarget, caller: Caller<'_>) -> Result<HeldContent<ServedContent>, Refusal> {
        let core = self.core()?;
        let Found { id, record, elsewhere } = Found::of(&core, target, &caller).await?;
        let ciphertext = Ciphertext::open(&core, &id, &record, elsewhere, (&self.bodies, &reader(&caller))).await;
        let ciphertext = ciphertext.map_err(|unopened| match unopened {
            Unopened::Busy => Refusal::Busy,
            Unopened::Failed(error) => refusal(&id, &error),
        })?;
        let (format, length) = (if ciphertext.is_in_chunks() { Format::V2 } else { Format::V1 }, ciphertext.length());
        let token = match target {
            FileTarget::Token(token) => Some(token.clone()),
            FileTarget::File(_) => None,
        };
        let reader = if caller.claim().is_some() { caller.peer().to_base58() } else { reader(&caller) };
        let transfer = Transfer { file: id.clone(), token, reader, claim: caller.claim().cloned() };
        let (by, via, size) = (caller.address().cloned(), caller.via(), record.filesize);
        let content = ServedContent { core, ciphertext, transfer, by, via, size, read: 0..0 };
        Ok(HeldContent { file: id, format, length, content })
    }

    async fn end_claim(&self, id: &TokenId, claim: &ClaimId, end: ClaimEnd, caller: Caller<'_>) -> Result<(), Refusal> {
        let core = self.core()?;
        ledger::end_claim(&core, id, (claim, end), &caller).await
    }
}

/// A file that the caller may load.
struct Found {
    id: FileId,
    record: FileRecord,
    elsewhere: Elsewhere,
}

impl Found {
    async fn of(core: &Core, target: &FileTarget, caller: &Caller<'_>) -> Result<Self, Refusal> {
        let id = match target {
            FileTarget::Token(token) => ledger::access(core, token, caller).await?.token.file,
            // As at a backbone, which shows a file by its id to everybody who is logged in.
            FileTarget::File(_) if caller.address().is_none() => return Err(Refusal::IdentityRequired),
            FileTarget::File(id) if is_by_token_only(core, id)? => return Err(Refusal::NotFound),
            FileTarget::File(id) if is_withheld(core, id, caller.address(), caller.via())? => {
                return Err(Refusal::OtherPath);
            }
            FileTarget::File(id) => id.clone(),
        };
        let found = Self::stored(core, id)?;
        // Only the node of the owner serves a file. One whose upload goes on is not there yet.
        let found = found.filter(|found| found.record.is_own && found.record.expires_at > caller.now());
        let found = found.ok_or(Refusal::NotFound)?;
        if found.is_lost(core) {
            core.events.publish(Event::SharedFileLost(found.id));
            return Err(Refusal::Unavailable);
        }
        Ok(found)
    }

    /// Whether nobody has the content any more, because the file that is shared directly has changed or is gone.
    fn is_lost(&self, core: &Core) -> bool {
        let has = |root| core.content_store.has_source(root) || core.content_store.is_whole(root);
        self.elsewhere == Elsewhere::Nowhere && !self.record.root.as_ref().is_some_and(has)
    }

    fn stored(core: &Core, id: FileId) -> Result<Option<Self>, Refusal> {
        let view = core.store.view();
        let unreadable = |error: Error| refusal(&id, &error);
        if let Some(record) = file::stored(&view, &id).map_err(unreadable)? {
            return Ok(Some(Self { id, record, elsewhere: Elsewhere::Backbone }));
        }
        let direct = record::direct_file(&view, &id).map_err(|error| refusal(&id, &error.into()))?;
        Ok(direct.map(|record| Self { id, record, elsewhere: Elsewhere::Nowhere }))
    }
}

fn is_by_token_only(core: &Core, id: &FileId) -> Result<bool, Refusal> {
    let view = core.store.view();
    let is_direct = record::direct_file(&view, id).map(|file| file.is_some());
    let is_by_token_only = is_direct.and_then(|is_direct| Ok(is_direct && record::is_by_token_only(&view, id)?));
    is_by_token_only.map_err(|error| refusal(id, &error.into()))
}

/// Whether a token of the file is not given by the path by which the file is asked for, or may not be, as another device knows. The devices of this identity share nothing with each
/// other by a token.
fn is_withheld(core: &Core, id: &FileId, caller: Option<&Address>, via: Option<Via>) -> Result<bool, Refusal> {
    if caller == Some(core.account.address()) {
        return Ok(false);
    }
    let view = core.store.view();
    let is_withheld = record::is_withheld(&view, id, None, via)
        .and_then(|is_withheld| Ok(is_withheld || is_limited_elsewhere(core, &view, id)?));
    is_withheld.map_err(|error| refusal(id, &error.into()))
}

/// Whom the place of a body counts for: an identity with all its devices, or a peer.
fn reader(caller: &Caller<'_>) -> String {
    caller.address().map_or_else(|| caller.peer().to_base58(), ToString::to_string)
}

/// The backbone may have removed a file that this node still knows.
fn refusal(id: &FileId, error: &Error) -> Refusal {
    debug!(%error, file = short(id), "a file cannot be served to a peer");
    match error {
        Error::RecordNotFoundAtBackbone(_) => Refusal::NotFound,
        _ => Refusal::Unavailable,
    }
}

/// The ciphertext of a file on its way to a peer.
pub(crate) struct ServedContent {
    core: Arc<Core>,
    ciphertext: Ciphertext,
    transfer: Transfer,
    by: Option<Address>,
    via: Option<Via>,
    /// Bytes of the content.
    size: u64,
    /// What was read last.
    read: Range<u64>,
}

impl Content for ServedContent {
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, Refusal> {
        self.check_still_given()?;
        let bytes = self.ciphertext.read(range.clone()).await.map_err(|error| {
            debug!(%error, file = short(&self.transfer.file), "a file cannot be read any more for a peer");
            Refusal::Unavailable
        })?;
        self.read = range;
        Ok(bytes)
    }

    fn was_sent(&mut self, length: u64) {
        let Self { core, ciphertext, transfer, by, size, read, .. } = self;
        let sent = read.start..read.end.min(read.start.saturating_add(length));
        if core.held.transfers.were_sent(transfer, by.as_ref(), &ciphertext.content(), &sent) {
            let Transfer { file, token, .. } = transfer.clone();
            core.events.publish(Event::FileServed { file, token, by: by.clone(), bytes: *size });
        }
    }
}

impl ServedContent {
    /// What is revoked, or not given by this path any more, ends in the middle of a transfer, too.
    fn check_still_given(&self) -> Result<(), Refusal> {
        let Transfer { file, token, .. } = &self.transfer;
        let is_ended = match token {
            Some(token) => {
                ledger::is_ended(&self.core, token, file, self.via).map_err(|error| refusal(file, &error.into()))?
            }
            None => is_withheld(&self.core, file, self.by.as_ref(), self.via)?,
        };
        if is_ended { Err(Refusal::NotFound) } else { Ok(()) }
    }
}
