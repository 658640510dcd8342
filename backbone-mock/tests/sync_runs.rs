//! Sync runs and external events.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PASSWORD, Person, World, answer, modification, refusal, text_of};
use futures_util::future::join_all;
use serde_json::{Value, json};

const RUNNING: &str = "validation.syncRun.cannotStartSyncRunWhenAnotherSyncRunIsRunning";
const FINALIZED: &str = "validation.syncRun.syncRunAlreadyFinalized";

/// Makes one `FileOwnershipLocked` event for `owner`.
async fn cause_event(owner: &Person, stranger: &Person) {
    let file = owner.file(b"bytes").await;
    let path = format!("/Files/{}/ClaimOwnership", text_of(&file["id"]));
    refusal(stranger.patch(&path, &json!({ "ownershipToken": "wrong" })), 403).await;
}

async fn two_people(world: &World) -> (Person, Person) {
    (world.person_with_datawallet(1).await, world.person(2).await)
}

async fn events(person: &Person, run: &Value) -> Vec<Value> {
    let list = answer(person.get(&format!("/SyncRuns/{}/ExternalEvents", text_of(&run["id"]))), 200).await;
    list.as_array().unwrap().clone()
}

fn finalize(person: &Person, run: &Value, results: &Value) -> reqwest::RequestBuilder {
    let path = format!("/SyncRuns/{}/FinalizeExternalEventSync", text_of(&run["id"]));
    person.put(&path, &json!({ "externalEventResults": results, "datawalletModifications": null }))
}

#[tokio::test]
async fn without_events_there_is_no_run() {
    let world = World::new().await;
    let person = world.person_with_datawallet(1).await;
    let started = answer(person.post("/SyncRuns", &json!({ "type": 0 })), 200).await;
    assert_eq!(started, json!({ "status": "NoNewEvents", "syncRun": null }));
    let unreadable = person.post("/SyncRuns", &json!({ "type": "Other" }));
    assert_eq!(refusal(unreadable, 400).await, "inputCannotBeParsed");
    let empty = person.request(reqwest::Method::POST, "/SyncRuns");
    assert_eq!(refusal(empty, 400).await, "inputCannotBeParsed");
}

/// C24: the time-out of pushes, and what becomes of the run they cancel.
#[tokio::test]
async fn a_push_waits_for_a_run_until_a_minute_after_its_expiry() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    let other = owner.second_device().await;
    cause_event(&owner, &stranger).await;
    let run = owner.start_run("ExternalEventSync").await;
    let refused = "validation.datawallet.cannotPushDatawalletModificationsDuringActiveSyncRun";
    for person in [&owner, &other] {
        assert_eq!(refusal(person.push(0, &["a"]), 400).await, refused);
    }
    world.advance(11);
    assert_eq!(refusal(other.push(0, &["a"]), 400).await, refused);
    world.advance(60);
    assert_eq!(answer(other.push(0, &["a"]), 201).await["newIndex"], 1);
    assert_eq!(refusal(finalize(&owner, &run, &json!([])), 400).await, FINALIZED);
    assert_eq!(answer(other.push(1, &["b"]), 201).await["newIndex"], 2);
    // The events of the cancelled run are offered again, and not counted as failed.
    let again = owner.start_run("ExternalEventSync").await;
    assert_eq!(events(&owner, &again).await[0]["syncErrorCount"], 0);
}

/// C25.
#[tokio::test]
async fn a_second_run_has_to_wait_until_the_first_expires() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    cause_event(&owner, &stranger).await;
    let first = owner.start_run("ExternalEventSync").await;
    assert_eq!(refusal(owner.post("/SyncRuns", &json!({})), 400).await, RUNNING);
    world.advance(10);
    let second = owner.start_run("ExternalEventSync").await;
    assert_eq!(second["index"].as_u64().unwrap(), first["index"].as_u64().unwrap() + 1);
    assert_eq!(events(&owner, &second).await.len(), 1);
    let old = owner.get(&format!("/SyncRuns/{}/ExternalEvents", text_of(&first["id"])));
    assert_eq!(refusal(old, 400).await, FINALIZED);
}

#[tokio::test]
async fn of_parallel_starts_one_wins() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    cause_event(&owner, &stranger).await;
    let body = json!({});
    let starts = (0..6).map(|_| owner.post("/SyncRuns", &body).send());
    let statuses: Vec<u16> = join_all(starts).await.into_iter().map(|start| start.unwrap().status().as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 5);
}

#[tokio::test]
async fn a_run_lasts_as_long_as_it_was_asked_for() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    cause_event(&owner, &stranger).await;
    answer(owner.post("/SyncRuns", &json!({ "duration": "100" })), 201).await;
    world.advance(99);
    assert_eq!(refusal(owner.post("/SyncRuns", &json!({})), 400).await, RUNNING);
    world.advance(1);
    answer(owner.post("/SyncRuns", &json!({ "duration": 0 })), 201).await;
    owner.start_run("ExternalEventSync").await;
}

