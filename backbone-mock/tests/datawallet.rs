//! The datawallet.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PASSWORD, Person, World, answer, modification, refusal, text_of};
use futures_util::future::join_all;
use serde_json::{Value, json};

const ALL: &str = "/Datawallet/Modifications";

fn indices(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|entry| entry["index"].as_u64().unwrap()).collect()
}

fn entry(kind: &str, object: &str, category: Option<&str>) -> Value {
    let mut entry = modification(object);
    entry["type"] = json!(kind);
    entry["payloadCategory"] = json!(category);
    entry
}

async fn push(person: &Person, local_index: i64, entries: Vec<Value>) -> Value {
    answer(person.post(ALL, &json!({ "localIndex": local_index, "modifications": entries })), 201).await
}

#[tokio::test]
async fn without_a_datawallet_there_is_nothing_to_read_and_nowhere_to_push() {
    let world = World::new().await;
    let person = world.person(1).await;
    assert_eq!(refusal(person.get("/Datawallet"), 404).await, "recordNotFound");
    assert_eq!(answer(person.get(ALL), 200).await, json!([]));
    assert_eq!(refusal(person.push(-1, &["a"]), 404).await, "recordNotFound");
    assert_eq!(refusal(person.post("/SyncRuns", &json!({})), 404).await, "recordNotFound");
}

/// C22, and the index contract: from 0, without gaps, in the order of the request.
#[tokio::test]
async fn a_push_with_a_stale_index_is_refused_and_a_good_one_gets_the_next_indices() {
    let world = World::new().await;
    let person = world.person_with_datawallet(1).await;
    let pushed = answer(person.push(0, &["a", "b", "c"]), 201).await;
    assert_eq!(pushed["newIndex"], 3);
    assert_eq!(indices(&pushed["modifications"]), [1, 2, 3]);
    for stale in [-1, 0, 2, 4] {
        let code = refusal(person.push(stale, &["d"]), 400).await;
        assert_eq!(code, "validation.datawallet.datawalletNotUpToDate", "{stale}");
    }
    assert_eq!(answer(person.push(3, &["d"]), 201).await["newIndex"], 4);
    let list = answer(person.get(&format!("{ALL}?localIndex=1")), 200).await;
    assert_eq!(indices(&list), [2, 3, 4]);
    assert_eq!(text_of(&list[0]["objectIdentifier"]), "b");
}

/// C23.
#[tokio::test]
async fn of_two_devices_that_push_in_parallel_one_is_rejected() {
    let world = World::new().await;
    let first = world.person_with_datawallet(1).await;
    let second = first.second_device().await;
    for round in 0..5 {
        let local_index = round * 2;
        let send = |person: &Person| person.push(local_index, &["x", "y"]).send();
        let mut statuses: Vec<_> =
            join_all([send(&first), send(&second)]).await.into_iter().map(|r| r.unwrap().status().as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 400]);
    }
    let newest = answer(first.push(10, &["z"]), 201).await;
    assert_eq!(newest["newIndex"], 11);
}

/// C29: the key is object, type and category; a null category is a value of its own.
#[tokio::test]
async fn of_each_object_type_and_category_only_the_newest_entry_is_listed() {
    let world = World::new().await;
    let person = world.person_with_datawallet(1).await;
    let entries = vec![
        entry("Create", "o", Some("Content")),  // 1
        entry("Update", "o", Some("Content")),  // 2, overtaken
        entry("Update", "o", Some("Metadata")), // 3
        entry("Update", "o", Some("Content")),  // 4
        entry("Delete", "o", None),             // 5, overtaken
        entry("Update", "p", Some("Content")),  // 6
        entry("Delete", "o", None),             // 7
    ];
    push(&person, 0, entries).await;
    let list = answer(person.get(ALL), 200).await;
    assert_eq!(indices(&list), [0, 1, 3, 4, 6, 7]);
    assert_eq!(list[5]["payloadCategory"], Value::Null);
    assert!(list[5].as_object().unwrap().contains_key("payloadCategory"));
    let page = answer(person.get(&format!("{ALL}?pageSize=2&pageNumber=2")), 200).await;
    assert_eq!(indices(&page), [3, 4]);
    push(&person, 7, vec![entry("Create", "o", Some("Content"))]).await;
    assert_eq!(indices(&answer(person.get(&format!("{ALL}?localIndex=0")), 200).await), [3, 4, 6, 7, 8]);
}

/// C30.
#[tokio::test]
async fn a_client_that_supports_older_versions_only_is_refused() {
    let world = World::new().await;
    let person = world.person(1).await;
    let run = person.start_run("DatawalletVersionUpgrade").await;
    let path = format!("/SyncRuns/{}/FinalizeDatawalletVersionUpgrade", text_of(&run["id"]));
    answer(person.put(&path, &json!({ "newDatawalletVersion": "2" })), 200).await;
    let insufficient = "validation.datawallet.insufficientSupportedDatawalletVersion";
    assert_eq!(refusal(person.get(ALL), 400).await, insufficient);
    assert_eq!(refusal(person.push(-1, &["a"]), 400).await, insufficient);
    assert_eq!(refusal(person.post("/SyncRuns", &json!({})), 400).await, insufficient);
    assert_eq!(answer(person.get("/Datawallet"), 200).await, json!({ "version": 2 }));
}

