//! What a node tells its other devices through the backbone, and what a lying backbone can do with that (T2).
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;

use enlace_tests::{Answer, Fate, Line, Node, World, copy_tree, refusal};
use hyper::Method;
use runtime::Event;
use runtime::facade::CreateTokenForFile;
use serde_json::{Value, json};

const MODIFICATIONS: &str = "/api/v2/Datawallet/Modifications";

/// All modifications that were pushed, in order, with the names they have on the wire.
fn pushed(line: &Line) -> Vec<Value> {
    let requests = line.recording().into_iter().filter(|seen| {
        let target = seen.target.to_lowercase();
        seen.method == Method::POST && target.ends_with("/datawallet/modifications")
            || seen.method == Method::PUT && target.contains("/finalize")
    });
    requests
        .filter_map(|seen| serde_json::from_slice::<Value>(&seen.body).ok())
        .flat_map(|body| {
            let list = ["modifications", "datawalletModifications"].iter().find_map(|name| body[name].as_array());
            list.cloned().unwrap_or_default()
        })
        .collect()
}

/// What users see of a node.
async fn visible(node: &Node) -> (Vec<runtime::dto::File>, Vec<runtime::dto::Token>) {
    (node.files().await, node.tokens().await)
}

#[tokio::test]
async fn everything_but_the_ephemeral_is_pushed_and_sealed() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    let ephemeral = CreateTokenForFile { ephemeral: true, ..CreateTokenForFile::default() };
    let ephemeral = alice.share_as(&file, ephemeral).await.unwrap();
    alice.runtime().account().sync_everything().await.unwrap();
    let modifications = pushed(backbone.line());
    let names: BTreeSet<&str> = modifications.iter().map(|m| m["objectIdentifier"].as_str().unwrap()).collect();
    assert!(names.contains(file.id.as_str()) && names.contains(token.id.as_str()), "{names:?}");
    assert!(!names.contains(ephemeral.id.as_str()), "{names:?}");
    assert!(modifications.iter().all(|m| m["encryptedPayload"].is_string()), "nothing is pushed in clear");
}

#[tokio::test]
async fn replayed_moved_and_invented_modifications_change_nothing() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    alice.share(&file).await.unwrap();
    alice.runtime().account().sync_everything().await.unwrap();
    let before = visible(&alice).await;
    let genuine = pushed(backbone.line());
    let device = alice.runtime().account().device_info().await.unwrap().id;
    let entry = |index: usize, change: &Value, name: &str| {
        json!({"id": format!("DWM{index:0>17}"), "index": index, "objectIdentifier": name, "type": change["type"],
            "payloadCategory": change["payloadCategory"], "collection": change["collection"],
            "createdAt": "2030-01-01T00:00:00.000Z", "createdByDevice": device,
            "encryptedPayload": change["encryptedPayload"], "datawalletVersion": 1})
    };
    let next = genuine.len();
    let own_name = |change: &Value| change["objectIdentifier"].as_str().unwrap().to_owned();
    let replayed: Vec<_> = genuine.iter().enumerate().map(|(i, m)| entry(next + i, m, &own_name(m))).collect();
    let moved: Vec<_> = genuine.iter().rev().enumerate().map(|(i, m)| entry(next + i, m, &own_name(m))).collect();
    let garbage = json!({"type": "Update", "payloadCategory": "Content", "collection": "Files",
        "encryptedPayload": "eyJjcGgiOiJBQUFBIiwiYWxnIjozLCJubmMiOiJBQUFBIn0"});
    let lies = [
        ("replayed", json!(replayed)),
        ("moved to another place", json!(moved)),
        ("invented", json!([entry(next, &garbage, file.id.as_str())])),
        ("without end", json!([entry(usize::MAX >> 12, &garbage, file.id.as_str())])),
        ("of the wrong shape", json!([{"index": "first"}])),
        ("not a list", json!({"index": 0})),
    ];
    for (lie, modifications) in lies {
        let fate = Fate::changed(move |answer: Answer| {
            let body = json!({ "result": modifications });
            answer.with_json(&body)
        });
        backbone.line().always(Method::GET, MODIFICATIONS, fate);
        // Whether the synchronization fails or passes over the lie is its business; what users have is not.
        let _ = alice.runtime().account().sync_everything().await;
        assert_eq!(visible(&alice).await, before, "{lie}");
        backbone.line().behave();
    }
    assert_eq!(alice.download(&file.id).await.unwrap(), b"content");
    let alice = alice.restart().await;
    assert_eq!(visible(&alice).await, before);
}

