//! What depends on when a commit takes effect.

mod following;

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::stream;
use transport::wire::ByteText;

use super::*;
use crate::config::Config;
use crate::domain::identities::registered;
use crate::store::AppendProgress;
use crate::store::memory::Memory;

/// Free bytes that are left to others.
const RESERVE: u64 = 600;

struct World {
    core: Arc<Core>,
    caller: Caller,
    disk: Memory,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let disk = Memory::default();
        let mut config = Config::new("").with_client("client", "secret");
        config.clients[0].terms.disk_reserve = RESERVE;
        change(&mut config);
        let core = Arc::new(Core::on(disk.open(), config).await.unwrap());
        let caller = registered(&core, 1, "client").await;
        Self { core, caller, disk }
    }

    /// An upload with these bytes and a length.
    async fn upload(&self, bytes: &'static [u8], length: u64, is_partial: bool) -> UploadRecord {
        let new = NewUpload { length: Some(length), is_partial, metadata: String::new() };
        let upload = create(&self.core, &self.caller, new).await.unwrap();
        self.append(&upload, bytes).await.unwrap()
    }

    async fn create(&self, length: Option<u64>) -> Result<UploadRecord, Refusal> {
        create(&self.core, &self.caller, NewUpload { length, is_partial: false, metadata: String::new() }).await
    }

    async fn append(&self, upload: &UploadRecord, bytes: &'static [u8]) -> Result<UploadRecord, Refusal> {
        let pieces = stream::iter([Ok::<_, Infallible>(bytes.into())]);
        let append = Append { offset: upload.offset(), length: None, announced: None, checksum: None, pieces };
        Ok(super::append(&self.core, &self.caller, &upload.id, append).await?.upload)
    }

    async fn finish(&self, upload: &UploadRecord) -> Result<(), Refusal> {
        let described = Described {
            cipher_hash: None,
            owner_signature: ByteText(vec![1]),
            encrypted_properties: ByteText(vec![1]),
            expires_at: Timestamp::NEVER,
        };
        finish(&self.core, self.caller.clone(), &upload.id, described).await.map(|_| ())
    }

    async fn read(&self, upload: &UploadRecord) -> UploadRecord {
        read(&self.core, &self.caller, &upload.id).await.unwrap()
    }

    async fn blob_size(&self, upload: &UploadRecord) -> u64 {
        self.core.store.read_blob(&upload.blob).await.unwrap().unwrap().size()
    }

    /// Makes these the bytes of the blob, behind the back of the record.
    async fn overwrite(&self, upload: &UploadRecord, bytes: &'static [u8]) -> AppendProgress {
        let Appending::Open(mut appender) = self.core.store.append_to_blob(&upload.blob).await.unwrap() else {
            panic!("nobody appends")
        };
        appender.resume(AppendProgress::default()).await.unwrap();
        appender.write(bytes.into()).await.unwrap();
        appender.sync().await.unwrap()
    }
}

fn is_stopped<T>(result: Result<T, Refusal>) -> bool {
    matches!(result, Err(Refusal::Store(StoreError::Stopped(_))))
}

/// The commit may be in the journal: then the bytes are acknowledged after a restart.
#[tokio::test]
async fn nobody_cuts_off_what_a_failed_commit_may_have_acknowledged() {
    let world = World::new().await;
    let whole = world.upload(b"abc", 6, false).await;
    let [first, second] = [world.upload(b"abc", 3, true).await, world.upload(b"def", 3, true).await];
    world.overwrite(&whole, b"abcdef").await;
    world.overwrite(&first, b"abcdef").await;
    world.core.store.close().await.unwrap();
    assert!(is_stopped(world.append(&whole, b"").await));
    assert!(is_stopped(world.finish(&whole).await));
    let parts = vec![first.id.clone(), second.id];
    assert!(is_stopped(concatenate(&world.core, &world.caller, parts, String::new()).await));
    assert_eq!((world.blob_size(&whole).await, world.blob_size(&first).await), (6, 6));
}

