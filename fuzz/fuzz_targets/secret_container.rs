//! Secrets of an identity: containers as a store or another device may hold them, and what is sealed inside.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::crypto::{KdfContext, SecretKey};
use transport::secret_container::SecretContainer;

fuzz_target!(|data: (&str, &str)| {
    let (container, secret) = data;
    let key = SecretKey::from_bytes([7; 32]);
    let Ok(mut container) = serde_json::from_str::<SecretContainer>(container) else { return };
    let written = serde_json::to_string(&container).expect("a container is JSON");
    let read: SecretContainer = serde_json::from_str(&written).expect("a written container is one");
    assert_eq!(serde_json::to_string(&read).ok(), Some(written));
    assert!(container.open(&key).is_err(), "sealed with a key that nobody has");
    if let Ok(place) = key.derive(&KdfContext::Secret, container.nonce) {
        container.cipher = place.encrypt(secret.as_bytes());
        let _ = container.open(&key);
    }
});
