//! A backbone that serves a false datawallet, and the true one afterwards.

mod unreadable;

use transport::datawallet::{MAX_INDEX, seal_payload};

use super::*;
use crate::event::{Event, EventReceiver};
use crate::fake_backbone::{State, listed};
use crate::sync::plan::{MAX_ATTEMPTS, MAX_ROUNDS};
use crate::sync::state::Position;

/// A manipulation of an entry.
type Change = fn(&mut Value);

const OWN_DEVICE: &str = "DVC00000000000000001";
const FILE_A: &str = "FILaaaaaaaaaaaaaaaaa";
const FILE_B: &str = "FILbbbbbbbbbbbbbbbbb";
const INVALID: &str = "error.transport.datawallet.invalid";

fn file(id: &str) -> Object {
    Object::new(collection::FILES, id, members(technical(id)))
}

/// The technical data of a file.
fn technical(id: &str) -> Value {
    json!({ "@type": "File", "isOwn": true, "secretKey": { "alg": 3, "key": format!("key of {id}") } })
}

fn stored(core: &Core, id: &str) -> Option<Value> {
    let object = core.store.object(collection::FILES, id).unwrap();
    object.map(|object| Value::Object(object.properties))
}

/// The index of the position, and the newest index that the backbone listed.
fn reached(core: &Core) -> (Option<u64>, Option<u64>) {
    let position = Position::load(&core.store).unwrap();
    (position.index, position.listed)
}

fn received(events: &mut EventReceiver) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

fn was_behind(events: &mut EventReceiver) -> usize {
    received(events).iter().filter(|event| matches!(event, Event::DatawalletBehind)).count()
}

fn code(outcome: crate::Result<()>) -> String {
    outcome.unwrap_err().code().to_owned()
}

/// A modification without a label in its payload, as other clients and older versions of this one seal it.
fn unlabelled(key: &SecretKey, index: u64, id: &str, kind: &str, properties: Value) -> Value {
    let payload = seal_payload(key, index, &members(properties)).unwrap();
    json!({
        "objectIdentifier": id, "collection": "Files", "type": kind, "payloadCategory": "TechnicalData",
        "encryptedPayload": payload, "datawalletVersion": 1
    })
}

fn deletion(index: u64, id: &str) -> Value {
    let entry = json!({ "objectIdentifier": id, "collection": "Files", "type": "Delete", "datawalletVersion": 1 });
    listed(index, OTHER_DEVICE, entry)
}

impl Place {
    /// A node that has pushed its device and file B: two modifications.
    async fn with_file_b(&self) -> Arc<Core> {
        let node = self.start().await;
        create(&node, file(FILE_B)).await;
        node.datawallet().await.unwrap();
        assert_eq!(reached(&node), (Some(1), Some(1)));
        node
    }

    fn lists(&self, lists: impl Fn(&State, i64) -> Vec<Value> + Send + 'static) {
        self.backbone.state().lists = Some(Box::new(lists));
    }

    /// From now on lists end with an entry that is not in the log.
    fn invents(&self, entry: Value) {
        self.lists(move |state, known| {
            let is_behind = known < 0 || entry["index"].as_u64() > known.try_into().ok();
            let invented = Some(entry.clone()).filter(|_| is_behind);
            state.behind(known).into_iter().chain(invented).collect()
        });
    }

    /// From now on lists show no payload at an index.
    fn damages(&self, index: u64) {
        self.lists(move |state, known| {
            let mut listed = state.behind(known);
            let damaged = listed.iter_mut().filter(|entry| entry["index"] == index);
            damaged.for_each(|entry| entry["encryptedPayload"] = Value::Null);
            listed
        });
    }

    fn is_honest_again(&self) {
        let mut state = self.backbone.state();
        (state.lists, state.drops_pushes, state.refuses) = (None, false, false);
    }

