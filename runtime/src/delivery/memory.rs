//! Delivery through memory, for tests: what several nodes of a test share, without a server.
//!
//! A [`Holder`] is the side that holds tokens and files. It decides by [`transport::access`], as a backbone does. Within
//! [`Holder::scope`] everything that nodes read and write goes to it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::io::{Read as _, Seek as _};
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard, watch};
use transport::access::{Attempt, ClaimEnd, FailedAttempt, Ledger, NoUseLeft, Outcome, Uses};
use transport::backbone::{
    self, Client, ClientConfig, NetworkError, SecretText, UploadContent, UploadFile, UploadObserver,
};
use transport::crypto::{SecretKey, SignatureKeypair};
use transport::identity::{PublicIdentity, derive_address};
use transport::wire::backbone::files::{CreatedFile, FileMetadata};
use transport::wire::backbone::previews::{CreatedPreview, FilePreview, NewPreview, PreviewState};
use transport::wire::backbone::token_terms::{CreateTokenWithTerms, code};
use transport::wire::backbone::tokens::{CreateToken, CreatedToken, Token};
use transport::wire::{Address, ClaimId, DeviceId, FileId, Timestamp, TokenId, UploadId};

use super::backbone::Backbone;
use super::{Delivery, Failure, Incoming, Outgoing, PieceSupport, ResumedUpload, UploadState};
use crate::Error;
use crate::clock::Clock;
use crate::config::{BackboneConfig, Config, Secret};
use crate::core::Core;
use crate::core::account::{Account, AccountRecord, DeviceIdentity};
use crate::store::{Store, StoreKeySource};

/// Bytes of a file that are handed out at a time.
const CHUNK: usize = 64 * 1024;

tokio::task_local! {
    static HOLDER: Holder;
}

/// Holds tokens and files for all nodes of a test.
#[derive(Clone, Default)]
pub(crate) struct Holder(Arc<Mutex<Held>>, Arc<watch::Sender<()>>);

/// What a holder has. Tests may change it between calls, as an untrusted side does.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) tokens: HashMap<TokenId, HeldToken>,
    pub(crate) files: HashMap<FileId, (FileMetadata, Bytes)>,
    /// Uploads that are not finished, and the bytes they have.
    pub(crate) uploads: HashMap<UploadId, Vec<u8>>,
    /// What is shown of them.
    pub(crate) growing: HashMap<FileId, FilePreview>,
    /// Whether it ends what is followed as if there were no more, as an untrusted side may.
    pub(crate) ends_early: bool,
    /// Whether it breaks what is followed where there is no more yet.
    pub(crate) breaks_early: bool,
    /// Reads so far, successful or not.
    pub(crate) reads: usize,
    /// Whether it answers ranges with everything.
    pub(crate) ignores_ranges: bool,
    /// Whether nobody can reach it.
    pub(crate) is_away: bool,
    /// Whether it knows nothing of claims, or does not say that it does.
    pub(crate) is_without_claims: bool,
    /// How long it takes to begin with each content.
    pub(crate) delay: std::time::Duration,
    /// Behind how many bytes the next contents break; all others come whole.
    pub(crate) cuts: VecDeque<u64>,
    /// Bytes of contents that were sent, in this order.
    pub(crate) sent: Vec<Range<u64>>,
    /// Ids that were given out.
    pub(crate) ids: usize,
}

/// A token, and what attempts to read it left behind.
pub(crate) struct HeldToken {
    pub(crate) token: Token,
    password: Option<String>,
    not_before: Option<Timestamp>,
    attempts: Attempts,
    /// Those under claims; all, if there is a limit.
    pub(crate) uses: Uses,
}

impl HeldToken {
    /// The token, and the hash of its password.
    pub(crate) fn parts(&self) -> (Token, Option<String>) {
        (self.token.clone(), self.password.clone())
    }

    /// Wrong passwords so far.
    pub(crate) fn failed_attempts(&self) -> u32 {
        self.attempts.failed
    }
}

#[derive(Default)]
struct Attempts {
    failed: u32,
    readers: HashSet<Address>,
}

