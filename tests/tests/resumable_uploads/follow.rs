//! Following an upload of somebody else by the client of nodes. Without a line, which passes whole answers on only.

use bytes::Bytes;
use enlace_tests::World;
use transport::backbone::{Download, Error, NewUpload, Session};
use transport::wire::backbone::previews::{NewPreview, PreviewState};
use transport::wire::backbone::uploads::code;
use transport::wire::{ByteText, Timestamp, UploadId};

use crate::{content, described, session};

const MIB: usize = 1024 * 1024;

fn preview(bytes: &[u8]) -> NewPreview {
    NewPreview { encrypted_properties: ByteText(bytes.to_vec()), expires_at: Timestamp::NEVER }
}

async fn shown(sender: &Session, length: Option<u64>) -> UploadId {
    let id = sender.create_upload(NewUpload { length, is_partial: false }).await.unwrap();
    assert_eq!(sender.preview_upload(&id, &preview(b"sealed")).await.unwrap().id, id.file_id());
    id
}

async fn next(download: &mut Download, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend_from_slice(&download.chunk().await.unwrap().expect("there is more"));
    }
    bytes
}

#[tokio::test]
async fn a_reader_has_each_byte_as_soon_as_it_is_acknowledged() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (sender, reader) = (session(&backbone.server().url()).await, session(&backbone.server().url()).await);
    let all = content(3 * MIB);
    let id = shown(&sender, None).await;
    let file = id.file_id();
    let mut download = reader.follow_file(&file, 0, u64::MAX).await.unwrap();
    for piece in 0..3 {
        let bytes = all.slice(piece * MIB..(piece + 1) * MIB);
        sender.append_to_upload(&id, (piece * MIB) as u64, &bytes, None).await.unwrap();
        assert!(next(&mut download, MIB).await == bytes);
    }
    let known = reader.file_preview(&file).await.unwrap();
    assert_eq!((known.state, known.offset, known.length), (PreviewState::Growing, 3 * MIB as u64, None));
    let mut late = reader.follow_file(&file, 3 * MIB as u64, u64::MAX).await.unwrap();
    assert_eq!(reader.follow_file(&file, 3 * MIB as u64 + 1, u64::MAX).await.unwrap_err().status(), Some(416));
    assert!(reader.file_metadata(&file).await.unwrap_err().is_record_not_found());
    sender.set_upload_length(&id, 3 * MIB as u64).await.unwrap();
    sender.finish_upload(&id, &described(None)).await.unwrap();
    assert_eq!((download.chunk().await.unwrap(), late.chunk().await.unwrap()), (None, None));
    assert_eq!(reader.file_preview(&file).await.unwrap().state, PreviewState::Complete);
}

#[tokio::test]
async fn a_reader_is_told_that_the_upload_was_given_up() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (sender, reader) = (session(&backbone.server().url()).await, session(&backbone.server().url()).await);
    let id = shown(&sender, Some(10)).await;
    sender.append_to_upload(&id, 0, &Bytes::from_static(b"abc"), None).await.unwrap();
    let mut download = reader.follow_file(&id.file_id(), 0, 10).await.unwrap();
    assert_eq!(next(&mut download, 3).await, b"abc");
    sender.terminate_upload(&id).await.unwrap();
    assert!(matches!(download.chunk().await.unwrap_err(), Error::Network { .. }));
    assert!(reader.file_preview(&id.file_id()).await.unwrap_err().is_record_not_found());
}

#[tokio::test]
async fn answers_to_readers_are_bounded() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (sender, reader) = (session(&backbone.server().url()).await, session(&backbone.server().url()).await);
    let id = shown(&sender, Some(4)).await;
    sender.append_to_upload(&id, 0, &Bytes::from_static(b"abcd"), None).await.unwrap();
    let mut download = reader.follow_file(&id.file_id(), 1, 3).await.unwrap();
    assert_eq!(next(&mut download, 3).await, b"bcd");
    let mut download = reader.follow_file(&id.file_id(), 1, 2).await.unwrap();
    assert!(matches!(download.chunk().await.unwrap_err(), Error::AnswerTooLarge { limit: 2, .. }));
    let part = sender.create_upload(NewUpload { length: Some(1), is_partial: true }).await.unwrap();
    match sender.preview_upload(&part, &preview(b"sealed")).await.unwrap_err() {
        Error::Api { code, .. } => assert_eq!(code, code::NOT_PREVIEWABLE),
        other => panic!("{other}"),
    }
}
