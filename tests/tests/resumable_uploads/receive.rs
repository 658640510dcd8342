//! `enlace receive` of a file whose upload goes on.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use bytes::Bytes;
use enlace_tests::{Backbone, OAUTH_CLIENT, World, enlace};
use runtime::facade::{ContentFormat, CreateTokenForFile, EarlyShare, UploadOwnFile};
use runtime::{BackboneConfig, Config, Runtime, Secret, dto};
use serde_json::Value;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::content;

const MIB: usize = 1024 * 1024;

/// A node that uploads what it is given.
struct Sender {
    source: DuplexStream,
    upload: JoinHandle<runtime::Result<dto::File>>,
    reference: String,
    backbone: String,
}

impl Sender {
    async fn begin(world: &World, backbone: &Backbone, length: Option<u64>) -> Self {
        let (id, secret) = OAUTH_CLIENT.split_once(':').unwrap();
        let url = backbone.server().url();
        let backbone = BackboneConfig::new(url.clone(), id, Secret::new(secret));
        let node = Runtime::builder(Config::new(world.directory("sender"), backbone)).start().await.unwrap();
        let (source, content) = tokio::io::duplex(MIB);
        let mut request = UploadOwnFile::new(content, "data.bin".parse().unwrap(), "a/b".parse().unwrap());
        request.format = ContentFormat::V2;
        let (told, started) = oneshot::channel();
        let early = EarlyShare { length, ..EarlyShare::new(|started| told.send(started).unwrap()) };
        let files = node.files();
        let upload = tokio::spawn(async move { files.upload_own_file_early(request, early).await });
        let started = started.await.unwrap();
        let request = CreateTokenForFile::default();
        let token = node.files().create_token_for_started_upload(&started, request).await.unwrap();
        Self { source, upload, reference: token.reference.url, backbone: url }
    }

    fn start_receiving(&self, directory: &Path, more: &[&str]) -> Child {
        start_receiving((&self.reference, &self.backbone), directory, more)
    }

    /// Starts to receive, sends the start of the content, and waits until some of it has been received.
    async fn receive(&mut self, directory: &Path, start: &[u8]) -> (Child, Value) {
        let mut child = self.start_receiving(directory, &[]);
        self.source.write_all(start).await.unwrap();
        let stderr = child.stderr.take().unwrap();
        let (child, said) = tokio::task::spawn_blocking(move || {
            let (mut said, mut lines) = (String::new(), BufReader::new(stderr));
            lines.read_line(&mut said).unwrap();
            child.stderr = Some(lines.into_inner());
            (child, said)
        })
        .await
        .unwrap();
        (child, serde_json::from_str(&said).unwrap_or_else(|_| panic!("not JSON: {said:?}")))
    }
}