impl Holder {
    /// Runs `future`, in which nodes deliver through this holder.
    pub(crate) async fn scope<F: Future>(&self, future: F) -> F::Output {
        HOLDER.scope(self.clone(), future).await
    }

    /// The holder of the scope.
    pub(crate) fn current() -> Option<Self> {
        HOLDER.try_with(Self::clone).ok()
    }

    /// Wakes those who follow uploads.
    pub(crate) fn wake(&self) {
        self.1.send_replace(());
    }

    /// What it holds.
    pub(crate) async fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().await
    }
}

/// A holder as one node reaches it.
pub(super) struct Memory<'a> {
    pub(super) core: &'a Core,
    pub(super) holder: Holder,
}

impl Memory<'_> {
    fn not_found(&self, record: &str, named: Option<&str>) -> Failure {
        let error = refusal(404, "error.platform.recordNotFound", format!("{record} not found."));
        Backbone::of(self.core).not_read(named, error)
    }

    async fn read(&self) -> MutexGuard<'_, Held> {
        let mut held = self.holder.held().await;
        held.reads += 1;
        held
    }

    /// The same, unless it is away.
    async fn reached(&self) -> Result<MutexGuard<'_, Held>, Failure> {
        let held = self.read().await;
        if held.is_away { Err(broken().into()) } else { Ok(held) }
    }

    fn is_over(&self, file: &FileMetadata) -> bool {
        file.expires_at <= self.core.clock.now()
    }

    fn store(&self, held: &mut Held, id: FileId, file: &UploadFile, content: Bytes) -> CreatedFile {
        let metadata = metadata(id.clone(), file, content.len() as u64, self.core);
        let created = self.created(&metadata);
        held.files.insert(id, (metadata, content));
        created
    }

    fn created(&self, file: &FileMetadata) -> CreatedFile {
        let account = &self.core.account;
        CreatedFile {
            id: file.id.clone(),
            created_at: file.created_at,
            created_by: account.address().clone(),
            created_by_device: account.device_id().clone(),
            modified_at: None,
            modified_by: None,
            deleted_at: None,
            deleted_by: None,
            owner: account.address().clone(),
            owner_signature: file.owner_signature.clone(),
            ownership_token: "ownershipownership12".to_owned(),
            cipher_size: file.cipher_size,
            cipher_hash: file.cipher_hash.clone(),
            expires_at: file.expires_at,
        }
    }
}

