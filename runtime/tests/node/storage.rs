//! Buckets, the files in them, and uploads in parts.

use std::path::Path;
use std::time::Duration;

use backbone_mock::fault::{Fault, Matching};
use http::{Method, StatusCode};
use runtime::dto::{BucketFile, FileFormat, FileToken};
use runtime::facade::{BucketContent, ContentRequest, FileChange, Ownership, StorageFacade, TokenUse};
use runtime::storage::{
    Action, BucketRequest, Caller, ContentUse, Counting, FileTokenRequest, Listable, MAX_UPLOADS, NewBucketFile,
    PART_LENGTH, PartRange, PresentedToken, Search, StorageError, StorageResult, TokenRefusal, UPLOAD_IDLE,
    UPLOAD_LIFETIME, UploadedFile, parts_of,
};
use runtime::{Config, Runtime, StorageConfig};
use tokio::io::AsyncReadExt as _;

use crate::world::{World, bytes_of, pattern};

const PART: usize = PART_LENGTH as usize;
const BUCKET: &str = "photos";

fn new(id: &str, name: &str) -> NewBucketFile {
    NewBucketFile {
        bucket_id: BUCKET.to_owned(),
        file_id: id.to_owned(),
        name: name.to_owned(),
        ..NewBucketFile::default()
    }
}

fn permitted(permissions: &[&str], file_security: bool) -> BucketRequest {
    BucketRequest {
        permissions: Some(permissions.iter().map(|text| (*text).to_owned()).collect()),
        file_security: Some(file_security),
        ..BucketRequest::named("Photos")
    }
}

async fn put_as(node: &Runtime, caller: Caller, new: NewBucketFile, content: &[u8]) -> StorageResult<UploadedFile> {
    let storage = node.storage();
    let staged = storage.stage_content(caller, BUCKET, None, content).await?;
    storage.create_bucket_file(caller, new, staged).await
}

async fn put(node: &Runtime, id: &str, content: &[u8]) -> StorageResult<BucketFile> {
    put_as(node, Caller::Key, new(id, "a.txt"), content).await.map(|uploaded| uploaded.file)
}

/// A part of a content, as clients send it.
async fn part(storage: &StorageFacade, id: &str, content: &[u8], index: usize) -> StorageResult<UploadedFile> {
    let bytes = index * PART..content.len().min((index + 1) * PART);
    let range = PartRange::parse(&format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, content.len()))?;
    let staged = storage.stage_content(Caller::Key, BUCKET, Some(range), &content[bytes]).await?;
    storage.create_bucket_file(Caller::Key, new(id, "a.bin"), staged).await
}

fn seen(storage: &StorageFacade, id: &str) -> StorageResult<BucketFile> {
    storage.bucket_file(Caller::Key, BUCKET, id)
}

fn opened(
    storage: &StorageFacade,
    caller: Caller,
    id: &str,
    token: Option<&FileToken>,
) -> StorageResult<BucketContent> {
    let token = token
        .map(|token| TokenUse { token: PresentedToken::read(token.secret.expose()), counting: Counting::Unclaimed });
    storage.content(caller, BUCKET, id, ContentRequest { token, used_as: ContentUse::View })
}

async fn token_on(storage: &StorageFacade, id: &str) -> FileToken {
    storage.create_file_token(Caller::Key, BUCKET, id, FileTokenRequest::default()).await.unwrap()
}

