//! What every implementation of [`Delivery`] has to do, run over each of them.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use transport::access::{ClaimEnd, MAX_FAILED_ATTEMPTS};
use transport::backbone::{UploadContent, UploadFile, new_claim_id};
use transport::crypto::hash::Sha512Hash;
use transport::wire::backbone::previews::{CreatedPreview, NewPreview, PreviewState};
use transport::wire::backbone::tokens::CreateToken;
use transport::wire::{Address, ByteText, FileId, Timestamp, TokenId, UploadId};

use super::backbone::Backbone;
use super::fake_peers::FakePeers;
use super::memory::{self, Holder, Memory};
use super::several::Several;
use super::{Delivery, Failure, Incoming, Outgoing, ResumedUpload, UploadState};
use crate::clock::{Clock, ManualClock};
use crate::config::{BackboneConfig, Config, Secret};
use crate::core::Core;
use crate::store::{Store, StoreKeySource};
use crate::{Error, ErrorCode, account};

/// What the other side takes as the hash of a password: any bytes.
const PASSWORD: &str = "cGFzc3dvcmQ=";
const WRONG: &str = "d3Jvbmc=";
const ELSEWHERE: &str = "https://elsewhere.example";
const START: &str = "2030-01-01T00:00:00.000Z";
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Three identities that deliver to each other in the same way.
struct World<'a, D> {
    /// Creates and uploads.
    sender: (&'a Address, D),
    /// Reads.
    receiver: (&'a Address, D),
    /// Somebody else.
    other: D,
    /// Of nodes and of the side that holds tokens.
    clock: &'a ManualClock,
    /// The receiver's bound.
    max_token_content: usize,
}

async fn conforms<D: Delivery>(world: World<'_, D>) {
    world.tokens_come_as_they_were_created().await;
    world.a_token_is_for_its_addressee_and_its_creator().await;
    world.a_password_is_asked_for_once().await;
    world.reads_under_one_claim_are_one_use_which_ends_once().await;
    world.wrong_passwords_lock_a_token_for_all_but_its_creator().await;
    world.an_unknown_id_is_not_found_and_the_other_backbone_is_named().await;
    world.a_token_that_is_too_large_is_refused().await;
    world.a_file_comes_in_order_and_within_its_limit().await;
    world.a_range_of_a_file_comes_alone_or_from_the_start().await;
    world.pieces_become_a_file_at_their_end().await;
    world.an_interrupted_upload_goes_on_behind_what_arrived().await;
    world.an_upload_that_cannot_go_on_is_removed().await;
    world.an_upload_that_is_shown_is_followed_to_its_end().await;
    world.an_upload_that_fails_breaks_off_for_those_who_follow_it().await;
    world.after_its_expiry_a_token_is_shown_to_those_who_know_it().await;
}

impl<D: Delivery> World<'_, D> {
    fn at(&self, after: Duration) -> Timestamp {
        self.clock.now().saturating_add(after)
    }

    async fn create(&self, token: CreateToken) -> TokenId {
        self.sender.1.create_token(&token.into()).await.unwrap().id
    }

    async fn tokens_come_as_they_were_created(&self) {
        let given = token(b"sealed".to_vec());
        let created = self.sender.1.create_token(&given.clone().into()).await.unwrap();
        assert!(created.expires_at.is_none_or(|granted| granted <= given.expires_at));
        let read = self.receiver.1.token(&created.id, None, None, None).await.unwrap();
        assert_eq!((read.id, read.content), (created.id, given.content));
        assert_eq!(read.created_by.as_ref(), Some(self.sender.0));
    }

    async fn a_token_is_for_its_addressee_and_its_creator(&self) {
        let for_identity = Some(self.receiver.0.clone());
        let id = self.create(CreateToken { for_identity, ..token(b"sealed".to_vec()) }).await;
        assert!(is_not_found(self.other.token(&id, None, None, None).await));
        for allowed in [&self.sender.1, &self.receiver.1] {
            let read = allowed.token(&id, None, None, None).await.unwrap();
            assert_eq!(read.for_identity.as_ref(), Some(self.receiver.0));
        }
    }

    async fn a_password_is_asked_for_once(&self) {
        let id = self.create(protected()).await;
        for wrong in [None, Some(WRONG)] {
            assert!(is_not_found(self.receiver.1.token(&id, wrong, None, None).await));
        }
        for password in [Some(PASSWORD), None] {
            assert!(self.receiver.1.token(&id, password, None, None).await.is_ok(), "{password:?}");
        }
        assert!(is_not_found(self.other.token(&id, None, None, None).await), "another identity has read it");
    }

    async fn reads_under_one_claim_are_one_use_which_ends_once(&self) {
        let id = self.create(protected()).await;
        let [claim, other] = [new_claim_id(), new_claim_id()];
        let receiver = &self.receiver.1;
        assert!(is_not_found(receiver.token(&id, Some(WRONG), Some(&claim), None).await));
        for end in [ClaimEnd::Commit, ClaimEnd::Release] {
            assert!(is_not_found(receiver.end_claim(&id, &claim, end).await), "it was not used");
        }
        for password in [Some(PASSWORD), None] {
            assert_eq!(receiver.token(&id, password, Some(&claim), None).await.unwrap().id, id);
        }
        receiver.renew_claim(&id, &claim).await.unwrap();
        for _ in 0..2 {
            receiver.end_claim(&id, &claim, ClaimEnd::Commit).await.unwrap();
        }
        receiver.token(&id, None, Some(&claim), None).await.unwrap();
        receiver.token(&id, None, Some(&other), None).await.unwrap();
        receiver.end_claim(&id, &other, ClaimEnd::Release).await.unwrap();
        let sender = &self.sender.1;
        let [at_peer, unused] = [new_claim_id(), new_claim_id()];
        for _ in 0..2 {
            sender.count_use(&id, &at_peer).await.unwrap();
        }
        sender.end_claim(&id, &at_peer, ClaimEnd::Commit).await.unwrap();
        assert!(is_not_found(sender.end_claim(&id, &unused, ClaimEnd::Commit).await));
        let unknown = "TOKunknownunknown123".parse().unwrap();
        assert!(is_not_found(sender.count_use(&unknown, &unused).await));
    }

    async fn wrong_passwords_lock_a_token_for_all_but_its_creator(&self) {
        let id = self.create(protected()).await;
        self.other.token(&id, Some(PASSWORD), None, None).await.unwrap();
        for _ in 1..MAX_FAILED_ATTEMPTS {
            assert!(is_not_found(self.receiver.1.token(&id, Some(WRONG), None, None).await));
        }
        for password in [WRONG, PASSWORD] {
            let locked = self.receiver.1.token(&id, Some(password), None, None).await;
            assert!(matches!(locked, Err(Failure::Failed(_))), "{password}");
        }
        for exempt in [&self.sender.1, &self.other] {
            assert!(exempt.token(&id, None, None, None).await.is_ok());
        }
    }

    async fn an_unknown_id_is_not_found_and_the_other_backbone_is_named(&self) {
        let (token, file): (TokenId, FileId) =
            ("TOKunknownunknown123".parse().unwrap(), "FILunknownunknown123".parse().unwrap());
        let receiver = &self.receiver.1;
        for outcome in [
            receiver.token(&token, None, None, Some(ELSEWHERE)).await.map(drop),
            receiver.file_metadata(&file, Some(ELSEWHERE)).await.map(drop),
        ] {
            let Err(Failure::NotFound(error)) = outcome else { panic!("found") };
            assert_eq!(error.known_code(), Some(ErrorCode::RecordNotFound));
            assert!(error.to_string().contains(ELSEWHERE), "{error}");
        }
        assert!(is_not_found(receiver.file_content(&file, 1).await));
    }

    async fn a_token_that_is_too_large_is_refused(&self) {
        // The bound is one of the answer, in which the content is encoded twice and framed.
        let id = self.create(token(vec![0; 20 * self.max_token_content])).await;
        assert!(matches!(self.receiver.1.token(&id, None, None, None).await, Err(Failure::TooLarge(_))));
    }

    async fn a_file_comes_in_order_and_within_its_limit(&self) {
        let bytes: Vec<u8> = (0..600_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let length = bytes.len() as u64;
        let file = UploadFile {
            cipher_hash: Sha512Hash::of(&bytes).into(),
            owner: self.sender.0.clone(),
            owner_signature: ByteText(b"signature".to_vec()),
            expires_at: self.at(HOUR),
            encrypted_properties: ByteText(b"properties".to_vec()),
        };
        let content = UploadContent::Memory(bytes.clone().into());
        let created = self.sender.1.upload_file(&file, &content, None).await.unwrap();
        assert!(created.expires_at <= file.expires_at);

        let receiver = &self.receiver.1;
        let metadata = receiver.file_metadata(&created.id, None).await.unwrap();
        assert_eq!((&metadata.id, &metadata.encrypted_properties), (&created.id, &file.encrypted_properties));
        assert_eq!((&metadata.owner, &metadata.cipher_hash), (self.sender.0, &file.cipher_hash));
        assert!(read(receiver.file_content(&created.id, length).await.unwrap()).await.unwrap() == bytes);
        let cut = match receiver.file_content(&created.id, length - 1).await {
            Err(failure) => failure,
            Ok(content) => read(content).await.expect_err("more than the limit was handed out"),
        };
        assert!(matches!(cut, Failure::TooLarge(_)), "{cut:?}");

        self.clock.advance(HOUR);
        assert!(is_not_found(receiver.file_metadata(&created.id, None).await));
        assert!(is_not_found(receiver.file_content(&created.id, length).await));
    }

    async fn a_range_of_a_file_comes_alone_or_from_the_start(&self) {
        let bytes: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let content = UploadContent::Memory(bytes.clone().into());
        let id = self.sender.1.upload_file(&self.file(&bytes), &content, None).await.unwrap().id;
        let length = bytes.len();
        for range in [0..1, 0..length, 500..70_000, length - 1..length, length - 1..length + 5] {
            let places = range.start as u64..range.end as u64;
            let content = self.receiver.1.file_range(&id, places, length as u64).await.unwrap();
            let offset = usize::try_from(content.offset()).unwrap();
            assert!(offset == range.start || offset == 0);
            let received = read(content).await.unwrap();
            assert!(received.starts_with(&bytes[offset..range.end.min(length)]), "{range:?}");
        }
        let beyond = self.receiver.1.file_range(&id, length as u64..length as u64 + 1, length as u64).await;
        assert!(matches!(beyond, Err(Failure::Failed(_))));
        let unknown: FileId = "FILunknownunknown123".parse().unwrap();
        assert!(is_not_found(self.receiver.1.file_range(&unknown, 0..1, 1).await));
    }

    async fn pieces_become_a_file_at_their_end(&self) {
        assert!(self.sender.1.piece_support().await.unwrap().is_some());
        let pieces = [&b"abc"[..], &[7; 600_000], b"", b"z"];
        let bytes = pieces.concat();
        let mut content = Pieces::new(&pieces, Some(self.file(&bytes)));
        let created = self.sender.1.upload_pieces(&mut content, None, None).await.unwrap();
        assert!(content.file.is_none());
        let receiver = &self.receiver.1;
        let metadata = receiver.file_metadata(&created.id, None).await.unwrap();
        assert_eq!(metadata.encrypted_properties, ByteText(b"properties".to_vec()));
        assert!(read(receiver.file_content(&created.id, bytes.len() as u64).await.unwrap()).await.unwrap() == bytes);
        let mut broken = Pieces::new(&[b"x"], None);
        let outcome = self.sender.1.upload_pieces(&mut broken, None, None).await;
        assert!(matches!(outcome, Err(Failure::Failed(Error::Stopped))));
    }

    async fn an_interrupted_upload_goes_on_behind_what_arrived(&self) {
        let pieces: [&[u8]; 3] = [b"abc", &[7; 600_000], b"z"];
        let bytes = pieces.concat();
        let sender = &self.sender.1;
        // The description fails, with everything acknowledged.
        let mut first = Pieces { stays: true, ..Pieces::new(&pieces, None) };
        assert!(sender.upload_pieces(&mut first, None, None).await.is_err());
        let id = first.upload.unwrap();
        let UploadState::Unfinished { acknowledged } = sender.upload_state(&id).await.unwrap() else {
            panic!("the upload does not stay")
        };
        assert_eq!(acknowledged, bytes.len() as u64);
        let mut second = Pieces { stays: true, ..Pieces::new(&pieces, Some(self.file(&bytes))) };
        let resumed = ResumedUpload { id: id.clone(), acknowledged };
        let created = sender.upload_pieces(&mut second, Some(resumed.clone()), None).await.unwrap();
        assert!(second.upload.is_none(), "nothing new has begun");
        assert_eq!(created.id, id.file_id());
        let arrived = self.receiver.1.file_content(&created.id, bytes.len() as u64).await.unwrap();
        assert!(read(arrived).await.unwrap() == bytes);
        // The answer was lost.
        let UploadState::Finished(found) = sender.upload_state(&id).await.unwrap() else { panic!("not finished") };
        assert_eq!(found.id, created.id);
        let mut third = Pieces { stays: true, ..Pieces::new(&pieces, Some(self.file(&bytes))) };
        let again = sender.upload_pieces(&mut third, Some(resumed), None).await.unwrap();
        assert_eq!((again.id, again.created_at), (created.id, created.created_at));
    }

    async fn an_upload_that_cannot_go_on_is_removed(&self) {
        let sender = &self.sender.1;
        let mut content = Pieces { stays: true, ..Pieces::new(&[b"abc"], None) };
        assert!(sender.upload_pieces(&mut content, None, None).await.is_err());
        let id = content.upload.unwrap();
        sender.remove_upload(&id).await;
        assert!(matches!(sender.upload_state(&id).await.unwrap(), UploadState::Gone));
        sender.remove_upload(&id).await;
        let unknown: UploadId = "UPLunknownunknown123".parse().unwrap();
        assert!(matches!(sender.upload_state(&unknown).await.unwrap(), UploadState::Gone));
    }

    async fn an_upload_that_is_shown_is_followed_to_its_end(&self) {
        let bytes = [&b"abc"[..], &[7; 600_000], b"z"].concat();
        let (mut content, mut shown, pieces) = Shown::new(Some(self.file(&bytes)), self.at(HOUR));
        let receiver = &self.receiver.1;
        let following = async {
            let CreatedPreview { id, expires_at } = shown.recv().await.unwrap();
            assert!(expires_at <= self.at(HOUR));
            assert!(is_not_found(receiver.file_metadata(&id, None).await), "there is no file yet");
            pieces.send(Bytes::copy_from_slice(&bytes[..300_000])).unwrap();
            let mut early = receiver.follow_file(&id, 0, bytes.len() as u64).await.unwrap();
            let mut there = early.chunk().await.unwrap().unwrap().to_vec();
            let preview = receiver.file_preview(&id).await.unwrap();
            assert_eq!((preview.state, &preview.owner, &preview.id), (PreviewState::Growing, self.sender.0, &id));
            assert_eq!((preview.encrypted_properties, preview.offset), (ByteText(b"shown".to_vec()), 300_000));
            let late = receiver.follow_file(&id, 300_000, bytes.len() as u64).await.unwrap();
            assert!(matches!(receiver.follow_file(&id, 300_001, 1).await, Err(Failure::Failed(_))));
            pieces.send(Bytes::copy_from_slice(&bytes[300_000..])).unwrap();
            drop(pieces);
            while let Some(chunk) = early.chunk().await.unwrap() {
                there.extend_from_slice(&chunk);
            }
            assert!(there == bytes && read(late).await.unwrap() == bytes[300_000..]);
            id
        };
        let (created, id) = tokio::join!(self.sender.1.upload_pieces(&mut content, None, None), following);
        assert_eq!(created.unwrap().id, id);
        let preview = receiver.file_preview(&id).await.unwrap();
        assert_eq!((preview.state, preview.length), (PreviewState::Complete, Some(bytes.len() as u64)));
        let all = receiver.follow_file(&id, 0, bytes.len() as u64).await.unwrap();
        assert!(read(all).await.unwrap() == bytes);
        let cut = receiver.follow_file(&id, 1, bytes.len() as u64 - 2).await.unwrap();
        assert!(matches!(read(cut).await, Err(Failure::TooLarge(_))));
    }

    async fn an_upload_that_fails_breaks_off_for_those_who_follow_it(&self) {
        let (mut content, mut shown, pieces) = Shown::new(None, self.at(HOUR));
        let receiver = &self.receiver.1;
        let following = async {
            let id = shown.recv().await.unwrap().id;
            let following = receiver.follow_file(&id, 0, 10).await.unwrap();
            pieces.send(Bytes::from_static(b"abc")).unwrap();
            drop(pieces);
            let Err(Failure::Failed(Error::Backbone(error))) = read(following).await else { panic!("it ends") };
            assert!(error.is_transient());
            id
        };
        let (created, id) = tokio::join!(self.sender.1.upload_pieces(&mut content, None, None), following);
        assert!(matches!(created, Err(Failure::Failed(Error::Stopped))));
        assert!(is_not_found(receiver.file_preview(&id).await) && is_not_found(receiver.follow_file(&id, 0, 1).await));
    }

    fn file(&self, bytes: &[u8]) -> UploadFile {
        UploadFile {
            cipher_hash: Sha512Hash::of(bytes).into(),
            owner: self.sender.0.clone(),
            owner_signature: ByteText(b"signature".to_vec()),
            expires_at: self.at(10 * HOUR),
            encrypted_properties: ByteText(b"properties".to_vec()),
        }
    }

    async fn after_its_expiry_a_token_is_shown_to_those_who_know_it(&self) {
        let id = self.create(CreateToken { expires_at: self.at(HOUR), ..token(b"sealed".to_vec()) }).await;
        self.receiver.1.token(&id, None, None, None).await.unwrap();
        self.clock.advance(HOUR);
        for allowed in [&self.sender.1, &self.receiver.1] {
            assert!(allowed.token(&id, None, None, None).await.is_ok());
        }
        assert!(is_not_found(self.other.token(&id, None, None, None).await));
    }
}

/// What is sent piece by piece.
struct Pieces {
    left: VecDeque<Bytes>,
    /// What it becomes; without it the description fails with an error that may pass.
    file: Option<UploadFile>,
    /// Whether it can be sent again.
    stays: bool,
    /// The upload that has begun.
    upload: Option<UploadId>,
}

impl Pieces {
    fn new(pieces: &[&[u8]], file: Option<UploadFile>) -> Self {
        Self {
            left: pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect(),
            file,
            stays: false,
            upload: None,
        }
    }
}

impl Outgoing for Pieces {
    async fn piece(&mut self) -> crate::Result<Option<Bytes>> {
        Ok(self.left.pop_front())
    }

    fn describe(&mut self) -> crate::Result<UploadFile> {
        self.file.take().ok_or(Error::Stopped)
    }

    async fn begun(&mut self, upload: &UploadId) -> crate::Result<bool> {
        self.upload = Some(upload.clone());
        Ok(self.stays)
    }
}

/// What is shown while it is sent piece by piece.
struct Shown {
    told: UnboundedSender<CreatedPreview>,
    left: UnboundedReceiver<Bytes>,
    expires_at: Timestamp,
    file: Option<UploadFile>,
}

impl Shown {
    fn new(
        file: Option<UploadFile>,
        expires_at: Timestamp,
    ) -> (Self, UnboundedReceiver<CreatedPreview>, UnboundedSender<Bytes>) {
        let ((told, shown), (pieces, left)) = (unbounded_channel(), unbounded_channel());
        (Self { told, left, expires_at, file }, shown, pieces)
    }
}

impl Outgoing for Shown {
    async fn piece(&mut self) -> crate::Result<Option<Bytes>> {
        Ok(self.left.recv().await)
    }

    fn preview(&mut self) -> crate::Result<Option<NewPreview>> {
        Ok(Some(NewPreview { encrypted_properties: ByteText(b"shown".to_vec()), expires_at: self.expires_at }))
    }

    fn shown(&mut self, shown: CreatedPreview) {
        self.told.send(shown).unwrap();
    }

    fn describe(&mut self) -> crate::Result<UploadFile> {
        self.file.take().ok_or(Error::Stopped)
    }
}

fn token(content: Vec<u8>) -> CreateToken {
    CreateToken { content: Some(ByteText(content)), expires_at: Timestamp::NEVER, for_identity: None, password: None }
}

fn protected() -> CreateToken {
    CreateToken { password: Some(PASSWORD.to_owned()), ..token(b"sealed".to_vec()) }
}

fn is_not_found<T>(outcome: Result<T, Failure>) -> bool {
    matches!(outcome, Err(Failure::NotFound(_)))
}

async fn read(mut content: impl Incoming) -> Result<Vec<u8>, Failure> {
    let mut received = Vec::new();
    while let Some(chunk) = content.chunk().await? {
        received.extend_from_slice(&chunk);
        assert_eq!(content.received(), received.len() as u64);
    }
    Ok(received)
}

/// The clock of the nodes, for the backbone.
struct SharedClock(Arc<ManualClock>);

impl backbone_mock::Clock for SharedClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

async fn node(directory: &Path, backbone: BackboneConfig, clock: Arc<ManualClock>) -> Arc<Core> {
    std::fs::create_dir_all(directory).unwrap();
    let config = Config::new(directory, backbone);
    let key = StoreKeySource::File(directory.join("store.key"));
    let store = Arc::new(Store::open_in(directory, &key, true).unwrap());
    let account = account::load_or_create(&config, &store, &*clock).await.unwrap();
    Core::new(config, clock, store, account, directory.join("tmp"))
}

#[tokio::test]
async fn the_backbone_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let clock = Arc::new(ManualClock::new(START.parse().unwrap()));
    let mut config = backbone_mock::Config::new(place.join("backbone")).with_client("test", "test");
    config.clock = Arc::new(SharedClock(clock.clone()));
    // Sessions measure lifetimes by another clock, which does not advance here.
    config.access_token_lifetime = 24 * HOUR;
    config.limits.wrong_passwords = 0;
    let backbone = backbone_mock::Backbone::start(config).await.unwrap();
    let max_token_content = 10_000;
    let settings =
        BackboneConfig { max_token_content, ..BackboneConfig::new(backbone.url(), "test", Secret::new("test")) };
    let sender = node(&place.join("sender"), settings.clone(), clock.clone()).await;
    let receiver = node(&place.join("receiver"), settings.clone(), clock.clone()).await;
    let other = node(&place.join("other"), settings, clock.clone()).await;
    conforms(World {
        sender: (sender.account.address(), Backbone::of(&sender)),
        receiver: (receiver.account.address(), Backbone::of(&receiver)),
        other: Backbone::of(&other),
        clock: &clock,
        max_token_content,
    })
    .await;
}

