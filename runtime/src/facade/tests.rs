//! Files and tokens between nodes that need no server, and what is refused of an untrusted other side.

use std::future::Future;
use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use transport::wire::{ByteText, FileId, Timestamp, TokenId};

use super::*;
use crate::Result;
use crate::Secret;
use crate::clock::{Clock, ManualClock};
use crate::delivery::memory::{self, Held, Holder};
use crate::dto::{File, Password, PasswordProtection, Reference, Token};

const START: &str = "2030-01-01T00:00:00.000Z";

/// Two nodes and what they share.
struct World {
    alice: Arc<Node>,
    bob: Arc<Node>,
    clock: Arc<ManualClock>,
    holder: Holder,
    _directory: tempfile::TempDir,
}

impl World {
    /// Runs a test in which both nodes deliver through memory.
    async fn run<F: Future<Output = ()>>(test: impl FnOnce(Arc<Self>) -> F) {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START.parse().unwrap()));
        let node = |name: &str| {
            let core = memory::node(&directory.path().join(name), clock.clone());
            Arc::new(Node { core, sync: Synchronizer::idle(), server: None })
        };
        let (alice, bob, holder) = (node("alice"), node("bob"), Holder::default());
        let world = Arc::new(Self { alice, bob, clock, holder: holder.clone(), _directory: directory });
        // Boxed, because a test thread has a small stack.
        holder.scope(Box::pin(test(world))).await;
    }

    /// Changes what is held, as an untrusted side can.
    async fn alter(&self, change: impl FnOnce(&mut Held)) {
        change(&mut *self.holder.held().await);
    }

    fn in_an_hour(&self) -> Timestamp {
        self.clock.now().saturating_add(std::time::Duration::from_secs(3600))
    }

    async fn token(&self, content: &str) -> Token {
        let request = CreateOwnToken::new(content.into(), self.in_an_hour());
        TokensFacade::new(self.alice.clone()).create_own_token(request).await.unwrap()
    }
}

async fn upload(node: &Arc<Node>, content: &[u8]) -> File {
    upload_as(node, content, ContentFormat::Auto).await
}

async fn upload_as(node: &Arc<Node>, content: &[u8], format: ContentFormat) -> File {
    let request = UploadOwnFile {
        content: NewContent::Stream(Box::pin(std::io::Cursor::new(content.to_vec()))),
        filename: "a.txt".parse().unwrap(),
        mimetype: "text/plain".parse().unwrap(),
        expires_at: None,
        title: None,
        description: None,
        tags: None,
        format,
        observer: None,
    };
    FilesFacade::new(node.clone()).upload_own_file(request).await.unwrap()
}

async fn share(node: &Arc<Node>, file: &File, terms: CreateTokenForFile) -> Token {
    FilesFacade::new(node.clone()).create_token_for_file(&file.id, terms).await.unwrap()
}

async fn load(node: &Arc<Node>, reference: &Reference, password: Option<&str>) -> Result<File> {
    let request =
        LoadFile { reference: reference.url.clone(), password: password.map(|text| Secret::new(text.to_owned())) };
    FilesFacade::new(node.clone()).get_or_load_file(request).await
}

async fn load_token(node: &Arc<Node>, reference: &Reference) -> Result<Token> {
    let request = LoadPeerToken { reference: reference.url.clone(), ephemeral: false, password: None };
    TokensFacade::new(node.clone()).load_peer_token(request).await
}

async fn download(node: &Arc<Node>, id: &FileId) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let download = FilesFacade::new(node.clone()).download_file(id, None).await?;
    download.content.into_reader().read_to_end(&mut content).await.unwrap();
    Ok(content)
}

fn code<T>(outcome: Result<T>) -> String {
    outcome.err().map_or_else(|| "no error".to_owned(), |error| error.code().to_owned())
}