async fn content_of(storage: &StorageFacade, id: &str) -> Vec<u8> {
    let content = opened(storage, Caller::Key, id, None).unwrap();
    let mut bytes = Vec::new();
    storage.read(&content, None).await.unwrap().into_reader().read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn ordinary(node: &Runtime) -> Vec<runtime::dto::File> {
    node.files().files(Ownership::Any, &[]).unwrap().collect().await.unwrap()
}

fn files_in(config: &Config) -> usize {
    std::fs::read_dir(Path::new(&config.data_dir).join("parts")).map_or(0, Iterator::count)
}

async fn with_bucket(world: &World) -> Runtime {
    let node = world.start(larger(world)).await.unwrap();
    node.storage().create_bucket(BUCKET, permitted(&[], false)).await.unwrap();
    node
}

/// Takes files of some parts.
fn larger(world: &World) -> Config {
    let max_file_size = 16 * PART_LENGTH;
    let storage = StorageConfig { max_file_size, max_unfinished_bytes: 2 * max_file_size, ..StorageConfig::default() };
    Config { storage, ..world.config("alice") }
}

async fn stop(node: Runtime) {
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_bucket_is_created_changed_listed_and_deleted() {
    let world = World::new().await;
    let node = world.node("alice").await;
    let storage = node.storage();
    let request = permitted(&["read(\"any\")", "write(\"guests\")"], true);
    let created = storage.create_bucket(BUCKET, request).await.unwrap();
    assert_eq!(created.maximum_file_size, StorageConfig::DEFAULT_MAX_FILE_SIZE);
    let permissions = ["read(\"any\")", "create(\"guests\")", "update(\"guests\")", "delete(\"guests\")"];
    assert_eq!(created.permissions, permissions);
    assert_eq!(storage.bucket(BUCKET).unwrap(), created);
    let again = storage.create_bucket(BUCKET, BucketRequest::named("b")).await;
    assert!(matches!(again, Err(StorageError::BucketExists)));
    for _ in 0..3 {
        storage.create_bucket("unique()", BucketRequest::named("Other bucket")).await.unwrap();
    }

    world.clock.advance(Duration::from_secs(1));
    let request = BucketRequest { enabled: Some(false), ..BucketRequest::named("New") };
    let changed = storage.update_bucket(BUCKET, request).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.file_security, changed.enabled), ("New", false, false));
    assert_eq!(changed.permissions, permissions, "they are kept");
    assert_eq!((changed.created_at, changed.sequence), (created.created_at, created.sequence));
    assert!(changed.updated_at > created.updated_at);
    let hidden = storage.bucket_files(Caller::Guest, BUCKET);
    assert!(matches!(hidden, Err(StorageError::BucketNotFound)));

    let listed = storage.buckets().collect().await.unwrap();
    assert_eq!((listed.len(), listed[0].id.as_str()), (4, BUCKET));
    assert!(listed.is_sorted_by_key(|bucket| bucket.sequence));
    let search = Search::parse("nothing buck").unwrap();
    assert_eq!(listed.iter().filter(|bucket| bucket.is_found_by(&search)).count(), 3);

    storage.delete_bucket(BUCKET).await.unwrap();
    assert!(matches!(storage.bucket(BUCKET), Err(StorageError::BucketNotFound)));
    assert!(matches!(storage.delete_bucket(BUCKET).await, Err(StorageError::BucketNotFound)));
    let update = storage.update_bucket(BUCKET, BucketRequest::named("b")).await;
    assert!(matches!(update, Err(StorageError::BucketNotFound)));
    assert_eq!(storage.buckets().collect().await.unwrap().len(), 3);
    let recreated = storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
    assert!(recreated.sequence > created.sequence);
}

#[tokio::test]
async fn a_file_in_a_bucket_is_an_ordinary_file() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    let content = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and so on";
    let file = NewBucketFile { folder: Some("2030/may".to_owned()), ..new("one", "a dir/b\u{202e}.png") };
    let UploadedFile { file, is_new } = put_as(&node, Caller::Key, file, content).await.unwrap();
    assert!(is_new);
    assert_eq!((file.name.as_str(), file.mime_type.as_str()), ("b\u{202e}.png", "image/png"));
    assert_eq!(file.key(), "2030/may/b\u{202e}.png");
    assert_eq!((file.size_original, file.size_actual, file.chunks_total, file.chunks_uploaded), (26, 26, 1, 1));
    assert_eq!(file.signature.len(), 32);
    assert_eq!(seen(&storage, "one").unwrap(), file);
    assert_eq!(storage.bucket(BUCKET).unwrap().total_size, 26);
    assert!(matches!(put(&node, "one", b"b").await, Err(StorageError::FileExists)));

    let [own] = &ordinary(&node).await[..] else { panic!("there is one file") };
    assert_eq!(
        (Some(&own.id), own.filename.as_str(), own.mimetype.as_str()),
        (file.file.as_ref(), "b.png", "image/png")
    );
    assert_eq!(bytes_of(&node, own).await.unwrap(), content);
    assert_eq!(storage.bucket_file_of(&own.id).unwrap(), Some(file.clone()));

    let old_token = token_on(&storage, "one").await;
    opened(&storage, Caller::Guest, "one", Some(&old_token)).unwrap();
    // Whoever removes the ordinary file removes the entry.
    node.files().delete_file(&own.id).await.unwrap();
    assert!(matches!(seen(&storage, "one"), Err(StorageError::FileNotFound)));
    assert_eq!(storage.bucket(BUCKET).unwrap().total_size, 0);

    let again = put(&node, "one", b"b").await.unwrap();
    assert!(again.sequence > file.sequence);
    let inherited = opened(&storage, Caller::Guest, "one", Some(&old_token));
    assert!(matches!(inherited, Err(StorageError::Token(TokenRefusal::Invalid))));
    let token = token_on(&storage, "one").await;
    opened(&storage, Caller::Guest, "one", Some(&token)).unwrap();

    storage.delete_bucket_file(Caller::Key, BUCKET, "one").await.unwrap();
    assert!(ordinary(&node).await.is_empty());
    let second = storage.delete_bucket_file(Caller::Key, BUCKET, "one").await;
    assert!(matches!(second, Err(StorageError::FileNotFound)));
}