impl Delivery for Memory<'_> {
    type FileContent = HeldContent;

    async fn token(
        &self,
        id: &TokenId,
        password_hash: Option<&str>,
        claim: Option<&ClaimId>,
        named: Option<&str>,
    ) -> Result<Token, Failure> {
        let mut held = self.reached().await?;
        let claim = claim.filter(|_| !held.is_without_claims);
        let Some(HeldToken { token, password, not_before, attempts, uses }) = held.tokens.get_mut(id) else {
            return Err(self.not_found("Token", named));
        };
        let caller = self.core.account.address();
        let attempt = Attempt {
            caller: Some(caller),
            creator: token.created_by.as_ref(),
            is_allocated: attempts.readers.contains(caller),
            for_identity: token.for_identity.as_ref(),
            password_fits: password.as_deref().is_none_or(|password| Some(password) == password_hash),
            failed_attempts: attempts.failed,
            not_before: *not_before,
            expires_at: token.expires_at,
            is_revoked: false,
            now: self.core.clock.now(),
        };
        let (is_exempt, now) = (attempt.is_exempt(), self.core.clock.now());
        let Ok(outcome) = attempt.judge().settle(&attempt, Recorder { attempts, caller }).await;
        let max_content = 2 * self.core.config.backbone.max_token_content;
        match outcome {
            Outcome::Granted if token.content.as_ref().is_some_and(|content| content.0.len() > max_content) => {
                Err(too_large(max_content as u64))
            }
            Outcome::Granted => {
                let used = match claim {
                    Some(claim) => uses.read(claim, now).map(drop),
                    None if uses.limit().is_none() || is_exempt => Ok(()),
                    // The published clients know of no limit.
                    None => return uses.take(now).map_err(|_| self.not_found("Token", named)).map(|()| token.clone()),
                };
                used.map_err(no_use_left).map(|()| token.clone())
            }
            Outcome::NotFound => Err(self.not_found("Token", named)),
            Outcome::Locked => {
                let code = "error.platform.token.tooManyFailedPasswordAttempts";
                Err(refusal(400, code, "The token is locked.".to_owned()).into())
            }
        }
    }

    async fn counts_uses(&self, _: &TokenId) -> Result<bool, Failure> {
        Ok(!self.holder.held().await.is_without_claims)
    }

    async fn count_use(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Failure> {
        if !self.counts_uses(id).await? {
            return Err(Failure::Failed(Error::NotSupported("no uses are counted".to_owned())));
        }
        self.token(id, None, Some(claim), None).await.map(drop)
    }

    async fn renew_claim(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Failure> {
        let mut held = self.reached().await?;
        let token = held.tokens.get_mut(id).ok_or_else(|| self.not_found("Token", None))?;
        token.uses.claim(claim, self.core.clock.now()).map(drop).map_err(no_use_left)
    }

    async fn end_claim(&self, id: &TokenId, claim: &ClaimId, end: ClaimEnd) -> Result<(), Failure> {
        let mut held = self.reached().await?;
        let token = held.tokens.get_mut(id).ok_or_else(|| self.not_found("Token", None))?;
        token.uses.end(claim, end, self.core.clock.now()).map_err(|_| self.not_found("Token", None))
    }

    async fn file_metadata(&self, id: &FileId, named: Option<&str>) -> Result<FileMetadata, Failure> {
        let held = self.reached().await?;
        let found = held.files.get(id).filter(|(file, _)| !self.is_over(file));
        found.map(|(file, _)| file.clone()).ok_or_else(|| self.not_found("File", named))
    }

    async fn file_content(&self, id: &FileId, limit: u64) -> Result<HeldContent, Failure> {
        let delay = self.reached().await?.delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut held = self.reached().await?;
        let cut = held.cuts.pop_front();
        let found = held.files.get(id).filter(|(file, _)| !self.is_over(file));
        let (_, rest) = found.ok_or_else(|| self.not_found("File", None))?;
        match rest.len() as u64 {
            length if length > limit => Err(too_large(limit)),
            length => {
                let (rest, holder) = (rest.clone(), self.holder.clone());
                Ok(HeldContent { holder, rest, offset: 0, length: Some(length), received: 0, cut, followed: None })
            }
        }
    }

    async fn file_range(&self, id: &FileId, range: Range<u64>, limit: u64) -> Result<HeldContent, Failure> {
        let mut content = self.file_content(id, limit).await?;
        if self.holder.held().await.ignores_ranges {
            return Ok(content);
        }
        let place = |position: u64| usize::try_from(position.min(content.rest.len() as u64)).unwrap();
        let rest = content.rest.slice(place(range.start)..place(range.end));
        if rest.is_empty() {
            let request = String::new();
            return Err(backbone::Error::UnexpectedStatus { status: 416, request }.into());
        }
        content = HeldContent { length: Some(rest.len() as u64), rest, offset: range.start, ..content };
        Ok(content)
    }

    async fn file_preview(&self, id: &FileId) -> Result<FilePreview, Failure> {
        let held = self.reached().await?;
        if let Some(preview) = held.growing.get(id) {
            return Ok(FilePreview {
                offset: held.growth(id).map_or(0, |bytes| bytes.len() as u64),
                ..preview.clone()
            });
        }
        let found = held.files.get(id).filter(|(file, _)| !self.is_over(file));
        let (file, bytes) = found.ok_or_else(|| self.not_found("File", None))?;
        Ok(FilePreview {
            id: id.clone(),
            state: PreviewState::Complete,
            owner: file.owner.clone(),
            created_at: file.created_at,
            expires_at: file.expires_at,
            offset: bytes.len() as u64,
            length: Some(bytes.len() as u64),
            encrypted_properties: file.encrypted_properties.clone(),
        })
    }

    async fn follow_file(&self, id: &FileId, offset: u64, limit: u64) -> Result<HeldContent, Failure> {
        let there = self.file_preview(id).await?.offset;
        if offset > there {
            return Err(backbone::Error::UnexpectedStatus { status: 416, request: String::new() }.into());
        }
        let followed = Some(Followed { holder: self.holder.clone(), id: id.clone(), limit });
        let holder = self.holder.clone();
        Ok(HeldContent { holder, rest: Bytes::new(), offset, length: None, received: 0, cut: None, followed })
    }

    async fn create_token(&self, token: &CreateTokenWithTerms) -> Result<CreatedToken, Failure> {
        let (mut held, account) = (self.holder.held().await, &self.core.account);
        let id: TokenId = held.new_id("TOK").parse().unwrap();
        let created_at = self.core.clock.now();
        let uses = Uses::new(token.max_uses.and_then(NonZeroU32::new), token.strict_uses);
        let not_before = token.not_before;
        let CreateToken { content, expires_at, for_identity, password } = token.token.clone();
        let token = Token {
            id: id.clone(),
            created_by: Some(account.address().clone()),
            created_by_device: Some(account.device_id().clone()),
            for_identity,
            created_at,
            expires_at,
            content,
            is_password_protected: password.is_some(),
        };
        let attempts = Attempts::default();
        held.tokens.insert(id.clone(), HeldToken { token, password, not_before, attempts, uses });
        Ok(CreatedToken { id, created_at, expires_at: None })
    }

    async fn upload_file(
        &self,
        file: &UploadFile,
        content: &UploadContent,
        observer: Option<UploadObserver>,
    ) -> Result<CreatedFile, Failure> {
        let content = bytes_of(content);
        if let Some(observer) = observer {
            observer(content.len() as u64);
        }
        let mut held = self.holder.held().await;
        let id: FileId = held.new_id("FIL").parse().unwrap();
        Ok(self.store(&mut held, id, file, content))
    }

    async fn piece_support(&self) -> Result<Option<PieceSupport>, Failure> {
        Ok(Some(PieceSupport { max_length: None }))
    }

    async fn upload_pieces<O: Outgoing>(
        &self,
        content: &mut O,
        resumed: Option<ResumedUpload>,
        observer: Option<UploadObserver>,
    ) -> Result<CreatedFile, Failure> {
        let is_resumed = resumed.is_some();
        let id: UploadId = match resumed {
            Some(resumed) => resumed.id,
            None => self.holder.held().await.new_id("UPL").parse().unwrap(),
        };
        let mut is_kept = is_resumed;
        let outcome = self.take_pieces(&id, &mut is_kept, content, observer).await;
        if outcome.as_ref().is_err_and(|error| !is_kept || !super::may_pass(error)) {
            self.remove_upload(&id).await;
        }
        self.holder.wake();
        outcome.map_err(Failure::Failed)
    }

    async fn upload_state(&self, id: &UploadId) -> Result<UploadState, Failure> {
        let held = self.holder.held().await;
        Ok(match (held.uploads.get(id), held.files.get(&id.file_id())) {
            (Some(bytes), _) => UploadState::Unfinished { acknowledged: bytes.len() as u64 },
            (None, Some((file, _))) => UploadState::Finished(Box::new(file.clone())),
            (None, None) => UploadState::Gone,
        })
    }

    async fn remove_upload(&self, id: &UploadId) {
        let mut held = self.holder.held().await;
        held.uploads.remove(id);
        held.growing.remove(&id.file_id());
        self.holder.wake();
    }
}

impl Memory<'_> {
    /// Takes all pieces, from where an upload is; those of one that is shown are there for others at once.
    async fn take_pieces<O: Outgoing>(
        &self,
        id: &UploadId,
        is_kept: &mut bool,
        content: &mut O,
        observer: Option<UploadObserver>,
    ) -> crate::Result<CreatedFile> {
        let (mut position, file_id) = (0, id.file_id());
        let preview = content.preview()?;
        if !*is_kept {
            self.holder.held().await.uploads.insert(id.clone(), Vec::new());
            *is_kept = content.begun(id).await?;
        }
        if let Some(new) = preview
            && self.holder.held().await.uploads.contains_key(id)
        {
            let expires_at = new.expires_at;
            let preview = self.preview(&file_id, new);
            self.holder.held().await.growing.insert(file_id.clone(), preview);
            content.shown(CreatedPreview { id: file_id.clone(), expires_at });
        }
        while let Some(piece) = content.piece().await? {
            if let Some(bytes) = self.holder.held().await.uploads.get_mut(id) {
                let known = bytes.len().saturating_sub(position).min(piece.len());
                bytes.extend_from_slice(&piece[known..]);
            }
            self.holder.wake();
            position += piece.len();
            observer.iter().for_each(|observer| observer(position as u64));
        }
        let file = content.describe()?;
        let mut held = self.holder.held().await;
        held.growing.remove(&file_id);
        Ok(match held.uploads.remove(id) {
            Some(bytes) => self.store(&mut held, file_id, &file, bytes.into()),
            None => self.created(&held.files[&file_id].0),
        })
    }

    fn preview(&self, id: &FileId, new: NewPreview) -> FilePreview {
        FilePreview {
            id: id.clone(),
            state: PreviewState::Growing,
            owner: self.core.account.address().clone(),
            created_at: self.core.clock.now(),
            expires_at: new.expires_at,
            offset: 0,
            length: None,
            encrypted_properties: new.encrypted_properties,
        }
    }
}

