use super::*;
use crate::event::Event;
use crate::sync::state::Position;

#[tokio::test]
async fn the_first_synchronization_creates_the_datawallet_with_the_device_in_it() {
    let place = Place::new().await;
    let node = place.start().await;
    node.datawallet().await.unwrap();
    let run = "/SyncRuns/SYRabcdefghijklmno12/FinalizeDatawalletVersionUpgrade";
    let expected = [
        "POST /Challenges".to_owned(),
        "POST /Identities".to_owned(),
        "POST /connect/token".to_owned(),
        "POST /SyncRuns".to_owned(),
        format!("PUT {run}"),
        "GET /Datawallet".to_owned(),
        // The published clients request what follows the newest one they know; requesting that one too shows whether it
        // still exists.
        "GET /Datawallet/Modifications".to_owned(),
    ];
    assert_eq!(place.backbone.calls(), expected, "the order of the published clients");
    let log = place.log(node.account.synchronization_key());
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].0.as_str(), &log[0].2["@type"]), ("Create", &json!("Device")));
    assert_eq!(unpushed(&node), 0);
    assert!(crate::sync::SyncTimes::load(&node.store).unwrap().datawallet.is_some());
}

#[tokio::test]
async fn changes_are_pushed_in_order_for_the_indices_they_get() {
    let place = Place::new().await;
    let node = place.start().await;
    node.datawallet().await.unwrap();
    create(&node, token(plain_token())).await;
    update(&node, token(json!({ "@type": "Token", "isOwn": true, "content": { "a": 2 } }))).await;
    let mut batch = Batch::new();
    batch.record_delete(collection::TOKENS, TOKEN);
    node.store.commit(batch).await.unwrap();
    node.push().await.unwrap();
    let log = place.log(node.account.synchronization_key());
    let kinds: Vec<_> = log[1..].iter().map(|(kind, _, payload)| (kind.as_str(), payload.clone())).collect();
    assert_eq!(
        kinds,
        [
            ("Create", json!({ "@type": "Token", "isOwn": true })),
            ("Create", json!({ "content": { "a": 1 } })),
            ("Update", json!({ "content": { "a": 2 } })),
            ("Delete", Value::Null),
        ]
    );
    assert_eq!(unpushed(&node), 0);
    node.push().await.unwrap();
    assert_eq!(place.backbone.state().log.len(), 5, "nothing left to push");
}

#[tokio::test]
async fn a_push_whose_answer_was_lost_is_not_duplicated() {
    for restart in [false, true] {
        let place = Place::new().await;
        let mut node = place.start().await;
        node.datawallet().await.unwrap();
        create(&node, token(plain_token())).await;
        place.backbone.state().lose_answer_to = Some("/Datawallet/Modifications");
        assert!(node.push().await.is_err());
        assert_eq!(place.backbone.state().log.len(), 3, "it arrived");
        update(&node, token(json!({ "@type": "Token", "isOwn": true, "content": { "a": 2 } }))).await;
        if restart {
            drop(node);
            node = place.start().await;
        }
        node.push().await.unwrap();
        let log = place.log(node.account.synchronization_key());
        assert_eq!(log.len(), 4, "only the update is new");
        assert_eq!(log[3].2, json!({ "content": { "a": 2 } }));
        assert_eq!(
            stored_token(&node).unwrap()["content"],
            json!({ "a": 2 }),
            "the pull did not bring back the old state"
        );
        assert_eq!(unpushed(&node), 0);
    }
}

#[tokio::test]
async fn an_upgrade_whose_answer_was_lost_is_not_duplicated() {
    let place = Place::new().await;
    let node = place.start().await;
    place.backbone.state().lose_answer_to = Some("/FinalizeDatawalletVersionUpgrade");
    assert!(node.datawallet().await.is_err());
    node.datawallet().await.unwrap();
    assert_eq!(place.log(node.account.synchronization_key()).len(), 1);
    assert_eq!(unpushed(&node), 0);
}

#[tokio::test]
async fn a_push_that_was_not_received_is_sealed_for_its_new_indices() {
    let place = Place::new().await;
    let node = place.start().await;
    node.datawallet().await.unwrap();
    create(&node, token(plain_token())).await;
    place.backbone.state().refuse = Some(("/Datawallet/Modifications", "error.platform.unexpected"));
    assert!(node.push().await.is_err());
    let key = node.account.synchronization_key();
    let metadata = json!({ "metadata": { "by": "other" } });
    place.other_device_sets(key, ModificationType::Update, PayloadCategory::Metadata, metadata);
    node.push().await.unwrap();
    let log = place.log(key);
    assert_eq!(log.len(), 4);
    assert_eq!(log[1].2, json!({ "metadata": { "by": "other" } }));
    assert_eq!(log[3].2, json!({ "content": { "a": 1 } }), "sealed anew for index 3");
    assert_eq!(stored_token(&node).unwrap()["metadata"], json!({ "by": "other" }));
}

