//! Blobs.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use sha2::{Digest, Sha512};
use tokio::io::AsyncReadExt as _;

use super::Place;
use crate::store::contract::{Backend, BlobReader, Changes, PublishedBlob, READ_SIZE, Written};

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|place| u8::try_from(place % 251).unwrap()).collect()
}

async fn published(backend: &Backend, bytes: Vec<u8>) -> (PublishedBlob, Written) {
    let mut writer = backend.blobs.create().await.unwrap();
    writer.write(bytes.into()).await.unwrap();
    writer.publish().await.unwrap()
}

async fn open(backend: &Backend, name: &str) -> Option<BlobReader> {
    backend.blobs.open(name).await.unwrap()
}

async fn read(reader: BlobReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    Box::pin(reader.into_bytes()).read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn unclaimed(backend: &Backend) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), None);
    loop {
        let step = backend.blobs.unclaimed(cursor.as_deref()).await.unwrap();
        names.extend(step.names);
        match step.next {
            Some(next) => cursor = Some(next),
            None => return names,
        }
    }
}

async fn commit(backend: &Backend, blob: PublishedBlob) {
    let changes = Changes { claims: vec![blob.into_claim()], ..Changes::default() };
    backend.records.begin().commit(changes).await.unwrap();
}

pub(super) async fn blobs_of_every_length_around_a_piece_are_read_as_they_were_written(place: &impl Place) {
    let backend = place.open().await;
    for length in [0, 1, READ_SIZE - 1, READ_SIZE, READ_SIZE + 1, 3 * READ_SIZE, 3 * READ_SIZE + 7] {
        let bytes = bytes(length);
        let (blob, written) = published(&backend, bytes.clone()).await;
        assert_eq!((written.size, written.sha512), (length as u64, Sha512::digest(&bytes).to_vec()));
        let reader = open(&backend, blob.name()).await.unwrap();
        assert_eq!(reader.size(), length as u64);
        assert!(read(reader).await == bytes, "{length}");
        let pieces: Vec<Bytes> = open(&backend, blob.name()).await.unwrap().into_stream().try_collect().await.unwrap();
        assert!(pieces.iter().all(|piece| !piece.is_empty()), "{length}");
        assert!(pieces.concat() == bytes, "{length}");
    }
    let mut writer = backend.blobs.create().await.unwrap();
    for piece in bytes(1_000_000).chunks(9_999) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let (blob, _) = writer.publish().await.unwrap();
    assert!(read(open(&backend, blob.name()).await.unwrap()).await == bytes(1_000_000));
}

pub(super) async fn parts_of_blobs_are_read_from_anywhere(place: &impl Place) {
    let backend = place.open().await;
    let piece = READ_SIZE as u64;
    let all = bytes(3 * READ_SIZE + 7);
    let (blob, written) = published(&backend, all.clone()).await;
    let ends =
        [0, 1, piece - 1, piece, piece + 1, 3 * piece, written.size - 1, written.size, written.size + 1, u64::MAX];
    for offset in ends {
        for length in ends {
            let place = |count: u64| usize::try_from(count.min(written.size)).unwrap();
            let expected = &all[place(offset)..place(offset.saturating_add(length))];
            let reader = backend.blobs.open_part(blob.name(), offset, length).await.unwrap().unwrap();
            assert_eq!(reader.size(), expected.len() as u64, "{offset}, {length}");
            assert!(read(reader).await == expected, "{offset}, {length}");
        }
    }
    let name = blob.name().to_owned();
    drop(blob);
    assert!(backend.blobs.open_part(&name, 1, 1).await.unwrap().is_none());
}

pub(super) async fn blobs_that_are_not_published_leave_nothing(place: &impl Place) {
    let backend = place.open().await;
    let mut writer = backend.blobs.create().await.unwrap();
    writer.write(bytes(1_000_000).into()).await.unwrap();
    drop(writer);
    assert_eq!(unclaimed(&backend).await, Vec::<String>::new());
    // Published, but never named by a record.
    let (blob, _) = published(&backend, bytes(10)).await;
    let name = blob.name().to_owned();
    drop(blob);
    assert!(open(&backend, &name).await.is_none());
    assert_eq!(unclaimed(&backend).await, Vec::<String>::new());
}

pub(super) async fn published_blobs_are_claimed_until_their_commit_is_decided(place: &impl Place) {
    let backend = place.open().await;
    let (blob, _) = published(&backend, bytes(10)).await;
    let name = blob.name().to_owned();
    assert_eq!(unclaimed(&backend).await, Vec::<String>::new());
    commit(&backend, blob).await;
    assert_eq!(unclaimed(&backend).await, [name]);
}

pub(super) async fn a_reader_reads_on_although_the_blob_is_deleted(place: &impl Place) {
    let backend = place.open().await;
    let bytes = bytes(3 * READ_SIZE);
    let (blob, _) = published(&backend, bytes.clone()).await;
    let name = blob.name().to_owned();
    commit(&backend, blob).await;
    let reader = open(&backend, &name).await.unwrap();
    backend.blobs.delete(&name).await.unwrap();
    assert!(open(&backend, &name).await.is_none());
    assert!(read(reader).await == bytes);
}

pub(super) async fn deleting_what_is_not_there_does_nothing(place: &impl Place) {
    let backend = place.open().await;
    for _ in 0..2 {
        backend.blobs.delete("00112233445566778899aabbccddeeff").await.unwrap();
    }
}

pub(super) async fn every_unclaimed_blob_is_listed_once(place: &impl Place) {
    let backend = place.open().await;
    let mut names = BTreeSet::new();
    for length in 0..20 {
        let (blob, _) = published(&backend, bytes(length)).await;
        names.insert(blob.name().to_owned());
        commit(&backend, blob).await;
    }
    let (claimed, _) = published(&backend, bytes(1)).await;
    let listed = unclaimed(&backend).await;
    assert_eq!(listed.len(), names.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), names);
    drop(claimed);
}

pub(super) async fn blobs_of_records_are_there_after_opening_again(place: &impl Place) {
    let backend = place.open().await;
    let (blob, _) = published(&backend, bytes(1000)).await;
    let name = blob.name().to_owned();
    commit(&backend, blob).await;
    drop(backend);
    let backend = place.open().await;
    assert!(read(open(&backend, &name).await.unwrap()).await == bytes(1000));
}
