//! By which paths a token and its file leave a node.

use transport::peer::Via;

use super::other_devices::OTHER_DEVICE;
use super::*;
use crate::dto::TokenTransports;
use crate::facade::{CreateOwnToken, NewTerms, UpdateToken};

fn by(names: &str) -> CreateTokenForFile {
    let terms = NewTerms { transports: Some(names.parse().unwrap()), ..NewTerms::default() };
    CreateTokenForFile { ephemeral: false, terms, ..CreateTokenForFile::default() }
}

/// What an identity that has nothing to do with the node gets of a token and its file, directly and through a relay.
async fn gets(world: &World, token: &Token, reader: &AccountRecord) -> [bool; 2] {
    let mut gets = Vec::new();
    for via in [Via::Direct, Via::Relay] {
        let channel = channel_to(Some(reader), world.clock.now()).over(via);
        let asked = world.ask(token, &channel, None).await;
        let targets = [FileTarget::Token(token.id.clone()), FileTarget::File(held(world, token).file)];
        for target in targets {
            let content = world.content(target, &channel).await;
            assert_eq!(content.map(drop), asked.as_ref().map(drop).map_err(|refusal| *refusal), "{via:?}");
        }
        assert!(matches!(asked, Ok(_) | Err(Refusal::OtherPath)), "{asked:?}");
        gets.push(asked.is_ok());
    }
    [gets[0], gets[1]]
}

