//! file.json

use std::io::{Cursor, Read};

use transport::crypto::hash::Sha512Hash;
use transport::crypto::{CryptoObject, Form, SecretKey, SignatureKeypair};
use transport::file::{
    FileError, FileMetadata, Opener, ReceivedBody, ReceivingBody, SealedFile, Sealer, sealed_length, sign_ownership,
};
use transport::wire::bytes::{from_base64url, to_base64url};

use crate::vectors::{Vector, hex, load};

pub(crate) fn seal(plaintext: &[u8], key: &SecretKey, piece: usize) -> (Vec<u8>, SealedFile) {
    let mut body = Vec::new();
    let mut sealer = Sealer::new(key, &mut body);
    plaintext.chunks(piece).for_each(|piece| sealer.push(piece, &mut body).unwrap());
    let sealed = sealer.finish(&mut body);
    (body, sealed)
}

pub(crate) fn metadata(sealed: &SealedFile, key: &SecretKey) -> FileMetadata {
    FileMetadata {
        description: None,
        modified_at: None,
        filename: "name".into(),
        filesize: sealed.plaintext_length,
        mimetype: "text/plain".into(),
        plaintext_hash: sealed.plaintext_hash,
        secret_key: key.clone(),
        tags: None,
        title: None,
    }
}

pub(crate) fn open(body: &[u8], metadata: &FileMetadata, hash: Sha512Hash) -> Result<Vec<u8>, FileError> {
    let mut plaintext = Vec::new();
    Opener::new(metadata, hash).open(Cursor::new(body))?.read_to_end(&mut plaintext)?;
    Ok(plaintext)
}

#[test]
fn a_file_is_sealed_as_by_other_clients() {
    let case = load("file");
    let plaintext = case.hex("plaintextHex");
    let key = SecretKey::from_bytes(case.hex_array("contentKeyHex"));
    for piece in [1, 2, 5, 31] {
        let mut body = Vec::new();
        let mut sealer = Sealer::with_nonce(&key, case.hex_array("contentNonceHex"), &mut body);
        plaintext.chunks(piece).for_each(|piece| sealer.push(piece, &mut body).unwrap());
        let sealed = sealer.finish(&mut body);
        assert_eq!(String::from_utf8(body).unwrap(), case.text("uploadedBytesUtf8"));
        assert_eq!(sealed.plaintext_hash.as_bytes(), &case.hex_array("plaintextHashHex"));
        assert_eq!(sealed.cipher_hash.to_string(), case.text("cipherHashField"));
        assert_eq!(sealed.body_length, sealed_length(plaintext.len() as u64));
    }
}

#[test]
fn metadata_and_owner_signature_are_those_of_other_clients() {
    let case = load("file");
    let key = SecretKey::from_bytes(case.hex_array("metadataKeyHex"));
    let metadata = FileMetadata::parse(case.text("metadataPlaintext")).unwrap();
    assert_eq!(metadata.to_text(), case.text("metadataPlaintext"));
    let sealed = key.encrypt_with_nonce(metadata.to_text().as_bytes(), case.hex_array("metadataNonceHex"));
    assert_eq!(sealed.to_base64(), case.text("encryptedPropertiesField"));
    let opened = FileMetadata::open(&from_base64url(case.text("encryptedPropertiesField")).unwrap(), &key).unwrap();
    assert_eq!(opened, metadata);

    let device = SignatureKeypair::from_seed(&case.hex_array("deviceSeedHex"));
    let signature = sign_ownership(&metadata.plaintext_hash, &device);
    assert_eq!(signature.to_base64(), case.text("ownerSignatureField"));
}

#[test]
fn a_file_of_another_client_opens() {
    let case = load("file");
    let metadata = FileMetadata::parse(case.text("metadataPlaintext")).unwrap();
    let hash = case.text("cipherHashField").parse().unwrap();
    assert_eq!(open(&hex(case.text("uploadedBytesHex")), &metadata, hash).unwrap(), case.hex("plaintextHex"));
}