#[tokio::test]
async fn contents_are_read_by_range_under_a_tag_of_their_own() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    let (small, large) = (pattern(3000), pattern(3 * PART + 7));
    put(&node, "small", &small).await.unwrap();
    put(&node, "same", &small).await.unwrap();
    put(&node, "large", &large).await.unwrap();
    let formats: Vec<_> = ordinary(&node).await.iter().map(|file| file.format).collect();
    assert_eq!(formats, [FileFormat::V1, FileFormat::V1, FileFormat::V2]);
    for (id, content) in [("small", &small), ("large", &large)] {
        let found = opened(&storage, Caller::Key, id, None).unwrap();
        assert_eq!(found.length(), content.len() as u64);
        for range in [0..content.len(), 0..1, 1000..2000, content.len() - 1..content.len(), 5..5] {
            let read = storage.read(&found, Some(range.start as u64..range.end as u64)).await.unwrap();
            let mut bytes = Vec::new();
            read.into_reader().read_to_end(&mut bytes).await.unwrap();
            assert!(bytes == content[range]);
        }
    }
    let tags = ["small", "same", "large"].map(|id| opened(&storage, Caller::Key, id, None).unwrap().etag);
    assert!(
        tags[0] == tags[1] && tags[0] != tags[2] && tags.iter().all(|tag| tag.starts_with('"') && tag.ends_with('"'))
    );
    let jumps = storage.read(&opened(&storage, Caller::Key, "large", None).unwrap(), None).await.unwrap();
    assert!(jumps.into_seekable().is_ok());
}

