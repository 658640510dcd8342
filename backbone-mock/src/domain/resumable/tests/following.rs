//! What is shown of an upload before it ends, and who follows it.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use listener::turns::TooMany;
use tokio::time::Instant;
use transport::wire::FileId;
use transport::wire::backbone::previews::{FilePreview, NewPreview, PreviewState};

use super::*;
use crate::clock::ManualClock;
use crate::config::OAuthClient;
use crate::domain::{Record, files};
use crate::followers::{MAX_OF_GUESTS, MAX_OF_ONE};
use crate::store::Holder;

type Following = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// A backbone, somebody who uploads, and somebody else.
struct Scene {
    world: World,
    reader: Caller,
    clock: Arc<ManualClock>,
}

fn preview(bytes: Vec<u8>, expires_at: Timestamp) -> NewPreview {
    NewPreview { encrypted_properties: ByteText(bytes), expires_at }
}

impl Scene {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(ManualClock::new("2030-01-01T12:00:00.000Z".parse().unwrap()));
        let world = World::with(|config| {
            config.clock = clock.clone();
            change(config);
        })
        .await;
        let reader = registered(&world.core, 2, "client").await;
        Self { world, reader, clock }
    }

    /// An upload of unknown length that is shown, with these bytes.
    async fn shown(&self, bytes: &'static [u8]) -> UploadRecord {
        let upload = self.world.create(None).await.unwrap();
        self.show(&upload).await.unwrap();
        self.world.append(&upload, bytes).await.unwrap()
    }

    async fn show(&self, upload: &UploadRecord) -> Result<(), Refusal> {
        let new = preview(b"sealed".to_vec(), Timestamp::NEVER);
        show(&self.world.core, &self.world.caller, &upload.id, new).await.map(drop)
    }

    async fn preview(&self, upload: &UploadRecord) -> Result<FilePreview, Refusal> {
        read_preview(&self.world.core, &upload.id.file_id()).await
    }

    async fn follow(&self, upload: &UploadRecord, offset: u64) -> Result<Following, Refusal> {
        self.follow_as(&self.reader, &upload.id.file_id(), offset).await
    }

    async fn follow_as(&self, reader: &Caller, id: &FileId, offset: u64) -> Result<Following, Refusal> {
        Ok(Box::pin(follow(self.world.core.clone(), reader, id.clone(), offset).await?))
    }

    /// Tells the length, and makes a file of it.
    async fn finish(&self, upload: &UploadRecord) {
        let append = Append {
            offset: upload.offset(),
            length: Some(upload.offset()),
            announced: Some(0),
            checksum: None,
            pieces: stream::iter([Ok::<_, Infallible>(Bytes::new())]),
        };
        super::append(&self.world.core, &self.world.caller, &upload.id, append).await.unwrap();
        self.world.finish(upload).await.unwrap();
    }

    async fn usage(&self) -> crate::quota::Amounts {
        self.world.core.store.usage(Holder::Identity(&self.world.caller.address)).await.unwrap()
    }
}

/// What a follower has without waiting.
fn now(following: &mut Following) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(Some(bytes)) = following.next().now_or_never() {
        all.extend_from_slice(&bytes.unwrap());
    }
    all
}

async fn rest(mut following: Following) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(bytes) = following.next().await {
        all.extend_from_slice(&bytes?);
    }
    Ok(all)
}

fn is_missing<T>(result: Result<T, Refusal>) -> bool {
    matches!(result, Err(Refusal::NotFound(Record::File)))
}