#[tokio::test]
async fn what_a_backbone_does_not_say_to_count_counts_as_no_use_until_it_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let clock = Arc::new(ManualClock::new(START.parse().unwrap()));
    let faults = backbone_mock::fault::Faults::new();
    let mut config = backbone_mock::Config::new(place.join("backbone")).with_client("test", "test");
    config.clock = Arc::new(SharedClock(clock.clone()));
    config.faults = Some(faults.clone());
    let backbone = backbone_mock::Backbone::start(config).await.unwrap();
    let settings = BackboneConfig::new(backbone.url(), "test", Secret::new("test"));
    let core = node(&place.join("sender"), settings, clock.clone()).await;
    let by = Backbone::of(&core);
    let created = by.create_token(&token(b"sealed".to_vec()).into()).await.unwrap();
    let (id, claim) = (created.id, new_claim_id());
    // As a proxy does.
    let refusal = backbone_mock::fault::Fault::RefuseBefore(http::StatusCode::FORBIDDEN);
    faults.inject(backbone_mock::fault::Matching::path("/TokenServices").times(1), refusal);
    for _ in 0..2 {
        assert!(matches!(by.count_use(&id, &claim).await, Err(Failure::Failed(_))), "it is not asked again at once");
        assert!(by.token(&id, None, Some(&claim), None).await.is_ok(), "a receiver goes on without a claim");
    }
    assert!(core.account.token_services().await.unwrap().is_some());
    by.count_use(&id, &claim).await.unwrap();
    by.end_claim(&id, &claim, ClaimEnd::Commit).await.unwrap();
}

