//! Uploads that were interrupted and go on in another run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use backbone_mock::fault::{Fault, Gate, Matching};
use http::{Method, StatusCode};
use runtime::dto::File;
use runtime::facade::{ContentFormat, Ownership, Phase, Progress, UploadOwnFile};
use runtime::source::{RelativePath, Source, SourceEntry};
use runtime::{BackboneConfig, Config, Runtime, Secret};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use transport::content::{CHUNK_LENGTH, Layout, SEALED_CHUNK_LENGTH};

use crate::world::{World, bytes_of, code, pattern};

const CHUNK: usize = CHUNK_LENGTH as usize;
/// Chunks that are sent together.
const PIECE: usize = 4;
/// What requests have besides bytes of the file, for all of a small upload.
const OVERHEAD: u64 = 64 * 1024;
/// Unfinished uploads that a node keeps.
const MAX_UNFINISHED: usize = 32;

/// Leads to the backbone and counts what is sent there.
struct Meter {
    url: String,
    sent: Arc<AtomicU64>,
}

impl Meter {
    async fn before(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sent = Arc::new(AtomicU64::new(0));
        let (count, backbone) = (sent.clone(), world.backbone.url().trim_start_matches("http://").to_owned());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (count, backbone) = (count.clone(), backbone.clone());
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(backbone.trim_end_matches('/')).await else { return };
                    forward(near, far, &count).await;
                });
            }
        });
        Self { url, sent }
    }

    fn config(&self, world: &World, name: &str) -> Config {
        Config::new(world.data_dir(name), BackboneConfig::new(&self.url, "test", Secret::new("test-secret")))
    }

    fn take(&self) -> u64 {
        self.sent.swap(0, Ordering::SeqCst)
    }
}

async fn forward(near: TcpStream, far: TcpStream, count: &AtomicU64) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
    let there = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = near_in.read(&mut buffer).await {
            count.fetch_add(length as u64, Ordering::SeqCst);
            if far_out.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let back = tokio::io::copy(&mut far_in, &mut near_out);
    tokio::select! { () = there => {}, _ = back => {} }
}

/// What an upload told of its progress.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Progress>>>);

impl Told {
    /// What the uploads said of earlier runs, each once.
    fn resumed(&self) -> Vec<u64> {
        let all = self.0.lock().unwrap();
        let uploading = all.iter().filter(|progress| progress.phase == Phase::Uploading);
        let mut resumed: Vec<_> = uploading.map(|progress| progress.resumed).collect();
        resumed.dedup();
        if resumed.first() == Some(&0) {
            resumed.remove(0);
        }
        resumed
    }
}

fn request(path: &Path, told: &Told) -> UploadOwnFile {
    let log = told.0.clone();
    UploadOwnFile {
        format: ContentFormat::V2,
        observer: Some(Arc::new(move |progress| log.lock().unwrap().push(progress))),
        ..UploadOwnFile::from_source(
            Source::file(path).unwrap(),
            path.file_name().unwrap().to_str().unwrap().parse().unwrap(),
            "application/octet-stream".parse().unwrap(),
        )
    }
}

/// Tells of each answer to requests like this.
pub(crate) fn answers(world: &World, matching: Matching) -> UnboundedReceiver<()> {
    let (answered, answers) = unbounded_channel();
    world.faults.tamper(matching, move |_, body| {
        let _ = answered.send(());
        body
    });
    answers
}

pub(crate) fn appends() -> Matching {
    Matching::path("/Uploads/").method(Method::PATCH)
}

pub(crate) fn finishes() -> Matching {
    Matching::path("/File").method(Method::POST)
}

/// Uploads until there were so many answers, then drops the future.
async fn interrupt(node: &Runtime, path: &Path, answers: &mut UnboundedReceiver<()>, count: usize) {
    let files = node.files();
    tokio::select! {
        outcome = files.upload_own_file(request(path, &Told::default())) => panic!("not interrupted: {:?}", outcome.err()),
        () = async { for _ in 0..count { answers.recv().await.unwrap(); } } => {}
    }
}

/// Makes the upload of a file fail with an error that may pass, after its first piece.
async fn fail(world: &World, node: &Runtime, path: &Path) {
    world.faults.inject(finishes(), Fault::RefuseBefore(StatusCode::INSUFFICIENT_STORAGE));
    assert_ne!(code(node.files().upload_own_file(request(path, &Told::default())).await), "no error");
    world.faults.clear();
}

pub(crate) async fn own_files(node: &Runtime) -> Vec<File> {
    node.files().files(Ownership::Own, &[]).unwrap().collect().await.unwrap()
}

