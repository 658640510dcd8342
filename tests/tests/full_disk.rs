//! A disk that fills up: a clear error, nothing half-written, everything acknowledged before can be read while the disk is
//! full, and it goes on when there is room again (T17).
//!
//! Real programs on a tiny file system of their own. Where none can be mounted, for want of permission, the tests say so
//! and are skipped; in continuous integration that is a failure.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use enlace_tests::{OAUTH_CLIENT, Process, Rest, World, enlace};
use serde_json::Value;
use tokio::task::JoinSet;

/// The dialects of the REST interface.
const DIALECTS: [&str; 2] = ["api/v2", "api/core/v1"];

/// Uploads at one time.
const UPLOADERS: usize = 8;

/// A file system that is gone with this value.
struct TinyDisk(PathBuf);

impl TinyDisk {
    /// Mounts one, or says why the test is skipped.
    fn mount(place: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&place).unwrap();
        let options = format!("size={size},mode=0700,uid={}", std::fs::metadata(&place).unwrap().uid());
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&place);
        let reason = match as_root(&mount) {
            Ok(()) => return Some(Self(place)),
            Err(reason) => reason,
        };
        assert!(std::env::var_os("CI").is_none(), "a check that does not run has not passed: {reason}");
        // Past the capture of test output: a skipped test must be seen.
        let line = format!("skipped: no file system can be mounted here: {reason}\n");
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Fills the disk to the last block, as another program might.
    fn fill(&self) {
        std::fs::write(self.path("filler"), vec![0; 64 << 20]).unwrap_err();
    }

    fn grow(&self, size: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={size}")]).arg(&self.0);
        as_root(&mount).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.path("filler")).unwrap();
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        umount.arg("--lazy").arg(&self.0);
        let _ = as_root(&umount);
    }
}

