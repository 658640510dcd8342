//! password-hash.json

use transport::crypto::hash_password;
use transport::wire::bytes::to_base64;

use crate::vectors::{Vector, load};

#[test]
fn password_hashes_are_those_of_other_clients() {
    for case in load("password-hash").list("cases") {
        let password = case.text("password");
        assert_eq!(password.as_bytes(), case.hex("passwordUtf8Hex"));
        let salt = case.hex_array("saltHex");
        assert_eq!(to_base64(&salt), case.text("saltBase64"));
        let hash = hash_password(password, &salt);
        assert_eq!(hash.expose(), &case.hex_array("hashHex"));
        assert_eq!(hash.to_backbone_text(), case.text("hashBase64SentToBackbone"));
    }
}

#[test]
fn hashes_do_not_show_in_debug_output() {
    assert_eq!(format!("{:?}", hash_password("secret", &[0; 16])), "PasswordHash(..)");
}