#[tokio::test]
async fn guests_do_what_permissions_say() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    let refused = put_as(&node, Caller::Guest, new("a", "a.txt"), b"a").await;
    assert!(matches!(refused, Err(StorageError::NotPermitted(Action::Create))));
    storage.update_bucket(BUCKET, permitted(&["create(\"any\")"], true)).await.unwrap();
    let given = |role: &str| NewBucketFile { permissions: Some(vec![role.to_owned()]), ..new("a", "a.txt") };
    let foreign = put_as(&node, Caller::Guest, given("read(\"users\")"), b"a").await;
    assert!(matches!(foreign, Err(StorageError::ForeignRoles(Caller::Guest))));
    put_as(&node, Caller::Guest, given("read(\"any\")"), b"a").await.unwrap();
    put(&node, "b", b"b").await.unwrap();

    assert_eq!(storage.bucket_file(Caller::Guest, BUCKET, "a").unwrap().permissions, ["read(\"any\")"]);
    assert!(matches!(storage.bucket_file(Caller::Guest, BUCKET, "b"), Err(StorageError::FileNotFound)));
    let listed = |caller| {
        let storage = storage.clone();
        async move {
            let files = storage.bucket_files(caller, BUCKET).unwrap().collect().await.unwrap();
            files.into_iter().map(|file| file.id.to_string()).collect::<Vec<_>>()
        }
    };
    assert_eq!(listed(Caller::Guest).await, ["a"]);
    assert_eq!(listed(Caller::Key).await, ["a", "b"]);

    let change = FileChange { name: Some("new.txt".to_owned()), permissions: None };
    let refused = storage.update_bucket_file(Caller::Guest, BUCKET, "a", change.clone()).await;
    assert!(matches!(refused, Err(StorageError::NotPermitted(Action::Update))));
    let changed = storage.update_bucket_file(Caller::Key, BUCKET, "a", change).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.permissions.len()), ("new.txt", 1));
    let change = FileChange { permissions: Some(vec!["update(\"any\")".to_owned()]), ..FileChange::default() };
    storage.update_bucket_file(Caller::Key, BUCKET, "a", change).await.unwrap();
    let change = FileChange { permissions: Some(vec!["delete(\"user:u\")".to_owned()]), ..FileChange::default() };
    let foreign = storage.update_bucket_file(Caller::Guest, BUCKET, "a", change).await;
    assert!(matches!(foreign, Err(StorageError::ForeignRoles(_))));
    let change = FileChange { permissions: Some(vec!["write(\"any\")".to_owned()]), ..FileChange::default() };
    let changed = storage.update_bucket_file(Caller::Guest, BUCKET, "a", change).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.permissions.len()), ("new.txt", 2));
    storage.delete_bucket_file(Caller::Guest, BUCKET, "a").await.unwrap();
    assert_eq!(listed(Caller::Key).await, ["b"]);
}

#[tokio::test]
async fn parts_come_in_any_order_and_count_once() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    let content = pattern(2 * PART + 1234);
    for (number, order) in [[0, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]].into_iter().enumerate() {
        let id = format!("file-{number}");
        for (sent, index) in order.into_iter().enumerate() {
            let UploadedFile { file, is_new } = part(&storage, &id, &content, index).await.unwrap();
            assert_eq!((file.chunks_total, file.chunks_uploaded, is_new), (3, sent as u64 + 1, true));
            assert_eq!(file.is_complete(), sent == 2);
            if sent < 2 {
                assert_eq!((file.signature.as_str(), file.mime_type.as_str(), file.size_actual), ("", "", 0));
                let repeated = part(&storage, &id, &content, index).await.unwrap();
                assert_eq!(repeated.file, file, "a repeated part does not count");
                assert!(matches!(opened(&storage, Caller::Key, &id, None), Err(StorageError::FileNotFound)));
            }
        }
        assert!(content_of(&storage, &id).await == content);
        let complete = seen(&storage, &id).unwrap();
        for index in 0..3 {
            let after = part(&storage, &id, &content, index).await.unwrap();
            assert_eq!((after.file, after.is_new), (complete.clone(), false));
        }
        assert!(matches!(put(&node, &id, b"a").await, Err(StorageError::FileExists)));
    }
    assert_eq!(ordinary(&node).await.len(), 4);
    assert_eq!(files_in(node.config()), 0);
    let files = storage.bucket_files(Caller::Key, BUCKET).unwrap().collect().await.unwrap();
    assert!(files.iter().all(|file| file.signature == files[0].signature));
    assert!(files.is_sorted_by_key(|file| file.sequence));
}

#[tokio::test]
async fn eight_parts_at_once_make_one_file() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    let content = pattern(8 * PART + 5);
    let first = part(&storage, "one", &content, 0).await.unwrap();
    assert_eq!(first.file.chunks_total, 9);
    // Each of them twice, as after a lost answer.
    let parts = (1..9).chain(1..9).map(|index| part(&storage, "one", &content, index));
    let answers = futures_util::future::try_join_all(parts).await.unwrap();
    let complete: Vec<_> = answers.iter().filter(|answer| answer.file.is_complete()).collect();
    assert!(!complete.is_empty() && complete.iter().filter(|answer| answer.is_new).count() == 1);
    assert!(answers.iter().all(|answer| answer.file.is_complete() == (answer.file.chunks_uploaded == 9)));
    assert!(content_of(&storage, "one").await == content);
    assert_eq!((ordinary(&node).await.len(), files_in(node.config())), (1, 0));
}