/// Runs a command with the rights of this user, or else with those that `sudo` gives without asking.
fn as_root(command: &Command) -> Result<(), String> {
    let mut sudo = Command::new("sudo");
    sudo.arg("-n").arg(command.get_program()).args(command.get_args());
    let mut own = Command::new(command.get_program());
    own.args(command.get_args());
    let mut reasons = Vec::new();
    for attempt in [&mut own, &mut sudo] {
        match attempt.output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => reasons.push(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(reasons.join("; "))
}

async fn upload(rest: &Rest, name: &str, content: Vec<u8>) -> (u16, Value) {
    let answer = rest.upload(name, content).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

async fn get(rest: &Rest, path: &str) -> (u16, Vec<u8>) {
    let answer = rest.get(path).send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
}

async fn file_ids(rest: &Rest) -> Vec<String> {
    let (status, body) = get(rest, "Files").await;
    assert_eq!(status, 200);
    let list: Value = serde_json::from_slice(&body).unwrap();
    list["result"].as_array().unwrap().iter().map(|file| file["id"].as_str().unwrap().to_owned()).collect()
}

fn content(number: usize) -> Vec<u8> {
    (0..100_000).map(|i| (i * (number + 3) % 251) as u8).collect()
}

/// What was acknowledged: id and content.
type Acknowledged = Vec<(String, Vec<u8>)>;

/// Uploads `count` files.
async fn upload_some(rest: &Rest, acknowledged: &mut Acknowledged, count: usize) {
    for _ in 0..count {
        let number = acknowledged.len();
        let (status, body) = upload(rest, &format!("file-{number}"), content(number)).await;
        assert_eq!(status, 201, "there is room: {body}");
        acknowledged.push((body["result"]["id"].as_str().unwrap().to_owned(), content(number)));
    }
}

/// Uploads until something fails; returns the refusal.
async fn upload_until_refused(rest: &Rest, acknowledged: &mut Acknowledged) -> (u16, Value) {
    for _ in 0..2000 {
        let number = acknowledged.len();
        let (status, body) = upload(rest, &format!("file-{number}"), content(number)).await;
        if status != 201 {
            return (status, body);
        }
        acknowledged.push((body["result"]["id"].as_str().unwrap().to_owned(), content(number)));
    }
    panic!("a tiny disk that never gets full");
}

async fn assert_all_there(rest: &Rest, acknowledged: &Acknowledged) {
    let mut listed = file_ids(rest).await;
    listed.sort();
    let mut expected: Vec<String> = acknowledged.iter().map(|(id, _)| id.clone()).collect();
    expected.sort();
    assert_eq!(listed, expected, "what was acknowledged is listed, what was refused is not");
    for (id, content) in acknowledged {
        let (status, bytes) = get(rest, &format!("Files/{id}/Download")).await;
        assert!(
            status == 200 && bytes == *content,
            "{id} cannot be read: {status} {}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

fn serve(data: &Path, backbone: &str) -> Command {
    let mut command = Command::new(enlace());
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--backbone", backbone, "--client", OAUTH_CLIENT]);
    command.arg("--data-dir").arg(data);
    command
}

async fn serve_backbone(data: PathBuf, listen: &str) -> Process {
    let mut command = Command::new(enlace());
    command.args(["backbone", "--json", "--did-domain-name", "localhost", "--client", OAUTH_CLIENT]);
    command.args(["--listen", listen, "--data-dir"]).arg(data);
    Process::spawn(command).await.expect("a backbone starts")
}

/// Runs a short command to its end; returns exit code and error text.
async fn run(data: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(enlace());
    command.args(args).arg("--data-dir").arg(data);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

async fn health(url: &str) -> (u16, String) {
    let answer = reqwest::get(format!("{url}/health")).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_backbone_on_a_full_disk_refuses_clearly_and_goes_on_with_room() {
    let world = World::new();
    let Some(disk) = TinyDisk::mount(world.directory("disk"), "24m") else { return };
    let mut backbone = serve_backbone(disk.path("data"), "127.0.0.1:0").await;
    let url = backbone.announcement["url"].as_str().unwrap().to_owned();
    let data = world.directory("node");
    let mut node = Process::spawn(serve(&data, &url)).await.unwrap();
    let mut acknowledged = Vec::new();
    let rest = Rest::of(&node);
    upload_some(&rest, &mut acknowledged, 3).await;
    disk.fill();
    for dialect in DIALECTS {
        let rest = rest.speaking(dialect);
        let (status, refusal) = upload_until_refused(&rest, &mut acknowledged).await;
        let error = &refusal["error"];
        assert_eq!((status, &error["code"]), (507, &"error.platform.insufficientStorage".into()), "{refusal}");
        assert!(error["message"].as_str().unwrap().contains("the disk of the backbone is full"), "{refusal}");
    }
    assert_all_there(&rest, &acknowledged).await;
    let file = world.directory("file");
    std::fs::write(&file, content(0)).unwrap();
    let (code, talk) = run(&data, &["files", "upload", file.to_str().unwrap()]).await;
    assert_eq!(code, Some(7), "{talk}");
    assert!(talk.contains("the disk of the backbone is full") && talk.contains("hint: free some space"), "{talk}");
    assert_eq!(health(&url).await.0, 200, "a full disk is no failure");
    // Logging in is no reason to store anything.
    node.kill();
    let node = Process::spawn(serve(&data, &url)).await.unwrap();
    let rest = Rest::of(&node);
    assert_all_there(&rest, &acknowledged).await;
    disk.free();
    upload_some(&rest, &mut acknowledged, 2).await;
    assert_all_there(&rest, &acknowledged).await;
    backbone.kill();
    let port = url.rsplit(':').next().unwrap();
    let _backbone = serve_backbone(disk.path("data"), &format!("127.0.0.1:{port}")).await;
    assert_all_there(&rest, &acknowledged).await;
}

#[tokio::test]
async fn a_backbone_that_fills_its_disk_itself_keeps_everything_it_acknowledged() {
    let world = World::new();
    let Some(disk) = TinyDisk::mount(world.directory("disk"), "24m") else { return };
    let mut backbone = serve_backbone(disk.path("data"), "127.0.0.1:0").await;
    let url = backbone.announcement["url"].as_str().unwrap().to_owned();
    let node = Process::spawn(serve(&world.directory("node"), &url)).await.unwrap();
    let (rest, mut acknowledged) = (Rest::of(&node), Vec::new());
    let mut uploading = JoinSet::new();
    for _ in 0..UPLOADERS {
        let rest = rest.clone();
        uploading.spawn(async move {
            let mut acknowledged = Vec::new();
            let refusal = upload_until_refused(&rest, &mut acknowledged).await;
            (acknowledged, refusal)
        });
    }
    while let Some(ended) = uploading.join_next().await {
        let (some, (status, refusal)) = ended.unwrap();
        acknowledged.extend(some);
        assert_eq!(
            (status, &refusal["error"]["code"]),
            (507, &"error.platform.insufficientStorage".into()),
            "{refusal}"
        );
    }
    assert!(acknowledged.len() > UPLOADERS);
    assert_all_there(&rest, &acknowledged).await;
    backbone.kill();
    disk.grow("48m");
    let port = url.rsplit(':').next().unwrap();
    let _backbone = serve_backbone(disk.path("data"), &format!("127.0.0.1:{port}")).await;
    assert_all_there(&rest, &acknowledged).await;
    upload_some(&rest, &mut acknowledged, 1).await;
}

#[tokio::test]
async fn a_file_that_does_not_fit_on_the_disk_is_refused_before_it_is_fetched() {
    let world = World::new();
    let backbone = world.backbone().await;
    let Some(disk) = TinyDisk::mount(world.directory("disk"), "1m") else { return };
    let (data, file) = (world.directory("node"), world.directory("file"));
    std::fs::write(&file, vec![7; 3 << 20]).unwrap();
    let mut node = Process::spawn(serve(&data, &backbone.line().url())).await.unwrap();
    let (status, body) = upload(&Rest::of(&node), "large.bin", std::fs::read(&file).unwrap()).await;
    assert_eq!(status, 201, "{body}");
    node.kill();
    let id = body["result"]["id"].as_str().unwrap();
    let place = disk.path("large.bin");
    let download = ["files", "download", id, "--output", place.to_str().unwrap(), "--backbone", &backbone.line().url()];
    let (code, talk) = run(&data, &[&download[..], &["--client", OAUTH_CLIENT]].concat()).await;
    assert_eq!(code, Some(7), "{talk}");
    assert!(talk.contains("the file has 3.0 MiB, but only 1.0 MiB are free on the disk of"), "{talk}");
    assert!(talk.contains("nothing was fetched"), "{talk}");
    assert_eq!(std::fs::read_dir(disk.path("")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_node_on_a_full_disk_refuses_clearly_and_goes_on_with_room() {
    let world = World::new();
    let backbone = world.backbone().await;
    let Some(disk) = TinyDisk::mount(world.directory("disk"), "24m") else { return };
    let data = disk.path("data");
    let mut node = Process::spawn(serve(&data, &backbone.line().url())).await.unwrap();
    let url = node.announcement["rest"]["url"].as_str().unwrap().to_owned();
    let (rest, mut acknowledged) = (Rest::of(&node), Vec::new());
    upload_some(&rest, &mut acknowledged, 3).await;
    disk.fill();
    for dialect in DIALECTS {
        let rest = rest.speaking(dialect);
        // A form that is put aside, and what the store has no room for.
        let (status, refusal) = upload(&rest, "large", vec![1; 2 << 20]).await;
        assert_eq!((status, &refusal["error"]["code"]), (507, &"error.runtime.storageFull".into()), "{refusal}");
        let (status, refusal) = upload_until_refused(&rest, &mut acknowledged).await;
        assert_eq!((status, &refusal["error"]["code"]), (507, &"error.runtime.storageFull".into()), "{refusal}");
        let text = refusal.to_string();
        assert!(!text.contains(data.to_str().unwrap()), "what the disk looks like is not for callers: {text}");
    }
    assert_all_there(&rest, &acknowledged).await;
    let file = world.directory("file");
    std::fs::write(&file, content(0)).unwrap();
    let (code, talk) = run(&data, &["files", "upload", file.to_str().unwrap()]).await;
    assert_eq!(code, Some(7), "{talk}");
    assert!(talk.contains("the disk of this node is full") && talk.contains("hint: free some space"), "{talk}");
    let (status, body) = health(&url).await;
    assert_eq!(status, 200, "a full disk is no failure: {body}");
    disk.free();
    upload_some(&rest, &mut acknowledged, 2).await;
    let (status, body) = upload(&rest, "large", vec![1; 2 << 20]).await;
    assert_eq!(status, 201, "{body}");
    acknowledged.push((body["result"]["id"].as_str().unwrap().to_owned(), vec![1; 2 << 20]));
    assert_all_there(&rest, &acknowledged).await;
    node.kill();
    // For whoever runs the node.
    let talk = node.talk();
    assert!(talk.contains("is full") && !talk.contains("panicked"), "{talk}");
    let node = Process::spawn(serve(&data, &backbone.line().url())).await.unwrap();
    assert_all_there(&Rest::of(&node), &acknowledged).await;
}

#[tokio::test]
async fn a_first_start_on_a_full_disk_says_so() {
    let world = World::new();
    let backbone = world.backbone().await;
    let Some(disk) = TinyDisk::mount(world.directory("disk"), "16m") else { return };
    disk.fill();
    let data = disk.path("data");
    match Process::spawn(serve(&data, &backbone.line().url())).await {
        Err(refused) => {
            assert_eq!(refused.code, Some(7), "{}", refused.talk);
            assert!(refused.talk.contains("is full"), "{}", refused.talk);
            assert!(!refused.talk.contains("panicked"), "{}", refused.talk);
        }
        Ok(_) => panic!("a node started on a full disk"),
    }
    disk.free();
    Process::spawn(serve(&data, &backbone.line().url())).await.expect("the next start succeeds");
}
