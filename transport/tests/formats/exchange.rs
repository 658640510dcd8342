//! exchange.json

use transport::crypto::{CryptoObject, ExchangeKeypair, ExchangePublicKey, ExchangeSecrets, Form};

use crate::vectors::{Vector, load};

#[test]
fn both_sides_derive_the_same_keys_as_other_clients() {
    for case in load("exchange").list("cases") {
        let requestor = ExchangeKeypair::from_private_bytes(case["requestor"].hex_array("privateKeyHex"));
        let templator = ExchangeKeypair::from_private_bytes(case["templator"].hex_array("privateKeyHex"));
        assert_eq!(requestor.public_key().as_raw(), &case["requestor"].hex_array("publicKeyHex"));
        assert_eq!(templator.public_key().as_raw(), &case["templator"].hex_array("publicKeyHex"));

        let of_requestor = requestor.agree_as_requestor(&templator.public_key()).unwrap();
        let of_templator = templator.agree_as_templator(&requestor.public_key()).unwrap();
        for (ours, theirs) in [(&of_requestor, &case["requestorSecrets"]), (&of_templator, &case["templatorSecrets"])] {
            assert_eq!(ours.receiving.expose(), &theirs.hex_array("receivingKeyHex"));
            assert_eq!(ours.transmission.expose(), &theirs.hex_array("transmissionKeyHex"));
        }
        assert_eq!(of_requestor.to_json(Form::Verbose), case["requestorSecrets"].text("serializedVerbose"));
        assert_eq!(ExchangeSecrets::from_base64(&of_requestor.to_base64()), Ok(of_requestor));
    }
}

#[test]
fn exchange_keys_have_the_texts_of_other_clients() {
    for case in load("exchange").list("cases") {
        let case = &case["requestor"];
        let pair = ExchangeKeypair::from_json(case.text("serializedVerbose")).unwrap();
        assert_eq!(pair.to_json(Form::Verbose), case.text("serializedVerbose"));
        assert_eq!(pair.public_key().to_json(Form::Verbose), case.text("publicSerializedVerbose"));
        assert_eq!(pair.expose_private_key(Form::Verbose).to_string(), case.text("privateSerializedVerbose"));
        let public = ExchangePublicKey::from_json(case.text("publicSerializedVerbose")).unwrap();
        assert_eq!(public, pair.public_key());
    }
}

#[test]
fn a_key_pair_with_mismatched_halves_is_refused() {
    let (one, other) = (ExchangeKeypair::generate(), ExchangeKeypair::generate());
    let mut mixed = one.to_value(Form::Verbose);
    mixed["prv"] = other.expose_private_key(Form::Compact);
    assert!(ExchangeKeypair::from_value(&mixed).is_err());
}
