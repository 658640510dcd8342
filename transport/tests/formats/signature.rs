//! signature.json

use transport::crypto::{
    CryptoError, CryptoObject, Form, Signature, SignatureHash, SignatureKeypair, SignaturePublicKey,
};

use crate::vectors::{Vector, load};

#[test]
fn keys_have_the_texts_of_other_clients() {
    for case in load("signature").list("keys") {
        let pair = SignatureKeypair::from_seed(&case.hex_array("seedHex"));
        assert_eq!(pair.public_key().as_raw(), &case.hex_array("publicKeyHex"));
        assert_eq!(pair.expose_private_key(Form::Verbose).to_string(), case.text("privateKeySerializedVerbose"));
        assert_eq!(pair.to_json(Form::Verbose), case.text("keypairSerializedVerbose"));
        assert_eq!(pair.to_json(Form::Compact), case.text("keypairSerializedCompact"));
        assert_eq!(pair.public_key().to_json(Form::Verbose), case.text("publicKeySerializedVerbose"));
        assert_eq!(pair.public_key().to_json(Form::Compact), case.text("publicKeySerializedCompact"));
        assert_eq!(pair.public_key().to_base64(), case.text("publicKeyBase64Verbose"));

        let read = SignatureKeypair::from_json(case.text("keypairSerializedVerbose")).unwrap();
        assert_eq!(read.expose_seed(), &case.hex_array("seedHex"));
        let private = serde_json::from_str(case.text("privateKeySerializedVerbose")).unwrap();
        assert_eq!(SignatureKeypair::from_private_key(&private).unwrap().public_key(), pair.public_key());
        let public = SignaturePublicKey::from_base64(case.text("publicKeyBase64Verbose"));
        assert_eq!(public, Ok(pair.public_key()));
    }
}

#[test]
fn signatures_are_those_of_other_clients_whatever_hash_they_name() {
    for key in load("signature").list("keys") {
        let pair = SignatureKeypair::from_seed(&key.hex_array("seedHex"));
        for case in key.list("signatures") {
            let message = case.text("messageUtf8").as_bytes();
            let hash = match case.number("hashAlgorithmIdInJson") {
                1 => SignatureHash::Sha256,
                _ => SignatureHash::Sha512,
            };
            let signature = pair.sign(message, hash);
            assert_eq!(signature.as_raw(), &case.hex_array("signatureHex"));
            assert_eq!(signature.to_json(Form::Verbose), case.text("serializedVerbose"));
            assert_eq!(signature.to_json(Form::Compact), case.text("serializedCompact"));
            assert_eq!(signature.to_base64(), case.text("base64Verbose"));
            let read = Signature::from_base64(case.text("base64Verbose")).unwrap();
            assert_eq!(pair.public_key().verify(message, &read), Ok(()));
            let altered = [message, b"."].concat();
            assert_eq!(pair.public_key().verify(&altered, &read), Err(CryptoError::Signature));
        }
    }
}

#[test]
fn private_keys_with_mismatched_halves_are_refused() {
    let (one, other) = (SignatureKeypair::generate(), SignatureKeypair::generate());
    let halves = [one.expose_seed().as_slice(), other.public_key().as_raw()].concat();
    let mixed = serde_json::json!({"prv": transport::wire::bytes::to_base64url(&halves), "alg": 3});
    assert!(SignatureKeypair::from_private_key(&mixed).is_err());
    assert!(format!("{one:?}").starts_with("SignatureKeypair(SignaturePublicKey("));
}