#[tokio::test]
async fn parts_that_do_not_fit_are_refused() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    let content = pattern(2 * PART + 1);
    part(&storage, "one", &content, 0).await.unwrap();
    let other = part(&storage, "one", &content[..2 * PART], 1).await;
    assert!(matches!(other, Err(StorageError::InvalidPart(_))));
    let whole = part(&storage, "one", &content[..10], 0).await;
    assert!(matches!(whole, Err(StorageError::InvalidPart(_))));
    let range = PartRange::parse(&format!("bytes {PART}-{}/{}", 2 * PART - 1, content.len())).unwrap();
    for length in [0, PART - 1, PART + 1] {
        let staged = storage.stage_content(Caller::Key, BUCKET, Some(range), &content[..length]).await;
        assert!(matches!(staged, Err(StorageError::InvalidPart(_))), "{length}");
    }
    let staged = storage.stage_content(Caller::Key, BUCKET, Some(range), &content[PART..2 * PART]).await.unwrap();
    let unique = NewBucketFile { upload_id: Some("unique()".to_owned()), ..new("one", "a") };
    let refused = storage.create_bucket_file(Caller::Key, unique, staged).await;
    assert!(matches!(refused, Err(StorageError::InvalidUploadId)));
    // The header names the file, whatever the field says.
    let staged = storage.stage_content(Caller::Key, BUCKET, Some(range), &content[PART..2 * PART]).await.unwrap();
    let by_header = NewBucketFile { upload_id: Some("one".to_owned()), ..new("unique()", "a") };
    let uploaded = storage.create_bucket_file(Caller::Key, by_header, staged).await.unwrap();
    assert_eq!((uploaded.file.id.as_str(), uploaded.file.chunks_uploaded), ("one", 2));
    assert!(part(&storage, "one", &content, 2).await.unwrap().file.is_complete());
    assert!(content_of(&storage, "one").await == content);
    assert_eq!(files_in(node.config()), 0);
}

#[tokio::test]
async fn rules_of_the_bucket_hold_from_the_first_part_on() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    let request = BucketRequest {
        maximum_file_size: Some(2 * PART_LENGTH),
        allowed_file_extensions: Some(vec!["bin".to_owned()]),
        ..BucketRequest::named("b")
    };
    storage.update_bucket(BUCKET, request).await.unwrap();
    let content = pattern(2 * PART + 1);
    assert!(matches!(part(&storage, "a", &content, 0).await, Err(StorageError::FileSizeNotAllowed)));
    let large = storage.stage_content(Caller::Key, BUCKET, None, &content[..]).await;
    assert!(matches!(large, Err(StorageError::FileSizeNotAllowed)));
    let empty = storage.stage_content(Caller::Key, BUCKET, None, &b""[..]).await;
    assert!(matches!(empty, Err(StorageError::EmptyFile)));
    assert!(matches!(put(&node, "a", b"a").await, Err(StorageError::ExtensionNotAllowed)));
    let most = &content[..2 * PART];
    part(&storage, "a", most, 1).await.unwrap();
    assert!(part(&storage, "a", most, 0).await.unwrap().file.is_complete());
    assert!(put_as(&node, Caller::Key, new("b", "B.BIN"), most).await.is_ok());
    for (field, new) in [
        ("fileId", new("_a", "a.bin")),
        ("file", new("c", "")),
        ("file", new("c", &"a".repeat(256))),
        ("folder", NewBucketFile { folder: Some("/a".to_owned()), ..new("c", "a.bin") }),
        ("permissions", NewBucketFile { permissions: Some(vec!["create(\"any\")".to_owned()]), ..new("c", "a.bin") }),
        ("bucketId", NewBucketFile { bucket_id: "ä".to_owned(), ..new("c", "a.bin") }),
    ] {
        let StorageError::InvalidArgument { name, .. } = put_as(&node, Caller::Key, new, b"a").await.unwrap_err()
        else {
            panic!("{field}")
        };
        assert_eq!(name, field);
    }
    let gone = NewBucketFile { bucket_id: "other".to_owned(), ..new("c", "a.bin") };
    assert!(matches!(put_as(&node, Caller::Key, gone, b"a").await, Err(StorageError::BucketNotFound)));
}