#[tokio::test]
async fn a_shared_file_arrives_and_is_asked_for_once() {
    World::run(async |world| {
        let content = vec![7; 3_000_000];
        let uploaded = upload(&world.alice, &content).await;
        let token = share(&world.alice, &uploaded, CreateTokenForFile::default()).await;
        let loaded = load(&world.bob, &token.reference, None).await.unwrap();
        assert_eq!((&loaded.id, loaded.is_own), (&uploaded.id, false));
        let reads = world.holder.held().await.reads;
        assert_eq!(load(&world.bob, &uploaded.reference, None).await.unwrap(), loaded);
        assert_eq!(world.holder.held().await.reads, reads);
        assert!(download(&world.bob, &uploaded.id).await.unwrap() == content);
    })
    .await;
}

#[tokio::test]
async fn a_file_in_chunks_is_read_from_who_knows_no_ranges() {
    World::run(async |world| {
        world.alter(|held| held.ignores_ranges = true).await;
        for length in [0, 1, 1_048_577, 4_000_000] {
            let content: Vec<u8> = (0..length).map(|place: u32| (place * 7 % 251) as u8).collect();
            let uploaded = upload_as(&world.alice, &content, ContentFormat::V2).await;
            load(&world.bob, &uploaded.reference, None).await.unwrap();
            assert!(download(&world.bob, &uploaded.id).await.unwrap() == content);
            let (files, middle) = (FilesFacade::new(world.bob.clone()), u64::from(length / 2));
            let part = files.read_range(&uploaded.id, middle..u64::from(length)).await.unwrap();
            let mut bytes = Vec::new();
            part.content.into_reader().read_to_end(&mut bytes).await.unwrap();
            assert!(bytes == content[length as usize / 2..]);
            assert_eq!(
                std::fs::read_dir(&world.bob.core.temporary_directory)
                    .unwrap()
                    .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".tmp") })
                    .count(),
                0
            );
            // One that has lost the end of the file, and one that has another.
            let whole = world.holder.held().await.files[&uploaded.id].1.clone();
            for lie in [whole.slice(..whole.len() - 1), bytes::Bytes::from(vec![0; whole.len()])] {
                world.alter(|held| held.files.get_mut(&uploaded.id).unwrap().1 = lie).await;
                assert_eq!(code(download(&world.bob, &uploaded.id).await), "error.transport.files.cipherMismatch");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_protected_token_takes_its_password_and_a_personalized_one_its_addressee() {
    World::run(async |world| {
        let uploaded = upload(&world.alice, b"content").await;
        let protection = PasswordProtection::new(Password::new("right").unwrap());
        let terms = CreateTokenForFile { password_protection: Some(protection), ..CreateTokenForFile::default() };
        let protected = share(&world.alice, &uploaded, terms).await;
        assert_eq!(code(load(&world.bob, &protected.reference, None).await), "error.transport.noPasswordProvided");
        assert_eq!(code(load(&world.bob, &protected.reference, Some("wrong")).await), "error.runtime.recordNotFound");
        assert!(load(&world.bob, &protected.reference, Some("right")).await.is_ok());

        let for_identity = Some(world.alice.core.account.address().clone());
        let terms = CreateTokenForFile { for_identity, ..CreateTokenForFile::default() };
        let personalized = share(&world.alice, &uploaded, terms).await;
        let refused = load(&world.bob, &personalized.reference, None).await;
        assert_eq!(code(refused), "error.transport.general.notIntendedForYou");
    })
    .await;
}

#[tokio::test]
async fn an_expired_token_is_not_found() {
    World::run(async |world| {
        let token = world.token("content").await;
        world.clock.set(world.in_an_hour());
        assert_eq!(code(load_token(&world.bob, &token.reference).await), "error.runtime.recordNotFound");
    })
    .await;
}

#[tokio::test]
async fn what_the_other_side_altered_is_refused_and_not_stored() {
    World::run(async |world| {
        let (uploaded, other) = (upload(&world.alice, b"content").await, upload(&world.alice, b"other").await);
        let metadata = |change: fn(&mut ByteText)| {
            let id = uploaded.id.clone();
            move |held: &mut Held| change(&mut held.files.get_mut(&id).unwrap().0.encrypted_properties)
        };
        let original = world.holder.held().await.files[&uploaded.id].clone();
        for (change, expected) in [
            (metadata(|sealed| sealed.0.clear()), "error.transport.files.invalidMetadata"),
            (metadata(|sealed| *sealed.0.last_mut().unwrap() = b' '), "error.transport.files.invalidMetadata"),
        ] {
            world.alter(change).await;
            assert_eq!(code(load(&world.bob, &uploaded.reference, None).await), expected);
            world.alter(|held| drop(held.files.insert(uploaded.id.clone(), original.clone()))).await;
        }
        world.alter(|held| held.files.get_mut(&uploaded.id).unwrap().0.id = other.id.clone()).await;
        assert_eq!(code(load(&world.bob, &uploaded.reference, None).await), "error.runtime.unknown");
        assert_eq!(code(FilesFacade::new(world.bob.clone()).file(&uploaded.id).await), "error.runtime.recordNotFound");

        world.alter(|held| drop(held.files.insert(uploaded.id.clone(), original.clone()))).await;
        load(&world.bob, &uploaded.reference, None).await.unwrap();
        world.alter(|held| held.files.get_mut(&uploaded.id).unwrap().1 = held.files[&other.id].1.clone()).await;
        assert_eq!(code(download(&world.bob, &uploaded.id).await), "error.transport.files.cipherMismatch");
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_another_one_or_for_somebody_else_is_refused() {
    World::run(async |world| {
        let (token, other) = (world.token("content").await, world.token("other").await);
        let held = async |change: &dyn Fn(&mut memory::HeldToken)| {
            world.alter(|held| change(held.tokens.get_mut(&token.id).unwrap())).await;
        };
        held(&|held| held.token.id = other.id.clone()).await;
        assert_eq!(code(load_token(&world.bob, &token.reference).await), "error.runtime.unknown");
        held(&|held| held.token.id = token.id.clone()).await;

        let content = world.holder.held().await.tokens[&other.id].token.content.clone();
        let own = world.holder.held().await.tokens[&token.id].token.content.clone();
        held(&|held| held.token.content = content.clone()).await;
        let refused = load_token(&world.bob, &token.reference).await;
        assert_eq!(code(refused), "error.core-types.invalidTruncatedReference");
        held(&|held| held.token.content = None).await;
        assert_eq!(code(load_token(&world.bob, &token.reference).await), "error.transport.tokens.emptyToken");
        held(&|held| held.token.content = own.clone()).await;
        assert!(load_token(&world.bob, &token.reference).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn an_id_that_is_in_use_does_not_replace_what_is_stored() {
    World::run(async |world| {
        let token = world.token("content").await;
        world.alter(|held| *held = Held::default()).await;
        let request = CreateOwnToken::new("another".into(), world.in_an_hour());
        let tokens = TokensFacade::new(world.alice.clone());
        assert_eq!(code(tokens.create_own_token(request).await), "error.runtime.unknown");
        let id: &TokenId = &token.id;
        assert_eq!(tokens.token(id).await.unwrap(), token);
    })
    .await;
}

/// An upload that goes on until its source ends, and what happens meanwhile.
async fn while_uploading<T>(
    world: &World,
    content: &[u8],
    meanwhile: impl AsyncFnOnce(GrowingFile, tokio::io::DuplexStream) -> T,
) -> T {
    let (source, reader) = tokio::io::duplex(1 << 20);
    let (told, started) = tokio::sync::oneshot::channel();
    let mut request = UploadOwnFile::new(reader, "a.txt".parse().unwrap(), "text/plain".parse().unwrap());
    request.format = ContentFormat::V2;
    let (alice, bob) = (FilesFacade::new(world.alice.clone()), FilesFacade::new(world.bob.clone()));
    let early = EarlyShare::new(|started| told.send(started).unwrap());
    let following = async {
        let started = started.await.unwrap();
        let token = alice.create_token_for_started_upload(&started, CreateTokenForFile::default()).await.unwrap();
        let request = LoadFile { reference: token.reference.url, password: None };
        let Followed::Growing(file) = bob.follow_file(request, None).await.unwrap() else { panic!("it goes on") };
        let mut source = source;
        tokio::io::AsyncWriteExt::write_all(&mut source, content).await.unwrap();
        meanwhile(*file, source).await
    };
    tokio::join!(alice.upload_own_file_early(request, early), following).1
}

/// What a reader has until it fails.
async fn read_growing(file: &mut GrowingFile) -> (Vec<u8>, String) {
    let mut all = Vec::new();
    let outcome = file.content.read_to_end(&mut all).await;
    let code = outcome.err().map(|error| *error.into_inner().unwrap().downcast::<crate::Error>().unwrap());
    (all, code.map_or_else(|| "no error".to_owned(), |error| error.code().to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_for_some_minutes_and_may_come_back() {
    World::run(async |world| {
        world.alter(|held| held.breaks_early = true).await;
        let content = vec![7; 100];
        while_uploading(&world, &content, async |mut file, source| {
            let start = tokio::time::Instant::now();
            let (read, code) = read_growing(&mut file).await;
            assert_eq!((read.len(), code.as_str()), (0, "error.transport.files.uploadUnfinished"));
            assert_eq!(start.elapsed().as_secs(), 81);
            drop(source);
            let (read, code) = read_growing(&mut file).await;
            assert!(read == content);
            assert_eq!(code, "no error");
        })
        .await;
    })
    .await;
}

/// The backbone says that these were all bytes, while the upload goes on or has ended with more of them.
#[tokio::test(start_paused = true)]
async fn a_content_that_is_cut_never_ends_as_if_it_were_whole() {
    World::run(async |world| {
        world.alter(|held| held.ends_early = true).await;
        let content = vec![7; 3 << 20];
        while_uploading(&world, &content, async |mut file, source| {
            let (read, code) = read_growing(&mut file).await;
            assert_eq!((read.len(), code.as_str()), (0, "error.transport.files.uploadUnfinished"));
            drop(source);
        })
        .await;
    })
    .await;
    for cut in [1, 100, 1 << 20] {
        World::run(async |world| {
            let content = vec![7; 3 << 20];
            while_uploading(&world, &content, async |mut file, source| {
                drop(source);
                while !world.holder.held().await.growing.is_empty() {
                    tokio::task::yield_now().await;
                }
                world
                    .alter(|held| {
                        let (_, bytes) = held.files.values_mut().next().unwrap();
                        bytes.truncate(bytes.len() - cut);
                    })
                    .await;
                let (read, code) = read_growing(&mut file).await;
                assert!(content.starts_with(&read) && read.len() < content.len());
                assert_eq!(code, "error.transport.files.cipherMismatch", "{cut}");
                assert_eq!(read_growing(&mut file).await, (vec![], code), "it stays refused");
            })
            .await;
        })
        .await;
    }
}

#[tokio::test]
async fn what_the_other_side_altered_of_an_upload_is_refused() {
    for place in [20, 500, (3 << 20) + 60, (3 << 20) + 160] {
        World::run(async |world| {
            let content = vec![7; 3 << 20];
            while_uploading(&world, &content, async |mut file, source| {
                drop(source);
                while !world.holder.held().await.growing.is_empty() {
                    tokio::task::yield_now().await;
                }
                world
                    .alter(|held| {
                        let (_, bytes) = held.files.values_mut().next().unwrap();
                        let mut altered = bytes.to_vec();
                        altered[place] ^= 1;
                        *bytes = altered.into();
                    })
                    .await;
                let (read, code) = read_growing(&mut file).await;
                assert!(content.starts_with(&read));
                assert_eq!(code, "error.transport.files.cipherMismatch", "{place}");
                assert!(FilesFacade::new(world.bob.clone()).followed(&file.content).is_err());
            })
            .await;
        })
        .await;
    }
}
