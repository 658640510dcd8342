//! Tokens of other devices of the identity, and tokens that are revoked or have another expiry, by whichever device.

use super::*;
use crate::token::Revocation;

pub(super) const OTHER_DEVICE: &str = "DVCotherotherother12";

/// A token as the datawallet brings it from another device, but for a change.
pub(super) async fn as_of_another_device(world: &World, change: impl FnOnce(&mut Properties)) -> Token {
    let token = world.shared(CreateTokenForFile::default()).await;
    let store = &world.node.core.store;
    let mut object = store.object(collection::TOKENS, token.id.as_str()).unwrap().unwrap();
    object.properties.insert("createdByDevice".to_owned(), Value::from(OTHER_DEVICE));
    change(&mut object.properties);
    edit(store, |edit| edit.remove(&token.id)).await;
    let mut batch = Batch::new();
    batch.put_object(object);
    store.commit(batch).await.unwrap();
    token
}

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

/// What `TokensFacade::revoke_token` does before it asks the backbone.
pub(super) async fn revoke(world: &World, id: &TokenId, is_complete: bool) {
    let mut batch = Batch::new();
    Revocation { at: world.clock.now(), is_complete }.put(&mut batch, id).unwrap();
    world.node.core.store.commit(batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_given_to_nobody_else_also_after_a_restart_and_ends_transfers() {
    World::run(async |world| {
        let reader = world.somebody();
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
async fn a_deleted_token_ends_transfers_and_one_whose_time_is_over_does_not() {
    World::run(async |world| {
        let reader = channel_to(Some(&memory::new_account(world.clock.now())), world.clock.now());
        for is_ephemeral in [false, true] {
            let file = world.upload(plain(2 * PIECE_LENGTH as usize), ContentFormat::V2).await;
            let expires_at = in_hours(world, 1);
            let terms = CreateTokenForFile { expires_at, ephemeral: is_ephemeral, ..CreateTokenForFile::default() };
            let token = world.share(&file, terms).await;
            let mut transfer = world.content(FileTarget::Token(token.id.clone()), &reader).await.unwrap();
            world.clock.advance(2 * HOUR);
            transfer.content.read(0..PIECE_LENGTH).await.unwrap();
            remove_object(&world.node.core, collection::TOKENS, token.id.as_str()).await.unwrap();
            assert_eq!(transfer.content.read(0..1).await, Err(Refusal::NotFound));
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
        let later = world.stranger();
        assert_eq!(world.ask(&longer, &later, None).await, Err(Refusal::NotFound));
    })
    .await;
}

#[tokio::test]
async fn another_expiry_moves_a_token_in_the_order_of_the_expiries_and_its_end_takes_all_of_it() {
    World::run(async |world| {
        let store = world.node.core.store.clone();
        let token = world.shared(CreateTokenForFile { expires_at: in_hours(world, 1), ..Default::default() }).await;
        let later = world.clock.now().saturating_add(5 * HOUR);
        for id in [&token.id, &token.id, &"TOKunknownunknown123".parse().unwrap()] {
            edit(&store, |edit| edit.expire_at(id, later)).await;
        }
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
