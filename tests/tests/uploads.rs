//! Odd uploads: empty, too large, oddly named, on a full disk.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use enlace_tests::{World, refusal};
use runtime::facade::{ContentFormat, UploadOwnFile};
use runtime::{Config, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

const INVALID: &str = "error.runtime.validation.invalidPropertyValue";

fn named(filename: &str, content: impl AsyncRead + Send + 'static) -> UploadOwnFile {
    let mimetype = "application/octet-stream".parse().unwrap();
    // The format with a limit of its own.
    UploadOwnFile { format: ContentFormat::V1, ..UploadOwnFile::new(content, filename.parse().unwrap(), mimetype) }
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let file = alice.upload("empty", b"").await.unwrap();
    assert_eq!(file.filesize, 0);
    let token = alice.share(&file).await.unwrap();
    assert_eq!(bob.fetch(&token.reference.url).await.unwrap(), b"");
}

#[tokio::test]
async fn sizes_around_every_internal_boundary_arrive_unchanged() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    for boundary in [16, 64, 1024, 16 * 1024, 64 * 1024, 256 * 1024] {
        for length in boundary - 1..=boundary + 2 {
            let content: Vec<u8> = (0..length).map(|i| (i * 31 % 256) as u8).collect();
            let file = alice.upload("a", &content).await.unwrap();
            assert!(alice.download(&file.id).await.unwrap() == content, "{length} bytes");
        }
    }
}

#[tokio::test]
async fn the_largest_file_is_taken_and_one_byte_more_is_not() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let limit = Config::DEFAULT_MAX_FILE_SIZE;
    let file = alice.upload_with(named("full", tokio::io::repeat(7).take(limit))).await.unwrap();
    let token = alice.share(&file).await.unwrap();
    let content = bob.fetch(&token.reference.url).await.unwrap();
    assert!(content.len() as u64 == limit && content.iter().all(|byte| *byte == 7));
    backbone.line().forget();
    assert_eq!(refusal(alice.upload_with(named("more", tokio::io::repeat(7).take(limit + 1))).await), INVALID);
    assert!(backbone.line().content_requests() == 0, "nothing is sent before the size is known to be right");
    assert_eq!(std::fs::read_dir(alice.data_dir().join("tmp")).unwrap().count(), 0, "nothing is left over");
    assert_eq!(alice.files().await.len(), 1);
}

#[tokio::test]
async fn an_endless_content_is_given_up_at_the_limit() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    assert_eq!(refusal(alice.upload_with(named("endless", tokio::io::repeat(0))).await), INVALID);
    assert_eq!(std::fs::read_dir(alice.data_dir().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_content_that_breaks_off_is_not_uploaded() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    backbone.line().forget();
    assert!(alice.upload_with(named("broken", Broken { left: 700_000 })).await.is_err());
    assert!(backbone.line().content_requests() == 0 && alice.files().await.is_empty());
    assert_eq!(std::fs::read_dir(alice.data_dir().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn file_names_are_cut_to_their_last_segment_and_shown_to_peers_without_what_misleads() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let long = "n".repeat(4000);
    let names = [
        ("../../etc/passwd", "passwd"),
        ("/absolute", "absolute"),
        ("C:\\Users\\x\\CON.txt", "CON.txt"),
        ("not utf-8: \u{fffd}\u{fffd}", "not utf-8: \u{fffd}\u{fffd}"),
        ("line\nbreak\0nul\u{202e}fdp.exe", "line\nbreak\0nul\u{202e}fdp.exe"),
        ("\"quotes\"; filename=x", "\"quotes\"; filename=x"),
        (&long, &long),
    ];
    for (given, kept) in names {
        let file = alice.upload(given, b"x").await.unwrap();
        assert_eq!(file.filename, kept);
        let token = alice.share(&file).await.unwrap();
        assert_eq!(bob.receive(&token.reference.url).await.unwrap().filename, runtime::file_name::shown(kept));
    }
    for nameless in ["", ".", "..", "a/", "\\"] {
        assert_eq!(refusal(alice.upload(nameless, b"x").await), INVALID, "{nameless:?}");
    }
}

#[tokio::test]
async fn an_upload_until_the_past_is_refused() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    for past in [world.clock().time(), Timestamp::MIN] {
        let request = UploadOwnFile { expires_at: Some(past), ..named("a", &b"x"[..]) };
        assert_eq!(refusal(alice.upload_with(request).await), INVALID);
    }
}

/// Fails after some bytes.
struct Broken {
    left: usize,
}

impl AsyncRead for Broken {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the source broke off")));
        }
        let count = self.left.min(buffer.remaining());
        buffer.initialize_unfilled_to(count).fill(1);
        buffer.advance(count);
        self.left -= count;
        Poll::Ready(Ok(()))
    }
}
