//! encoding.json

use transport::crypto::BaseNonce;
use transport::wire::bytes::{from_base64, from_base64url, to_base64, to_base64url};

use crate::vectors::{Vector, load};

#[test]
fn both_flavours_of_base64_are_those_of_other_clients() {
    for case in load("encoding").list("base64") {
        let bytes = case.hex("hex");
        assert_eq!(to_base64url(&bytes), case.text("base64url"));
        assert_eq!(to_base64(&bytes), case.text("base64"));
        assert_eq!(from_base64url(case.text("base64url")), Ok(bytes.clone()));
        assert_eq!(from_base64(case.text("base64")), Ok(bytes));
    }
}

#[test]
fn texts_are_encoded_as_utf_8() {
    for case in load("encoding").list("utf8") {
        assert_eq!(case.text("string").as_bytes(), case.hex("utf8Hex"));
        assert_eq!(to_base64url(case.text("string").as_bytes()), case.text("base64url"));
    }
}

#[test]
fn decoding_is_as_strict_as_in_other_clients() {
    let vectors = load("encoding");
    for case in vectors.list("base64UrlStrictness") {
        assert_eq!(from_base64url(case.text("input")).is_ok(), case.flag("accepted"), "{case}");
    }
    for case in vectors.list("base64StandardStrictness") {
        assert_eq!(from_base64(case.text("input")).is_ok(), case.flag("accepted"), "{case}");
    }
}

#[test]
fn counters_are_added_to_nonces_as_in_other_clients() {
    for case in load("encoding").list("nonceCounterAddition") {
        let base = BaseNonce::from_bytes(case.hex_array("nonceHex"));
        let counter = u32::try_from(case.number("counter")).unwrap();
        assert_eq!(base.at(counter), case.hex_array("resultHex"), "{case}");
    }
}