fn held(world: &World, token: &Token) -> HeldToken {
    HeldToken::stored(&world.node.core.store.view(), &token.id).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_its_file_leave_by_the_permitted_paths_only() {
    World::run(async |world| {
        let reader = memory::new_account(world.clock.now());
        for (names, expected) in [
            ("all", [true, true]),
            ("direct,store", [true, false]),
            ("relay,store", [false, true]),
            ("store", [false, false]),
        ] {
            let token = world.shared(by(names)).await;
            assert_eq!(gets(world, &token, &reader).await, expected, "{names}");
            assert_eq!(token.transports, Some(names.parse().unwrap()).filter(|set| *set != TokenTransports::ALL));
            assert_eq!(is_offered(&world.node.core, &token.id).unwrap(), expected != [false, false]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_path_is_told_only_to_those_who_may_load_the_token_and_counts_nothing() {
    World::run(async |world| {
        let [addressee, other] = [(); 2].map(|()| memory::new_account(world.clock.now()));
        let terms = CreateTokenForFile { for_identity: Some(addressee.identity.address.clone()), ..by("relay,store") };
        let token = world.shared(CreateTokenForFile { ..terms }).await;
        let direct = |account| channel_to(account, world.clock.now()).over(Via::Direct);
        let told = [Some(&addressee), Some(&other), None];
        let expected = [Refusal::OtherPath, Refusal::NotFound, Refusal::NotFound];
        for (account, expected) in told.into_iter().zip(expected) {
            assert_eq!(world.ask(&token, &direct(account), None).await, Err(expected));
        }
        let guarded = world.shared(CreateTokenForFile { ..protected_by("relay,store") }).await;
        let wrong = PasswordHash::from_bytes([1; 32]);
        assert_eq!(world.ask(&guarded, &direct(None), Some(&wrong)).await, Err(Refusal::OtherPath));
        assert_eq!(world.ledger(&guarded), LedgerRecord::default());
        // A path that the driver does not tell is not permitted either.
        assert_eq!(
            world.ask(&token, &channel_to(Some(&addressee), world.clock.now()), None).await,
            Err(Refusal::OtherPath)
        );
    })
    .await;
}

fn protected_by(names: &str) -> CreateTokenForFile {
    CreateTokenForFile { terms: by(names).terms, ..protected() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_ends_when_its_path_is_not_permitted_any_more() {
    World::run(async |world| {
        let reader = memory::new_account(world.clock.now());
        let file = world.upload(plain(600_000), ContentFormat::V2).await;
        let token = world.share(&file, by("all")).await;
        let own = channel_to(Some(&world.account), world.clock.now()).over(Via::Direct);
        let [direct, relayed] =
            [Via::Direct, Via::Relay].map(|via| channel_to(Some(&reader), world.clock.now()).over(via));
        let targets = [FileTarget::Token(token.id.clone()), FileTarget::File(file.id.clone())];
        let mut ending = Vec::new();
        for target in targets {
            ending.push(world.content(target.clone(), &direct).await.unwrap());
            assert_eq!(world.content(target, &relayed).await.map(drop), Ok(()));
        }
        let mut going_on = vec![
            world.content(FileTarget::Token(token.id.clone()), &relayed).await.unwrap(),
            world.content(FileTarget::File(file.id.clone()), &own).await.unwrap(),
        ];
        for held in ending.iter_mut().chain(&mut going_on) {
            held.content.read(0..PIECE_LENGTH).await.unwrap();
        }
        let change = |transports| UpdateToken { transports: Some(transports), ..UpdateToken::default() };
        let tokens = TokensFacade::new(world.node.clone());
        let changed = tokens.update_token(&token.id, change("relay,store".parse().unwrap())).await.unwrap();
        assert_eq!(changed.token.transports.map(|set| set.to_string()).as_deref(), Some("relay, store"));
        for held in &mut ending {
            assert_eq!(read_from(held, PIECE_LENGTH).await, Err(Refusal::NotFound));
        }
        for held in &mut going_on {
            assert!(read_from(held, PIECE_LENGTH).await.is_ok());
        }
        let object = world.node.core.store.object(collection::TOKENS, token.id.as_str()).unwrap().unwrap();
        assert_eq!(object.properties["hasTerms"], true, "other devices leave it to this one");
        let changed = tokens.update_token(&token.id, change(TokenTransports::ALL)).await.unwrap();
        assert_eq!(changed.token.transports, None);
        assert_eq!(gets(world, &token, &reader).await, [true, true]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_nobody_could_enforce_are_refused_and_change_nothing() {
    World::run(async |world| {
        let file = world.upload(plain(100), ContentFormat::V2).await;
        for names in ["direct", "relay", "direct,relay"] {
            let refused = world.files().create_token_for_file(&file.id, by(names)).await.unwrap_err();
            assert!(refused.to_string().contains("'transports' must contain store"), "{refused}");
        }
        let token = world.share(&file, by("all")).await;
        let change = UpdateToken { transports: Some("direct".parse().unwrap()), ..UpdateToken::default() };
        let refused = TokensFacade::new(world.node.clone()).update_token(&token.id, change).await.unwrap_err();
        assert!(refused.to_string().contains("'transports' must contain store"), "{refused}");
        assert_eq!(held(world, &token).transports, TokenTransports::ALL);
    })
    .await;
}

/// A token of the world as if another device had made it, which this one learns of by synchronizing.
async fn leave_to_another_device(world: &World, token: &Token, file: &FileId) {
    let mut batch = Batch::new();
    let mut object = world.node.core.store.object(collection::TOKENS, token.id.as_str()).unwrap().unwrap();
    object.properties.insert("createdByDevice".to_owned(), OTHER_DEVICE.into());
    batch.put_object(object);
    let mut object = world.node.core.store.object(collection::FILES, file.as_str()).unwrap().unwrap();
    object.properties.insert("pathsLimitedBy".to_owned(), serde_json::json!([OTHER_DEVICE]));
    batch.put_object(object);
    world.node.core.store.commit(batch).await.unwrap();
    edit(&world.node.core.store, |edit| edit.remove(&token.id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_devices_give_neither_token_nor_file_and_change_no_paths() {
    World::run(async |world| {
        let reader = memory::new_account(world.clock.now());
        let file = world.upload(plain(600_000), ContentFormat::V2).await;
        let token = world.share(&file, by("relay,store")).await;
        let object = |id: &str| world.node.core.store.object(collection::FILES, id).unwrap().unwrap();
        let named = object(file.id.as_str()).properties["pathsLimitedBy"].clone();
        assert_eq!(named, serde_json::json!([world.node.core.account.device_id()]), "other devices learn of it");
        let [direct, relayed] =
            [Via::Direct, Via::Relay].map(|via| channel_to(Some(&reader), world.clock.now()).over(via));
        let own = channel_to(Some(&world.account), world.clock.now()).over(Via::Direct);
        let by_id = FileTarget::File(file.id.clone());
        let mut begun = Vec::new();
        for target in [by_id.clone(), FileTarget::Token(token.id.clone())] {
            begun.push(world.content(target, &relayed).await.unwrap());
        }
        for held in &mut begun {
            held.content.read(0..PIECE_LENGTH).await.unwrap();
        }
        leave_to_another_device(world, &token, &file.id).await;
        for held in &mut begun {
            assert_eq!(read_from(held, PIECE_LENGTH).await, Err(Refusal::NotFound));
        }
        for channel in [&direct, &relayed] {
            assert_eq!(world.content(by_id.clone(), channel).await.map(drop), Err(Refusal::OtherPath));
            assert_eq!(world.ask(&token, channel, None).await, Err(Refusal::NotFound));
        }
        assert!(world.content(by_id, &own).await.is_ok());
        let tokens = TokensFacade::new(world.node.clone());
        let change = UpdateToken { transports: Some(TokenTransports::ALL), ..UpdateToken::default() };
        let refused = tokens.update_token(&token.id, change).await.unwrap_err();
        assert!(refused.to_string().contains("change it there"), "{refused}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_paths_is_held_although_only_its_content_was_given() {
    World::run(async |world| {
        let file = world.upload(plain(100), ContentFormat::V2).await;
        let plain = world.share(&file, by("all")).await;
        let content: Value = serde_json::from_str(plain.content.as_str()).unwrap();
        let tokens = TokensFacade::new(world.node.clone());
        let mut request = CreateOwnToken::new(content.clone(), plain.expires_at);
        let given = tokens.create_own_token(request.clone()).await.unwrap();
        let stored = |id| HeldToken::stored(&world.node.core.store.view(), id).unwrap();
        assert!(stored(&given.id).is_none(), "nobody has asked this node to give it");
        request.terms.transports = by("direct,store").terms.transports;
        let limited = tokens.create_own_token(request).await.unwrap();
        assert_eq!(stored(&limited.id).unwrap().file, file.id);
        let change = UpdateToken { transports: by("store").terms.transports, ..UpdateToken::default() };
        tokens.update_token(&given.id, change).await.unwrap();
        assert!(!stored(&given.id).unwrap().transports.reach_peers());
        let reader = memory::new_account(world.clock.now());
        for via in [Via::Direct, Via::Relay] {
            let channel = channel_to(Some(&reader), world.clock.now()).over(via);
            let by_id = world.content(FileTarget::File(file.id.clone()), &channel).await;
            assert_eq!(by_id.map(drop), Err(Refusal::OtherPath));
        }
    })
    .await;
}
