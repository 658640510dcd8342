//! What peers get from a node, and what they do not.

mod attempts;
pub(super) mod counted;
mod direct_shares;
mod locked;
mod other_devices;
mod paths;
mod reading;
mod served;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::Value;
use transport::access::MAX_FAILED_ATTEMPTS;
use transport::crypto::{CryptoObject as _, PasswordHash, SignatureKeypair, random};
use transport::file::AnyFileMetadata;
use transport::peer::{
    Caller, Channel, Claims, Content as _, Conversation, Credentials, Direct, FileTarget, HeldContent, Holder as _,
    IdentityExchange, Now, PIECE_LENGTH, PasswordProof, PeerKey, Refusal,
};
use transport::wire::backbone::tokens::Token as BackboneToken;
use transport::wire::{ByteText, FileId, Timestamp, TokenId};

use super::record::LedgerRecord;
use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::config::{ContentStoreConfig, PeerConfig, PeerLimits};
use crate::content_store::ContentStore;
use crate::core::Parts;
use crate::core::account::AccountRecord;
use crate::delivery::memory::{self, Holder as Backbone};
use crate::dto::{File, Password, PasswordProtection, Token};
use crate::event::{Event, EventBus};
use crate::facade::{ContentFormat, CreateTokenForFile, FilesFacade, NewContent, Node, TokensFacade, UploadOwnFile};
use crate::peer::PeerNetwork;
use crate::source::Source;
use crate::store::{Properties, Store, collection};
use crate::sync::Synchronizer;

const START: &str = "2030-01-01T00:00:00.000Z";

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A node that serves, those who ask it, and what takes the place of a backbone.
pub(super) struct World {
    pub(super) node: Arc<Node>,
    holder: NodeHolder,
    pub(super) clock: Arc<ManualClock>,
    backbone: Backbone,
    directory: PathBuf,
    account: AccountRecord,
}

impl World {
    async fn run(test: impl AsyncFnOnce(&mut Self)) {
        let directory = tempfile::tempdir().unwrap();
        Self::run_in(directory.path(), test).await;
    }

    /// With so many wrong passwords that one sender may try.
    async fn run_with(wrong_passwords: u32, test: impl AsyncFnOnce(&mut Self)) {
        let directory = tempfile::tempdir().unwrap();
        Self::run_on(directory.path(), wrong_passwords, test).await;
    }

    /// With what is there of a node.
    pub(super) async fn run_in(directory: &Path, test: impl AsyncFnOnce(&mut Self)) {
        Self::run_on(directory, 0, test).await;
    }

    async fn run_on(directory: &Path, wrong_passwords: u32, test: impl AsyncFnOnce(&mut Self)) {
        let clock = Arc::new(ManualClock::new(START.parse().unwrap()));
        let account = memory::new_account(clock.now());
        let store = Some(ContentStoreConfig::default());
        let node = start_with(directory, &account, &clock, store, wrong_passwords).await;
        let (holder, backbone) = (NodeHolder::new(&node.core), Backbone::default());
        let directory = directory.to_owned();
        let mut world = Self { node, holder, clock, backbone: backbone.clone(), directory, account };
        // Boxed, because a test thread has a small stack.
        backbone.scope(Box::pin(test(&mut world))).await;
    }

    /// Stops the node and starts it again on what is on disk.
    async fn restart(&mut self, content_store: Option<ContentStoreConfig>) {
        self.node.core.content_store.close().await;
        let idle = start(&self.directory.join("idle"), &self.account, &self.clock, None).await;
        drop(std::mem::replace(&mut self.node, idle));
        self.node = start(&self.directory, &self.account, &self.clock, content_store).await;
        self.holder = NodeHolder::new(&self.node.core);
    }

    fn files(&self) -> FilesFacade {
        FilesFacade::new(self.node.clone())
    }

    async fn upload(&self, content: impl Into<NewContent>, format: ContentFormat) -> File {
        let reader = NewContent::Stream(Box::pin(tokio::io::empty())).into_reader();
        let mut request = UploadOwnFile::new(reader, "a.txt".parse().unwrap(), "text/plain".parse().unwrap());
        (request.content, request.format) = (content.into(), format);
        self.files().upload_own_file(request).await.unwrap()
    }

    async fn share(&self, file: &File, terms: CreateTokenForFile) -> Token {
        self.files().create_token_for_file(&file.id, terms).await.unwrap()
    }

    pub(super) async fn shared(&self, terms: CreateTokenForFile) -> Token {
        let file = self.upload(vec![7; 100], ContentFormat::V2).await;
        self.share(&file, terms).await
    }

    /// The channel to a new identity.
    pub(super) fn somebody(&self) -> Channel {
        channel_to(Some(&memory::new_account(self.clock.now())), self.clock.now())
    }

    pub(super) fn stranger(&self) -> Channel {
        channel_to(None, self.clock.now())
    }

    pub(super) async fn ask(
        &self,
        token: &Token,
        channel: &Channel,
        password: Option<&PasswordHash>,
    ) -> Result<BackboneToken, Refusal> {
        self.ask_for(&token.id, channel, password).await
    }

    pub(super) async fn ask_for(
        &self,
        id: &TokenId,
        channel: &Channel,
        password: Option<&PasswordHash>,
    ) -> Result<BackboneToken, Refusal> {
        let proof = password.map(|hash| PasswordProof::new(hash, channel.binding(), id));
        self.holder.token(id, Caller::new(channel, proof, self.clock.now())).await
    }

