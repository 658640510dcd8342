//! Files over `/api/enlace/v1`: large ones, broken ones, in little memory, and never in plaintext on a disk.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use enlace_tests::{Fate, Gate, OAUTH_CLIENT, Process, Rest, World, enlace, planted};
use futures_util::stream::{self, Stream, StreamExt as _};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const UPLOAD: &str = "/api/enlace/v1/Uploads/*";
const MARKER: &[u8] = b"planted plaintext of an upload; ";
const PIECE: usize = 1 << 20;
/// More than a file in format v1 may have, in pieces.
const LARGE: usize = 30;

/// A node in a process of its own, whose temporary files are in its world too.
struct Scene {
    world: World,
    node: Process,
    rest: Rest,
}

impl Scene {
    async fn new(backbone_url: &str) -> Self {
        let world = World::new();
        let temporary = world.directory("temporary");
        std::fs::create_dir(&temporary).unwrap();
        let mut command = Command::new(enlace());
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--backbone", backbone_url]);
        command.args(["--client", OAUTH_CLIENT, "--data-dir"]).arg(world.directory("node")).env("TMPDIR", temporary);
        let node = Process::spawn(command).await.unwrap();
        let rest = Rest::of(&node).speaking("api/enlace/v1");
        Self { world, node, rest }
    }

    fn upload(&self, format: &str, content: impl Stream<Item = Bytes> + Send + 'static) -> RequestBuilder {
        let content = Body::wrap_stream(content.map(Ok::<_, std::io::Error>));
        let form = Form::new().text("format", format.to_owned()).part("file", Part::stream(content).file_name("large"));
        self.rest.post("Files/Own").multipart(form)
    }

    async fn assert_nothing_is_left(&self) {
        let (_, listed) = read(self.rest.get("Files").send().await.unwrap()).await;
        assert_eq!(listed["result"], json!([]));
        let directories = [self.world.directory("node").join("tmp"), self.world.directory("temporary")];
        for directory in directories {
            assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "{}", directory.display());
        }
        // What another thread still holds is closed while the node answers.
        for _ in 0..100 {
            if nameless_files(self.node.id()).is_empty() {
                return;
            }
            read(self.rest.get("Files").send().await.unwrap()).await;
        }
        panic!("a temporary file is still open");
    }
}

async fn read(answer: Response) -> (StatusCode, Value) {
    (answer.status(), answer.json().await.unwrap_or_default())
}

/// Pieces of a content that can be told apart.
fn piece(number: usize) -> Bytes {
    let pattern = [MARKER, format!("{number:08}").as_bytes()].concat();
    pattern.iter().copied().cycle().take(PIECE).collect::<Vec<_>>().into()
}

fn pieces(count: usize) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::iter((0..count).map(piece))
}

/// What is in the open files of a process that have no name any more.
fn nameless_files(pid: u32) -> Vec<Vec<u8>> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|entry| entry.unwrap().path());
    let is_nameless = |path: &Path| {
        let target = std::fs::read_link(path).unwrap_or_default();
        target.to_string_lossy().ends_with(" (deleted)") && std::fs::metadata(path).is_ok_and(|found| found.is_file())
    };
    open.filter(|path| is_nameless(path)).map(|path| std::fs::read(path).unwrap()).collect()
}

fn assert_no_plaintext(scene: &Scene, at: &str) {
    let marker: &[(&str, &[u8])] = &[("plaintext", MARKER)];
    for content in nameless_files(scene.node.id()) {
        assert!(planted(&content, marker).is_empty(), "{at}: in a temporary file of {} bytes", content.len());
    }
    let directory = scene.world.directory("node");
    assert!(enlace_tests::traces(&directory, marker).is_empty(), "{at}");
    assert_eq!(std::fs::read_dir(scene.world.directory("temporary")).unwrap().count(), 0, "{at}");
}

