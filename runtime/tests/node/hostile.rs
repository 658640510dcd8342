//! A backbone that alters answers: each altered answer is refused, and nothing of it is stored.

use std::time::Duration;

use backbone_mock::fault::Matching;
use http::Method;
use runtime::Timestamp;
use runtime::facade::{Ownership, UploadOwnFile};
use serde_json::{Value, json};
use transport::wire::bytes::{from_base64url, to_base64url};

use crate::world::{World, bytes_of, code, file, load_file, load_token, own_token, temporary_files};

/// In seconds.
const DAY: u64 = 24 * 60 * 60;

/// How the backbone alters a record before it sends it.
type Change = Box<dyn Fn(&mut Value) + Send + Sync>;

/// Flips one bit of a base64url text, wherever it decodes to.
fn altered(text: &str, place: usize) -> String {
    let mut bytes = from_base64url(text).unwrap();
    let place = place % bytes.len();
    bytes[place] ^= 1;
    to_base64url(&bytes)
}

#[tokio::test]
async fn altered_file_content_is_refused_before_a_byte_is_handed_out() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    for size in [10, 2_000_000] {
        let uploaded = alice.files().upload_own_file(file("a", vec![7; size])).await.unwrap();
        load_file(&bob, &uploaded.reference, None).await.unwrap();
        let download = Matching::path(&format!("/Files/{}", uploaded.id)).method(Method::GET);
        for place in [0, 20, size / 2, size] {
            world.faults.tamper(download.clone().times(1), move |_, body| {
                let mut body = body.to_vec();
                body[place] ^= 1;
                body.into()
            });
            let refusal = bob.files().download_file(&uploaded.id, None).await;
            assert_eq!(code(refusal), "error.transport.files.cipherMismatch", "byte {place}");
        }
        for change in [|body: &[u8]| body[1..].to_vec(), |body: &[u8]| [body, b" "].concat(), |_: &[u8]| Vec::new()] {
            world.faults.tamper(download.clone().times(1), move |_, body| change(&body).into());
            let refusal = bob.files().download_file(&uploaded.id, None).await;
            assert_eq!(code(refusal), "error.transport.files.cipherMismatch");
        }
        assert_eq!(bytes_of(&bob, &uploaded).await.unwrap(), vec![7; size]);
    }
    assert_eq!(temporary_files(bob.config()), 0);
}

#[tokio::test]
async fn an_endless_download_ends_at_the_announced_size() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let uploaded = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    world.faults.tamper(Matching::path("/Files/").method(Method::GET), |_, _| vec![b' '; 10_000_000].into());
    let refusal = alice.files().download_file(&uploaded.id, None).await;
    assert_eq!(code(refusal), "error.transport.files.cipherMismatch");
}

#[tokio::test]
async fn altered_file_metadata_are_refused() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let uploaded = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let other = alice.files().upload_own_file(file("b", "b")).await.unwrap();
    let changes: Vec<Change> = vec![
        Box::new(|record| {
            record["encryptedProperties"] = json!(altered(record["encryptedProperties"].as_str().unwrap(), 30))
        }),
        Box::new(|record| record["encryptedProperties"] = json!("")),
        Box::new(|record| record["cipherHash"] = json!("AAAA")),
        Box::new(|record| record["ownerSignature"] = json!("AAAA")),
        Box::new(|record| record["owner"] = json!("nobody")),
        Box::new(move |record| record["id"] = json!(other.id)),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let metadata = Matching::path("/Metadata").method(Method::GET).times(1);
        world.faults.tamper(metadata, move |_, body| {
            let mut answer: Value = serde_json::from_slice(&body).unwrap();
            change(&mut answer["result"]);
            answer.to_string().into()
        });
        assert_ne!(code(load_file(&bob, &uploaded.reference, None).await), "no error", "change {number}");
    }
    assert!(bob.files().files(Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
    assert!(load_file(&bob, &uploaded.reference, None).await.is_ok());
}

#[tokio::test]
async fn altered_and_swapped_token_contents_are_refused() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let token = alice.tokens().create_own_token(own_token(json!({"a": "b"}), world.at(60))).await.unwrap();
    let other = alice.tokens().create_own_token(own_token(json!({"c": "d"}), world.at(60))).await.unwrap();
    let reading = || Matching::path(&format!("/Tokens/{}", token.id)).method(Method::GET).times(1);
    for place in [8, 40, 60, 90] {
        world.faults.tamper(reading(), move |_, body| {
            let mut answer: Value = serde_json::from_slice(&body).unwrap();
            let content = altered(answer["result"]["content"].as_str().unwrap(), place);
            answer["result"]["content"] = content.into();
            answer.to_string().into()
        });
        assert_ne!(code(load_token(&bob, &token.reference, None).await), "no error", "byte {place}");
    }
    world.faults.tamper(reading(), move |_, body| {
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        answer["result"]["id"] = json!(other.id);
        answer.to_string().into()
    });
    assert_eq!(code(load_token(&bob, &token.reference, None).await), "error.runtime.unknown");
    assert!(bob.tokens().tokens(Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
    assert!(load_token(&bob, &token.reference, None).await.is_ok());
}

#[tokio::test]
async fn a_backbone_can_only_shorten_an_expiry_and_not_into_the_past() {
    let world = World::new().await;
    world.clock.advance(Duration::from_secs(10 * DAY));
    let alice = world.node("alice").await;
    let asked = world.at(100 * DAY);
    let cases = [
        (world.at(99 * DAY), world.at(99 * DAY)),
        // Clocks may differ by a day.
        (world.at(9 * DAY), world.at(9 * DAY)),
        (world.at(9 * DAY - 1), asked),
        (Timestamp::MIN, asked),
        (asked, asked),
        (world.at(100 * DAY + 1), asked),
        (Timestamp::MAX, asked),
    ];
    for (told, believed) in cases {
        for path in ["/Files", "/Tokens"] {
            world.faults.tamper(Matching::path(path).method(Method::POST).times(1), move |_, body| {
                let mut answer: Value = serde_json::from_slice(&body).unwrap();
                answer["result"]["expiresAt"] = json!(told);
                answer.to_string().into()
            });
        }
        let upload = UploadOwnFile { expires_at: Some(asked), ..file("a", "a") };
        let uploaded = alice.files().upload_own_file(upload).await.unwrap();
        let token = alice.tokens().create_own_token(own_token(json!({}), asked)).await.unwrap();
        assert_eq!((uploaded.expires_at, token.expires_at), (believed, believed), "{told}");
        assert_eq!(alice.files().file(&uploaded.id).await.unwrap().expires_at, believed);
        assert_eq!(alice.tokens().token(&token.id).await.unwrap().expires_at, believed);
    }
}