#[tokio::test]
async fn the_version_header_has_to_be_a_number_and_a_push_needs_it() {
    let world = World::new().await;
    let person = world.person_with_datawallet(1).await;
    let plain = |path: &str| world.anonymous(reqwest::Method::GET, path).bearer_auth(&person.token);
    let wrong = plain(ALL).header("x-supported-datawallet-version", "one");
    assert_eq!(refusal(wrong, 400).await, "inputCannotBeParsed");
    let body = json!({ "localIndex": 0, "modifications": [modification("a")] });
    let without = world.anonymous(reqwest::Method::POST, ALL).bearer_auth(&person.token).json(&body);
    assert_eq!(refusal(without, 400).await, "validation.invalidPropertyValue");
}

#[tokio::test]
async fn each_broken_part_of_a_push_is_refused_and_nothing_is_stored() {
    let world = World::new().await;
    let person = world.person_with_datawallet(1).await;
    let unreadable = "inputCannotBeParsed";
    let invalid = "validation.invalidPropertyValue";
    let cases = [
        ("type", json!("Upsert"), unreadable),
        ("type", json!(9), unreadable),
        ("objectIdentifier", json!("ä".repeat(101)), invalid),
        ("collection", json!("c".repeat(51)), invalid),
        ("payloadCategory", json!("c".repeat(51)), invalid),
        ("encryptedPayload", json!("a+b_"), unreadable),
        ("datawalletVersion", json!(70_000), unreadable),
        ("datawalletVersion", json!(2), "datawallet.datawalletVersionOfModificationTooHigh"),
    ];
    for (member, value, code) in cases {
        let mut broken = modification("b");
        broken[member] = value;
        let body = json!({ "localIndex": 0, "modifications": [modification("a"), broken] });
        assert_eq!(refusal(person.post(ALL, &body), 400).await, code, "{member}");
    }
    let without_index = json!({ "modifications": [modification("a")] });
    assert_eq!(refusal(person.post(ALL, &without_index), 400).await, unreadable);
    assert_eq!(refusal(person.push(0, &[]), 400).await, invalid);
    assert_eq!(indices(&answer(person.get(ALL), 200).await), [0]);
    let mut lenient = modification("ä".repeat(100).as_str());
    lenient["type"] = json!(1);
    lenient.as_object_mut().unwrap().remove("datawalletVersion");
    lenient["DATAWALLETVERSION"] = json!("1");
    push(&person, 0, vec![lenient]).await;
}

#[tokio::test]
async fn large_payloads_come_back_as_they_were_sent() {
    let world = World::new().await;
    let person = world.person_with_datawallet(1).await;
    let mut large = modification("large");
    large["encryptedPayload"] = json!("AbCd".repeat(100_000));
    push(&person, 0, vec![large.clone()]).await;
    let list = answer(person.get(&format!("{ALL}?localIndex=0")), 200).await;
    assert_eq!(list[0]["encryptedPayload"], large["encryptedPayload"]);
}

/// 13.1: entries that a newer one has overtaken go after thirty days; indices go on.
#[tokio::test]
async fn replaced_entries_are_swept_and_the_rest_stays_listed() {
    let world = World::new().await;
    let mut person = world.person_with_datawallet(1).await;
    let entries = vec![
        entry("Create", "gone", Some("Content")),
        entry("Update", "kept", Some("Content")),
        entry("Update", "kept", Some("Content")),
        entry("Delete", "gone", None),
    ];
    push(&person, 0, entries).await;
    world.advance(31 * 24 * 60 * 60);
    let swept = world.backbone().admin().sweep().await.unwrap();
    assert_eq!(swept.modifications, 2);
    person.log_in(PASSWORD).await;
    assert_eq!(indices(&answer(person.get(ALL), 200).await), [0, 3, 4]);
    assert_eq!(answer(person.push(4, &["next"]), 201).await["newIndex"], 5);
    assert_eq!(world.backbone().admin().sweep().await.unwrap().modifications, 0);
}

/// More entries than one step of a walk, and more pointless ones than one step of compaction.
#[tokio::test]
async fn long_logs_are_listed_and_swept_completely() {
    let world = World::new().await;
    let mut person = world.person_with_datawallet(1).await;
    let objects = |numbers: std::ops::Range<u64>| numbers.map(|number| modification(&format!("object {number}")));
    push(&person, 0, objects(0..1100).collect()).await;
    let mut listed = Vec::new();
    for number in 1..=6 {
        let request = person.get(&format!("{ALL}?pageSize=200&pageNumber={number}"));
        let page: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!((&page["pagination"]["totalPages"], &page["pagination"]["totalRecords"]), (&json!(6), &json!(1101)));
        listed.extend(indices(&page["result"]));
    }
    assert_eq!(listed, (0..=1100).collect::<Vec<_>>());
    push(&person, 1100, objects(0..1050).collect()).await;
    world.advance(31 * 24 * 60 * 60);
    assert_eq!(world.backbone().admin().sweep().await.unwrap().modifications, 1050);
    person.log_in(PASSWORD).await;
    let first = answer(person.get(ALL), 200).await;
    assert_eq!(indices(&first)[..3], [0, 1051, 1052]);
}