#[tokio::test]
async fn what_was_sealed_for_one_file_is_not_taken_for_another() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let kept = alice.upload("kept", b"kept").await.unwrap();
    alice.runtime().account().sync_everything().await.unwrap();
    let refusal_of_push = json!({ "error": {
        "id": "ERR", "code": "error.platform.validation.datawallet.datawalletNotUpToDate", "message": "pull first",
        "docs": "", "time": "2030-01-01T00:00:00.000Z"
    }});
    let refused = Fate::Answered(hyper::StatusCode::BAD_REQUEST, refusal_of_push.to_string());
    backbone.line().always(Method::POST, MODIFICATIONS, refused);
    let (line, other) = (backbone.line().clone(), kept.id.clone());
    // The payloads of the refused push, each in its own place, but under the name of the other file.
    let relabel = move |answer: Answer| {
        let pushes = line.recording().into_iter().filter(|seen| seen.method == Method::POST);
        let bodies = pushes.filter_map(|seen| serde_json::from_slice::<Value>(&seen.body).ok());
        let Some(push) = bodies.filter(|body| body["modifications"].is_array()).last() else { return answer };
        let first = push["localIndex"].as_i64().unwrap() + 1;
        let entries = (first..).zip(push["modifications"].as_array().unwrap()).map(|(index, sent)| {
            let mut entry = sent.clone();
            entry["id"] = json!(format!("DWM{index:0>17}"));
            entry["index"] = json!(index);
            entry["objectIdentifier"] = json!(other);
            entry["type"] = json!("Update");
            entry["createdAt"] = json!("2030-01-01T00:00:00.000Z");
            entry["createdByDevice"] = json!("DVCotherotherother12");
            entry
        });
        answer.with_json(&json!({ "result": entries.collect::<Vec<_>>() }))
    };
    backbone.line().always(Method::GET, MODIFICATIONS, Fate::changed(relabel));
    let other = alice.upload("other", b"other").await.unwrap();
    let before = visible(&alice).await;
    let code = refusal(alice.runtime().account().sync_everything().await);
    assert_eq!(code, "error.transport.datawallet.invalid");
    assert_eq!(visible(&alice).await, before);
    backbone.line().behave();
    alice.runtime().account().sync_everything().await.unwrap();
    assert_eq!(visible(&alice).await, before);
    assert_eq!(alice.download(&kept.id).await.unwrap(), b"kept");
    assert_eq!(alice.download(&other.id).await.unwrap(), b"other");
}

#[tokio::test]
async fn a_backbone_that_was_set_back_to_an_old_backup_costs_nobody_a_local_record() {
    let world = World::new();
    let mut backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let kept = alice.upload("kept", b"kept").await.unwrap();
    alice.runtime().account().sync_everything().await.unwrap();
    backbone.stop().await;
    let backup = world.directory("backup");
    copy_tree(backbone.data_dir(), &backup);
    backbone.resume().await;
    let lost = alice.upload("lost", b"lost").await.unwrap();
    alice.share(&lost).await.unwrap();
    alice.runtime().account().sync_everything().await.unwrap();
    backbone.stop().await;
    std::fs::remove_dir_all(backbone.data_dir()).unwrap();
    copy_tree(&backup, backbone.data_dir());
    backbone.resume().await;

    let before = visible(&alice).await;
    let mut events = alice.runtime().events();
    alice.runtime().account().sync_everything().await.unwrap();
    let events: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert!(events.iter().any(|event| matches!(event, Event::DatawalletBehind)), "{events:?}");
    assert_eq!(visible(&alice).await, before, "what is known here is not the backbone's to take");
    assert_eq!(alice.download(&kept.id).await.unwrap(), b"kept");
    assert_eq!(refusal(alice.download(&lost.id).await), "error.runtime.recordNotFound");
    let again = alice.upload("again", b"again").await.unwrap();
    assert_eq!(alice.download(&again.id).await.unwrap(), b"again", "life goes on");
    let bob = world.node("bob", &backbone).await;
    assert_eq!(bob.fetch(&alice.share(&again).await.unwrap().reference.url).await.unwrap(), b"again");
}
