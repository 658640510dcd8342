//! A second device that reads the log of a published client.

use super::*;

use transport::crypto::{CryptoObject as _, Form, SignatureKeypair};
use transport::identity::DeviceSharedSecret;

const SECOND_DEVICE: &str = "DVC19cHJLPaWfEbH9SXL";
const SECOND_USER: &str = "USRERWreXKRjGjfgwKSB";
const INITIAL_PASSWORD: &str = "hJ!A5;!Y14Wgftx,GZxB7U7FP+YnxEr+FGtXyW.vN53Bn";

fn session() -> Value {
    serde_json::from_str(include_str!("../../../../transport/tests/vectors/session-v7.0.0.json")).unwrap()
}

/// The secret that the first device of the recording handed out to the second one.
fn shared_secret(session: &Value) -> DeviceSharedSecret {
    serde_json::from_value(session["objects"]["deviceSharedSecret"].clone()).unwrap()
}

/// The 25 modifications that the second device of the recording received.
fn recorded_log(session: &Value) -> Vec<Value> {
    let steps = session["steps"].as_array().unwrap();
    let onboarding = steps.iter().find(|step| step["step"].as_str().unwrap().starts_with("A2.init")).unwrap();
    let requests = onboarding["requests"].as_array().unwrap();
    let all = requests.iter().find(|request| request["path"] == "/api/v2/Datawallet/Modifications").unwrap();
    all["response"]["result"].as_array().unwrap().clone()
}

async fn onboard(place: &Place, session: &Value) -> crate::Result<Arc<Core>> {
    {
        let mut backbone = place.backbone.state();
        backbone.version = Some(1);
        backbone.log = recorded_log(session);
        backbone.passwords.entry(SECOND_USER.to_owned()).or_insert(INITIAL_PASSWORD.to_owned());
    }
    let store = Arc::new(store(place.directory.path(), true));
    let account = account::onboard(&place.backbone.config(), &store, shared_secret(session)).await?;
    Ok(place.core(store, account, true))
}

#[tokio::test]
async fn a_second_device_finds_the_files_and_tokens_of_a_published_client() {
    let (place, session) = (Place::new().await, session());
    let node = onboard(&place, &session).await.unwrap();
    node.datawallet().await.unwrap();
    let objects = &session["objects"];
    for (collection, recorded) in [(collection::FILES, &objects["file"]), (collection::TOKENS, &objects["token2"])] {
        let mut expected = members(recorded.clone());
        let id = expected.remove("id").unwrap();
        let stored = node.store.object(collection, id.as_str().unwrap()).unwrap().unwrap();
        assert_eq!(Value::Object(stored.properties), Value::Object(expected), "{id}");
    }
    let count = |collection| node.store.objects(collection).unwrap().map(Result::unwrap).count();
    let counts = ["Files", "Relationships", "Messages", "Templates", "Devices"].map(count);
    assert_eq!(counts, [2, 1, 3, 1, 2]);
}

#[tokio::test]
async fn a_second_device_changes_its_password_and_completes_its_entry() {
    let (place, session) = (Place::new().await, session());
    let node = onboard(&place, &session).await.unwrap();
    node.datawallet().await.unwrap();
    let expected = [
        "POST /connect/token",
        "PUT /Devices/Self/Password",
        "POST /connect/token",
        "GET /Datawallet",
        "GET /Datawallet/Modifications",
        "POST /Datawallet/Modifications",
    ];
    assert_eq!(place.backbone.calls(), expected);
    assert_ne!(place.backbone.state().passwords[SECOND_USER], INITIAL_PASSWORD);
    let log = place.log(node.account.synchronization_key());
    let (kind, id, entry) = log.last().unwrap();
    assert_eq!((log.len(), kind.as_str(), id.as_str()), (26, "Update", SECOND_DEVICE));
    assert_eq!(entry["publicKey"], node.account.device_key().public_key().to_value(Form::Compact));
    assert!(entry.get("initialPassword").is_none());
    assert_eq!(entry["isAdmin"], true);
}

#[tokio::test]
async fn an_onboarding_whose_answer_was_lost_is_finished_by_the_next_start() {
    let (place, session) = (Place::new().await, session());
    place.backbone.state().lose_answer_to = Some("/Devices/Self/Password");
    assert!(onboard(&place, &session).await.is_err());
    let node = place.start().await;
    assert_eq!(node.account.device_id().as_str(), SECOND_DEVICE);
    node.datawallet().await.unwrap();
    assert_eq!(place.log(node.account.synchronization_key()).len(), 26);
}

#[tokio::test]
async fn a_shared_secret_with_the_address_of_another_key_is_refused() {
    let (place, session) = (Place::new().await, session());
    let store = store(place.directory.path(), true);
    let mut secret = shared_secret(&session);
    secret.identity.public_key = SignatureKeypair::generate().public_key();
    let outcome = account::onboard(&place.backbone.config(), &store, secret).await;
    assert_eq!(outcome.err().unwrap().code(), "error.runtime.validation.invalidPropertyValue");
    assert!(place.backbone.calls().is_empty());
}

#[tokio::test]
async fn a_datawallet_under_another_key_is_refused_as_a_whole() {
    let (place, session) = (Place::new().await, session());
    let store = Arc::new(store(place.directory.path(), true));
    let mut secret = shared_secret(&session);
    secret.synchronization_key = SecretKey::generate();
    place.backbone.state().passwords.insert(SECOND_USER.to_owned(), INITIAL_PASSWORD.to_owned());
    let account = account::onboard(&place.backbone.config(), &store, secret).await.unwrap();
    place.backbone.state().version = Some(1);
    place.backbone.state().log = recorded_log(&session);
    let node = place.core(store, account, true);
    assert!(node.datawallet().await.is_err());
    assert_eq!(node.store.objects(collection::FILES).unwrap().count(), 0);
}
