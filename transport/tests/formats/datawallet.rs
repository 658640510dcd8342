//! datawallet-v7.0.0.json and datawallet-v6.60.5.json

use serde_json::{Map, Value, json};
use transport::crypto::{CryptoError, KdfContext, SecretKey};
use transport::datawallet::{
    Changes, Collection, DatawalletError, PayloadCategory, PendingModification, Tombstone, create_modifications,
    open_payload, seal_payload, update_modifications,
};
use transport::wire::backbone::datawallet::{Modification, ModificationType};
use transport::wire::{ByteText, json as json_text};

use crate::vectors::{Vector, load};

const VERSIONS: [&str; 2] = ["datawallet-v7.0.0", "datawallet-v6.60.5"];

fn key(vectors: &Value) -> SecretKey {
    SecretKey::from_bytes(vectors.hex_array("synchronizationKeyHex"))
}

fn modification(vector: &Value) -> Modification {
    serde_json::from_value(json!({
        "id": "DWMabcDEF123ghiJKL45",
        "createdAt": "2026-11-21T19:16:18.797Z",
        "createdByDevice": "DVCabcDEF123ghiJKL45",
        "index": vector["index"],
        "objectIdentifier": vector["objectIdentifier"],
        "collection": vector["collection"],
        "type": vector["type"],
        "payloadCategory": vector["payloadCategory"],
        "encryptedPayload": vector["encryptedPayload"],
        "datawalletVersion": vector["datawalletVersion"],
    }))
    .unwrap()
}

fn log(version: &str) -> (Vec<Modification>, SecretKey) {
    let vectors = load(version);
    (vectors.list("modifications").iter().map(modification).collect(), key(&vectors))
}

#[test]
fn payloads_open_with_keys_derived_from_their_index() {
    for version in VERSIONS {
        let vectors = load(version);
        let with_payload = vectors.list("modifications").iter().filter(|case| !case["encryptedPayload"].is_null());
        for case in with_payload {
            let index = case.number("index");
            let derived = key(&vectors).derive(&KdfContext::DataSync, index).unwrap();
            assert_eq!(derived.expose(), &case.hex_array("derivedKeyHex"));
            let payload: ByteText = serde_json::from_value(case["encryptedPayload"].clone()).unwrap();
            let properties = open_payload(&key(&vectors), index, &payload).unwrap();
            assert_eq!(json_text::to_text(&Value::Object(properties)), case.text("payloadPlaintext"));
            assert!(matches!(
                open_payload(&key(&vectors), index + 1, &payload),
                Err(DatawalletError::Crypto(CryptoError::Decryption))
            ));
        }
    }
}

#[test]
fn the_log_of_a_client_yields_its_objects() {
    let (log, key) = log(VERSIONS[0]);
    let changes = Changes::read(&log, None, &key).unwrap();
    assert_eq!(changes.last_index, Some(log.len() as u64 - 1));
    assert_eq!(changes.skipped, 0);

    let session = load("session-v7.0.0");
    let mut file = session["objects"]["file"].clone();
    let id = file.text("id").to_owned();
    let change = changes.objects.iter().find(|object| object.id == id).unwrap().clone();
    assert_eq!(change.collection, "Files");
    let object = change.apply(None, &Tombstone::default()).object.unwrap();
    file.sort_all_objects();
    let mut object = Value::Object(object);
    object.sort_all_objects();
    assert_eq!(object, file);
}

#[test]
fn a_log_of_major_version_6_is_read_and_its_cache_notes_are_skipped() {
    let (log, key) = log(VERSIONS[1]);
    let notes = log.iter().filter(|entry| entry.kind == ModificationType::CacheChanged).count();
    assert!(notes > 0);
    let changes = Changes::read(&log, None, &key).unwrap();
    assert_eq!(changes.skipped, notes);
    assert_eq!(changes.last_index, Some(log.len() as u64 - 1));
}

#[test]
fn modifications_out_of_order_and_newer_versions_are_refused() {
    let (log, key) = log(VERSIONS[0]);
    assert!(Changes::read(&log[3..], Some(0), &key).is_ok(), "superseded modifications may be missing");
    let repeated = Changes::read(&log[1..], Some(1), &key);
    assert_eq!(repeated, Err(DatawalletError::Order { last: 1, found: 1 }));

    let mut newer = log;
    newer[3].datawallet_version = 2;
    assert_eq!(Changes::read(&newer, None, &key), Err(DatawalletError::UnsupportedVersion(2)));
}

#[test]
fn swapped_unknown_and_missing_payloads_are_set_aside() {
    let (log, key) = log(VERSIONS[0]);
    let unreadable = |log: &[Modification]| -> Vec<u64> {
        let changes = Changes::read(log, None, &key).unwrap();
        assert_eq!(changes.last_index, Some(log.len() as u64 - 1));
        changes.unreadable.iter().map(|item| item.index).collect()
    };
    assert!(unreadable(&log).is_empty());

    let mut swapped = log.clone();
    let payload = swapped[0].encrypted_payload.take();
    swapped[0].encrypted_payload = std::mem::replace(&mut swapped[1].encrypted_payload, payload);
    assert_eq!(unreadable(&swapped), [0, 1]);

    let mut unknown = log.clone();
    unknown[2].payload_category = Some("Other".into());
    assert_eq!(unreadable(&unknown), [2]);

    let mut empty = log.clone();
    empty[2].encrypted_payload = None;
    assert_eq!(unreadable(&empty), [2]);
}

