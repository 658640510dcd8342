use super::*;
use crate::Event;
use crate::store::token_values;
use crate::token::TokenSettings;

const FILE: &str = "FILabcdefghijklmno12";
const NEW_OWNER: &str = "did:e:localhost:dids:c5b454f4a8133c3d2cf2ef";

fn event(number: u64, kind: &str, payload: Value) -> Value {
    json!({
        "id": format!("SYI{number:017}"), "type": kind, "index": number, "createdAt": "2026-01-01T00:00:00.000Z",
        "syncErrorCount": 0, "payload": payload
    })
}

async fn node_with_file(place: &Place) -> Arc<Core> {
    let node = place.start().await;
    node.datawallet().await.unwrap();
    let session = include_str!("../../../../transport/tests/vectors/session-v7.0.0.json");
    let session: Value = serde_json::from_str(session).unwrap();
    let mut properties = session["objects"]["file"].clone();
    properties["owner"] = json!(node.account.address());
    create(&node, Object::new(collection::FILES, FILE, members(properties))).await;
    node.datawallet().await.unwrap();
    node
}

fn file(node: &Core) -> Map<String, Value> {
    node.store.object(collection::FILES, FILE).unwrap().unwrap().properties
}

#[tokio::test]
async fn a_locked_file_is_stored_as_such_and_pushed_within_the_run() {
    let place = Place::new().await;
    let node = node_with_file(&place).await;
    let mut events = node.events.subscribe();
    place.backbone.state().events = vec![event(1, "FileOwnershipLocked", json!({ "fileId": FILE }))];
    node.everything().await.unwrap();
    assert!(matches!(events.recv().await.unwrap(), Event::FileOwnershipLocked(file) if file.id.as_str() == FILE));
    assert_eq!(file(&node)["ownershipIsLocked"], true);
    assert_eq!(place.backbone.state().results, [("SYI00000000000000001".to_owned(), None)]);
    assert!(!place.backbone.calls().iter().any(|call| call.starts_with("POST /Datawallet/Modifications?")));
    let log = place.log(node.account.synchronization_key());
    assert_eq!(log.last().unwrap().2["ownershipIsLocked"], true);
    assert_eq!(unpushed(&node), 0);
}

#[tokio::test]
async fn a_claimed_file_is_not_own_any_more() {
    let place = Place::new().await;
    let node = node_with_file(&place).await;
    let metadata = json!({
        "id": FILE, "createdAt": "2026-01-01T00:00:00.000Z", "createdBy": node.account.address(),
        "createdByDevice": node.account.device_id(), "owner": NEW_OWNER, "ownerSignature": "AA", "cipherSize": 1,
        "cipherHash": "AA", "expiresAt": "2099-01-01T00:00:00.000Z", "encryptedProperties": "AA"
    });
    place.backbone.state().files.insert(FILE.to_owned(), metadata);
    let mut events = node.events.subscribe();
    let payload = json!({ "fileId": FILE, "newOwnerAddress": NEW_OWNER });
    place.backbone.state().events = vec![event(1, "FileOwnershipClaimed", payload)];
    node.everything().await.unwrap();
    assert!(matches!(events.recv().await.unwrap(), Event::FileOwnershipClaimed(file) if !file.is_own));
    let file = file(&node);
    assert_eq!((&file["isOwn"], &file["owner"]), (&json!(false), &json!(NEW_OWNER)));
    assert!(!file.contains_key("ownershipToken"));
}

#[tokio::test]
async fn a_locked_token_is_published_as_an_event_and_counts_as_handled() {
    let place = Place::new().await;
    let node = place.start().await;
    let mut events = node.events.subscribe();
    place.backbone.state().events = vec![event(1, "TokenLocked", json!({ "tokenId": TOKEN }))];
    node.everything().await.unwrap();
    assert_eq!(place.backbone.state().results[0].1, None);
    assert!(matches!(events.recv().await.unwrap(), Event::TokenLocked(id) if id.as_str() == TOKEN));
    let names = node.store.view().value_names(token_values::SETTINGS, token_values::SETTINGS, 9).unwrap();
    assert!(names.is_empty(), "nothing is kept of an unknown token");
}

#[tokio::test]
async fn that_a_stored_token_is_locked_is_kept() {
    let place = Place::new().await;
    let node = place.start().await;
    let id = TOKEN.parse().unwrap();
    let is_locked = || TokenSettings::stored(&node.store.view(), &id).unwrap().is_locked;
    create(&node, Object::new(collection::TOKENS, TOKEN, members(json!({ "cachedAt": "2026" })))).await;
    assert!(!is_locked());
    place.backbone.state().events = vec![event(1, "TokenLocked", json!({ "tokenId": TOKEN }))];
    node.everything().await.unwrap();
    assert_eq!(place.backbone.state().results[0].1, None);
    assert!(is_locked());
}

#[tokio::test]
async fn an_invalid_event_is_reported_and_does_not_stop_the_others() {
    let place = Place::new().await;
    let node = node_with_file(&place).await;
    place.backbone.state().events = vec![
        event(1, "PeerFeatureFlagsChanged", json!({ "peerAddress": NEW_OWNER })),
        event(2, "FileOwnershipLocked", json!({ "fileId": 7 })),
        event(3, "FileOwnershipClaimed", json!({ "fileId": FILE })),
        event(4, "FileOwnershipLocked", json!({ "fileId": "FILunknownunknown123" })),
        event(5, "FileOwnershipLocked", json!({ "fileId": FILE })),
    ];
    node.everything().await.unwrap();
    let results = place.backbone.state().results.clone();
    let codes: Vec<_> = results.iter().map(|(_, code)| code.as_deref()).collect();
    let unknown = Some("error.transport.unknown");
    assert_eq!(codes, [unknown, unknown, Some("error.runtime.recordNotFound"), None, None]);
    assert_eq!(file(&node)["ownershipIsLocked"], true);
}

#[tokio::test]
async fn a_backbone_that_always_has_more_events_does_not_occupy_the_node_forever() {
    let place = Place::new().await;
    let node = place.start().await;
    place.backbone.state().endless_events = true;
    node.everything().await.unwrap();
    let runs = place.backbone.calls().iter().filter(|call| *call == "POST /SyncRuns").count();
    assert_eq!(runs, 1 + crate::sync::plan::MAX_EVENT_RUNS as usize, "an upgrade and a bounded number of runs");
}

#[tokio::test]
async fn a_run_whose_end_was_not_answered_does_not_duplicate_its_changes() {
    let place = Place::new().await;
    let node = node_with_file(&place).await;
    place.backbone.state().events = vec![event(1, "FileOwnershipLocked", json!({ "fileId": FILE }))];
    place.backbone.state().lose_answer_to = Some("/FinalizeExternalEventSync");
    assert!(node.everything().await.is_err());
    let length = place.backbone.state().log.len();
    node.everything().await.unwrap();
    assert_eq!(place.backbone.state().log.len(), length);
    assert_eq!(unpushed(&node), 0);
}
