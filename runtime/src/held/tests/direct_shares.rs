//! Files that no backbone knows, and how tokens say where this node is.

use transport::crypto::{Cipher, SecretKey};
use transport::peer::MultiaddrText;
use transport::token::TokenContent;
use transport::wire::TokenReference;

use super::*;

impl World {
    /// A file that is shared without a backbone, and its directory.
    pub(super) async fn shared_directly(&self, terms: CreateTokenForFile) -> (tempfile::TempDir, Token) {
        let (directory, path) = file_of(&plain(3_000_000));
        (directory, self.shared_directly_from(&path, terms).await)
    }

    pub(in crate::held) async fn shared_directly_from(&self, source: &Path, terms: CreateTokenForFile) -> Token {
        self.files().share_directly(direct_request(source), terms).await.unwrap()
    }

    /// From now on it can be reached, so it can share without a backbone.
    pub(in crate::held) fn is_reachable(&self) {
        let direct = reachable(self);
        self.node.core.held.reachable_by(move || Some(direct.clone()));
    }
}

fn reachable(world: &World) -> Direct {
    Direct {
        peer_id: PeerKey::derive(&world.account.device_key).peer_id(),
        addresses: vec![MultiaddrText::new("/ip4/192.0.2.1/tcp/4001").unwrap()],
        relays: Vec::new(),
    }
}

/// The content of a token as a receiver sees it.
fn open(token: &Token, sealed: &ByteText) -> TokenContent {
    let reference = TokenReference::parse(&token.reference.url).unwrap();
    let text = SecretKey::from(&reference.key).decrypt(&Cipher::from_bytes(&sealed.0).unwrap()).unwrap();
    TokenContent::parse(std::str::from_utf8(&text).unwrap()).unwrap()
}

pub(super) fn direct_request(source: &Path) -> UploadOwnFile {
    let source = Source::file(source).unwrap();
    UploadOwnFile::from_source(source, "a.bin".parse().unwrap(), "text/plain".parse().unwrap())
}

fn stream_of(content: &[u8]) -> UploadOwnFile {
    let reader = std::io::Cursor::new(content.to_vec());
    UploadOwnFile::new(reader, "a.bin".parse().unwrap(), "text/plain".parse().unwrap())
}

/// A directory with a file, beside that of the node.
fn file_of(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("source");
    std::fs::write(&path, content).unwrap();
    (directory, path)
}

/// Bytes of all files below a directory.
fn size_of(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { size_of(&path) } else { path.metadata().unwrap().len() }).sum()
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

#[tokio::test]
async fn a_direct_share_is_known_to_nobody_else_and_takes_no_second_copy() {
    World::run(async |world| {
        world.is_reachable();
        let content = plain(9_000_000);
        let (_directory, path) = file_of(&content);
        let before = size_of(&world.directory);
        let token = world.shared_directly_from(&path, protected()).await;
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
            let (stranger, right) = (world.stranger(), world.hash(&token));
            assert_eq!(world.ask(&token, &stranger, None).await, Err(Refusal::NotFound));
            let shown = world.ask(&token, &stranger, Some(&right)).await.unwrap();
            let opened = open(&token, &shown.content.unwrap());
            assert_eq!(Direct::of(&opened), Some(reachable(world)));
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
        let stranger = world.stranger();
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

#[tokio::test]
async fn a_stream_is_shared_directly_from_the_content_store_until_the_node_ends() {
    World::run(async |world| {
        // Other uploads would not be kept.
        let store = ContentStoreConfig { keep_uploads: false, ..ContentStoreConfig::default() };
        world.restart(Some(store)).await;
        world.is_reachable();
        let stranger = world.stranger();
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
            world.is_reachable();
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
        world.is_reachable();
        let content = plain(3_000_000);
        let (_directory, path) = file_of(&content);
        let token = world.shared_directly_from(&path, CreateTokenForFile::default()).await;
        let (stranger, target) = (world.stranger(), FileTarget::Token(token.id.clone()));
        // In a way that neither length nor times show.
        let times = path.metadata().unwrap().modified().unwrap();
        let mut changed = content;
        changed[2_900_000] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(times).unwrap();
        let mut held = world.content(target.clone(), &stranger).await.unwrap();
        let mut events = world.node.core.events.subscribe();
        assert_eq!(read_from(&mut held, 0).await.err(), Some(Refusal::Unavailable));
        assert!(matches!(events.try_recv(), Ok(Event::SharedFileLost(file)) if file == held.file));
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
        world.is_reachable();
        let (_directory, path) = file_of(&plain(100));
        let terms = CreateTokenForFile { expires_at: in_hours(world, 1), ..CreateTokenForFile::default() };
        let token = world.shared_directly_from(&path, terms).await;
        let reader = world.somebody();
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
        world.is_reachable();
        let whole = UploadOwnFile { format: ContentFormat::V1, ..direct_request(&path) };
        assert_eq!(share(world, whole).await, unreachable);
        // A content store that is too small for the hashes, and none.
        for content_store in [Some(ContentStoreConfig::new(16)), None] {
            world.restart(content_store).await;
            world.is_reachable();
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