    /// The node has read the whole true log, and its pushes are accepted.
    async fn goes_on(&self, node: &Core) {
        self.is_honest_again();
        node.everything().await.unwrap();
        create(node, Object { id: "TOKafterafterafter12".to_owned(), ..token(plain_token()) }).await;
        node.push().await.unwrap();
        assert_eq!(unpushed(node), 0);
        let log = self.log(node.account.synchronization_key());
        assert_eq!(log.last().unwrap().1, "TOKafterafterafter12");
        let newest = Some(log.len() as u64 - 1);
        assert_eq!(reached(node), (newest, newest));
    }
}

#[tokio::test]
async fn a_key_sealed_here_is_not_accepted_for_another_file() {
    let lies: [(&str, &str, Change); 5] = [
        ("another object of another device", OTHER_DEVICE, |entry| {
            entry["objectIdentifier"] = FILE_B.into();
            entry["type"] = "Update".into();
        }),
        ("another device", OTHER_DEVICE, |_| ()),
        ("another object", OWN_DEVICE, |entry| entry["objectIdentifier"] = FILE_B.into()),
        ("another collection", OWN_DEVICE, |entry| entry["collection"] = "Tokens".into()),
        ("another category", OWN_DEVICE, |entry| entry["payloadCategory"] = "Content".into()),
    ];
    for (lie, device, change) in lies {
        let place = Place::new().await;
        let node = place.with_file_b().await;
        let before = stored(&node, FILE_B);
        create(&node, file(FILE_A)).await;
        place.backbone.state().refuses = true;
        place.lists(move |state, known| {
            let relabelled = (2..).zip(&state.captured).map(|(index, sent)| {
                let mut entry = listed(index, device, sent.clone());
                change(&mut entry);
                entry
            });
            state.behind(known).into_iter().chain(relabelled).collect()
        });
        assert_eq!(code(node.push().await), INVALID, "{lie}");
        assert_eq!(stored(&node, FILE_B), before, "{lie}");
        assert_eq!((reached(&node), unpushed(&node)), ((Some(1), Some(1)), 1), "{lie}");
        place.goes_on(&node).await;
        assert_eq!((stored(&node, FILE_B), stored(&node, FILE_A)), (before, Some(technical(FILE_A))), "{lie}");
        assert_eq!(place.log(node.account.synchronization_key()).len(), 5, "{lie}: everything arrived once");
    }
}

#[tokio::test]
async fn a_labelled_payload_of_another_device_is_not_accepted_for_another_object() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    let before = (stored(&node, FILE_B), reached(&node));
    let change = PendingModification {
        kind: ModificationType::Update,
        collection: collection::FILES.to_owned(),
        object_identifier: FILE_A.to_owned(),
        payload: Some((PayloadCategory::TechnicalData, members(json!({ "isOwn": false })))),
    };
    let sealed = change.seal(node.account.synchronization_key(), 2).unwrap();
    let mut relabelled = listed(2, OTHER_DEVICE, serde_json::to_value(sealed).unwrap());
    relabelled["objectIdentifier"] = FILE_B.into();
    place.invents(relabelled);
    assert_eq!(code(node.everything().await), INVALID);
    assert_eq!((stored(&node, FILE_B), reached(&node)), before);
    place.goes_on(&node).await;
}

#[tokio::test]
async fn a_key_of_another_device_is_not_accepted_for_another_file() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    let mut events = node.events.subscribe();
    let key = node.account.synchronization_key();
    let before = stored(&node, FILE_B);
    place.backbone.state().append(OTHER_DEVICE, unlabelled(key, 2, FILE_B, "Update", technical(FILE_A)));
    let handed_over =
        json!({ "@type": "File", "isOwn": false, "secretKey": { "key": "key of FILbbbbbbbbbbbbbbbbb", "alg": 3 } });
    place.backbone.state().append(OTHER_DEVICE, unlabelled(key, 3, FILE_B, "Update", handed_over.clone()));
    node.datawallet().await.unwrap();
    let refused = received(&mut events).into_iter().find_map(|event| match event {
        Event::DatawalletChangeRefused { collection, id, property } => Some((collection, id, property)),
        _ => None,
    });
    assert_eq!(refused, Some(("Files".to_owned(), FILE_B.to_owned(), "secretKey")));
    assert_ne!(stored(&node, FILE_B), before);
    assert_eq!(stored(&node, FILE_B), Some(handed_over), "an honest change in the same log is applied");
    place.goes_on(&node).await;
}

