//! What of the log cannot be read, for a while or for good.

use super::*;
use crate::sync::state::Missed;

/// How many changes were reported as unreadable, one number per report.
fn unreadable(events: &mut EventReceiver) -> Vec<usize> {
    let count = |event| match event {
        Event::DatawalletUnreadable(count) => Some(count),
        _ => None,
    };
    received(events).into_iter().filter_map(count).collect()
}

/// A node, and two files that another device made.
async fn two_files(place: &Place) -> Arc<Core> {
    let node = place.with_file_b().await;
    let key = node.account.synchronization_key();
    for (index, id) in [(2, FILE_A), (3, "FILccccccccccccccccc")] {
        place.backbone.state().append(OTHER_DEVICE, unlabelled(key, index, id, "Create", technical(id)));
    }
    node
}

#[tokio::test]
async fn a_modification_damaged_in_transit_is_requested_again() {
    let place = Place::new().await;
    let node = two_files(&place).await;
    place.damages(2);
    node.datawallet().await.unwrap();
    assert_eq!((reached(&node).0, stored(&node, FILE_A)), (Some(3), None), "the rest goes on");
    create(&node, token(plain_token())).await;
    node.push().await.unwrap();
    place.goes_on(&node).await;
    assert_eq!(stored(&node, FILE_A), Some(technical(FILE_A)));
}

#[tokio::test]
async fn an_object_of_which_a_part_is_damaged_is_requested_again_as_a_whole() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    let key = node.account.synchronization_key();
    place.backbone.state().append(OTHER_DEVICE, unlabelled(key, 2, FILE_A, "Create", technical(FILE_A)));
    let mut content = unlabelled(key, 3, FILE_A, "Create", json!({ "filename": "a" }));
    content["payloadCategory"] = "Content".into();
    place.backbone.state().append(OTHER_DEVICE, content);
    for damaged in [2, 3] {
        place.damages(damaged);
        node.datawallet().await.unwrap();
        assert_eq!(stored(&node, FILE_A), None, "{damaged}");
    }
    place.goes_on(&node).await;
    let mut whole = technical(FILE_A);
    whole["filename"] = "a".into();
    assert_eq!(stored(&node, FILE_A), Some(whole));
}

#[tokio::test]
async fn a_permanently_damaged_modification_is_requested_a_few_times() {
    let place = Place::new().await;
    let node = two_files(&place).await;
    place.damages(2);
    let mut events = node.events.subscribe();
    for _ in 0..=MAX_ATTEMPTS {
        node.datawallet().await.unwrap();
    }
    assert_eq!(unreadable(&mut events), [1], "reported once");
    node.datawallet().await.unwrap();
    let last = place.backbone.calls().pop().unwrap();
    assert!(last.ends_with("localIndex=2"), "{last}: only the newest one");
}

#[tokio::test]
async fn a_part_of_an_object_creates_no_object() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    let key = node.account.synchronization_key();
    let mut content = unlabelled(key, 3, FILE_A, "Create", json!({ "filename": "a" }));
    content["payloadCategory"] = "Content".into();
    place.invents(listed(3, OTHER_DEVICE, content));
    node.datawallet().await.unwrap();
    assert_eq!(stored(&node, FILE_A), None);
    place.goes_on(&node).await;
}

#[tokio::test]
async fn a_part_that_was_listed_under_another_object_is_found_again() {
    let lies: [Change; 2] = [
        |entry| entry["objectIdentifier"] = "FILccccccccccccccccc".into(),
        |entry| entry["collection"] = "Anything".into(),
    ];
    for lie in lies {
        let place = Place::new().await;
        let node = place.with_file_b().await;
        let key = node.account.synchronization_key();
        place.backbone.state().append(OTHER_DEVICE, unlabelled(key, 2, FILE_A, "Create", technical(FILE_A)));
        let mut content = unlabelled(key, 3, FILE_A, "Create", json!({ "filename": "a" }));
        content["payloadCategory"] = "Content".into();
        place.backbone.state().append(OTHER_DEVICE, content);
        place.lists(move |state, known| {
            let mut listed = state.behind(known);
            listed.iter_mut().filter(|entry| entry["index"] == 2).for_each(lie);
            listed
        });
        node.datawallet().await.unwrap();
        assert_eq!((stored(&node, FILE_A), reached(&node).0), (None, Some(3)));
        place.is_honest_again();
        node.datawallet().await.unwrap();
        let mut whole = technical(FILE_A);
        whole["filename"] = "a".into();
        assert_eq!(stored(&node, FILE_A), Some(whole));
        place.goes_on(&node).await;
    }
}

#[tokio::test]
async fn a_modification_damaged_before_the_connection_broke_is_requested_again() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    let key = node.account.synchronization_key().clone();
    for index in 2..1500u64 {
        let id = format!("FIL{index:017}");
        place.backbone.state().append(OTHER_DEVICE, unlabelled(&key, index, &id, "Create", technical(&id)));
    }
    place.backbone.state().page_size = Some(50);
    let asked = std::sync::atomic::AtomicUsize::new(0);
    place.lists(move |state, known| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        25 => vec![json!("broken")],
        _ => {
            let mut listed = state.behind(known);
            let damaged = listed.iter_mut().filter(|entry| entry["index"] == 7);
            damaged.for_each(|entry| entry["encryptedPayload"] = Value::Null);
            listed
        }
    });
    node.datawallet().await.unwrap_err();
    assert_eq!(reached(&node).0, Some(1000), "the first section was taken over");
    place.goes_on(&node).await;
    for index in 2..1500 {
        assert!(stored(&node, &format!("FIL{index:017}")).is_some(), "{index}");
    }
}

