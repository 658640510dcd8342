//! session-v7.0.0.json and session-v6.60.5.json: whole sessions of two identities, sealed and signed by real clients.

use serde_json::Value;
use transport::challenge::ChallengeSigned;
use transport::crypto::hash::Sha512Hash;
use transport::crypto::{CryptoObject, SecretKey, Signature, SignatureKeypair, SignaturePublicKey, hash_password};
use transport::datawallet::open_payload;
use transport::file::FileMetadata;
use transport::identity::{address_belongs_to, derive_address};
use transport::token::TokenContent;
use transport::wire::{Address, AnyReference, ByteText, Timestamp, TokenReference};

use crate::file::open;
use crate::token_content;
use crate::vectors::{Vector, load};

const VERSIONS: [&str; 2] = ["session-v7.0.0", "session-v6.60.5"];

/// Requests, with the names of their steps.
fn requests(session: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let steps = session.list("steps").iter();
    steps.flat_map(|step| step["requests"].as_array().unwrap().iter().map(|request| (step.text("step"), request)))
}

fn bytes(value: &Value) -> ByteText {
    serde_json::from_value(value.clone()).unwrap()
}

fn key(value: &Value) -> SecretKey {
    SecretKey::from_value(value).unwrap()
}

fn identity_key(session: &Value, who: &str) -> SignaturePublicKey {
    SignatureKeypair::from_private_key(&session["secrets"][who]["identity_signature"]).unwrap().public_key()
}

/// An object's properties, merged from the payloads in the recorded datawallet of identity A.
fn synchronized<'a>(datawallet: &'a Value, id: &'a str) -> impl Iterator<Item = Value> + 'a {
    let of_object = datawallet.list("modifications").iter().filter(move |entry| entry.text("objectIdentifier") == id);
    of_object
        .filter_map(|entry| entry.optional_text("payloadPlaintext"))
        .map(|text| serde_json::from_str(text).unwrap())
}

#[test]
fn addresses_belong_to_the_identity_keys() {
    for version in VERSIONS {
        let session = load(version);
        for who in ["a", "b"] {
            let address: Address = session["secrets"][who].text("address").parse().unwrap();
            let key = identity_key(&session, who);
            assert_eq!(address_belongs_to(&address, &key), Ok(()));
            assert_eq!(derive_address(&key, "backbone.example.com"), Ok(address));
        }
    }
}

#[test]
fn identities_and_devices_are_created_with_challenges_that_verify() {
    for version in VERSIONS {
        let session = load(version);
        let mut count = 0;
        for (step, request) in requests(&session) {
            let Some(signed) = request["body"].get("signedChallenge") else { continue };
            count += 1;
            let who = if step.starts_with('A') { "a" } else { "b" };
            let signed = ChallengeSigned::from_json(&signed.to_string()).unwrap();
            let challenge = signed.verify(&identity_key(&session, who), "2026-11-21".parse().unwrap()).unwrap();
            assert!(challenge.id.as_str().starts_with("CHL"));
            if let Some(public_key) = request["body"].optional_text("identityPublicKey") {
                assert_eq!(SignaturePublicKey::from_base64(public_key), Ok(identity_key(&session, who)));
            }
        }
        assert_eq!(count, 3);
    }
}

#[test]
fn challenges_shown_to_peers_verify() {
    for version in VERSIONS {
        let session = load(version);
        let relationship = &session["secrets"]["a"]["relationshipSecrets"]["sig"];
        let keys = [
            ("challengeIdentity", identity_key(&session, "a")),
            ("challengeRelationship", SignatureKeypair::from_value(relationship).unwrap().public_key()),
        ];
        for (name, key) in keys {
            let signed = ChallengeSigned::from_json(&session["objects"][name].to_string()).unwrap();
            assert!(signed.verify(&key, Timestamp::MIN).is_ok(), "{version} {name}");
        }
    }
}

#[test]
fn every_token_opens_with_its_key() {
    for version in VERSIONS {
        let session = load(version);
        let objects = session["objects"].as_object().unwrap();
        let mut count = 0;
        for (_, request) in requests(&session) {
            let path = request.text("path");
            let created = request.text("method") == "POST" && path.ends_with("/Tokens");
            let loaded = request.text("method") == "GET" && path.contains("/Tokens/");
            let (content, id) = match (created, loaded) {
                (true, _) => (&request["body"]["content"], request["response"]["result"].text("id")),
                (_, true) => (&request["response"]["result"]["content"], request["response"]["result"].text("id")),
                _ => continue,
            };
            let object = objects.values().find(|object| object["id"] == id).unwrap();
            let opened = token_content::open(&bytes(content).0, &key(&object["secretKey"]));
            let expected = object.get("content").unwrap_or(&object["cache"]["content"]);
            assert_eq!(opened, TokenContent::from_json(expected.clone(), false).unwrap());
            count += 1;
        }
        assert!(count >= 4, "{version}: {count}");
    }
}