#[tokio::test]
async fn an_index_out_of_range_is_refused_and_synchronization_continues() {
    for index in [MAX_INDEX + 1, 1 << 40, u64::MAX] {
        let place = Place::new().await;
        let node = place.with_file_b().await;
        let before = (stored(&node, FILE_B), reached(&node));
        place.invents(deletion(index, FILE_B));
        assert_eq!(code(node.datawallet().await), INVALID, "{index}");
        assert_eq!((stored(&node, FILE_B), reached(&node)), before, "{index}");
        place.goes_on(&node).await;
    }
}

#[tokio::test]
async fn a_very_high_index_without_a_valid_payload_does_not_end_synchronization() {
    for index in [2, 1 << 20, MAX_INDEX - 1, MAX_INDEX] {
        let place = Place::new().await;
        let node = place.with_file_b().await;
        place.invents(deletion(index, FILE_A));
        node.datawallet().await.unwrap();
        assert_eq!(reached(&node), (Some(1), Some(index)), "only what opened counts");
        create(&node, token(plain_token())).await;
        // Whoever sealed it, its index does not exist.
        let _ = node.push().await;
        place.goes_on(&node).await;
        assert!(stored_token(&node).is_some() && stored(&node, FILE_B).is_some());
        assert_eq!(place.log(node.account.synchronization_key()).len(), 6, "{index}: everything arrived once");
    }
}

#[tokio::test]
async fn garbage_at_a_very_high_index_does_not_end_synchronization() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    let wrong = SecretKey::generate();
    place.invents(listed(1 << 30, OTHER_DEVICE, unlabelled(&wrong, 1 << 30, FILE_B, "Update", technical(FILE_A))));
    let before = stored(&node, FILE_B);
    node.datawallet().await.unwrap();
    assert_eq!((reached(&node).0, stored(&node, FILE_B)), (Some(1), before));
    place.goes_on(&node).await;
}

#[tokio::test]
async fn an_acknowledgement_at_a_very_high_index_does_not_end_synchronization() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    place.invents(deletion(1 << 30, FILE_A));
    place.backbone.state().drops_pushes = true;
    create(&node, token(plain_token())).await;
    node.datawallet().await.unwrap();
    let far = Some((1 << 30) + 2);
    assert_eq!((reached(&node), unpushed(&node)), ((far, far), 0), "the lie was believed");
    let mut events = node.events.subscribe();
    place.is_honest_again();
    node.datawallet().await.unwrap();
    assert_eq!(was_behind(&mut events), 1);
    place.goes_on(&node).await;
    assert!(stored_token(&node).is_some(), "what was dropped stays here");
}

#[tokio::test]
async fn changes_of_others_at_the_indices_of_a_dropped_push_are_applied() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    place.backbone.state().drops_pushes = true;
    create(&node, token(plain_token())).await;
    node.push().await.unwrap();
    assert_eq!(reached(&node), (Some(3), Some(3)));
    place.is_honest_again();
    let key = node.account.synchronization_key();
    for index in 2..5 {
        let id = format!("FIL{index:017}");
        place.backbone.state().append(OTHER_DEVICE, unlabelled(key, index, &id, "Create", technical(&id)));
    }
    let mut events = node.events.subscribe();
    node.datawallet().await.unwrap();
    assert_eq!(was_behind(&mut events), 1, "another modification is where the own one was");
    for index in 2..5 {
        assert!(stored(&node, &format!("FIL{index:017}")).is_some(), "{index}");
    }
    place.goes_on(&node).await;
}