#[tokio::test]
async fn memory_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START.parse().unwrap()));
    let [sender, receiver, other] =
        ["sender", "receiver", "other"].map(|name| memory::node(&directory.path().join(name), clock.clone()));
    let holder = Holder::default();
    let by = |core| Memory { core, holder: holder.clone() };
    conforms(World {
        sender: (sender.account.address(), by(&sender)),
        receiver: (receiver.account.address(), by(&receiver)),
        other: by(&other),
        clock: &clock,
        max_token_content: receiver.config.backbone.max_token_content,
    })
    .await;
}

/// A backbone in memory, beside peers that nobody has a route to.
#[tokio::test]
async fn several_conform() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START.parse().unwrap()));
    let [sender, receiver, other] =
        ["sender", "receiver", "other"].map(|name| memory::node(&directory.path().join(name), clock.clone()));
    let holder = Holder::default();
    let (peers, all) = (FakePeers::default, crate::delivery::Sources::All);
    let by = |core| Several::new(core, Memory { core, holder: holder.clone() }, peers(), all);
    conforms(World {
        sender: (sender.account.address(), by(&sender)),
        receiver: (receiver.account.address(), by(&receiver)),
        other: by(&other),
        clock: &clock,
        max_token_content: receiver.config.backbone.max_token_content,
    })
    .await;
}
