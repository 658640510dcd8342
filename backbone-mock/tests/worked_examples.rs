//! The official client's first start, and handing a file over by token, as complete exchanges with fixed vectors.
#![allow(clippy::unwrap_used)]

mod common;

use common::{CLIENT, CLIENT_SECRET, PASSWORD, Person, World, answer, modification, refusal, text_of};
use ed25519_dalek::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};

const ADDRESS_A: &str = "did:e:bb.example.org:dids:c5b454f4a8133c3d2cf2ef";
const ADDRESS_B: &str = "did:e:bb.example.org:dids:a02495b53ef152589babd8";

/// C53, C1: the first start, from the challenge to the empty list of modifications.
#[tokio::test]
async fn first_start_of_the_official_client() {
    let world = World::new().await;
    let key = SigningKey::from_bytes(&[0x11; 32]);
    let challenge = world.challenge().await;
    assert_eq!(challenge["expiresAt"], "2030-01-01T12:10:00.000Z");
    assert_eq!((&challenge["createdBy"], &challenge["createdByDevice"]), (&Value::Null, &Value::Null));

    let text = format!(r#"{{"expiresAt":"2030-01-01T12:10:00.000Z","id":{},"type":"Identity"}}"#, challenge["id"]);
    let mut body = world.identity_body(&key, &text);
    assert_eq!(
        body["identityPublicKey"],
        "eyJwdWIiOiIwRXF5TW5RcnRLczZFMmk5UmhYazV0QWlTcmNhQVd1dmhTQ2pNc2wzaHpjIiwiYWxnIjozfQ"
    );
    body["clientSecret"] = json!("wrong");
    assert_eq!(refusal(world.anonymous(Method::POST, "/Identities").json(&body), 400).await, "unauthorized");
    body["clientSecret"] = json!(CLIENT_SECRET);
    let created = answer(world.anonymous(Method::POST, "/Identities").json(&body), 201).await;
    assert_eq!(created["address"], ADDRESS_A);
    assert_eq!(created["createdAt"], "2030-01-01T12:00:00.000Z");

    let username = text_of(&created["device"]["username"]);
    let (status, login) = world
        .login(&[
            ("client_id", CLIENT),
            ("client_secret", CLIENT_SECRET),
            ("grant_type", "password"),
            ("username", &username),
            ("password", PASSWORD),
        ])
        .await;
    assert_eq!((status.as_u16(), &login["token_type"], &login["expires_in"]), (200, &json!("Bearer"), &json!(300)));
    assert!(login.get("result").is_none());

    let token = text_of(&login["access_token"]);
    let call = |method, path: &str| {
        world.anonymous(method, path).bearer_auth(&token).header("x-supported-datawallet-version", "1")
    };
    let started = answer(call(Method::POST, "/SyncRuns").json(&json!({"type": "DatawalletVersionUpgrade"})), 201).await;
    let run = &started["syncRun"];
    assert_eq!(started["status"], "Created");
    assert_eq!((&run["index"], &run["eventCount"]), (&json!(0), &json!(0)));
    assert_eq!(run["expiresAt"], "2030-01-01T12:00:10.000Z");
    assert_eq!((&run["createdBy"], &run["createdByDevice"]), (&json!(ADDRESS_A), &created["device"]["id"]));

    let path = format!("/SyncRuns/{}/FinalizeDatawalletVersionUpgrade", text_of(&run["id"]));
    let body = json!({"newDatawalletVersion": 1, "datawalletModifications": [modification("DVCaaaaaaaaaaaaaaaa1")]});
    let finalized = answer(call(Method::PUT, &path).json(&body), 200).await;
    assert_eq!(finalized["newDatawalletModificationIndex"], 0);
    assert_eq!(finalized["datawalletModifications"][0]["index"], 0);
    assert_eq!(answer(call(Method::GET, "/Datawallet"), 200).await, json!({"version": 1}));
    assert_eq!(answer(call(Method::GET, "/Datawallet/Modifications?localIndex=0"), 200).await, json!([]));
}

/// The signature printed in the example is the one over its 86 bytes of challenge text.
#[test]
fn the_printed_signature_is_reproduced() {
    let text = r#"{"expiresAt":"2030-01-01T12:10:00.000Z","id":"CHLstart000000000001","type":"Identity"}"#;
    assert_eq!(text.len(), 86);
    let signed = common::signed(&SigningKey::from_bytes(&[0x11; 32]), text);
    assert_eq!(
        signed["signature"],
        "eyJzaWciOiJZMm13djNCaXJmd25qdlpqc19xOE5nQ0dlNVV5UFhrRGZValZmem02RjJYRDN3N2NPN1AxOWZhRFh2MFdaUE8tVlVkb010NFBVaklFckFVMmxzNGRDQSIsImFsZyI6Mn0"
    );
}

const BYTES: &[u8] = br#"{"cph":"bWFkZS11cCBjaXBoZXIgdGV4dA","alg":3,"nnc":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}"#;
const HASH: &str = "Y0Ga-2Cv2vy-gaXVtztnwVAv8xBp7WfiT9YTac2leeW43NeWOIW5NhVusEfGb0DDJqVHA-GE3j_EeFdlTayAHg";
const RIGHT: &str = "password=dpqch0%2F%2BSANX6hiytG%2BFCWTyUfsclniaXY%2Byl4D2WM4%3D";
const WRONG: &str = "password=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D";

/// C53: A hands a file to B by token, B takes it over, both keep their records in step.
#[tokio::test]
async fn a_file_is_handed_over_by_token_and_taken_over() {
    let world = World::new().await;
    let a = world.person_with_datawallet(0x11).await;
    let b = world.person_with_datawallet(0x22).await;
    assert_eq!((a.address.as_str(), b.address.as_str()), (ADDRESS_A, ADDRESS_B));

    let upload = common::Upload::new(BYTES).set("expiresAt", "2031-01-01T00:00:00.000Z");
    assert_eq!(upload.fields[0].1, HASH);
    let file = answer(a.upload(upload), 201).await;
    let path = format!("/Files/{}", text_of(&file["id"]));
    assert_eq!((&file["cipherSize"], &file["cipherHash"]), (&json!(85), &json!(HASH)));
    let first_ownership_token = json!({ "ownershipToken": file["ownershipToken"] });

    let token = load_token_as_b(&world, &a, &b).await;
    read_file_as_b(&b, &path, &file).await;

    let validity = answer(b.post(&format!("{path}/ValidateOwnershipToken"), &first_ownership_token), 200).await;
    assert_eq!(validity, json!({ "isValid": true }));
    answer(b.patch(&format!("{path}/ClaimOwnership"), &first_ownership_token), 200).await;
    sync_as_a(&a, &b, &path, &text_of(&file["id"])).await;

    let again = a.patch(&format!("{path}/ClaimOwnership"), &first_ownership_token);
    assert_eq!(refusal(again, 403).await, "forbidden");
    answer(b.request(Method::PATCH, &format!("{path}/RegenerateOwnershipToken")), 200).await;
    assert_eq!(answer(b.get(&format!("{path}/Metadata")), 200).await["ownershipIsLocked"], false);
    answer(a.delete(&format!("/Tokens/{token}")), 204).await;
    refusal(b.get(&format!("/Tokens/{token}")), 404).await;
    answer(b.delete(&path), 204).await;
    refusal(b.get(&path), 404).await;
}

async fn load_token_as_b(world: &World, a: &Person, b: &Person) -> String {
    let token = a
        .token(json!({
            "content": "b3BhcXVlLTQ",
            "expiresAt": "2030-02-01T00:00:00.000Z",
            "forIdentity": ADDRESS_B,
            "password": "dpqch0/+SANX6hiytG+FCWTyUfsclniaXY+yl4D2WM4=",
        }))
        .await;
    let path = format!("/Tokens/{token}");
    let response = b.get(&format!("{path}?{WRONG}")).send().await.unwrap();
    assert_eq!(response.status(), 404);
    let body: Value = response.json().await.unwrap();
    assert!(body["error"]["message"].as_str().unwrap().starts_with("Token not found."));
    let shown = answer(b.get(&format!("{path}?{RIGHT}")), 200).await;
    let expected = json!({
        "id": token,
        "createdBy": ADDRESS_A,
        "createdByDevice": a.device,
        "forIdentity": ADDRESS_B,
        "createdAt": "2030-01-01T12:00:00.000Z",
        "expiresAt": "2030-02-01T00:00:00.000Z",
        "content": "b3BhcXVlLTQ",
        "isPasswordProtected": true,
    });
    assert_eq!(shown, expected);
    assert_eq!(answer(b.get(&path), 200).await, shown);
    refusal(world.anonymous(Method::GET, &format!("{path}?{RIGHT}")), 404).await;
    token
}

async fn read_file_as_b(b: &Person, path: &str, file: &Value) {
    let mut expected = file.clone();
    let members = expected.as_object_mut().unwrap();
    members.remove("ownershipToken");
    members.insert("modifiedByDevice".to_owned(), file["createdByDevice"].clone());
    members.insert("deletedByDevice".to_owned(), Value::Null);
    members.insert("ownershipIsLocked".to_owned(), json!(false));
    members.insert("encryptedProperties".to_owned(), json!("b3BhcXVlLTM"));
    let metadata = answer(b.get(&format!("{path}/metadata")), 200).await;
    assert_eq!(metadata.as_object().unwrap().len(), expected.as_object().unwrap().len());
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&metadata[name], value, "{name}");
    }
    let download = b.get(path).send().await.unwrap();
    assert_eq!(download.headers()["content-type"], "application/octet-stream");
    assert_eq!(download.headers()["content-length"], "85");
    assert_eq!(download.bytes().await.unwrap(), BYTES);
}

