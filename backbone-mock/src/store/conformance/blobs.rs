//! Blobs.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use sha2::{Digest, Sha512};
use tokio::io::AsyncReadExt as _;

use super::Storage;
use crate::store::contract::{
    AppendProgress, Appending, Backend, BlobAppender, BlobReader, Changes, PublishedBlob, READ_SIZE, Written,
};

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

pub(super) async fn blobs_of_every_length_around_a_piece_are_read_as_they_were_written(storage: &impl Storage) {
    let backend = storage.open().await;
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

pub(super) async fn parts_of_blobs_are_read_from_anywhere(storage: &impl Storage) {
    let backend = storage.open().await;
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

pub(super) async fn blobs_that_are_not_published_leave_nothing(storage: &impl Storage) {
    let backend = storage.open().await;
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

pub(super) async fn published_blobs_are_claimed_until_their_commit_is_decided(storage: &impl Storage) {
    let backend = storage.open().await;
    let (blob, _) = published(&backend, bytes(10)).await;
    let name = blob.name().to_owned();
    assert_eq!(unclaimed(&backend).await, Vec::<String>::new());
    commit(&backend, blob).await;
    assert_eq!(unclaimed(&backend).await, [name]);
}

pub(super) async fn a_reader_reads_on_although_the_blob_is_deleted(storage: &impl Storage) {
    let backend = storage.open().await;
    let bytes = bytes(3 * READ_SIZE);
    let (blob, _) = published(&backend, bytes.clone()).await;
    let name = blob.name().to_owned();
    commit(&backend, blob).await;
    let reader = open(&backend, &name).await.unwrap();
    backend.blobs.delete(&name).await.unwrap();
    assert!(open(&backend, &name).await.is_none());
    assert!(read(reader).await == bytes);
}

pub(super) async fn deleting_what_is_not_there_does_nothing(storage: &impl Storage) {
    let backend = storage.open().await;
    for _ in 0..2 {
        backend.blobs.delete("00112233445566778899aabbccddeeff").await.unwrap();
    }
}

pub(super) async fn every_unclaimed_blob_is_listed_once(storage: &impl Storage) {
    let backend = storage.open().await;
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

pub(super) async fn blobs_of_records_are_there_after_opening_again(storage: &impl Storage) {
    let backend = storage.open().await;
    let (blob, _) = published(&backend, bytes(1000)).await;
    let name = blob.name().to_owned();
    commit(&backend, blob).await;
    drop(backend);
    let backend = storage.open().await;
    assert!(read(open(&backend, &name).await.unwrap()).await == bytes(1000));
}

async fn appender(backend: &Backend, name: &str) -> Box<dyn BlobAppender> {
    match backend.blobs.append(name).await.unwrap() {
        Appending::Open(appender) => appender,
        Appending::Missing | Appending::Busy => panic!("it is there and free"),
    }
}

/// The name of an empty blob that a record names.
async fn empty(backend: &Backend) -> String {
    let (blob, _) = published(backend, Vec::new()).await;
    let name = blob.name().to_owned();
    commit(backend, blob).await;
    name
}

async fn append(appender: &mut dyn BlobAppender, behind: AppendProgress, pieces: &[&[u8]]) -> AppendProgress {
    appender.resume(behind).await.unwrap();
    for piece in pieces {
        appender.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    appender.sync().await.unwrap()
}

pub(super) async fn what_is_appended_is_readable_and_hashed_after_each_synchronisation(storage: &impl Storage) {
    let backend = storage.open().await;
    let all = bytes(1_000_000);
    let name = empty(&backend).await;
    let mut progress = AppendProgress::default();
    let mut end = 0;
    for length in [1, 0, 9_999, 600_000, 300_000] {
        let piece = &all[end..end + length];
        end += length;
        let (first, second) = piece.split_at(length / 3);
        progress = append(&mut *appender(&backend, &name).await, progress, &[first, second]).await;
        assert_eq!(progress.size, end as u64);
        assert!(read(open(&backend, &name).await.unwrap()).await == all[..end]);
        assert_eq!(progress.clone().written().sha512, Sha512::digest(&all[..end]).to_vec());
    }
}

pub(super) async fn what_is_appended_is_there_after_opening_again_and_what_is_behind_it_is_cut_off(
    storage: &impl Storage,
) {
    let backend = storage.open().await;
    let (name, all) = (empty(&backend).await, bytes(1_000_000));
    let mut first = appender(&backend, &name).await;
    let progress = append(&mut *first, AppendProgress::default(), &[&all[..400_000]]).await;
    first.write(vec![1; 500_000].into()).await.unwrap();
    drop(first);
    // A process that ends takes the thread with it that may still be writing; this one does not end.
    while matches!(backend.blobs.append(&name).await.unwrap(), Appending::Busy) {
        tokio::task::yield_now().await;
    }
    drop(backend);
    let backend = storage.open().await;
    let part = backend.blobs.open_part(&name, 0, progress.size).await.unwrap().unwrap();
    assert!(read(part).await == all[..400_000]);
    let progress = append(&mut *appender(&backend, &name).await, progress, &[&all[400_000..]]).await;
    assert_eq!(progress.written().sha512, Sha512::digest(&all).to_vec());
    assert!(read(open(&backend, &name).await.unwrap()).await == all);
}

pub(super) async fn one_at_a_time_appends_to_a_blob(storage: &impl Storage) {
    let backend = storage.open().await;
    let (name, other) = (empty(&backend).await, empty(&backend).await);
    let mut first = appender(&backend, &name).await;
    assert!(matches!(backend.blobs.append(&name).await.unwrap(), Appending::Busy));
    drop(appender(&backend, &other).await);
    let progress = append(&mut *first, AppendProgress::default(), &[b"a"]).await;
    assert!(matches!(backend.blobs.append(&name).await.unwrap(), Appending::Busy));
    drop(first);
    append(&mut *appender(&backend, &name).await, progress, &[b"b"]).await;
    assert_eq!(read(open(&backend, &name).await.unwrap()).await, b"ab");
    assert!(matches!(backend.blobs.append("00112233445566778899aabbccddeeff").await.unwrap(), Appending::Missing));
}

pub(super) async fn a_blob_that_has_fewer_bytes_than_were_acknowledged_is_an_error(storage: &impl Storage) {
    let backend = storage.open().await;
    let name = empty(&backend).await;
    append(&mut *appender(&backend, &name).await, AppendProgress::default(), &[b"abc"]).await;
    let more = AppendProgress { size: 4, ..AppendProgress::default() };
    appender(&backend, &name).await.resume(more).await.unwrap_err();
    assert_eq!(read(open(&backend, &name).await.unwrap()).await, b"abc");
}

pub(super) async fn whoever_appends_can_take_back_what_is_behind_a_synchronised_byte(storage: &impl Storage) {
    let backend = storage.open().await;
    let (name, all) = (empty(&backend).await, bytes(1_000_000));
    let mut appender = appender(&backend, &name).await;
    let progress = append(&mut *appender, AppendProgress::default(), &[&all[..400_000]]).await;
    for lost in [1, 500_000] {
        appender.write(vec![1; lost].into()).await.unwrap();
        appender.resume(progress.clone()).await.unwrap();
        assert!(read(open(&backend, &name).await.unwrap()).await == all[..400_000], "{lost}");
    }
    appender.write(all[400_000..].to_vec().into()).await.unwrap();
    assert_eq!(appender.sync().await.unwrap().written().sha512, Sha512::digest(&all).to_vec());
    assert!(read(open(&backend, &name).await.unwrap()).await == all);
}

pub(super) async fn appending_to_a_blob_that_is_deleted_does_not_bring_it_back(storage: &impl Storage) {
    let backend = storage.open().await;
    let name = empty(&backend).await;
    let mut appender = appender(&backend, &name).await;
    append(&mut *appender, AppendProgress::default(), &[b"abc"]).await;
    backend.blobs.delete(&name).await.unwrap();
    appender.write(b"def".as_slice().into()).await.unwrap();
    appender.sync().await.unwrap();
    drop(appender);
    assert!(open(&backend, &name).await.is_none());
    assert!(matches!(backend.blobs.append(&name).await.unwrap(), Appending::Missing));
}