#[test]
fn every_file_opens_and_its_owner_signature_verifies() {
    for version in VERSIONS {
        let session = load(version);
        let datawallet = load(&version.replace("session", "datawallet"));
        let mut count = 0;
        for (step, request) in requests(&session) {
            let Some(fields) = request["body"].get("multipartFields") else { continue };
            count += 1;
            let id = request["response"]["result"].text("id");
            let metadata_key =
                synchronized(&datawallet, id).find_map(|properties| properties.get("secretKey").map(key));
            let properties = bytes(&fields["encryptedProperties"]);
            let metadata = FileMetadata::open(&properties.0, &metadata_key.unwrap()).unwrap();
            let cipher_hash: Sha512Hash = fields.text("cipherHash").parse().unwrap();
            let plaintext = open(&bytes(&fields["content"]).0, &metadata, cipher_hash).unwrap();
            assert_eq!(plaintext.len() as u64, metadata.filesize);

            let who = if step.starts_with('A') { "a" } else { "b" };
            let device = SignatureKeypair::from_private_key(&session["secrets"][who]["device_signature"]).unwrap();
            let signature = Signature::from_base64(fields.text("ownerSignature")).unwrap();
            assert_eq!(device.public_key().verify(metadata.plaintext_hash.as_bytes(), &signature), Ok(()));
        }
        assert_eq!(count, 2);
    }
}

#[test]
fn every_datawallet_modification_of_both_identities_opens() {
    for version in VERSIONS {
        let session = load(version);
        let mut count = 0;
        for (step, request) in requests(&session) {
            let body = &request["body"];
            let Some(pushed) = body.get("modifications").or_else(|| body.get("datawalletModifications")) else {
                continue;
            };
            let pushed = pushed.as_array().unwrap();
            let result = &request["response"]["result"];
            let newest = result["newIndex"].as_u64().or_else(|| result["newDatawalletModificationIndex"].as_u64());
            let Some(newest) = newest.filter(|_| !pushed.is_empty()) else { continue };
            let who = if step.starts_with('A') { "a" } else { "b" };
            let key = key(&session["secrets"][who]["identity_synchronization_master"]);
            for (index, modification) in (newest + 1 - pushed.len() as u64..).zip(pushed) {
                if let Some(payload) = modification.get("encryptedPayload").filter(|payload| !payload.is_null()) {
                    assert!(open_payload(&key, index, &bytes(payload)).is_ok(), "{version} {step} {index}");
                    count += 1;
                }
            }
        }
        assert!(count > 20, "{version}: {count}");
    }
}

#[test]
fn references_of_the_session_name_its_objects() {
    for version in VERSIONS {
        let objects = &load(version)["objects"];
        for (reference, object) in
            [("fileRef", "file"), ("tokenRef2", "token2"), ("tokenRef2Url", "token2"), ("templateRef", "template")]
        {
            let Some(text) = objects.optional_text(reference) else { continue };
            let (id, secret_key) = match AnyReference::parse(text).unwrap() {
                AnyReference::File(file) => (file.id.to_string(), SecretKey::from(file.key)),
                AnyReference::Token(token) => (token.id.to_string(), SecretKey::from(token.key)),
                AnyReference::RelationshipTemplate(template) => {
                    (template.id.to_string(), SecretKey::from(template.key))
                }
            };
            assert_eq!(id, objects[object].text("id"));
            assert_eq!(secret_key, key(&objects[object]["secretKey"]));
        }
    }
}

#[test]
fn the_recorded_password_hash_equals_ours() {
    for version in VERSIONS {
        let session = load(version);
        let reference = TokenReference::parse(session["objects"].text("tokenRef2")).unwrap();
        let password = session["objects"]["token2"]["passwordProtection"].text("password").to_owned();
        let hash = hash_password(&password, &reference.password_protection.unwrap().salt).to_backbone_text();
        let queried = requests(&session)
            .filter_map(|(_, request)| request["query"].as_str())
            .find(|query| query.contains("password="));
        let sent = queried.unwrap().split("password=").nth(1).unwrap();
        assert_eq!(sent, hash.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"));
    }
}

#[test]
fn the_shared_secret_of_a_new_device_opens_the_datawallet() {
    let session = load("session-v7.0.0");
    let shared = TokenContent::from_json(session["objects"]["deviceToken"]["content"].clone(), false).unwrap();
    let TokenContent::DeviceSharedSecret(shared) = shared else { panic!("{shared:?}") };
    assert_eq!(shared.identity.check(), Ok(()));
    assert_eq!(shared.synchronization_key, key(&session["secrets"]["a"]["identity_synchronization_master"]));
    assert_eq!(shared.secret_base_key, key(&session["secrets"]["a"]["shared_basekey"]));
}
