//! New files as writers.

use std::io::ErrorKind;

use runtime::facade::{ContentFormat, Ownership, UploadOwnFile};
use tokio::io::AsyncWriteExt as _;
use transport::content::CHUNK_LENGTH;

use crate::world::{World, bytes_of, chunked, file, load_file, pattern};

const CHUNK: usize = CHUNK_LENGTH as usize;

#[tokio::test]
async fn what_is_written_is_the_file() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    for (format, length) in [(ContentFormat::Auto, 0), (ContentFormat::V1, 5), (ContentFormat::V2, 3 * CHUNK + 5)] {
        let content = pattern(length);
        let mut writer = alice.files().write_own_file(UploadOwnFile { format, ..file("a", "") });
        for piece in content.chunks(700_000) {
            writer.write_all(piece).await.unwrap();
        }
        let written = writer.finish().await.unwrap();
        assert_eq!(written.filesize, length as u64);
        let loaded = load_file(&bob, &written.reference, None).await.unwrap();
        assert!(bytes_of(&bob, &loaded).await.unwrap() == content, "{format:?}");
    }
}

#[tokio::test]
async fn a_writer_that_is_dropped_or_shut_down_makes_no_file() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let content = pattern(9 * CHUNK);
    let mut dropped = alice.files().write_own_file(chunked("a", ""));
    dropped.write_all(&content).await.unwrap();
    drop(dropped);
    let mut shut_down = alice.files().write_own_file(chunked("a", ""));
    shut_down.write_all(&content).await.unwrap();
    shut_down.shutdown().await.unwrap();
    drop(shut_down);
    assert!(alice.files().files(Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failed_upload_ends_the_writes_and_says_why_at_the_end() {
    let world = World::with(|config| config.limits.max_large_file_bytes = 4 << 20).await;
    let alice = world.node("alice").await;
    let mut writer = alice.files().write_own_file(chunked("a", ""));
    let refused = writer.write_all(&pattern(12 * CHUNK)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
    let error = writer.finish().await.unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
}
