//! Every message of every protocol: frozen bytes, and what holds for all of them.

use proptest::prelude::*;
use serde_json::{Value, json};
use transport::peer::{DeviceCertificate, FrameError, IdentityMessage, IdentityProof, Message, PeerKey, Refusal};

use crate::world::Node;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap()).collect()
}

/// Compares with a file of `tests/vectors/`, or writes it.
pub(crate) fn frozen(name: &str, current: &Value) {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_PEER_VECTORS").is_some() {
        std::fs::write(&path, format!("{current:#}\n")).unwrap();
    }
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(stored, *current, "see the head of main.rs");
}

/// The vectors of some messages, each of which reads back as what it was.
pub(crate) fn vectors<M: Message + PartialEq + std::fmt::Debug>(messages: &[(&str, M)]) -> Value {
    let vector = |(name, message): &(&str, M)| {
        assert_eq!(M::decode(&message.encode()).as_ref(), Ok(message));
        json!({"name": name, "messageHex": hex(&message.encode())})
    };
    messages.iter().map(vector).collect()
}

/// What holds for each message: it reads back, nothing shorter, longer or altered means the same.
pub(crate) fn check<M: Message + PartialEq + std::fmt::Debug>(message: &M, at: usize, bit: u32) {
    let bytes = message.encode();
    assert!(bytes.len() <= M::MAX_LENGTH);
    assert_eq!(M::decode(&bytes).as_ref(), Ok(message));
    assert!(M::decode(&bytes[..at % bytes.len()]).is_err());
    assert!(M::decode(&[&bytes[..], &[0]].concat()).is_err());
    let mut altered = bytes.clone();
    altered[at % bytes.len()] ^= 1 << bit;
    if let Ok(other) = M::decode(&altered) {
        assert_ne!(other, *message);
        assert_eq!(other.encode(), altered);
    }
}

/// Whether bytes are refused, or are the only encoding of what they mean.
pub(crate) fn is_strict<M: Message>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
}

pub(crate) fn refusal() -> impl Strategy<Value = Refusal> {
    any::<u8>().prop_map(Refusal::of_number)
}

fn identity_messages() -> Vec<(&'static str, IdentityMessage)> {
    let [one, other] = [1, 2].map(Node::new);
    let binding = *one.meet(&other, 5)[0].binding();
    let signed = IdentityProof::signed_bytes(&one.certificate(), transport::peer::Role::Initiator, &binding);
    let signature = *one.device_key.sign(&signed, transport::crypto::SignatureHash::Sha512).as_raw();
    let proof = IdentityProof { certificate: one.certificate(), signature };
    vec![
        ("hello", IdentityMessage::Hello { nonce: [7; 32] }),
        ("proof", IdentityMessage::Proof(Some(proof))),
        ("proof of a stranger", IdentityMessage::Proof(None)),
        ("refused", IdentityMessage::Refused(Refusal::Removed)),
        ("refused for a later reason", IdentityMessage::Refused(Refusal::Other(200))),
    ]
}

#[test]
fn identities_are_exchanged_as_the_vectors_say() {
    let [one, other] = [1, 2].map(Node::new);
    let binding = *one.meet(&other, 5)[0].binding();
    let current = json!({
        "deviceSeedHex": hex(one.device_key.expose_seed()),
        "peerPublicKeyHex": hex(&PeerKey::derive(&one.device_key).peer_id().to_bytes()[6..]),
        "peerId": one.peer_id().to_base58(),
        "otherPeerId": other.peer_id().to_base58(),
        "identitySeedHex": hex(one.identity_key.expose_seed()),
        "address": one.address(),
        "certificateHex": hex(&one.certificate().encode()),
        "nonceHex": hex(&[5; 32]),
        "otherNonceHex": hex(&[6; 32]),
        "bindingHex": hex(binding.as_bytes()),
        "messages": vectors(&identity_messages()),
    });
    frozen("peer-identity", &current);
}

#[test]
fn bad_messages_are_refused_as_the_vectors_say() {
    let path = format!("{}/tests/vectors/peer-bad.json", env!("CARGO_MANIFEST_DIR"));
    let bad: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = bad["cases"].as_array().unwrap();
    for case in cases {
        let bytes = unhex(case["messageHex"].as_str().unwrap());
        let error = match case["protocol"].as_str().unwrap() {
            "certificate" => DeviceCertificate::decode(&bytes).unwrap_err(),
            "identity" => IdentityMessage::decode(&bytes).unwrap_err(),
            other => panic!("{other}"),
        };
        assert_eq!(format!("{error:?}"), case["error"].as_str().unwrap(), "{}", case["name"]);
    }
    assert_eq!(cases.len() as u64, bad["count"].as_u64().unwrap());
}

#[test]
fn a_message_longer_than_its_protocol_allows_is_not_looked_at() {
    let at_bound = vec![0x82; IdentityMessage::MAX_LENGTH];
    assert_eq!(IdentityMessage::decode(&at_bound), Err(FrameError::Malformed));
    assert_eq!(IdentityMessage::decode(&[&at_bound[..], &[0]].concat()), Err(FrameError::TooLong));
}

proptest! {
    #[test]
    fn identity_messages_have_one_encoding(nonce: [u8; 32], refusal in refusal(), at: usize, bit in 0..8_u32) {
        check(&IdentityMessage::Hello { nonce }, at, bit);
        check(&IdentityMessage::Refused(refusal), at, bit);
    }

    #[test]
    fn certificates_have_one_encoding(number in 0..100_u8, at: usize, bit in 0..8_u32) {
        let node = Node::new(number);
        let certificate = node.certificate();
        check(&certificate, at, bit);
        let signature = [number; 64];
        check(&IdentityMessage::Proof(Some(IdentityProof { certificate, signature })), at, bit);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(kind in 0..8_u8, members in 1..9_u8, rest in proptest::collection::vec(any::<u8>(), 0..200)) {
        for bytes in [rest.clone(), [&[0x80 + members, kind][..], &rest].concat()] {
            is_strict::<DeviceCertificate>(&bytes);
            is_strict::<IdentityMessage>(&bytes);
        }
    }
}
