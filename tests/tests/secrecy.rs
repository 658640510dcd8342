//! Planted secrets are nowhere where they must not be: at the backbone, on the wire, on the node's disk, in logs
//! (T1, T4, T12).
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use enlace_tests::{Backbone, Exchange, Node, Traces, World, password, pin, planted, refusal, traces};
use runtime::Tags;
use runtime::dto::{File, Token};
use runtime::facade::{CreateOwnToken, CreateTokenForFile, UploadOwnFile};
use serde_json::json;
use transport::wire::{FileReference, TokenReference};

const CONTENT: &[u8] = b"planted content: the quick brown fox jumps over the lazy dog";
const FILENAME: &str = "planted-file-name.docx";
const TITLE: &str = "planted title of a file";
const DESCRIPTION: &str = "planted description of a file";
const TAG: &str = "x:planted-tag-of-a-file";
const TOKEN_CONTENT: &str = "planted content of a token";
const PASSWORD: &str = "planted password 4711";
const WRONG_PASSWORD: &str = "planted wrong password 4712";
const PIN: &str = "0918273645";
const PLANTED: &[(&str, &[u8])] = &[
    ("content", CONTENT),
    ("file name", FILENAME.as_bytes()),
    ("title", TITLE.as_bytes()),
    ("description", DESCRIPTION.as_bytes()),
    ("tag", TAG.as_bytes()),
    ("token content", TOKEN_CONTENT.as_bytes()),
    ("password", PASSWORD.as_bytes()),
    ("wrong password", WRONG_PASSWORD.as_bytes()),
    ("PIN", PIN.as_bytes()),
];

/// The main job with a secret in every place that can hold one.
struct Scene {
    _world: World,
    backbone: Backbone,
    alice: Node,
    bob: Node,
    keys: Vec<[u8; 32]>,
    references: Vec<String>,
}

async fn scene() -> Scene {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let file = alice.upload_with(upload()).await.unwrap();
    let mut tokens = Vec::new();
    for (protection, text) in [(password(PASSWORD), PASSWORD), (pin(PIN), PIN)] {
        let terms = CreateTokenForFile { password_protection: protection, ..CreateTokenForFile::default() };
        let token = alice.share_as(&file, terms).await.unwrap();
        if text == PASSWORD {
            refusal(bob.receive_with(&token.reference.url, WRONG_PASSWORD).await);
        }
        bob.receive_with(&token.reference.url, text).await.unwrap();
        tokens.push(token);
    }
    let own = CreateOwnToken::new(json!({"secret": TOKEN_CONTENT}), runtime::Timestamp::NEVER);
    tokens.push(alice.runtime().tokens().create_own_token(own).await.unwrap());
    bob.load_token(&tokens[2].reference.truncated).await.unwrap();
    assert_eq!(bob.download(&file.id).await.unwrap(), CONTENT);
    for node in [&alice, &bob] {
        node.runtime().account().sync_everything().await.unwrap();
    }
    let (keys, references) = (keys(&file, &tokens), references(&file, &tokens));
    Scene { _world: world, backbone, alice, bob, keys, references }
}

fn upload() -> UploadOwnFile {
    UploadOwnFile {
        title: Some(TITLE.to_owned()),
        description: Some(DESCRIPTION.to_owned()),
        tags: Some(Tags::new(vec![TAG.to_owned()]).unwrap()),
        ..UploadOwnFile::new(CONTENT, FILENAME.parse().unwrap(), "text/plain".parse().unwrap())
    }
}

fn keys(file: &File, tokens: &[Token]) -> Vec<[u8; 32]> {
    let of_tokens = tokens.iter().map(|token| *TokenReference::parse(&token.reference.url).unwrap().key.expose());
    std::iter::once(*FileReference::parse(&file.reference.url).unwrap().key.expose()).chain(of_tokens).collect()
}

fn references(file: &File, tokens: &[Token]) -> Vec<String> {
    std::iter::once(&file.reference)
        .chain(tokens.iter().map(|token| &token.reference))
        .flat_map(|r| [r.truncated.clone(), r.url.split_once('#').unwrap().1.to_owned()])
        .collect()
}

impl Scene {
    fn secrets(&self) -> Vec<(&str, &[u8])> {
        let keys = self.keys.iter().map(|key| ("a key", &key[..]));
        let references = self.references.iter().map(|reference| ("a reference", reference.as_bytes()));
        PLANTED.iter().copied().chain(keys).chain(references).collect()
    }

    fn found_in(&self, directory: &Path) -> Traces {
        traces(directory, &self.secrets())
    }
}

#[tokio::test]
async fn the_backbone_stores_no_secret() {
    let scene = scene().await;
    assert!(scene.found_in(scene.backbone.data_dir()).is_empty(), "{:?}", scene.found_in(scene.backbone.data_dir()));
}

#[tokio::test]
async fn nothing_that_reaches_the_backbone_holds_a_secret() {
    let scene = scene().await;
    let traffic = scene.backbone.line().recording();
    assert!(traffic.len() > 10);
    for Exchange { method, target, headers, body, .. } in traffic {
        let head = format!("{method} {target}\n{headers:?}");
        let found = (planted(head.as_bytes(), &scene.secrets()), planted(&body, &scene.secrets()));
        assert!(found.0.is_empty() && found.1.is_empty(), "{method} {target}: {found:?}");
    }
}

#[tokio::test]
async fn the_nodes_disk_holds_no_secret_in_clear() {
    let scene = scene().await;
    for node in [&scene.alice, &scene.bob] {
        let found = scene.found_in(node.data_dir());
        assert!(found.is_empty(), "{found:?}");
    }
}

#[tokio::test]
async fn logs_hold_no_secret_even_at_the_finest_level() {
    let log = log();
    let scene = scene().await;
    let mut log = log.lock().unwrap();
    let text = std::mem::take(&mut *log);
    assert!(text.len() > 1000, "something was logged");
    let found = planted(&text, &scene.secrets());
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn only_their_owner_can_read_what_nodes_and_backbones_keep() {
    let scene = scene().await;
    for directory in [scene.alice.data_dir(), scene.bob.data_dir(), scene.backbone.data_dir()] {
        assert_eq!(mode(directory) & 0o777, 0o700, "{}", directory.display());
        let key = directory.join("store.key");
        if key.exists() {
            assert_eq!(mode(&key) & 0o777, 0o600);
        }
    }
    for node in [&scene.alice, &scene.bob] {
        assert!(node.data_dir().join("store.key").exists());
        assert_eq!(std::fs::read_dir(node.data_dir().join("tmp")).unwrap().count(), 0, "temporary files are removed");
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode()
}

/// Everything that this process logs, from the first call on.
fn log() -> Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer(log.clone());
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        log
    })
    .clone()
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