pub(crate) fn write(world: &World, name: &str, content: &[u8]) -> PathBuf {
    let path = world.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

pub(crate) async fn restart(node: Runtime, world: &World) -> Runtime {
    let config = node.config().clone();
    node.shutdown().await.unwrap();
    drop(node);
    world.start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_arrived_is_not_sent_again_wherever_an_upload_was_interrupted() {
    // Whatever is not finished or removed would be one too many.
    let world = World::with(|config| config.limits.max_unfinished_uploads = 1).await;
    let meter = Meter::before(&world).await;
    let content = pattern(11 * CHUNK + 5);
    let blob = Layout::of(content.len() as u64).unwrap().blob_length();
    let mut alice = world.start(meter.config(&world, "alice")).await.unwrap();
    for (number, interruptions) in [vec![1], vec![2], vec![3], vec![1, 1], vec![1, 1, 1]].into_iter().enumerate() {
        let path = write(&world, &format!("{number}"), &content);
        for count in &interruptions {
            let mut answered = answers(&world, appends());
            interrupt(&alice, &path, &mut answered, *count).await;
            world.faults.clear();
            alice = restart(alice, &world).await;
        }
        let (told, _) = (Told::default(), meter.take());
        let uploaded = alice.files().upload_own_file(request(&path, &told)).await.unwrap();
        let sent = meter.take();
        let [resumed] = told.resumed()[..] else { panic!("{:?}", told.resumed()) };
        let pieces = interruptions.iter().sum::<usize>() as u64;
        assert!(resumed >= (pieces * (PIECE * CHUNK) as u64).min(content.len() as u64), "{resumed} {interruptions:?}");
        let arrived = resumed / CHUNK_LENGTH * SEALED_CHUNK_LENGTH;
        assert!(sent <= blob - arrived + OVERHEAD, "{sent} bytes were sent, {arrived} of {blob} had arrived");
        assert!(bytes_of(&alice, &uploaded).await.unwrap() == content, "{interruptions:?}");
        let log = told.0.lock().unwrap().clone();
        let uploading = log.iter().filter(|progress| progress.phase == Phase::Uploading);
        assert!(uploading.clone().all(|it| it.bytes >= arrived && it.total == Some(blob)));
    }
    assert_eq!(own_files(&alice).await.len(), 5);
}

#[tokio::test]
async fn the_file_that_an_upload_has_become_is_found() {
    let world = World::new().await;
    let meter = Meter::before(&world).await;
    let content = pattern(5 * CHUNK);
    let path = write(&world, "a", &content);
    let mut alice = world.start(meter.config(&world, "alice")).await.unwrap();
    for has_other_title in [false, true] {
        let (mut finished, gate) = (answers(&world, finishes()), Gate::new());
        world.faults.inject(finishes(), Fault::HoldAfter(gate.clone()));
        interrupt(&alice, &path, &mut finished, 1).await;
        gate.open();
        world.faults.clear();
        alice = restart(alice, &world).await;
        let mut deleted = answers(&world, Matching::path("/Files/").method(Method::DELETE));
        let (told, _) = (Told::default(), meter.take());
        let title = has_other_title.then(|| "other".to_owned());
        let again = UploadOwnFile { title: title.clone(), ..request(&path, &told) };
        let uploaded = alice.files().upload_own_file(again).await.unwrap();
        assert_eq!(uploaded.title, title);
        assert!(uploaded.ownership_token.is_some());
        assert!(bytes_of(&alice, &uploaded).await.unwrap() == content);
        // A file with another description is replaced.
        assert_eq!(deleted.try_recv().is_ok(), has_other_title);
        assert_eq!(told.resumed(), if has_other_title { vec![] } else { vec![content.len() as u64] });
        assert_eq!(meter.take() < OVERHEAD, !has_other_title);
        world.faults.clear();
    }
    assert_eq!(own_files(&alice).await.len(), 2);
}

#[tokio::test]
async fn an_error_that_may_pass_leaves_the_upload_and_others_remove_it() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let path = write(&world, "a", &pattern(5 * CHUNK));
    for (status, stays) in [
        (StatusCode::INSUFFICIENT_STORAGE, true),
        (StatusCode::INTERNAL_SERVER_ERROR, true),
        (StatusCode::FORBIDDEN, false),
        (StatusCode::BAD_REQUEST, false),
    ] {
        let mut removed = answers(&world, Matching::path("/Uploads/").method(Method::DELETE));
        world.faults.inject(finishes(), Fault::RefuseBefore(status));
        assert_ne!(code(alice.files().upload_own_file(request(&path, &Told::default())).await), "no error");
        if !stays {
            removed.recv().await.unwrap();
        }
        world.faults.clear();
        let told = Told::default();
        alice.files().upload_own_file(request(&path, &told)).await.unwrap();
        assert_eq!(told.resumed(), if stays { vec![5 * CHUNK_LENGTH] } else { vec![] }, "{status}");
    }
}

#[tokio::test]
async fn files_that_cannot_be_read_for_a_while_do_not_cost_what_has_arrived() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let paths = [("a", 12 * CHUNK), ("b", CHUNK)].map(|(name, length)| write(&world, name, &pattern(length)));
    let entries = paths.each_ref().map(|local| {
        let path = RelativePath::new(local.file_name().unwrap().to_str().unwrap()).unwrap();
        SourceEntry { path, local: local.clone() }
    });
    let source = Source::tree(entries.to_vec()).unwrap();
    let aside = paths[1].with_extension("aside");
    fs::rename(&paths[1], &aside).unwrap();
    let upload = |told: &Told| UploadOwnFile {
        content: runtime::facade::NewContent::Source(source.clone()),
        ..request(&paths[0], told)
    };
    let error = alice.files().upload_own_file(upload(&Told::default())).await.unwrap_err();
    assert!(error.to_string().contains(paths[1].to_str().unwrap()), "{error}");
    assert!(std::error::Error::source(&error).is_some(), "why it cannot be read is not lost");
    fs::rename(&aside, &paths[1]).unwrap();
    let told = Told::default();
    let uploaded = alice.files().upload_own_file(upload(&told)).await.unwrap();
    assert_eq!(uploaded.filesize, source.length());
    assert!(matches!(told.resumed()[..], [resumed] if resumed >= 4 * CHUNK_LENGTH), "{:?}", told.resumed());
}