#[test]
fn files_of_every_length_around_a_block_survive_and_equal_the_one_shot_text() {
    let key = SecretKey::generate();
    for length in [0, 1, 2, 3, 15, 16, 17, 47, 48, 49, 24_575, 24_576, 24_577, 24_592, 100_003] {
        let plaintext: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
        let (body, sealed) = seal(&plaintext, &key, 4096);
        assert_eq!(body.len() as u64, sealed_length(plaintext.len() as u64));
        assert_eq!(sealed.plaintext_hash, Sha512Hash::of(&plaintext));
        assert_eq!(sealed.cipher_hash, Sha512Hash::of(&body));
        let cipher = transport::crypto::Cipher::from_bytes(&body).unwrap();
        assert_eq!(cipher.to_json(Form::Verbose).as_bytes(), body);
        assert_eq!(*key.decrypt(&cipher).unwrap(), plaintext);
        assert_eq!(open(&body, &metadata(&sealed, &key), sealed.cipher_hash).unwrap(), plaintext);
    }
}

#[test]
fn the_largest_file_of_other_clients_has_the_body_length_they_state() {
    assert_eq!(sealed_length(10 * 1024 * 1024), 13_981_117);
}

#[test]
fn a_body_scanned_on_arrival_is_opened_or_refused_like_a_whole_one() {
    let key = SecretKey::generate();
    let plaintext = vec![7; 100_000];
    let (body, sealed) = seal(&plaintext, &key, 4096);
    let opener = Opener::new(&metadata(&sealed, &key), sealed.cipher_hash);
    let mut opened = Vec::new();
    let (ciphertext, received) = receive(&body, 1000);
    opener.open_received(Cursor::new(&ciphertext), received).unwrap().read_to_end(&mut opened).unwrap();
    assert_eq!(opened, plaintext);
    let (ciphertext, received) = receive(&body, 777);
    assert_eq!(opener.open_in_place(ciphertext.clone(), received).unwrap(), plaintext);

    let mut altered = body.clone();
    altered[50_000] ^= 1;
    let refused = opener.open_received(Cursor::new(&ciphertext), receive(&altered, 1000).1);
    assert!(matches!(refused, Err(FileError::CipherMismatch)));
    let refused = opener.open_in_place(ciphertext.clone(), receive(&altered, 1000).1);
    assert!(matches!(refused, Err(FileError::CipherMismatch)));
}

#[test]
fn a_ciphertext_other_than_the_received_one_is_refused() {
    let key = SecretKey::generate();
    let (body, sealed) = seal(&[7; 100_000], &key, 4096);
    let opener = Opener::new(&metadata(&sealed, &key), sealed.cipher_hash);
    let (ciphertext, _) = receive(&body, 1000);
    let received = || receive(&body, 1000).1;
    for place in [0, 50_000, 99_999, 100_000, 100_015] {
        let mut altered = ciphertext.clone();
        altered[place] ^= 1;
        let streamed = opener.open_received(Cursor::new(&altered), received());
        assert!(matches!(streamed, Err(FileError::Decryption)), "{place}");
        let in_place = opener.open_in_place(altered, received());
        assert!(matches!(in_place, Err(FileError::Decryption)), "{place}");
    }
    for length in [0, 15, 16, 100_015] {
        assert!(opener.open_received(Cursor::new(&ciphertext[..length]), received()).is_err(), "{length}");
        assert!(opener.open_in_place(ciphertext[..length].to_vec(), received()).is_err(), "{length}");
    }
    let wrong_hash = FileMetadata { plaintext_hash: Sha512Hash::of(b"other"), ..metadata(&sealed, &key) };
    let refused = Opener::new(&wrong_hash, sealed.cipher_hash).open_in_place(ciphertext, received());
    assert!(matches!(refused, Err(FileError::PlaintextHashMismatch)));
}