/// A content whose pieces the test sends.
fn controlled() -> (mpsc::Sender<Bytes>, impl Stream<Item = Bytes> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_uploaded_and_read_in_ranges() {
    let world = World::new();
    let backbone = world.backbone().await;
    let scene = Scene::new(&backbone.line().url()).await;
    for format in ["v2", "auto"] {
        let (status, answer) = read(scene.upload(format, pieces(LARGE)).send().await.unwrap()).await;
        let file = &answer["result"];
        assert_eq!((status, &file["format"]), (StatusCode::CREATED, &json!("v2")), "{answer}");
        assert_eq!(file["filesize"], LARGE * PIECE);
        let path = format!("/api/enlace/v1/Files/{}/Download", file["id"].as_str().unwrap());
        let head = scene.rest.request(Method::HEAD, &path).send().await.unwrap();
        assert_eq!(head.headers()[header::CONTENT_LENGTH], (LARGE * PIECE).to_string().as_str());
        assert_eq!(head.headers()[header::ACCEPT_RANGES], "bytes");
        let content: Vec<u8> = (0..LARGE).flat_map(piece).collect();
        for (range, bytes) in [
            ("bytes=0-", 0..content.len()),
            ("bytes=7340000-7340099", 7_340_000..7_340_100),
            ("bytes=-1", content.len() - 1..content.len()),
        ] {
            let request = scene.rest.request(Method::GET, &path).header(header::RANGE, range);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT, "{range}");
            assert!(answer.bytes().await.unwrap() == content[bytes], "{range}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_plaintext_touches_a_disk_while_a_file_is_received() {
    // The search finds what it looks for.
    let mut planted_file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut planted_file, MARKER).unwrap();
    assert!(nameless_files(std::process::id()).iter().any(|content| content == MARKER));
    drop(planted_file);

    let world = World::new();
    let backbone = world.backbone().await;
    let scene = Scene::new(&backbone.line().url()).await;
    for format in ["v2", "auto"] {
        let gate = Gate::closed();
        // `auto` has found the file too long for v1 by then, and holds its start in a temporary file.
        backbone.line().next(1, Method::PATCH, UPLOAD, Fate::Held(gate.clone()));
        let (sender, content) = controlled();
        let uploading = tokio::spawn(scene.upload(format, content).send());
        let sending = tokio::spawn(async move {
            for number in 0..LARGE {
                sender.send(piece(number)).await.unwrap();
            }
        });
        gate.arrival().await;
        assert_eq!(nameless_files(scene.node.id()).is_empty(), format == "v2");
        assert_no_plaintext(&scene, format);
        gate.open();
        sending.await.unwrap();
        let (status, answer) = read(uploading.await.unwrap().unwrap()).await;
        assert_eq!((status, &answer["result"]["format"]), (StatusCode::CREATED, &json!("v2")), "{answer}");
        assert_no_plaintext(&scene, format);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_leaves_nothing() {
    let world = World::new();
    let backbone = world.backbone().await;
    let scene = Scene::new(&backbone.line().url()).await;
    for format in ["v2", "auto"] {
        let (gate, removal) = (Gate::closed(), Gate::closed());
        backbone.line().next(1, Method::PATCH, UPLOAD, Fate::Held(gate.clone()));
        backbone.line().next(1, Method::DELETE, UPLOAD, Fate::Held(removal.clone()));
        let (sender, content) = controlled();
        let uploading = tokio::spawn(scene.upload(format, content).send());
        let sending = tokio::spawn(async move {
            for number in 0..LARGE {
                if sender.send(piece(number)).await.is_err() {
                    return;
                }
            }
            // The form never ends.
            std::future::pending::<()>().await;
        });
        gate.arrival().await;
        uploading.abort();
        let _ = uploading.await;
        sending.abort();
        gate.open();
        removal.arrival().await;
        removal.open();
        scene.assert_nothing_is_left().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_beyond_the_limit_of_the_backbone_is_refused_with_the_limit() {
    const LIMIT: u64 = 12 << 20;
    let world = World::new();
    let backbone = world.backbone_with("small", |config| config.limits.max_large_file_bytes = LIMIT).await;
    let scene = Scene::new(&backbone.line().url()).await;
    for format in ["v2", "auto"] {
        // More is left unread than a listener throws away.
        let (status, answer) = read(scene.upload(format, pieces(100)).send().await.unwrap()).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(message.contains("too large") && message.contains(&LIMIT.to_string()), "{message}");
        scene.assert_nothing_is_left().await;
    }
    let fitting = read(scene.upload("v2", pieces(11)).send().await.unwrap()).await;
    assert_eq!(fitting.0, StatusCode::CREATED, "{}", fitting.1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_a_file() {
    const PIECES: usize = 256;
    /// Most memory that a transfer may take beside what the node takes anyway.
    const GROWTH: u64 = 64 << 20;
    let world = World::new();
    let data = world.directory("backbone");
    let start = ["backbone", "--json", "--listen", "127.0.0.1:0", "--did-domain-name", "localhost"];
    let arguments = start.into_iter().chain(["--client", OAUTH_CLIENT, "--data-dir", data.to_str().unwrap()]);
    let backbone = Process::start(arguments).await.unwrap();
    let scene = Scene::new(backbone.announcement["url"].as_str().unwrap()).await;
    for format in ["v2", "auto"] {
        let before = scene.node.forget_peak_memory();
        let (status, answer) = read(scene.upload(format, pieces(PIECES)).send().await.unwrap()).await;
        assert_eq!((status, &answer["result"]["filesize"]), (StatusCode::CREATED, &json!(PIECES * PIECE)), "{answer}");
        let uploading = scene.node.peak_memory() - before;
        let path = format!("Files/{}/Download", answer["result"]["id"].as_str().unwrap());
        let before = scene.node.forget_peak_memory();
        let mut content = scene.rest.get(&path).send().await.unwrap().bytes_stream();
        let mut received = 0;
        while let Some(bytes) = content.next().await {
            received += bytes.unwrap().len();
        }
        assert_eq!(received, PIECES * PIECE);
        let downloading = scene.node.peak_memory() - before;
        eprintln!("{format}: {} MiB to upload, {} MiB to download", uploading >> 20, downloading >> 20);
        assert!(uploading < GROWTH && downloading < GROWTH, "{format}: {uploading} {downloading}");
    }
}
