//! address.json

use transport::crypto::SignaturePublicKey;
use transport::identity::{
    AddressMismatch, address_belongs_to, check_address, deleted_identity_pseudonyms, derive_address,
};
use transport::wire::Address;

use crate::vectors::{Vector, load};

#[test]
fn addresses_follow_from_keys() {
    for case in load("address").list("cases") {
        let key = SignaturePublicKey::from_raw(case.hex_array("publicKeyHex"));
        let address = derive_address(&key, case.text("backboneHostname")).unwrap();
        assert_eq!(address.as_str(), case.text("address"));
        assert_eq!(address.truncated(), case.text("last4"));
        assert_eq!(address.host(), case.text("backboneHostname"));
        assert_eq!(address_belongs_to(&address, &key), Ok(()));
        let other = SignaturePublicKey::from_raw([1; 32]);
        assert_eq!(address_belongs_to(&address, &other), Err(AddressMismatch::Key));
    }
}

#[test]
fn pseudonyms_of_deleted_identities_are_known_in_both_encodings() {
    for case in load("address").list("deletedIdentityPseudonym") {
        let pseudonyms = deleted_identity_pseudonyms(case.text("backboneHostname")).unwrap();
        assert_eq!(pseudonyms[0].as_str(), case.text("address"));
        assert_eq!(check_address(&pseudonyms[1]), Ok(()));
    }
    let backbone = &deleted_identity_pseudonyms("example.com").unwrap()[1];
    assert_eq!(backbone.as_str(), "did:e:example.com:dids:3a29ae5c1f591bbd9a2add");
}

#[test]
fn altered_addresses_are_refused() {
    for case in load("address").list("invalid") {
        let address: Result<Address, _> = case.text("address").parse();
        let accepted = address
            .is_ok_and(|address| check_address(&address).is_ok() && address.host() == case.text("checkedAgainst"));
        assert_eq!(accepted, case.flag("result"), "{case}");
    }
}
