//! Files and tokens from a peer and a backbone, each of which fails, lies, or is slow.

mod asking;
mod lies;
mod long;
mod lying_devices;
mod routes;
mod slow;
mod sockets;
mod transfer;
mod uses;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use transport::backbone::new_claim_id;
use transport::crypto::{PasswordHash, SignatureKeypair};
use transport::peer::{Direct, FileTarget, Format, PeerKey, Refusal};
use transport::wire::bytes::from_base64;
use transport::wire::{FileId, TokenId};

use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::delivery::fake_peers::{Act, FakePeers};
use crate::delivery::memory::{self, Holder as Backbone};
use crate::dto::{File, Password, PasswordProtection, Token as TokenDto};
use crate::event::{Event, EventReceiver};
use crate::facade::{ContentFormat, CreateTokenForFile, FilesFacade, LoadFile, NewContent, Node, UploadOwnFile};
use crate::peer::PathBytes;
use crate::store::Batch;
use crate::sync::Synchronizer;
use crate::{PeerConfig, Secret, dialable_reference};

const MEBIBYTE: u64 = 1 << 20;

const ADDRESS: &str = "/ip4/192.0.2.1/tcp/4001";

/// A sharer whose files are at a backbone and at a peer, and a receiver.
struct World {
    alice: Arc<Node>,
    bob: Arc<Node>,
    backbone: Backbone,
    peers: FakePeers,
    clock: Arc<ManualClock>,
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Arc<Self> {
        Self::with_patience(PeerConfig::default().patience)
    }

    fn with_patience(patience: Duration) -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2030-01-01T00:00:00.000Z".parse().unwrap()));
        let [alice, bob] = ["alice", "bob"].map(|name| {
            let mut core = memory::node(&directory.path().join(name), clock.clone());
            Arc::get_mut(&mut core).unwrap().config.peers = Some(PeerConfig { patience, ..PeerConfig::default() });
            Arc::new(Node { core, sync: Synchronizer::idle(), server: None })
        });
        Arc::new(Self { alice, bob, backbone: Backbone::default(), peers: FakePeers::default(), clock, directory })
    }

    async fn run<F: Future>(test: impl FnOnce(Arc<Self>) -> F) -> F::Output {
        Self::new().runs(test).await
    }

    async fn runs<F: Future>(self: Arc<Self>, test: impl FnOnce(Arc<Self>) -> F) -> F::Output {
        let world = self;
        let (backbone, peers) = (world.backbone.clone(), world.peers.clone());
        backbone.scope(peers.scope(test(world))).await
    }

    /// Uploads a file, of which the peer has everything, too.
    async fn upload(&self, content: &[u8], format: ContentFormat) -> File {
        let content = NewContent::Stream(Box::pin(std::io::Cursor::new(content.to_vec())));
        let request = UploadOwnFile {
            content,
            format,
            ..UploadOwnFile::new(tokio::io::empty(), "a.txt".parse().unwrap(), "text/plain".parse().unwrap())
        };
        let file = FilesFacade::new(self.alice.clone()).upload_own_file(request).await.unwrap();
        let (metadata, body) = self.backbone.held().await.files[&file.id].clone();
        let format = if format == ContentFormat::V1 { Format::V1 } else { Format::V2 };
        self.peers.state().files.insert(file.id.clone(), (metadata, format, body));
        file
    }

    /// Makes a token for a file, which the peer has, too, and a reference that says where it is.
    async fn share(&self, file: &File, password: Option<&str>) -> (TokenDto, String) {
        let password_protection = password.map(|password| PasswordProtection {
            password: Password::new(password.to_owned()).unwrap(),
            password_is_pin: false,
            password_location_indicator: None,
        });
        let terms = CreateTokenForFile { password_protection, ..CreateTokenForFile::default() };
        let token = FilesFacade::new(self.alice.clone()).create_token_for_file(&file.id, terms).await.unwrap();
        let (wire, password) = self.backbone.held().await.tokens[&token.id].parts();
        let hash = password.map(|text| PasswordHash::from_bytes(from_base64(&text).unwrap().try_into().unwrap()));
        let mut state = self.peers.state();
        state.tokens.insert(token.id.clone(), (wire, hash));
        state.shared.insert(token.id.clone(), file.id.clone());
        let reference = dialable(&token.reference.url);
        (token, reference)
    }

    async fn load(&self, reference: &str, password: Option<&str>) -> crate::Result<File> {
        let password = password.map(|text| Secret::new(text.to_owned()));
        let request = LoadFile { reference: reference.to_owned(), password };
        FilesFacade::new(self.bob.clone()).get_or_load_file(request).await
    }

    /// Uploads, shares and loads a file, and forgets what that took.
    async fn known(&self, content: &[u8], format: ContentFormat) -> FileId {
        let file = self.upload(content, format).await;
        let (_, reference) = self.share(&file, None).await;
        self.load(&reference, None).await.unwrap();
        self.forget().await;
        file.id
    }

    async fn forget(&self) {
        (self.peers.state().sent, self.peers.state().requests) = Default::default();
        let mut held = self.backbone.held().await;
        (held.sent, held.reads) = Default::default();
    }

    async fn is_away(&self, backbone: bool, peer: bool) {
        self.backbone.held().await.is_away = backbone;
        self.peers.state().is_away = peer;
    }

    async fn download(&self, id: &FileId) -> crate::Result<(Vec<u8>, Vec<PathBytes>)> {
        let download = FilesFacade::new(self.bob.clone()).download_file(id, None).await?;
        let (mut content, paths) = (Vec::new(), download.content.path_log());
        download
            .content
            .into_reader()
            .read_to_end(&mut content)
            .await
            .map_err(|error| error.downcast::<crate::Error>().expect("errors of readers are those of the crate"))?;
        Ok((content, paths.bytes()))
    }

    /// Uses of a token at the backbone that are committed, and that are leased.
    async fn uses(&self, id: &TokenId) -> (u32, u32) {
        let (held, now) = (self.backbone.held().await, self.clock.now());
        let uses = &held.tokens[id].uses;
        (uses.committed(now), uses.leased(now))
    }

    /// All bytes that were sent, by whom else.
    async fn sent(&self) -> Vec<Range<u64>> {
        let mut sent = self.peers.state().sent.clone();
        sent.extend(self.backbone.held().await.sent.clone());
        sent
    }
}