#[tokio::test]
async fn changes_of_other_devices_are_applied_and_own_unpushed_ones_stay() {
    let place = Place::new().await;
    let node = place.start().await;
    node.datawallet().await.unwrap();
    let key = node.account.synchronization_key();
    let technical = json!({ "@type": "Token", "isOwn": false, "secretKey": {} });
    place.other_device_sets(key, ModificationType::Create, PayloadCategory::TechnicalData, technical);
    let content = json!({ "content": { "a": 1 } });
    place.other_device_sets(key, ModificationType::Create, PayloadCategory::Content, content);
    node.datawallet().await.unwrap();
    assert_eq!(
        stored_token(&node).unwrap(),
        json!({ "@type": "Token", "isOwn": false, "secretKey": {}, "content": { "a": 1 } })
    );

    let mut mine = stored_token(&node).unwrap();
    mine["metadata"] = json!({ "a": "mine" });
    update(&node, token(mine.clone())).await;
    let theirs = json!({ "metadata": { "a": "theirs" } });
    place.other_device_sets(key, ModificationType::Update, PayloadCategory::Metadata, theirs);
    node.datawallet().await.unwrap();
    assert_eq!(stored_token(&node).unwrap(), mine);
    assert_eq!(place.log(key).last().unwrap().2, json!({ "metadata": { "a": "mine" } }), "the last word in the log");
}

#[tokio::test]
async fn changes_of_others_after_a_push_without_an_answer_are_applied() {
    let place = Place::new().await;
    let node = place.start().await;
    node.datawallet().await.unwrap();
    create(&node, token(json!({ "@type": "Token", "isOwn": true, "metadata": { "a": "mine" } }))).await;
    place.backbone.state().lose_answer_to = Some("/Datawallet/Modifications");
    assert!(node.push().await.is_err());
    let key = node.account.synchronization_key();
    let theirs = json!({ "metadata": { "a": "theirs" } });
    place.other_device_sets(key, ModificationType::Update, PayloadCategory::Metadata, theirs);
    node.datawallet().await.unwrap();
    assert_eq!(stored_token(&node).unwrap()["metadata"], json!({ "a": "theirs" }), "the last word in the log");
    assert_eq!(unpushed(&node), 0);
}

#[tokio::test]
async fn an_object_deleted_here_stays_deleted_if_another_device_creates_it_again() {
    let place = Place::new().await;
    let node = place.start().await;
    create(&node, token(plain_token())).await;
    node.datawallet().await.unwrap();
    let mut batch = Batch::new();
    batch.record_delete(collection::TOKENS, TOKEN);
    node.store.commit(batch).await.unwrap();
    let key = node.account.synchronization_key();
    let technical = json!({ "@type": "Token", "isOwn": false });
    place.other_device_sets(key, ModificationType::Create, PayloadCategory::TechnicalData, technical);
    node.datawallet().await.unwrap();
    assert_eq!(place.log(key).last().unwrap().0, "Delete", "so it is gone everywhere");
    assert_eq!(stored_token(&node), None);
}

#[tokio::test]
async fn a_push_acknowledged_for_other_indices_is_searched_in_the_log() {
    let place = Place::new().await;
    let node = place.start().await;
    node.datawallet().await.unwrap();
    create(&node, token(plain_token())).await;
    place.backbone.state().wrong_indices = true;
    node.push().await.unwrap();
    assert_eq!(place.log(node.account.synchronization_key()).len(), 3, "it was there, so it is not pushed again");
    assert_eq!(unpushed(&node), 0);
}

#[tokio::test]
async fn a_damaged_modification_is_skipped_and_creates_no_partial_object() {
    let place = Place::new().await;
    let node = place.start().await;
    node.datawallet().await.unwrap();
    let key = node.account.synchronization_key();
    let wrong = SecretKey::generate();
    let technical = json!({ "@type": "Token", "isOwn": false });
    place.other_device_sets(&wrong, ModificationType::Create, PayloadCategory::TechnicalData, technical);
    let content = json!({ "content": { "a": 1 } });
    place.other_device_sets(key, ModificationType::Create, PayloadCategory::Content, content);
    node.datawallet().await.unwrap();
    assert_eq!(stored_token(&node), None);
    assert_eq!(Position::load(&node.store).unwrap().index, Some(2), "not asked for again");
}

#[tokio::test]
async fn an_old_state_that_the_backbone_repeats_is_reported_and_not_applied() {
    let place = Place::new().await;
    let node = place.start().await;
    node.datawallet().await.unwrap();
    let key = node.account.synchronization_key();
    for (kind, a) in [(ModificationType::Create, 1), (ModificationType::Update, 2)] {
        let properties = json!({ "@type": "Token", "a": a });
        place.other_device_sets(key, kind, PayloadCategory::TechnicalData, properties);
    }
    node.datawallet().await.unwrap();
    let mut events = node.events.subscribe();
    let old = place.backbone.state().log[1].clone();
    place.backbone.state().append(OTHER_DEVICE, old);
    node.datawallet().await.unwrap();
    assert_eq!(stored_token(&node).unwrap()["a"], 2);
    assert!(matches!(events.try_recv(), Ok(Event::DatawalletUnreadable(1))));
}

#[tokio::test]
async fn a_newer_datawallet_requires_an_update_of_the_program() {
    let place = Place::new().await;
    let node = place.start().await;
    node.datawallet().await.unwrap();
    place.backbone.state().version = Some(2);
    let error = node.datawallet().await.unwrap_err();
    assert_eq!(error.code(), "error.transport.datawallet.insufficientSupportedDatawalletVersion");
}

#[tokio::test]
async fn without_the_datawallet_nothing_but_its_existence_is_synchronized() {
    let place = Place::new().await;
    let node = place.start_with_datawallet(false).await;
    node.everything().await.unwrap();
    create(&node, token(plain_token())).await;
    node.push().await.unwrap();
    node.datawallet().await.unwrap();
    let state = place.backbone.state();
    assert_eq!((state.version, state.log.len()), (Some(1), 0));
    let times = crate::sync::SyncTimes::load(&node.store).unwrap();
    assert!(times.everything.is_some() && times.datawallet.is_none());
}
