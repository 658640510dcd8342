//! What peers get from a node, and what they do not.

pub(super) mod counted;
mod locked;
mod paths;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use serde_json::Value;
use transport::access::MAX_FAILED_ATTEMPTS;
use transport::crypto::hash::Sha512Hash;
use transport::crypto::{Cipher, CryptoObject as _, PasswordHash, SecretKey, SignatureKeypair, random};
use transport::file::AnyFileMetadata;
use transport::peer::{
    Caller, Channel, Claims, Content as _, Conversation, Credentials, Direct, FileTarget, Format, HeldContent,
    Holder as _, IdentityExchange, MultiaddrText, Now, PIECE_LENGTH, PasswordProof, PeerKey, Refusal,
};
use transport::token::TokenContent;
use transport::wire::backbone::tokens::Token as BackboneToken;
use transport::wire::{Address, ByteText, FileId, Timestamp, TokenId, TokenReference};

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
use crate::file::MAX_BODIES;
use crate::peer::PeerNetwork;
use crate::source::Source;
use crate::store::{Properties, collection};
use crate::sync::Synchronizer;
use crate::token::Revocation;

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

/// A token as the datawallet brings it from another device, but for a change.
async fn as_of_another_device(world: &World, change: impl FnOnce(&mut Properties)) -> Token {
    let token = world.shared(CreateTokenForFile::default()).await;
    let store = &world.node.core.store;
    let mut object = store.object(collection::TOKENS, token.id.as_str()).unwrap().unwrap();
    object.properties.insert("createdByDevice".to_owned(), Value::from(OTHER_DEVICE));
    change(&mut object.properties);
    let build = |view: &View<'_>| {
        let mut batch = Batch::new();
        let mut edit = Edit::of(view, &mut batch)?;
        edit.remove(&token.id)?;
        edit.finish()?;
        batch.put_object(object);
        Ok::<_, StoreError>((batch, ()))
    };
    store.change(build).await.unwrap();
    token
}

const OTHER_DEVICE: &str = "DVCotherotherother12";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_device_is_shown_where_nothing_is_counted() {
    World::run(async |world| {
        let reader = memory::new_account(world.clock.now());
        let [reader, stranger] = [Some(&reader), None].map(|account| channel_to(account, world.clock.now()));
        let token = as_of_another_device(world, |_| ()).await;
        for channel in [&reader, &stranger, &reader] {
            let shown = world.ask(&token, channel, None).await.unwrap();
            assert_eq!(shown.created_by.as_ref(), Some(world.node.core.account.address()));
            assert_eq!(shown.created_by_device.unwrap().as_str(), OTHER_DEVICE);
            let mut held = world.content(FileTarget::Token(token.id.clone()), channel).await.unwrap();
            assert_eq!(read_from(&mut held, 0).await.unwrap().len() as u64, held.length);
        }
        assert_eq!(world.ledger(&token), LedgerRecord::default());

        let file = world.upload(vec![7; 100], ContentFormat::V2).await;
        let passed =
            world.share(&file, CreateTokenForFile { expires_at: in_hours(world, 1), ..Default::default() }).await;
        let expires_at = Value::from(passed.expires_at.to_string());
        let longer = |length: usize| {
            move |members: &mut Properties| {
                let content = members["content"].as_object_mut().unwrap();
                content.insert("note".to_owned(), Value::from(""));
                let rest = length - Value::from(content.clone()).to_string().len();
                content.insert("note".to_owned(), Value::from("x".repeat(rest)));
            }
        };
        let at_bound = as_of_another_device(world, longer(recorded::MAX_FILE_CONTENT)).await;
        assert!(world.ask(&at_bound, &reader, None).await.is_ok());
        let own = Value::from(world.node.core.account.device_id().as_str());
        let protected_by =
            serde_json::json!({ "password": "right", "passwordType": "pw", "salt": "AAAAAAAAAAAAAAAAAAAAAA" });
        let set = |name: &'static str, value: Value| {
            move |members: &mut Properties| drop(members.insert(name.to_owned(), value))
        };
        world.clock.advance(HOUR);
        let hidden = [
            as_of_another_device(world, longer(recorded::MAX_FILE_CONTENT + 1)).await,
            as_of_another_device(world, set("passwordProtection", protected_by)).await,
            as_of_another_device(world, set("createdByDevice", own)).await,
            as_of_another_device(world, set("isOwn", Value::from(false))).await,
            as_of_another_device(world, set("expiresAt", expires_at)).await,
            as_of_another_device(world, set("content", serde_json::json!({ "a": 1 }))).await,
            as_of_another_device(world, set("forIdentity", Value::from(passed.created_by.as_str()))).await,
        ];
        for (number, token) in hidden.iter().enumerate() {
            assert_eq!(world.ask(token, &reader, None).await, Err(Refusal::NotFound), "{number}");
        }
        let unknown_file = as_of_another_device(world, |_| ()).await;
        let mut batch = Batch::new();
        batch.delete_object(collection::FILES, unknown_file.content.to_value()["fileId"].as_str().unwrap());
        world.node.core.store.commit(batch).await.unwrap();
        assert_eq!(world.ask(&unknown_file, &reader, None).await, Err(Refusal::NotFound));
    })
    .await;
}