#[tokio::test(start_paused = true)]
async fn readers_follow_from_anywhere_to_the_end_of_the_upload() {
    let scene = Scene::new().await;
    let upload = scene.shown(b"").await;
    let mut early = scene.follow(&upload, 0).await.unwrap();
    assert_eq!(now(&mut early), b"");
    let upload = scene.world.append(&upload, b"abc").await.unwrap();
    assert_eq!(now(&mut early), b"abc");
    let (mut middle, mut late) = (scene.follow(&upload, 1).await.unwrap(), scene.follow(&upload, 3).await.unwrap());
    assert_eq!((now(&mut middle), now(&mut late)), (b"bc".to_vec(), vec![]));
    let upload = scene.world.append(&upload, b"def").await.unwrap();
    assert_eq!(now(&mut early), b"def");
    scene.finish(&upload).await;
    assert_eq!(rest(early).await.unwrap(), b"");
    assert_eq!((rest(middle).await.unwrap(), rest(late).await.unwrap()), (b"def".to_vec(), b"def".to_vec()));
    // And who comes when it has ended.
    for offset in 0..=6 {
        let following = scene.follow(&upload, offset).await.unwrap();
        assert_eq!(rest(following).await.unwrap(), b"abcdef"[offset as usize..]);
    }
    assert!(matches!(
        scene.follow(&upload, 7).await.err(),
        Some(Refusal::Upload(UploadRefusal::BeyondOffset { offset: 6 }))
    ));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_handed_a_byte_that_is_not_acknowledged() {
    let scene = Scene::new().await;
    let upload = scene.shown(b"abc").await;
    scene.world.overwrite(&upload, b"abcdef").await;
    let mut following = scene.follow(&upload, 0).await.unwrap();
    assert_eq!(now(&mut following), b"abc");
    assert!(matches!(
        scene.follow(&upload, 4).await.err(),
        Some(Refusal::Upload(UploadRefusal::BeyondOffset { offset: 3 }))
    ));
    scene.world.append(&upload, b"xyz").await.unwrap();
    assert_eq!(now(&mut following), b"xyz");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_given_up_or_expires_breaks_the_stream() {
    let scene = Scene::new().await;
    let upload = scene.shown(b"abc").await;
    let mut following = scene.follow(&upload, 0).await.unwrap();
    assert_eq!(now(&mut following), b"abc");
    terminate(&scene.world.core, &scene.world.caller, &upload.id).await.unwrap();
    assert!(rest(following).await.is_err());
    assert!(is_missing(scene.follow(&upload, 0).await) && is_missing(scene.preview(&upload).await));
    let expiring = scene.shown(b"abc").await;
    let mut following = scene.follow(&expiring, 0).await.unwrap();
    assert_eq!(now(&mut following), b"abc");
    scene.clock.set(expiring.expires_at);
    assert!(is_missing(scene.follow(&expiring, 0).await) && is_missing(scene.preview(&expiring).await));
    crate::sweep::sweep(&scene.world.core).await.unwrap();
    let start = Instant::now();
    assert!(rest(following).await.is_err());
    assert_eq!(start.elapsed(), Duration::ZERO, "the sweep tells the follower");
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_for_a_bounded_time_and_may_come_back() {
    let scene = Scene::new().await;
    let upload = scene.shown(b"abc").await;
    let idle = scene.world.core.config.limits.follow_idle;
    let mut following = scene.follow(&upload, 0).await.unwrap();
    assert_eq!(now(&mut following), b"abc");
    tokio::time::advance(idle - Duration::from_millis(1)).await;
    assert!(following.next().now_or_never().is_none());
    let upload = scene.world.append(&upload, b"def").await.unwrap();
    assert_eq!(now(&mut following), b"def");
    let start = Instant::now();
    assert!(rest(following).await.is_err());
    assert_eq!(start.elapsed(), idle);
    scene.finish(&upload).await;
    assert_eq!(rest(scene.follow(&upload, 5).await.unwrap()).await.unwrap(), b"f");
}

#[tokio::test(start_paused = true)]
async fn followers_end_with_the_server() {
    let scene = Scene::new().await;
    let upload = scene.shown(b"abc").await;
    let mut following = scene.follow(&upload, 0).await.unwrap();
    assert_eq!(now(&mut following), b"abc");
    let start = Instant::now();
    scene.world.core.followers.close();
    assert!(rest(following).await.is_err());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn only_whole_uploads_are_shown_and_only_by_their_owner() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let hidden = world.create(None).await.unwrap();
    assert!(is_missing(scene.preview(&hidden).await) && is_missing(scene.follow(&hidden, 0).await));
    let other = show(&world.core, &scene.reader, &hidden.id, preview(vec![1], Timestamp::NEVER)).await;
    assert!(matches!(other, Err(Refusal::NotFound(Record::Upload))));
    let part = world.upload(b"abc", 3, true).await;
    assert!(matches!(scene.show(&part).await, Err(Refusal::Upload(UploadRefusal::NotPreviewable))));
    let whole = concatenate(&world.core, &world.caller, vec![part.id], String::new()).await.unwrap();
    assert!(matches!(scene.show(&whole).await, Err(Refusal::Upload(UploadRefusal::NotPreviewable))));
    assert!(is_missing(files::read(&world.core, &whole.id.file_id()).await));
}

#[tokio::test]
async fn a_preview_is_bounded_counted_and_replaced() {
    let scene = Scene::new().await;
    let (core, caller) = (&scene.world.core, &scene.world.caller);
    let upload = scene.world.create(Some(9)).await.unwrap();
    let before = scene.usage().await;
    let most = files::MAX_PROPERTIES_BYTES;
    let tell = async |bytes, expires_at| show(core, caller, &upload.id, preview(bytes, expires_at)).await;
    for (bytes, expires_at) in
        [(vec![], Timestamp::NEVER), (vec![0; most + 1], Timestamp::NEVER), (vec![1], core.now())]
    {
        assert!(matches!(tell(bytes, expires_at).await, Err(Refusal::Invalid { .. })));
    }
    assert_eq!(tell(vec![0; most], Timestamp::NEVER).await.unwrap().expires_at, Timestamp::NEVER);
    assert_eq!(scene.usage().await.content_bytes, before.content_bytes + most as u64);
    let first = scene.preview(&upload).await.unwrap();
    scene.clock.advance(Duration::from_secs(1));
    let expires_at = core.now().saturating_add(Duration::from_secs(60));
    assert_eq!(tell(b"new".to_vec(), expires_at).await.unwrap().id, upload.id.file_id());
    assert_eq!(scene.usage().await.content_bytes, before.content_bytes + 3);
    let expected = FilePreview {
        id: upload.id.file_id(),
        state: PreviewState::Growing,
        owner: caller.address.clone(),
        created_at: first.created_at,
        expires_at,
        offset: 0,
        length: Some(9),
        encrypted_properties: ByteText(b"new".to_vec()),
    };
    assert_eq!(scene.preview(&upload).await.unwrap(), expected);
    scene.clock.set(expires_at);
    assert!(is_missing(scene.preview(&upload).await) && is_missing(scene.follow(&upload, 0).await));
    terminate(core, caller, &upload.id).await.unwrap();
    assert_eq!(scene.usage().await.content_bytes, 0);
    let keys = Table::<()>::new("preview").key();
    assert_eq!(core.store.keys(&keys, &keys, 1).await.unwrap().len(), 0, "it goes with the upload");
}

#[tokio::test]
async fn a_preview_ends_with_the_upload_and_its_file_is_counted_once() {
    let scene = Scene::new().await;
    let upload = scene.shown(b"abc").await;
    assert!(is_missing(files::read(&scene.world.core, &upload.id.file_id()).await), "it is no file yet");
    scene.finish(&upload).await;
    let complete = scene.preview(&upload).await.unwrap();
    assert_eq!((complete.state, complete.offset, complete.length), (PreviewState::Complete, 3, Some(3)));
    assert_eq!(complete.encrypted_properties, ByteText(vec![1]), "those of the file");
    let file = files::read(&scene.world.core, &upload.id.file_id()).await.unwrap();
    assert_eq!(scene.usage().await.content_bytes, crate::quota::RECORD_BYTES + file.cipher_size + 1);
    files::delete(&scene.world.core, &scene.world.caller, &file.id).await.unwrap();
    assert!(is_missing(scene.preview(&upload).await) && is_missing(scene.follow(&upload, 0).await));
}

#[tokio::test]
async fn readers_are_bounded_at_the_bound() {
    let scene = Scene::with(|config| config.clients.push(OAuthClient::guest("guests", "secret"))).await;
    let upload = scene.shown(b"abc").await;
    let mut own = Vec::new();
    for _ in 0..MAX_OF_ONE {
        own.push(scene.follow(&upload, 0).await.unwrap());
    }
    assert!(matches!(scene.follow(&upload, 0).await.err(), Some(Refusal::TooManyWaiting(TooMany::OfOne))));
    own.pop();
    own.push(scene.follow(&upload, 0).await.unwrap());
    let mut guests = Vec::new();
    for number in 0..=MAX_OF_GUESTS / MAX_OF_ONE {
        let guest = registered(&scene.world.core, 10 + number as u8, "guests").await;
        for _ in 0..MAX_OF_ONE {
            guests.push(scene.follow_as(&guest, &upload.id.file_id(), 0).await.map_err(|refusal| refusal.to_string()));
        }
    }
    assert_eq!(guests.iter().filter(|following| following.is_ok()).count(), MAX_OF_GUESTS);
    drop(scene.follow_as(&scene.world.caller, &upload.id.file_id(), 0).await.unwrap());
}
