//! Files and tokens from a peer and a backbone, each of which fails, lies, or is slow.

mod lying_devices;

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use transport::access::{LEASE, Uses};
use transport::backbone::new_claim_id;
use transport::crypto::{PasswordHash, SignatureKeypair};
use transport::peer::{FileTarget, Format, PIECE_LENGTH, PeerKey, Refusal};
use transport::wire::bytes::from_base64;
use transport::wire::{FileId, TokenId};

use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::delivery::fake_peers::{Act, FakePeers};
use crate::delivery::memory::{self, Holder};
use crate::dto::{File, Password, PasswordProtection, Token as TokenDto};
use crate::event::{Event, EventReceiver};
use crate::facade::{
    ContentFormat, CreateTokenForFile, FilesFacade, LoadFile, LoadPeerToken, NewContent, Node, TokensFacade,
    UploadOwnFile,
};
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
    backbone: Holder,
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
        Arc::new(Self { alice, bob, backbone: Holder::default(), peers: FakePeers::default(), clock, directory })
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

#[tokio::test(start_paused = true)]
async fn token_file_and_content_come_from_the_peer_while_the_backbone_is_away() {
    for format in FORMATS {
        World::run(async |world| {
            let content = plain(3 * MEBIBYTE + 5);
            let file = world.upload(&content, format).await;
            let (_, reference) = world.share(&file, None).await;
            world.is_away(true, false).await;
            let loaded = world.load(&reference, None).await.unwrap();
            assert_eq!((&loaded.id, loaded.is_own), (&file.id, false));
            let (received, paths) = world.download(&file.id).await.unwrap();
            assert!(received == content);
            let body = world.backbone.held().await.files[&file.id].1.len() as u64;
            assert_eq!(by(&paths), [Path::Direct], "{format:?}");
            assert!((body..body + 1000).contains(&paths[0].bytes));
            assert_eq!(again(&world.sent().await, body), 0);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_says_by_which_path_it_came() {
    World::run(async |world| {
        for (format, path) in FORMATS.into_iter().zip([Path::Lan, Path::Relayed]) {
            world.peers.state().path = Some(path);
            let id = world.known(&plain(2 * MEBIBYTE), format).await;
            let files = FilesFacade::new(world.bob.clone());
            let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
            let told = seen.clone();
            let observer: crate::facade::Observer = Arc::new(move |progress: crate::facade::Progress| {
                told.lock().unwrap().push((progress.phase, progress.path));
            });
            let download = files.download_file(&id, Some(observer)).await.unwrap();
            assert_eq!(download.content.path(), Some(path));
            let part = files.read_range(&id, 5..MEBIBYTE).await.unwrap();
            assert_eq!(by(&part.content.paths()), [path]);
            let told = seen.lock().unwrap().clone();
            assert!(
                told.iter().all(|(phase, by)| (*phase == crate::facade::Phase::Downloading) == (*by == Some(path)))
            );
            assert!(told.iter().any(|(_, by)| *by == Some(path)));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_breaks_anywhere_goes_on_from_the_other_side_behind_what_arrived() {
    for format in FORMATS {
        World::run(async |world| {
            let content = plain(2 * MEBIBYTE + 5);
            let id = world.known(&content, format).await;
            let body = world.backbone.held().await.files[&id].1.len() as u64;
            let cuts = (0..body).step_by(PIECE_LENGTH as usize).flat_map(|cut| [cut, cut + 1]);
            for cut in cuts.chain([body - 1]) {
                world.bob.core.routes.worked(&id, Origin::Peer);
                world.bob.core.routes.worked(&id, Origin::Backbone);
                // What is needed before the first chunk comes with a request of its own.
                let first = if format == ContentFormat::V2 { vec![Act::Serve] } else { vec![] };
                world.peers.state().script = first.into_iter().chain([Act::Cut(cut)]).collect();
                world.peers.state().otherwise = Some(Act::Unreachable);
                world.forget().await;
                let (received, paths) = world.download(&id).await.unwrap();
                assert!(received == content);
                assert_eq!(again(&world.sent().await, body), 0, "{format:?} {cut}");
                if cut > 0 && format == ContentFormat::V1 {
                    assert_eq!(by(&paths), [Path::Direct, Path::Backbone], "{cut}");
                    assert_eq!(paths[0].bytes, cut);
                }
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_breaks_at_the_backbone_goes_on_at_the_peer() {
    World::run(async |world| {
        let content = plain(2 * MEBIBYTE + 5);
        let id = world.known(&content, ContentFormat::V2).await;
        let body = world.backbone.held().await.files[&id].1.len() as u64;
        for cut in [1, 47, 48, MEBIBYTE, 2 * MEBIBYTE] {
            world.bob.core.routes.worked(&id, Origin::Backbone);
            // The peer comes back when the backbone has begun to send.
            world.peers.state().script = [Act::Refuse(Refusal::Busy)].into();
            world.backbone.held().await.cuts = [u64::MAX, cut].into();
            world.forget().await;
            let (received, paths) = world.download(&id).await.unwrap();
            assert!(received == content);
            assert_eq!(by(&paths), [Path::Backbone, Path::Direct], "{cut}");
            assert_eq!(again(&world.sent().await, body), 0, "{cut}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn wrong_bytes_are_fetched_again_and_their_sender_is_not_asked_again() {
    for format in FORMATS {
        for at in [0, 47, 48, 700_000, 2 * MEBIBYTE, 3 * MEBIBYTE + 90] {
            World::run(async |world| {
                let content = plain(3 * MEBIBYTE + 5);
                let id = world.known(&content, format).await;
                world.peers.state().otherwise = Some(Act::Alter(at));
                let mut events = world.bob.core.events.subscribe();
                let (received, _) = world.download(&id).await.unwrap();
                assert!(received == content, "{format:?} {at}");
                assert_eq!(drops(&mut events), [(Some(Path::Direct), true)], "{format:?} {at}");
                let asked = world.peers.state().requests;
                let (received, paths) = world.download(&id).await.unwrap();
                assert!(received == content);
                assert_eq!((by(&paths), world.peers.state().requests), (vec![Path::Backbone], asked));
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backbone_that_lies_is_left_for_the_peer() {
    for format in FORMATS {
        World::run(async |world| {
            let content = plain(3 * MEBIBYTE + 5);
            let id = world.known(&content, format).await;
            {
                let mut held = world.backbone.held().await;
                let (_, body) = held.files.get_mut(&id).unwrap();
                let mut altered = body.to_vec();
                altered[700_000] ^= 1;
                *body = altered.into();
            }
            world.peers.state().script = [Act::Refuse(Refusal::Busy)].into();
            let mut events = world.bob.core.events.subscribe();
            let (received, paths) = world.download(&id).await.unwrap();
            assert!(received == content);
            assert_eq!(by(&paths), [Path::Backbone, Path::Direct]);
            assert_eq!(drops(&mut events), [(Some(Path::Backbone), false)]);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn if_both_lie_there_is_an_error_and_a_repaired_backbone_is_asked_again() {
    World::run(async |world| {
        let content = plain(MEBIBYTE + 5);
        let id = world.known(&content, ContentFormat::V2).await;
        let right = world.backbone.held().await.files[&id].1.clone();
        let mut altered = right.to_vec();
        altered[100] ^= 1;
        world.backbone.held().await.files.get_mut(&id).unwrap().1 = altered.into();
        world.peers.state().otherwise = Some(Act::Alter(200));
        for _ in 0..2 {
            let error = world.download(&id).await.unwrap_err();
            assert_eq!(error.code(), "error.transport.files.cipherMismatch");
        }
        world.backbone.held().await.files.get_mut(&id).unwrap().1 = right;
        assert!(world.download(&id).await.unwrap().0 == content);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_wrongly_or_refuses_is_no_obstacle() {
    for act in [
        Act::AnotherFile,
        Act::Unreachable,
        Act::Refuse(Refusal::NotFound),
        Act::Refuse(Refusal::Busy),
        Act::Refuse(Refusal::Unavailable),
        Act::Refuse(Refusal::IdentityRequired),
        Act::EndEarly(100_000),
        Act::Overrun,
    ] {
        for format in FORMATS {
            World::run(async |world| {
                let content = plain(2 * MEBIBYTE + 5);
                let id = world.known(&content, format).await;
                world.peers.state().otherwise = Some(act);
                assert!(world.download(&id).await.unwrap().0 == content, "{act:?}");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stalls_is_left_and_one_that_is_slow_is_used_later() {
    World::run(async |world| {
        let content = plain(2 * MEBIBYTE + 5);
        for format in FORMATS {
            let id = world.known(&content, format).await;
            world.peers.state().otherwise = Some(Act::Stall(100_000));
            assert!(world.download(&id).await.unwrap().0 == content);
        }
        world.peers.state().otherwise = None;
        let id = world.known(&content, ContentFormat::V2).await;
        world.peers.state().script = [Act::Slow(Duration::from_secs(3))].into();
        let files = FilesFacade::new(world.bob.clone());
        let start = Instant::now();
        let mut reader = files.open_file(&id).await.unwrap();
        assert_eq!(start.elapsed(), PeerConfig::default().patience);
        assert_eq!(reader.path_log().last(), Some(Path::Backbone));
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::task::yield_now().await;
        reader.seek(std::io::SeekFrom::Start(2 * MEBIBYTE)).await.unwrap();
        reader.read_u8().await.unwrap();
        assert_eq!(reader.path_log().last(), Some(Path::Direct), "the next request takes the better path");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_backbone_that_does_not_answer_any_more_is_left_for_a_peer_that_can_be_reached_again() {
    World::run(async |world| {
        let content = plain(2 * MEBIBYTE + 5);
        for format in FORMATS {
            let id = world.known(&content, format).await;
            world.backbone.held().await.delay = Duration::from_secs(30);
            world.peers.state().script = [Act::Cut(MEBIBYTE)].into();
            let start = Instant::now();
            let (received, paths) = world.download(&id).await.unwrap();
            assert!(received == content);
            assert_eq!(by(&paths), [Path::Direct], "{format:?}");
            assert!(start.elapsed() < 2 * PeerConfig::default().patience, "{format:?}: {:?}", start.elapsed());
            world.backbone.held().await.delay = Duration::ZERO;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_peer_is_asked_alone_for_as_long_as_the_configuration_says() {
    let patience = Duration::from_secs(10);
    let test = async |world: Arc<World>| {
        let (moment, id) = (Duration::from_millis(1), world.known(&plain(MEBIBYTE), ContentFormat::V2).await);
        for (slow, path) in [(patience - moment, Path::Direct), (patience + moment, Path::Backbone)] {
            world.peers.state().script = [Act::Slow(slow)].into();
            assert_eq!(by(&world.download(&id).await.unwrap().1)[0], path, "{slow:?}");
        }
    };
    World::with_patience(patience).runs(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_waited_for_if_there_is_nobody_else() {
    World::run(async |world| {
        let content = plain(MEBIBYTE);
        for format in FORMATS {
            let id = world.known(&content, format).await;
            world.is_away(true, false).await;
            world.peers.state().otherwise = Some(Act::Slow(Duration::from_secs(3)));
            assert!(world.download(&id).await.unwrap().0 == content);
            world.is_away(false, false).await;
            world.peers.state().otherwise = None;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn if_nobody_is_left_the_error_says_what_both_answered_and_both_may_come_back() {
    World::run(async |world| {
        let content = plain(2 * MEBIBYTE + 5);
        for format in FORMATS {
            let id = world.known(&content, format).await;
            world.is_away(true, true).await;
            let error = world.download(&id).await.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::Undelivered(_)), "{text}");
            assert_eq!(error.code(), "error.transport.request.network");
            assert!(text.contains("The node that shares it cannot be reached directly"), "{text}");
            world.is_away(false, false).await;
            assert!(world.download(&id).await.unwrap().0 == content);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn both_may_go_away_in_the_middle_and_come_back() {
    World::run(async |world| {
        let content = plain(2 * MEBIBYTE + 5);
        let id = world.known(&content, ContentFormat::V2).await;
        world.peers.state().script = [Act::Serve, Act::Cut(700_000)].into();
        world.backbone.held().await.is_away = true;
        world.peers.state().otherwise = Some(Act::Unreachable);
        let (downloaded, ()) = tokio::join!(world.download(&id), async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            world.peers.state().otherwise = None;
        });
        let (received, paths) = downloaded.unwrap();
        assert!(received == content && by(&paths) == [Path::Direct]);
        let body = world.backbone.held().await.files[&id].1.len() as u64;
        assert_eq!(again(&world.sent().await, body), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_backbone_is_asked_for_a_token_after_a_head_start() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V1).await;
        for (delay, is_asked) in [(Duration::ZERO, false), (HEAD_START / 2, false), (HEAD_START * 2, true)] {
            let (token, _) = world.share(&file, None).await;
            let route =
                Route::to(transport::peer::Direct { peer_id: peer_id(), addresses: Vec::new(), relays: Vec::new() });
            world.bob.core.routes.learn_token(&token.id, route);
            world.forget().await;
            world.peers.state().delay = delay;
            let by = crate::delivery::of(&world.bob.core);
            assert_eq!(by.token(&token.id, None, None, None).await.unwrap().id, token.id);
            assert_eq!(world.backbone.held().await.reads, usize::from(is_asked), "{delay:?}");
            // One that has nothing for this node is not the end.
            world.peers.state().refusal = Some(Refusal::NotFound);
            assert_eq!(by.token(&token.id, None, None, None).await.unwrap().id, token.id);
            // Nor is a backbone that is away.
            world.peers.state().refusal = None;
            world.is_away(true, false).await;
            assert_eq!(by.token(&token.id, None, None, None).await.unwrap().id, token.id);
            world.is_away(true, true).await;
            let Err(Failure::Failed(error)) = by.token(&token.id, None, None, None).await else { panic!("delivered") };
            assert!(error.to_string().contains("nobody listens"), "{error}");
            world.is_away(false, false).await;
        }
        let unknown: TokenId = "TOKunknownunknown123".parse().unwrap();
        let by = crate::delivery::of(&world.bob.core);
        assert!(matches!(
            by.token(&unknown, None, None, None).await,
            Err(Failure::NotFound(Error::RecordNotFoundAtBackbone(_) | Error::Backbone(_)))
        ));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn both_sides_are_asked_under_one_claim_and_it_ends_where_it_is_known() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V1).await;
        let (token, _) = world.share(&file, None).await;
        let direct = transport::peer::Direct { peer_id: peer_id(), addresses: Vec::new(), relays: Vec::new() };
        world.bob.core.routes.learn_token(&token.id, Route::to(direct));
        let (by, [claim, other]) = (crate::delivery::of(&world.bob.core), [(); 2].map(|()| new_claim_id()));
        let backbone_counts = async || {
            let held = world.backbone.held().await;
            let (uses, now) = (&held.tokens[&token.id].uses, world.bob.core.clock.now());
            (uses.committed(now), uses.leased(now))
        };
        // The peer has it first, and the backbone is slower; or the peer has nothing.
        for refusal in [None, Some(Refusal::NotFound)] {
            world.peers.state().refusal = refusal;
            assert_eq!(by.token(&token.id, None, Some(&claim), None).await.unwrap().id, token.id);
        }
        assert_eq!(world.peers.state().claims, [Some(claim.clone())]);
        assert_eq!(backbone_counts().await, (0, 1));
        by.end_claim(&token.id, &claim, ClaimEnd::Commit).await.unwrap();
        assert_eq!(backbone_counts().await, (1, 0));

        // Of what the peer allocates the backbone knows nothing.
        world.peers.state().refusal = None;
        world.peers.state().uses.insert(token.id.clone(), Uses::new(NonZeroU32::new(1), false));
        assert_eq!(by.token(&token.id, None, Some(&other), None).await.unwrap().id, token.id);
        by.end_claim(&token.id, &other, ClaimEnd::Commit).await.unwrap();
        let uses = world.peers.state().uses[&token.id].clone();
        assert_eq!(uses.committed(world.bob.core.clock.now()), 1);
        let unknown = by.end_claim(&token.id, &new_claim_id(), ClaimEnd::Release).await;
        assert!(matches!(unknown, Err(Failure::NotFound(_))));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_the_peer_that_counts_is_no_second_use() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V2).await;
        for is_foreign in [false, true] {
            let (token, reference) = world.share(&file, None).await;
            let elsewhere = dialable(&token.reference.url.replace("127.0.0.1:1", "elsewhere.example"));
            let reference = if is_foreign { elsewhere } else { reference };
            // Only the peer has it.
            world.backbone.held().await.tokens.remove(&token.id);
            world.peers.state().uses.insert(token.id.clone(), Uses::new(NonZeroU32::new(1), false));
            world.peers.state().loses_answers = true;
            assert!(load_token(&world, &reference).await.is_err());
            world.peers.state().loses_answers = false;
            load_token(&world, &reference).await.unwrap();
            let (uses, now) = (world.peers.state().uses[&token.id].clone(), world.bob.core.clock.now());
            assert_eq!((uses.committed(now) + uses.leased(now), uses.remaining(now)), (1, Some(0)));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_use_lasts_for_as_long_as_its_file_comes() {
    World::run(async |world| {
        let file = world.upload(&plain(8 * MEBIBYTE), ContentFormat::V2).await;
        let (token, _) = world.share(&file, None).await;
        world.load(&token.reference.url, None).await.unwrap();
        let files = FilesFacade::new(world.bob.clone());
        let mut content = files.download_file(&file.id, None).await.unwrap().content.into_reader();
        let mut chunk = vec![0; usize::try_from(MEBIBYTE).unwrap()];
        // This one is there already.
        content.read_exact(&mut chunk).await.unwrap();
        for number in 0..5 {
            world.clock.advance(LEASE * 2 / 3);
            content.read_exact(&mut chunk).await.unwrap();
            world.bob.core.background.idle().await;
            assert_eq!(world.uses(&token.id).await, (0, 1), "{number}");
        }
        content.read_to_end(&mut chunk).await.unwrap();
        world.bob.core.ending.idle().await;
        assert_eq!(world.uses(&token.id).await, (1, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_everybody_refuses_is_not_remembered_as_a_use() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V2).await;
        let (token, reference) = world.share(&file, None).await;
        world.backbone.held().await.tokens.remove(&token.id);
        let remembered = || world.bob.core.store.view().value_names("TokenClaim/", "TokenClaim/", 9).unwrap().len();
        for (refusal, is_remembered) in [(Refusal::NotFound, false), (Refusal::Unavailable, true)] {
            world.peers.state().refusal = Some(refusal);
            assert!(load_token(&world, &reference).await.is_err());
            assert_eq!(remembered(), usize::from(is_remembered), "{refusal}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_use_is_over_when_all_of_its_file_was_read_in_whatever_order() {
    World::run(async |world| {
        let file = world.upload(&plain(3 * MEBIBYTE + 5), ContentFormat::V2).await;
        let (token, _) = world.share(&file, None).await;
        world.load(&token.reference.url, None).await.unwrap();
        let files = FilesFacade::new(world.bob.clone());
        let read = async |range: Range<u64>| {
            let mut content = files.read_range(&file.id, range).await.unwrap().content.into_reader();
            content.read_to_end(&mut Vec::new()).await.unwrap();
            world.bob.core.ending.idle().await;
            world.uses(&token.id).await
        };
        assert_eq!(read(3 * MEBIBYTE..3 * MEBIBYTE + 5).await, (0, 1), "the end only");
        assert_eq!(read(0..2 * MEBIBYTE).await, (0, 1));
        let kept = plain(3 * MEBIBYTE);
        assert_eq!(files.verified_prefix(&file.id, &kept[..]).await.unwrap(), 3 * MEBIBYTE, "by an earlier run");
        world.bob.core.ending.idle().await;
        assert_eq!(world.uses(&token.id).await, (1, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_file_of_a_stored_token_is_asked_for_under_a_use_also_after_a_restart_and_on_another_device() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V2).await;
        let core = &world.bob.core;
        for is_use_known in [true, false] {
            let (token, reference) = world.share(&file, None).await;
            load_token(&world, &reference).await.unwrap();
            let first = core.routes.to_file(&file.id).unwrap().claim;
            assert!(first.is_some());
            core.routes.forget_token(&token.id);
            core.routes.forget_file(&file.id);
            if !is_use_known {
                let mut batch = Batch::new();
                for name in core.store.view().value_names("TokenClaim", "TokenClaim", 99).unwrap() {
                    batch.remove_value(&name);
                }
                core.store.commit(batch).await.unwrap();
            }
            world.load(&reference, None).await.unwrap();
            let again = core.routes.to_file(&file.id).unwrap().claim;
            assert!(again.is_some() && (again == first) == is_use_known);
            // It is the same from then on, and ends with the file.
            world.load(&reference, None).await.unwrap();
            assert_eq!(core.routes.to_file(&file.id).unwrap().claim, again);
            let name = format!("TokenClaimOf/{}/{}", file.id, token.id);
            assert_eq!(core.store.view().value_names(&name, &name, 9).unwrap().len(), 1);
        }
    })
    .await;
}

async fn load_token(world: &World, reference: &str) -> crate::Result<TokenDto> {
    let request = LoadPeerToken { reference: reference.to_owned(), ephemeral: false, password: None };
    TokensFacade::new(world.bob.clone()).load_peer_token(request).await
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_counted_once() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V1).await;
        let (token, reference) = world.share(&file, Some("secret")).await;
        let counted = async || {
            let failed = world.backbone.held().await.tokens[&token.id].failed_attempts();
            (world.peers.state().wrong_passwords, failed)
        };
        let error = world.load(&reference, Some("wrong")).await.unwrap_err();
        assert_eq!(error.code(), "error.runtime.recordNotFound");
        assert_eq!(counted().await, (1, 0));
        // A peer that decides nothing leaves it to the backbone: one that is away, slow or locked.
        world.is_away(false, true).await;
        assert!(world.load(&reference, Some("wrong")).await.is_err());
        assert_eq!(counted().await, (1, 1));
        world.is_away(false, false).await;
        world.peers.state().delay = PASSWORD_PATIENCE * 2;
        assert!(world.load(&reference, Some("wrong")).await.is_err());
        assert_eq!(counted().await, (1, 2));
        world.peers.state().delay = Duration::ZERO;
        world.peers.state().refusal = Some(Refusal::Locked);
        assert!(world.load(&reference, Some("wrong")).await.is_err());
        assert_eq!(counted().await, (1, 3));
        world.peers.state().refusal = None;
        world.load(&reference, Some("secret")).await.unwrap();
        let route = world.bob.core.routes.to_file(&file.id).unwrap();
        assert!(route.password.is_some(), "a stranger needs it again for the file");
        assert_eq!(route.token, Some(token.id.clone()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reference_of_another_backbone_is_for_the_peer_first_and_both_are_named() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V2).await;
        let (token, _) = world.share(&file, None).await;
        let elsewhere = dialable(&token.reference.url.replace("127.0.0.1:1", "elsewhere.example"));
        world.forget().await;
        world.load(&elsewhere, None).await.unwrap();
        assert!(world.download(&file.id).await.unwrap().0 == b"abc");
        assert_eq!(world.backbone.held().await.reads, 0, "the backbone of this node is not asked");

        let file = world.upload(b"abc", ContentFormat::V2).await;
        let (token, _) = world.share(&file, None).await;
        let elsewhere = dialable(&token.reference.url.replace("127.0.0.1:1", "elsewhere.example"));
        world.backbone.held().await.tokens.clear();
        world.is_away(false, true).await;
        let error = world.load(&elsewhere, None).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.code(), "error.runtime.peers.unreachable");
        assert!(
            text.contains("nobody listens") && text.contains("elsewhere.example") && text.contains("127.0.0.1:1"),
            "{text}"
        );
        world.is_away(false, false).await;
        world.peers.state().refusal = Some(Refusal::NotFound);
        let error = world.load(&elsewhere, None).await.unwrap_err();
        assert_eq!(error.code(), "error.runtime.recordNotFound");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_cannot_make_a_file_that_belongs_to_the_receiver() {
    World::run(async |world| {
        for is_owner in [true, false] {
            let file = world.upload(b"abc", ContentFormat::V1).await;
            let (_, reference) = world.share(&file, None).await;
            {
                let own = world.bob.core.account.address().clone();
                let mut state = world.peers.state();
                let (metadata, ..) = state.files.get_mut(&file.id).unwrap();
                if is_owner { metadata.owner = own } else { metadata.created_by = own }
            }
            let loaded = world.load(&reference, None).await.unwrap();
            assert!(!loaded.is_own, "the backbone has said whose it is");
        }
    })
    .await;
}

/// What a peer may say in place of a token.
fn wrong_tokens() -> Vec<fn(&mut Token)> {
    fn content(token: &mut Token) -> &mut Vec<u8> {
        &mut token.content.as_mut().unwrap().0
    }
    vec![
        |token| *content(token).last_mut().unwrap() ^= 1,
        |token| content(token).clear(),
        |token| *content(token) = vec![b'{'; 2_000_000],
        |token| token.content = None,
        |token| (token.created_by, token.created_by_device) = (None, None),
        |token| token.for_identity = token.created_by.clone(),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_peer_that_does_not_open_is_asked_for_at_the_backbone_and_reported() {
    World::run(async |world| {
        for (number, wrong) in wrong_tokens().into_iter().enumerate() {
            for password in [None, Some("secret")] {
                let file = world.upload(b"abc", ContentFormat::V2).await;
                let (token, reference) = world.share(&file, password).await;
                let sent = world.peers.state().tokens[&token.id].0.clone();
                wrong(&mut world.peers.state().tokens.get_mut(&token.id).unwrap().0);
                let mut events = world.bob.core.events.subscribe();
                assert_eq!(world.load(&reference, password).await.unwrap().id, file.id, "{number}");
                assert_eq!(drops(&mut events), [(None, true)], "{number}");
                // It is not asked for the file either: only the wrong token says that it has it.
                assert_eq!(world.bob.core.routes.to_file(&file.id), None);
                assert_eq!(by(&world.download(&file.id).await.unwrap().1), [Path::Backbone]);

                let (other, reference) = world.share(&file, password).await;
                wrong(&mut world.peers.state().tokens.get_mut(&other.id).unwrap().0);
                world.backbone.held().await.tokens.clear();
                world.load(&reference, password).await.unwrap_err();
                assert_eq!(drops(&mut events), [], "nobody contradicts it");
                assert_ne!(sent.id, other.id);
            }
        }
        assert_eq!(world.peers.state().wrong_passwords, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn metadata_of_a_peer_that_do_not_open_are_asked_for_at_the_backbone_and_reported() {
    let wrongs: [fn(&mut FileMetadata); 4] = [
        |metadata| *metadata.encrypted_properties.0.last_mut().unwrap() ^= 1,
        |metadata| metadata.encrypted_properties.0.clear(),
        |metadata| metadata.cipher_size += 1,
        |metadata| metadata.cipher_hash.0.truncate(1),
    ];
    World::run(async |world| {
        for (number, wrong) in wrongs.into_iter().enumerate() {
            let content = plain(MEBIBYTE);
            let file = world.upload(&content, ContentFormat::V2).await;
            let (_, reference) = world.share(&file, None).await;
            wrong(&mut world.peers.state().files.get_mut(&file.id).unwrap().0);
            let mut events = world.bob.core.events.subscribe();
            assert_eq!(world.load(&reference, None).await.unwrap().id, file.id, "{number}");
            assert_eq!(drops(&mut events), [(None, true)], "{number}");
            let (received, paths) = world.download(&file.id).await.unwrap();
            assert_eq!((received == content, by(&paths)), (true, vec![Path::Backbone]));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_backbone_says_that_does_not_open_is_asked_for_at_the_peer() {
    World::run(async |world| {
        // It is so slow that the backbone answers first.
        world.peers.state().delay = 2 * HEAD_START;
        let file = world.upload(b"abc", ContentFormat::V2).await;
        let (token, reference) = world.share(&file, None).await;
        let honest = world.backbone.held().await.files[&file.id].0.clone();
        {
            let mut held = world.backbone.held().await;
            held.tokens.get_mut(&token.id).unwrap().token.content.as_mut().unwrap().0.clear();
            held.files.get_mut(&file.id).unwrap().0.encrypted_properties.0.clear();
        }
        let mut events = world.bob.core.events.subscribe();
        assert_eq!(world.load(&reference, None).await.unwrap().id, file.id);
        assert_eq!(drops(&mut events), [(None, false), (None, false)], "its token, and its metadata");
        world.backbone.held().await.files.get_mut(&file.id).unwrap().0 = honest;
        assert_eq!(by(&world.download(&file.id).await.unwrap().1), [Path::Direct]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_file_is_asked_for_by_its_token_then_by_its_own_id() {
    World::run(async |world| {
        let id = world.known(b"abc", ContentFormat::V2).await;
        let token = world.bob.core.routes.to_file(&id).unwrap().token.unwrap();
        world.peers.state().targets.clear();
        world.download(&id).await.unwrap();
        assert!(world.peers.state().targets.iter().all(|target| *target == FileTarget::Token(token.clone())));
        world.peers.state().shared.clear();
        let (_, paths) = world.download(&id).await.unwrap();
        assert_eq!(by(&paths), [Path::Direct]);
        assert_eq!(world.peers.state().targets.last(), Some(&FileTarget::File(id)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn routes_to_stored_files_outlive_the_node_and_go_with_their_files() {
    World::run(async |world| {
        let id = world.known(b"abc", ContentFormat::V2).await;
        let core = &world.bob.core;
        let stored = |core: &Core| core.store.view().value_names("FileRoute/", "FileRoute/", 9).unwrap().len();
        assert_eq!(stored(core), 1);
        // Requests after a restart belong to the same use.
        let route = Route { claim: Some(new_claim_id()), ..core.routes.to_file(&id).unwrap() };
        core.routes.learn_file(&id, route.clone());
        crate::delivery::learn::keep(core, &id).await.unwrap();
        core.routes.forget_file(&id);
        crate::delivery::learn::load(core).await.unwrap();
        assert_eq!(core.routes.to_file(&id), Some(route));

        // Removed by another device.
        let other = world.known(b"abc", ContentFormat::V1).await;
        let mut batch = crate::store::Batch::new();
        batch.delete_object(crate::store::collection::FILES, other.as_str());
        core.store.commit(batch).await.unwrap();
        assert_eq!(stored(core), 2);
        crate::delivery::learn::forget_removed(core).await.unwrap();
        assert_eq!((stored(core), core.routes.to_file(&other)), (1, None));

        FilesFacade::new(world.bob.clone()).delete_file(&id).await.unwrap();
        assert_eq!((stored(core), core.routes.to_file(&id)), (0, None));
        let unpushed = core.store.unpushed(100).unwrap();
        assert!(!format!("{unpushed:?}").contains("FileRoute"), "no other device learns of it");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_token_with_a_password_is_not_asked_for_without_it_after_a_restart() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V2).await;
        let (token, reference) = world.share(&file, Some("secret")).await;
        world.load(&reference, Some("secret")).await.unwrap();
        let (core, id) = (&world.bob.core, &file.id);
        let restart = async || {
            core.routes.forget_file(id);
            crate::delivery::learn::load(core).await.unwrap();
            world.peers.state().targets.clear();
            assert_eq!(by(&world.download(id).await.unwrap().1), [Path::Direct]);
            let targets = std::mem::take(&mut world.peers.state().targets);
            assert!(!targets.is_empty() && targets.iter().all(|target| *target == FileTarget::File(id.clone())));
        };
        restart().await;

        // What was stored before says not whether there is a password.
        let name = format!("FileRoute/{id}");
        let mut record: serde_json::Value = core.store.view().value(&name).unwrap().unwrap();
        record["t"] = serde_json::json!(token.id);
        record.as_object_mut().unwrap().remove("o");
        let mut batch = crate::store::Batch::new();
        batch.put_value(&name, &record).unwrap();
        core.store.commit(batch).await.unwrap();
        restart().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_download_without_progress_ends_and_one_with_progress_goes_on() {
    World::run(async |world| {
        let content = plain(MEBIBYTE - 5);
        for format in FORMATS {
            let id = world.known(&content, format).await;
            world.is_away(true, false).await;
            world.peers.state().otherwise = Some(Act::Trickle(1000));
            if format == ContentFormat::V2 {
                world.peers.state().otherwise = Some(Act::Trickle(0));
            }
            let download = tokio::time::timeout(Duration::from_secs(100_000), world.download(&id));
            assert!(download.await.expect("it ends").is_err(), "{format:?}");
            assert!(world.peers.state().requests <= 30, "{format:?}: {}", world.peers.state().requests);

            if format == ContentFormat::V1 {
                world.peers.state().script = (1..=30).map(|part| Act::Trickle(part * 30_000)).collect();
                world.peers.state().otherwise = None;
                assert!(world.download(&id).await.unwrap().0 == content);
            }
            world.peers.state().otherwise = None;
            world.is_away(false, false).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn for_own_files_nothing_is_learned_and_others_do_not_have_a_node_ask_peers() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V2).await;
        let (_, reference) = world.share(&file, None).await;
        let request = LoadFile { reference, password: None };
        let loaded = FilesFacade::new(world.alice.clone()).get_or_load_file(request).await.unwrap();
        assert!(loaded.is_own);
        assert_eq!(world.alice.core.routes.to_file(&file.id), None);

        let id = world.known(b"abc", ContentFormat::V1).await;
        world.peers.state().targets.clear();
        let by = crate::delivery::by(&world.bob.core, crate::delivery::Sources::Backbone);
        let content = by.file_content(&id, 1000).await.unwrap();
        assert_eq!(content.path(), Path::Backbone);
        assert_eq!(by.file_metadata(&id, None).await.unwrap().id, id);
        let state = world.peers.state();
        assert_eq!((state.requests, state.targets.len()), (0, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_peers_and_for_the_own_node_nothing_is_learned() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V1).await;
        let (token, _) = world.share(&file, None).await;
        let own = PeerKey::derive(world.bob.core.account.device_key()).peer_id().to_base58();
        let reference = dialable_reference(&token.reference.url, &own, &[ADDRESS.to_owned()], &[]).unwrap();
        world.load(&reference, None).await.unwrap();
        assert_eq!(world.bob.core.routes.to_file(&file.id), None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_content_of_a_token_says_where_its_file_is() {
    World::run(async |world| {
        let direct = transport::peer::Direct {
            peer_id: peer_id(),
            addresses: vec![transport::peer::MultiaddrText::new(ADDRESS).unwrap()],
            relays: Vec::new(),
        };
        world.alice.core.held.reachable_by(move || Some(direct.clone()));
        let file = world.upload(b"abc", ContentFormat::V2).await;
        let (token, _) = world.share(&file, None).await;
        world.load(&token.reference.url, None).await.unwrap();
        assert_eq!(by(&world.download(&file.id).await.unwrap().1), [Path::Direct]);
        // Again, after everything was forgotten.
        world.bob.core.routes.forget_file(&file.id);
        world.load(&token.reference.url, None).await.unwrap();
        assert!(world.bob.core.routes.to_file(&file.id).is_some());
        assert!(world.directory.path().exists());
    })
    .await;
}

/// What a peer does, by a number.
fn acts() -> impl Strategy<Value = Act> {
    let place = 0..2 * MEBIBYTE + 300;
    prop_oneof![
        Just(Act::Serve),
        Just(Act::Unreachable),
        Just(Act::Refuse(Refusal::NotFound)),
        Just(Act::Refuse(Refusal::Busy)),
        Just(Act::AnotherFile),
        Just(Act::Overrun),
        place.clone().prop_map(Act::Cut),
        place.clone().prop_map(Act::Stall),
        place.clone().prop_map(Act::EndEarly),
        place.prop_map(Act::Alter),
        (0..20_u64).prop_map(|seconds| Act::Slow(Duration::from_secs(seconds))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_failures_yields_the_right_bytes_or_an_error(
        script in proptest::collection::vec(acts(), 0..8),
        otherwise in proptest::option::of(acts()),
        cuts in proptest::collection::vec(0..2 * MEBIBYTE, 0..6),
        is_away: bool,
        format in proptest::sample::select(FORMATS.to_vec()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(World::run(async |world| {
            let content = plain(2 * MEBIBYTE + 5);
            let id = world.known(&content, format).await;
            let body = world.backbone.held().await.files[&id].1.len() as u64;
            let is_lying = script.iter().chain(&otherwise).any(|act| matches!(act, Act::Alter(_)));
            let is_all_there = !is_away && cuts.is_empty();
            world.peers.state().script = script.iter().copied().collect();
            world.peers.state().otherwise = otherwise;
            world.backbone.held().await.cuts = cuts.iter().copied().collect();
            world.backbone.held().await.is_away = is_away;
            let downloaded = world.download(&id).await;
            if let Ok((received, _)) = &downloaded {
                prop_assert!(*received == content);
            }
            prop_assert!(downloaded.is_ok() || !is_all_there, "{:?}", downloaded.err());
            if format == ContentFormat::V2 && !is_lying {
                // The header and the hashes of a tree of three chunks may come more than once.
                prop_assert!(again(&world.sent().await, body) < 48 * 20 + 300 * 20);
            }
            Ok(())
        }))?;
    }
}

/// A node over real sockets that shares one file and alters a byte of it.
struct Liar {
    file: FileId,
    body: Bytes,
}

impl transport::peer::Holder for Liar {
    type Content = Altered;

    async fn token(&self, _: &TokenId, _: transport::peer::Caller<'_>) -> Result<Token, Refusal> {
        Err(Refusal::NotFound)
    }

    async fn metadata(&self, _: &FileTarget, _: transport::peer::Caller<'_>) -> Result<FileMetadata, Refusal> {
        Err(Refusal::NotFound)
    }

    async fn content(
        &self,
        _: &FileTarget,
        _: transport::peer::Caller<'_>,
    ) -> Result<transport::peer::HeldContent<Altered>, Refusal> {
        let (file, length) = (self.file.clone(), self.body.len() as u64);
        let content = Altered(self.body.clone());
        Ok(transport::peer::HeldContent { file, format: Format::V2, length, content })
    }

    async fn end_claim(
        &self,
        _: &TokenId,
        _: &ClaimId,
        _: ClaimEnd,
        _: transport::peer::Caller<'_>,
    ) -> Result<(), Refusal> {
        Err(Refusal::NotFound)
    }
}

struct Altered(Bytes);

impl transport::peer::Content for Altered {
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, Refusal> {
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
}

/// The network of a node, on loopback.
async fn network(core: &Core) -> (crate::peer::PeerNetwork, swarm::Inbound) {
    let config = PeerConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        mdns: false,
        relaying: false,
        loopback_addresses: true,
        ..PeerConfig::default()
    };
    let parts = crate::peer::PeerParts {
        key: PeerKey::derive(core.account.device_key()),
        device: None,
        is_removed: Arc::new(|_, _| false),
        time: crate::peer::Time::new(core.clock.clone()),
        events: core.events.clone(),
        max_token_content: 1000,
        transport: None,
    };
    crate::peer::PeerNetwork::start(&config, parts).await.unwrap()
}

#[tokio::test]
async fn a_node_that_lies_over_real_sockets_corrupts_nothing() {
    // Which path comes first is not for how busy the machine is to decide.
    let world = World::with_patience(REACHING_LIMIT);
    let backbone = world.backbone.clone();
    let test = async {
        let content = plain(4 * MEBIBYTE);
        let file = world.upload(&content, ContentFormat::V2).await;
        world.load(&file.reference.url, None).await.unwrap();
        let mut body = world.backbone.held().await.files[&file.id].1.to_vec();
        body[2_500_000] ^= 1;
        let (peers, inbound) = network(&world.alice.core).await;
        let liar = Arc::new(Liar { file: file.id.clone(), body: body.into() });
        let _server = crate::peer::PeerServer::start(&peers, inbound, liar);

        let (network, _inbound) = network(&world.bob.core).await;
        let token: TokenId = "TOKabcdefghijklmno12".parse().unwrap();
        let route = Route { token: Some(token), ..Route::to(peers.direct().unwrap()) };
        world.bob.core.routes.learn_file(&file.id, route);
        let mut events = world.bob.core.events.subscribe();
        let (received, paths) =
            crate::delivery::fake_peers::with_network(network.clone(), world.download(&file.id)).await.unwrap();
        assert!(received == content);
        assert_eq!(by(&paths), [Path::Lan, Path::Backbone]);
        assert_eq!(drops(&mut events), [(Some(Path::Lan), true)]);
        network.shutdown().await;
        peers.shutdown().await;
    };
    backbone.scope(Box::pin(test)).await;
}
