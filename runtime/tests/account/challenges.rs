use runtime::dto::ChallengeType;
use runtime::facade::{CreateChallenge, ValidateChallenge};
use transport::crypto::{CryptoObject as _, Signature, SignaturePublicKey};

use crate::world::World;

#[tokio::test]
async fn challenges_are_signed_with_the_key_they_name() {
    let world = World::new().await;
    let node = world.node("node").await;
    let (identity, device) =
        (node.account().identity_info().await.unwrap(), node.account().device_info().await.unwrap());
    let cases = [
        (CreateChallenge::Identity, ChallengeType::Identity, identity.public_key),
        (CreateChallenge::Device, ChallengeType::Device, device.public_key),
    ];
    for (request, kind, public_key) in cases {
        let challenge = node.challenges().create_challenge(request).await.unwrap();
        assert_eq!(challenge.kind, kind);
        assert_eq!(challenge.created_by.as_ref(), Some(&identity.address));
        assert_eq!(challenge.created_by_device.as_ref(), Some(&device.id));
        let key = SignaturePublicKey::from_base64(&public_key).unwrap();
        let signature = Signature::from_base64(&challenge.signature).unwrap();
        key.verify(challenge.challenge_string.as_bytes(), &signature).unwrap();
    }
}

#[tokio::test]
async fn a_challenge_for_an_unknown_relationship_is_not_found() {
    let world = World::new().await;
    let node = world.node("node").await;
    let request = CreateChallenge::Relationship("REL00000000000000000".parse().unwrap());
    let error = node.challenges().create_challenge(request).await.unwrap_err();
    assert_eq!(error.code(), "error.runtime.recordNotFound");
    assert_eq!(error.to_string(), "Relationship not found. Make sure the ID exists and the record is not expired.");
}

#[tokio::test]
async fn validation_checks_signature_text_and_creator_in_this_order() {
    let world = World::new().await;
    let node = world.node("node").await;
    let own = node.challenges().create_challenge(CreateChallenge::Identity).await.unwrap();
    let validate = async |challenge_string: &str, signature: &str| {
        let request =
            ValidateChallenge { challenge_string: challenge_string.to_owned(), signature: signature.to_owned() };
        node.challenges().validate_challenge(request).await
    };
    for (text, signature, message) in [
        ("x", "x", "The signature is invalid."),
        ("", "", "The signature is invalid."),
        ("x", own.signature.as_str(), "The challengeString is invalid."),
        ("{}", own.signature.as_str(), "The challengeString is invalid."),
    ] {
        let error = validate(text, signature).await.unwrap_err();
        assert_eq!(error.code(), "error.runtime.validation.invalidPropertyValue");
        assert_eq!(error.to_string(), message);
    }
    let error = validate(&own.challenge_string, &own.signature).await.unwrap_err();
    assert_eq!(error.code(), "error.transport.recordNotFound");
    assert!(
        error.to_string().starts_with("error.transport.recordNotFound: ''Relationship' not found.' at "),
        "{error}"
    );

    let anonymous = r#"{"expiresAt":"2026-01-01T00:00:00.000Z","id":"CHLabcdefghijklmno12","type":"Identity"}"#;
    assert!(!validate(anonymous, &own.signature).await.unwrap().is_valid, "nobody claims to have signed it");
}
