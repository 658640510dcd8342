//! cipher.json

use serde_json::json;
use transport::crypto::{BaseNonce, Cipher, CryptoError, CryptoObject, Form, SecretKey};
use transport::wire::bytes::to_base64url;

use crate::vectors::{Vector, load};

#[test]
fn secret_keys_have_the_texts_of_other_clients() {
    let vectors = load("cipher");
    let case = &vectors["secretKey"];
    let key = SecretKey::from_json(case.text("serializedVerbose")).unwrap();
    assert_eq!(key.to_json(Form::Verbose), case.text("serializedVerbose"));
    assert_eq!(key.to_json(Form::Compact), case.text("serializedCompact"));
    assert_eq!(key.to_base64(), case.text("base64Verbose"));
    assert_eq!(SecretKey::from_base64(case.text("base64Verbose")), Ok(key));
}

#[test]
fn ciphers_with_nonces_are_those_of_other_clients() {
    for case in load("cipher").list("nonceCases") {
        let key = SecretKey::from_bytes(case.hex_array("keyHex"));
        let plaintext = case.text("plaintextUtf8").as_bytes();
        let cipher = key.encrypt_with_nonce(plaintext, case.hex_array("nonceHex"));
        assert_eq!(cipher.ciphertext(), case.hex("cipherAndTagHex"));
        assert_eq!(cipher.to_json(Form::Verbose), case.text("serializedVerbose"));
        assert_eq!(cipher.to_json(Form::Compact), case.text("serializedCompact"));
        assert_eq!(cipher.to_base64(), case.text("base64Verbose"));
        for form in ["base64Verbose", "base64Compact"] {
            assert_eq!(*key.decrypt(&Cipher::from_base64(case.text(form)).unwrap()).unwrap(), plaintext);
        }
    }
}

#[test]
fn ciphers_with_counters_are_those_of_other_clients() {
    for case in load("cipher").list("counterCases") {
        let key = SecretKey::from_bytes(case.hex_array("keyHex"));
        let base = BaseNonce::from_bytes(case.hex_array("baseNonceHex"));
        let counter = u32::try_from(case.number("counter")).unwrap();
        assert_eq!(base.at(counter), case.hex_array("effectiveNonceHex"));
        let plaintext = case.text("plaintextUtf8").as_bytes();
        let cipher = key.encrypt_with_counter(plaintext, &base, counter);
        assert_eq!(cipher.ciphertext(), case.hex("cipherAndTagHex"));
        assert_eq!(cipher.to_base64(), case.text("base64Verbose"));
        let read = Cipher::from_json(case.text("serializedVerbose")).unwrap();
        assert_eq!(*key.decrypt_with_counter(&read, &base).unwrap(), plaintext);
        assert_eq!(key.decrypt(&read), Err(CryptoError::Decryption));
    }
}

#[test]
fn ciphers_that_others_reject_are_rejected() {
    for case in load("cipher").list("rejections") {
        assert!(Cipher::from_value(&case["json"]).is_err(), "{case}");
    }
}

#[test]
fn lengths_and_encodings_are_checked() {
    let nonce = to_base64url(&[0; 24]);
    assert!(Cipher::from_value(&json!({"cph": "AAA", "alg": 3, "nnc": nonce})).is_ok());
    assert!(Cipher::from_value(&json!({"cipher": "AAA", "algorithm": 3, "nonce": nonce})).is_ok());
    for wrong in [
        json!({"cph": "AA", "alg": 3, "nnc": nonce}),
        json!({"cph": "AAA=", "alg": 3, "nnc": nonce}),
        json!({"cph": "AA+A", "alg": 3, "nnc": nonce}),
        json!({"cph": ["AAA"], "alg": 3, "nnc": nonce}),
        json!({"cph": "AAA", "alg": "3", "nnc": nonce}),
        json!({"cph": "AAA", "nnc": nonce}),
        json!({"cph": "AAA", "alg": 3, "nnc": to_base64url(&[0; 23])}),
        json!({"cph": "AAA", "alg": 3, "nnc": to_base64url(&[0; 25])}),
        json!({"cph": "AAA", "alg": 3, "cnt": -1}),
        json!({"cph": "AAA", "alg": 3, "cnt": 4_294_967_296_u64}),
        json!({"cph": "AAA", "alg": 3, "cnt": 1.5}),
        json!("AAA"),
    ] {
        assert!(Cipher::from_value(&wrong).is_err(), "{wrong}");
    }
    assert!(SecretKey::from_value(&json!({"key": to_base64url(&[0; 31]), "alg": 3})).is_err());
    assert!(SecretKey::from_value(&json!({"key": to_base64url(&[0; 32]), "alg": 2})).is_err());
}

#[test]
fn every_flipped_bit_is_detected() {
    let key = SecretKey::generate();
    let cipher = key.encrypt(b"text");
    for place in 0..cipher.ciphertext().len() * 8 {
        let mut altered = cipher.ciphertext().to_vec();
        altered[place / 8] ^= 1 << (place % 8);
        let mut value = cipher.to_value(Form::Compact);
        value["cph"] = to_base64url(&altered).into();
        assert_eq!(key.decrypt(&Cipher::from_value(&value).unwrap()), Err(CryptoError::Decryption));
    }
    assert_eq!(SecretKey::generate().decrypt(&cipher), Err(CryptoError::Decryption));
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let key = SecretKey::from_bytes([0xab; 32]);
    assert_eq!(format!("{key:?}"), "SecretKey(..)");
    assert_eq!(format!("{:?}", key.encrypt(b"text")), "Cipher(20 bytes)");
}