/// A node that needs no server as long as it only delivers: its identity is made here.
pub(crate) fn node(directory: &Path, clock: Arc<dyn Clock>) -> Arc<Core> {
    let (config, store, account) = parts(directory, new_account(clock.now()));
    Core::new(config, clock, Arc::new(store), account, directory.to_owned())
}

/// What such a node is made of.
pub(crate) fn parts(directory: &Path, account: AccountRecord) -> (Config, Store, Account) {
    std::fs::create_dir_all(directory).unwrap();
    let store = Store::open_in(directory, &StoreKeySource::File(directory.join("store.key")), true).unwrap();
    let config = Config::new(directory, BackboneConfig::new("http://127.0.0.1:1", "test", Secret::new("test")));
    let client = Client::new(ClientConfig::new(&config.backbone.base_url, "test", SecretText::new("test"))).unwrap();
    (config, store, Account::new(account, client))
}

/// A new identity with its first device.
pub(crate) fn new_account(created_at: Timestamp) -> AccountRecord {
    let identity_key = SignatureKeypair::generate();
    let public_key = identity_key.public_key();
    let device: DeviceId = "DVCabcdefghijklmno12".parse().unwrap();
    AccountRecord {
        identity: PublicIdentity { address: derive_address(&public_key, "localhost").unwrap(), public_key },
        identity_key: Some(identity_key),
        synchronization_key: SecretKey::generate(),
        secret_base_key: SecretKey::generate(),
        secret_counter_start: 0,
        device: DeviceIdentity {
            id: device.clone(),
            username: "USRabcdefghijklmno12".parse().unwrap(),
            created_at,
            created_by_device: device,
        },
        password: "password".to_owned().into(),
        device_key: SignatureKeypair::generate(),
    }
}

