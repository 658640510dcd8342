//! Chunks of a content: none opens by chance, and what is sealed at one place opens there only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::content::{ChunkPlace, ContentKey};
use transport::crypto::SecretKey;

fuzz_target!(|input: (u64, bool, &[u8])| {
    let (index, is_last, bytes) = input;
    let (key, place) = (ContentKey::new(&SecretKey::from_bytes([7; SecretKey::LENGTH])), ChunkPlace { index, is_last });
    assert!(key.open_chunk(place, &mut bytes.to_vec()).is_err());

    let mut chunk = bytes.to_vec();
    let Ok(hash) = key.seal_chunk(place, &mut chunk) else { return };
    assert_eq!(key.seal_again(place, &mut bytes.to_vec(), &hash), Ok(()));
    assert!(key.open_chunk(ChunkPlace { index: index + 1, is_last }, &mut chunk.clone()).is_err());
    assert!(key.open_chunk(ChunkPlace { index, is_last: !is_last }, &mut chunk.clone()).is_err());
    assert_eq!(key.open_chunk(place, &mut chunk), Ok(()));
    assert_eq!(chunk, bytes);
});
