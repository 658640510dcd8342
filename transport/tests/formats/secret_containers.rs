//! secret-containers.json

use transport::Error;
use transport::crypto::{Cipher, CryptoObject, SecretKey};
use transport::secret_container::SecretContainer;
use transport::wire::Timestamp;

use crate::key_derivation::context;
use crate::vectors::{Vector, load};

#[test]
fn containers_of_other_clients_round_trip() {
    let vectors = load("secret-containers");
    let synchronized = vectors.list("cases").iter().filter(|case| case.text("kind") == "synchronized");
    let mut count = 0;
    for case in synchronized {
        count += 1;
        let base = SecretKey::from_bytes(case.hex_array("sharedSecretBaseKeyHex"));
        let container: SecretContainer = serde_json::from_value(case["container"].clone()).unwrap();
        assert_eq!(container.nonce, case.number("keyId"));
        assert_eq!(container.open(&base).unwrap().to_string(), case.text("plaintext"));
        assert!(matches!(container.open(&SecretKey::generate()), Err(Error::Decryption)));

        let mut expected = case["container"].clone();
        expected.as_object_mut().unwrap().shift_remove("@type");
        assert_eq!(serde_json::to_string(&container).unwrap(), expected.to_string());
    }
    assert!(count >= 4);
}

#[test]
fn device_secrets_open_under_their_sub_key() {
    let vectors = load("secret-containers");
    for case in vectors.list("cases").iter().filter(|case| case.text("kind") == "device local") {
        let base = SecretKey::from_bytes(case.hex_array("deviceBaseKeyHex"));
        let key = base.derive(&context(case.text("kdfContext")), case.number("keyId")).unwrap();
        assert_eq!(key.expose(), &case.hex_array("derivedKeyHex"));
        let cipher = Cipher::from_value(&case["container"]["cipher"]).unwrap();
        assert_eq!(*key.decrypt(&cipher).unwrap(), case.text("plaintext").as_bytes());
    }
}

#[test]
fn a_sealed_secret_opens() {
    let base = SecretKey::generate();
    let secret = SecretKey::generate().to_value(transport::crypto::Form::Verbose);
    let now: Timestamp = "2030-01-01".parse().unwrap();
    let container = SecretContainer::seal("TRPRTKabcdefgh123456", &secret, &base, 7, now).unwrap();
    assert_eq!(container.open(&base).unwrap(), secret);
    assert_eq!((container.id.len(), container.active), (20, true));
}