impl Held {
    /// What an upload that is shown has.
    fn growth(&self, id: &FileId) -> Option<&Vec<u8>> {
        self.growing.get(id)?;
        self.uploads.iter().find(|(upload, _)| upload.file_id() == *id).map(|(_, bytes)| bytes)
    }

    fn new_id(&mut self, prefix: &str) -> String {
        self.ids += 1;
        format!("{prefix}{:017}", self.ids)
    }
}

fn no_use_left(error: NoUseLeft) -> Failure {
    let code = match error {
        NoUseLeft::Exhausted => code::EXHAUSTED,
        NoUseLeft::TooManyClaims => code::TOO_MANY_CLAIMS,
    };
    refusal(409, code, error.to_string()).into()
}

fn metadata(id: FileId, file: &UploadFile, cipher_size: u64, core: &Core) -> FileMetadata {
    FileMetadata {
        id,
        created_at: core.clock.now(),
        created_by: core.account.address().clone(),
        created_by_device: core.account.device_id().clone(),
        modified_at: None,
        modified_by: None,
        modified_by_device: None,
        deleted_at: None,
        deleted_by: None,
        deleted_by_device: None,
        owner: core.account.address().clone(),
        owner_signature: file.owner_signature.clone(),
        ownership_is_locked: false,
        cipher_size,
        cipher_hash: file.cipher_hash.clone(),
        expires_at: file.expires_at,
        encrypted_properties: file.encrypted_properties.clone(),
    }
}

