//! Throughput of sealing and opening: `cargo bench -p enlace-transport`.
#![allow(clippy::unwrap_used, missing_docs)] // in a benchmark, a panic is the failure, and there is no public API

use std::io::{Cursor, copy, sink};

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use transport::crypto::{Cipher, CryptoObject as _, SecretKey};
use transport::file::{FileMetadata, Opener, SealedFile, Sealer, sealed_length};
use transport::token::TokenContent;
use transport::wire::ByteText;

const FILE_LENGTH: usize = 10 * 1024 * 1024;
const PIECE_LENGTH: usize = 64 * 1024;

fn main() {
    divan::main();
}

fn content() -> TokenContent {
    TokenContent::file("FILabcDEF123ghiJKL45".parse().unwrap(), SecretKey::generate())
}

fn seal_content(content: &TokenContent, key: &SecretKey) -> ByteText {
    key.encrypt(content.to_text().as_bytes()).to_byte_text()
}

#[divan::bench]
fn seal_token(bencher: Bencher) {
    let (content, key) = (content(), SecretKey::generate());
    bencher.bench(|| seal_content(black_box(&content), &key));
}

#[divan::bench]
fn open_token(bencher: Bencher) {
    let key = SecretKey::generate();
    let sealed = seal_content(&content(), &key);
    bencher.bench(|| {
        let plaintext = key.decrypt(&Cipher::from_bytes(black_box(&sealed.0)).unwrap()).unwrap();
        TokenContent::parse(std::str::from_utf8(&plaintext).unwrap()).unwrap()
    });
}

#[divan::bench]
fn encrypt_10_mib(bencher: Bencher) {
    let (plaintext, key) = (vec![7; FILE_LENGTH], SecretKey::generate());
    bencher.counter(BytesCount::new(FILE_LENGTH)).bench(|| seal(black_box(&plaintext), &key));
}

#[divan::bench]
fn decrypt_10_mib(bencher: Bencher) {
    let key = SecretKey::generate();
    let (body, sealed) = seal(&vec![7; FILE_LENGTH], &key);
    let metadata = FileMetadata {
        description: None,
        modified_at: None,
        filename: "name".into(),
        filesize: sealed.plaintext_length,
        mimetype: "text/plain".into(),
        plaintext_hash: sealed.plaintext_hash,
        secret_key: key,
        tags: None,
        title: None,
    };
    let opener = Opener::new(&metadata, sealed.cipher_hash);
    bencher.counter(BytesCount::new(FILE_LENGTH)).bench(|| {
        let mut file = opener.open(Cursor::new(black_box(&body))).unwrap();
        copy(&mut file, &mut sink()).unwrap()
    });
}

fn seal(plaintext: &[u8], key: &SecretKey) -> (Vec<u8>, SealedFile) {
    let mut body = Vec::with_capacity(usize::try_from(sealed_length(plaintext.len() as u64)).unwrap());
    let mut sealer = Sealer::new(key, &mut body);
    plaintext.chunks(PIECE_LENGTH).for_each(|piece| sealer.push(piece, &mut body).unwrap());
    let sealed = sealer.finish(&mut body);
    (body, sealed)
}