fn peer_id() -> transport::peer::PeerId {
    PeerKey::derive(&SignatureKeypair::from_seed(&[7; 32])).peer_id()
}

fn dialable(url: &str) -> String {
    dialable_reference(url, &peer_id().to_base58(), &[ADDRESS.to_owned()], &[]).unwrap()
}

/// The reference to a token as one of another backbone.
fn reference_elsewhere(token: &TokenDto) -> String {
    dialable(&token.reference.url.replace("127.0.0.1:1", "elsewhere.example"))
}

/// The route to the peer.
fn route() -> Route {
    Route::to(Direct { peer_id: peer_id(), addresses: Vec::new(), relays: Vec::new() })
}

fn plain(length: u64) -> Vec<u8> {
    (0..length).map(|place| (place * 7 % 251) as u8).collect()
}

fn by(paths: &[PathBytes]) -> Vec<Path> {
    paths.iter().map(|path| path.path).collect()
}

/// How many bytes were sent more than once, of those that are not hashes.
fn again(sent: &[Range<u64>], blob: u64) -> u64 {
    let mut seen = vec![0_u8; usize::try_from(blob).unwrap()];
    for range in sent {
        for place in range.clone() {
            let place = usize::try_from(place).unwrap();
            seen[place] = seen[place].saturating_add(1);
        }
    }
    seen.iter().map(|times| u64::from(times.saturating_sub(1))).sum()
}

fn drops(events: &mut EventReceiver) -> Vec<(Option<Path>, bool)> {
    let mut found = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::PathDropped { path, peer, .. } = event {
            found.push((path, peer.is_some()));
        }
    }
    found
}

const FORMATS: [ContentFormat; 2] = [ContentFormat::V1, ContentFormat::V2];
