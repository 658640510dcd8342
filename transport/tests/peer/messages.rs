//! Every message of every protocol: frozen bytes, and what holds for all of them.

use proptest::prelude::*;
use serde_json::{Value, json};
use transport::crypto::PasswordHash;
use transport::file::MAX_SEALED_METADATA_LENGTH;
use transport::identity::derive_address;
use transport::peer::{
    CertificateRequest, ClaimAnswer, Claims, Code, CodeMessage, ContentAnswer, ContentHeader, DeviceCertificate,
    FileRequest, FileRequestV2, FileTarget, Format, FrameError, IdentityMessage, IdentityProof, InboxMessage,
    MAX_TOKEN_CONTENT_LENGTH, Message, MetadataAnswer, PasswordProof, PeerKey, Refusal, RequestClaims, TokenAnswer,
    TokenRequest, TokenRequestV2, to_property,
};
use transport::wire::{Address, MAX_ADDRESS_LENGTH};

use crate::code;
use crate::shelf::{self, file_id};
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
        ("proof", IdentityMessage::Proof(Some(proof.into()))),
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
        "certificateProperty": to_property(&one.certificate()),
        "certificateRequestHex": hex(&one.request().encode()),
        "nonceHex": hex(&[5; 32]),
        "otherNonceHex": hex(&[6; 32]),
        "bindingHex": hex(binding.as_bytes()),
        "messages": vectors(&identity_messages()),
    });
    frozen("peer-identity", &current);
}

pub(crate) fn proof() -> PasswordProof {
    let binding = *Node::new(1).meet(&Node::new(2), 5)[0].binding();
    PasswordProof::new(&PasswordHash::from_bytes([9; 32]), &binding, &shelf::token(&Node::new(2)).id)
}

fn file_requests() -> Vec<(&'static str, FileRequest)> {
    let token = FileTarget::Token(shelf::token(&Node::new(2)).id);
    let file = FileTarget::File(file_id());
    vec![
        ("all of it", FileRequest::Content { target: file.clone(), start: 0, end: None, proof: None }),
        (
            "a range with a password",
            FileRequest::Content { target: token.clone(), start: 24, end: Some(1 << 40), proof: Some(proof()) },
        ),
        ("metadata", FileRequest::Metadata { target: file, proof: None }),
        ("metadata with a password", FileRequest::Metadata { target: token, proof: Some(proof()) }),
    ]
}

fn content_answers() -> Vec<(&'static str, ContentAnswer)> {
    let header = |format, length, start, end| {
        ContentAnswer::Header(ContentHeader { file: file_id(), format, length, start, end })
    };
    vec![
        ("format v1", header(Format::V1, 100, 0, 100)),
        ("format v2", header(Format::V2, 1 << 40, 48, 1_048_640)),
        ("nothing of it", header(Format::V2, 0, 0, 0)),
        ("refused", ContentAnswer::Refused(Refusal::NotFound)),
    ]
}

fn metadata_answers() -> Vec<(&'static str, MetadataAnswer)> {
    vec![
        ("metadata", MetadataAnswer::Metadata(Box::new(shelf::metadata(&Node::new(2), 65_536)))),
        ("refused", MetadataAnswer::Refused(Refusal::Locked)),
    ]
}

fn token_answers() -> Vec<(&'static str, TokenAnswer)> {
    let token = shelf::token(&Node::new(2));
    let mut empty = token.clone();
    (empty.created_by, empty.created_by_device, empty.content) = (None, None, None);
    (empty.for_identity, empty.is_password_protected) = (Some(Node::new(1).address()), true);
    vec![
        ("token", TokenAnswer::Token(Box::new(token))),
        ("empty token", TokenAnswer::Token(Box::new(empty))),
        ("refused", TokenAnswer::Refused(Refusal::IdentityRequired)),
    ]
}

#[test]
fn files_are_asked_for_as_the_vectors_say() {
    let current = json!({
        "passwordHashHex": hex(&[9; 32]),
        "proofHex": hex(proof().as_bytes()),
        "requests": vectors(&file_requests()),
        "contentAnswers": vectors(&content_answers()),
        "metadataAnswers": vectors(&metadata_answers()),
    });
    frozen("peer-file", &current);
}

