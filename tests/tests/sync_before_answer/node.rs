//! The changing routes of the node's REST API.

use enlace_tests::power::Shim;
use enlace_tests::{OAUTH_CLIENT, Rest, World, http};
use reqwest::Method;
use runtime::{BackboneConfig, Config, Secret};
use serde_json::{Value, json};

use crate::observer::{BLOBS, Observer, RECORDS, STORE};

const LATER: &str = "2099-01-01T00:00:00.000Z";
/// Requests of this test.
const REQUESTS: usize = 14;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_answers_after_its_changes_are_durable() {
    let Some(shim) = Shim::or_skip() else { return };
    let world = World::new();
    let mut observer = Observer::default();
    let backbone = observer.start(&world, &shim, "backbone", &["backbone", "--did-domain-name", "localhost"]).await;
    let url = backbone["url"].as_str().unwrap();
    observer.start(&world, &shim, "node", &["serve", "--backbone", url]).await;
    use_every_route(&world, &mut observer, url).await;
    observer.conclude(REQUESTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_its_own_backbone_answers_after_the_changes_of_both_are_durable() {
    let Some(shim) = Shim::or_skip() else { return };
    let world = World::new();
    let mut observer = Observer::default();
    let node = observer.start(&world, &shim, "node", &["serve", "--backbone-listen", "127.0.0.1:0"]).await;
    use_every_route(&world, &mut observer, node["backbone"]["url"].as_str().unwrap()).await;
    observer.conclude(REQUESTS);
}

async fn use_every_route(world: &World, observer: &mut Observer, url: &str) {
    let rest = Rest::of(observer.machine("node").process().unwrap());
    let address = rest.get("Account/IdentityInfo").send().await.unwrap().json::<Value>().await.unwrap();
    let address = &address["result"]["address"];

    let file = observer.observe("POST Files/Own", 201, rest.upload("a", b"content".to_vec()), &[STORE, RECORDS, BLOBS]);
    let file = file.await["id"].as_str().unwrap().to_owned();
    let share = |ephemeral| rest.post(&format!("Files/{file}/Token")).json(&json!({ "ephemeral": ephemeral }));
    observer.observe("POST Files/{id}/Token", 201, share(false), &[STORE, RECORDS]).await;
    observer.observe("POST Files/{id}/Token, ephemeral", 201, share(true), &[RECORDS]).await;
    let token = |ephemeral| {
        let body = json!({ "content": { "a": 1 }, "expiresAt": LATER, "ephemeral": ephemeral });
        rest.post("Tokens/Own").json(&body)
    };
    let stored = observer.observe("POST Tokens/Own", 201, token(false), &[STORE, RECORDS]).await;
    observer.observe("POST Tokens/Own, ephemeral", 201, token(true), &[RECORDS]).await;

    let peer = peer(world, url).await;
    let theirs = peer.upload("b", b"theirs").await.unwrap();
    let other = peer.upload("c", b"also theirs").await.unwrap();
    let (shared, kept) = (peer.share(&other).await.unwrap(), peer.share(&theirs).await.unwrap());
    let load = |resource: &str, reference: &str| {
        rest.post(&format!("{resource}/Peer")).json(&json!({ "reference": reference }))
    };
    observer.observe("POST Files/Peer", 201, load("Files", &theirs.reference.url), &[STORE]).await;
    observer.observe("POST Files/Peer, by a token", 201, load("Files", &shared.reference.url), &[STORE, RECORDS]).await;
    observer.observe("POST Tokens/Peer", 201, load("Tokens", &kept.reference.url), &[STORE, RECORDS]).await;

    let regenerate = rest.request(Method::PATCH, &format!("/api/v2/Files/{file}/RegenerateOwnershipToken"));
    observer.observe("PATCH Files/{id}/RegenerateOwnershipToken", 200, regenerate, &[STORE, RECORDS]).await;
    let entry = json!({ "reference": address, "key": "a", "value": 1 });
    let entry = rest.request(Method::PUT, "/api/v2/IdentityMetadata").json(&entry);
    observer.observe("PUT IdentityMetadata", 200, entry, &[STORE]).await;
    let selected = [("reference", address.as_str().unwrap()), ("key", "a")];
    let removal = rest.request(Method::DELETE, "/api/v2/IdentityMetadata").query(&selected);
    observer.observe("DELETE IdentityMetadata", 204, removal, &[STORE]).await;
    let challenge = rest.post("Challenges").json(&json!({ "challengeType": "Identity" }));
    observer.observe("POST Challenges", 201, challenge, &[RECORDS]).await;
    let delete = |resource: &str, id: &str| rest.request(Method::DELETE, &format!("/api/core/v1/{resource}/{id}"));
    let removal = delete("Tokens", stored["id"].as_str().unwrap());
    observer.observe("DELETE Tokens/{id}", 204, removal, &[STORE, RECORDS]).await;
    observer.observe("DELETE Files/{id}", 204, delete("Files", &file), &[STORE, RECORDS]).await;
}

/// Somebody else at the same backbone.
async fn peer(world: &World, url: &str) -> enlace_tests::Node {
    // A backbone alone knows no clients but the given one.
    let (id, secret) = OAUTH_CLIENT.split_once(':').unwrap();
    let _ = http();
    let config = Config::new(world.directory("peer"), BackboneConfig::new(url, id, Secret::new(secret)));
    enlace_tests::Node::start(config, world.clock().clone()).await.unwrap()
}
