//! Ciphers: what is accepted must survive being written and read again, and never decrypts by chance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::crypto::{Cipher, CryptoObject, Form, SecretKey};

fuzz_target!(|bytes: &[u8]| {
    let Ok(cipher) = Cipher::from_bytes(bytes) else { return };
    assert_eq!(Cipher::from_json(&cipher.to_json(Form::Verbose)).as_ref(), Ok(&cipher));
    assert!(SecretKey::from_bytes([7; SecretKey::LENGTH]).decrypt(&cipher).is_err());
});
