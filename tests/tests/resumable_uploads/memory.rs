//! The memory of a backbone does not depend on the size of files.

use bytes::Bytes;
use enlace_tests::{OAUTH_CLIENT, Process, World};
use futures_util::future::join_all;
use futures_util::stream;
use transport::backbone::{NewUpload, Session};
use transport::wire::UploadId;

use crate::{content, described, session};

/// Most memory a backbone may ever have taken.
const CEILING: u64 = 64 << 20;
const PIECE: usize = 1 << 20;
const PIECES: usize = 64;

async fn sent(session: &Session, piece: &Bytes, is_partial: bool) -> UploadId {
    let length = (PIECE * PIECES) as u64;
    let id = session.create_upload(NewUpload { length: Some(length), is_partial }).await.unwrap();
    let piece = piece.clone();
    let pieces = stream::iter((0..PIECES).map(move |_| Ok(piece.clone())));
    assert_eq!(session.append_stream_to_upload(&id, 0, length, pieces, None).await.unwrap(), length);
    id
}

#[tokio::test]
async fn large_files_pass_through_little_memory() {
    let world = World::new();
    let data = world.directory("backbone");
    let start = ["backbone", "--json", "--listen", "127.0.0.1:0", "--did-domain-name", "localhost"];
    let arguments = start.into_iter().chain(["--client", OAUTH_CLIENT, "--data-dir", data.to_str().unwrap()]);
    let process = Process::start(arguments).await.unwrap();
    let session = session(process.announcement["url"].as_str().unwrap()).await;
    let piece = content(PIECE);
    let parts = join_all([true; 3].map(|is_partial| sent(&session, &piece, is_partial))).await;
    let length = (3 * PIECE * PIECES) as u64;
    let id = session.concatenate_uploads(&parts, length).await.unwrap();
    let file = session.finish_upload(&id, &described(None)).await.unwrap();
    let mut download = session.download_range(&file.id, 1, length, length).await.unwrap();
    while download.chunk().await.unwrap().is_some() {}
    assert_eq!(download.received(), length - 1);
    let peak = process.peak_memory();
    eprintln!("{} MiB", peak >> 20);
    assert!(peak < CEILING, "{} MiB", peak >> 20);
}
