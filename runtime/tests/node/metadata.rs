//! Metadata of identities.

use runtime::dto::IdentityMetadata;
use serde_json::{Value, json};

use crate::world::{World, code};

#[tokio::test]
async fn values_are_kept_under_address_and_key() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let own = alice.account().identity_info().await.unwrap().address;
    let entry = |key: Option<&str>, value: Value| IdentityMetadata {
        reference: own.clone(),
        key: key.map(str::to_owned),
        value,
    };
    let entries = [
        entry(None, json!("text")),
        entry(Some(""), json!("empty key")),
        entry(Some("object"), json!({"@type": "Unknown", "b": 1, "a": [1, {"c": null}]})),
        entry(Some("number"), json!(1.5)),
        entry(Some("false"), json!(false)),
    ];
    for entry in &entries {
        assert_eq!(&alice.identity_metadata().upsert(entry.clone()).await.unwrap(), entry);
    }
    for entry in &entries {
        assert_eq!(&alice.identity_metadata().find(&own, entry.key.as_deref()).await.unwrap(), entry);
    }
    let again = entry(None, json!("second"));
    alice.identity_metadata().upsert(again.clone()).await.unwrap();
    assert_eq!(alice.identity_metadata().find(&own, None).await.unwrap(), again);
    alice.identity_metadata().delete(&own, None).await.unwrap();
    assert_eq!(code(alice.identity_metadata().find(&own, None).await), "error.runtime.identityMetadata.notFound");
    assert_eq!(code(alice.identity_metadata().delete(&own, None).await), "error.runtime.identityMetadata.notFound");
    assert!(alice.identity_metadata().find(&own, Some("")).await.is_ok());
}

#[tokio::test]
async fn strangers_and_null_are_refused() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let stranger = bob.account().identity_info().await.unwrap().address;
    let own = alice.account().identity_info().await.unwrap().address;
    let entry = IdentityMetadata { reference: stranger, key: None, value: json!(1) };
    let refusal = alice.identity_metadata().upsert(entry.clone()).await;
    assert_eq!(code(refusal), "error.runtime.identityMetadata.unfamiliarReferencedIdentity");
    let null = IdentityMetadata { reference: own, value: Value::Null, ..entry };
    assert_eq!(code(alice.identity_metadata().upsert(null).await), "error.runtime.unknown");
}