#[tokio::test]
async fn files_that_are_too_large_are_refused_before_anything_is_sent() {
    // More than what is sealed before anything is sent.
    let limit = 16 << 20;
    let world = World::with(|config| config.limits.max_large_file_bytes = limit).await;
    let alice = world.node("alice").await;
    let mut sent = answers(&world, Matching::path("/Uploads").method(Method::POST));
    let longest = (0..)
        .map(|less| limit - less)
        .find(|length| Layout::of(*length).is_ok_and(|layout| layout.blob_length() <= limit));
    let longest = usize::try_from(longest.unwrap()).unwrap();
    let path = write(&world, "a", &pattern(longest + 1));
    let error = alice.files().upload_own_file(request(&path, &Told::default())).await.unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
    assert!(sent.try_recv().is_err());
    let path = write(&world, "b", &pattern(longest));
    alice.files().upload_own_file(request(&path, &Told::default())).await.unwrap();
}

#[tokio::test]
async fn a_file_that_has_changed_is_uploaded_anew() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let content = pattern(9 * CHUNK);
    type Change<'a> = &'a dyn Fn(&Path);
    let changes: [(&str, Change<'_>, &[u64]); 4] = [
        ("longer", &|path| fs::write(path, pattern(9 * CHUNK + 1)).unwrap(), &[]),
        ("later", &|path| set_modified(path, SystemTime::now() + Duration::from_secs(60)), &[]),
        ("another chunk at the same time", &|path| flip(path, CHUNK as u64 + 7), &[9 * CHUNK_LENGTH, 0]),
        ("the last chunk at the same time", &|path| flip(path, 9 * CHUNK_LENGTH - 1), &[9 * CHUNK_LENGTH, 0]),
    ];
    for (name, change, resumed) in changes {
        let path = write(&world, name, &content);
        fail(&world, &alice, &path).await;
        change(&path);
        let told = Told::default();
        let uploaded = alice.files().upload_own_file(request(&path, &told)).await.unwrap();
        assert!(bytes_of(&alice, &uploaded).await.unwrap() == fs::read(&path).unwrap(), "{name}");
        assert_eq!(told.resumed(), resumed, "{name}");
        // What was wrong is forgotten.
        let told = Told::default();
        alice.files().upload_own_file(request(&path, &told)).await.unwrap();
        assert!(told.resumed().is_empty(), "{name}");
    }
}

/// Changes a byte and hides it.
pub(crate) fn flip(path: &Path, place: u64) {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(place)).unwrap();
    file.write_all(&[255]).unwrap();
    drop(file);
    set_modified(path, modified);
}

fn set_modified(path: &Path, time: SystemTime) {
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[tokio::test]
async fn another_file_of_the_same_name_has_its_own_upload() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let paths = ["one/a", "other/a"].map(|name| write(&world, name, &pattern(5 * CHUNK)));
    fail(&world, &alice, &paths[0]).await;
    let told = Told::default();
    let other = alice.files().upload_own_file(request(&paths[1], &told)).await.unwrap();
    assert!(told.resumed().is_empty());
    let one = alice.files().upload_own_file(request(&paths[0], &told)).await.unwrap();
    assert_eq!(told.resumed(), [5 * CHUNK_LENGTH]);
    assert_ne!(one.reference, other.reference);
}