#[tokio::test]
async fn an_upload_goes_on_after_the_node_ended() {
    let world = World::new().await;
    let content = pattern(4 * PART + 99);
    let mut node = with_bucket(&world).await;
    for (sent, index) in [0, 1, 3, 4].into_iter().enumerate() {
        let answer = part(&node.storage(), "one", &content, index).await.unwrap();
        assert_eq!(answer.file.chunks_uploaded, sent as u64 + 1);
        stop(node).await;
        node = world.start(larger(&world)).await.unwrap();
        let shown = seen(&node.storage(), "one").unwrap();
        // Where a client goes on: behind the parts before the first one that is missing.
        assert_eq!((shown.chunks_uploaded, shown.is_complete()), ([1, 2, 2, 2][sent], false));
    }
    let storage = node.storage();
    for index in 2..5 {
        part(&storage, "one", &content, index).await.unwrap();
    }
    assert!(content_of(&storage, "one").await == content);
    drop(storage);
    stop(node).await;
    let node = world.start(larger(&world)).await.unwrap();
    assert!(seen(&node.storage(), "one").unwrap().is_complete());
    assert!(content_of(&node.storage(), "one").await == content);
    assert_eq!(files_in(node.config()), 0);
}

#[tokio::test]
async fn a_part_that_could_not_complete_the_file_comes_again() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    let content = pattern(PART + 10);
    part(&storage, "one", &content, 0).await.unwrap();
    world
        .faults
        .inject(Matching::path("/File").method(Method::POST).times(1), Fault::RefuseBefore(StatusCode::FORBIDDEN));
    assert!(matches!(part(&storage, "one", &content, 1).await, Err(StorageError::Node(_))));
    let shown = seen(&storage, "one").unwrap();
    assert_eq!((shown.chunks_uploaded, shown.is_complete(), files_in(node.config())), (1, false, 1));
    assert!(part(&storage, "one", &content, 1).await.unwrap().file.is_complete());
    assert!(content_of(&storage, "one").await == content);
}

#[tokio::test]
async fn unfinished_uploads_are_deleted_with_their_parts() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    let content = pattern(3 * PART);
    for id in ["one", "two"] {
        part(&storage, id, &content, 1).await.unwrap();
        part(&storage, id, &content, 2).await.unwrap();
    }
    assert_eq!(files_in(node.config()), 4);
    storage.delete_bucket_file(Caller::Key, BUCKET, "one").await.unwrap();
    assert_eq!(files_in(node.config()), 2);
    // The id is free for another size.
    part(&storage, "one", &content[..PART + 1], 0).await.unwrap();
    storage.delete_bucket(BUCKET).await.unwrap();
    assert_eq!(files_in(node.config()), 0);
    assert!(matches!(part(&storage, "one", &content, 0).await, Err(StorageError::BucketNotFound)));
}

#[tokio::test]
async fn unfinished_uploads_make_room_and_end_with_their_time() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    let size = 16 * PART;
    assert_eq!(parts_of(size as u64), 16);
    let content = pattern(size);
    // As many bytes as may be announced, which are not there yet.
    part(&storage, "one", &content, 0).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    part(&storage, "two", &content, 0).await.unwrap();
    let full = part(&storage, "three", &content[..PART + 1], 0).await;
    assert!(matches!(full, Err(StorageError::LimitReached(_))));
    // What goes on is not in the way, what rests is.
    part(&storage, "two", &content, 1).await.unwrap();
    world.clock.advance(UPLOAD_IDLE - Duration::from_secs(1));
    part(&storage, "three", &content[..PART + 1], 0).await.unwrap();
    assert!(matches!(seen(&storage, "one"), Err(StorageError::FileNotFound)));
    assert_eq!((seen(&storage, "two").unwrap().chunks_uploaded, files_in(node.config())), (2, 3));

    world.clock.advance(UPLOAD_LIFETIME - UPLOAD_IDLE);
    drop(storage);
    stop(node).await;
    let node = world.start(larger(&world)).await.unwrap();
    assert_eq!(files_in(node.config()), 3);
    world.clock.advance(UPLOAD_IDLE);
    stop(node).await;
    // What a crash has left goes at the start, too.
    let parts = larger(&world).data_dir.join("parts");
    std::fs::write(parts.join(".new-left"), "x").unwrap();
    let node = world.start(larger(&world)).await.unwrap();
    assert_eq!(files_in(node.config()), 0);
    assert!(node.storage().bucket_files(Caller::Key, BUCKET).unwrap().collect().await.unwrap().is_empty());
}

