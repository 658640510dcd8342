//! Sides that say or send what is wrong.

use super::*;

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