#[tokio::test]
async fn bytes_are_not_acknowledged_behind_others_than_were_read() {
    let world = World::new().await;
    let before = world.upload(b"abc", 6, true).await;
    let progress = world.overwrite(&before, b"abcdef").await;
    let after = world.append(&before, b"def").await.unwrap();
    let refused = commit::acknowledge(&world.core, &world.caller, &before, &progress, true).await;
    assert!(matches!(refused, Err(Refusal::Upload(UploadRefusal::OffsetConflict { offset: 6 }))));
    let whole = concatenate(&world.core, &world.caller, vec![after.id.clone()], String::new()).await.unwrap();
    let refused = commit::acknowledge(&world.core, &world.caller, &after, &progress, true).await;
    assert!(matches!(refused, Err(Refusal::Upload(UploadRefusal::IsFinal))));
    assert_eq!(world.read(&whole).await.role, Role::Final(vec![after.id]));
}

#[tokio::test]
async fn no_file_is_made_of_missing_bytes() {
    let world = World::new().await;
    let upload = world.upload(b"abc", 3, false).await;
    world.overwrite(&upload, b"ab").await;
    assert!(matches!(world.finish(&upload).await, Err(Refusal::Store(StoreError::Failed(_)))));
    assert_eq!(world.read(&upload).await.offset(), 3);
    world.overwrite(&upload, b"abcd").await;
    world.finish(&upload).await.unwrap();
    assert_eq!(world.blob_size(&upload).await, 3, "what nobody acknowledged is cut off");
}

fn is_full<T>(result: Result<T, Refusal>) -> bool {
    matches!(result, Err(Refusal::Store(StoreError::Full(_))))
}

#[tokio::test]
async fn uploads_leave_some_of_the_disk_to_others() {
    let world = World::new().await;
    let [first, second] = [world.upload(b"abc", 3, true).await, world.upload(b"def", 3, true).await];
    let deferred = world.create(None).await.unwrap();
    world.disk.set_free(RESERVE + 400);
    assert!(is_full(world.create(Some(401)).await));
    let known = world.create(Some(400)).await.unwrap();
    let late = async |length| {
        let pieces = stream::iter([Ok::<_, Infallible>("abc".into())]);
        let append = Append { offset: 0, length: Some(length), announced: None, checksum: None, pieces };
        super::append(&world.core, &world.caller, &deferred.id, append).await
    };
    assert!(is_full(late(401).await));
    assert_eq!((world.read(&deferred).await.length, world.blob_size(&deferred).await), (None, 0));
    late(400).await.unwrap();
    world.disk.set_free(RESERVE + 2);
    let checksum = || Some(Checksum { algorithm: Algorithm::Sha1, expected: vec![] });
    for checksum in [None, checksum()] {
        let pieces = stream::iter([Ok::<_, Infallible>("abc".into())]);
        let append = Append { offset: 0, length: None, announced: None, checksum, pieces };
        assert!(is_full(super::append(&world.core, &world.caller, &known.id, append).await));
    }
    let whole = async || {
        let parts = vec![first.id.clone(), second.id.clone()];
        concatenate(&world.core, &world.caller, parts, String::new()).await
    };
    assert!(is_full(whole().await));
    world.disk.set_free(RESERVE + 3);
    whole().await.unwrap();
}

#[tokio::test]
async fn putting_together_ends_with_the_server_and_leaves_the_parts() {
    let world = World::new().await;
    let [first, second] = [world.upload(b"abc", 3, true).await, world.upload(b"def", 3, true).await];
    let whole = async || {
        let parts = vec![first.id.clone(), second.id.clone()];
        concatenate(&world.core, &world.caller, parts, String::new()).await
    };
    world.core.appending.close();
    assert!(is_stopped(whole().await));
    assert_eq!((world.blob_size(&first).await, world.read(&first).await.role), (3, Role::Partial));
    world.core.appending.reopen();
    assert_eq!(whole().await.unwrap().offset(), 6);
}
