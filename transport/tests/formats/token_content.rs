//! token-content.json, content-direct.json

use serde_json::Value;
use transport::crypto::{Cipher, CryptoObject, SecretKey};
use transport::peer::{Direct, DirectDevices, MultiaddrText};
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

#[test]
fn a_content_names_the_devices_that_give_its_file() {
    let texts = |device: &Value, name| -> Vec<MultiaddrText> {
        device[name]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| MultiaddrText::new(text.as_str().unwrap()).unwrap())
            .collect()
    };
    let device = |device: &Value| {
        let (addresses, relays) = (texts(device, "addresses"), texts(device, "relays"));
        Direct { peer_id: device.text("peer").parse().unwrap(), addresses, relays }
    };
    let vectors = load("content-direct");
    for (list, is_written) in [("cases", true), ("alsoRead", false)] {
        for case in vectors.list(list) {
            let content = TokenContent::parse(case.text("content")).unwrap();
            let devices = DirectDevices::of_all(case["devices"].as_array().unwrap().iter().map(device));
            assert_eq!(DirectDevices::of(&content), devices, "{}", case.text("name"));
            assert_eq!(Direct::of(&content), devices.as_ref().map(|devices| devices.first.clone()), "old readers");
            assert_eq!(content.to_text(), case.text("content"), "nothing of it is lost");
            if let Some(devices) = devices.filter(|_| is_written) {
                let mut written = content.clone();
                devices.add_to(&mut written);
                assert_eq!(written.to_text(), case.text("content"), "{}", case.text("name"));
            }
        }
    }
}
