//! Commands beside a running process: codes, shares without a backbone, and the paths of a download go through its interface.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use enlace_tests::{Backbone, OAUTH_CLIENT, Process, ProcessError, Rest, World, enlace};
use serde_json::{Value, json};

const MEBIBYTE: usize = 1024 * 1024;
/// After this long a test has hung.
const PATIENCE: Duration = Duration::from_secs(120);
/// Exit code of what nobody has.
const NOT_FOUND: i32 = 3;
/// Exit code of what is refused.
const REFUSED: i32 = 4;

/// A process that serves the data directory `sender`, with a file beside it, and its backbone.
struct Scene {
    world: World,
    backbone: Backbone,
    sender: Option<Process>,
    file: PathBuf,
    content: Vec<u8>,
}

impl Scene {
    async fn new(length: usize) -> Self {
        let world = World::new();
        let backbone = world.backbone().await;
        let content: Vec<u8> = (0..length).map(|place| (place * 7 % 251) as u8).collect();
        let file = world.directory("disk.img");
        std::fs::write(&file, &content).unwrap();
        let mut scene = Self { world, backbone, sender: None, file, content };
        scene.sender = Some(scene.serve("sender").await);
        scene
    }

    async fn serve(&self, directory: &str) -> Process {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"], directory);
        command.args(["--peer-listen", "/ip4/127.0.0.1/tcp/0", "--no-mdns", "--no-relay"]);
        command.args(["--backbone", &self.backbone.line().url(), "--client", OAUTH_CLIENT]);
        Process::spawn(command).await.unwrap()
    }

    fn command(&self, arguments: &[&str], directory: &str) -> Command {
        let mut command = Command::new(enlace());
        command.args(arguments).args(["--json", "--data-dir"]).arg(self.world.directory(directory));
        command.env(enlace_tests::PEERS_ENABLED, "true");
        command
    }

    /// `share` beside the process that serves.
    async fn share(&self, options: &[&str]) -> Process {
        let arguments = [&["share", self.file.to_str().unwrap()], options].concat();
        Process::spawn(self.command(&arguments, "sender")).await.unwrap()
    }

    /// `receive` in a process of its own, which knows where the sender is.
    async fn receive_code(&self, code: &str) -> Result<Process, ProcessError> {
        let peer = &self.sender.as_ref().unwrap().announcement["peer"];
        let address = format!("{}/p2p/{}", text(&peer["addresses"][0]), text(&peer["id"]));
        self.receive(code, "receiver", &["--no-mdns", "--peer-address", &address]).await
    }