    async fn content(
        &self,
        target: FileTarget,
        channel: &Channel,
    ) -> Result<HeldContent<holder::ServedContent>, Refusal> {
        self.holder.content(&target, Caller::new(channel, None, self.clock.now())).await
    }

    /// The hash of the right password of a token.
    pub(super) fn hash(&self, token: &Token) -> PasswordHash {
        HeldToken::stored(&self.node.core.store.view(), &token.id).unwrap().unwrap().password.unwrap()
    }

    fn ledger(&self, token: &Token) -> LedgerRecord {
        HeldToken::ledger(&self.node.core.store.view(), &token.id).unwrap()
    }
}

impl From<Vec<u8>> for NewContent {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Stream(Box::pin(std::io::Cursor::new(bytes)))
    }
}

impl From<Source> for NewContent {
    fn from(source: Source) -> Self {
        Self::Source(source)
    }
}

async fn start(
    directory: &Path,
    account: &AccountRecord,
    clock: &Arc<ManualClock>,
    content_store: Option<ContentStoreConfig>,
) -> Arc<Node> {
    // Wrong passwords count for the token only, not for who tries them.
    start_with(directory, account, clock, content_store, 0).await
}

async fn start_with(
    directory: &Path,
    account: &AccountRecord,
    clock: &Arc<ManualClock>,
    content_store: Option<ContentStoreConfig>,
    wrong_passwords: u32,
) -> Arc<Node> {
    let (mut config, store, account) = memory::parts(directory, account.clone());
    let limits = PeerLimits { wrong_passwords, ..PeerLimits::default() };
    (config.peers, config.content_store) = (Some(PeerConfig { limits, ..PeerConfig::default() }), content_store);
    let store = Arc::new(store);
    let content_store = ContentStore::open(content_store, directory, &store, clock.clone()).await;
    let parts = Parts { content_store, peers: PeerNetwork::off(), events: EventBus::new() };
    let core = Core::with_parts(config, clock.clone(), store, account, parts, directory.to_owned());
    clean_up(&core).await.unwrap();
    Arc::new(Node { core, sync: Synchronizer::idle(), server: None })
}

/// The channel that a node has to somebody with this identity, or to a stranger.
pub(super) fn channel_to(account: Option<&AccountRecord>, time: Timestamp) -> Channel {
    let device_key = account.map_or_else(SignatureKeypair::generate, |account| account.device_key.clone());
    let ids = [SignatureKeypair::generate(), device_key.clone()].map(|key| PeerKey::derive(&key).peer_id());
    let credentials = account.map(|account| {
        let claims = Claims {
            address: account.identity.address.clone(),
            identity_key: account.identity.public_key,
            device_id: account.device.id.clone(),
            device_key: device_key.public_key(),
            peer_id: ids[1],
            valid_from: time,
            valid_until: time.saturating_add(24 * HOUR),
        };
        let certificate = claims.sign(account.identity_key.as_ref().unwrap()).unwrap();
        Credentials { certificate, device_key: device_key.clone() }
    });
    let now = Now { instant: Instant::now(), time };
    let nobody = |_: &_, _: &_| false;
    let there = IdentityExchange::initiator([ids[1], ids[0]], random::bytes(), credentials, nobody);
    let here = IdentityExchange::responder(ids, random::bytes(), None, nobody);
    let (mut there, mut here) = (Conversation::new(there, now.instant), Conversation::new(here, now.instant));
    loop {
        if let Some(channel) = here.end() {
            return channel.unwrap();
        }
        while let Some(frame) = there.outgoing() {
            pass(&frame, &mut here, now);
        }
        while let Some(frame) = here.outgoing() {
            pass(&frame, &mut there, now);
        }
    }
}

fn pass<S: transport::peer::Side>(mut bytes: &[u8], to: &mut Conversation<S>, now: Now) {
    while !bytes.is_empty() && to.wants() > 0 {
        let taken = to.receive(&bytes[..bytes.len().min(to.wants())], now);
        bytes = &bytes[taken..];
    }
}

fn in_hours(world: &World, hours: u32) -> Option<Timestamp> {
    Some(world.clock.now().saturating_add(hours * HOUR))
}

pub(super) fn protected() -> CreateTokenForFile {
    let password = PasswordProtection {
        password: Password::new("right").unwrap(),
        password_is_pin: false,
        password_location_indicator: None,
    };
    CreateTokenForFile { password_protection: Some(password), ..CreateTokenForFile::default() }
}

fn plain(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 7 % 251) as u8).collect()
}

/// All bytes from a position on, as they are asked for by a driver.
async fn read_from(held: &mut HeldContent<holder::ServedContent>, start: u64) -> Result<Vec<u8>, Refusal> {
    let (mut bytes, mut position) = (Vec::new(), start);
    while position < held.length {
        let end = held.length.min(position + PIECE_LENGTH);
        bytes.extend_from_slice(&held.content.read(position..end).await?);
        position = end;
    }
    Ok(bytes)
}

/// Changes what is held.
pub(super) async fn edit(store: &Store, change: impl FnOnce(&mut Edit<'_, '_>) -> Result<(), StoreError>) {
    let build = |view: &View<'_>| {
        let mut batch = Batch::new();
        let mut edit = Edit::of(view, &mut batch)?;
        change(&mut edit)?;
        edit.finish()?;
        Ok::<_, StoreError>((batch, ()))
    };
    store.change(build).await.unwrap();
}