#[tokio::test]
async fn an_interrupted_read_from_the_start_leaves_no_older_state() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    let key = node.account.synchronization_key().clone();
    for index in 2..1400u64 {
        let id = format!("FIL{index:017}");
        place.backbone.state().append(OTHER_DEVICE, unlabelled(&key, index, &id, "Create", technical(&id)));
    }
    let removed = format!("FIL{:017}", 2);
    place.backbone.state().append(OTHER_DEVICE, deletion(1400, &removed));
    let last = format!("FIL{:017}", 1401);
    place.backbone.state().append(OTHER_DEVICE, unlabelled(&key, 1401, &last, "Create", technical(&last)));
    place.backbone.state().page_size = Some(50);
    node.datawallet().await.unwrap();
    assert_eq!((reached(&node).0, stored(&node, &removed)), (Some(1401), None));

    let missed = Missed { index: 1401, attempts: 1, upto: 1401, from_start: MAX_ATTEMPTS };
    let mut batch = Batch::new();
    Position { missed: Some(missed), ..Position::load(&node.store).unwrap() }.put(&mut batch).unwrap();
    node.store.commit(batch).await.unwrap();
    place.lists(move |state, known| match known {
        ..1200 => state.behind(known),
        _ => vec![json!("broken")],
    });
    for _ in 0..=MAX_ATTEMPTS {
        node.datawallet().await.unwrap_err();
        assert!(stored(&node, &removed).is_some(), "the first section shows it again");
    }
    place.goes_on(&node).await;
    assert_eq!(stored(&node, &removed), None);
}

/// Modifications that nobody with the key sealed.
fn append_garbage(place: &Place, indices: std::ops::Range<u64>) {
    let wrong = SecretKey::generate();
    for index in indices {
        place.backbone.state().append(OTHER_DEVICE, unlabelled(&wrong, index, FILE_A, "Create", technical(FILE_A)));
    }
}

#[tokio::test]
async fn garbage_at_the_end_of_the_log_is_reported_once_and_given_up() {
    let place = Place::new().await;
    drop(place.with_file_b().await);
    append_garbage(&place, 2..5);
    let mut reports = Vec::new();
    for _ in 0..MAX_ATTEMPTS + 3 {
        // A restart forgets nothing.
        let node = place.start().await;
        let mut events = node.events.subscribe();
        node.datawallet().await.unwrap();
        reports.extend(unreadable(&mut events));
    }
    assert_eq!(reports, [3]);
    let node = place.start().await;
    let mut events = node.events.subscribe();
    append_garbage(&place, 5..6);
    for _ in 0..MAX_ATTEMPTS + 3 {
        node.datawallet().await.unwrap();
    }
    assert_eq!(unreadable(&mut events), [1], "what is new is reported as well");
    create(&node, token(plain_token())).await;
    node.push().await.unwrap();
    assert_eq!((unpushed(&node), reached(&node).0), (0, Some(7)), "what this device does goes on behind it");
}

#[tokio::test]
async fn a_given_up_modification_at_the_end_of_the_log_is_read_when_it_changes() {
    let place = Place::new().await;
    let node = two_files(&place).await;
    place.lists(|state, known| {
        let mut listed = state.behind(known);
        let damaged = listed.iter_mut().filter(|entry| entry["index"].as_u64() > Some(1));
        damaged.for_each(|entry| entry["encryptedPayload"] = Value::Null);
        listed
    });
    for _ in 0..MAX_ATTEMPTS + 3 {
        node.datawallet().await.unwrap();
    }
    assert_eq!(stored(&node, FILE_A), None);
    assert_eq!(Position::load(&node.store).unwrap().given_up, Some(3));
    place.is_honest_again();
    node.datawallet().await.unwrap();
    assert_eq!(stored(&node, FILE_A), Some(technical(FILE_A)));
    place.goes_on(&node).await;
}

#[tokio::test]
async fn another_version_of_the_program_requests_again_what_was_given_up() {
    let place = Place::new().await;
    let node = two_files(&place).await;
    place.damages(2);
    let mut events = node.events.subscribe();
    for _ in 0..=MAX_ATTEMPTS {
        node.datawallet().await.unwrap();
    }
    assert_eq!((unreadable(&mut events), stored(&node, FILE_A)), (vec![1], None));
    let by_another_version = async || {
        let mut position = Position::load(&node.store).unwrap();
        assert_eq!((position.missed, position.given_up), (None, Some(3)));
        position.unreadable.program = Some("0.0.1".to_owned());
        let mut batch = Batch::new();
        position.put(&mut batch).unwrap();
        node.store.commit(batch).await.unwrap();
    };
    by_another_version().await;
    for _ in 0..MAX_ATTEMPTS + 3 {
        node.datawallet().await.unwrap();
    }
    assert_eq!(unreadable(&mut events), [1], "by that version once");
    by_another_version().await;
    place.is_honest_again();
    node.datawallet().await.unwrap();
    assert_eq!((unreadable(&mut events), stored(&node, FILE_A)), (vec![], Some(technical(FILE_A))));
    place.goes_on(&node).await;
}