#[test]
fn objects_are_split_into_the_same_payloads_as_by_other_clients() {
    let vectors = load(VERSIONS[0]);
    let (log, key) = log(VERSIONS[0]);
    let first_of = |id: &str| log.iter().position(|entry| entry.object_identifier == id).unwrap();
    for change in Changes::read(&log, None, &key).unwrap().objects {
        let created: Vec<_> = log[first_of(&change.id)..]
            .iter()
            .take_while(|entry| entry.object_identifier == change.id && entry.kind == ModificationType::Create)
            .collect();
        let until = &log[..=usize::try_from(created.last().unwrap().index).unwrap()];
        let objects = Changes::read(until, None, &key).unwrap().objects;
        let object = objects
            .into_iter()
            .find(|object| object.id == change.id)
            .unwrap()
            .apply(None, &Tombstone::default())
            .object
            .unwrap();
        let collection = Collection::named(&change.collection).unwrap();
        let ours = create_modifications(&collection, &change.id, &object);
        assert_eq!(ours.len(), created.len(), "{}", change.id);
        for (ours, theirs) in ours.iter().zip(created) {
            let (category, properties) = ours.payload.clone().unwrap();
            assert_eq!(Some(category.to_string()), theirs.payload_category);
            let vector = &vectors.list("modifications")[usize::try_from(theirs.index).unwrap()];
            assert_eq!(json_text::to_text(&Value::Object(properties)), vector.text("payloadPlaintext"));
        }
    }
}

#[test]
fn updates_have_the_same_properties_as_those_of_other_clients() {
    let vectors = load(VERSIONS[0]);
    let (log, key) = log(VERSIONS[0]);
    let updates = log.iter().filter(|entry| entry.kind == ModificationType::Update);
    for update in updates {
        let state = |log: &[Modification]| -> Map<String, Value> {
            let objects = Changes::read(log, None, &key).unwrap().objects;
            objects
                .into_iter()
                .find(|object| object.id == update.object_identifier)
                .unwrap()
                .apply(None, &Tombstone::default())
                .object
                .unwrap()
        };
        let index = usize::try_from(update.index).unwrap();
        let (before, mut after) = (state(&log[..index]), state(&log[..=index]));
        let vector = &vectors.list("modifications")[index];
        let theirs: Map<String, Value> = serde_json::from_str(vector.text("payloadPlaintext")).unwrap();
        // a property missing from the update was removed from the object, which the log cannot express
        after.retain(|name, _| theirs.contains_key(name));
        let collection = Collection::named(&update.collection).unwrap();
        let category: PayloadCategory = update.payload_category.as_deref().unwrap().parse().unwrap();
        let ours = update_modifications(&collection, &update.object_identifier, &before, &after);
        let (_, ours) = ours.into_iter().filter_map(|ours| ours.payload).find(|(ours, _)| *ours == category).unwrap();
        assert_eq!(json_text::to_text(&Value::Object(ours)), vector.text("payloadPlaintext"));
    }
}

#[test]
fn sealed_modifications_read_back_as_the_final_states() {
    let key = SecretKey::generate();
    let properties = |value: Value| value.as_object().unwrap().clone();
    let set = |kind, id: &str, value| PendingModification {
        kind,
        collection: "Notes".into(),
        object_identifier: id.into(),
        payload: Some((PayloadCategory::Content, properties(value))),
    };
    let pending = [
        set(ModificationType::Create, "a", json!({"text": 1, "kept": true})),
        set(ModificationType::Create, "b", json!({"text": 1})),
        set(ModificationType::Update, "a", json!({"text": 2})),
        PendingModification::delete("Notes", "b"),
        set(ModificationType::Create, "c", json!({"text": 1})),
        PendingModification::delete("Notes", "c"),
        set(ModificationType::Create, "c", json!({"text": 3})),
    ];
    let log: Vec<_> = (5..).zip(&pending).map(|(index, pending)| listed(pending, index, &key)).collect();
    let changes = Changes::read(&log, Some(4), &key).unwrap();
    let ids: Vec<_> = changes.objects.iter().map(|object| object.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let stored = properties(json!({"text": 0, "old": true}));
    let applied: Vec<_> = changes
        .objects
        .into_iter()
        .map(|object| object.apply(Some(stored.clone()), &Tombstone::default()).object)
        .collect();
    assert_eq!(
        applied,
        [
            Some(properties(json!({"text": 2, "old": true, "kept": true, "id": "a"}))),
            None,
            Some(properties(json!({"text": 3, "id": "c"}))),
        ]
    );
}

#[test]
fn indices_beyond_the_key_range_are_refused() {
    let sealed = seal_payload(&SecretKey::generate(), 1 << 31, &Map::new());
    assert!(matches!(sealed, Err(DatawalletError::Crypto(CryptoError::KeyId))));
}

fn listed(pending: &PendingModification, index: u64, key: &SecretKey) -> Modification {
    let new = pending.seal(key, index).unwrap();
    let mut listed = serde_json::to_value(new).unwrap();
    listed["index"] = index.into();
    modification(&listed)
}