/// Receives a reference from a backbone.
fn start_receiving((reference, backbone): (&str, &str), directory: &Path, more: &[&str]) -> Child {
    std::fs::create_dir_all(directory.join("out")).unwrap();
    let mut command = Command::new(enlace());
    command.args(["receive", reference, "--data-dir", "receiver", "--output", "out", "--json"]).args(more);
    command.args(["--backbone", backbone, "--client", OAUTH_CLIENT]);
    command.current_dir(directory).env_clear().env("HOME", directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

async fn ended(child: Child) -> Output {
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory.join("out")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

async fn world() -> (World, Backbone, PathBuf) {
    let world = World::new();
    let backbone = world.backbone().await;
    let directory = world.directory("receiving");
    (world, backbone, directory)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_received_while_it_is_uploaded() {
    let all: Bytes = content(11 * MIB + 7);
    for length in [None, Some(all.len() as u64)] {
        let (world, backbone, directory) = world().await;
        let mut sender = Sender::begin(&world, &backbone, length).await;
        let (child, said) = sender.receive(&directory, &all[..10 * MIB]).await;
        assert!(said["progress"]["bytes"].as_u64().unwrap() > 0, "{said}");
        assert_eq!((said["progress"]["total"].as_u64(), &said["progress"]["resumed"]), (length, &0.into()));
        assert!(!names(&directory).contains(&"data.bin".to_owned()), "it has no name yet");
        sender.source.write_all(&all[10 * MIB..]).await.unwrap();
        drop(sender.source);
        let uploaded = sender.upload.await.unwrap().unwrap();
        let output = ended(child).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&line["bytes"], &line["file"]["id"]), (&all.len().into(), &uploaded.id.as_str().into()));
        assert!(std::fs::read(directory.join("out/data.bin")).unwrap() == all);
        assert_eq!(names(&directory), ["data.bin"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_given_up_leaves_nothing_at_the_receiver() {
    let (world, backbone, directory) = world().await;
    let mut sender = Sender::begin(&world, &backbone, None).await;
    let (child, _) = sender.receive(&directory, &content(10 * MIB)).await;
    sender.upload.abort();
    let output = ended(child).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("error.transport.files.uploadGivenUp") && said.contains("was given up"), "{said}");
    assert!(said.contains("nothing was kept"), "{said}");
    assert_eq!(names(&directory), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_the_receiver_holds_for_what_is_uploaded() {
    let (world, backbone, directory) = world().await;
    let mut sender = Sender::begin(&world, &backbone, None).await;
    let child = sender.start_receiving(&directory, &["--max-size", "1M"]);
    sender.source.write_all(&content(10 * MIB)).await.unwrap();
    let output = ended(child).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("larger than the limit") && said.contains("--max-size"), "{said}");
    assert_eq!(names(&directory), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_of_an_upload_is_kept_for_a_later_run() {
    let all: Bytes = content(11 * MIB + 7);
    for (signal, goes_on_while_it_is_uploaded) in [("INT", false), ("KILL", false), ("INT", true)] {
        let (world, backbone, directory) = world().await;
        let mut sender = Sender::begin(&world, &backbone, None).await;
        let child = sender.start_receiving(&directory, &[]);
        sender.source.write_all(&all[..10 * MIB]).await.unwrap();
        while partial_length(&directory) < 3 * MIB as u64 {
            tokio::task::yield_now().await;
        }
        assert!(Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap().success());
        let output = ended(child).await;
        let said = String::from_utf8(output.stderr).unwrap();
        if signal == "INT" {
            assert_eq!(output.status.code(), Some(130), "{said}");
            assert!(said.contains("run the same command to continue"), "{said}");
        }
        assert!(partial_length(&directory) >= 3 * MIB as u64);
        let start = |sender: &Sender| sender.start_receiving(&directory, &[]);
        let mut again = goes_on_while_it_is_uploaded.then(|| start(&sender));
        if let Some(again) = &mut again {
            // It has looked the file up before the upload ends.
            let stderr = again.stderr.take().unwrap();
            let line = tokio::task::spawn_blocking(move || BufReader::new(stderr).lines().next());
            line.await.unwrap().unwrap().unwrap();
        }
        sender.source.write_all(&all[10 * MIB..]).await.unwrap();
        sender.source.shutdown().await.unwrap();
        (&mut sender.upload).await.unwrap().unwrap();
        let again = again.unwrap_or_else(|| start(&sender));
        let output = ended(again).await;
        let line: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let resumed = line["resumed"].as_u64().unwrap();
        match goes_on_while_it_is_uploaded {
            true => assert_eq!(resumed, 0),
            false => assert!(resumed >= 3 * MIB as u64 && resumed.is_multiple_of(MIB as u64), "{line}"),
        }
        assert!(std::fs::read(directory.join("out/data.bin")).unwrap() == all);
        assert_eq!(names(&directory), ["data.bin"]);
    }
}

/// Bytes of the part of a file that is there.
fn partial_length(directory: &Path) -> u64 {
    let parts = names(directory).into_iter().filter(|name| name.ends_with(".part"));
    parts.filter_map(|name| Some(directory.join("out").join(name).metadata().ok()?.len())).max().unwrap_or(0)
}