    async fn receive(&self, what: &str, directory: &str, options: &[&str]) -> Result<Process, ProcessError> {
        let output = self.world.directory("received");
        let mut command = self.command(&[&["receive", what, "--force"], options].concat(), directory);
        command.args(["--backbone", &self.backbone.line().url(), "--client", OAUTH_CLIENT, "--output"]).arg(&output);
        let received = Process::spawn(command).await?;
        assert!(std::fs::read(output).unwrap() == self.content, "it is another content");
        Ok(received)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// How a code has ended, by the last words of a command that has offered it.
fn end_of_code(mut shared: Process) -> Value {
    let told = shared.talk();
    let lines = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter_map(|line| line.get("code").cloned())
        .next_back()
        .unwrap_or_else(|| panic!("nothing of a code: {told}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_process_offers_a_code_until_it_is_used_or_guessed() {
    let scene = Scene::new(1000).await;
    let shared = scene.share(&["--code"]).await;
    let code = text(&shared.announcement["code"]).to_owned();
    assert!(text(&shared.announcement["reference"]).contains("direct="), "{}", shared.announcement);
    let received = scene.receive_code(&code).await.unwrap().announcement.clone();
    assert_eq!(received["path"], "lan", "{received}");
    // The command ends with its code, and both sides have seen the same.
    assert_eq!(end_of_code(shared), json!({ "end": "taken", "fingerprint": received["fingerprint"] }));
    assert_eq!(scene.receive_code(&code).await.err().unwrap().code, Some(NOT_FOUND));

    let shared = scene.share(&["--code"]).await;
    let (number, words) = text(&shared.announcement["code"]).split_once('-').unwrap();
    let wrong = format!("{number}-{}", if words == "amber-violin" { "violin-amber" } else { "amber-violin" });
    assert_eq!(scene.receive_code(&wrong).await.err().unwrap().code, Some(REFUSED));
    assert_eq!(end_of_code(shared), json!({ "end": "burned" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_and_a_direct_share_end_with_the_command_that_asked_for_them() {
    let scene = Scene::new(3 * MEBIBYTE).await;
    let mut shared = scene.share(&["--direct-only", "--code"]).await;
    let reference = text(&shared.announcement["reference"]).to_owned();
    let received = scene.receive(&reference, "receiver", &["--no-mdns"]).await.unwrap().announcement.clone();
    assert_eq!((&received["path"], &received["paths"]), (&json!("lan"), &Value::Null));
    let rest = Rest::of(scene.sender.as_ref().unwrap());
    assert_eq!(rest.count_own_files(scene.content.len()).await, 0, "it is in no list");
    assert_eq!(scene.backbone.line().content_requests(), 0);
    shared.kill();
    let gone = async { while scene.receive(&reference, "receiver", &["--no-mdns"]).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, gone).await.expect("the share ends");
    let code = text(&shared.announcement["code"]);
    assert_eq!(scene.receive_code(code).await.err().unwrap().code, Some(NOT_FOUND));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_shared_directly_through_a_running_process() {
    let scene = Scene::new(3 * MEBIBYTE).await;
    let folder = scene.world.directory("photos");
    std::fs::create_dir_all(folder.join("b")).unwrap();
    std::fs::copy(&scene.file, folder.join("b/large")).unwrap();
    std::fs::write(folder.join("a"), "a").unwrap();
    let command = scene.command(&["share", folder.to_str().unwrap(), "--direct-only"], "sender");
    let shared = Process::spawn(command).await.unwrap();
    let reference = text(&shared.announcement["reference"]);
    let copy = scene.world.directory("copy");
    let receive = ["receive", reference, "--no-mdns", "--output", copy.to_str().unwrap()];
    let mut command = scene.command(&receive, "receiver");
    command.args(["--backbone", &scene.backbone.line().url(), "--client", OAUTH_CLIENT]);
    let received = Process::spawn(command).await.unwrap();
    assert_eq!(received.announcement["path"], "lan", "{}", received.announcement);
    assert!(std::fs::read(copy.join("b/large")).unwrap() == scene.content);
    assert_eq!(std::fs::read_to_string(copy.join("a")).unwrap(), "a");
    assert_eq!(scene.backbone.line().content_requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lasts_ends_when_the_running_process_stops() {
    let mut scene = Scene::new(1000).await;
    let (code, direct) = (scene.share(&["--code"]).await, scene.share(&["--direct-only"]).await);
    let sender = scene.sender.take().unwrap();
    let status = Command::new("kill").args(["-TERM", &sender.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(end_of_code(code), json!({ "end": "withdrawn" }));
    let mut direct = direct;
    assert!(direct.talk().contains("the running process has ended, and the share with it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_running_process_a_download_names_the_same_paths() {
    let mut scene = Scene::new(24 * MEBIBYTE).await;
    let shared = scene.share(&["--format", "v2"]).await;
    let reference = text(&shared.announcement["reference"]).to_owned();
    let _receiver = scene.serve("receiver").await;
    // A pipe that nobody reads stops the transfer.
    let mut command = scene.command(&["receive", &reference, "--output", "-"], "receiver");
    command.args(["--backbone", &scene.backbone.line().url()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut receiving = command.spawn().unwrap();
    let (mut stdout, mut stderr) = (receiving.stdout.take().unwrap(), receiving.stderr.take().unwrap());
    let told = std::thread::spawn(move || {
        let mut told = String::new();
        stderr.read_to_string(&mut told).unwrap();
        told
    });
    let mut arrived = vec![0; MEBIBYTE];
    let mut stdout = tokio::task::spawn_blocking(move || {
        stdout.read_exact(&mut arrived).unwrap();
        (stdout, arrived)
    })
    .await
    .unwrap();
    scene.sender.take().unwrap().kill();
    let arrived = tokio::task::spawn_blocking(move || {
        stdout.0.read_to_end(&mut stdout.1).unwrap();
        stdout.1
    });
    let arrived = tokio::time::timeout(PATIENCE, arrived).await.expect("the transfer ends").unwrap();
    assert!(arrived == scene.content, "it is another content");
    let told = told.join().unwrap();
    assert!(receiving.wait().unwrap().success(), "{told}");
    let lines: Vec<Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let result = lines.iter().find(|line| line.get("savedTo").is_some()).unwrap_or_else(|| panic!("{told}"));
    assert_eq!(result["path"], "backbone", "{result}");
    let names: Vec<&str> = result["paths"].as_array().unwrap().iter().map(|bytes| text(&bytes["path"])).collect();
    assert_eq!(names, ["lan", "backbone"]);
    let bytes: u64 = result["paths"].as_array().unwrap().iter().map(|it| it["bytes"].as_u64().unwrap()).sum();
    assert!(bytes >= scene.content.len() as u64, "{result}");
    let progress = lines.iter().find_map(|line| line["progress"].get("path")).expect("progress names its path");
    assert_eq!(progress, "lan");
}