#[tokio::test]
async fn an_upload_that_the_backbone_does_not_have_any_more_begins_anew() {
    let guests = World::of_guests().await;
    let owners = World::new().await;
    let lost = World::new().await;
    let idle = Duration::from_secs(60 * 60);
    for (world, passed) in [(guests, idle), (owners, Duration::from_secs(7 * 24 * 60 * 60)), (lost, Duration::ZERO)] {
        let mut alice = world.node("alice").await;
        let path = write(&world, "a", &pattern(5 * CHUNK));
        fail(&world, &alice, &path).await;
        world.clock.advance(passed);
        if passed.is_zero() {
            let asked = Matching::path("/Uploads/").method(Method::HEAD).times(1);
            world.faults.inject(asked, Fault::RefuseBefore(StatusCode::NOT_FOUND));
        } else {
            alice = restart(alice, &world).await;
        }
        let told = Told::default();
        let uploaded = alice.files().upload_own_file(request(&path, &told)).await.unwrap();
        assert!(told.resumed().is_empty(), "{passed:?}");
        assert!(bytes_of(&alice, &uploaded).await.unwrap() == pattern(5 * CHUNK));
    }
}

#[tokio::test]
async fn another_backbone_gets_an_upload_of_its_own() {
    let world = World::new().await;
    let mut config = world.config("alice");
    let alice = world.start(config.clone()).await.unwrap();
    let path = write(&world, "a", &pattern(5 * CHUNK));
    fail(&world, &alice, &path).await;
    alice.shutdown().await.unwrap();
    drop(alice);
    let meter = Meter::before(&world).await;
    config.backbone = meter.config(&world, "alice").backbone;
    let alice = world.start(config).await.unwrap();
    let told = Told::default();
    alice.files().upload_own_file(request(&path, &told)).await.unwrap();
    assert!(told.resumed().is_empty());
}

#[tokio::test]
async fn the_oldest_of_too_many_unfinished_uploads_is_given_up() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let mut removed = answers(&world, Matching::path("/Uploads/").method(Method::DELETE));
    world.faults.inject(finishes(), Fault::RefuseBefore(StatusCode::INSUFFICIENT_STORAGE));
    let mut paths = Vec::new();
    for number in 0..=MAX_UNFINISHED {
        let path = write(&world, &number.to_string(), b"content");
        assert!(removed.try_recv().is_err(), "{number} are kept");
        assert_ne!(code(alice.files().upload_own_file(request(&path, &Told::default())).await), "no error");
        world.clock.advance(Duration::from_secs(1));
        paths.push(path);
    }
    removed.try_recv().unwrap();
    assert!(removed.try_recv().is_err());
    world.faults.clear();
    for (path, resumed) in [(&paths[1], vec![7]), (&paths[MAX_UNFINISHED], vec![7]), (&paths[0], vec![])] {
        let told = Told::default();
        alice.files().upload_own_file(request(path, &told)).await.unwrap();
        assert_eq!(told.resumed(), resumed);
    }
}

#[tokio::test]
async fn uploads_of_one_source_at_the_same_time_have_different_keys() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let path = write(&world, "a", &pattern(5 * CHUNK));
    let files = alice.files();
    let told = Told::default();
    let (one, other) =
        tokio::join!(files.upload_own_file(request(&path, &told)), files.upload_own_file(request(&path, &told)));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!((one.id.clone(), one.reference.clone()), (other.id.clone(), other.reference.clone()));
    assert!(told.resumed().is_empty());
    for file in [one, other] {
        assert!(bytes_of(&alice, &file).await.unwrap() == pattern(5 * CHUNK));
    }
}

#[tokio::test]
async fn an_upload_goes_on_at_once_in_the_same_process() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let (path, other) = (write(&world, "a", &pattern(9 * CHUNK)), write(&world, "b", &pattern(9 * CHUNK)));
    for (path, answered) in [(&path, 1), (&other, 2)] {
        let mut appended = answers(&world, appends());
        interrupt(&alice, path, &mut appended, answered).await;
        world.faults.clear();
        let told = Told::default();
        let uploaded = alice.files().upload_own_file(request(path, &told)).await.unwrap();
        assert!(told.resumed()[0] >= (answered * PIECE * CHUNK) as u64);
        assert!(bytes_of(&alice, &uploaded).await.unwrap() == pattern(9 * CHUNK));
    }
}