#[tokio::test]
async fn a_backbone_restored_to_an_older_state_is_detected_and_accepted() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    create(&node, file(FILE_A)).await;
    node.datawallet().await.unwrap();
    let before = (stored(&node, FILE_A), stored(&node, FILE_B));
    place.backbone.state().log.truncate(2);
    let mut events = node.events.subscribe();
    node.datawallet().await.unwrap();
    assert_eq!(was_behind(&mut events), 1);
    assert_eq!((stored(&node, FILE_A), stored(&node, FILE_B)), before);
    assert_eq!(reached(&node), (Some(1), Some(1)));
    node.datawallet().await.unwrap();
    assert_eq!(was_behind(&mut events), 0, "it is noticed once");
    place.goes_on(&node).await;
}

#[tokio::test]
async fn reading_from_the_start_gives_the_same_state() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    let key = node.account.synchronization_key();
    let handed_over =
        json!({ "@type": "File", "isOwn": false, "secretKey": { "alg": 3, "key": "key of FILbbbbbbbbbbbbbbbbb" } });
    place.backbone.state().append(OTHER_DEVICE, unlabelled(key, 2, FILE_B, "Update", handed_over));
    node.datawallet().await.unwrap();
    create(&node, file(FILE_A)).await;
    create(&node, token(plain_token())).await;
    let mut batch = Batch::new();
    batch.record_delete(collection::FILES, FILE_A);
    node.store.commit(batch).await.unwrap();
    node.datawallet().await.unwrap();
    update(&node, token(json!({ "@type": "Token", "isOwn": true, "passwordProtection": 1, "content": { "a": 1 } })))
        .await;
    let state = || (stored(&node, FILE_A), stored(&node, FILE_B), stored_token(&node));
    let before = state();
    // Once false, then true.
    let asked = std::sync::atomic::AtomicBool::new(false);
    place.lists(move |state, known| match asked.swap(true, std::sync::atomic::Ordering::SeqCst) {
        false => Vec::new(),
        true => state.behind(known),
    });
    let mut events = node.events.subscribe();
    node.datawallet().await.unwrap();
    assert_eq!((was_behind(&mut events), state()), (1, before));
    place.goes_on(&node).await;
}

#[tokio::test]
async fn a_backbone_that_is_always_behind_is_read_from_the_start_once_per_synchronization() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    create(&node, file(FILE_A)).await;
    place.backbone.state().refuses = true;
    place.lists(|state, known| if known < 0 { state.log.clone() } else { Vec::new() });
    create(&node, token(plain_token())).await;
    let mut events = node.events.subscribe();
    for _ in 0..2 {
        assert_eq!(code(node.datawallet().await), INVALID);
        assert_eq!((was_behind(&mut events), unpushed(&node)), (1, 3));
    }
    place.goes_on(&node).await;
}

#[tokio::test]
async fn a_backbone_that_always_refuses_pushes_does_not_occupy_the_node() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    create(&node, token(plain_token())).await;
    place.backbone.state().refuses = true;
    let calls = place.backbone.calls().len();
    node.push().await.unwrap_err();
    let pushes = place.backbone.calls().len() - calls;
    assert_eq!(pushes, 1 + 2 * MAX_ROUNDS as usize, "a push, then pull and push");
    assert!(unpushed(&node) > 0, "the next attempt finds them");
    place.goes_on(&node).await;
}