#[tokio::test]
async fn there_are_at_most_so_many_unfinished_uploads() {
    let world = World::new().await;
    let storage_config = StorageConfig { max_unfinished_bytes: u64::MAX, ..StorageConfig::default() };
    let node = world.start(Config { storage: storage_config, ..world.config("alice") }).await.unwrap();
    let storage = node.storage();
    storage.create_bucket(BUCKET, permitted(&[], false)).await.unwrap();
    // Their last part comes first, because it has one byte.
    let last = PartRange::parse(&format!("bytes {PART}-{PART}/{}", PART + 1)).unwrap();
    let begin = async |number: u64| {
        let staged = storage.stage_content(Caller::Key, BUCKET, Some(last), &b"a"[..]).await.unwrap();
        storage.create_bucket_file(Caller::Key, new(&format!("f{number}"), "a"), staged).await
    };
    for number in 0..MAX_UPLOADS {
        begin(number).await.unwrap();
    }
    assert!(matches!(begin(MAX_UPLOADS).await, Err(StorageError::LimitReached(_))));
    begin(0).await.unwrap();
    let listed = storage.bucket_files(Caller::Key, BUCKET).unwrap().collect().await.unwrap();
    assert_eq!(listed.len() as u64, MAX_UPLOADS);
    assert!(listed.is_sorted_by_key(|file| file.sequence));
    world.clock.advance(UPLOAD_IDLE);
    begin(MAX_UPLOADS).await.unwrap();
    assert!(matches!(seen(&storage, "f0"), Err(StorageError::FileNotFound)));
    assert!(seen(&storage, "f1").is_ok());
}

#[tokio::test]
async fn a_bucket_takes_its_files_with_it() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    for number in 0..5 {
        put(&node, &format!("f{number}"), b"a").await.unwrap();
    }
    // One cannot be deleted now; it goes when the next bucket does.
    world
        .faults
        .inject(Matching::path("/Files").method(Method::DELETE).times(1), Fault::RefuseBefore(StatusCode::FORBIDDEN));
    storage.delete_bucket(BUCKET).await.unwrap();
    assert!(matches!(storage.bucket(BUCKET), Err(StorageError::BucketNotFound)));
    let [left] = &ordinary(&node).await[..] else { panic!("one is left") };
    assert_eq!(storage.bucket_file_of(&left.id).unwrap(), None);
    storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
    assert!(storage.bucket_files(Caller::Key, BUCKET).unwrap().collect().await.unwrap().is_empty());
    storage.delete_bucket(BUCKET).await.unwrap();
    assert!(ordinary(&node).await.is_empty());
}

#[tokio::test]
async fn a_file_that_has_expired_at_the_backbone_is_not_found() {
    let world = World::of_guests().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    put(&node, "one", b"a").await.unwrap();
    let found = opened(&storage, Caller::Key, "one", None).unwrap();
    storage.read(&found, None).await.unwrap();
    // The backbone keeps nothing of guests for so long.
    world.clock.advance(Duration::from_secs(400 * 24 * 60 * 60));
    let read = storage.read(&found, None).await.err().unwrap();
    assert!(matches!(read, StorageError::FileNotFound), "{read}");
}

#[tokio::test]
async fn the_last_use_of_a_token_is_there_after_a_stop() {
    let world = World::new().await;
    let node = with_bucket(&world).await;
    let storage = node.storage();
    put(&node, "one", b"a").await.unwrap();
    let token = token_on(&storage, "one").await;
    world.clock.advance(Duration::from_secs(1));
    let content = opened(&storage, Caller::Guest, "one", Some(&token)).unwrap();
    storage.use_token(&content, Some(0)).await.unwrap();
    let used = storage.file_token(token.id.as_str()).unwrap();
    assert!(used.accessed_at.is_some_and(|at| at > token.created_at));
    drop(storage);
    stop(node).await;
    let node = world.start(larger(&world)).await.unwrap();
    assert_eq!(node.storage().file_token(token.id.as_str()).unwrap(), used);
}