#[test]
fn tokens_and_hints_are_sent_as_the_vectors_say() {
    let token = shelf::token(&Node::new(2)).id;
    let requests = [
        ("load", TokenRequest { token: token.clone(), proof: None }),
        ("load with a password", TokenRequest { token, proof: Some(proof()) }),
    ];
    frozen("peer-token", &json!({"requests": vectors(&requests), "answers": vectors(&token_answers())}));
    let hints = [
        ("hint", InboxMessage::Hint),
        ("accepted", InboxMessage::Accepted),
        ("refused", InboxMessage::Refused(Refusal::Busy)),
    ];
    frozen("peer-inbox", &json!({"messages": vectors(&hints)}));
}

#[test]
fn codes_are_exchanged_as_the_vectors_say() {
    let (messages, fingerprint) = code::recorded();
    let current = json!({
        "code": "7-amber-violin",
        "sharerPeerId": Node::new(2).peer_id().to_base58(),
        "receiverPeerId": Node::new(1).peer_id().to_base58(),
        "sharerRandomnessHex": hex(&[1; 64]),
        "receiverRandomnessHex": hex(&[4; 64]),
        "nonceHex": hex(&[2; 24]),
        "reference": code::reference().to_truncated(),
        "fingerprint": fingerprint,
        "messages": vectors(&messages),
    });
    frozen("peer-code", &current);
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
            "certificate request" => CertificateRequest::decode(&bytes).unwrap_err(),
            "identity" => IdentityMessage::decode(&bytes).unwrap_err(),
            "file" => FileRequest::decode(&bytes).unwrap_err(),
            "content" => ContentAnswer::decode(&bytes).unwrap_err(),
            "token" => TokenRequest::decode(&bytes).unwrap_err(),
            "token 2" => TokenRequestV2::decode(&bytes).unwrap_err(),
            "file 2" => FileRequestV2::decode(&bytes).unwrap_err(),
            "claim" => ClaimAnswer::decode(&bytes).unwrap_err(),
            "code" => CodeMessage::decode(&bytes).unwrap_err(),
            "inbox" => InboxMessage::decode(&bytes).unwrap_err(),
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

#[test]
fn the_largest_answers_are_read_and_larger_ones_are_not() {
    let token = |length| {
        let mut token = shelf::token(&Node::new(2));
        token.for_identity = Some(longest_address());
        token.content = Some(vec![0; length].into());
        TokenAnswer::Token(Box::new(token))
    };
    assert!(token(MAX_TOKEN_CONTENT_LENGTH).is_within_bounds());
    assert!(!token(MAX_TOKEN_CONTENT_LENGTH + 512).is_within_bounds());

    let metadata = |properties, signature| {
        let mut metadata = shelf::metadata(&Node::new(2), u64::MAX);
        (metadata.owner, metadata.created_by) = (longest_address(), longest_address());
        (metadata.encrypted_properties, metadata.owner_signature) =
            (vec![0; properties].into(), vec![0; signature].into());
        MetadataAnswer::Metadata(Box::new(metadata))
    };
    assert!(metadata(MAX_SEALED_METADATA_LENGTH, 1024).is_within_bounds());
    assert!(!metadata(MAX_SEALED_METADATA_LENGTH + 1, 1024).is_within_bounds());
    assert!(!metadata(MAX_SEALED_METADATA_LENGTH, 1025).is_within_bounds());
    for (length, fits) in [(0, true), (64, true), (32, false), (65, false)] {
        let mut metadata = shelf::metadata(&Node::new(2), 1);
        metadata.cipher_hash = vec![1; length].into();
        assert_eq!(MetadataAnswer::Metadata(Box::new(metadata)).is_within_bounds(), fits);
    }
}

fn longest_address() -> Address {
    let host = "h".repeat(MAX_ADDRESS_LENGTH - "did:e::dids:".len() - 22);
    derive_address(&Node::new(1).identity_key.public_key(), &host).unwrap()
}

#[test]
fn the_longest_address_fits_into_a_certificate_and_its_request() {
    let node = Node::new(1);
    let claims = Claims { address: longest_address(), ..node.claims() };
    let certificate = claims.sign(&node.identity_key).unwrap();
    assert!(certificate.is_within_bounds());
    let proof = IdentityProof { certificate, signature: [0; 64] };
    assert!(IdentityMessage::Proof(Some(proof.into())).is_within_bounds());
    let claims = RequestClaims { address: longest_address(), ..node.request_claims() };
    assert!(claims.sign(&node.device_key).unwrap().is_within_bounds());
}

proptest! {
    #[test]
    fn no_text_makes_the_code_reader_panic(text in "\\PC{0,70}", number in 0..2000_u16) {
        let _ = text.parse::<Code>();
        let _ = format!("{number}-amber-{text}").parse::<Code>();
    }

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
        check(&node.request(), at, bit);
        let signature = [number; 64];
        check(&IdentityMessage::Proof(Some(IdentityProof { certificate, signature }.into())), at, bit);
    }

    #[test]
    fn requests_and_answers_have_one_encoding(
        (start, end, proof) in (any::<u64>(), any::<Option<u64>>(), any::<Option<[u8; 32]>>()),
        (a, b, c) in (any::<u64>(), any::<u64>(), any::<u64>()),
        (text, refusal, at, bit) in ("(TOK|FIL)[A-Za-z0-9]{17}", refusal(), any::<usize>(), 0..8_u32),
    ) {
        let proof = proof.map(PasswordProof::from_bytes);
        let target = text.parse().map(FileTarget::Token).unwrap_or(FileTarget::File(text.parse().unwrap_or(file_id())));
        check(&FileRequest::Content { target: target.clone(), start, end, proof }, at, bit);
        check(&FileRequest::Metadata { target: target.clone(), proof }, at, bit);
        if let FileTarget::Token(token) = target {
            check(&TokenRequest { token, proof }, at, bit);
        }
        let mut bounds = [a, b, c];
        bounds.sort_unstable();
        let [start, end, length] = bounds;
        let format = if at % 2 == 0 { Format::V1 } else { Format::V2 };
        check(&ContentAnswer::Header(ContentHeader { file: file_id(), format, length, start, end }), at, bit);
        check(&ContentAnswer::Refused(refusal), at, bit);
        check(&InboxMessage::Refused(refusal), at, bit);
    }

    #[test]
    fn metadata_and_tokens_have_one_encoding(
        (owner, other, size) in (0..100_u8, 0..100_u8, any::<u64>()),
        (content, protected) in (any::<Option<Vec<u8>>>(), any::<bool>()),
        (properties, signature) in (proptest::collection::vec(any::<u8>(), 0..600), proptest::collection::vec(any::<u8>(), 0..300)),
        (at, bit) in (any::<usize>(), 0..8_u32),
    ) {
        let mut metadata = shelf::metadata(&Node::new(owner), size);
        (metadata.encrypted_properties, metadata.owner_signature) = (properties.into(), signature.into());
        check(&MetadataAnswer::Metadata(Box::new(metadata)), at, bit);
        let mut token = shelf::token(&Node::new(owner));
        token.for_identity = (other > 50).then(|| Node::new(other).address());
        (token.content, token.is_password_protected) = (content.map(Into::into), protected);
        check(&TokenAnswer::Token(Box::new(token)), at, bit);
    }

    #[test]
    fn code_messages_have_one_encoding(
        (nameplate, point, confirmation) in (any::<u16>(), any::<[u8; 32]>(), any::<[u8; 32]>()),
        (sealed, refusal) in (proptest::collection::vec(any::<u8>(), 0..4136), refusal()),
        (at, bit) in (any::<usize>(), 0..8_u32),
    ) {
        let mut element = [0x41; 33];
        element[1..].copy_from_slice(&point);
        for message in [
            CodeMessage::Start { nameplate, element },
            CodeMessage::Reply { element },
            CodeMessage::Confirm { confirmation },
            CodeMessage::Reference { sealed },
            CodeMessage::Refused(refusal),
        ] {
            check(&message, at, bit);
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(kind in 0..8_u8, members in 1..9_u8, rest in proptest::collection::vec(any::<u8>(), 0..200)) {
        for bytes in [rest.clone(), [&[0x80 + members, kind][..], &rest].concat()] {
            is_strict::<DeviceCertificate>(&bytes);
            is_strict::<IdentityMessage>(&bytes);
            is_strict::<FileRequest>(&bytes);
            is_strict::<ContentAnswer>(&bytes);
            is_strict::<MetadataAnswer>(&bytes);
            is_strict::<TokenRequest>(&bytes);
            is_strict::<TokenRequestV2>(&bytes);
            is_strict::<FileRequestV2>(&bytes);
            is_strict::<ClaimAnswer>(&bytes);
            is_strict::<TokenAnswer>(&bytes);
            is_strict::<InboxMessage>(&bytes);
            is_strict::<CodeMessage>(&bytes);
        }
    }
}