fn bytes_of(content: &UploadContent) -> Bytes {
    match content {
        UploadContent::Memory(bytes) => bytes.clone(),
        UploadContent::File(file, length) => {
            let (mut file, mut bytes) = (file.try_clone().unwrap(), Vec::new());
            file.rewind().unwrap();
            file.take(*length).read_to_end(&mut bytes).unwrap();
            bytes.into()
        }
    }
}

fn refusal(status: u16, code: &str, message: String) -> backbone::Error {
    backbone::Error::Api { status, code: code.to_owned(), message, request: String::new(), trace_id: None }
}

fn broken() -> backbone::Error {
    backbone::Error::Network { kind: NetworkError::Broken, request: String::new(), source: None }
}

fn too_large(limit: u64) -> Failure {
    backbone::Error::AnswerTooLarge { request: String::new(), limit, unit: "bytes" }.into()
}

/// The lock of the holder is held from before the attempt was judged.
struct Recorder<'a> {
    attempts: &'a mut Attempts,
    caller: &'a Address,
}

impl Ledger for Recorder<'_> {
    type Error = Infallible;

    async fn allocate(self) -> Result<(), Infallible> {
        self.attempts.readers.insert(self.caller.clone());
        Ok(())
    }

    async fn count(self, failed: FailedAttempt) -> Result<(), Infallible> {
        self.attempts.failed = failed.number;
        Ok(())
    }
}

/// The bytes of a file that are still to be handed out.
pub(crate) struct HeldContent {
    holder: Holder,
    rest: Bytes,
    offset: u64,
    length: Option<u64>,
    received: u64,
    /// Behind how many bytes it breaks.
    cut: Option<u64>,
    followed: Option<Followed>,
}

/// An upload that is followed.
struct Followed {
    holder: Holder,
    id: FileId,
    limit: u64,
}

impl Followed {
    /// The bytes from this position on, once there are any; none at the end of the file.
    async fn behind(&self, position: usize) -> Result<Bytes, Failure> {
        let mut changes = self.holder.1.subscribe();
        loop {
            let held = self.holder.held().await;
            let growing = held.growth(&self.id).map(|bytes| Bytes::copy_from_slice(bytes));
            let is_growing = growing.is_some();
            let complete = held.files.get(&self.id).map(|(_, bytes)| bytes.clone());
            let bytes = growing.or(complete).ok_or_else(broken)?;
            if bytes.len() > position || !is_growing || held.ends_early {
                return Ok(bytes.slice(position..));
            }
            if held.breaks_early {
                return Err(broken().into());
            }
            drop(held);
            let _ = changes.changed().await;
        }
    }
}

impl Incoming for HeldContent {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn length(&self) -> Option<u64> {
        self.length
    }

    fn received(&self) -> u64 {
        self.received
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        if let Some(followed) = &self.followed
            && self.rest.is_empty()
        {
            let position = usize::try_from(self.offset + self.received).unwrap();
            self.rest = followed.behind(position).await?;
            if self.received + self.rest.len() as u64 > followed.limit {
                return Err(too_large(followed.limit));
            }
        }
        let left = self.cut.map_or(u64::MAX, |cut| cut - self.received);
        if left == 0 {
            return Err(broken().into());
        }
        let length = self.rest.len().min(CHUNK).min(usize::try_from(left).unwrap_or(usize::MAX));
        let chunk = self.rest.split_to(length);
        let position = self.offset + self.received;
        self.received += chunk.len() as u64;
        self.holder.held().await.sent.push(position..position + chunk.len() as u64);
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }
}