#[tokio::test]
async fn deletions_at_the_end_of_the_log_are_applied_and_listed_again() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    place.backbone.state().append(OTHER_DEVICE, deletion(2, FILE_B));
    for _ in 0..2 {
        node.datawallet().await.unwrap();
        assert_eq!((reached(&node), stored(&node, FILE_B)), ((Some(1), Some(2)), None));
    }
    create(&node, file(FILE_B)).await;
    node.push().await.unwrap();
    assert_eq!(place.backbone.calls().last().unwrap(), "POST /Datawallet/Modifications", "the first attempt fits");
    node.datawallet().await.unwrap();
    assert_eq!(stored(&node, FILE_B), Some(technical(FILE_B)), "made anew after the deletion");
    place.goes_on(&node).await;
}

#[tokio::test]
async fn a_long_log_is_applied_in_sections() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    let key = node.account.synchronization_key().clone();
    let count = 2200;
    for index in 2..2 + count {
        let id = format!("FIL{index:017}");
        let entry = unlabelled(&key, index, &id, "Create", technical(&id));
        place.backbone.state().append(OTHER_DEVICE, entry);
    }
    place.backbone.state().page_size = Some(50);
    // The connection breaks after more than one part was read.
    let asked = std::sync::atomic::AtomicUsize::new(0);
    place.lists(move |state, known| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        30 => vec![json!("broken")],
        _ => state.behind(known),
    });
    node.datawallet().await.unwrap_err();
    assert_eq!(reached(&node).0, Some(1000), "the first part: the known modification and 999 new ones");
    place.is_honest_again();
    node.datawallet().await.unwrap();
    assert_eq!(node.store.objects(collection::FILES).unwrap().count() as u64, 1 + count);
    place.goes_on(&node).await;
}

#[tokio::test]
async fn a_datawallet_that_the_backbone_lost_is_created_again() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    {
        let mut state = place.backbone.state();
        state.log.clear();
        state.version = None;
    }
    create(&node, token(plain_token())).await;
    node.datawallet().await.unwrap();
    assert_eq!(place.log(node.account.synchronization_key()).len(), 2, "what was not pushed yet, for the first places");
    place.goes_on(&node).await;
}

/// What the node refused to change.
fn refused(events: &mut EventReceiver) -> Vec<(String, &'static str)> {
    let refused = |event| match event {
        Event::DatawalletChangeRefused { id, property, .. } => Some((id, property)),
        _ => None,
    };
    received(events).into_iter().filter_map(refused).collect()
}

#[tokio::test]
async fn a_deletion_does_not_allow_the_key_of_another_file() {
    for (by, is_own) in [("another device", false), ("this device", true)] {
        let place = Place::new().await;
        let node = place.with_file_b().await;
        let key = node.account.synchronization_key();
        if is_own {
            let mut batch = Batch::new();
            batch.record_delete(collection::FILES, FILE_B);
            node.store.commit(batch).await.unwrap();
        } else {
            place.backbone.state().append(OTHER_DEVICE, deletion(2, FILE_B));
        }
        node.datawallet().await.unwrap();
        assert_eq!(stored(&node, FILE_B), None, "{by}");
        let mut events = node.events.subscribe();
        place.backbone.state().append(OTHER_DEVICE, unlabelled(key, 3, FILE_B, "Create", technical(FILE_A)));
        node.datawallet().await.unwrap();
        assert_eq!(stored(&node, FILE_B), None, "{by}");
        assert_eq!(refused(&mut events), [(FILE_B.to_owned(), "secretKey")], "{by}");
        place.backbone.state().append(OTHER_DEVICE, unlabelled(key, 4, FILE_B, "Create", technical(FILE_B)));
        node.datawallet().await.unwrap();
        assert_eq!(stored(&node, FILE_B), Some(technical(FILE_B)), "{by}: the same file may come back");
    }
}