async fn sync_as_a(a: &Person, b: &Person, path: &str, file: &str) {
    let run = a.start_run("ExternalEventSync").await;
    assert_eq!((&run["index"], &run["eventCount"]), (&json!(1), &json!(1)));
    assert_eq!(answer(a.get("/Datawallet/Modifications?localIndex=0"), 200).await, json!([]));
    let run_path = format!("/SyncRuns/{}", text_of(&run["id"]));
    let events = answer(a.get(&format!("{run_path}/ExternalEvents")), 200).await;
    let event = &events[0];
    assert_eq!((&event["type"], &event["index"]), (&json!("FileOwnershipClaimed"), &json!(0)));
    assert_eq!(event["payload"], json!({ "fileId": file, "newOwnerAddress": b.address }));
    assert_eq!(answer(a.get(&format!("{path}/metadata")), 200).await["owner"], json!(b.address));
    let body = json!({
        "datawalletModifications": [modification("o1"), modification("o2")],
        "externalEventResults": [{ "externalEventId": event["id"] }],
    });
    let finalized = answer(a.put(&format!("{run_path}/FinalizeExternalEventSync"), &body), 200).await;
    assert_eq!(finalized["newDatawalletModificationIndex"], 2);
    assert_eq!(finalized["datawalletModifications"][0]["index"], 1);
    assert_eq!(finalized["datawalletModifications"][1]["index"], 2);
    assert_eq!(finalized["newUnsyncedExternalEventsExist"], false);
}
