//! Each call, against a real backbone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use enlace_tests::World;
use futures_util::future::join_all;
use futures_util::stream;
use transport::backbone::{ChecksumAlgorithm, Error, NewUpload, Session, UploadState, UploadSupport};
use transport::crypto::hash::sha512;
use transport::wire::backbone::uploads::code;
use transport::wire::{FileId, UploadId};

use crate::{content, described, session};

const MIB: usize = 1024 * 1024;

/// The code of a refusal by the backbone.
fn code_of(error: &Error) -> &str {
    match error {
        Error::Api { code, .. } => code,
        other => panic!("not refused by a rule: {other}"),
    }
}

async fn whole(session: &Session, length: usize) -> UploadId {
    session.create_upload(NewUpload { length: Some(length as u64), is_partial: false }).await.unwrap()
}

async fn download(session: &Session, id: &FileId, offset: u64, length: u64) -> Vec<u8> {
    let mut download = session.download_range(id, offset, length, length).await.unwrap();
    assert_eq!(download.offset(), offset);
    let mut bytes = Vec::new();
    while let Some(chunk) = download.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

#[tokio::test]
async fn a_file_is_sent_in_pieces_and_read_in_ranges() {
    let world = World::new();
    let backbone = world.backbone().await;
    let session = session(&backbone.line().url()).await;
    let support = session.upload_support().await.unwrap().unwrap();
    let expected = UploadSupport {
        max_size: Some(16 << 30),
        has_parts: true,
        has_deferred_length: true,
        checksum: Some(ChecksumAlgorithm::Blake3),
        has_preview: true,
    };
    assert_eq!(support, expected);
    let all = content(3 * MIB + 7);
    let id = whole(&session, all.len()).await;
    let sent = Arc::new(AtomicU64::new(0));
    let progress = {
        let sent = sent.clone();
        Arc::new(move |bytes| sent.store(bytes, Ordering::Relaxed))
    };
    let mut offset = 0;
    while let Some(piece) = all.get(offset as usize..).filter(|rest| !rest.is_empty()) {
        let piece = all.slice_ref(&piece[..piece.len().min(MIB)]);
        offset = session.append_to_upload(&id, offset, &piece, Some(progress.clone())).await.unwrap();
        assert_eq!(sent.load(Ordering::Relaxed), piece.len() as u64);
        let state = UploadState { offset, length: Some(all.len() as u64) };
        assert_eq!(session.upload_state(&id).await.unwrap(), state);
    }
    let file = session.finish_upload(&id, &described(Some(sha512(&all).to_vec()))).await.unwrap();
    assert_eq!((file.id.clone(), file.cipher_size), (id.file_id(), all.len() as u64));
    assert!(session.upload_state(&id).await.unwrap_err().status() == Some(404));
    for (offset, length) in [(0, 1), (0, all.len() as u64), (MIB as u64 - 1, 3), (all.len() as u64 - 1, 1)] {
        let expected = &all[offset as usize..(offset + length) as usize];
        assert!(download(&session, &file.id, offset, length).await == expected, "{offset}, {length}");
    }
    let error = session.download_range(&file.id, all.len() as u64, 1, 1).await.unwrap_err();
    assert_eq!(error.status(), Some(416));
}

#[tokio::test]
async fn a_stream_of_unknown_length_goes_on_where_it_broke_off() {
    let world = World::new();
    let backbone = world.backbone().await;
    let session = session(&backbone.line().url()).await;
    let all = content(2 * MIB);
    let id = session.create_upload(NewUpload { length: None, is_partial: false }).await.unwrap();
    let pieces = [Ok(all.slice(..MIB)), Err(std::io::Error::other("the source is gone"))];
    let length = all.len() as u64;
    session.append_stream_to_upload(&id, 0, length, stream::iter(pieces), None).await.unwrap_err();
    // The backbone may still be busy with the rest of the connection.
    let (mut offset, mut given) = (0, 0);
    while given < length {
        let state = session.upload_state(&id).await.unwrap();
        offset = offset.max(state.offset);
        let rest = all.slice(state.offset as usize..);
        let pieces = stream::iter([Ok::<Bytes, std::io::Error>(rest.clone())]);
        match session.append_stream_to_upload(&id, state.offset, rest.len() as u64, pieces, None).await {
            Ok(now) => given = now,
            Err(error) => assert!([code::LOCKED, code::OFFSET_CONFLICT].contains(&code_of(&error)), "{error}"),
        }
    }
    assert!(offset <= MIB as u64);
    let error = session.finish_upload(&id, &described(None)).await.err().unwrap();
    assert_eq!(code_of(&error), code::INCOMPLETE);
    session.set_upload_length(&id, length).await.unwrap();
    let file = session.finish_upload(&id, &described(None)).await.unwrap();
    assert_eq!(file.cipher_hash.0, sha512(&all).to_vec());
    assert!(download(&session, &file.id, 0, length).await == all);
}

#[tokio::test]
async fn parts_are_sent_in_parallel() {
    let world = World::new();
    let backbone = world.backbone().await;
    let session = session(&backbone.line().url()).await;
    let all = content(4 * MIB + 1);
    let part = async |bytes: Bytes| {
        let new = NewUpload { length: Some(bytes.len() as u64), is_partial: true };
        let id = session.create_upload(new).await.unwrap();
        session.append_to_upload(&id, 0, &bytes, None).await.unwrap();
        id
    };
    let parts = join_all(all.chunks(MIB).map(|bytes| part(all.slice_ref(bytes)))).await;
    let id = session.concatenate_uploads(&parts, all.len() as u64).await.unwrap();
    assert_eq!(session.concatenate_uploads(&parts, all.len() as u64).await.unwrap(), id);
    let file = session.finish_upload(&id, &described(Some(sha512(&all).to_vec()))).await.unwrap();
    assert!(download(&session, &file.id, 0, all.len() as u64).await == all);
}

#[tokio::test]
async fn refusals_have_their_codes() {
    let world = World::new();
    let backbone = world.backbone_with("small", |config| {
        config.limits.max_large_file_bytes = 10;
        config.limits.max_unfinished_uploads = 1;
    });
    let backbone = backbone.await;
    let session = session(&backbone.line().url()).await;
    let new = |length| session.create_upload(NewUpload { length: Some(length), is_partial: false });
    assert_eq!(code_of(&new(11).await.unwrap_err()), code::TOO_LARGE);
    let id = new(10).await.unwrap();
    assert_eq!(code_of(&new(1).await.unwrap_err()), code::TOO_MANY);
    let append = async |offset, bytes: &'static [u8]| {
        session.append_to_upload(&id, offset, &Bytes::from_static(bytes), None).await
    };
    assert_eq!(code_of(&append(1, b"a").await.unwrap_err()), code::OFFSET_CONFLICT);
    assert_eq!(code_of(&append(0, b"0123456789a").await.unwrap_err()), code::BEYOND_LENGTH);
    assert_eq!(append(0, b"0123456789").await.unwrap(), 10);
    let error = session.finish_upload(&id, &described(Some(vec![0; 64]))).await.err().unwrap();
    assert_eq!(code_of(&error), code::HASH_MISMATCH);
    session.terminate_upload(&id).await.unwrap();
    assert!(session.terminate_upload(&id).await.unwrap_err().is_record_not_found());
}
