//! Bodies of files: one that is accepted as JSON by the streaming reader is accepted by the one-shot reader too.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use transport::crypto::hash::Sha512Hash;
use transport::crypto::{Cipher, CryptoObject, SecretKey};
use transport::file::{FileError, FileMetadata, Opener};

fuzz_target!(|body: &[u8]| {
    let cipher = Cipher::from_bytes(body);
    let plaintext_length = cipher.as_ref().map_or(0, |cipher| cipher.ciphertext().len().saturating_sub(16));
    let metadata = FileMetadata {
        description: None,
        modified_at: None,
        filename: String::new(),
        filesize: plaintext_length as u64,
        mimetype: String::new(),
        plaintext_hash: Sha512Hash::of(b""),
        secret_key: SecretKey::from_bytes([7; SecretKey::LENGTH]),
        tags: None,
        title: None,
    };
    match Opener::new(&metadata, Sha512Hash::of(body)).open(Cursor::new(body)) {
        Ok(_) => panic!("opened by chance"),
        // the one-shot reader also refuses escaped lone surrogates in members that nobody reads
        Err(FileError::Decryption) if !body.contains(&b'\\') => {
            assert!(cipher.is_ok(), "only the streaming reader took it")
        }
        Err(_) => {}
    }
});