/// C26, C28.
#[tokio::test]
async fn an_event_that_fails_three_times_is_dead_until_it_is_queued_again() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    cause_event(&owner, &stranger).await;
    for count in 0..3 {
        let run = owner.start_run("ExternalEventSync").await;
        let offered = events(&owner, &run).await;
        assert_eq!(offered[0]["syncErrorCount"], count);
        let results = json!([{ "externalEventId": offered[0]["id"], "errorCode": "error.x" }]);
        let finalized = answer(finalize(&owner, &run, &results), 200).await;
        assert_eq!(finalized["newUnsyncedExternalEventsExist"], false);
    }
    assert_eq!(answer(owner.post("/SyncRuns", &json!({})), 200).await["status"], "NoNewEvents");

    let admin = world.backbone().admin();
    let address = owner.address.parse().unwrap();
    let dead = admin.dead_events(&address).await.unwrap();
    assert_eq!((dead[0].kind.as_str(), dead[0].errors.len()), ("FileOwnershipLocked", 3));
    assert!(admin.requeue_event(&address, &dead[0].id).await.unwrap());
    assert!(!admin.requeue_event(&address, &dead[0].id).await.unwrap());
    let run = owner.start_run("ExternalEventSync").await;
    assert_eq!(events(&owner, &run).await[0]["syncErrorCount"], 0);
}

/// C27, and: results for events that are not attached are ignored, of several for one event the first counts.
#[tokio::test]
async fn an_event_without_a_result_counts_as_failed() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    cause_event(&owner, &stranger).await;
    cause_event(&owner, &stranger).await;
    let run = owner.start_run("ExternalEventSync").await;
    assert_eq!(run["eventCount"], 2);
    let offered = events(&owner, &run).await;
    let results = json!([
        { "externalEventId": "SYIunknown0000000001", "errorCode": "x" },
        { "externalEventId": offered[0]["id"], "errorCode": "" },
        { "externalEventId": offered[0]["id"], "errorCode": "late" },
    ]);
    answer(finalize(&owner, &run, &results), 200).await;
    let again = owner.start_run("ExternalEventSync").await;
    let offered_again = events(&owner, &again).await;
    assert_eq!(offered_again.len(), 1);
    assert_eq!((&offered_again[0]["id"], &offered_again[0]["syncErrorCount"]), (&offered[1]["id"], &json!(1)));
}

#[tokio::test]
async fn events_that_arrive_during_a_run_are_announced_by_its_end() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    cause_event(&owner, &stranger).await;
    let run = owner.start_run("ExternalEventSync").await;
    cause_event(&owner, &stranger).await;
    let offered = events(&owner, &run).await;
    assert_eq!(offered.len(), 1);
    let results = json!([{ "externalEventId": offered[0]["id"] }]);
    let finalized = answer(finalize(&owner, &run, &results), 200).await;
    assert_eq!(finalized["newUnsyncedExternalEventsExist"], true);
    assert_eq!(finalized["newDatawalletModificationIndex"], 0);
}

/// C52.
#[tokio::test]
async fn a_run_that_another_device_took_over_cannot_be_finalized() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    let other = owner.second_device().await;
    cause_event(&owner, &stranger).await;
    let first = owner.start_run("ExternalEventSync").await;
    let offered = events(&owner, &first).await;
    world.advance(10);
    let second = other.start_run("ExternalEventSync").await;
    assert_eq!(events(&other, &second).await, offered);
    assert_eq!(refusal(finalize(&owner, &first, &json!([])), 400).await, FINALIZED);
}

/// An expired run that nobody took over may still be finalized.
#[tokio::test]
async fn an_expired_run_that_nobody_took_over_is_finalized() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    cause_event(&owner, &stranger).await;
    let run = owner.start_run("ExternalEventSync").await;
    world.advance(60);
    answer(finalize(&owner, &run, &json!([])), 200).await;
    assert_eq!(refusal(finalize(&owner, &run, &json!([])), 400).await, FINALIZED);
}

#[tokio::test]
async fn runs_belong_to_one_device_of_one_identity_and_have_a_type() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    let other = owner.second_device().await;
    cause_event(&owner, &stranger).await;
    let run = owner.start_run("ExternalEventSync").await;
    let id = text_of(&run["id"]);
    let read = format!("/SyncRuns/{id}/ExternalEvents");
    let upgrade = format!("/SyncRuns/{id}/FinalizeDatawalletVersionUpgrade");
    let code = |name: &str| format!("validation.syncRun.{name}");
    refusal(stranger.get(&read), 404).await;
    refusal(finalize(&stranger, &run, &json!([])), 404).await;
    let events_code = code("cannotReadExternalEventsOfASyncRunStartedByAnotherDevice");
    assert_eq!(refusal(other.get(&read), 400).await, events_code);
    let finalize_code = code("cannotFinalizeSyncRunStartedByAnotherDevice");
    assert_eq!(refusal(finalize(&other, &run, &json!([])), 400).await, finalize_code);
    let wrong_type = owner.put(&upgrade, &json!({ "newDatawalletVersion": 1 }));
    assert_eq!(refusal(wrong_type, 400).await, code("unexpectedSyncRunType"));
    refusal(owner.get("/SyncRuns/SYRunknown0000000001/ExternalEvents"), 404).await;
    refusal(owner.get("/SyncRuns/SYRshort/ExternalEvents"), 400).await;
}