#[tokio::test]
async fn a_deletion_in_one_section_does_not_allow_another_key_in_the_next_one() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    let key = node.account.synchronization_key();
    place.backbone.state().append(OTHER_DEVICE, unlabelled(key, 2, FILE_A, "Create", technical(FILE_A)));
    node.datawallet().await.unwrap();
    place.backbone.state().page_size = Some(1);
    place.lists(|state, known| match known {
        1 => Vec::new(),
        -1 => {
            let mut first = deletion(0, FILE_B);
            first["pad"] = "x".repeat(17 << 20).into();
            vec![first, state.log[2].clone()]
        }
        _ => {
            let mut relabelled = state.log[2].clone();
            relabelled["objectIdentifier"] = FILE_B.into();
            vec![relabelled]
        }
    });
    let mut events = node.events.subscribe();
    node.datawallet().await.unwrap();
    assert_eq!(refused(&mut events), [(FILE_B.to_owned(), "secretKey")]);
    assert_eq!(stored(&node, FILE_B), None);
    assert_eq!(stored(&node, FILE_A), Some(technical(FILE_A)));
}

#[tokio::test]
async fn a_property_omitted_by_a_new_creation_cannot_get_another_value() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    let key = node.account.synchronization_key();
    let content = |index, name: &str, kind| {
        let mut entry = unlabelled(key, index, FILE_B, kind, json!({ "filename": name }));
        entry["payloadCategory"] = "Content".into();
        entry
    };
    place.backbone.state().append(OTHER_DEVICE, content(2, "b", "Create"));
    node.datawallet().await.unwrap();
    place.backbone.state().append(OTHER_DEVICE, deletion(3, FILE_B));
    place.backbone.state().append(OTHER_DEVICE, unlabelled(key, 4, FILE_B, "Create", technical(FILE_B)));
    node.datawallet().await.unwrap();
    assert_eq!(stored(&node, FILE_B), Some(technical(FILE_B)));
    let mut events = node.events.subscribe();
    place.backbone.state().append(OTHER_DEVICE, content(5, "a", "Create"));
    node.datawallet().await.unwrap();
    assert_eq!(refused(&mut events), [(FILE_B.to_owned(), "filename")]);
    assert_eq!(stored(&node, FILE_B), Some(technical(FILE_B)));
}

#[tokio::test]
async fn names_may_be_as_long_as_the_protocol_allows_and_no_longer() {
    for (id, collection, is_taken) in [(100, 50, true), (101, 50, false), (100, 51, false)] {
        let place = Place::new().await;
        let node = place.with_file_b().await;
        let mut entry = unlabelled(node.account.synchronization_key(), 2, &"é".repeat(id), "Create", technical("x"));
        entry["collection"] = "é".repeat(collection).into();
        place.invents(listed(2, OTHER_DEVICE, entry));
        let outcome = node.datawallet().await;
        assert_eq!(outcome.is_ok(), is_taken, "{id} {collection}");
        let stored = node.store.object(&"é".repeat(collection), &"é".repeat(id));
        assert_eq!(stored.is_ok_and(|object| object.is_some()), is_taken, "{id} {collection}");
        place.goes_on(&node).await;
    }
}

#[tokio::test]
async fn a_push_in_flight_does_not_make_a_section_endless() {
    let place = Place::new().await;
    let node = place.with_file_b().await;
    for number in 0..30 {
        create(&node, file(&format!("FIL{number:017}"))).await;
    }
    place.backbone.state().refuses = true;
    place.backbone.state().page_size = Some(1);
    let padding = "x".repeat(20 << 20);
    place.lists(move |state, known| {
        let mut listed = state.behind(known);
        let next = (known + 1).max(2) as u64;
        listed.extend([deletion(next, FILE_A), deletion(next + 1, FILE_A)]);
        listed[0]["pad"] = padding.clone().into();
        listed
    });
    let calls = place.backbone.calls().len();
    assert_eq!(code(node.push().await), INVALID);
    assert_eq!(place.backbone.calls().len() - calls, 1 + 1 + 4, "a push, what is known, then pages up to the bound");
    place.goes_on(&node).await;
    assert_eq!(node.store.objects(collection::FILES).unwrap().count(), 31);
}
