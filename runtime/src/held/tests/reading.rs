//! What a peer gets of a token and its file.

use transport::crypto::hash::Sha512Hash;
use transport::peer::Format;

use super::*;
use crate::file::MAX_BODIES;

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
        let (stranger, unknown) = (world.stranger(), "TOKunknownunknown123".parse().unwrap());
        let caller = Caller::new(&stranger, None, world.clock.now());
        assert_eq!(world.holder.token(&unknown, caller).await, Err(Refusal::NotFound));
        assert!(world.ask(&token, &stranger, None).await.is_ok());

        // A token that holds no file, and the token of a file that somebody else has uploaded.
        let request = serde_json::from_value(serde_json::json!({ "content": {}, "expiresAt": in_hours(world, 1) }));
        let other = TokensFacade::new(world.node.clone()).create_own_token(request.unwrap()).await.unwrap();
        assert_eq!(world.ask(&other, &stranger, None).await, Err(Refusal::NotFound));
        let file: FileId = world.upload(vec![1], ContentFormat::V1).await.id;
        let view = world.node.core.store.view();
        let mut object = view.object(collection::FILES, file.as_str()).unwrap().unwrap();
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
        let stranger = world.stranger();
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
        let channel = world.somebody();
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
                    let text = |sealed: &ByteText| match AnyFileMetadata::open(&sealed.0, &key).unwrap() {
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
        let stranger = world.stranger();
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
        let (somebody, stranger) = (world.somebody(), world.stranger());
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
            let stranger = world.stranger();
            assert!(world.ask(&token, &stranger, None).await.is_ok());
            let target = FileTarget::Token(token.id.clone());
            assert_eq!(world.content(target, &stranger).await.err(), Some(Refusal::NotFound));
            tokio::io::AsyncWriteExt::write_all(&mut writing, b"end").await.unwrap();
            drop(writing);
            token
        };
        let (uploaded, token) = tokio::join!(uploading, asking);
        uploaded.unwrap();
        let stranger = world.stranger();
        assert!(world.content(FileTarget::Token(token.id), &stranger).await.is_ok());
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
        let strangers: Vec<_> = (0..=MAX_BODIES).map(|_| world.stranger()).collect();
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
        let stranger = world.stranger();
        let view = world.node.core.store.view();
        let right = view.object(collection::FILES, file.id.as_str()).unwrap().unwrap();
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