#[tokio::test]
async fn a_datawallet_is_not_downgraded_and_error_codes_have_a_limit() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    let run = owner.start_run("DatawalletVersionUpgrade").await;
    let path = format!("/SyncRuns/{}/FinalizeDatawalletVersionUpgrade", text_of(&run["id"]));
    for body in [json!({}), json!({ "newDatawalletVersion": 0 })] {
        assert_eq!(refusal(owner.put(&path, &body), 400).await, "validation.invalidPropertyValue");
    }
    let upgraded = answer(owner.put(&path, &json!({ "newDatawalletVersion": 3 })), 200).await;
    assert_eq!(
        (&upgraded["newDatawalletModificationIndex"], &upgraded["datawalletModifications"]),
        (&json!(0), &json!([]))
    );
    let header = |request: reqwest::RequestBuilder| {
        let mut request = request.build().unwrap();
        request.headers_mut().insert("x-supported-datawallet-version", "3".parse().unwrap());
        reqwest::RequestBuilder::from_parts(reqwest::Client::new(), request)
    };
    let again = answer(header(owner.post("/SyncRuns", &json!({ "type": "DatawalletVersionUpgrade" }))), 201).await;
    let path = format!("/SyncRuns/{}/FinalizeDatawalletVersionUpgrade", text_of(&again["syncRun"]["id"]));
    let down = owner.put(&path, &json!({ "newDatawalletVersion": 2 }));
    assert_eq!(refusal(down, 400).await, "datawallet.cannotDowngrade");
    answer(owner.put(&path, &json!({ "newDatawalletVersion": 3 })), 200).await;

    cause_event(&owner, &stranger).await;
    let started = answer(header(owner.post("/SyncRuns", &json!({}))), 201).await;
    let run = &started["syncRun"];
    let offered = events(&owner, run).await;
    let result = |length| json!([{ "externalEventId": offered[0]["id"], "errorCode": "x".repeat(length) }]);
    assert_eq!(refusal(finalize(&owner, run, &result(101)), 400).await, "validation.invalidPropertyValue");
    answer(finalize(&owner, run, &result(100)), 200).await;
}

/// Q18: nine runs that end without a result cost nothing, the tenth counts as one failure.
#[tokio::test]
async fn slow_runs_do_not_lose_events_but_crashing_ones_end() {
    let world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    cause_event(&owner, &stranger).await;
    let mut counts = Vec::new();
    for _ in 0..12 {
        let started = answer(owner.post("/SyncRuns", &json!({ "duration": 0 })), 201).await;
        counts.push(events(&owner, &started["syncRun"]).await[0]["syncErrorCount"].as_u64().unwrap());
    }
    assert_eq!(counts, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
}

#[tokio::test]
async fn finished_runs_are_swept_with_their_events() {
    let world = World::new().await;
    let (mut owner, stranger) = two_people(&world).await;
    cause_event(&owner, &stranger).await;
    let run = owner.start_run("ExternalEventSync").await;
    let offered = events(&owner, &run).await;
    answer(finalize(&owner, &run, &json!([{ "externalEventId": offered[0]["id"] }])), 200).await;
    world.advance(31 * 24 * 60 * 60);
    world.backbone().admin().sweep().await.unwrap();
    owner.log_in(PASSWORD).await;
    refusal(owner.get(&format!("/SyncRuns/{}/ExternalEvents", text_of(&run["id"]))), 404).await;
}

/// C38, in part: what a finalization does is there as a whole after a restart.
#[tokio::test]
async fn runs_and_events_survive_a_restart() {
    let mut world = World::new().await;
    let (owner, stranger) = two_people(&world).await;
    cause_event(&owner, &stranger).await;
    let run = owner.start_run("ExternalEventSync").await;
    world.restart().await;
    let owner = relogin(&world, owner).await;
    let offered = events(&owner, &run).await;
    let path = format!("/SyncRuns/{}/FinalizeExternalEventSync", text_of(&run["id"]));
    let body = json!({
        "externalEventResults": [{ "externalEventId": offered[0]["id"] }],
        "datawalletModifications": [modification("a"), modification("b")],
    });
    assert_eq!(answer(owner.put(&path, &body), 200).await["newDatawalletModificationIndex"], 2);
    world.restart().await;
    let owner = relogin(&world, owner).await;
    assert_eq!(answer(owner.push(2, &["c"]), 201).await["newIndex"], 3);
    assert_eq!(answer(owner.post("/SyncRuns", &json!({})), 200).await["status"], "NoNewEvents");
}

async fn relogin(world: &World, person: Person) -> Person {
    let mut person = world.same_person(person);
    person.log_in(PASSWORD).await;
    person
}