/// The same table is run over the backbone, in its tests.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_load_a_token_is_decided_as_by_a_backbone() {
    let table: Value =
        serde_json::from_str(include_str!("../../../transport/tests/vectors/token-access.json")).unwrap();
    let cases = table["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let allowed = case["wrongPasswordsPerSender"].as_u64().unwrap_or_default();
        World::run_with(allowed.try_into().unwrap(), async |world| {
            let is_set = |name: &str| case[name].as_bool().unwrap_or_default();
            let people =
                [world.account.clone(), memory::new_account(world.clock.now()), memory::new_account(world.clock.now())];
            let terms = if is_set("hasPassword") { protected() } else { CreateTokenForFile::default() };
            let terms = CreateTokenForFile {
                for_identity: is_set("isForReader").then(|| people[1].identity.address.clone()),
                expires_at: in_hours(world, 1),
                ephemeral: true,
                ..terms
            };
            let token = world.shared(terms).await;
            for (number, attempt) in case["attempts"].as_array().unwrap().iter().enumerate() {
                if attempt["expire"].as_bool().unwrap_or_default() {
                    world.clock.advance(HOUR);
                    continue;
                }
                let by = match attempt["by"].as_str().unwrap() {
                    "creator" => Some(&people[0]),
                    "reader" => Some(&people[1]),
                    "other" => Some(&people[2]),
                    _ => None,
                };
                let password =
                    attempt["password"].as_str().map(|word| match is_set("hasPassword") && word == "right" {
                        true => world.hash(&token),
                        false => PasswordHash::from_bytes([9; 32]),
                    });
                for time in 0..attempt["times"].as_u64().unwrap_or(1) {
                    let outcome = world.ask(&token, &channel_to(by, world.clock.now()), password.as_ref()).await;
                    let outcome = match outcome {
                        Ok(shown) => {
                            assert_eq!((&shown.id, shown.is_password_protected), (&token.id, is_set("hasPassword")));
                            "granted"
                        }
                        Err(Refusal::NotFound) => "notFound",
                        Err(Refusal::Locked) => "locked",
                        Err(Refusal::Busy) => "tooMany",
                        Err(refusal) => panic!("{refusal}"),
                    };
                    assert_eq!(attempt["outcome"], outcome, "{}: attempt {number}, {time}", case["name"]);
                }
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn peers_of_one_host_try_passwords_together_and_may_again_after_a_while_or_when_the_token_is_unlocked() {
    World::run_with(2, async |world| {
        let (token, now) = (world.shared(protected()).await, world.clock.now());
        let (right, wrong) = (world.hash(&token), PasswordHash::from_bytes([9; 32]));
        let stranger = |host: &str| channel_to(None, now).at(Some(host.parse().unwrap()));
        let identity = |host: &str| channel_to(Some(&memory::new_account(now)), now).at(Some(host.parse().unwrap()));
        // Whoever they are: peer ids and identities cost nothing.
        assert_eq!(world.ask(&token, &stranger("192.0.2.1"), Some(&wrong)).await, Err(Refusal::NotFound));
        assert_eq!(world.ask(&token, &identity("192.0.2.1"), Some(&wrong)).await, Err(Refusal::NotFound));
        for late in [stranger("192.0.2.1"), identity("192.0.2.1")] {
            assert_eq!(world.ask(&token, &late, Some(&right)).await, Err(Refusal::Busy));
        }
        assert_eq!(world.ledger(&token).failed_attempts, 2, "what is not judged does not count");
        assert!(world.ask(&token, &stranger("192.0.2.2"), Some(&right)).await.is_ok());
        let other = world.shared(protected()).await;
        assert!(world.ask(&other, &stranger("192.0.2.1"), Some(&world.hash(&other))).await.is_ok());

        unlock(&world.node.core, &token.id).await.unwrap();
        for _ in 0..2 {
            assert_eq!(world.ask(&token, &stranger("192.0.2.1"), Some(&wrong)).await, Err(Refusal::NotFound));
        }
        assert_eq!(world.ask(&token, &stranger("192.0.2.1"), Some(&right)).await, Err(Refusal::Busy));
        tokio::time::advance(transport::access::GUESSING_WINDOW).await;
        assert!(world.ask(&token, &stranger("192.0.2.1"), Some(&right)).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_peer_gets_the_token_that_the_backbone_has() {
    World::run(async |world| {
        for ephemeral in [true, false] {
            let token = world.shared(CreateTokenForFile { ephemeral, ..protected() }).await;
            let channel = channel_to(Some(&world.account), world.clock.now());
            let shown = world.ask(&token, &channel, None).await.unwrap();
            assert_eq!(shown, world.backbone.held().await.tokens[&token.id].token);
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_not_made_here_for_peers_is_not_found() {
    World::run(async |world| {
        let token = world.shared(CreateTokenForFile::default()).await;
        let (stranger, unknown) = (channel_to(None, world.clock.now()), "TOKunknownunknown123".parse().unwrap());
        let caller = Caller::new(&stranger, None, world.clock.now());
        assert_eq!(world.holder.token(&unknown, caller).await, Err(Refusal::NotFound));
        assert!(world.ask(&token, &stranger, None).await.is_ok());

        // A token that holds no file, and the token of a file that somebody else has uploaded.
        let request = serde_json::from_value(serde_json::json!({ "content": {}, "expiresAt": in_hours(world, 1) }));
        let other = TokensFacade::new(world.node.clone()).create_own_token(request.unwrap()).await.unwrap();
        assert_eq!(world.ask(&other, &stranger, None).await, Err(Refusal::NotFound));
        let file: FileId = world.upload(vec![1], ContentFormat::V1).await.id;
        let view = world.node.core.store.view();
        let mut object = view.object(crate::store::collection::FILES, file.as_str()).unwrap().unwrap();
        object.properties.insert("isOwn".into(), false.into());
        let mut batch = Batch::new();
        batch.put_object(object);
        world.node.core.store.commit(batch).await.unwrap();
        let of_peer = world.files().create_token_for_file(&file, CreateTokenForFile::default()).await.unwrap();
        assert_eq!(world.ask(&of_peer, &stranger, None).await, Err(Refusal::NotFound));

        // One that is made without peers.
        let directory = world.directory.join("alone");
        let alone = Arc::new(Node {
            core: memory::node(&directory, world.clock.clone()),
            sync: Synchronizer::idle(),
            server: None,
        });
        let files = FilesFacade::new(alone.clone());
        let request = UploadOwnFile::new(&b"x"[..], "a".parse().unwrap(), "text/plain".parse().unwrap());
        let file = files.upload_own_file(request).await.unwrap();
        let token = files.create_token_for_file(&file.id, CreateTokenForFile::default()).await.unwrap();
        let caller = Caller::new(&stranger, None, world.clock.now());
        assert_eq!(NodeHolder::new(&alone.core).token(&token.id, caller).await, Err(Refusal::NotFound));
    })
    .await;
}

#[tokio::test]
async fn with_its_token_or_file_everything_goes_that_is_held_of_it() {
    World::run(async |world| {
        let stranger = channel_to(None, world.clock.now());
        let file = world.upload(vec![7; 100], ContentFormat::V2).await;
        let kept = CreateTokenForFile { ephemeral: false, ..CreateTokenForFile::default() };
        let (listed, ephemeral) = (
            world.share(&file, kept.clone()).await,
            world.share(&file, CreateTokenForFile { ephemeral: true, ..kept }).await,
        );
        // The stand-in for the backbone cannot delete.
        remove_object(&world.node.core, "Tokens", listed.id.as_str()).await.unwrap();
        assert_eq!(world.ask(&listed, &stranger, None).await, Err(Refusal::NotFound));
        assert!(world.ask(&ephemeral, &stranger, None).await.is_ok());
        remove_object(&world.node.core, "Files", file.id.as_str()).await.unwrap();
        assert_eq!(world.ask(&ephemeral, &stranger, None).await, Err(Refusal::NotFound));
        let target = FileTarget::Token(ephemeral.id.clone());
        assert_eq!(world.content(target, &stranger).await.err(), Some(Refusal::NotFound));
        assert_eq!(world.node.core.store.view().value_names("HeldToken/", "HeldToken/", 9).unwrap(), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_peer_reads_the_bytes_and_metadata_that_the_backbone_has() {
    World::run(async |world| {
        let mebibytes = plain(3 * 1024 * 1024 + 5);
        let path = world.directory.join("source");
        std::fs::write(&path, &mebibytes).unwrap();
        let source = Source::file(&path).unwrap();
        let channel = channel_to(Some(&memory::new_account(world.clock.now())), world.clock.now());
        let files = [
            // Sealed again, from the content store, and nothing there.
            world.upload(source.clone(), ContentFormat::V2).await,
            world.upload(mebibytes.clone(), ContentFormat::V2).await,
            world.upload(Vec::new(), ContentFormat::V2).await,
            world.upload(mebibytes[..2_000_000].to_vec(), ContentFormat::V1).await,
            world.upload(b"small".to_vec(), ContentFormat::V1).await,
        ];
        for has_store in [true, false] {
            for file in &files {
                let (expected, bytes) = world.backbone.held().await.files[&file.id].clone();
                let token = world.share(file, CreateTokenForFile::default()).await;
                for target in [FileTarget::Token(token.id), FileTarget::File(file.id.clone())] {
                    let mut held = world.content(target.clone(), &channel).await.unwrap();
                    assert_eq!((held.length, &held.file), (bytes.len() as u64, &file.id));
                    assert!(read_from(&mut held, 0).await.unwrap() == bytes, "{target:?} {has_store}");
                    if held.format == Format::V2 && bytes.len() > 2_000_000 {
                        let mut held = world.content(target.clone(), &channel).await.unwrap();
                        for (start, length) in
                            [(1_500_000, 9), (10, 100_000), (47, 2), (0, 0), (1_048_600, 40), (3_145_780, 150)]
                        {
                            let read = held.content.read(start..start + length).await.unwrap();
                            assert!(read == bytes[start as usize..(start + length) as usize], "{start}");
                        }
                        assert!(read_from(&mut held, 2_000_000).await.unwrap() == bytes[2_000_000..]);
                        let end = held.length;
                        assert!(held.content.read(end..end + 1).await.is_err());
                    }
                    let caller = Caller::new(&channel, None, world.clock.now());
                    let mut shown = world.holder.metadata(&target, caller).await.unwrap();
                    let key = record_of(world, &file.id).secret_key;
                    let text =
                        |sealed: &transport::wire::ByteText| match AnyFileMetadata::open(&sealed.0, &key).unwrap() {
                            AnyFileMetadata::V1(metadata) => serde_json::to_string(&metadata).unwrap(),
                            AnyFileMetadata::V2(metadata) => metadata.to_text(),
                        };
                    assert_eq!(text(&shown.encrypted_properties), text(&expected.encrypted_properties));
                    shown.encrypted_properties = expected.encrypted_properties.clone();
                    assert_eq!(shown, expected);
                }
            }
            world.restart(None).await;
        }
    })
    .await;
}

fn record_of(world: &World, id: &FileId) -> crate::file::FileRecord {
    crate::file::stored(&world.node.core.store.view(), id).unwrap().unwrap()
}

#[tokio::test]
async fn a_source_is_served_without_the_backbone_until_it_changes() {
    World::run(async |world| {
        let (path, content) = (world.directory.join("source"), plain(3_000_000));
        std::fs::write(&path, &content).unwrap();
        let file = world.upload(Source::file(&path).unwrap(), ContentFormat::V2).await;
        let token = world.share(&file, CreateTokenForFile::default()).await;
        world.node.core.content_store.usage().await;
        let (_, bytes) = world.backbone.held().await.files.remove(&file.id).unwrap();
        let stranger = channel_to(None, world.clock.now());
        let mut held = world.content(FileTarget::Token(token.id.clone()), &stranger).await.unwrap();
        assert!(read_from(&mut held, 0).await.unwrap() == bytes);
        let mut changed = content;
        changed[2_500_000] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let mut held = world.content(FileTarget::Token(token.id), &stranger).await.unwrap();
        assert_eq!(read_from(&mut held, 0).await.err(), Some(Refusal::Unavailable));
    })
    .await;
}

#[tokio::test]
async fn a_file_by_its_id_is_for_identities_and_until_its_expiry() {
    World::run(async |world| {
        let mut request = UploadOwnFile::new(&b"x"[..], "a".parse().unwrap(), "text/plain".parse().unwrap());
        request.expires_at = in_hours(world, 1);
        let file = world.files().upload_own_file(request).await.unwrap();
        let token = world
            .share(&file, CreateTokenForFile { expires_at: in_hours(world, 5), ..CreateTokenForFile::default() })
            .await;
        let (somebody, stranger) = (
            channel_to(Some(&memory::new_account(world.clock.now())), world.clock.now()),
            channel_to(None, world.clock.now()),
        );
        let (by_id, by_token) = (FileTarget::File(file.id.clone()), FileTarget::Token(token.id.clone()));
        assert_eq!(world.content(by_id.clone(), &stranger).await.err(), Some(Refusal::IdentityRequired));
        assert!(world.content(by_id.clone(), &somebody).await.is_ok());
        assert!(world.content(by_token.clone(), &stranger).await.is_ok());
        let unknown = FileTarget::File("FILunknownunknown123".parse().unwrap());
        assert_eq!(world.content(unknown, &somebody).await.err(), Some(Refusal::NotFound));
        world.clock.advance(HOUR);
        assert!(world.ask(&token, &stranger, None).await.is_ok());
        for target in [by_id, by_token] {
            assert_eq!(world.content(target, &somebody).await.err(), Some(Refusal::NotFound));
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_whose_upload_goes_on_is_not_served() {
    World::run(async |world| {
        let (started, mut upload) = tokio::sync::mpsc::channel(1);
        let (reading, mut writing) = tokio::io::duplex(64);
        let mut request = UploadOwnFile::new(reading, "a".parse().unwrap(), "text/plain".parse().unwrap());
        request.format = ContentFormat::V2;
        let early = crate::facade::EarlyShare::new(move |upload| started.try_send(upload).unwrap());
        let files = world.files();
        let uploading = files.upload_own_file_early(request, early);
        let asking = async {
            let upload = upload.recv().await.unwrap();
            let token =
                world.files().create_token_for_started_upload(&upload, CreateTokenForFile::default()).await.unwrap();
            let stranger = channel_to(None, world.clock.now());
            assert!(world.ask(&token, &stranger, None).await.is_ok());
            let target = FileTarget::Token(token.id.clone());
            assert_eq!(world.content(target, &stranger).await.err(), Some(Refusal::NotFound));
            tokio::io::AsyncWriteExt::write_all(&mut writing, b"end").await.unwrap();
            drop(writing);
            token
        };
        let (uploaded, token) = tokio::join!(uploading, asking);
        uploaded.unwrap();
        let stranger = channel_to(None, world.clock.now());
        assert!(world.content(FileTarget::Token(token.id), &stranger).await.is_ok());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_400_parallel_wrong_passwords_exactly_100_are_checked() {
    World::run(async |world| {
        let token = world.shared(protected()).await;
        let (mut events, stranger) = (world.node.core.events.subscribe(), channel_to(None, world.clock.now()));
        let wrong = PasswordHash::from_bytes([9; 32]);
        let outcomes = join_all((0..400).map(|_| world.ask(&token, &stranger, Some(&wrong)))).await;
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(Refusal::NotFound)).count(), 99);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(Refusal::Locked)).count(), 301);
        assert_eq!(world.ledger(&token).failed_attempts, MAX_FAILED_ATTEMPTS);
        let right = world.hash(&token);
        assert_eq!(world.ask(&token, &stranger, Some(&right)).await, Err(Refusal::Locked));
        assert!(matches!(events.recv().await.unwrap(), Event::TokenLocked(id) if id == token.id));
        assert!(events.try_recv().is_err(), "once");
        unlock(&world.node.core, &token.id).await.unwrap();
        assert!(world.ask(&token, &stranger, Some(&right)).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn an_attempt_counts_although_who_made_it_has_gone() {
    World::run(async |world| {
        let token = world.shared(protected()).await;
        let (stranger, wrong) = (channel_to(None, world.clock.now()), PasswordHash::from_bytes([9; 32]));
        // Dropped while it waits for the disk; the next one is judged behind it.
        assert!(world.ask(&token, &stranger, Some(&wrong)).now_or_never().is_none());
        assert_eq!(world.ask(&token, &stranger, Some(&wrong)).await, Err(Refusal::NotFound));
        assert_eq!(world.ledger(&token).failed_attempts, 2);
    })
    .await;
}

#[tokio::test]
async fn counts_and_readers_survive_a_restart() {
    World::run(async |world| {
        let token = world.shared(protected()).await;
        let reader = channel_to(Some(&memory::new_account(world.clock.now())), world.clock.now());
        let stranger = channel_to(None, world.clock.now());
        let (right, wrong) = (world.hash(&token), PasswordHash::from_bytes([9; 32]));
        assert!(world.ask(&token, &reader, Some(&right)).await.is_ok());
        for _ in 1..MAX_FAILED_ATTEMPTS {
            assert_eq!(world.ask(&token, &stranger, Some(&wrong)).await, Err(Refusal::NotFound));
        }
        world.restart(None).await;
        assert_eq!(world.ask(&token, &stranger, Some(&wrong)).await, Err(Refusal::Locked));
        assert!(world.ask(&token, &reader, None).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn beyond_their_bound_readers_give_the_password_each_time() {
    World::run(async |world| {
        let token = world.shared(protected()).await;
        let mut batch = Batch::new();
        let almost_full = LedgerRecord { failed_attempts: 0, readers: MAX_READERS - 1 };
        HeldToken::put_ledger(&mut batch, &token.id, almost_full).unwrap();
        world.node.core.store.commit(batch).await.unwrap();
        let right = world.hash(&token);
        for is_remembered in [true, false] {
            let reader = channel_to(Some(&memory::new_account(world.clock.now())), world.clock.now());
            assert!(world.ask(&token, &reader, Some(&right)).await.is_ok());
            assert_eq!(world.ask(&token, &reader, None).await.is_ok(), is_remembered);
            assert!(world.ask(&token, &reader, Some(&right)).await.is_ok());
        }
        assert_eq!(world.ledger(&token).readers, MAX_READERS);
    })
    .await;
}

#[tokio::test]
async fn so_many_whole_bodies_are_served_at_a_time_one_to_each_peer_and_each_is_fetched_once() {
    World::run(async |world| {
        let mut targets = Vec::new();
        for number in 0..=MAX_BODIES {
            let file = world.upload(vec![number as u8; 100], ContentFormat::V1).await;
            targets.push(FileTarget::Token(world.share(&file, CreateTokenForFile::default()).await.id));
        }
        // The end of a body is told as nothing.
        let fetched = async || {
            let sent = std::mem::take(&mut world.backbone.held().await.sent);
            sent.iter().filter(|bytes| !bytes.is_empty()).count()
        };
        fetched().await;
        let strangers: Vec<_> = (0..=MAX_BODIES).map(|_| channel_to(None, world.clock.now())).collect();
        let mut open = vec![world.content(targets[0].clone(), &strangers[0]).await.unwrap()];
        let read = read_from(&mut open[0], 0).await.unwrap();
        for other in &targets[1..] {
            assert_eq!(world.content(other.clone(), &strangers[0]).await.err(), Some(Refusal::Busy));
        }
        for (target, stranger) in targets.iter().zip(&strangers).take(MAX_BODIES).skip(1) {
            open.push(world.content(target.clone(), stranger).await.unwrap());
        }
        assert_eq!(fetched().await, MAX_BODIES);
        assert_eq!(world.content(targets[MAX_BODIES].clone(), &strangers[MAX_BODIES]).await.err(), Some(Refusal::Busy));
        // The same body again, also when nobody reads it any more.
        for stranger in [&strangers[0], &strangers[MAX_BODIES]] {
            let mut again = world.content(targets[0].clone(), stranger).await.unwrap();
            assert_eq!(read_from(&mut again, 0).await.unwrap(), read);
            open.remove(0);
        }
        assert_eq!(fetched().await, 0);
        assert!(world.content(targets[MAX_BODIES].clone(), &strangers[0]).await.is_ok());
        assert_eq!(fetched().await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_whole_body_that_is_not_that_of_its_file_is_neither_served_nor_kept() {
    World::run(async |world| {
        let file = world.upload(vec![1; 100], ContentFormat::V1).await;
        let target = FileTarget::Token(world.share(&file, CreateTokenForFile::default()).await.id);
        let stranger = channel_to(None, world.clock.now());
        let view = world.node.core.store.view();
        let right = view.object(crate::store::collection::FILES, file.id.as_str()).unwrap().unwrap();
        let mut wrong = right.clone();
        wrong.properties.insert("cipherHash".into(), Sha512Hash::of(b"another body").to_string().into());
        for (object, outcome) in [(wrong, Some(Refusal::Unavailable)), (right, None)] {
            let mut batch = Batch::new();
            batch.put_object(object);
            world.node.core.store.commit(batch).await.unwrap();
            assert_eq!(world.content(target.clone(), &stranger).await.err(), outcome);
        }
    })
    .await;
}

#[tokio::test]
async fn a_content_that_was_served_to_its_end_is_told() {
    World::run(async |world| {
        let file = world.upload(plain(600_000), ContentFormat::V2).await;
        let token = world.share(&file, CreateTokenForFile::default()).await;
        let account = memory::new_account(world.clock.now());
        let reader: Address = account.identity.address.clone();
        let channel = channel_to(Some(&account), world.clock.now());
        let mut events = world.node.core.events.subscribe();
        let mut held = world.content(FileTarget::Token(token.id.clone()), &channel).await.unwrap();
        held.content.read(0..1000).await.unwrap();
        drop(held);
        assert!(events.try_recv().is_err(), "not to its end");
        let mut held = world.content(FileTarget::Token(token.id.clone()), &channel).await.unwrap();
        let read = read_from(&mut held, 500_000).await.unwrap().len() as u64;
        drop(held);
        let Event::FileServed { file: served, token: by_token, by, bytes } = events.try_recv().unwrap() else {
            panic!()
        };
        assert_eq!((served, by_token, by, bytes), (file.id, Some(token.id), Some(reader), read));
    })
    .await;
}

fn reachable(world: &World) -> Direct {
    Direct {
        peer_id: PeerKey::derive(&world.account.device_key).peer_id(),
        addresses: vec![MultiaddrText::new("/ip4/192.0.2.1/tcp/4001").unwrap()],
        relays: Vec::new(),
    }
}

#[tokio::test]
async fn the_content_of_a_token_says_where_this_node_is_to_receivers_only() {
    World::run(async |world| {
        let direct = reachable(world);
        let unreachable = Direct { addresses: Vec::new(), ..direct.clone() };
        let now_reachable = Arc::new(std::sync::Mutex::new(Some(unreachable)));
        let of_network = now_reachable.clone();
        world.node.core.held.reachable_by(move || of_network.lock().unwrap().clone());
        let file = world.upload(vec![7; 100], ContentFormat::V1).await;
        let opened = async |token: &Token| {
            let sealed = world.backbone.held().await.tokens[&token.id].token.content.clone().unwrap();
            open(token, &sealed)
        };
        for ephemeral in [true, false] {
            let terms = CreateTokenForFile { ephemeral, ..CreateTokenForFile::default() };
            *now_reachable.lock().unwrap() = Some(Direct { addresses: Vec::new(), ..direct.clone() });
            let silent = world.share(&file, terms.clone()).await;
            assert_eq!(Direct::of(&opened(&silent).await), None, "without an address there is nothing to say");
            *now_reachable.lock().unwrap() = Some(direct.clone());
            let token = world.share(&file, terms).await;
            assert_eq!(Direct::of(&opened(&token).await), Some(direct.clone()));

            let members = |token: &Token| {
                let content: Value = serde_json::from_str(token.content.as_str()).unwrap();
                content.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
            };
            assert_eq!(members(&token), ["@type", "fileId", "secretKey"]);
            if !ephemeral {
                let tokens = TokensFacade::new(world.node.clone());
                assert_eq!(members(&tokens.token(&token.id).await.unwrap()), ["@type", "fileId", "secretKey"]);
            }
        }
    })
    .await;
}

/// The content of a token as a receiver sees it.
fn open(token: &Token, sealed: &ByteText) -> TokenContent {
    let reference = TokenReference::parse(&token.reference.url).unwrap();
    let text = SecretKey::from(&reference.key).decrypt(&Cipher::from_bytes(&sealed.0).unwrap()).unwrap();
    TokenContent::parse(std::str::from_utf8(&text).unwrap()).unwrap()
}

fn direct_request(source: &Path) -> UploadOwnFile {
    let source = Source::file(source).unwrap();
    UploadOwnFile::from_source(source, "a.bin".parse().unwrap(), "text/plain".parse().unwrap())
}

/// Bytes of all files below a directory.
fn size_of(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { size_of(&path) } else { path.metadata().unwrap().len() }).sum()
}

/// A directory with a file, beside that of the node.
fn file_of(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("source");
    std::fs::write(&path, content).unwrap();
    (directory, path)
}

#[tokio::test]
async fn a_direct_share_is_known_to_nobody_else_and_takes_no_second_copy() {
    World::run(async |world| {
        let direct = reachable(world);
        let of_network = direct.clone();
        world.node.core.held.reachable_by(move || Some(of_network.clone()));
        let content = plain(9_000_000);
        let (_directory, path) = file_of(&content);
        let before = size_of(&world.directory);
        let token = world.files().share_directly(direct_request(&path), protected()).await.unwrap();
        world.node.core.content_store.usage().await;
        let more = size_of(&world.directory) - before;
        assert!(more < 1_000_000, "{more} bytes for {}", content.len());
        assert_eq!(world.node.core.content_store.usage().await.pinned, 1);

        {
            let held = world.backbone.held().await;
            assert!(held.tokens.is_empty() && held.files.is_empty() && held.uploads.is_empty());
        }
        let view = world.node.core.store.view();
        assert!(view.unpushed(9).unwrap().is_empty());
        for collection in ["Files", "Tokens"] {
            assert!(view.objects_where(collection, &[], |_| true).unwrap().is_empty());
        }

        for is_restarted in [false, true] {
            if is_restarted {
                world.restart(Some(ContentStoreConfig::default())).await;
            }
            let (stranger, right) = (channel_to(None, world.clock.now()), world.hash(&token));
            assert_eq!(world.ask(&token, &stranger, None).await, Err(Refusal::NotFound));
            let shown = world.ask(&token, &stranger, Some(&right)).await.unwrap();
            let opened = open(&token, &shown.content.unwrap());
            assert_eq!(Direct::of(&opened), Some(direct.clone()));
            let TokenContent::File { file_id, secret_key, .. } = opened else { panic!() };
            let target = FileTarget::Token(token.id.clone());
            let proof = Some(PasswordProof::new(&right, stranger.binding(), &token.id));
            let caller = Caller::new(&stranger, proof, world.clock.now());
            let metadata = world.holder.metadata(&target, caller).await.unwrap();
            let AnyFileMetadata::V2(opened) =
                AnyFileMetadata::open(&metadata.encrypted_properties.0, &secret_key).unwrap()
            else {
                panic!()
            };
            assert_eq!((metadata.id, opened.filename.as_str()), (file_id, "a.bin"));
            let mut held = world.holder.content(&target, caller).await.unwrap();
            let blob = read_from(&mut held, 0).await.unwrap();
            let mut expected = Vec::new();
            let mut sealer = transport::content::Sealer::new(&opened.secret_key, &mut expected);
            sealer.push(&content, &mut expected).unwrap();
            let tree = sealer.finish(&mut expected).unwrap();
            assert!(blob == expected);
            let extent = transport::file::Extent::Complete { length: content.len() as u64, root: *tree.root() };
            assert_eq!(opened.extent, extent);
        }
        world.files().stop_sharing(&token.id).await.unwrap();
        let stranger = channel_to(None, world.clock.now());
        assert_eq!(world.ask(&token, &stranger, None).await, Err(Refusal::NotFound));
        assert_eq!(world.node.core.content_store.usage().await.contents, 0);
        assert!(world.node.core.store.view().value_names("DirectFile/", "DirectFile/", 9).unwrap().is_empty());
        assert_eq!(
            world.files().stop_sharing(&token.id).await.unwrap_err().to_string(),
            crate::Error::RecordNotFound("Token").to_string()
        );
    })
    .await;
}

fn stream_of(content: &[u8]) -> UploadOwnFile {
    let reader = std::io::Cursor::new(content.to_vec());
    UploadOwnFile::new(reader, "a.bin".parse().unwrap(), "text/plain".parse().unwrap())
}

#[tokio::test]
async fn a_stream_is_shared_directly_from_the_content_store_until_the_node_ends() {
    World::run(async |world| {
        // Other uploads would not be kept.
        let store = ContentStoreConfig { keep_uploads: false, ..ContentStoreConfig::default() };
        world.restart(Some(store)).await;
        let direct = reachable(world);
        world.node.core.held.reachable_by(move || Some(direct.clone()));
        let stranger = channel_to(None, world.clock.now());
        for (length, is_stopped) in [(0, true), (3_000_000, true), (3_000_000, false)] {
            let content = plain(length);
            let token = world.files().share_directly(stream_of(&content), CreateTokenForFile::default()).await.unwrap();
            let target = FileTarget::Token(token.id.clone());
            let mut held = world.content(target.clone(), &stranger).await.unwrap();
            let blob = read_from(&mut held, 0).await.unwrap();
            assert_eq!(blob.len() as u64, transport::content::Layout::of(length as u64).unwrap().blob_length());
            drop(held);
            assert_eq!(world.node.core.content_store.usage().await.pinned, 1);
            if is_stopped {
                world.files().stop_sharing(&token.id).await.unwrap();
            } else {
                world.restart(Some(store)).await;
            }
            assert_eq!(world.content(target, &stranger).await.err(), Some(Refusal::NotFound));
            assert_eq!(world.node.core.content_store.usage().await.contents, 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_is_shared_directly_up_to_the_bound_of_the_content_store() {
    World::run(async |world| {
        let content = plain(2_500_000);
        let exactly = transport::content::Layout::of(content.len() as u64).unwrap().blob_length();
        for (max_size, fits) in [(exactly, true), (exactly - 1, false)] {
            world.restart(Some(ContentStoreConfig::new(max_size))).await;
            let direct = reachable(world);
            world.node.core.held.reachable_by(move || Some(direct.clone()));
            let shared = world.files().share_directly(stream_of(&content), CreateTokenForFile::default()).await;
            match (fits, shared) {
                (true, Ok(token)) => world.files().stop_sharing(&token.id).await.unwrap(),
                (false, Err(error)) => assert!(error.to_string().contains("enlace.contentStore.maxSize"), "{error}"),
                (_, other) => panic!("{max_size}: {other:?}"),
            }
            assert_eq!(world.node.core.content_store.usage().await.bytes, 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_direct_share_whose_file_changes_gives_no_other_bytes_and_ends() {
    World::run(async |world| {
        let direct = reachable(world);
        world.node.core.held.reachable_by(move || Some(direct.clone()));
        let content = plain(3_000_000);
        let (_directory, path) = file_of(&content);
        let token = world.files().share_directly(direct_request(&path), CreateTokenForFile::default()).await.unwrap();
        let (stranger, target) = (channel_to(None, world.clock.now()), FileTarget::Token(token.id.clone()));
        // In a way that neither length nor times show.
        let times = path.metadata().unwrap().modified().unwrap();
        let mut changed = content;
        changed[2_900_000] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(times).unwrap();
        let mut held = world.content(target.clone(), &stranger).await.unwrap();
        let mut events = world.node.core.events.subscribe();
        assert_eq!(read_from(&mut held, 0).await.err(), Some(Refusal::Unavailable));
        assert!(events.try_recv().is_err(), "it may be for a moment only");
        // Nothing is promised any more that cannot be read.
        assert_eq!(world.content(target.clone(), &stranger).await.err(), Some(Refusal::Unavailable));
        assert!(matches!(events.try_recv(), Ok(Event::SharedFileLost(file)) if file == held.file));
        drop(held);
        let caller = Caller::new(&stranger, None, world.clock.now());
        assert_eq!(world.holder.metadata(&target, caller).await.err(), Some(Refusal::Unavailable));
        world.node.core.content_store.usage().await;
        world.restart(Some(ContentStoreConfig::default())).await;
        assert_eq!(world.content(target, &stranger).await.err(), Some(Refusal::NotFound));
        assert_eq!(world.node.core.content_store.usage().await.contents, 0);
    })
    .await;
}

#[tokio::test]
async fn a_direct_share_ends_with_its_expiry() {
    World::run(async |world| {
        let direct = reachable(world);
        world.node.core.held.reachable_by(move || Some(direct.clone()));
        let (_directory, path) = file_of(&plain(100));
        let terms = CreateTokenForFile { expires_at: in_hours(world, 1), ..CreateTokenForFile::default() };
        let token = world.files().share_directly(direct_request(&path), terms).await.unwrap();
        let reader = channel_to(Some(&memory::new_account(world.clock.now())), world.clock.now());
        assert!(world.content(FileTarget::Token(token.id.clone()), &reader).await.is_ok());
        world.clock.advance(HOUR);
        // Known readers may see the token, but there is no file any more.
        assert!(world.ask(&token, &reader, None).await.is_ok());
        assert_eq!(world.content(FileTarget::Token(token.id.clone()), &reader).await.err(), Some(Refusal::NotFound));
        world.node.core.content_store.sweep();
        assert_eq!(world.node.core.content_store.usage().await.contents, 0);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_shared_directly_leaves_nothing() {
    World::run(async |world| {
        let (_directory, path) = file_of(&plain(100));
        let share = async |world: &World, request| {
            let outcome = world.files().share_directly(request, CreateTokenForFile::default()).await;
            outcome.map(drop).map_err(|error| error.code().to_owned())
        };
        let unreachable = share(world, direct_request(&path)).await;
        assert!(unreachable.is_err());
        let direct = reachable(world);
        let of_network = direct.clone();
        world.node.core.held.reachable_by(move || Some(of_network.clone()));
        let whole = UploadOwnFile { format: ContentFormat::V1, ..direct_request(&path) };
        assert_eq!(share(world, whole).await, unreachable);
        // A content store that is too small for the hashes, and none.
        for content_store in [Some(ContentStoreConfig::new(16)), None] {
            world.restart(content_store).await;
            let of_network = direct.clone();
            world.node.core.held.reachable_by(move || Some(of_network.clone()));
            assert!(share(world, direct_request(&path)).await.is_err());
            assert!(share(world, stream_of(&plain(100))).await.is_err());
            let view = world.node.core.store.view();
            for prefix in ["DirectFile/", "HeldToken/", "Content/", "ContentSource/"] {
                assert!(view.value_names(prefix, prefix, 9).unwrap().is_empty(), "{prefix}");
            }
        }
    })
    .await;
}

/// What `TokensFacade::revoke_token` does before it asks the backbone.
async fn revoke(world: &World, id: &TokenId, is_complete: bool) {
    let mut batch = Batch::new();
    Revocation { at: world.clock.now(), is_complete }.put(&mut batch, id).unwrap();
    world.node.core.store.commit(batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_given_to_nobody_else_also_after_a_restart_and_ends_transfers() {
    World::run(async |world| {
        let reader = channel_to(Some(&memory::new_account(world.clock.now())), world.clock.now());
        let own = channel_to(Some(&world.account), world.clock.now());
        for is_complete in [false, true] {
            let file = world.upload(plain(3 * PIECE_LENGTH as usize), ContentFormat::V2).await;
            let token = world.share(&file, CreateTokenForFile::default()).await;
            let recorded = as_of_another_device(world, |_| ()).await;
            let mut transfers = Vec::new();
            for token in [&token, &recorded] {
                assert!(world.ask(token, &reader, None).await.is_ok(), "the reader is remembered");
                transfers.push(world.content(FileTarget::Token(token.id.clone()), &reader).await.unwrap());
            }
            transfers[0].content.read(0..PIECE_LENGTH).await.unwrap();
            revoke(world, &token.id, is_complete).await;
            revoke(world, &recorded.id, is_complete).await;
            for transfer in &mut transfers {
                assert_eq!(transfer.content.read(0..1).await.unwrap_err(), Refusal::NotFound);
            }
            drop(transfers);
            for _ in 0..2 {
                for token in [&token, &recorded] {
                    assert_eq!(world.ask(token, &reader, None).await, Err(Refusal::NotFound));
                    let target = FileTarget::Token(token.id.clone());
                    assert_eq!(world.content(target, &reader).await.err(), Some(Refusal::NotFound));
                    assert!(world.ask(token, &own, None).await.is_ok(), "its creator sees it");
                }
                world.restart(Some(ContentStoreConfig::default())).await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_follows_the_expiry_that_another_device_has_set() {
    World::run(async |world| {
        let [early, late] = [(); 2].map(|()| memory::new_account(world.clock.now()));
        let [early, late] = [early, late].map(|account| channel_to(Some(&account), world.clock.now()));
        let two_hours = || CreateTokenForFile {
            expires_at: Some(world.clock.now().saturating_add(2 * HOUR)),
            ..Default::default()
        };
        let set = async |token: &Token, expires_at: Timestamp| {
            let store = &world.node.core.store;
            let mut object = store.object(collection::TOKENS, token.id.as_str()).unwrap().unwrap();
            object.properties.insert("expiresAt".to_owned(), expires_at.to_string().into());
            let mut batch = Batch::new();
            batch.put_object(object);
            store.commit(batch).await.unwrap();
        };
        let [shorter, longer, plain] =
            [world.shared(two_hours()).await, world.shared(two_hours()).await, world.shared(two_hours()).await];
        for token in [&shorter, &longer, &plain] {
            assert!(world.ask(token, &early, None).await.is_ok());
        }
        set(&shorter, world.clock.now().saturating_add(HOUR)).await;
        set(&longer, world.clock.now().saturating_add(3 * HOUR)).await;
        assert!(world.ask(&shorter, &late, None).await.is_ok(), "the new expiry has not come");
        world.clock.advance(2 * HOUR);
        assert_eq!(world.ask(&shorter, &early, None).await, Err(Refusal::NotFound), "it may have been revoked");
        assert_eq!(world.ask(&plain, &late, None).await, Err(Refusal::NotFound));
        assert!(world.ask(&plain, &early, None).await.is_ok(), "who has loaded it may do so again");
        assert!(world.ask(&longer, &late, None).await.is_ok());
        world.clock.advance(HOUR);
        let later = channel_to(None, world.clock.now());
        assert_eq!(world.ask(&longer, &later, None).await, Err(Refusal::NotFound));
    })
    .await;
}

#[tokio::test]
async fn another_expiry_moves_a_token_in_the_order_of_the_expiries_and_its_end_takes_all_of_it() {
    World::run(async |world| {
        let store = world.node.core.store.clone();
        let token = world.shared(CreateTokenForFile { expires_at: in_hours(world, 1), ..Default::default() }).await;
        let expire = async |id: &TokenId, at: Timestamp| {
            let build = |view: &View<'_>| {
                let mut batch = Batch::new();
                let mut edit = Edit::of(view, &mut batch)?;
                edit.expire_at(id, at)?;
                edit.finish()?;
                Ok::<_, StoreError>((batch, ()))
            };
            store.change(build).await.unwrap();
        };
        let later = world.clock.now().saturating_add(5 * HOUR);
        expire(&token.id, later).await;
        expire(&token.id, later).await;
        expire(&"TOKunknownunknown123".parse().unwrap(), later).await;
        let held = HeldToken::stored(&store.view(), &token.id).unwrap().unwrap();
        assert_eq!(held.expires_at, later);
        assert_eq!(store.view().value_names("HeldTokenExpiry/", "HeldTokenExpiry/", 10).unwrap().len(), 1);
        revoke(world, &token.id, true).await;
        remove_object(&world.node.core, collection::TOKENS, token.id.as_str()).await.unwrap();
        for kind in ["HeldToken", "RevokedToken"] {
            let names = store.view().value_names(kind, kind, 10).unwrap();
            assert!(names.iter().all(|name| name == "HeldTokenCount"), "{names:?}");
        }
    })
    .await;
}