fn receive(body: &[u8], piece: usize) -> (Vec<u8>, ReceivedBody) {
    let (mut receiving, mut ciphertext) = (ReceivingBody::new(), Vec::new());
    body.chunks(piece).for_each(|piece| receiving.push(piece, &mut ciphertext));
    let received = receiving.finish(&mut ciphertext);
    (ciphertext, received)
}

#[test]
fn an_altered_body_is_refused_by_its_hash() {
    let key = SecretKey::generate();
    let (body, sealed) = seal(b"some text", &key, 9);
    let metadata = metadata(&sealed, &key);
    for place in 0..body.len() {
        let mut altered = body.clone();
        altered[place] ^= 1;
        assert!(matches!(open(&altered, &metadata, sealed.cipher_hash), Err(FileError::CipherMismatch)));
    }
    assert!(matches!(open(&body[1..], &metadata, sealed.cipher_hash), Err(FileError::CipherMismatch)));
}

#[test]
fn a_body_altered_together_with_its_hash_is_refused_by_its_tag() {
    let key = SecretKey::generate();
    let (body, sealed) = seal(b"some text", &key, 9);
    let metadata = metadata(&sealed, &key);
    let mut cipher: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let mut ciphertext = from_base64url(cipher["cph"].as_str().unwrap()).unwrap();
    for place in 0..ciphertext.len() {
        ciphertext[place] ^= 0x80;
        cipher["cph"] = to_base64url(&ciphertext).into();
        ciphertext[place] ^= 0x80;
        let altered = cipher.to_string().into_bytes();
        let hash = Sha512Hash::of(&altered);
        assert!(matches!(open(&altered, &metadata, hash), Err(FileError::Decryption)), "{place}");
    }
}

#[test]
fn metadata_that_do_not_match_the_file_are_refused() {
    let key = SecretKey::generate();
    let (body, sealed) = seal(b"some text", &key, 9);
    let right = metadata(&sealed, &key);
    let wrong_hash = FileMetadata { plaintext_hash: Sha512Hash::of(b"other"), ..right.clone() };
    assert!(matches!(open(&body, &wrong_hash, sealed.cipher_hash), Err(FileError::PlaintextHashMismatch)));
    let wrong_size = FileMetadata { filesize: 8, ..right.clone() };
    assert!(matches!(open(&body, &wrong_size, sealed.cipher_hash), Err(FileError::InvalidMetadata)));
    let wrong_key = FileMetadata { secret_key: SecretKey::generate(), ..right };
    assert!(matches!(open(&body, &wrong_key, sealed.cipher_hash), Err(FileError::Decryption)));
}

#[test]
fn a_ciphertext_that_changes_after_it_was_verified_is_not_read_to_its_end() {
    let key = SecretKey::generate();
    let plaintext = vec![7; 200_000];
    let (body, sealed) = seal(&plaintext, &key, 4096);
    let opener = Opener::new(&metadata(&sealed, &key), sealed.cipher_hash);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ciphertext");
    let (ciphertext, received) = receive(&body, 4096);
    std::fs::write(&path, &ciphertext).unwrap();
    let mut file = opener.open_received(std::fs::File::open(&path).unwrap(), received).unwrap();
    let mut altered = ciphertext;
    altered[150_000] ^= 1;
    std::fs::write(&path, altered).unwrap();
    let error = file.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn malformed_metadata_are_refused() {
    let key = SecretKey::generate();
    for text in ["", "{}", "[]", r#"{"filename":"x","filesize":-1}"#] {
        let sealed = key.encrypt(text.as_bytes()).to_byte_text();
        assert!(matches!(FileMetadata::open(&sealed.0, &key), Err(FileError::InvalidMetadata)), "{text}");
    }
    assert!(matches!(FileMetadata::open(b"{}", &key), Err(FileError::InvalidMetadata)));
    assert!(matches!(FileMetadata::open(&vec![b' '; 2 << 20], &key), Err(FileError::InvalidMetadata)));
}
