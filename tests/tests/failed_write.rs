//! A write that the disk does not take: nothing is acknowledged any more, reads go on, `/health` and `doctor` say so, and a
//! restart finds everything that was acknowledged.
//!
//! The disk is made to fail by a limit on the size of files, which the running process gets from outside.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

use enlace_tests::{OAUTH_CLIENT, Process, Rest, World, enlace};
use serde_json::Value;

/// `enlace`, which gets an error instead of a signal when a file would be too large.
fn program(args: &[&str], data: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(enlace()).args(args).arg("--data-dir").arg(data);
    command
}

async fn serve(data: &Path, backbone: &str) -> Process {
    let args = ["serve", "--json", "--listen", "127.0.0.1:0", "--backbone", backbone, "--client", OAUTH_CLIENT];
    Process::spawn(program(&args, data)).await.unwrap()
}

async fn serve_backbone(data: &Path, listen: &str) -> Process {
    let args = ["backbone", "--json", "--did-domain-name", "localhost", "--client", OAUTH_CLIENT, "--listen", listen];
    Process::spawn(program(&args, data)).await.unwrap()
}

fn let_writes_fail(process: &Process) {
    let limited = Command::new("prlimit").args(["--fsize=1:", "--pid", &process.id().to_string()]).status().unwrap();
    assert!(limited.success());
}

async fn upload(rest: &Rest, name: &str) -> (u16, Value) {
    let answer = rest.upload(name, name.as_bytes().to_vec()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Lists and downloads what was acknowledged under this name.
async fn assert_readable(rest: &Rest, id: &str, name: &str) {
    let list: Value = rest.get("Files").send().await.unwrap().json().await.unwrap();
    let ids: Vec<_> = list["result"].as_array().unwrap().iter().map(|file| file["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [id], "what was acknowledged is listed, what was not is not");
    let answer = rest.get(&format!("Files/{id}/Download")).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), name.as_bytes());
}

async fn health(url: &str) -> (u16, String) {
    let answer = reqwest::get(format!("{url}/health")).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The findings of `doctor` that something is wrong.
async fn wrong(data: &Path) -> String {
    let mut command = Command::new(enlace());
    command.args(["doctor", "--data-dir"]).arg(data);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let report = String::from_utf8(ended.stdout).unwrap();
    report.lines().filter(|line| line.starts_with("wrong")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_node_whose_write_failed_reads_on_and_says_what_is_wrong() {
    let world = World::new();
    let backbone = world.backbone().await;
    let data = world.directory("node");
    let mut node = serve(&data, &backbone.line().url()).await;
    let url = node.announcement["rest"]["url"].as_str().unwrap().to_owned();
    let rest = Rest::of(&node);
    let (status, body) = upload(&rest, "first").await;
    assert_eq!(status, 201, "{body}");
    let id = body["result"]["id"].as_str().unwrap().to_owned();
    let_writes_fail(&node);
    for attempt in ["second", "third"] {
        let (status, body) = upload(&rest, attempt).await;
        assert_eq!(status, 500, "{attempt}: {body}");
    }
    assert_readable(&rest, &id, "first").await;
    let (status, body) = health(&url).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["isHealthy"], &body["services"]["database"]), (500, &false.into(), &"unhealthy".into()));
    assert!(body["databaseFailure"].as_str().unwrap().contains("restart the node"), "{body}");
    assert!(!body.to_string().contains(data.to_str().unwrap()), "{body}");
    let findings = wrong(&data).await;
    assert!(findings.contains("store") && findings.contains("check the disk"), "{findings}");
    node.kill();
    let node = serve(&data, &backbone.line().url()).await;
    let rest = Rest::of(&node);
    assert_readable(&rest, &id, "first").await;
    assert_eq!(upload(&rest, "fourth").await.0, 201, "a restart goes on");
}

#[tokio::test]
async fn a_backbone_whose_write_failed_reads_on_and_says_what_is_wrong() {
    let world = World::new();
    let (data, backbone_data) = (world.directory("node"), world.directory("backbone"));
    let mut backbone = serve_backbone(&backbone_data, "127.0.0.1:0").await;
    let url = backbone.announcement["url"].as_str().unwrap().to_owned();
    let node = serve(&data, &url).await;
    let rest = Rest::of(&node);
    let (status, body) = upload(&rest, "first").await;
    assert_eq!(status, 201, "{body}");
    let id = body["result"]["id"].as_str().unwrap().to_owned();
    assert_eq!(health(&url).await.0, 200);
    let_writes_fail(&backbone);
    // No file can be written, so it is a token that reaches the records.
    let token = serde_json::json!({ "ephemeral": true });
    for _ in 0..2 {
        let answer = rest.post(&format!("Files/{id}/Token")).json(&token).send().await.unwrap();
        assert_eq!(answer.status(), 500);
    }
    assert_readable(&rest, &id, "first").await;
    assert_eq!(health(&url).await, (503, "Unhealthy".to_owned()));
    let findings = wrong(&data).await;
    assert!(findings.contains("backbone") && findings.contains("unhealthy; check its disk"), "{findings}");
    backbone.kill();
    let _backbone = serve_backbone(&backbone_data, &format!("127.0.0.1:{}", url.rsplit(':').next().unwrap())).await;
    assert_readable(&rest, &id, "first").await;
    assert_eq!(upload(&rest, "second").await.0, 201, "a restart goes on");
}
