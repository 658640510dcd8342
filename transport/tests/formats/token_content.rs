//! token-content.json

use transport::crypto::{Cipher, CryptoObject, SecretKey};
use transport::token::TokenContent;
use transport::wire::bytes::from_base64url;

use crate::vectors::{Vector, load};

/// The content that a backbone stored.
pub(crate) fn open(sealed: &[u8], key: &SecretKey) -> TokenContent {
    let plaintext = key.decrypt(&Cipher::from_bytes(sealed).unwrap()).unwrap();
    TokenContent::parse(std::str::from_utf8(&plaintext).unwrap()).unwrap()
}

#[test]
fn contents_are_sealed_as_by_other_clients() {
    for case in load("token-content").list("deterministic") {
        let content = TokenContent::parse(case.text("serializedPlaintext")).unwrap();
        assert_eq!(content.to_text(), case.text("serializedPlaintext"));
        let key = SecretKey::from_bytes(case.hex_array("keyHex"));
        let cipher = key.encrypt_with_nonce(content.to_text().as_bytes(), case.hex_array("nonceHex"));
        assert_eq!(cipher.to_byte_text().to_string(), case.text("backboneContentField"));
    }
}

#[test]
fn contents_of_other_clients_open_with_their_types() {
    for case in load("token-content").list("deterministic") {
        let key = SecretKey::from_bytes(case.hex_array("keyHex"));
        let sealed = from_base64url(case.text("backboneContentField")).unwrap();
        let content = open(&sealed, &key);
        let kind = match &content {
            TokenContent::File { .. } => "TokenContentFile",
            TokenContent::RelationshipTemplate { .. } => "TokenContentRelationshipTemplate",
            TokenContent::DeviceSharedSecret(_) => "TokenContentDeviceSharedSecret",
            TokenContent::Json(_) => "JSONWrapper",
        };
        assert_eq!(kind, case.text("parsesBackAs"));
        assert_eq!(content, TokenContent::parse(case.text("serializedPlaintext")).unwrap());
    }
}

#[test]
fn a_device_secret_matches_its_identity() {
    let vectors = load("token-content");
    let case =
        vectors.list("deterministic").iter().find(|case| case.text("content") == "TokenContentDeviceSharedSecret");
    let content = TokenContent::parse(case.unwrap().text("serializedPlaintext")).unwrap();
    let TokenContent::DeviceSharedSecret(secret) = content else { panic!("{content:?}") };
    assert_eq!(secret.identity.check(), Ok(()));
    assert_eq!(secret.identity_private_key.unwrap().public_key(), secret.identity.public_key);
    assert_eq!(secret.identity.address.as_str(), vectors["fixtures"].text("address"));
}
