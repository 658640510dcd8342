//! What is learned of where tokens and files are.

use transport::peer::MultiaddrText;

use super::*;
use crate::store::collection;

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
        let mut batch = Batch::new();
        batch.delete_object(collection::FILES, other.as_str());
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
        let mut batch = Batch::new();
        batch.put_value(&name, &record).unwrap();
        core.store.commit(batch).await.unwrap();
        restart().await;
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
        let direct =
            Direct { peer_id: peer_id(), addresses: vec![MultiaddrText::new(ADDRESS).unwrap()], relays: Vec::new() };
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
