//! A disk that fills up: a clear error, nothing half-written, and everything acknowledged before is still there (T17).
//!
//! Real programs on a tiny file system of their own. Where none can be mounted, for want of permission, the tests say so
//! and are skipped.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

use enlace_tests::{OAUTH_CLIENT, Process, Rest, World, enlace};
use serde_json::Value;

/// A file system that is gone with this value.
struct TinyDisk(PathBuf);

impl TinyDisk {
    fn mount(place: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&place).unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&place).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(place))
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
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

/// Uploads until something fails; returns the ids of what was acknowledged and the refusal.
async fn upload_until_refused(rest: &Rest) -> (Vec<String>, u16, Value) {
    let mut acknowledged = Vec::new();
    for number in 0..2000 {
        let (status, body) = upload(rest, &format!("file-{number}"), content(number)).await;
        if status != 201 {
            return (acknowledged, status, body);
        }
        acknowledged.push(body["result"]["id"].as_str().unwrap().to_owned());
    }
    panic!("a tiny disk that never gets full");
}

async fn assert_all_there(rest: &Rest, acknowledged: &[String]) {
    let listed = file_ids(rest).await;
    for (number, id) in acknowledged.iter().enumerate() {
        assert!(listed.contains(id), "{id} is not listed");
        let (status, bytes) = get(rest, &format!("Files/{id}/Download")).await;
        assert!(status == 200 && bytes == content(number), "{id} is lost: {status}");
    }
}

/// Everything is there, unless a write to the log found no room, a push in the background for instance: what is on disk is
/// uncertain from then on, so the backbone says that it is unhealthy and answers nothing. Never anything wrong.
async fn assert_right_or_refused(rest: &Rest, acknowledged: &[String], backbone: &str) {
    for (number, id) in acknowledged.iter().enumerate() {
        match get(rest, &format!("Files/{id}/Download")).await {
            (200, bytes) => assert!(bytes == content(number), "{id} has other content"),
            (status, body) => {
                let body = String::from_utf8_lossy(&body);
                assert!(status >= 500, "{id} is lost: {status} {body}");
                let health = reqwest::get(format!("{backbone}/health")).await.unwrap().status();
                assert_eq!(health, 503, "{id} is refused by a healthy backbone: {status} {body}");
            }
        }
    }
}

fn serve(data: &Path, backbone: &str) -> Command {
    let mut command = Command::new(enlace());
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--backbone", backbone, "--client", OAUTH_CLIENT]);
    command.arg("--data-dir").arg(data);
    command
}

#[tokio::test]
async fn a_backbone_on_a_full_disk_refuses_clearly_and_loses_nothing() {
    let world = World::new();
    let Some(disk) = TinyDisk::mount(world.directory("disk"), "6m") else {
        return println!("skipped: no file system can be mounted here");
    };
    let start = async |listen: &str| {
        let mut command = Command::new(enlace());
        command.args(["backbone", "--json", "--did-domain-name", "localhost", "--client", OAUTH_CLIENT]);
        command.args(["--listen", listen, "--data-dir"]).arg(disk.0.join("data"));
        Process::spawn(command).await.expect("a backbone starts")
    };
    let mut backbone = start("127.0.0.1:0").await;
    let url = backbone.announcement["url"].as_str().unwrap().to_owned();
    let node = Process::spawn(serve(&world.directory("node"), &url)).await.unwrap();
    let rest = Rest::of(&node);
    let (acknowledged, status, refusal) = upload_until_refused(&rest).await;
    assert!(!acknowledged.is_empty(), "{refusal}");
    assert!(status >= 500 && refusal["error"]["code"].is_string(), "{status} {refusal}");
    assert_eq!(file_ids(&rest).await.len(), acknowledged.len(), "what was refused is not listed");
    assert_right_or_refused(&rest, &acknowledged, &url).await;
    backbone.kill();
    let port = url.rsplit(':').next().unwrap();
    let bigger = Command::new("mount").args(["-o", "remount,size=32m"]).arg(&disk.0).status().unwrap();
    assert!(bigger.success());
    let _backbone = start(&format!("127.0.0.1:{port}")).await;
    assert_all_there(&rest, &acknowledged).await;
    let (status, _) = upload(&rest, "after", b"more room".to_vec()).await;
    assert_eq!(status, 201, "with room again it goes on");
}

#[tokio::test]
async fn a_node_on_a_full_disk_refuses_clearly_and_loses_nothing() {
    let world = World::new();
    let backbone = world.backbone().await;
    let Some(disk) = TinyDisk::mount(world.directory("disk"), "3m") else {
        return println!("skipped: no file system can be mounted here");
    };
    let data = disk.0.join("data");
    let mut node = Process::spawn(serve(&data, &backbone.line().url())).await.unwrap();
    let rest = Rest::of(&node);
    let (first, body) = upload(&rest, "file-0", content(0)).await;
    assert_eq!(first, 201, "{body}");
    let id = body["result"]["id"].as_str().unwrap().to_owned();
    // Fills the disk to the last block, as another program might.
    std::fs::write(disk.0.join("filler"), vec![0; 8 << 20]).unwrap_err();
    let (status, refusal) = upload(&rest, "large", vec![1; 2 << 20]).await;
    assert!(status >= 400 && status != 413, "{status} {refusal}");
    assert_all_there(&rest, std::slice::from_ref(&id)).await;
    node.kill();
    // What the disk looks like is not for callers to know, but for whoever runs the node.
    let talk = node.talk();
    assert!(talk.to_lowercase().contains("space") && !talk.contains("panicked"), "{talk}");
    std::fs::remove_file(disk.0.join("filler")).unwrap();
    let node = Process::spawn(serve(&data, &backbone.line().url())).await.unwrap();
    let rest = Rest::of(&node);
    assert_all_there(&rest, std::slice::from_ref(&id)).await;
    let (status, body) = upload(&rest, "after", content(1)).await;
    assert_eq!(status, 201, "with room again it goes on: {body}");
}

#[tokio::test]
async fn a_first_start_on_a_full_disk_says_so() {
    let world = World::new();
    let backbone = world.backbone().await;
    let Some(disk) = TinyDisk::mount(world.directory("disk"), "1m") else {
        return println!("skipped: no file system can be mounted here");
    };
    std::fs::write(disk.0.join("filler"), vec![0; 8 << 20]).unwrap_err();
    let data = disk.0.join("data");
    match Process::spawn(serve(&data, &backbone.line().url())).await {
        Err(refused) => {
            assert_ne!(refused.code, Some(0));
            let talk = refused.talk.to_lowercase();
            assert!(talk.contains("space") || talk.contains(data.to_str().unwrap()), "{}", refused.talk);
            assert!(!talk.contains("panicked"), "{}", refused.talk);
        }
        Ok(_) => panic!("a node started on a full disk"),
    }
    std::fs::remove_file(disk.0.join("filler")).unwrap();
    let mounted = Command::new("mount").args(["-o", "remount,size=16m"]).arg(&disk.0).status().unwrap();
    assert!(mounted.success());
    Process::spawn(serve(&data, &backbone.line().url())).await.expect("the next start succeeds");
}
