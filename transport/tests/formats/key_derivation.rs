//! key-derivation.json

use transport::crypto::{CryptoError, CryptoObject, Form, KdfContext, SecretKey};

use crate::vectors::{Vector, load};

pub(crate) fn context(name: &str) -> KdfContext {
    match name {
        "DataSync" => KdfContext::DataSync,
        "SECRET01" => KdfContext::Secret,
        "DEVICE01" => KdfContext::Device,
        "REQTMP01" => KdfContext::RelationshipRequest,
        "RELREQ01" => KdfContext::RequestorToTemplator,
        "RELTEM01" => KdfContext::TemplatorToRequestor,
        other => panic!("{other}"),
    }
}

#[test]
fn sub_keys_are_those_of_other_clients() {
    let vectors = load("key-derivation");
    let mut contexts = std::collections::HashSet::new();
    for case in vectors.list("cases") {
        let base = SecretKey::from_bytes(case.hex_array("baseKeyHex"));
        contexts.insert(context(case.text("context")));
        let derived = base.derive(&context(case.text("context")), case.number("keyId")).unwrap();
        assert_eq!(derived.expose(), &case.hex_array("derivedKeyHex"));
        assert_eq!(derived.to_json(Form::Verbose), case.text("serializedVerbose"));
    }
    assert_eq!(contexts.len(), 6);
}

#[test]
fn numbers_that_others_refuse_are_refused() {
    for case in load("key-derivation").list("beyond32Bit") {
        let id = case.text("keyId").parse().unwrap();
        assert_eq!(SecretKey::generate().derive(&KdfContext::DataSync, id), Err(CryptoError::KeyId));
    }
}
